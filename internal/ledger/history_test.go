package ledger_test

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/internal/store/storetest"
	"pgregory.net/rapid"
)

func attempt(tenant, intent, service string, n int) ledger.Entry {
	e := entry(tenant, fmt.Sprintf("attempt %d", n))
	e.Attempt = &store.Attempt{Decision: storetest.DecisionID(epoch, n), Service: service, Intent: intent, Time: epoch, Status: "ok", OK: true, LatencyMS: int64(n % 1000)}
	return e
}

// historyAt is the definition, read out of spec/calculus.md, section 4, RL: all attempts, in log order.
func historyAt(attempts []store.Attempt, at time.Time) map[string]contracts.History {
	byService := map[string][]store.Attempt{}
	for _, a := range attempts {
		if at.Sub(a.Time) <= 30*24*time.Hour {
			byService[a.Service] = append(byService[a.Service], a)
		}
	}
	rows := map[string]contracts.History{}
	for service, of := range byService {
		var latencies []int64
		of = of[max(0, len(of)-500):]
		for _, a := range of {
			if a.OK {
				latencies = append(latencies, a.LatencyMS)
			}
		}
		row := contracts.History{N: int64(len(of)), OK: int64(len(latencies))}
		slices.Sort(latencies)
		for i, latency := range latencies { // the first that at least 95 of 100 are not above
			if 100*(i+1) >= 95*len(latencies) {
				row.P95 = max(1, latency)
				break
			}
		}
		rows[service] = row
	}
	return rows
}

// TestHistoryAt appends attempts whose times follow log order, or don't, asks between them for rows at many moments, and again after a restart.
func TestHistoryAt(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		path := filepath.Join(t.TempDir(), "caio.db")
		s := openStore(t, path)
		l := openLedger(t, s, ledger.Options{})
		defer func() { l.Close(); s.Close() }()
		var all []store.Attempt
		inOrder := rapid.Bool().Draw(rt, "times in log order")
		step := rapid.SampledFrom([]time.Duration{time.Second, time.Hour}).Draw(rt, "step")
		check := func() {
			for range 6 {
				at := epoch.Add(30*24*time.Hour + time.Duration(rapid.IntRange(-10, 3000).Draw(rt, "at"))*step)
				want := historyAt(all, at)
				got := l.HistoryAt("a", "chat", at)
				if len(got) != len(want) || len(got) > 0 && !reflect.DeepEqual(got, want) {
					rt.Fatalf("%d attempts, at %s:\n got %v\nwant %v", len(all), at, got, want)
				}
			}
		}
		for batch := range rapid.IntRange(1, 5).Draw(rt, "batches") {
			size := rapid.IntRange(1, 600).Draw(rt, "size")
			service := rapid.SampledFrom([]string{"s", "s", "s", "t"}).Draw(rt, "service")
			latencies := rapid.Uint64().Draw(rt, "latencies")
			entries := make([]ledger.Entry, size)
			for i := range entries {
				moment := len(all)
				if !inOrder {
					moment = int(latencies>>7+uint64(i)*2654435761) % 2500
				}
				e := attempt("a", "chat", service, i)
				e.Attempt.Time = epoch.Add(time.Duration(moment) * step)
				e.Attempt.LatencyMS = int64((latencies + uint64(i)*40503) % 97)
				e.Attempt.OK = latencies>>(i%64)&1 == 1
				entries[i] = e
				all = append(all, *e.Attempt)
			}
			mustAppend(t, l, entries...)
			mustAppend(t, l, attempt("a", "other", "s", batch), attempt("b", "chat", "s", batch))
			check()
		}
		l.Close()
		s.Close()
		s = openStore(t, path)
		l = openLedger(t, s, ledger.Options{})
		check()
	})
}

func TestHistoryRows(t *testing.T) {
	l := newLedger(t, ledger.Options{}, nil)
	if rows := l.HistoryAt("a", "chat", epoch); len(rows) > 0 {
		t.Errorf("without attempts: %v", rows)
	}
	add := func(latency int64, ok bool) {
		e := attempt("a", "chat", "s", 1)
		e.Attempt.LatencyMS, e.Attempt.OK = latency, ok
		mustAppend(t, l, e)
	}
	check := func(at time.Time, want contracts.History) {
		t.Helper()
		if got := l.HistoryAt("a", "chat", at)["s"]; got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	add(100, false)
	check(epoch, contracts.History{N: 1})
	add(0, true)
	check(epoch, contracts.History{N: 2, OK: 1, P95: 1})
	before := l.HistoryAt("a", "chat", epoch)
	for i := range int64(19) {
		add(i+2, true)
	}
	check(epoch, contracts.History{N: 21, OK: 20, P95: 19}) // of 0, 2 … 20, the 19th
	if before["s"].N != 2 {
		t.Error("rows that were given out have changed")
	}
	check(epoch.Add(30*24*time.Hour), contracts.History{N: 21, OK: 20, P95: 19})
	check(epoch.Add(30*24*time.Hour+time.Millisecond), contracts.History{})
	if rows := l.HistoryAt("b", "chat", epoch); len(rows) > 0 {
		t.Errorf("another tenant's: %v", rows)
	}
}
