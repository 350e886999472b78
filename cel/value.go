package cel

import (
	"fmt"
	"maps"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/smarthausgroup/caio/contracts"
)

// How a decimal stands in CEL, so that every comparison of two of them is exact:
//
//	1, -3, 1000000000000     a whole number is an int (a double where a double is declared)
//	0.5, 8589934591.000001   others below 2^33 in magnitude are the nearest double
//	8589934592.000001        the rest, which doubles can't tell apart, are a [largeDecimal]
//
// Below 2^33 neighbouring doubles are less than a millionth apart, and rounding keeps order: two decimals of six places never share a double.
const exactDoubles = contracts.Decimal(1<<33) * contracts.Micro

// decimal is d where the checker knows no type.
func decimal(d contracts.Decimal) ref.Val {
	if whole, ok := d.Int(); ok {
		return types.Int(whole)
	}
	return fraction(d)
}

// number is a decimal where the checker knows a double.
func number(v any) ref.Val {
	d := v.(contracts.Decimal)
	if whole, ok := d.Int(); ok {
		return types.Double(whole)
	}
	return fraction(d)
}

func fraction(d contracts.Decimal) ref.Val {
	if d < exactDoubles && d > -exactDoubles {
		return types.Double(float64(d) / contracts.Micro) // both are exact in a float64, so the quotient is the nearest
	}
	return largeDecimal(d)
}

// value converts what [contracts.Value] and the views hold.
func value(v any) ref.Val {
	switch v := v.(type) {
	case bool:
		return types.Bool(v)
	case int64:
		return types.Int(v)
	case contracts.Decimal:
		return decimal(v)
	case string:
		return types.String(v)
	case []any:
		elements := make([]ref.Val, len(v))
		for i, e := range v {
			elements[i] = value(e)
		}
		return newList(elements)
	case map[string]any:
		entries := make(map[string]ref.Val, len(v))
		for key, e := range v {
			entries[key] = value(e)
		}
		return newMap(entries)
	}
	return types.NewErr("a %T is no value", v)
}

// largeDecimal is a decimal that is not whole and beyond [exactDoubles]. It can be compared, and nothing else.
type largeDecimal contracts.Decimal

var largeDecimalType = types.NewOpaqueType("decimal")

func (d largeDecimal) ConvertToNative(t reflect.Type) (any, error) {
	if reflect.TypeOf(d).AssignableTo(t) {
		return d, nil
	}
	return nil, fmt.Errorf("a decimal can't be converted to %v", t)
}

func (d largeDecimal) ConvertToType(t ref.Type) ref.Val {
	if t == types.TypeType {
		return largeDecimalType
	}
	return types.NewErr("a decimal can't be converted to %s", t.TypeName())
}

func (d largeDecimal) Equal(other ref.Val) ref.Val { return types.Bool(other == ref.Val(d)) }
func (d largeDecimal) Type() ref.Type              { return largeDecimalType }
func (d largeDecimal) Value() any                  { return contracts.Decimal(d) }

// Compare orders d and any number.
func (d largeDecimal) Compare(other ref.Val) ref.Val {
	exact := big.NewRat(int64(d), contracts.Micro)
	switch other := other.(type) {
	case largeDecimal:
		return types.Int(exact.Cmp(big.NewRat(int64(other), contracts.Micro)))
	case types.Int:
		return types.Int(exact.Cmp(new(big.Rat).SetInt64(int64(other))))
	case types.Uint:
		return types.Int(exact.Cmp(new(big.Rat).SetUint64(uint64(other))))
	case types.Double:
		switch f := float64(other); {
		case math.IsNaN(f):
			return types.NewErr("NaN values cannot be ordered")
		case math.IsInf(f, 0):
			return types.Int(-math.Copysign(1, f))
		default:
			return types.Int(exact.Cmp(new(big.Rat).SetFloat64(f)))
		}
	}
	return types.MaybeNoSuchOverloadErr(other)
}

