package ledger

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/internal/store"
)

// What the history counts (spec/calculus.md, section 4, RL).
const (
	latest = 500
	maxAge = 30 * 24 * time.Hour
)

// history holds the latest attempts of every window, so that a decision reads no store.
type history struct {
	mu      sync.Mutex
	intents map[intentKey]*intentHistory
}

type intentKey struct{ tenant, intent string }

// intentHistory is the windows of one intent type, by service, and the rows that were made of them last.
type intentHistory struct {
	windows map[string]*window
	rows    map[string]contracts.History // nil when an attempt came since
	valid   span
}

// span is a range of moments, both ends included, in ms since 1970: those for which, as the oldest that counts, a row holds.
type span struct{ from, to int64 }

var always = span{math.MinInt64, math.MaxInt64}

func (s span) holds(moment int64) bool { return s.from <= moment && moment <= s.to }

func (s span) and(t span) span { return span{max(s.from, t.from), min(s.to, t.to)} }

// window is the attempts, in log order, of one tenant, intent type and service: at least all that are among the latest 500 of those not older than some moment, whatever the moment.
type window struct {
	attempts []measured
	pruneAt  int
	row      contracts.History
	valid    span // an empty one when an attempt came since
}

// measured is what counts of an attempt.
type measured struct {
	time    int64 // ms since 1970
	latency int32 // ms
	ok      bool
}

func loadHistory(ctx context.Context, r store.Reader) (*history, error) {
	h := &history{intents: map[intentKey]*intentHistory{}}
	windows, err := r.Windows(ctx)
	if err != nil {
		return nil, err
	}
	for _, w := range windows {
		attempts, err := r.Recent(ctx, w, latest)
		if err != nil {
			return nil, err
		}
		h.add(attempts)
	}
	return h, nil
}

// add takes attempts that are durable, in log order.
func (h *history) add(attempts []store.Attempt) {
	if len(attempts) == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range attempts {
		a := &attempts[i]
		key := intentKey{a.Tenant, a.Intent}
		of := h.intents[key]
		if of == nil {
			of = &intentHistory{windows: map[string]*window{}}
			h.intents[key] = of
		}
		w := of.windows[a.Service]
		if w == nil {
			w = &window{pruneAt: 2 * latest}
			of.windows[a.Service] = w
		}
		of.rows = nil
		w.add(measured{time: a.Time.UnixMilli(), latency: int32(a.LatencyMS), ok: a.OK})
	}
}

func (h *history) at(tenant, intent string, at time.Time) map[string]contracts.History {
	h.mu.Lock()
	defer h.mu.Unlock()
	of := h.intents[intentKey{tenant, intent}]
	if of == nil {
		return nil
	}
	oldest := at.UnixMilli() - maxAge.Milliseconds()
	if of.rows != nil && of.valid.holds(oldest) {
		return of.rows
	}
	// Made anew, never changed: callers hold the one before.
	of.rows, of.valid = make(map[string]contracts.History, len(of.windows)), always
	for service, w := range of.windows {
		if !w.valid.holds(oldest) {
			w.count(oldest)
		}
		if w.row.N > 0 {
			of.rows[service] = w.row
		}
		of.valid = of.valid.and(w.valid)
	}
	return of.rows
}

func (w *window) add(a measured) {
	w.attempts = append(w.attempts, a)
	w.valid = span{from: 1, to: 0}
	if len(w.attempts) >= w.pruneAt {
		w.prune()
	}
}

// prune drops what no row can count any more: attempts that 500 later ones outlive. Where times follow log order, that leaves the latest 500; a clock that was set back leaves more.
func (w *window) prune() {
	var longest []int64 // the latest times among the later attempts, at most 500, ascending
	kept := len(w.attempts)
	for i := len(w.attempts) - 1; i >= 0; i-- {
		a := w.attempts[i]
		if len(longest) == latest && longest[0] >= a.time {
			continue
		}
		at, _ := slices.BinarySearch(longest, a.time)
		longest = slices.Insert(longest, at, a.time)
		longest = longest[max(0, len(longest)-latest):]
		kept--
		w.attempts[kept] = a
	}
	w.attempts = slices.Clone(w.attempts[kept:])
	w.pruneAt = len(w.attempts) + latest
}

// count makes the row of the latest 500 attempts that are not older than the moment `oldest`.
func (w *window) count(oldest int64) {
	w.row, w.valid = contracts.History{}, always
	var latencies []int32
	for i := len(w.attempts) - 1; i >= 0 && w.row.N < latest; i-- {
		a := w.attempts[i]
		if a.time < oldest {
			w.valid.from = max(w.valid.from, a.time+1)
			continue
		}
		w.valid.to = min(w.valid.to, a.time)
		w.row.N++
		if a.ok {
			latencies = append(latencies, a.latency)
		}
	}
	w.row.OK = int64(len(latencies))
	if len(latencies) > 0 {
		slices.Sort(latencies)
		rank := (95*len(latencies) + 99) / 100 // nearest rank, counted from 1
		w.row.P95 = max(1, int64(latencies[rank-1]))
	}
}
