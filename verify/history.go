package verify

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/smarthausgroup/caio/contracts"
)

// What the history counts (spec/calculus.md, section 4, RL).
const (
	historyLatest = 500
	historyAge    = 30 * 24 * time.Hour
)

// history derives the rows again that a document says were used, from the outcomes in the log. They were read after base was, while others' outcomes went on coming in: so they are those of the log at some length between base and the decision.
type history struct {
	intent string
	oldest int64                        // that counts, in ms since 1970
	stated map[string]contracts.History // by candidate; the zero row where the document has none
	counts map[string][]measured        // by candidate, the latest, in log order
	differ map[string]bool              // candidates whose row is another than the stated one, at the length that was settled last
	agreed bool                         // at some length that counts all rows were as stated
	newest int64                        // when the entries so far were made, the latest, in seconds since 1970
	open   map[[16]byte]string          // decisions for candidates of which no outcome came so far: the service, by id
	untold error                        // why the rows can't be told
}

// measured is what counts of an outcome.
type measured struct {
	ok      bool
	latency int64 // ms
}

func newHistory(d *Document) *history {
	h := &history{intent: d.Request.Intent.Type, stated: map[string]contracts.History{}, counts: map[string][]measured{}, differ: map[string]bool{}, open: map[[16]byte]string{}}
	if at, err := time.Parse(TimeFormat, d.Time); err == nil { // what has no form has no candidates either
		h.oldest = at.Add(-historyAge).UnixMilli()
	}
	for _, c := range d.Candidates {
		h.stated[c.Service] = contracts.History{}
		if c.History != nil {
			h.stated[c.Service] = *c.History
		}
	}
	return h
}

// decided notes a decision for a candidate: an outcome is of one, and one has one outcome at most.
func (h *history) decided(leaf []byte) error {
	var said Statement
	if err := Claims(leaf, &said); err != nil {
		return err
	}
	if _, candidate := h.stated[said.Service]; candidate {
		h.open[idOf(said.ID)] = said.Service
	}
	return nil
}

// idOf is the number of a UUID; zero for what is none.
func idOf(uuid string) (id [16]byte) {
	if raw, err := hex.DecodeString(strings.ReplaceAll(uuid, "-", "")); err == nil && len(raw) == len(id) {
		id = [16]byte(raw)
	}
	return id
}

// take counts an outcome from before the decision, if it is one of a candidate, of the request's intent type, and not too old.
func (h *history) take(index int64, leaf []byte, d *Document, at *proved, trust Trust) error {
	var said OutcomeRecord
	if err := Claims(leaf, &said); err != nil {
		return err
	}
	if _, candidate := h.stated[said.Service]; !candidate || said.Intent != "" && said.Intent != h.intent {
		return nil
	}
	const most = int64(slack / time.Second)
	if said.IAT*1000 < h.oldest {
		if (h.newest-most)*1000 >= h.oldest {
			h.untold = fmt.Errorf("the outcome at index %d says that it is too old to count, and stands behind entries that are not: its time was changed, or the server's clock was set back", index)
		}
		return nil
	}
	r, unbelieved, err := inForce(index, leaf, d, trust)
	if err != nil {
		return err
	}
	switch {
	case unbelieved != nil:
		h.untold = fmt.Errorf("the outcome at index %d is %w", index, unbelieved)
	case said.Intent == "":
		h.untold = fmt.Errorf("the outcome at index %d was reported before outcomes stated their intent type", index)
	}
	if h.open[idOf(said.Decision)] != said.Service {
		return fmt.Errorf("it is the outcome of no decision for %s that the log holds before it, or the second one of such", plain(said.Service))
	}
	delete(h.open, idOf(said.Decision))
	latest := append(h.counts[said.Service], measured{r.outcome.Met(), r.outcome.LatencyMS})
	h.counts[said.Service] = latest[max(0, len(latest)-historyLatest):]
	if index >= d.Base {
		h.settle(said.Service)
		// One from well before the decision was there when the rows were read.
		h.agreed = len(h.differ) == 0 || h.agreed && said.IAT >= at.iat-most
	}
	return nil
}

// settleAll compares the rows with those of the document, once every outcome below base was taken.
func (h *history) settleAll() {
	for service := range h.stated {
		h.settle(service)
	}
	h.agreed = len(h.differ) == 0
}

// fault is what differs, once every outcome from before the decision was taken; nil for nothing.
func (h *history) fault(d *Document) *Fault {
	if h.agreed {
		return nil
	}
	for i, c := range d.Candidates {
		if h.differ[c.Service] {
			return &Fault{pointer("candidates", i, "history"), "the outcomes in the log from before the decision make another history", rowText(countOf(h.counts[c.Service])), rowText(h.stated[c.Service])}
		}
	}
	return nil
}

func (h *history) settle(service string) {
	if countOf(h.counts[service]) == h.stated[service] {
		delete(h.differ, service)
		return
	}
	h.differ[service] = true
}

// countOf is the row of attempts.
func countOf(latest []measured) contracts.History {
	row := contracts.History{N: int64(len(latest))}
	var latencies []int64
	for _, m := range latest {
		if m.ok {
			latencies = append(latencies, m.latency)
		}
	}
	if row.OK = int64(len(latencies)); row.OK > 0 {
		slices.Sort(latencies)
		row.P95 = max(1, latencies[(95*len(latencies)+99)/100-1]) // nearest rank
	}
	return row
}

func rowText(row contracts.History) string {
	return fmt.Sprintf("%d attempts, %d ok, p95 %d ms", row.N, row.OK, row.P95)
}
