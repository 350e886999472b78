package rego

import (
	"context"
	"testing"

	oparego "github.com/open-policy-agent/opa/v1/rego"
)

// Benchmark is what a test cost.
type Benchmark struct {
	N      int     `json:"n"`      // how often it was evaluated
	Time   float64 `json:"ns_op"`  // ns, each
	Bytes  int64   `json:"b_op"`   // allocated, each
	Allocs int64   `json:"allocs"` // allocations, each
}

// bench measures the tests that passed, one after the other, prepared and without what they print.
func (s *suite) bench(ctx context.Context, o TestOptions, results []TestResult) error {
	testing.Init() // or testing.Benchmark has no flags to read
	rules := map[string]testRule{}
	for _, t := range s.tests {
		rules[t.pkg+"."+t.name] = t
	}
	for i := range results {
		if o.Progress != nil {
			o.Progress(i, len(results))
		}
		if results[i].Status != TestPass {
			continue
		}
		prepared, err := s.prepareTest(ctx, s.compiled, rules[results[i].Package+"."+results[i].Name])
		if err != nil {
			return err
		}
		measured := testing.Benchmark(func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := prepared.Eval(ctx, oparego.EvalTransaction(s.txn)); err != nil {
					b.Fatal(err)
				}
			}
		})
		if err := ctx.Err(); err != nil {
			return err
		}
		results[i].Bench = &Benchmark{measured.N, float64(measured.T.Nanoseconds()) / float64(max(1, measured.N)), measured.AllocedBytesPerOp(), measured.AllocsPerOp()}
	}
	return nil
}
