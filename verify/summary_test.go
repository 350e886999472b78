package verify_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/verify"
)

// A decision is told only if the re-evaluation came to the same, and nothing failed.
func TestOnlyCheckedDecisionsAreTold(t *testing.T) {
	denied := &verify.Document{Decision: verify.Decision{Outcome: verify.Denied}}
	const told, stated = "denied: no service matched", "not all of this was re-evaluated, as the layer replay says, and what was not is the issuer's signed word"
	for name, c := range map[string]struct {
		verdicts []verify.Verdict
		first    string
		n        int
	}{
		"passed":       {[]verify.Verdict{{Layer: verify.LayerReplay, Status: verify.Pass}}, told, 1},
		"hidden":       {[]verify.Verdict{{Layer: verify.LayerReplay, Status: verify.Skipped, Reason: "intent.text"}}, stated, 2},
		"inconclusive": {[]verify.Verdict{{Layer: verify.LayerReplay, Status: verify.Inconclusive}}, "", 0},
		"failed":       {[]verify.Verdict{{Layer: verify.LayerReplay, Status: verify.Fail}}, "", 0},
		"another layer failed": {[]verify.Verdict{
			{Layer: verify.LayerSignature, Status: verify.Fail}, {Layer: verify.LayerReplay, Status: verify.Skipped},
		}, "", 0},
		"not run": {nil, "", 0},
	} {
		sentences := verify.Told(&verify.Evidence{}, denied, c.verdicts)
		if len(sentences) != c.n || c.n > 0 && (sentences[0] != c.first || sentences[c.n-1] != told) {
			t.Errorf("%s: %q", name, sentences)
		}
	}
	// A contract that was left out is one of the things that were not re-evaluated.
	denied.Unmatched = []verify.Unmatched{{Service: "a", IDs: []string{"capability"}}}
	skipped := []verify.Verdict{{Layer: verify.LayerReplay, Status: verify.Skipped, Reason: "intent.text"}}
	if sentences := verify.Told(&verify.Evidence{Snapshot: map[string]string{"a": "d"}}, denied, skipped); len(sentences) != 3 || sentences[0] != stated {
		t.Errorf("a contract is left out: %q", sentences)
	}
}

// The verdict in a sentence names what kept it from being another, and only that.
func TestSummary(t *testing.T) {
	passed := func() (list []verify.Verdict) {
		for _, layer := range []string{verify.LayerEvidence, verify.LayerSignature, verify.LayerDocument, verify.LayerReceipt, verify.LayerWitnesses, verify.LayerCurrency, verify.LayerArgmax, verify.LayerCompleteness, verify.LayerReplay, verify.LayerOutcome} {
			list = append(list, verify.Verdict{Layer: layer, Status: verify.Pass})
		}
		return list
	}
	for name, c := range map[string]struct {
		statuses map[string]verify.Status
		verdict  string
		code     int
		summary  string
	}{
		"all": {nil, verify.Verified, 0, "Verified: every layer that has to pass did."},
		"unwitnessed": {
			map[string]verify.Status{verify.LayerWitnesses: verify.Skipped}, verify.Verified, 0, "Verified: every layer that has to pass did. Skipped, and not required: witnesses.",
		},
		"no log": {
			map[string]verify.Status{verify.LayerWitnesses: verify.Skipped, verify.LayerCurrency: verify.Inconclusive, verify.LayerOutcome: verify.Skipped},
			verify.Unsettled, 4, "Nothing failed. Not settled: currency. Skipped, and not required: witnesses, outcome.",
		},
		"an outcome came later": {map[string]verify.Status{verify.LayerOutcome: verify.Inconclusive}, verify.Unsettled, 4, "Nothing failed. Not settled: outcome."},
		"young":                 {map[string]verify.Status{verify.LayerWitnesses: verify.Inconclusive}, verify.Unsettled, 4, "Nothing failed. Not settled: witnesses."},
		"forged": {
			map[string]verify.Status{verify.LayerSignature: verify.Fail, verify.LayerArgmax: verify.Fail, verify.LayerCurrency: verify.Inconclusive}, verify.Refused, 1, "Refused: signature, argmax failed.",
		},
	} {
		verdicts := passed()
		for i, v := range verdicts {
			verdicts[i].Status = cmp.Or(c.statuses[v.Layer], v.Status)
		}
		r := verify.NewReport(nil, verify.Trust{}, verdicts, verify.Whole{})
		if r.Verdict != c.verdict || r.ExitCode != c.code || r.ExitCode != verify.ExitCode(verdicts) || r.Summary != c.summary {
			t.Errorf("%s: %s, %d, %q", name, r.Verdict, r.ExitCode, r.Summary)
		}
	}
	if r := verify.NewReport(nil, verify.Trust{}, nil, verify.Whole{}); r.ExitCode != verify.ExitUntold || !strings.HasPrefix(r.Summary, "Nothing failed. Not settled: signature, document, receipt, currency, argmax, completeness, replay.") {
		t.Errorf("nothing checked: %d, %q", r.ExitCode, r.Summary)
	}
}

