package rego

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/smarthausgroup/caio/contracts"
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
func (k *checker) compare(name string, operands []*ast.Term) {
	switch {
	case len(operands) != 2 && !strings.HasPrefix(name, "internal.member_"):
	case slices.Contains(comparisons, name):
		a, b := k.follow(operands[0]), k.follow(operands[1])
		for range 2 {
			k.literals(a, b)
			k.literals(k.each(a), k.each(b))
			a, b = b, a
		}
	case strings.HasPrefix(name, "internal.member_") && len(operands) >= 2:
		value, elements := k.follow(operands[len(operands)-2]), k.each(k.follow(operands[len(operands)-1]))
		k.literals(value, elements)
		k.literals(elements, value)
		if len(operands) == 3 {
			k.literals(k.keysOf(operands[2]), k.follow(operands[0]))
		}
	}
}

// noteLookups notes what literal objects are looked up by, on the way down from where something can lead.
func (k *checker) noteLookups(m *meaning, steps []*ast.Term) {
	for _, step := range steps {
		var by *meaning
		for _, v := range m.values {
			object, ok := literalObject(v)
			if !ok {
				continue
			}
			if by == nil {
				if by = k.follow(step); len(by.values) == 0 { // goes through every element
					by = unknown
				}
			}
			if k.lookups[object] == nil {
				k.lookups[object] = &meaning{complete: true}
			}
			k.lookups[object].add(by)
		}
		m = k.stepBy(m, step, nil)
	}
}

func literalObject(v value) (*ast.Term, bool) {
	if v.term == nil || v.in != nil {
		return nil, false
	}
	_, ok := v.term.Value.(ast.Object)
	return v.term, ok
}

// checkLookups holds the keys of literal objects to all that they are looked up by: one that none of these can be is never found.
func (k *checker) checkLookups() {
	for object, by := range k.lookups {
		if !k.gone[object] {
			k.literals(by, k.keysOf(object))
		}
	}
}

// literalArguments holds the literals in the place of a function's arguments to what each call gives.
func (k *checker) literalArguments(path string, rule *ast.Rule) {
	for i, argument := range rule.Head.Args {
		if key(argument) != nil {
			k.work = maxWork
			k.text(k.argument(&binding{function: path, argument: i}, nil), argument)
		}
	}
}

// literals holds every text among some values to what the others can be.
func (k *checker) literals(places, values *meaning) {
	if !places.complete || slices.ContainsFunc(places.values, k.anything) {
		return
	}
	if len(places.values) == 1 && places.values[0].path != nil {
		c := compared{places.values[0].path.String(), places.values[0].part, values}
		if k.compared[c] {
			return
		}
		k.compared[c] = true
	}
	for _, v := range values.values {
		if v.term != nil && key(v.term) != nil {
			k.text(places, v.term)
		}
	}
}

// compared is a list of values that was held to what is at a path.
type compared struct {
	path   string
	part   aspect
	values *meaning
}

// anything reports whether a value can be every text, as far as is known.
func (k *checker) anything(v value) bool {
	if v.path == nil || v.part != whole {
		return v.elements != nil
	}
	values, _ := k.vocabulary(v.path)
	return len(values) == 0
}

// text holds a text to what is at some places: it is a fault if it is at none of them, and one very like a label that everybody has, where that is all there is.
func (k *checker) text(places *meaning, term *ast.Term) {
	var never func()
	if !places.complete || len(places.values) == 0 {
		return
	}
	for _, v := range places.values {
		report := k.excludes(v, term, len(places.values) == 1)
		if report == nil {
			return
		}
		if v.term == nil || never == nil {
			never = report
		}
	}
	never()
}

// excludes returns what reports that a value is never a text, nil if it may be. Of labels, which are not closed, only a single field is held to them.
func (k *checker) excludes(v value, term *ast.Term, single bool) (report func()) {
	text := *key(term)
	switch {
	case v.term != nil && key(v.term) != nil:
		if *key(v.term) == text {
			return nil
		}
		return func() {}
	case v.term != nil:
		return k.neverReturns(v, term)
	case v.path == nil:
		return nil
	case v.part == oneKey:
		ref := append(slices.Clone(v.path), term)
		if k.exists(ref) && !v.path[0].Equal(ast.InputRootDocument) {
			return nil
		}
		if k.exists(ref) && !single {
			return nil
		}
		return func() { k.held(term.Location, ref, len(v.path), true) }
	case v.part != whole:
		return nil
	}
	values, closed := k.vocabulary(v.path)
	if !closed && (!single || !v.path[0].Equal(ast.InputRootDocument)) {
		return nil
	}
	if !closed {
		values = slices.Concat(values, addedLabels(k.data))
	}
	if len(values) == 0 || slices.Contains(values, text) {
		return nil
	}
	if closed {
		return func() {
			k.fault("unknown-value", term.Location, fmt.Sprintf("%v is never %q", v.path, text), choice(text, values))
		}
	}
	label := source.Nearest(strings.ToLower(text), values, 1)
	if label == "" {
		return nil
	}
	return func() {
		k.fault("unknown-value", term.Location, fmt.Sprintf("there is no label %q", text), fmt.Sprintf("did you mean %q?", label))
	}
}

// choice names the value that was probably meant, or all that there are.
func choice(text string, values []string) string {
	if near := strings.TrimPrefix(source.DidYouMean(strings.ToLower(text), values), ": "); near != "" {
		return near
	}
	return "There are: " + strings.Join(values, ", ")
}

// fieldValues are what a field can be.
type fieldValues struct {
	values []string
	closed bool
}

// vocabulary is what a field of the input or of data can be.
func (k *checker) vocabulary(path ast.Ref) (values []string, closed bool) {
	name := path.String()
	w, ok := k.vocabularies[name]
	if !ok {
		w.values, w.closed = k.readVocabulary(path)
		k.vocabularies[name] = w
	}
	return w.values, w.closed
}

func (k *checker) readVocabulary(path ast.Ref) (values []string, closed bool) {
	if path[0].Equal(ast.InputRootDocument) {
		return vocabulary(k.input, path)
	}
	for _, s := range k.schemas {
		if missing, _ := walk(s.schema, path, func(int, verdict) {}); missing == 0 {
			if values, closed := vocabulary(s.schema, path); closed {
				return values, true
			}
		}
	}
	return nil, false
}

// vocabulary is what a field can be, or, where it is not closed, what it is for everybody; nothing where that is not known.
func vocabulary(s schema, path ast.Ref) (values []string, closed bool) {
	closed = true
	for _, below := range descend(s, path) {
		for _, node := range below.alternatives() {
			names, isClosed := node["enum"].([]any)
			if node["format"] == labelFormat {
				names = texts(contracts.Labels())
			}
			closed = closed && isClosed
			for _, name := range names {
				if text, ok := name.(string); ok {
					values = append(values, text)
				} else {
					closed = false
				}
			}
		}
	}
	return values, closed && len(values) > 0
}
