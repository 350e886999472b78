package replay_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/verify"
)

// fetched is the evidence of a decision as it was fetched when the log had so many entries.
func (w *world) fetched(ev *verify.Evidence, index, size int64) *verify.Evidence {
	older, c := *ev, w.checkpoint(size)
	older.Receipt, older.Earlier, older.First, older.Entries = w.proof(index, c), w.extended(w.earlier, size), nil, nil
	for _, e := range ev.Entries {
		if e.Index < size {
			older.Entries = append(older.Entries, verify.LoggedEntry{Index: e.Index, JWS: e.JWS, Receipt: w.proof(e.Index, c)})
		}
	}
	return &older
}

// An approver who has left is not in a trust file of today. That is no forgery, and nothing that could be told either.
func TestApprovalOfSomebodyUnknown(t *testing.T) {
	w := newWorld(t)
	w.trust.Approvers = verify.Keys{{Public: signerOf(t, strangerSeed).Public()}}
	file := written(t, w.publish(w.decide(asked)))
	for _, whole := range []bool{false, true} {
		code, verdicts := w.verdicts(file, whole)
		if v := verdicts[slices.IndexFunc(verdicts, func(v verify.Verdict) bool { return v.Layer == verify.LayerCurrency })]; code != verify.ExitUntold || v.Status != verify.Inconclusive || !strings.Contains(v.Reason, "the approval of baseline is signed with a key that is no approver's") {
			t.Errorf("log %t: %d, %+v", whole, code, v)
		}
	}
	// Nor is it of one who signs the log's entries himself.
	w.trust.Keys = append(w.trust.Keys, verify.Key{Public: signerOf(t, approverSeed).Public()})
	if code, _ := w.verdicts(file, true); code != verify.ExitFailed {
		t.Errorf("a key of the log's approves: %d", code)
	}
}

// Evidence from before an outcome was reported hides it from nobody who has the log: it is not said that there is none.
func TestOutcomeLaterThanTheEvidence(t *testing.T) {
	w := newWorld(t)
	p := w.decide(asked)
	index := int64(len(w.leaves))
	ev := w.publish(p)
	outcome := func(ev *verify.Evidence, whole bool) (int, verify.Verdict) {
		code, verdicts := w.verdicts(written(t, ev), whole)
		return code, verdicts[len(verdicts)-1]
	}
	code, v := outcome(ev, true)
	if code != verify.ExitVerified || v.Status != verify.Pass || !strings.HasPrefix(v.Reason, "it succeeded after 20ms, for 0 USD, as the caller reported (self-reported, index ") {
		t.Errorf("with its outcome: %d, %+v", code, v)
	}
	w.at = w.at.Add(-late)
	older := w.fetched(ev, index, index+1)
	code, v = outcome(older, true)
	if code != verify.ExitUntold || v.Layer != verify.LayerOutcome || v.Status != verify.Inconclusive || !strings.Contains(v.Reason, "later than this evidence") || !strings.Contains(v.Reason, "export it again") {
		t.Errorf("from before its outcome: %d, %+v", code, v)
	}
	if _, v = outcome(older, false); v.Status != verify.Skipped {
		t.Errorf("from before its outcome, without the log: %+v", v)
	}
}
