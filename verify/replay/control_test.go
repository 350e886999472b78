package replay

import (
	"testing"

	"github.com/smarthausgroup/caio/contracts"
	"pgregory.net/rapid"
)

func magnitude(x int64) int64 { return max(x, -x) }

func TestControlIsStableAndBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := psi{intent: randomField(64).Draw(t, "intent"), supplied: true}
		if rapid.Bool().Draw(t, "with traits") {
			p.traits = randomField(64).Draw(t, "traits")
		}
		winner := &contracts.Contract{Field: randomField(64).Draw(t, "winner")}
		var previous []int64
		if rapid.Bool().Draw(t, "with previous") {
			previous = rapid.SliceOfN(rapid.Int64Range(-250_000, 250_000), 8, 8).Draw(t, "previous")
		}
		u := control(p, winner, previous)
		e, q := bands(p.intent), bands(winner.Field)
		if p.traits != nil {
			for j, share := range bands(p.traits) {
				q[j] = (q[j] + share) / 2
			}
		}
		for j := range u {
			if magnitude(u[j]) > 250_000 {
				t.Fatalf("u_%d = %d is out of bounds", j, u[j])
			}
			if previous != nil && magnitude(u[j]-previous[j]) > 100_000 {
				t.Fatalf("u_%d = %d is more than a step from %d", j, u[j], previous[j])
			}
			if previous == nil && magnitude(q[j]-(e[j]+u[j])) > magnitude(q[j]-e[j]) {
				t.Fatalf("u_%d = %d moves %d away from %d", j, u[j], e[j], q[j])
			}
		}
	})
}

func TestControlIsZeroWithoutFields(t *testing.T) {
	previous := []int64{1, 2, 3, 4, 5, 6, 7, 8}
	field := encode("a b c") // of another dimension than the contract's
	for name, p := range map[string]psi{"no intent": {intent: field}, "no Psi_m": {intent: field, supplied: true}} {
		if u := control(p, &contracts.Contract{Name: "a"}, previous); u != [8]int64{} {
			t.Errorf("%s: %v", name, u)
		}
	}
}

func TestGuaranteesWithoutABoundAreNotCarried(t *testing.T) {
	low := contracts.Decimal(1)
	carried := guarantees(&contracts.Contract{Guarantees: map[string]contracts.Guarantee{"a": {Property: "p"}, "b": {Property: "p", Bounds: contracts.Bounds{Min: &low}}}})
	if len(carried) != 1 || carried["b"].Min != &low {
		t.Errorf("carried %v", carried)
	}
}