// compare is the order behind <, <=, > and >=.
func compare(a, b ref.Val) ref.Val {
	if large, ok := b.(largeDecimal); ok {
		if _, ok := a.(largeDecimal); !ok {
			order := large.Compare(a)
			if n, ok := order.(types.Int); ok {
				return -n
			}
			return order
		}
	}
	if c, ok := a.(traits.Comparer); ok {
		return c.Compare(b)
	}
	return types.MaybeNoSuchOverloadErr(a)
}

// list is a list of the input. Looking for a text in a long one takes no longer than in a short one.
type list struct {
	traits.Lister
	texts map[types.String]struct{} // nil when short, or when not all elements are texts
}

// longList is from where on looking a text up beats comparing it with each.
const longList = 9

func newList(elements []ref.Val) ref.Val {
	l := types.NewRefValList(types.DefaultTypeAdapter, elements)
	if len(elements) < longList {
		return l
	}
	texts := make(map[types.String]struct{}, len(elements))
	for _, e := range elements {
		text, ok := e.(types.String)
		if !ok {
			return l
		}
		texts[text] = struct{}{}
	}
	return &list{l, texts}
}

func (l *list) Contains(v ref.Val) ref.Val {
	text, ok := v.(types.String)
	if !ok {
		return l.Lister.Contains(v)
	}
	_, found := l.texts[text]
	return types.Bool(found)
}

// orderedMap is a map of the input. Unlike CEL's own it is iterated over in the order of its keys, so that what an expression costs does not differ from run to run.
type orderedMap struct {
	traits.Mapper
	keys []ref.Val // sorted
}

func newMap(entries map[string]ref.Val) ref.Val {
	m := &orderedMap{keys: make([]ref.Val, 0, len(entries))}
	native := make(map[ref.Val]ref.Val, len(entries))
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		m.keys = append(m.keys, types.String(key))
		native[types.String(key)] = entries[key]
	}
	m.Mapper = types.NewRefValMap(types.DefaultTypeAdapter, native)
	return m
}

func (m *orderedMap) Iterator() traits.Iterator {
	return types.NewRefValList(types.DefaultTypeAdapter, m.keys).Iterator()
}

// set holds the elements of a literal list of a contract, for looking up in constant time.
type set struct {
	traits.Lister
	keys map[string]struct{}
}

func newSet(l traits.Lister) *set {
	s := &set{l, map[string]struct{}{}}
	for i := l.Iterator(); i.HasNext() == types.True; {
		s.keys[string(appendKey(nil, i.Next()))] = struct{}{}
	}
	return s
}

func (s *set) has(v ref.Val) bool {
	var buffer [64]byte
	_, ok := s.keys[string(appendKey(buffer[:0], v))]
	return ok
}

// appendKey writes a value so that two values have the same key exactly if they are equal, type and value.
func appendKey(dst []byte, v ref.Val) []byte {
	switch v := v.(type) {
	case types.Bool:
		return strconv.AppendBool(dst, bool(v))
	case types.Int:
		return strconv.AppendInt(append(dst, '#'), int64(v), 10)
	case types.Double:
		return append(append(dst, '#'), contracts.Decimal(math.Round(float64(v)*contracts.Micro)).String()...)
	case largeDecimal:
		return append(append(dst, '#'), contracts.Decimal(v).String()...)
	case types.String:
		return append(append(strconv.AppendInt(dst, int64(len(v)), 10), '"'), v...)
	case traits.Lister:
		dst = append(dst, '[')
		for i := v.Iterator(); i.HasNext() == types.True; {
			dst = append(appendKey(dst, i.Next()), ',')
		}
		return append(dst, ']')
	case traits.Mapper:
		var entries []string
		for i := v.Iterator(); i.HasNext() == types.True; {
			key := i.Next()
			entries = append(entries, string(appendKey(appendKey(nil, key), v.Get(key))))
		}
		slices.Sort(entries)
		return append(append(append(dst, '{'), strings.Join(entries, ",")...), '}')
	}
	return append(dst, '?')
}
