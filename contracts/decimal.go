package contracts

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/smarthausgroup/caio/contracts/source"
)

// Micro is how many units of a [Decimal] make one.
const Micro = 1_000_000

// MaxDecimal bounds the magnitude of every decimal that no page bounds more tightly (spec/calculus.md, section 1).
const MaxDecimal = Decimal(1_000_000_000_000 * Micro)

// Decimal is an exact decimal number with at most six places after the point, in millionths: 1.5 is Decimal(1_500_000).
type Decimal int64

// ParseDecimal reads a JSON number exactly: its value times 1e6 must be an integer and its magnitude at most 1e12; an exponent has at most three digits (spec/calculus.md, section 1).
func ParseDecimal(text string) (Decimal, error) {
	if !source.IsNumber(text) {
		return 0, fmt.Errorf("%s is not a number", clip(text))
	}
	mantissa, exponent := text, 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		if len(strings.TrimLeft(text[i+1:], "+-")) > 3 {
			return 0, fmt.Errorf("%s: the exponent of a decimal has one to three digits", clip(text))
		}
		mantissa = text[:i]
		exponent, _ = strconv.Atoi(text[i+1:]) // at most three digits
	}
	unsigned, negative := strings.CutPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(unsigned, ".")
	// The number is 0.<all> * 10^scale.
	all := strings.TrimLeft(whole+fraction, "0")
	scale := exponent + len(whole) - (len(whole+fraction) - len(all))
	all = strings.TrimRight(all, "0")
	if all == "" {
		return 0, nil
	}
	if len(all)-scale > 6 {
		return 0, fmt.Errorf("%s has more than six places after the point", clip(text))
	}
	if scale > 13 {
		return 0, fmt.Errorf("%s is larger than 1e12", clip(text))
	}
	micro, err := strconv.ParseInt(all+strings.Repeat("0", scale+6-len(all)), 10, 64)
	if err != nil || Decimal(micro) > MaxDecimal {
		return 0, fmt.Errorf("%s is larger than 1e12", clip(text))
	}
	if negative {
		micro = -micro
	}
	return Decimal(micro), nil
}

func clip(text string) string {
	if len(text) > 40 {
		return text[:40] + "…"
	}
	return text
}

// String is the shortest decimal text: "1.5", "-0.02", "3".
func (d Decimal) String() string {
	sign, micro := "", uint64(d)
	if d < 0 {
		sign, micro = "-", uint64(-d)
	}
	whole := sign + strconv.FormatUint(micro/Micro, 10)
	if micro%Micro == 0 {
		return whole
	}
	return whole + "." + strings.TrimRight(fmt.Sprintf("%06d", micro%Micro), "0")
}

// Int returns d as an integer, if it is one.
func (d Decimal) Int() (int64, bool) { return int64(d) / Micro, int64(d)%Micro == 0 }

// MarshalJSON writes a JSON number.
func (d Decimal) MarshalJSON() ([]byte, error) { return []byte(d.String()), nil }

// MarshalCanonical writes an integer, or {"decimal":"1.5"} (spec/proof.md, "The document").
func (d Decimal) MarshalCanonical() any {
	if whole, ok := d.Int(); ok {
		return whole
	}
	return map[string]any{"decimal": d.String()}
}

// UnmarshalJSON reads a JSON number or {"decimal":"1.5"}.
func (d *Decimal) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte("{")) {
		var object map[string]string
		if err := json.Unmarshal(text, &object); err != nil || len(object) != 1 || object["decimal"] == "" {
			return fmt.Errorf(`a decimal is a number or {"decimal": "1.5"}`)
		}
		text = []byte(object["decimal"])
	}
	parsed, err := ParseDecimal(string(text))
	*d = parsed
	return err
}
