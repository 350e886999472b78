package replay

import (
	"hash/fnv"
	"math"
	"math/big"
	"math/bits"
	"strings"

	"github.com/smarthausgroup/caio/contracts"
)

// encodingDimension is D of the encoding of a text (spec/calculus.md, section 3, "Text encoding").
const encodingDimension = 1024

// encode is the encoding of a text: nil for one without a token.
func encode(text string) *contracts.Field {
	tokens := tokenize(text)
	if len(tokens) == 0 {
		return nil
	}
	features := map[string]bool{}
	for i, token := range tokens {
		features[token] = true
		if i > 0 {
			features[tokens[i-1]+" "+token] = true
		}
	}
	field := &contracts.Field{Re: make([]int32, encodingDimension)}
	for feature := range features {
		hash := fnv.New64a()
		hash.Write([]byte(feature))
		h := hash.Sum64()
		if h>>63 == 0 {
			field.Re[h%encodingDimension]++
		} else {
			field.Re[h%encodingDimension]--
		}
	}
	return field
}

// tokenize lower-cases A-Z, and nothing else, and splits at whatever is not an ASCII letter, an ASCII digit or beyond ASCII.
func tokenize(text string) []string {
	lower := strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r - 'A' + 'a'
		}
		return r
	}, text)
	return strings.FieldsFunc(lower, func(r rune) bool {
		return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r >= 0x80)
	})
}

// cos is the similarity of two fields, in micro; 0 where either is absent or zero (spec/calculus.md, section 3, "Similarity").
func cos(a, b *contracts.Field) int64 {
	if a == nil || b == nil || len(a.Re) != len(b.Re) {
		return 0
	}
	dot := product(a.Re, b.Re) + product(a.Im, b.Im)
	if dot <= 0 {
		return 0
	}
	// Each conversion ends one correctly rounded operation: the compiler may not fuse across it. The integers are far below 2^53.
	roots := float64(math.Sqrt(float64(norm(a))) * math.Sqrt(float64(norm(b))))
	quotient := float64(float64(dot) / roots)
	return min(int64(math.RoundToEven(float64(quotient*1e6))), 1_000_000)
}

// norm is |a|^2.
func norm(a *contracts.Field) int64 { return product(a.Re, a.Re) + product(a.Im, a.Im) }

// product is the sum of the products of components; the imaginary part of a real field is absent, which is zero.
func product(a, b []int32) int64 {
	sum := int64(0)
	for i := range min(len(a), len(b)) {
		sum += int64(a[i]) * int64(b[i])
	}
	return sum
}

// bands are the shares of a field's energy by sequency, in micro (spec/calculus.md, section 3, "Bands").
func bands(field *contracts.Field) [8]int64 {
	d := len(field.Re)
	var energies [8]big.Int
	var all big.Int
	for k := range d {
		re, im := big.NewInt(walsh(field.Re, k)), big.NewInt(walsh(field.Im, k))
		energy := new(big.Int).Add(re.Mul(re, re), im.Mul(im, im))
		j := sequency(k, d) * 8 / d
		energies[j].Add(&energies[j], energy)
		all.Add(&all, energy)
	}
	var shares [8]int64
	for j := range energies {
		share := new(big.Int).Mul(&energies[j], big.NewInt(1_000_000))
		shares[j] = share.Div(share, &all).Int64()
	}
	return shares
}

// walsh is component k of the Walsh-Hadamard transform, straight from its formula.
func walsh(x []int32, k int) int64 {
	sum := int64(0)
	for n := range x {
		sum += sign(n, k) * int64(x[n])
	}
	return sum
}

// sequency counts the sign changes along row k.
func sequency(k, d int) int {
	changes := 0
	for n := 1; n < d; n++ {
		if sign(n, k) != sign(n-1, k) {
			changes++
		}
	}
	return changes
}

// sign is (-1)^popcount(n AND k).
func sign(n, k int) int64 { return 1 - 2*int64(bits.OnesCount(uint(n&k))&1) }
