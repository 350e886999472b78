package verify

import "slices"

// Report is a verification as it is told: by the command line, to machines, and by the page of verify/web.
type Report struct {
	DecisionID string    `json:"decision_id,omitempty"`
	Document   string    `json:"document,omitempty"` // digest
	Verdicts   []Verdict `json:"layers"`
	Sentences  []string  `json:"sentences"` // the decision; none where it was not checked
	NotShown   []string  `json:"not_shown"`
	Follows    *Former   `json:"follows,omitempty"` // the log that was given up for the decision's, where the whole log was read
}

// NewReport sums up verdicts about ev, which is nil where the file could not be read.
func NewReport(ev *Evidence, trust Trust, verdicts []Verdict) Report {
	r := Report{Verdicts: verdicts}
	if ev == nil {
		return r
	}
	if text := ev.ErasedText(trust); text != "" {
		r.NotShown = []string{text}
	}
	if ev.Document == nil {
		r.NotShown = append(r.NotShown, NotShown(nil, verdicts)...)
		return r
	}
	r.Document = Digest(ev.Document)
	if d, err := DecodeDocument(ev.Document); err == nil {
		r.DecisionID = d.DecisionID
		r.Sentences = Told(ev, d, verdicts)
		for _, log := range trust.Logs {
			if log.Follows == d.Log {
				r.NotShown = append(r.NotShown, plain("what the log said later: it was given up, and "+log.Origin+" follows it"))
			}
		}
		r.NotShown = append(r.NotShown, NotShown(d, verdicts)...)
	}
	return r
}

// Told are the [Sentences] if what they tell was checked: if nothing failed, and the re-evaluation came to the same. Where content is hidden, keys of policies are missing, or nobody re-evaluated, it says first
// what was not re-evaluated. Who knows what a contract that was left out would have changed: then it tells nothing.
func Told(ev *Evidence, d *Document, verdicts []Verdict) []string {
	i := slices.IndexFunc(verdicts, func(v Verdict) bool { return v.Layer == LayerReplay })
	leftOut := func(u Unmatched) bool { return ev.Contracts[ev.Snapshot[u.Service]] == nil }
	if ExitCode(verdicts) == ExitFailed || i < 0 || slices.ContainsFunc(d.Unmatched, leftOut) {
		return nil
	}
	switch sentences := Sentences(ev, d); verdicts[i].Status {
	case Pass:
		return sentences
	case Skipped:
		return append([]string{"not all of this was re-evaluated: " + verdicts[i].Reason}, sentences...)
	}
	return nil
}

// Shows says what it shows when the layer passes, as the end of a sentence; "" for a layer that there is not.
func Shows(layer string) string { return shown[layer] }