// Machines get lists, also of a file that is none.
func TestReportHoldsNoNull(t *testing.T) {
	p := example(t)
	for _, ev := range []*verify.Evidence{nil, p.evidence, {Statement: []byte("x")}} {
		text := must(json.Marshal(verify.NewReport(ev, p.trust, nil, verify.Whole{})))(t)
		for _, name := range []string{"layers", "sentences", "not_shown"} {
			if !bytes.Contains(text, []byte(`"`+name+`":[`)) {
				t.Errorf("%s is no list: %s", name, text)
			}
		}
	}
}

// The facts are those of the document, and count as signed only where it is the one that a trusted key signed.
func TestFacts(t *testing.T) {
	p := example(t)
	r := verify.NewReport(p.evidence, p.trust, verify.Check(t.Context(), p.evidence, p.trust, verify.Options{}), verify.Whole{})
	if r.Facts == nil || !r.Facts.Signed || r.Facts.Tenant != p.document.Tenant || r.Facts.Time != p.document.Time || r.Facts.Key != p.trust.Keys[0].ID() || r.Facts.Index != nil {
		t.Errorf("%+v", r.Facts)
	}
	var lines []string
	for _, f := range r.Facts.List() {
		lines = append(lines, f.Name+": "+f.Text)
	}
	golden(t, "facts.txt", []byte(strings.Join(lines, "\n")+"\n"))
	long := verify.Facts{Tenant: strings.Repeat("é\x1b", 1000)}
	for _, f := range long.List() {
		if n := len([]rune(f.Text)); f.Name == "tenant" && (n != 501 || strings.ContainsRune(f.Text, 0x1b)) {
			t.Errorf("%d characters of a tenant: %q", n, f.Text)
		}
	}
	stranger := p.trust
	stranger.Keys = verify.Keys{{Public: signer(t, 9).Public()}}
	if r := verify.NewReport(p.evidence, stranger, verify.Check(t.Context(), p.evidence, stranger, verify.Options{}), verify.Whole{}); r.Facts.Signed {
		t.Errorf("signed by a stranger: %+v", r.Facts)
	}
	// What is left where the document was erased is what the statement says.
	gone := erased(t, true, nil, 1)
	r = verify.NewReport(gone.evidence, gone.trust, verify.Check(t.Context(), gone.evidence, gone.trust, verify.Options{}), verify.Whole{})
	if r.Facts == nil || !r.Facts.Signed || r.DecisionID != p.document.DecisionID || r.Facts.Service != p.document.Choice.Service || r.Facts.Time != "2026-11-22T12:00:00Z" {
		t.Errorf("%+v", r.Facts)
	}
	if len(r.Sentences) != 1 || !strings.HasPrefix(r.Sentences[0], "routed to bge-local, as the signed statement says") {
		t.Errorf("%q", r.Sentences)
	}
	gone.trust.Keys = stranger.Keys
	if r := verify.NewReport(gone.evidence, gone.trust, verify.Check(t.Context(), gone.evidence, gone.trust, verify.Options{}), verify.Whole{}); r.Facts.Signed || len(r.Sentences) > 0 {
		t.Errorf("erased, of a stranger: %+v %q", r.Facts, r.Sentences)
	}
}
