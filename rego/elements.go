package rego

import (
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

const elementForm = `Write a text, or {"msg": text, "value": n} with n a whole number above 0 that says by how much.`

// checkElement refuses what a constraint or a warning contains, where that is written out and is no finding: it would deny everything, or, with a value that is not above 0, nothing ever.
func (k *checker) checkElement(rule *ast.Rule) {
	switch r, _, _ := classify(rule); r {
	case roleConstraint, roleConftest, roleWarning:
	default:
		return
	}
	if rule.Head.Key == nil {
		return
	}
	for _, v := range k.follow(rule.Head.Key).values {
		if v.term == nil {
			continue
		}
		object, isObject := v.term.Value.(ast.Object)
		switch is := k.kindsOfValue(v); {
		case isObject:
			k.checkFinding(v, object)
		case is&kindString == 0:
			k.fault("violation-value", v.term.Location, fmt.Sprintf("%v is %v, and no message", written(v.term), is), elementForm)
		}
	}
}

// checkFinding holds an object to {"msg", "value"}.
func (k *checker) checkFinding(v value, object ast.Object) {
	whole := true
	object.Foreach(func(name, term *ast.Term) {
		what := key(name)
		switch {
		case what == nil:
			whole = false
		case *what == "msg":
			if is := k.kindsOf(k.meaning(term, v.in)); is&kindString == 0 {
				k.fault("violation-value", term.Location, fmt.Sprintf("%v is %v, and no message", written(term), is), elementForm)
			}
		case *what == "value":
			k.checkValue(v, term)
		default:
			k.fault("violation-value", name.Location, fmt.Sprintf("a violation has no %q", *what), elementForm)
		}
	})
	var missing []string
	for _, name := range []*ast.Term{messageKey, valueKey} {
		if object.Get(name) == nil {
			missing = append(missing, *key(name))
		}
	}
	if whole && len(missing) > 0 {
		k.fault("violation-value", v.term.Location, "the violation is without "+strings.Join(missing, " and "), elementForm)
	}
}

// checkValue holds the value of a violation, where it is written out, to what it can be.
func (k *checker) checkValue(v value, term *ast.Term) {
	m := k.meaning(term, v.in)
	if is := k.kindsOf(m); is&kindNumber == 0 {
		k.fault("violation-value", term.Location, fmt.Sprintf("%v is %v, and no value of a violation", written(term), is), elementForm)
		return
	}
	if len(m.values) != 1 || !m.complete || m.values[0].term == nil {
		return
	}
	if number, ok := m.values[0].term.Value.(ast.Number); ok {
		if n, ok := readInteger(number); !ok || n < 1 {
			k.fault("violation-value", term.Location, fmt.Sprintf("%v is no value of a violation", number), elementForm)
		}
	}
}
