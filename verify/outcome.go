package verify

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/smarthausgroup/caio/contracts"
)

// judgeOutcome is the layer outcome: what is said of what came of the decision is in the log after it, and about this document; of what the log at hand holds none is left out.
func judgeOutcome(ev *Evidence, d *Document, at *proved, records map[int64]*record, w *whole) Verdict {
	skipped := func(reason string) Verdict {
		return Verdict{Layer: LayerOutcome, Status: Skipped, Reason: reason}
	}
	if d == nil || at == nil {
		return skipped("no receipt shows that anything is in the log")
	}
	if records == nil {
		return skipped("the entries of the evidence don't hold: see " + LayerCurrency)
	}
	var f findings
	var told []string
	var unbelieved error
	for _, index := range slices.Sorted(maps.Keys(records)) {
		r := records[index]
		if r.typ != TypOutcome {
			continue
		}
		told = append(told, r.outcome.told(index))
		if r.unbelieved != nil && unbelieved == nil {
			unbelieved = fmt.Errorf("the outcome at index %d is %w", index, r.unbelieved)
		}
		at := pointer("entries", strconv.FormatInt(index, 10))
		equal(&f, at+"/decision", "the outcome is that of another decision", d.DecisionID, r.outcome.Decision)
		equal(&f, at+"/doc", "the outcome is bound to another document", Digest(ev.Document), r.outcome.Document)
		equal(&f, at+"/service", "the outcome is that of another service", d.Choice.Service, r.outcome.Service)
		if r.outcome.Intent != "" {
			equal(&f, at+"/intent", "the outcome is that of another intent type", d.Request.Intent.Type, r.outcome.Intent)
		}
	}
	for _, index := range slices.Sorted(maps.Keys(records)) {
		f.require(records[index].typ != TypOutcome || index > at.index, "", fmt.Sprintf("the outcome at index %d stands before the decision", index))
	}
	whole := w != nil && w.unreadable == nil && w.broken == nil
	var later []string // since the receipt was made
	if whole {
		for _, index := range w.outcomes {
			switch {
			case index >= at.proof.Checkpoint.Size:
				later = append(later, strconv.FormatInt(index, 10))
			case records[index] == nil:
				f.fault("", fmt.Sprintf("the log holds an outcome of the decision at index %d, which the evidence leaves out", index), "", "")
			}
		}
	}
	switch {
	case f.first != nil:
		return Judge(LayerOutcome, f.err())
	case unbelieved != nil:
		return Verdict{Layer: LayerOutcome, Status: Inconclusive, Reason: unbelieved.Error()}
	case later != nil:
		return Verdict{Layer: LayerOutcome, Status: Inconclusive, Reason: fmt.Sprintf("the log holds an outcome of the decision at index %s, later than this evidence, which was made when the log had %d entries: export it again", strings.Join(later, ", "), at.proof.Checkpoint.Size)}
	case told != nil:
		return Verdict{Layer: LayerOutcome, Status: Pass, Reason: strings.Join(told, "; ")}
	case whole:
		return Verdict{Layer: LayerOutcome, Status: Pass, Reason: fmt.Sprintf("nothing was reported: the log, of %d entries, holds none", w.size)}
	}
	return skipped("the evidence holds no attempts and no outcome")
}

// outcomes tells what the entries of the evidence say of what came of the decision, for readers of the layer outcome, which checks them.
func (ev *Evidence) outcomes() (list []string) {
	for _, e := range ev.Entries {
		var r OutcomeRecord
		if typ, _ := TypOf(e.JWS); typ == TypOutcome && Claims(e.JWS, &r) == nil {
			list = append(list, r.told(e.Index))
		}
	}
	return list
}

// statuses are those of an outcome, in words.
var statuses = map[string]string{"succeeded": "it succeeded", "failed": "it failed", "timed_out": "it did not answer in time", "cancelled": "it was cancelled"}

// Met says whether the history counts it as ok: it succeeded, and met every guarantee that was required.
func (r *OutcomeRecord) Met() bool { return r.Status == "succeeded" && len(r.Unmet) == 0 }

// told says an outcome in words: "it succeeded after 20ms, for 0.001 USD, as the caller reported (self-reported, index 45)".
func (r *OutcomeRecord) told(index int64) string {
	text, ok := statuses[r.Status]
	if !ok {
		text = "it ended as " + strconv.Quote(r.Status)
	}
	text += fmt.Sprintf(" after %s, for %s USD", time.Duration(r.LatencyMS)*time.Millisecond, contracts.Decimal(r.CostMicroUSD))
	if len(r.Unmet) > 0 {
		text += ", and did not keep its guarantee of " + strings.Join(r.Unmet, ", ")
	}
	by := "as " + r.Source + " says"
	if r.Source == SelfReported {
		by = "as the caller reported"
	}
	return fmt.Sprintf("%s, %s (%s, index %d)", text, by, r.Source, index)
}
