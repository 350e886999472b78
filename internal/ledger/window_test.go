package ledger

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/internal/store"
	"pgregory.net/rapid"
)

// historyAt is the definition, read out of spec/calculus.md, section 4, RL: of all attempts, in log order.
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

// TestHistoryIsItsDefinition adds attempts whose times follow log order, or don't, and asks in between for rows at many moments.
func TestHistoryIsItsDefinition(t *testing.T) {
	epoch := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		h := &history{intents: map[intentKey]*intentHistory{}}
		var all []store.Attempt
		inOrder := rapid.Bool().Draw(t, "times in log order")
		step := rapid.SampledFrom([]time.Duration{time.Millisecond, time.Hour}).Draw(t, "step")
		for batch := range rapid.IntRange(1, 6).Draw(t, "batches") {
			size := rapid.IntRange(1, 600).Draw(t, "size")
			service := rapid.SampledFrom([]string{"s", "s", "s", "t"}).Draw(t, "service")
			seed := rapid.Uint64().Draw(t, "latencies, times")
			attempts := make([]store.Attempt, size)
			for i := range attempts {
				moment := len(all) + i
				if !inOrder {
					moment = int((seed>>7 + uint64(i)*2654435761) % 2500)
				}
				attempts[i] = store.Attempt{
					Tenant: "a", Service: service, Intent: "chat", Time: epoch.Add(time.Duration(moment) * step),
					LatencyMS: int64((seed + uint64(i)*40503) % 97), OK: seed>>(i%64)&1 == 1,
				}
			}
			h.add(attempts)
			h.add([]store.Attempt{{Tenant: "a", Service: "s", Intent: "other", Time: epoch}, {Tenant: "b", Service: "s", Intent: "chat", Time: epoch}})
			all = append(all, attempts...)
			for range 8 {
				at := epoch.Add(maxAge + time.Duration(rapid.IntRange(-10, 3000).Draw(t, "at"))*step)
				want, got := historyAt(all, at), h.at("a", "chat", at)
				if len(got) != len(want) || len(got) > 0 && !reflect.DeepEqual(got, want) {
					t.Fatalf("after batch %d, %d attempts, at %s:\n got %v\nwant %v", batch, len(all), at, got, want)
				}
			}
			if kept := len(h.intents[intentKey{"a", "chat"}].windows[service].attempts); inOrder && kept > 2*latest {
				t.Fatalf("%d attempts are kept", kept)
			}
		}
	})
}
