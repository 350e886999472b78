package verify_test

import (
	"context"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/verify"
)

func TestReportGolden(t *testing.T) {
	p := example(t)
	lines := verify.Sentences(p.evidence, p.document)
	lines = append(append(lines, "", "What this does not show"), verify.NotShown(p.document, verify.Check(context.Background(), p.evidence, p.trust, verify.Options{}))...)
	golden(t, "report.txt", []byte(strings.Join(lines, "\n")+"\n"))
}

func TestSentencesOfADenial(t *testing.T) {
	d := example(t).document
	d.Candidates = d.Candidates[2:3]
	deny(d)
	lines := verify.Sentences(nil, d)
	if want := "denied: the one candidate did not survive every stage"; lines[0] != want {
		t.Errorf("got %q, want %q", lines[0], want)
	}
	if want := "rejected openai-embed: GDPR-44, keeps data in [us]"; lines[1] != want {
		t.Errorf("got %q, want %q", lines[1], want)
	}
}

// Reasons are written by policies from what contracts say: they may not drive a terminal, nor look like a line of ours.
func TestSentencesHoldNoControlCharacters(t *testing.T) {
	d := example(t).document
	d.Candidates[2].Eliminated.Violations[0].Reason = "\x1b[2Jgone\r\nrouted to evil\u202e\u2028"
	for _, line := range verify.Sentences(nil, d) {
		if strings.ContainsAny(line, "\x1b\r\n\u202e\u2028") {
			t.Errorf("%q", line)
		}
	}
}

// Verdicts quote what evidence and logs hold, which anybody can have written.
func TestVerdictsHoldNoControlCharacters(t *testing.T) {
	evil := "\x1b[2J\u009b2J\u202e\u2028"
	r := verify.NewReport(nil, verify.Trust{}, []verify.Verdict{{Layer: verify.LayerReceipt, Status: verify.Fail, Reason: "a\nb" + evil, Pointer: "/" + evil, Want: evil, Got: evil}}, verify.Whole{})
	for _, text := range []string{r.Verdicts[0].Reason, r.Verdicts[0].Pointer, r.Verdicts[0].Want, r.Verdicts[0].Got} {
		if text == "" || strings.ContainsAny(text, "\x1b\n\u009b\u202e\u2028") {
			t.Errorf("%q", text)
		}
	}
	if !strings.HasPrefix(r.Verdicts[0].Reason, "a b") {
		t.Errorf("%q", r.Verdicts[0].Reason)
	}
}

func TestSentencesTellCloseObjectivesApart(t *testing.T) {
	d := example(t).document
	d.Candidates[1].Score.Objective = d.Candidates[0].Score.Objective - 1
	for _, want := range []string{"0.287 against 0.288", "0.288 against 0.288, and costs more", "0.288 against 0.288, and is slower, or nobody knows how fast", "0.288 against 0.288, and lost the draw"} {
		lines := strings.Join(verify.Sentences(nil, d), "\n")
		if !strings.Contains(lines, "was feasible, with the objective "+want+"\n") {
			t.Errorf("no %q in\n%s", want, lines)
		}
		switch winner, other := d.Candidates[0].Score, d.Candidates[1].Score; {
		case other.Objective != winner.Objective:
			other.Objective = winner.Objective
		case other.Estimate.CostMicroUSD != winner.Estimate.CostMicroUSD:
			other.Estimate.CostMicroUSD = winner.Estimate.CostMicroUSD
		default:
			other.Estimate.LatencyMS = winner.Estimate.LatencyMS
		}
	}
}

func TestSentencesRound(t *testing.T) {
	for _, c := range []struct {
		winner, other int64
		want          string
	}{
		{436_000_000, 412_000_000, "0.412 against 0.436"},
		{287_500_000, 0, "0.000 against 0.288"},
		{1, -1_000_000_000, "-1.000 against 0.000"},
		{436_000_000, 435_999_600, "0.4359996 against 0.4360000"},
		{-5_000_000, -5_000_001, "-0.005000001 against -0.005000000"},
		{436_000_000, -23_600_000, "-0.024 against 0.436"},
	} {
		d := example(t).document
		d.Choice.Objective, d.Candidates[0].Score.Objective, d.Candidates[1].Score.Objective = &c.winner, c.winner, c.other
		if lines := strings.Join(verify.Sentences(nil, d), "\n"); !strings.Contains(lines, "feasible, with the objective "+c.want+"\n") {
			t.Errorf("no %q in\n%s", c.want, lines)
		}
	}
}

