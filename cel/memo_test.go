package cel_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/smarthausgroup/caio/cel"
	"github.com/smarthausgroup/caio/contracts"
)

// TestMemo holds a memo to what [cel.Program.Evaluate] finds, for registries whose contracts have conjuncts in common, and predicates of their authors that read what is each one's own or can't be evaluated.
func TestMemo(t *testing.T) {
	authors := []string{
		`estimate.cost_micro_usd <= 2`, `request.estimate.units <= 2 && estimate.latency_ms <= 2`, `request.requirements.attributes.a == 1`, `principal.trust >= 3.0 && "a" in principal.permissions`, `!("svc-a" in request.exclude)`,
	}
	seen := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		r, p := drawRequest(t), drawPrincipal(t)
		in := cel.NewInput(r, p)
		memo := cel.NewMemo(in)
		var first *contracts.Contract
		for n := range rapid.IntRange(1, 6).Draw(t, "contracts") {
			c := drawContract(t)
			if first != nil && rapid.Bool().Draw(t, "a twin") {
				twin := *first
				c, twin.ID = &twin, c.ID
			}
			if first == nil {
				first = c
				require(t, c, r)
				in = cel.NewInput(r, p)
				memo = cel.NewMemo(in)
			}
			c.Predicates = nil
			for i, expr := range rapid.SliceOfDistinct(rapid.SampledFrom(authors), rapid.ID).Draw(t, "authors") {
				c.Predicates = append(c.Predicates, contracts.Predicate{ID: fmt.Sprint("own-", i), Stage: contracts.StageMatch, Expr: expr})
			}
			program, ds := cel.Compile(c)
			if ds.HasErrors() {
				t.Fatal(ds)
			}
			e := drawEstimate(t)
			for _, stage := range []contracts.Stage{contracts.StageMatch, contracts.StageSecurity, contracts.StageBounds} {
				want, err := program.Evaluate(context.Background(), stage, in, e)
				if err != nil {
					t.Fatal(err)
				}
				for range 2 { // what it evaluates, and what it remembers
					got, err := memo.Evaluate(context.Background(), program, stage, func() contracts.ServiceEstimate { return e })
					if err != nil || !slices.Equal(got, want) {
						t.Fatalf("contract %d, %s, %v: by the memo %v, by the definition %v", n, stage, err, got, want)
					}
				}
				for _, v := range want {
					seen[v.ID]++
					if v.Reason == contracts.ReasonError {
						seen[contracts.ReasonError]++
					}
				}
			}
		}
	})
	for _, id := range []string{"capability", "excluded", "guarantee.x", "attribute", "privacy.sensitive", "access.trust", "bounds.latency", "own-0", contracts.ReasonError} {
		if seen[id] == 0 && !testing.Short() {
			t.Errorf("no case in which %s was false", id)
		}
	}
}

// The end of the context ends a memo's evaluation too.
func TestMemoEnds(t *testing.T) {
	program, ds := cel.Compile(benchContract(1))
	if ds.HasErrors() {
		t.Fatal(ds)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if violations, err := cel.NewMemo(benchInput()).Evaluate(ctx, program, contracts.StageMatch, nil); err == nil || violations != nil {
		t.Error(violations, err)
	}
}
