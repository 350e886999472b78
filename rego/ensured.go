package rego

import (
	"encoding/json"
	"slices"
	"strconv"

	"github.com/open-policy-agent/opa/v1/ast"
)

// form is one of the ways in which a value can satisfy a schema: all of these plain schemas hold.
type form []map[string]any

// expand finds every form of a schema: behind its references, with all of its allOf, and one branch of each anyOf and oneOf. It is not ok if there are too many.
func (s schema) expand(budget *int) (forms []form, ok bool) {
	if *budget--; *budget < 0 {
		return nil, false
	}
	if s.node == false {
		return nil, true
	}
	node, isMap := s.node.(map[string]any)
	if !isMap {
		return []form{nil}, true
	}
	forms = []form{{node}}
	every := func(branches ...schema) {
		for _, branch := range branches {
			var other []form
			if ok {
				other, ok = branch.expand(budget)
			}
			forms = crossed(forms, other, budget)
		}
	}
	ok = true
	if reference, is := node["$ref"].(string); is {
		every(s.resolve(reference))
	}
	all, _ := node["allOf"].([]any)
	for _, branch := range all {
		every(schema{s.root, branch})
	}
	for _, key := range []string{"anyOf", "oneOf"} {
		branches, is := node[key].([]any)
		if !is {
			continue
		}
		var either []form
		for _, branch := range branches {
			other, fine := schema{s.root, branch}.expand(budget)
			ok = ok && fine
			either = append(either, other...)
		}
		forms = crossed(forms, either, budget)
	}
	return forms, ok && *budget >= 0
}

// crossed are the forms in which one of each holds.
func crossed(a, b []form, budget *int) (both []form) {
	if *budget -= len(a) * len(b); *budget < 0 {
		return nil
	}
	for _, x := range a {
		for _, y := range b {
			both = append(both, slices.Concat(x, y))
		}
	}
	return both
}

// mayLack returns the literal steps of a reference, from one step on and before another, that something which satisfies the schema may not have, though it has those before; none if it always has all of them. Where there is too much to tell, it is the first alone that can't be told.
// Whether an element that is chosen by a variable is there is not asked: it is what a rule goes through. Nor are those elements asked for what none of their forms can have, where others have it.
func (s schema) mayLack(ref ast.Ref, from, until int) (lacking []int) {
	budget := maxAlternatives
	first, ok := s.expand(&budget)
	elements := [][]form{first}
	for i := 1; i < len(ref); i++ {
		sure := ok
		var below [][]form
		for _, forms := range elements {
			able := len(elements) == 1 || slices.ContainsFunc(forms, func(f form) bool { return f.allows(ref[i]) })
			sure = sure && (!able || !slices.ContainsFunc(forms, func(f form) bool { return !f.has(ref[i]) }))
			var same []form
			for _, f := range forms {
				next, fine := s.under(f, ref[i], &budget)
				if ok = ok && fine; ast.IsScalar(ref[i].Value) {
					same = append(same, slices.Concat(next...)...)
				} else {
					below = append(below, next...)
				}
			}
			if ast.IsScalar(ref[i].Value) && able {
				below = append(below, same)
			}
		}
		if !sure && from <= i && i < until && ast.IsScalar(ref[i].Value) {
			if lacking = append(lacking, i); !ok {
				break
			}
		}
		elements = below
	}
	return lacking
}

// allows reports whether what has this form can have something at a literal step.
func (f form) allows(step *ast.Term) bool {
	return !slices.ContainsFunc(f, func(node map[string]any) bool {
		closed := node["properties"] != nil && (node["additionalProperties"] == nil || node["additionalProperties"] == false)
		return closed && len(branchesAt(node, step)) == 0
	})
}

// has reports whether what has this form always has something at a literal step.
func (f form) has(step *ast.Term) bool {
	kind, has := "array", false
	index := 0
	if key(step) != nil {
		kind = "object"
	} else if number, ok := step.Value.(ast.Number); ok {
		if index, ok = number.Int(); !ok || index < 0 {
			return false
		}
	}
	typed, other := false, false
	for _, node := range f {
		names := typesIn(node["type"])
		typed = typed || slices.Equal(names, []string{kind})
		other = other || len(names) > 0
		if name := key(step); name != nil {
			required, _ := node["required"].([]any)
			has = has || slices.Contains(required, any(*name))
		} else if least, ok := wholeNumber(node["minItems"]); ok {
			has = has || least > index
		}
	}
	return has && (typed || !other)
}

// under are the forms of what is below one form: of what is at a literal step, or, for another step, of each element.
func (s schema) under(f form, step *ast.Term, budget *int) (elements [][]form, ok bool) {
	ok = true
	both := []form{nil}
	for _, node := range f {
		for _, branch := range branchesAt(node, step) {
			forms, fine := schema{s.root, branch}.expand(budget)
			ok = ok && fine
			if ast.IsScalar(step.Value) {
				both = crossed(both, forms, budget)
			} else {
				elements = append(elements, forms)
			}
		}
	}
	if len(elements) == 0 {
		elements = [][]form{both}
	}
	return elements, ok && *budget >= 0
}

// branchesAt are the schemas that a plain one gives to what is at a step: one of them holds.
func branchesAt(node map[string]any, step *ast.Term) (branches []any) {
	properties, _ := node["properties"].(map[string]any)
	prefix, _ := node["prefixItems"].([]any)
	name := key(step)
	number, isNumber := step.Value.(ast.Number)
	index, _ := number.Int()
	for _, other := range sortedKeys(properties) {
		if name != nil && *name == other {
			return []any{properties[other]}
		}
		if name == nil && !isNumber {
			branches = append(branches, properties[other])
		}
	}
	for i, item := range prefix {
		if isNumber && i == index {
			return []any{item}
		}
		if name == nil && !isNumber {
			branches = append(branches, item)
		}
	}
	if items, ok := node["items"].(map[string]any); ok && name == nil {
		branches = append(branches, items)
	}
	if additional, ok := node["additionalProperties"].(map[string]any); ok && !isNumber {
		branches = append(branches, additional)
	}
	return branches
}

// wholeNumber reads a number of a schema.
func wholeNumber(node any) (int, bool) {
	switch n := node.(type) {
	case json.Number:
		i, err := strconv.Atoi(n.String())
		return i, err == nil
	case float64:
		return int(n), true
	}
	return 0, false
}
