package ledger_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/internal/store/storetest"
)

func attempt(tenant, intent, service string, n int) ledger.Entry {
	e := entry(tenant, fmt.Sprintf("attempt %d", n))
	e.Attempt = &store.Attempt{Decision: storetest.DecisionID(epoch, n), Service: service, Intent: intent, Time: epoch, Status: "ok", OK: true, LatencyMS: int64(n % 1000)}
	return e
}

// TestHistoryAfterRestart appends attempts of several windows, with times that don't follow log order, and asks for rows before and after a restart: they are the same, at moments that count some of the attempts and at such that count none.
func TestHistoryAfterRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "caio.db")
	s := openStore(t, path)
	l := openLedger(t, s, ledger.Options{})
	random := rand.New(rand.NewPCG(3, 4))
	for range 4 {
		entries := make([]ledger.Entry, 700)
		for i := range entries {
			e := attempt([]string{"a", "b"}[random.IntN(2)], []string{"chat", "embeddings"}[random.IntN(2)], []string{"s", "t"}[random.IntN(2)], i)
			e.Attempt.Time = epoch.Add(time.Duration(random.IntN(1000)) * time.Hour)
			e.Attempt.OK = random.IntN(4) > 0
			entries[i] = e
		}
		mustAppend(t, l, entries...)
	}
	rows := func() map[string]map[string]contracts.History {
		all := map[string]map[string]contracts.History{}
		for hours := 0; hours <= 1750; hours += 50 {
			for _, tenant := range []string{"a", "b"} {
				for _, intent := range []string{"chat", "embeddings"} {
					all[fmt.Sprint(tenant, intent, hours)] = maps.Clone(l.HistoryAt(tenant, intent, epoch.Add(time.Duration(hours)*time.Hour)))
				}
			}
		}
		return all
	}
	before := rows()
	if first, last := before["achat0"]["s"], before["achat1750"]["s"]; first.N < 300 || last.N != 0 {
		t.Fatalf("rows of %d and %d attempts: this shows nothing", first.N, last.N)
	}
	if err := errors.Join(l.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, path)
	defer s.Close()
	l = openLedger(t, s, ledger.Options{})
	defer l.Close()
	if after := rows(); !reflect.DeepEqual(after, before) {
		t.Errorf("rows before the restart %v\nafter it %v", before, after)
	}
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
