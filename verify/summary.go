package verify

import (
	"slices"
	"strings"
)

// Report is a verification as it is told: by the command line, to machines, and by the page of verify/web. Its lists are never null.
type Report struct {
	Verdict    string    `json:"verdict"`   // Verified, Refused or Unsettled
	ExitCode   int       `json:"exit_code"` // as [ExitCode] has it
	Summary    string    `json:"summary"`   // the verdict in a sentence
	DecisionID string    `json:"decision_id,omitempty"`
	Document   string    `json:"document,omitempty"` // digest
	Facts      *Facts    `json:"facts,omitempty"`    // absent where the file could not be read
	Verdicts   []Verdict `json:"layers"`
	Sentences  []string  `json:"sentences"` // the decision; none where something failed
	NotShown   []string  `json:"not_shown"`
	Follows    *Former   `json:"follows,omitempty"` // the log that was given up for the decision's, where the whole log was read
}

// What a verification comes to.
const (
	Verified  = "verified"
	Refused   = "refused"
	Unsettled = "unsettled"
)

// Whole is what the whole log said beside the verdicts. The zero value is for where none was read.
type Whole struct {
	Follows *Former // the log that was given up for it, nil for none
	Erased  *int64  // the index of the erasure that the evidence shows, nil where that was not found
}

// NewReport sums up verdicts about ev, which is nil where the file could not be read.
func NewReport(ev *Evidence, trust Trust, verdicts []Verdict, whole Whole) Report {
	r := Report{Verdicts: append([]Verdict{}, verdicts...), Sentences: []string{}, NotShown: []string{}, Follows: whole.Follows}
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		for _, text := range []*string{&v.Reason, &v.Pointer, &v.Want, &v.Got} {
			*text = plain(strings.ReplaceAll(*text, "\n", " "))
		}
	}
	r.conclude()
	if ev == nil {
		return r
	}
	if text := ev.ErasedText(trust, whole.Erased); text != "" {
		r.NotShown = append(r.NotShown, text)
	}
	if r.Facts = Describe(ev); r.Facts != nil {
		r.DecisionID, r.Document = r.Facts.DecisionID, r.Facts.Document
		if !r.passed(LayerReceipt) {
			r.Facts.Index, r.Facts.Entries, r.Facts.Checkpoint = nil, nil, ""
		}
		r.Facts.Signed = r.passed(LayerSignature) && (r.passed(LayerDocument) || ev.Document == nil)
	}
	d, err := DecodeDocument(ev.Document)
	if err != nil {
		r.Sentences = append(r.Sentences, r.stated(ev)...)
		r.NotShown = append(r.NotShown, NotShown(nil, verdicts)...)
		return r
	}
	r.Sentences = append(r.Sentences, Told(ev, d, verdicts)...)
	for _, log := range trust.Logs {
		if log.Follows == d.Log {
			r.NotShown = append(r.NotShown, plain("what the log said later: it was given up, and "+log.Origin+" follows it. What the root has revoked of its keys since stands there, and caio trust update reads it"))
		}
	}
	r.NotShown = append(r.NotShown, NotShown(d, verdicts)...)
	return r
}

// conclude sums the verdicts up.
func (r *Report) conclude() {
	var failed []string
	for _, v := range r.Verdicts {
		if v.Status == Fail {
			failed = append(failed, v.Layer)
		}
	}
	missing, optional := unsettled(r.Verdicts)
	r.ExitCode = ExitCode(r.Verdicts)
	switch r.ExitCode {
	case ExitFailed:
		r.Verdict, r.Summary = Refused, "Refused: "+strings.Join(failed, ", ")+" failed."
		return
	case ExitVerified:
		r.Verdict, r.Summary = Verified, "Verified: every layer that has to pass did."
	default:
		r.Verdict, r.Summary = Unsettled, "Nothing failed. Not settled: "+strings.Join(missing, ", ")+"."
	}
	if optional != nil {
		r.Summary += " Skipped, and not required: " + strings.Join(optional, ", ") + "."
	}
}

func (r *Report) passed(layer string) bool {
	return slices.ContainsFunc(r.Verdicts, func(v Verdict) bool { return v.Layer == layer && v.Status == Pass })
}

// stated is what a statement says whose document was erased.
func (r *Report) stated(ev *Evidence) []string {
	if ev.Document != nil || r.Facts == nil || !r.Facts.Signed || r.ExitCode == ExitFailed {
		return nil
	}
	return []string{plain(r.Facts.outcome() + ", as the signed statement says; why, nobody can tell from this file: the document is not in it")}
}

// Told are the [Sentences], and what came of the decision, where nothing failed and the re-evaluation, if there was one, came to the same. Where not all was re-evaluated, they begin with that: what follows is the issuer's signed word as far as other layers don't show it.
func Told(ev *Evidence, d *Document, verdicts []Verdict) []string {
	status := func(layer string) (Verdict, bool) {
		i := slices.IndexFunc(verdicts, func(v Verdict) bool { return v.Layer == layer })
		if i < 0 {
			return Verdict{}, false
		}
		return verdicts[i], true
	}
	replay, ran := status(LayerReplay)
	if ExitCode(verdicts) == ExitFailed || !ran || replay.Status != Pass && replay.Status != Skipped {
		return nil
	}
	var sentences []string
	if replay.Status == Skipped {
		sentences = append(sentences, "not all of this was re-evaluated, as the layer replay says, and what was not is the issuer's signed word")
	}
	sentences = append(sentences, Sentences(ev, d)...)
	if outcome, _ := status(LayerOutcome); outcome.Status == Pass {
		for _, text := range ev.outcomes() {
			sentences = append(sentences, plain("what came of it: "+text))
		}
	}
	return sentences
}

// Shows says what it shows when the layer passes, as the end of a sentence; "" for a layer that there is not.
func Shows(layer string) string { return shown[layer] }
