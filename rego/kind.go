package rego

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/types"
)

// kinds is a set of the types that a value can have.
type kinds uint8

const (
	kindNull kinds = 1 << iota
	kindBoolean
	kindNumber
	kindString
	kindArray
	kindSet
	kindObject
	anyKind kinds = 1<<7 - 1
)

var kindNames = []string{"null", "a boolean", "a number", "a text", "a list", "a set", "an object"}

// String is "a number" or "a list or a set".
func (k kinds) String() string {
	var names []string
	for i, name := range kindNames {
		if k&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, " or ")
}

// orderings are the built-ins that compare without caring for types; OPA's type checker sees to the others, where it sees what they are given.
var orderings = []string{"lt", "lte", "gt", "gte", "eq", "equal", "neq"}

// checkKinds refuses comparisons between values that never have a type in common, and elements that a collection can't have.
func (k *checker) checkKinds(name string, operands []*ast.Term) {
	switch {
	case len(operands) == 2 && slices.Contains(orderings, name):
		a, b := k.kindsOf(k.follow(operands[0])), k.kindsOf(k.follow(operands[1]))
		if a&b != 0 {
			return
		}
		detail := "Values of different types are never equal, and the order between them does not depend on what they are."
		if (a|b)&kindNull != 0 {
			detail = "What is absent is not null, it is not there: write `not` in front of the field, or of is_number(…) and the like."
		}
		k.fault("type-mismatch", operands[1].Location, fmt.Sprintf("%v is %v and %v is %v", written(operands[0]), a, written(operands[1]), b), detail)
	case strings.HasPrefix(name, "internal.member_"):
		value, list := operands[len(operands)-2], operands[len(operands)-1]
		in := k.kindsOf(k.follow(list))
		if in&(kindArray|kindSet|kindObject) == 0 {
			k.fault("type-mismatch", list.Location, fmt.Sprintf("%v is %v, and nothing is in it", written(list), in), "`in` looks among the elements of a list, a set or an object; of a text, write contains(text, part).")
			return
		}
		elements := k.each(k.follow(list))
		if a, b := k.kindsOf(k.follow(value)), k.kindsOf(elements); a&b == 0 && (!elements.complete || len(elements.values) > 0) {
			k.fault("type-mismatch", value.Location, fmt.Sprintf("%v is %v and each element of %v is %v", written(value), a, written(list), b), "Values of different types are never equal.")
		}
	}
}

// written is a term as people write it, cut where it is long.
func written(term *ast.Term) string {
	const most = 80
	if text := term.String(); len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return term.String()
}

// kindsOf are the types that one of some values can have.
func (k *checker) kindsOf(m *meaning) (all kinds) {
	if !m.complete || len(m.values) == 0 {
		return anyKind
	}
	for _, v := range m.values {
		all |= k.kindsOfValue(v)
	}
	return all
}

func (k *checker) kindsOfValue(v value) kinds {
	switch {
	case v.elements != nil:
		return kindArray | kindSet
	case v.path != nil && v.part == everyKey:
		return kindSet
	case v.path != nil && v.part == whole:
		return k.kindsAt(v.path)
	case v.term == nil:
		return anyKind
	}
	switch t := v.term.Value.(type) {
	case ast.Null:
		return kindNull
	case ast.Boolean:
		return kindBoolean
	case ast.Number:
		return kindNumber
	case ast.String:
		return kindString
	case *ast.Array:
		return kindArray
	case ast.Set:
		return kindSet
	case ast.Object:
		return kindObject
	case ast.Call:
		if b := ast.BuiltinMap[t[0].String()]; b != nil {
			return returned(b.Decl.Result())
		}
	}
	return anyKind
}

// kindsAt are the types that the input or data can have at a path.
func (k *checker) kindsAt(path ast.Ref) kinds {
	if path[0].Equal(ast.InputRootDocument) {
		return kindsIn(k.input, path)
	}
	all := anyKind
	if k.inPackage(literalPath(path)) {
		return all
	}
	for _, s := range k.schemas {
		if missing, _ := walk(s.schema, path, func(int, verdict) {}); missing == 0 {
			if at := all & kindsIn(s.schema, path); at != 0 {
				all = at
			}
		}
	}
	return all
}

// kindsIn are the types that a schema gives to what is at a path.
func kindsIn(s schema, path ast.Ref) (all kinds) {
	open := false
	for _, below := range descend(s, path) {
		alternatives := below.alternatives()
		open = open || len(alternatives) == 0
		for _, node := range alternatives {
			all |= kindsNamed(node["type"])
		}
	}
	if open || all == 0 {
		return anyKind
	}
	return all
}

func kindsNamed(name any) kinds {
	switch name := name.(type) {
	case string:
		switch name {
		case "null":
			return kindNull
		case "boolean":
			return kindBoolean
		case "number", "integer":
			return kindNumber
		case "string":
			return kindString
		case "array":
			return kindArray
		case "object":
			return kindObject
		}
	case []any:
		var all kinds
		for _, one := range name {
			all |= kindsNamed(one)
		}
		return all
	}
	return anyKind
}

// returned are the types that a built-in's declaration allows.
func returned(t types.Type) (all kinds) {
	switch t := t.(type) {
	case types.Null:
		return kindNull
	case types.Boolean:
		return kindBoolean
	case types.Number:
		return kindNumber
	case types.String:
		return kindString
	case *types.Array:
		return kindArray
	case *types.Set:
		return kindSet
	case *types.Object:
		return kindObject
	case *types.NamedType:
		return returned(t.Type)
	case types.Any:
		for _, one := range t {
			all |= returned(one)
		}
	}
	if all == 0 {
		return anyKind
	}
	return all
}
