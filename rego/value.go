package rego

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// meaning is what a term can stand for: one of some values, and, unless it is complete, something else.
type meaning struct {
	values   []value
	complete bool
}

// value is one of the things that a term can stand for: what is at a path of the input or of data, a literal, what a built-in returns, or a collection of which the elements are known.
type value struct {
	path     ast.Ref
	part     aspect    // of what is at the path: all of it, one of its keys, or the set of them
	term     *ast.Term // the literal or the call, read in a frame
	in       *frame
	elements *meaning
	given    *ast.Location // where a call gives it to the argument of a function
}

// frame is a call that is followed into its function, whose arguments are what this call gives.
type frame struct {
	function string
	operands []*ast.Term
	outer    *frame
	depth    int
}

// Bounds of the work of following one term. Beyond them it leads nowhere known.
const (
	maxSteps  = 64 // of a path; the input is not as deep
	maxFrames = 8
	maxWork   = 20000
	maxValues = 4096
	maxNames  = 64
)

// unknown is what can be anything.
var unknown = &meaning{}

// anyElement is the step of a reference to each element of a list or map.
var anyElement = ast.VarTerm("_")

func one(v value) *meaning { return &meaning{values: []value{v}, complete: true} }

// add makes a meaning one of either.
func (m *meaning) add(other *meaning) {
	m.complete = m.complete && other.complete && len(m.values)+len(other.values) <= maxValues
	for _, v := range other.values {
		if len(m.values) < maxValues && (v.path == nil || !slices.ContainsFunc(m.values, v.same)) {
			m.values = append(m.values, v)
		}
	}
}

func (v value) same(other value) bool {
	return v.part == other.part && v.path.Equal(other.path)
}

// follow is what a term stands for. It asks the calls of functions for their arguments.
func (s *scopes) follow(term *ast.Term) *meaning {
	s.work = maxWork
	return s.meaning(term, nil)
}

// each are the parts of a meaning's values.
func (s *scopes) each(m *meaning) *meaning {
	s.work = maxWork
	return s.stepAll(m, anyElement)
}

// spend takes a step of the work, and reports whether there was one left.
func (s *scopes) spend() bool {
	s.work--
	s.followed++
	return s.work >= 0 && s.followed <= maxFollowed
}

func (s *scopes) meaning(term *ast.Term, in *frame) *meaning {
	if !s.spend() {
		return unknown
	}
	switch t := term.Value.(type) {
	case ast.Null, ast.Boolean, ast.Number, ast.String, *ast.Array, ast.Set, ast.Object:
		return one(value{term: term, in: in})
	case ast.Var:
		if isRoot(term) {
			return one(value{path: ast.Ref{term}})
		}
		return s.variable(s.lexical[term].lookup(t), in)
	case ast.Ref:
		return s.path(t, in)
	case ast.Call:
		return s.result(term, t, in)
	case *ast.SetComprehension:
		return one(value{elements: s.meaning(t.Term, in)})
	case *ast.ArrayComprehension:
		return one(value{elements: s.meaning(t.Term, in)})
	}
	return unknown
}

func isRoot(term *ast.Term) bool {
	return term.Equal(ast.InputRootDocument) || term.Equal(ast.DefaultRootDocument)
}

// variable is what a declaration makes of a variable. Outside of a followed call each is followed once; while it is, it leads nowhere, so that what goes in a circle, which OPA refuses, ends.
func (s *scopes) variable(b *binding, in *frame) *meaning {
	if b == nil {
		return unknown
	}
	if in != nil {
		return s.bound(b, in)
	}
	m := s.variables[b]
	if m == nil {
		s.variables[b] = unknown
		m = s.bound(b, nil)
		s.variables[b] = m
	}
	return m
}

func (s *scopes) bound(b *binding, in *frame) *meaning {
	if b.function != "" {
		return s.argument(b, in)
	}
	if b.term == nil {
		return unknown
	}
	m := s.meaning(b.term, in)
	for _, v := range m.values {
		if v.term != nil && (b.part == oneOf || b.part == oneKey) {
			s.gone[v.term] = true
		}
	}
	switch b.part {
	case oneOf:
		return s.stepAll(m, anyElement)
	case oneKey:
		return s.keys(m, oneKey)
	}
	return m
}

