package contracts

import (
	"errors"
	"fmt"
	"math"
)

// Field is a quantised vector in C^D: integers in [-32767, 32767], the largest magnitude being 32767 (spec/calculus.md, section 3). Im is nil when it is real.
// A field of a text encoding is the one exception: it is not quantised.
type Field struct {
	Re []int32 `json:"re"`
	Im []int32 `json:"im,omitempty"`
}

// Dimensions of a field: a power of two in [MinDimension, MaxDimension].
const (
	MinDimension = 64
	MaxDimension = 4096
)

// NewField quantises: each component divided by the largest magnitude, times 32767, rounded to even. im is nil for a real field.
func NewField(re, im []float64) (*Field, error) {
	d := len(re)
	if d < MinDimension || d > MaxDimension || d&(d-1) != 0 {
		return nil, fmt.Errorf("a field has a power of two of components, %d to %d, not %d", MinDimension, MaxDimension, d)
	}
	if im != nil && len(im) != d {
		return nil, fmt.Errorf("re has %d components and im %d", d, len(im))
	}
	largest := 0.0
	for _, part := range [][]float64{re, im} {
		for _, x := range part {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				return nil, errors.New("a component is not a finite number")
			}
			largest = max(largest, math.Abs(x))
		}
	}
	if largest == 0 {
		return nil, errors.New("every component is 0")
	}
	return &Field{Re: quantise(re, largest), Im: quantise(im, largest)}, nil
}

func quantise(part []float64, largest float64) []int32 {
	if part == nil {
		return nil
	}
	quantised := make([]int32, len(part))
	for i, x := range part {
		// The conversion keeps the compiler from fusing the two operations.
		quotient := float64(x / largest)
		quantised[i] = int32(math.RoundToEven(float64(quotient * 32767)))
	}
	return quantised
}
