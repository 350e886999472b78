package replay_test

import (
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
