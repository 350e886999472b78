package engine_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine"
)

// BenchmarkDecide measures a decision over a registry of which some services match, under 50 constraints.
func BenchmarkDecide(b *testing.B) {
	policies := holdingRules(b, 50)
	for _, services := range []int{100, 1_000, 10_000} {
		all := make([]*engine.Service, services)
		for i := range all {
			all[i] = compiled(b, plainContract(b, fmt.Sprintf("service-%05d", i), i%7, capabilities(i)...), contracts.Audited)
		}
		snapshot, err := engine.NewSnapshot(all...)
		if err != nil {
			b.Fatal(err)
		}
		for _, candidates := range []int{1, 10, 100} {
			b.Run(fmt.Sprintf("services=%05d/candidates=%03d", services, candidates), func(b *testing.B) {
				decider, err := engine.New(engine.Options{})
				if err != nil {
					b.Fatal(err)
				}
				arguments := engine.Arguments{
					Request:  plainRequest(b, fmt.Sprintf(`{"intent": {"type": "work-%d", "text": "add these numbers"}, "data": {"labels": ["internal"]}}`, candidates)),
					Snapshot: snapshot, Policies: policies, Time: now,
				}
				b.ReportAllocs()
				for b.Loop() {
					d, err := decider.Decide(context.Background(), arguments)
					if err != nil || len(d.Candidates) != candidates {
						b.Fatal(len(d.Candidates), err)
					}
				}
			})
		}
	}
}

// capabilities lets 1, 10 and 100 services of a registry match the requests of the benchmark.
func capabilities(i int) []string {
	switch {
	case i < 1:
		return []string{"work-1", "work-10", "work-100"}
	case i < 10:
		return []string{"work-10", "work-100"}
	case i < 100:
		return []string{"work-100"}
	}
	return []string{"other"}
}
