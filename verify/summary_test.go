package verify_test

import (
	"testing"

	"github.com/smarthausgroup/caio/verify"
)

// A decision is told only if the re-evaluation came to the same, and nothing failed.
func TestOnlyCheckedDecisionsAreTold(t *testing.T) {
	denied := &verify.Document{Decision: verify.Decision{Outcome: verify.Denied}}
	const told = "denied: of 0 candidates none survived every stage"
	for name, c := range map[string]struct {
		verdicts []verify.Verdict
		first    string
		n        int
	}{
		"passed":       {[]verify.Verdict{{Layer: verify.LayerReplay, Status: verify.Pass}}, told, 1},
		"hidden":       {[]verify.Verdict{{Layer: verify.LayerReplay, Status: verify.Skipped, Reason: "intent.text"}}, "not all of this was re-evaluated: intent.text", 2},
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
	denied.Unmatched = []verify.Unmatched{{Service: "a", IDs: []string{"capability"}}}
	skipped := []verify.Verdict{{Layer: verify.LayerReplay, Status: verify.Skipped}}
	if sentences := verify.Told(&verify.Evidence{Snapshot: map[string]string{"a": "d"}}, denied, skipped); sentences != nil {
		t.Errorf("a contract is left out: %q", sentences)
	}
	if sentences := verify.Told(&verify.Evidence{Snapshot: map[string]string{"a": "d"}, Contracts: map[string][]byte{"d": []byte("{}")}}, denied, skipped); len(sentences) != 3 {
		t.Errorf("no contract is left out: %q", sentences)
	}
}
