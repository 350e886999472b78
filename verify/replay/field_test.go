package replay

import (
	"slices"
	"testing"

	"github.com/smarthausgroup/caio/contracts"
	"pgregory.net/rapid"
)

// randomField draws a quantised field of dimension d, real or complex.
func randomField(d int) *rapid.Generator[*contracts.Field] {
	return rapid.Custom(func(t *rapid.T) *contracts.Field {
		part := rapid.SliceOfN(rapid.Float64Range(-8, 8), d, d)
		re := part.Draw(t, "re")
		re[rapid.IntRange(0, d-1).Draw(t, "at")] = 9 // never all zero
		var im []float64
		if rapid.Bool().Draw(t, "complex") {
			im = part.Draw(t, "im")
		}
		field, err := contracts.NewField(re, im)
		if err != nil {
			t.Fatal(err)
		}
		return field
	})
}

func TestTokens(t *testing.T) {
	for text, want := range map[string][]string{
		"":                       nil,
		" ,.-_\t":                nil,
		"Hello, WORLD-2":         {"hello", "world", "2"},
		"Großraum ÄB 検索+x":       {"großraum", "Äb", "検索", "x"}, // only A-Z becomes lower case
		"a\u0080b\u007fc \u00a0": {"a\u0080b", "c", "\u00a0"},
	} {
		if got := tokenize(text); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestEncode(t *testing.T) {
	if encode("…"[:0]+" ,") != nil {
		t.Error("a text without a token has a field")
	}
	once, again := encode("ab cd"), encode("AB cd ab cd")
	// Repetition adds nothing but the pair "cd ab".
	differences := 0
	for i := range once.Re {
		if once.Re[i] != again.Re[i] {
			differences++
		}
	}
	if differences != 1 {
		t.Errorf("%d components differ, want one", differences)
	}
	// FNV-1a of "a" is af63dc4c8601ec8c: bit 63 is set, and the last ten bits are 0x08c.
	if a := encode("a"); a.Re[0x08c] != -1 || norm(a) != 1 || len(a.Re) != 1024 {
		t.Errorf("the encoding of a: %v", a.Re)
	}
}

func TestSequencyIsAPermutation(t *testing.T) {
	const d = 256
	var seen [d]bool
	for k := range d {
		seen[sequency(k, d)] = true
	}
	if slices.Contains(seen[:], false) {
		t.Error("a sequency is missing")
	}
}

func TestBandsOfRows(t *testing.T) {
	const d = 64
	for k := range d {
		row := make([]float64, d)
		for n := range row {
			row[n] = float64(sign(n, k))
		}
		field, err := contracts.NewField(row, nil)
		if err != nil {
			t.Fatal(err)
		}
		var want [8]int64
		want[sequency(k, d)/8] = 1_000_000
		if got := bands(field); got != want {
			t.Errorf("row %d: got %v, want %v", k, got, want)
		}
	}
}

func TestBandsShareTheEnergy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		field := randomField(64).Draw(t, "field")
		sum := int64(0)
		for _, share := range bands(field) {
			sum += share
		}
		if sum > 1_000_000 || sum < 1_000_000-7 {
			t.Fatalf("the bands sum up to %d", sum)
		}
		energy := int64(0)
		for k := range field.Re {
			re, im := walsh(field.Re, k), walsh(field.Im, k)
			energy += re*re + im*im
		}
		if want := 64 * norm(field); energy != want {
			t.Fatalf("the spectrum's energy is %d, not %d", energy, want)
		}
	})
}

func TestCos(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := randomField(64).Draw(t, "a"), randomField(64).Draw(t, "b")
		if got := cos(a, a); got != 1_000_000 {
			t.Fatalf("cos(a, a) = %d", got)
		}
		got := cos(a, b)
		if got != cos(b, a) || got < 0 || got > 1_000_000 {
			t.Fatalf("cos(a, b) = %d, cos(b, a) = %d", got, cos(b, a))
		}
		if cos(a, nil) != 0 || cos(nil, b) != 0 {
			t.Fatal("an absent field is similar")
		}
	})
	zero := &contracts.Field{Re: make([]int32, 1024)}
	if cos(zero, encode("a")) != 0 {
		t.Error("a zero field is similar")
	}
}
