package rego

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// matchers are the built-ins that hold a text to a pattern; one that none of the values of a field satisfies is never true.
var matchers = []string{"startswith", "endswith", "contains", "glob.match", "regex.match", "strings.any_prefix_match", "strings.any_suffix_match"}

// transforms are the built-ins that make one text of another.
var transforms = []string{"lower", "upper", "trim", "trim_left", "trim_right", "trim_prefix", "trim_suffix", "trim_space", "replace", "substring"}

// maxOutcomes bounds the values that are tried.
const maxOutcomes = 256

// match refuses patterns that no value of a field satisfies.
func (k *checker) match(operator ast.Ref, operands []*ast.Term) {
	name := operator.String()
	if !slices.Contains(matchers, name) {
		return
	}
	call := ast.CallTerm(append([]*ast.Term{ast.NewTerm(operator)}, operands...)...)
	k.work = maxWork
	outcomes, field := k.outcomes(value{term: call})
	if field == nil || slices.ContainsFunc(outcomes, ast.Boolean(true).Equal) {
		return
	}
	values, _ := k.vocabulary(field)
	for _, operand := range operands {
		if pattern := key(operand); pattern != nil {
			k.fault("unknown-value", operand.Location, fmt.Sprintf("%s of %v is never true with %q", name, field, *pattern), choice(*pattern, values))
			return
		}
	}
}

// neverReturns returns what reports that a call never returns a text, nil if it may.
func (k *checker) neverReturns(v value, term *ast.Term) (report func()) {
	call, ok := v.term.Value.(ast.Call)
	if !ok {
		return nil
	}
	name, text := call[0].String(), *key(term)
	if name == "lower" && text != strings.ToLower(text) || name == "upper" && text != strings.ToUpper(text) {
		return func() {
			k.fault("unknown-value", term.Location, fmt.Sprintf("%s never returns %q", name, text), "did you mean "+fmt.Sprintf("%q?", cased(name, text)))
		}
	}
	if !slices.Contains(transforms, name) {
		return nil
	}
	outcomes, field := k.outcomes(v)
	if field == nil || slices.ContainsFunc(outcomes, ast.String(text).Equal) {
		return nil
	}
	return func() {
		var values []string
		for _, outcome := range outcomes {
			values = append(values, strings.Trim(outcome.String(), `"`))
		}
		k.fault("unknown-value", term.Location, fmt.Sprintf("%s of %v is never %q", name, field, text), choice(text, values))
	}
}

func cased(name, text string) string {
	if name == "lower" {
		return strings.ToLower(text)
	}
	return strings.ToUpper(text)
}

// outcomes are all that a value can be, with a field that it is made of; no field if they are not all known, or come from no field.
func (k *checker) outcomes(v value) (outcomes []ast.Value, field ast.Ref) {
	if v.path != nil && v.part == whole {
		values, closed := k.vocabulary(v.path)
		if !closed {
			return nil, nil
		}
		for _, text := range values {
			outcomes = append(outcomes, ast.String(text))
		}
		return outcomes, v.path
	}
	if v.term == nil {
		return nil, nil
	}
	call, ok := v.term.Value.(ast.Call)
	if !ok {
		return []ast.Value{v.term.Value}, nil
	}
	name := call[0].String()
	if !slices.Contains(matchers, name) && !slices.Contains(transforms, name) {
		return nil, nil
	}
	rows := [][]*ast.Term{nil}
	for _, operand := range call[1:] {
		values, from := k.operand(operand, v.in)
		if field == nil {
			field = from
		}
		if rows = combined(rows, values); len(rows) == 0 {
			return nil, nil
		}
	}
	for _, row := range rows {
		outcomes = append(outcomes, computed(name, row)...)
	}
	return outcomes, field
}

// operand are all that an operand can be, none if that is not known.
func (k *checker) operand(term *ast.Term, in *frame) (values []ast.Value, field ast.Ref) {
	if term.IsGround() && isLiteral(term) {
		return []ast.Value{term.Value}, nil
	}
	m := k.meaning(term, in)
	if !m.complete {
		return nil, nil
	}
	for _, v := range m.values {
		outcomes, from := k.outcomes(v)
		if len(outcomes) == 0 {
			return nil, nil
		}
		values = append(values, outcomes...)
		if field == nil {
			field = from
		}
	}
	return values, field
}

// isLiteral reports whether a term is written out, without a reference or a call in it.
func isLiteral(term *ast.Term) bool {
	literal := true
	ast.WalkTerms(term, func(t *ast.Term) bool {
		switch t.Value.(type) {
		case ast.Null, ast.Boolean, ast.Number, ast.String, *ast.Array, ast.Set, ast.Object:
		default:
			literal = false
		}
		return !literal
	})
	return literal
}

// combined puts each value behind each row, none if that is too many.
func combined(rows [][]*ast.Term, values []ast.Value) (all [][]*ast.Term) {
	if len(rows)*len(values) > maxOutcomes {
		return nil
	}
	for _, row := range rows {
		for _, v := range values {
			all = append(all, append(slices.Clone(row), ast.NewTerm(v)))
		}
	}
	return all
}

// computed is what a built-in returns, nothing if it can't be called so.
func computed(name string, operands []*ast.Term) (result []ast.Value) {
	function := topdown.GetBuiltin(name)
	if function == nil {
		return nil
	}
	err := function(topdown.BuiltinContext{Context: context.Background()}, operands, func(term *ast.Term) error {
		result = append(result, term.Value)
		return nil
	})
	if err != nil {
		return nil
	}
	return result
}