// argument is what a function gets: of the call that is followed, or of every call.
func (s *scopes) argument(b *binding, in *frame) *meaning {
	if in != nil {
		if in.function != b.function || b.argument >= len(in.operands) {
			return unknown
		}
		return s.meaning(in.operands[b.argument], in.outer)
	}
	calls := s.functions[b.function]
	m := &meaning{complete: len(calls) > 0 && !s.mocked[b.function]}
	for _, c := range calls {
		if b.argument >= len(c.operands) {
			return unknown
		}
		operand := c.operands[b.argument]
		given := *s.meaning(operand, nil)
		given.values = slices.Clone(given.values)
		for i := range given.values {
			if given.values[i].given == nil {
				given.values[i].given = operand.Location
			}
		}
		m.add(&given)
	}
	return m
}

// path is what a reference leads to.
func (s *scopes) path(ref ast.Ref, in *frame) *meaning {
	if len(ref) == 0 || len(ref) > maxSteps {
		return unknown
	}
	m := s.meaning(ref[0], in)
	for _, step := range ref[1:] {
		m = s.stepBy(m, step, in)
	}
	return m
}

// stepBy is one step down by a term: by the names that it can be, or, where they are not known, to each element.
func (s *scopes) stepBy(m *meaning, step *ast.Term, in *frame) *meaning {
	names := s.names(step, in)
	if len(names) == 0 {
		return s.stepAll(m, anyElement)
	}
	all := &meaning{complete: true}
	for _, name := range names {
		all.add(s.stepAll(m, name))
	}
	return all
}

// names are the literal names that a step of a reference can be; none where they are not all known.
func (s *scopes) names(step *ast.Term, in *frame) []*ast.Term {
	if key(step) != nil {
		return []*ast.Term{step}
	}
	if name, ok := step.Value.(ast.Var); ok && s.lexical[step].lookup(name) == nil {
		return nil
	}
	m := s.meaning(step, in)
	if !m.complete || len(m.values) > maxNames {
		return nil
	}
	var names []*ast.Term
	for _, v := range m.values {
		if v.term == nil || key(v.term) == nil {
			return nil
		}
		names = append(names, v.term)
	}
	return names
}

func (s *scopes) stepAll(m *meaning, step *ast.Term) *meaning {
	if len(m.values) == 1 && m.complete {
		return s.below(m.values[0], step)
	}
	all := &meaning{complete: m.complete}
	for _, v := range m.values {
		all.add(s.below(v, step))
	}
	return all
}

// below is one step down from a value; [anyElement] is to each of what is below.
func (s *scopes) below(v value, step *ast.Term) *meaning {
	if !s.spend() {
		return unknown
	}
	switch {
	case v.elements != nil:
		return v.elements
	case v.path != nil && v.part == everyKey:
		return one(value{path: v.path, part: oneKey, given: v.given})
	case v.path != nil && v.part == whole && len(v.path) < maxSteps:
		return s.rule(value{path: append(slices.Clone(v.path), step), given: v.given})
	case v.term == nil:
		return unknown
	}
	switch literal := v.term.Value.(type) {
	case *ast.Array:
		return s.listed(v, literal.Foreach)
	case ast.Set:
		return s.listed(v, literal.Foreach)
	}
	all := &meaning{complete: true}
	switch literal := v.term.Value.(type) {
	case ast.Object:
		literal.Foreach(func(k, element *ast.Term) {
			if name := key(k); name == nil || key(step) == nil || *name == *key(step) {
				all.add(s.meaning(element, v.in))
			}
		})
	default:
		return unknown
	}
	return all
}

