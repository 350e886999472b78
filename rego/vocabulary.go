package rego

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/smarthausgroup/caio/contracts/source"
)

// guarantees are the names that have a meaning (spec/contract.md). A contract may have others.
var guarantees = []string{
	"latency", "availability", "accuracy", "throughput", "determinism",
	"energy_conservation", "resonance_quality", "interference", "conductivity", "capacity_margin", "aead_exact_recall", "pde_stability",
}

// guaranteeReference refuses a name of a guarantee that is very like one with a meaning: nobody promises it, and a rule about it would be undefined.
func (k *checker) guaranteeReference(location *ast.Location, ref ast.Ref, from int) {
	for _, root := range []string{"input.service.guarantees", "input.request.requirements.guarantees"} {
		steps := strings.Count(root, ".") + 1
		if steps < from || len(ref) <= steps || ref[:steps].String() != root {
			continue
		}
		name := key(ref[steps])
		if name == nil || slices.Contains(guarantees, *name) {
			continue
		}
		if near := source.Nearest(*name, guarantees, 2); near != "" {
			k.fault("unknown-guarantee", stepLocation(location, ref[steps]), fmt.Sprintf("there is no guarantee %q", *name), fmt.Sprintf("did you mean %q?", near))
		}
	}
}

// comparisons are the operators that hold their operands, or the elements of these, to each other.
var comparisons = []string{"eq", "equal", "neq", "and", "minus"}

// compare holds the literals that a field is compared with, or looked for in, to what the field can be.
func (k *checker) compare(in *scope, operator ast.Ref, operands []*ast.Term) {
	name := operator.String()
	switch {
	case slices.Contains(comparisons, name) && len(operands) == 2:
		for i := range operands {
			if path := k.follow(in, operands[i]); path != nil {
				k.literal(path, operands[1-i])
				k.literals(elements(path), k.constant(in, operands[1-i])...)
			}
		}
	case strings.HasPrefix(name, "internal.member_") && len(operands) >= 2:
		value, list := operands[len(operands)-2], operands[len(operands)-1]
		if path := k.follow(in, list); path != nil {
			k.literal(elements(path), value)
		}
		if path := k.follow(in, value); path != nil {
			k.literals(path, k.constant(in, list)...)
		}
	}
}

// literalArguments holds the literals in the place of a function's arguments to what each call gives.
func (k *checker) literalArguments(m *ast.Module, rule *ast.Rule) {
	for i, argument := range rule.Head.Args {
		if path := k.followArgument(rulePath(m, rule), i); path != nil {
			k.literal(path, argument)
		}
	}
}

// constant are the terms that a list, a set or a variable for one is written out in; of a rule, each of its values.
func (k *checker) constant(in *scope, term *ast.Term) []*ast.Term {
	switch value := term.Value.(type) {
	case ast.Var:
		var terms []*ast.Term
		for _, b := range in.bindings[value] {
			if b.term != nil && !b.element {
				terms = append(terms, b.term)
			}
		}
		return terms
	case ast.Ref:
		return k.constants[value.String()]
	}
	return []*ast.Term{term}
}

// readConstants notes the lists and sets that rules are written out in, and the single elements that they contain.
func (k *checker) readConstants(modules []*ast.Module) {
	k.constants = map[string][]*ast.Term{}
	for _, m := range modules {
		for _, rule := range m.Rules {
			path := rulePath(m, rule)
			switch {
			case len(rule.Head.Args) > 0:
			case rule.Head.RuleKind() == ast.MultiValue:
				k.constants[path] = append(k.constants[path], ast.ArrayTerm(rule.Head.Key))
			case rule.Head.Value != nil:
				k.constants[path] = append(k.constants[path], rule.Head.Value)
			}
		}
	}
}

// literals holds every literal in lists and sets to what is at a path.
func (k *checker) literals(path ast.Ref, lists ...*ast.Term) {
	for _, list := range lists {
		switch list := list.Value.(type) {
		case *ast.Array:
			list.Foreach(func(term *ast.Term) { k.literal(path, term) })
		case ast.Set:
			list.Foreach(func(term *ast.Term) { k.literal(path, term) })
		}
	}
}

// literal holds a text, if a term is one, to what is at a path.
func (k *checker) literal(path ast.Ref, term *ast.Term) {
	text := key(term)
	if text == nil || !path[0].Equal(ast.InputRootDocument) {
		return
	}
	values, closed := vocabulary(k.input, path)
	if !closed {
		values = slices.Concat(values, k.extraLabels())
	}
	if len(values) == 0 || slices.Contains(values, *text) {
		return
	}
	near := strings.TrimPrefix(source.DidYouMean(strings.ToLower(*text), values), ": ")
	if closed {
		if near == "" {
			near = "There are: " + strings.Join(values, ", ")
		}
		k.fault("unknown-value", term.Location, fmt.Sprintf("%v is never %q", path, *text), near)
		return
	}
	if label := source.Nearest(strings.ToLower(*text), values, 1); label != "" {
		k.fault("unknown-value", term.Location, fmt.Sprintf("there is no label %q", *text), fmt.Sprintf("did you mean %q?", label))
	}
}

// vocabulary is what a field can be, or, where it is not closed, what it is for everybody; nothing where that is not known.
func vocabulary(s schema, path ast.Ref) (values []string, closed bool) {
	for _, below := range descend(s, path) {
		for _, node := range below.alternatives() {
			names, isClosed := node["enum"].([]any)
			if !isClosed {
				names, _ = node["examples"].([]any)
			}
			closed = isClosed
			for _, name := range names {
				if text, ok := name.(string); ok {
					values = append(values, text)
				}
			}
		}
	}
	return values, closed
}

// extraLabels are those that the settings add to the vocabulary of labels.
func (k *checker) extraLabels() []string {
	var at any = k.data
	for _, step := range []string{"caio", "settings", "core", "labels"} {
		object, _ := at.(map[string]any)
		at = object[step]
	}
	list, _ := at.([]any)
	var labels []string
	for _, label := range list {
		if text, ok := label.(string); ok {
			labels = append(labels, text)
		}
	}
	return labels
}
