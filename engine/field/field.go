// Package field is the arithmetic of fields: the encoding of a text, the similarity of two fields, and the bands of a field's spectrum (spec/calculus.md, section 3).
//
// Everything is exact in integers, but for the two square roots, the product, the quotient and the rounding of [Cos], which are single correctly rounded operations in the page's order.
// Quantisation is part of reading a field: [contracts.NewField].
package field

import (
	"math"
	"math/bits"

	"github.com/smarthausgroup/caio/contracts"
)

// Micro is one, in micro.
const Micro = 1_000_000

// Bands is how many bands a spectrum has.
const Bands = 8

// Cos is the similarity of a and b in micro, in [0, 1_000_000]: 0 where either is absent (nil), they differ in dimension, or point apart.
func Cos(a, b *contracts.Field) int64 {
	if a == nil || b == nil || len(a.Re) != len(b.Re) {
		return 0
	}
	dot := product(a.Re, b.Re) + product(a.Im, b.Im)
	if dot <= 0 {
		return 0
	}
	// Each operation is rounded by itself: the conversions forbid fusing.
	length := float64(math.Sqrt(float64(square(a))) * math.Sqrt(float64(square(b))))
	cos := float64(float64(dot) / length)
	return min(Micro, int64(math.RoundToEven(float64(cos*1e6))))
}

func square(f *contracts.Field) int64 { return product(f.Re, f.Re) + product(f.Im, f.Im) }

// product is the sum of products; a missing part is zero. It can't overflow: 2 * 4096 * 32767^2 < 2^43.
func product(a, b []int32) int64 {
	if len(a) == 0 || len(b) == 0 {
		return 0
	}
	b = b[:len(a)]
	sum := int64(0)
	for i := range a {
		sum += int64(a[i]) * int64(b[i])
	}
	return sum
}

// Spectrum returns the share of f's energy in each band, in micro: the Walsh-Hadamard transform, its rows grouped by sequency.
func Spectrum(f *contracts.Field) [Bands]int64 {
	var energy [Bands]uint64
	total := uint64(0)
	d := len(f.Re)
	for _, part := range [][]int32{f.Re, f.Im} {
		for k, x := range transform(part) {
			e := uint64(x * x)
			energy[sequency(k, d)*Bands/d] += e
			total += e
		}
	}
	var shares [Bands]int64
	for j, e := range energy {
		hi, lo := bits.Mul64(e, Micro)
		share, _ := bits.Div64(hi, lo, total)
		shares[j] = int64(share)
	}
	return shares
}

// transform is the Walsh-Hadamard transform in natural order, by butterflies.
func transform(part []int32) []int64 {
	x := make([]int64, len(part))
	for i, v := range part {
		x[i] = int64(v)
	}
	for half := 1; half < len(x); half *= 2 {
		for start := 0; start < len(x); start += 2 * half {
			for i := start; i < start+half; i++ {
				x[i], x[i+half] = x[i]+x[i+half], x[i]-x[i+half]
			}
		}
	}
	return x
}

// sequency is the number of sign changes along row k of the transform of dimension d: row k in natural order is the bit-reversed Gray code of its sequency.
func sequency(k, d int) int {
	gray := bits.Reverse64(uint64(k)) >> (64 - bits.Len(uint(d-1)))
	for shift := 1; shift < 64; shift *= 2 {
		gray ^= gray >> shift
	}
	return int(gray)
}