// listed are the elements of a literal list or set, which are read once where no call is followed.
func (s *scopes) listed(v value, each func(func(*ast.Term))) *meaning {
	if m := s.lists[v.term]; v.in == nil && m != nil {
		return m
	}
	all := &meaning{complete: true}
	each(func(element *ast.Term) { all.add(s.meaning(element, v.in)) })
	if v.in == nil {
		s.lists[v.term] = all
	}
	return all
}

// keys are the keys of what values are: each, or the set of them.
func (s *scopes) keys(m *meaning, p aspect) *meaning {
	all := &meaning{complete: m.complete}
	for _, v := range m.values {
		switch {
		case v.path != nil && v.part == whole:
			all.add(one(value{path: v.path, part: p, given: v.given}))
		case v.term != nil:
			all.add(s.literalKeys(v, p))
		default:
			all.complete = false
		}
	}
	return all
}

func (s *scopes) literalKeys(v value, p aspect) *meaning {
	object, ok := v.term.Value.(ast.Object)
	if !ok {
		return unknown
	}
	names := &meaning{complete: true}
	object.Foreach(func(key, _ *ast.Term) { names.add(s.meaning(key, v.in)) })
	if p == oneKey {
		return names
	}
	return one(value{elements: names})
}

// rule is what every definition of the rule at a path gives, or the path itself, where there is no rule.
func (s *scopes) rule(v value) *meaning {
	if !v.path[0].Equal(ast.DefaultRootDocument) || len(v.path) < 3 {
		return one(v)
	}
	name := v.path.String()
	documents := s.documents[name]
	if len(documents) == 0 {
		return one(v)
	}
	if s.mocked[name] {
		return unknown
	}
	m := s.rules[name]
	if m == nil {
		s.rules[name] = unknown
		m = s.union(documents, nil)
		s.rules[name] = m
	}
	return m
}

func (s *scopes) union(documents []document, in *frame) *meaning {
	all := &meaning{complete: true}
	elements := &meaning{complete: true}
	sets := false
	for _, d := range documents {
		switch {
		case d.value == nil:
			all.complete = false
		case d.set:
			sets = true
			elements.add(s.meaning(d.value, in))
		default:
			all.add(s.meaning(d.value, in))
		}
	}
	if sets {
		all.add(one(value{elements: elements}))
	}
	return all
}

// result is what a call returns: of a function that is known, what its definitions do with these arguments.
func (s *scopes) result(term *ast.Term, call ast.Call, in *frame) *meaning {
	operator, ok := call[0].Value.(ast.Ref)
	if !ok {
		return unknown
	}
	name, operands := operator.String(), call[1:]
	if documents := s.documents[name]; len(documents) > 0 {
		depth := 1
		if in != nil {
			depth = in.depth + 1
		}
		if s.mocked[name] || depth > maxFrames {
			return unknown
		}
		return s.union(documents, &frame{name, operands, in, depth})
	}
	switch {
	case name == "data.caio.testing.given", name == "data.caio.testing.candidate":
		return one(value{path: ast.Ref{ast.InputRootDocument}})
	case name == "object.keys" && len(operands) == 1:
		return s.keys(s.meaning(operands[0], in), everyKey)
	case name == "object.get" && len(operands) == 3:
		m := s.meaning(operands[0], in)
		for _, step := range stepsOf(operands[1]) {
			m = s.stepBy(m, step, in)
		}
		found := &meaning{complete: m.complete}
		found.add(m)
		found.add(s.meaning(operands[2], in))
		return found
	case strings.HasPrefix(name, "data."):
		return unknown
	}
	return one(value{term: term, in: in})
}

// stepsOf are the steps of a path as object.get takes it: a list of them, or one.
func stepsOf(path *ast.Term) (steps []*ast.Term) {
	list, ok := path.Value.(*ast.Array)
	if !ok {
		return []*ast.Term{path}
	}
	list.Foreach(func(step *ast.Term) { steps = append(steps, step) })
	return steps
}

// keysOf are the keys of what a term can be.
func (s *scopes) keysOf(term *ast.Term) *meaning { return s.keys(s.follow(term), oneKey) }
