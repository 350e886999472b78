package rego

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// scopes know where in the input and in the data the variables of rules lead, as far as that is the same wherever they are used: what is assigned from a reference or chosen out of one with `some` or `every`, and an
// argument to which every call gives the same reference. Each is followed once; while it is, it leads nowhere, so that what goes in a circle, which OPA refuses, ends.
type scopes struct {
	rules     map[*ast.Rule]*scope
	functions map[string][]call     // by the function's path
	documents map[string][]document // by the rule's path
	arguments map[string]map[int]ast.Ref
	values    map[string]ast.Ref // of documents
}

// scope is what the variables of one rule stand for.
type scope struct {
	bindings map[ast.Var][]binding
	known    map[ast.Var]ast.Ref
}

// binding is one declaration of a variable; the zero binding is one that leads nowhere known.
type binding struct {
	term     *ast.Term // what it is, or what it is an element of
	element  bool
	function string // whose argument it is
	argument int
}

type call struct {
	scope    *scope
	operands []*ast.Term
}

// document is what one definition of a rule gives; of a set, an element of it.
type document struct {
	scope *scope
	value *ast.Term
	set   bool
}

// maxSteps bounds a reference that is followed; the input is not as deep.
const maxSteps = 64

// anyElement is the step of a reference to each element of a list or map.
var anyElement = ast.VarTerm("_")

// newScopes reads the variables of some modules, whose references are resolved.
func newScopes(modules []*ast.Module) *scopes {
	s := &scopes{map[*ast.Rule]*scope{}, map[string][]call{}, map[string][]document{}, map[string]map[int]ast.Ref{}, map[string]ast.Ref{}}
	for _, m := range modules {
		for _, rule := range m.Rules {
			s.addRule(rule, rulePath(m, rule))
		}
	}
	for _, m := range modules {
		for _, rule := range m.Rules {
			eachCall(rule, func(operator ast.Ref, operands []*ast.Term) {
				name := operator.String()
				s.functions[name] = append(s.functions[name], call{s.rules[rule], operands})
			})
		}
	}
	return s
}

func (s *scopes) addRule(rule *ast.Rule, path string) {
	in := scopeOf(rule, path)
	s.rules[rule] = in
	switch {
	case len(rule.Head.Args) > 0:
	case rule.Head.RuleKind() == ast.MultiValue:
		s.documents[path] = append(s.documents[path], document{in, rule.Head.Key, true})
	default:
		for ; rule != nil; rule = rule.Else {
			s.documents[path] = append(s.documents[path], document{in, rule.Head.Value, false})
		}
	}
}

func rulePath(m *ast.Module, rule *ast.Rule) string {
	return m.Package.Path.Extend(rule.Head.Ref()).String()
}

// eachCall visits every call in a rule, as an expression or as a term.
func eachCall(rule *ast.Rule, visit func(operator ast.Ref, operands []*ast.Term)) {
	ast.WalkExprs(rule, func(expr *ast.Expr) bool {
		if expr.IsCall() {
			visit(expr.Operator(), expr.Operands())
		}
		return false
	})
	ast.WalkTerms(rule, func(term *ast.Term) bool {
		if call, ok := term.Value.(ast.Call); ok {
			if operator, ok := call[0].Value.(ast.Ref); ok {
				visit(operator, call[1:])
			}
		}
		return false
	})
}

func scopeOf(rule *ast.Rule, path string) *scope {
	s := &scope{map[ast.Var][]binding{}, map[ast.Var]ast.Ref{}}
	for i, argument := range rule.Head.Args {
		s.declare(argument, binding{function: path, argument: i})
	}
	ast.WalkExprs(rule, func(expr *ast.Expr) bool {
		switch terms := expr.Terms.(type) {
		case []*ast.Term:
			if len(terms) == 3 && expr.IsAssignment() {
				s.declare(terms[1], binding{term: terms[2]})
			}
		case *ast.SomeDecl:
			for _, symbol := range terms.Symbols {
				s.declareSome(symbol)
			}
		case *ast.Every:
			s.declare(terms.Key, binding{})
			s.declare(terms.Value, binding{term: terms.Domain, element: true})
		}
		return false
	})
	return s
}

// declareSome declares what `some x`, `some x in xs` and `some k, x in xs` do.
func (s *scope) declareSome(symbol *ast.Term) {
	member, ok := symbol.Value.(ast.Call)
	if !ok {
		s.declare(symbol, binding{})
		return
	}
	last := len(member) - 1
	for _, key := range member[1 : last-1] {
		s.declare(key, binding{})
	}
	s.declare(member[last-1], binding{term: member[last], element: true})
}

