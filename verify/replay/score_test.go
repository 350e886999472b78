package replay

import (
	"math/big"
	"testing"

	"github.com/smarthausgroup/caio/contracts"
	"pgregory.net/rapid"
)

func TestLg(t *testing.T) {
	for x, want := range map[int64]int64{
		1_000_000: 0, 1_000_001: 1, 1_999_999: 999_999, 2_000_000: 1_000_000, 3_000_000: 1_500_000, 3_000_001: 1_500_000, 4_000_000: 2_000_000,
		10_000_000_001_000_000: 33_164_153,
	} {
		if got := lg(x); got != want {
			t.Errorf("lg(%d) = %d, want %d", x, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Int64Range(1_000_000, 1e17).Draw(t, "x")
		if lg(x) > lg(x+1) {
			t.Fatalf("lg falls at %d", x)
		}
	})
}

func TestProductsBeyond63Bits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Int64Range(0, 1e12).Draw(t, "a"), rapid.Int64Range(0, 1e9).Draw(t, "b")
		product := new(big.Rat).SetInt(new(big.Int).Mul(big.NewInt(a), big.NewInt(b)))
		up := new(big.Rat).SetInt64(ceilMillionths(a, b))
		below := new(big.Rat).Sub(up, new(big.Rat).Quo(product, big.NewRat(1_000_000, 1)))
		if below.Sign() < 0 || below.Cmp(big.NewRat(1, 1)) >= 0 {
			t.Fatalf("ceil(%d * %d / 1e6) = %v", a, b, up)
		}
	})
}

func TestExpectedLatency(t *testing.T) {
	promise := contracts.Decimal(300_000_001) // 300.000001 ms
	stated := &contracts.Contract{Guarantees: map[string]contracts.Guarantee{"latency": {Bounds: contracts.Bounds{Max: &promise}}}}
	silent := &contracts.Contract{}
	for _, test := range []struct {
		name     string
		contract *contracts.Contract
		history  contracts.History
		want     int64 // -1: unknown
	}{
		{"neither", silent, contracts.History{}, -1},
		{"few attempts and no promise", silent, contracts.History{N: 19, OK: 19, P95: 40}, -1},
		{"enough attempts", silent, contracts.History{N: 20, OK: 1, P95: 40}, 40},
		{"enough, none of them successful", silent, contracts.History{N: 20}, -1},
		{"a promise, rounded up", stated, contracts.History{}, 301},
		{"few attempts don't lower it", stated, contracts.History{N: 19, OK: 19, P95: 40}, 301},
		{"few attempts raise it", stated, contracts.History{N: 1, OK: 1, P95: 900}, 900},
		{"enough attempts beat it", stated, contracts.History{N: 20, OK: 20, P95: 40}, 40},
		{"failures leave the promise", stated, contracts.History{N: 500}, 301},
	} {
		got := int64(-1)
		if l := expectedLatency(test.contract, test.history); l != nil {
			got = *l
		}
		if got != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
		}
	}
}

func TestSensitivity(t *testing.T) {
	for _, test := range []struct {
		labels []string
		want   int64
	}{
		{nil, 0}, {[]string{"none"}, 0}, {[]string{"internal", "none"}, 250_000}, {[]string{"telemetry"}, 400_000}, {[]string{"internal", "telemetry"}, 400_000},
		{[]string{"confidential", "telemetry"}, 600_000}, {[]string{"pii"}, 800_000}, {[]string{"phi", "pii"}, 1_000_000}, {[]string{"secret"}, 1_000_000},
	} {
		if got := sensitivity(test.labels); got != test.want {
			t.Errorf("%v: got %d, want %d", test.labels, got, test.want)
		}
	}
}

func TestCoefficientsKeepTheObjectiveInRange(t *testing.T) {
	for name, c := range profiles {
		if up, down := c.alpha+c.beta+c.gamma+c.delta, c.lambda+c.rho+c.eta; up != 1000 || down != 1000 {
			t.Errorf("%s: coefficients sum up to %d and %d, not 1000", name, up, down)
		}
	}
}
