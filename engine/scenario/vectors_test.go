package scenario_test

import (
	"context"
	"os"
	"testing"

	"github.com/smarthausgroup/caio/contracts/canonical"
	"github.com/smarthausgroup/caio/engine/scenario"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/replay"
)

// vectors is how many decisions of a second implementation there are (spec/vectors/README.md).
const vectors = 197

func readVectors(t *testing.T) ([]scenario.Scenario, []*rego.Bundle) {
	t.Helper()
	text, err := os.ReadFile("testdata/calculus.json")
	if err != nil {
		t.Fatal(err)
	}
	scenarios, faults := scenario.Parse("calculus.json", text, nil)
	if faults.HasErrors() {
		t.Fatal(faults)
	}
	if len(scenarios) != vectors {
		t.Fatalf("%d vectors, not %d", len(scenarios), vectors)
	}
	bundle, faults := rego.ReadFS("vectors", os.DirFS("testdata/policies"))
	if faults.HasErrors() {
		t.Fatal(faults)
	}
	return scenarios, []*rego.Bundle{bundle}
}

// complete checks that a vector expects everything that its page lists: what is not given would not be compared.
func complete(t *testing.T, e scenario.Expect) {
	t.Helper()
	if e.Outcome == nil || e.Unmatched == nil || e.Candidates == nil || e.Control == nil {
		t.Error("a key is not given")
	}
	if e.Outcome != nil && *e.Outcome == verify.Routed && (e.Winner == nil || e.Route == nil || e.Guarantees == nil) {
		t.Error("a key of the winner is not given")
	}
	for _, candidate := range e.Candidates {
		if (candidate.Eliminated == nil) == (candidate.Objective == nil || candidate.Estimate == nil || len(candidate.Terms) != 7) {
			t.Errorf("candidate %s is neither eliminated nor scored, or both", candidate.Service)
		}
	}
}

// TestVectors holds the engine and its definition against decisions that a second implementation computed, and against each other in what the vectors leave out.
func TestVectors(t *testing.T) {
	scenarios, bundles := readVectors(t)
	for _, s := range scenarios {
		t.Run(s.Name, func(t *testing.T) {
			complete(t, s.Expect)
			result, err := s.Run(context.Background(), bundles)
			if err != nil {
				t.Fatal(err)
			}
			if result.Differences != nil {
				t.Errorf("engine\n%s", scenario.Table(result.Differences))
			}
			replayed, err := replay.Decide(context.Background(), replay.Arguments{
				Request: s.Request, Principal: s.Principal, Contracts: s.Contracts, Attestations: s.Attestations, Bundles: bundles,
				Settings: s.Settings, Data: s.Data, History: s.Rows(), Time: s.Time,
			})
			if err != nil {
				t.Fatal(err)
			}
			if differences := s.Expect.Compare(replayed); differences != nil {
				t.Errorf("replay\n%s", scenario.Table(differences))
			}
			if got, want := encode(t, result.Decision), encode(t, replayed); got != want {
				t.Errorf("engine %s\nreplay %s", got, want)
			}
		})
	}
}

func encode(t *testing.T, d verify.Decision) string {
	t.Helper()
	text, err := canonical.Encode(d)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