// declare notes a declaration. The variables of a pattern lead nowhere known.
func (s *scope) declare(term *ast.Term, b binding) {
	if term == nil {
		return
	}
	if name, ok := term.Value.(ast.Var); ok {
		s.bindings[name] = append(s.bindings[name], b)
		return
	}
	ast.WalkVars(term, func(name ast.Var) bool {
		s.bindings[name] = append(s.bindings[name], binding{})
		return false
	})
}

// follow is the reference to the input or to data that a term stands for, nil if that is not known.
func (s *scopes) follow(in *scope, term *ast.Term) ast.Ref {
	switch value := term.Value.(type) {
	case ast.Var:
		return s.followVar(in, value)
	case ast.Ref:
		if len(value) == 0 {
			return nil
		}
		head := value[:1]
		if name, ok := value[0].Value.(ast.Var); ok && !isRoot(value[0]) {
			head = s.followVar(in, name)
		} else if !ok {
			return nil
		}
		if head == nil || len(head)+len(value) > maxSteps {
			return nil
		}
		path := slices.Clone(head)
		for _, step := range value[1:] {
			if key(step) == nil {
				step = anyElement
			}
			path = append(path, step)
		}
		return s.followRule(path)
	case *ast.SetComprehension:
		return listOf(s.follow(in, value.Term))
	case *ast.ArrayComprehension:
		return listOf(s.follow(in, value.Term))
	}
	return nil
}

// listOf is the path of what a path leads to an element of, nil if it is of nothing.
func listOf(path ast.Ref) ast.Ref {
	if len(path) < 2 || !path[len(path)-1].Equal(anyElement) {
		return nil
	}
	return slices.Clone(path[:len(path)-1])
}

// agreed is the reference that all of some definitions lead to, nil if they don't.
func agreed(definitions int, follow func(i int) ast.Ref) ast.Ref {
	var path ast.Ref
	for i := range definitions {
		next := follow(i)
		if next == nil || i > 0 && !next.Equal(path) {
			return nil
		}
		path = next
	}
	return path
}

// followRule replaces the beginning of a path that is a rule by what every definition of the rule leads to.
func (s *scopes) followRule(path ast.Ref) ast.Ref {
	if !path[0].Equal(ast.DefaultRootDocument) {
		return path
	}
	for i := 2; i <= len(path); i++ {
		rule := path[:i].String()
		documents := s.documents[rule]
		if len(documents) == 0 {
			continue
		}
		value, ok := s.values[rule]
		if !ok {
			s.values[rule] = nil
			value = agreed(len(documents), func(i int) ast.Ref { return s.followDocument(documents[i]) })
			s.values[rule] = value
		}
		if value == nil || len(value)+len(path) > maxSteps {
			return nil
		}
		return slices.Concat(value, path[i:])
	}
	return path
}

func (s *scopes) followDocument(d document) ast.Ref {
	if d.value == nil {
		return nil
	}
	path := s.follow(d.scope, d.value)
	if d.set {
		return listOf(path)
	}
	return path
}

func isRoot(term *ast.Term) bool {
	return term.Equal(ast.InputRootDocument) || term.Equal(ast.DefaultRootDocument)
}

func (s *scopes) followVar(in *scope, name ast.Var) ast.Ref {
	path, ok := in.known[name]
	if !ok {
		in.known[name] = nil
		bindings := in.bindings[name]
		path = agreed(len(bindings), func(i int) ast.Ref { return s.followBinding(in, bindings[i]) })
		in.known[name] = path
	}
	return path
}

func (s *scopes) followBinding(in *scope, b binding) ast.Ref {
	if b.function != "" {
		return s.followArgument(b.function, b.argument)
	}
	if b.term == nil {
		return nil
	}
	path := s.follow(in, b.term)
	if path != nil && b.element {
		return elements(path)
	}
	return path
}

// followArgument is the reference that every call of a function gives to an argument.
func (s *scopes) followArgument(function string, argument int) ast.Ref {
	known := s.arguments[function]
	if known == nil {
		known = map[int]ast.Ref{}
		s.arguments[function] = known
	}
	path, ok := known[argument]
	if !ok {
		known[argument] = nil
		calls := s.functions[function]
		path = agreed(len(calls), func(i int) ast.Ref {
			if argument >= len(calls[i].operands) {
				return nil
			}
			return s.follow(calls[i].scope, calls[i].operands[argument])
		})
		known[argument] = path
	}
	return path
}

// elements is the path of what is in the list or map at a path.
func elements(path ast.Ref) ast.Ref { return append(slices.Clone(path), anyElement) }
