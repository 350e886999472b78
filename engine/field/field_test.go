package field_test

import (
	"math/big"
	"math/bits"
	"testing"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine/field"
	"pgregory.net/rapid"
)

func draw(t *rapid.T, label string) *contracts.Field {
	d := 64 << rapid.IntRange(0, 2).Draw(t, label+" dimension")
	part := func(name string) []float64 {
		return rapid.SliceOfN(rapid.Float64Range(-3, 3), d, d).Draw(t, label+name)
	}
	re, im := part(" re"), []float64(nil)
	if rapid.Bool().Draw(t, label+" complex") {
		im = part(" im")
	}
	re[0] = 3
	f, err := contracts.NewField(re, im)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestSpectrum holds the butterflies and the Gray code against the definition of the page.
func TestSpectrum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := draw(t, "f")
		d := len(f.Re)
		energy, total := make([]*big.Int, field.Bands), new(big.Int)
		for j := range energy {
			energy[j] = new(big.Int)
		}
		for k := range d {
			changes := 0
			sign := func(n int) int64 { return 1 - 2*int64(bits.OnesCount(uint(n&k))%2) }
			for n := 1; n < d; n++ {
				if sign(n) != sign(n-1) {
					changes++
				}
			}
			for _, part := range [][]int32{f.Re, f.Im} {
				x := int64(0)
				for n := range part {
					x += int64(part[n]) * sign(n)
				}
				e := new(big.Int).Mul(big.NewInt(x), big.NewInt(x))
				energy[changes*field.Bands/d].Add(energy[changes*field.Bands/d], e)
				total.Add(total, e)
			}
		}
		for j, got := range field.Spectrum(f) {
			want := new(big.Int).Div(new(big.Int).Mul(energy[j], big.NewInt(1_000_000)), total)
			if want.Int64() != got {
				t.Fatalf("band %d: got %d, want %d", j, got, want)
			}
		}
	})
}

func TestCos(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw(t, "a"), draw(t, "b")
		if got := field.Cos(a, a); got != field.Micro {
			t.Fatalf("cos(a, a) = %d", got)
		}
		if ab, ba := field.Cos(a, b), field.Cos(b, a); ab != ba || ab < 0 || ab > field.Micro {
			t.Fatalf("cos(a, b) = %d, cos(b, a) = %d", ab, ba)
		}
		if got := field.Cos(a, nil); got != 0 {
			t.Fatalf("cos(a, absent) = %d", got)
		}
	})
}

func TestEncode(t *testing.T) {
	if field.Encode(" -- \t.") != nil {
		t.Fatal("a text without a token gave a field")
	}
	sum := func(text string) (n int32) {
		for _, x := range field.Encode(text).Re {
			n += max(x, -x)
		}
		return n
	}
	for text, features := range map[string]int32{"one": 1, "One one": 2, "ONE two": 3, "größe-2": 3, "a b a b": 4} {
		if got := sum(text); got != features {
			t.Errorf("%q has %d features, want %d", text, got, features)
		}
	}
	if field.Cos(field.Encode("Hello, world"), field.Encode("hello world")) != field.Micro {
		t.Error("case or punctuation changed the encoding")
	}
}

func BenchmarkSpectrum(b *testing.B) {
	f := field.Encode("the quick brown fox jumps over the lazy dog")
	for b.Loop() {
		field.Spectrum(f)
	}
}

func BenchmarkCos(b *testing.B) {
	f, g := field.Encode("the quick brown fox"), field.Encode("jumps over the lazy dog")
	for b.Loop() {
		field.Cos(f, g)
	}
}
