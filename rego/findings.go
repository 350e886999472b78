package rego

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/canonical"
)

// Findings are what the constraints of one family say of one candidate. Every constraint is in Violations or in Satisfied, once.
type Findings struct {
	Violations []contracts.Violation           // in order of id
	Satisfied  []contracts.SatisfiedConstraint // in order of id
	Warnings   []Warning                       // in order of id and reason
}

// Warning is what a `warn` rule says; it blocks nothing. A warning or a margin that can't be evaluated is one too, with the reason [contracts.ReasonError].
type Warning struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
}

// MaxReasonBytes bounds the reason of a violation; a longer one is cut, and ends in an ellipsis.
const MaxReasonBytes = 1024

// findings collects.
type findings struct {
	Findings
	margins map[string]int64
}

// finding is one element of a `violation` or `warn` rule.
type finding struct {
	message string
	value   int64
}

var (
	messageKey = ast.StringTerm("msg")
	valueKey   = ast.StringTerm("value")
)

// readFinding reads a text, which is worth 1, or {"msg", "value"}. Anything else is not ok.
func readFinding(element *ast.Term) (f finding, ok bool) {
	switch value := element.Value.(type) {
	case ast.String:
		return finding{string(value), 1}, true
	case ast.Object:
		message, isText := member(value, messageKey).(ast.String)
		n, isInteger := readInteger(member(value, valueKey))
		return finding{string(message), n}, isText && isInteger && value.Len() == 2
	}
	return finding{}, false
}

// member is the value of a key, nil without one.
func member(object ast.Object, key *ast.Term) ast.Value {
	if term := object.Get(key); term != nil {
		return term.Value
	}
	return nil
}

// readInteger reads an integer that a proof can hold.
func readInteger(value ast.Value) (int64, bool) {
	number, ok := value.(ast.Number)
	if !ok {
		return 0, false
	}
	n, ok := number.Int64()
	if !ok { // 3.0 is one too
		decimal, err := contracts.ParseDecimal(string(number))
		if err != nil {
			return 0, false
		}
		n, ok = decimal.Int()
	}
	return n, ok && -canonical.MaxInteger <= n && n <= canonical.MaxInteger
}

// readFindings reads whole sets; it is not ok if one is undefined or has an element of another type.
func readFindings(sets *ast.Array) (list []finding, ok bool) {
	for i := range sets.Len() {
		set, isSet := sets.Elem(i).Value.(ast.Set)
		if !isSet {
			return nil, false
		}
		for _, element := range set.Slice() {
			f, ok := readFinding(element)
			if !ok {
				return nil, false
			}
			list = append(list, f)
		}
	}
	slices.SortFunc(list, func(a, b finding) int {
		return cmp.Or(cmp.Compare(b.value, a.value), strings.Compare(a.message, b.message))
	})
	return list, true
}

// add notes what an item says.
func (f *findings) add(i *item, value *ast.Array) {
	if value == nil {
		f.fail(i)
		return
	}
	if i.role == roleMargin {
		if value.Len() == 0 {
			return
		}
		n, ok := readInteger(value.Elem(0).Value)
		if !ok {
			f.fail(i)
			return
		}
		if f.margins == nil {
			f.margins = map[string]int64{}
		}
		f.margins[i.id] = n
		return
	}
	list, ok := readFindings(value)
	if !ok {
		f.fail(i)
		return
	}
	if i.role == roleWarning {
		for _, w := range list {
			f.Warnings = append(f.Warnings, Warning{i.id, reason([]finding{w})})
		}
		return
	}
	// G is the largest value; at most 0 is satisfied.
	positive, _ := slices.BinarySearchFunc(list, int64(0), func(a finding, zero int64) int { return cmp.Compare(zero, a.value) })
	if positive == 0 {
		f.Satisfied = append(f.Satisfied, contracts.SatisfiedConstraint{ID: i.id})
		return
	}
	f.Violations = append(f.Violations, contracts.Violation{Kind: contracts.KindRego, ID: i.id, Value: list[0].value, Reason: reason(list[:positive])})
}

// fail notes an item that can't be evaluated: a constraint is violated, anything else is a warning.
func (f *findings) fail(i *item) {
	if i.role == roleConstraint {
		f.Violations = append(f.Violations, contracts.Violation{Kind: contracts.KindRego, ID: i.id, Value: 1, Reason: contracts.ReasonError})
		return
	}
	f.Warnings = append(f.Warnings, Warning{i.id, contracts.ReasonError})
}

// reason joins the different messages, the largest value first, and cuts what is too long between two characters.
func reason(list []finding) string {
	var text strings.Builder
	seen := make(map[string]bool, len(list))
	for _, f := range list {
		if seen[f.message] {
			continue
		}
		if len(seen) > 0 {
			text.WriteString("; ")
		}
		seen[f.message] = true
		text.WriteString(f.message)
		if text.Len() > MaxReasonBytes {
			break
		}
	}
	whole := strings.ToValidUTF8(text.String(), "\uFFFD")
	if len(whole) <= MaxReasonBytes {
		return whole
	}
	const ellipsis = "…"
	end := MaxReasonBytes - len(ellipsis)
	for !utf8.RuneStart(whole[end]) {
		end--
	}
	return whole[:end] + ellipsis
}

// sorted is the result, in its order.
func (f *findings) sorted() Findings {
	slices.SortFunc(f.Violations, func(a, b contracts.Violation) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(f.Satisfied, func(a, b contracts.SatisfiedConstraint) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(f.Warnings, func(a, b Warning) int {
		return cmp.Or(strings.Compare(a.ID, b.ID), strings.Compare(a.Reason, b.Reason))
	})
	f.Warnings = slices.Compact(f.Warnings)
	for i := range f.Satisfied {
		if n, ok := f.margins[f.Satisfied[i].ID]; ok {
			f.Satisfied[i].Margin = &n
		}
	}
	return f.Findings
}
