package rego

import (
	"fmt"
	"math/big"
	"net/netip"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// OPA has no limit of memory: 27 lines that each double a string make a gigabyte, faster than a time-out ends them. So the built-ins that make new values are replaced by the same ones with a measure: one query has them make at most maxMade bytes, and what goes above is an error of the built-in, as any other is.
// The count depends on nothing but the query and its input, so a replay finds the same.
const (
	maxMade = 64 << 20 // bytes of strings and members that one query may have made
	// maxDigits bounds a number: exact products grow as strings do.
	maxDigits = 10_000
	// memberBytes is what a member of an array, a set or an object takes, besides what it holds.
	memberBytes = 64
)

// made is how much a query has had made, under its own key among what built-ins keep for a query.
type made struct{ bytes int }

type madeKey struct{}

// estimate is an upper bound of the bytes that a call makes; what is above most need not be told apart.
type estimate func(operands []*ast.Term, most int) int

// makers are the built-ins that make new values, with a bound for those whose result may be larger than their operands.
var makers = map[string]estimate{
	"concat": func(operands []*ast.Term, most int) int {
		return add(writtenLength(operands[1], most), times(textLength(operands[0]), members(operands[1])))
	},
	"sprintf": allWritten, "internal.template_string": allWritten, "json.marshal": allWritten, "json.marshal_with_options": allWritten, "yaml.marshal": allWritten,
	"strings.render_template": allWritten, "urlquery.encode_object": allWritten,
	"replace": func(operands []*ast.Term, _ int) int {
		return add(textLength(operands[0]), times(occurrences(operands[0], operands[1]), textLength(operands[2])))
	},
	"strings.replace_n": func(operands []*ast.Term, _ int) int {
		n := textLength(operands[1])
		if patterns, ok := operands[0].Value.(ast.Object); ok {
			patterns.Foreach(func(old, by *ast.Term) { n = add(n, times(occurrences(operands[1], old), textLength(by))) })
		}
		return n
	},
	"regex.replace": func(operands []*ast.Term, _ int) int {
		text, by := textLength(operands[0]), textLength(operands[2])
		return add(text, add(times(text+1, by), times(text, occurrences(operands[2], ast.StringTerm("$")))))
	},
	"split": func(operands []*ast.Term, _ int) int {
		return times(add(occurrences(operands[0], operands[1]), 1), memberBytes)
	},
	"numbers.range": ranged, "numbers.range_step": ranged,
	"net.cidr_expand": func(operands []*ast.Term, _ int) int {
		text, _ := operands[0].Value.(ast.String)
		prefix, err := netip.ParsePrefix(string(text))
		if err != nil {
			return 0 // the built-in says what is wrong
		}
		return times(1<<min(prefix.Addr().BitLen()-prefix.Bits(), 30), memberBytes)
	},
	"bits.lsh": func(operands []*ast.Term, most int) int {
		by, ok := operands[1].Value.(ast.Number)
		if n, small := by.Int(); ok && (!small || n > maxDigits) {
			return most + 1
		}
		return 0
	},
	"mul": func(operands []*ast.Term, most int) int {
		if digits(operands[0])+digits(operands[1]) > maxDigits {
			return most + 1
		}
		return 0
	},
	"array.concat": func(operands []*ast.Term, _ int) int {
		return times(add(members(operands[0]), members(operands[1])), memberBytes)
	},
	"array.slice": nil, "array.reverse": nil, "array.flatten": nil, "union": nil, "intersection": nil, "or": nil, "and": nil, "minus": nil, "plus": nil, "sort": nil,
	"object.union": nil, "object.union_n": nil, "object.filter": nil, "object.remove": nil, "object.keys": nil, "json.filter": nil, "json.remove": nil, "json.patch": nil,
	"base64.encode": nil, "base64.decode": nil, "base64url.encode": nil, "base64url.encode_no_pad": nil, "base64url.decode": nil, "hex.encode": nil, "hex.decode": nil, "urlquery.encode": nil, "urlquery.decode": nil,
	"upper": nil, "lower": nil, "substring": nil, "strings.reverse": nil, "trim": nil, "trim_left": nil, "trim_right": nil, "trim_prefix": nil, "trim_suffix": nil, "trim_space": nil, "format_int": nil,
	"regex.find_n": nil, "regex.find_all_string_submatch_n": nil, "regex.split": nil,
}

func init() {
	for name, bound := range makers {
		if make := topdown.GetBuiltin(name); make != nil {
			topdown.RegisterBuiltinFunc(name, measured(make, bound))
			ast.BuiltinMap[name].CanSkipBctx = false // what is kept for a query is in there
		}
	}
}

// measured is a built-in that refuses to make more than its query may have made.
func measured(make topdown.BuiltinFunc, bound estimate) topdown.BuiltinFunc {
	return func(bctx topdown.BuiltinContext, operands []*ast.Term, iter func(*ast.Term) error) error {
		known, _ := bctx.Cache.Get(madeKey{})
		so, ok := known.(*made)
		if !ok {
			so = &made{}
			if bctx.Cache != nil {
				bctx.Cache.Put(madeKey{}, so)
			}
		}
		if bound != nil && bound(operands, maxMade) > maxMade-so.bytes {
			return errMade
		}
		return make(bctx, operands, func(result *ast.Term) error {
			so.bytes = add(so.bytes, size(result))
			if so.bytes > maxMade || digits(result) > maxDigits {
				return errMade
			}
			return iter(result)
		})
	}
}

var errMade = fmt.Errorf("too large: the built-ins of one query make at most %d MiB, and numbers of at most %d digits", maxMade>>20, maxDigits)

// size is what a new value takes, without what its members hold: that was there before.
func size(term *ast.Term) int {
	switch v := term.Value.(type) {
	case ast.String:
		return len(v)
	case ast.Number:
		return len(v)
	}
	return members(term) * memberBytes
}

func members(term *ast.Term) int {
	if v, ok := term.Value.(interface{ Len() int }); ok {
		return v.Len()
	}
	return 0
}

func textLength(term *ast.Term) int {
	text, _ := term.Value.(ast.String)
	return len(text)
}

func digits(term *ast.Term) int {
	n, _ := term.Value.(ast.Number)
	return len(n)
}

func occurrences(text, of *ast.Term) int {
	in, _ := text.Value.(ast.String)
	what, _ := of.Value.(ast.String)
	return strings.Count(string(in), string(what))
}

// allWritten is how long the operands are when they are written out.
func allWritten(operands []*ast.Term, most int) int {
	n := 0
	for _, term := range operands {
		n = add(n, writtenLength(term, most-n))
	}
	return n
}

// writtenLength is how long a value is when it is written out. A value that stands in two places is written twice; the walk ends once it is above most.
func writtenLength(term *ast.Term, most int) int {
	n := 8
	switch v := term.Value.(type) {
	case ast.String:
		n += len(v)
	case ast.Number:
		n += len(v)
	case *ast.Array:
		v.Until(func(t *ast.Term) bool { n += writtenLength(t, most-n); return n > most })
	case ast.Set:
		v.Until(func(t *ast.Term) bool { n += writtenLength(t, most-n); return n > most })
	case ast.Object:
		v.Until(func(key, value *ast.Term) bool {
			n += writtenLength(key, most-n)
			n += writtenLength(value, most-n)
			return n > most
		})
	}
	return n
}

// ranged is what the numbers from one to another take.
func ranged(operands []*ast.Term, most int) int {
	var ends [2]*big.Int
	for i := range ends {
		n, _ := operands[i].Value.(ast.Number)
		var ok bool
		if ends[i], ok = new(big.Int).SetString(string(n), 10); !ok {
			if strings.ContainsAny(string(n), "eE") {
				return most + 1 // more digits than it is written with
			}
			return 0
		}
	}
	count := new(big.Int).Sub(ends[1], ends[0])
	count.Abs(count)
	if len(operands) > 2 {
		if step, ok := operands[2].Value.(ast.Number); ok {
			if n, ok := step.Int64(); ok && n > 0 {
				count.Div(count, big.NewInt(n))
			}
		}
	}
	if !count.IsInt64() || count.Int64() > int64(most) {
		return most + 1
	}
	return times(int(count.Int64())+1, memberBytes)
}

// add and times stay where they are once they are above everything that is allowed.
func add(a, b int) int { return min(a+b, 1<<40) }

func times(a, b int) int {
	if a != 0 && b > (1<<40)/a {
		return 1 << 40
	}
	return a * b
}