// An author's predicate has the words of its author, or else its own text.
func TestAuthorsWords(t *testing.T) {
	for _, c := range []struct{ message, want string }{{"at most two inputs", "at most two inputs"}, {"", "not so: request.estimate.units <= 2"}} {
		if got := verify.FalsePredicate("tiny", c.message, "request.estimate.units <= 2"); got != c.want {
			t.Errorf("%q: %q", c.message, got)
		}
	}
	if got := verify.FalsePredicate("tiny", "", ""); got != "a condition of its contract is not met" {
		t.Errorf("without its text: %q", got)
	}
}

// Every predicate that a contract compiles into has words of its own.
func TestEveryGeneratedPredicateHasWords(t *testing.T) {
	for _, id := range []string{
		"capability", "capability.chat", "excluded", "guarantee.latency", "guarantee.offered", "limit.max_input_tokens", "limit.max_output_tokens", "limit.max_units", "limit.max_payload_bytes",
		"attribute", "privacy.sensitive", "access.permissions_any", "access.permissions_all", "access.trust", "bounds.cost", "bounds.latency",
	} {
		d := example(t).document
		d.Unmatched = []verify.Unmatched{{Service: "x", IDs: []string{id}}}
		lines := strings.Join(verify.Sentences(nil, d), "\n")
		if !strings.Contains(lines, "x: "+id+", ") || strings.Contains(lines, "x: "+id+", a condition of its contract") {
			t.Errorf("%s: %s", id, lines)
		}
	}
}

func TestSentencesOfWhatCouldNotBeEvaluated(t *testing.T) {
	d := example(t).document
	d.Candidates[2].Eliminated.Violations[0].Reason = contracts.ReasonError
	if lines := strings.Join(verify.Sentences(nil, d), "\n"); !strings.Contains(lines, "GDPR-44, which could not be evaluated") {
		t.Error(lines)
	}
}

// What passed is not in the section; what failed, or did not run, is.
func TestNotShownFollowsTheVerdicts(t *testing.T) {
	var all []verify.Verdict
	for _, layer := range []string{verify.LayerEvidence, verify.LayerSignature, verify.LayerDocument, verify.LayerReceipt, verify.LayerWitnesses, verify.LayerCurrency, verify.LayerArgmax, verify.LayerCompleteness, verify.LayerReplay, verify.LayerOutcome} {
		all = append(all, verify.Verdict{Layer: layer, Status: verify.Pass})
	}
	if lines := verify.NotShown(nil, all); len(lines) != 0 {
		t.Error(lines)
	}
	if lines := strings.Join(verify.NotShown(example(t).document, all), "\n"); strings.Contains(lines, "time asserted") || !strings.Contains(lines, "the caller told the truth about context.shareable, data.labels, data.regions,") || !strings.Contains(lines, "baseline: it is unsigned") {
		t.Error(lines)
	}
	for i, v := range all {
		list := append([]verify.Verdict{}, all...)
		list[i] = verify.Verdict{Layer: v.Layer, Status: verify.Fail, Reason: "because"}
		if lines := verify.NotShown(nil, list); len(lines) != 1 || !strings.HasSuffix(lines[0], ": the layer "+v.Layer+" failed") {
			t.Error(lines)
		}
	}
	if lines := strings.Join(verify.NotShown(example(t).document, all), "\n"); strings.Contains(lines, "history of bge-local is what the log holds") || !strings.Contains(lines, "what callers reported of bge-local is so") {
		t.Errorf("with the whole log:\n%s", lines)
	}
	if lines := verify.NotShown(nil, nil); len(lines) != len(all)-1 {
		t.Error(lines)
	}
}
