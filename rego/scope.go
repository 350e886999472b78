package rego

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// scopes know where in the input and in the data the variables of rules lead, as far as that is the same wherever they are used: what is assigned from a reference or chosen out of one with `some` or `every`, and an
// argument to which every call gives the same reference.
type scopes struct {
	rules     map[*ast.Rule]scope
	functions map[string][]call          // by the function's path
	arguments map[string]map[int]ast.Ref // found already; nil where there is none
}

// scope is what the variables of one rule stand for.
type scope map[ast.Var]binding

// binding is a variable's only declaration; the zero binding is one that leads nowhere known.
type binding struct {
	term     *ast.Term // what it is, or what it is an element of
	element  bool
	function string // whose argument it is
	argument int
}

type call struct {
	scope    scope
	operands []*ast.Term
}

// maxBindings bounds how many variables a reference is followed through.
const maxBindings = 32

// anyElement is the step of a reference to each element of a list or map.
var anyElement = ast.VarTerm("_")

// newScopes reads the variables of some modules, whose references are resolved.
func newScopes(modules []*ast.Module) *scopes {
	s := &scopes{map[*ast.Rule]scope{}, map[string][]call{}, map[string]map[int]ast.Ref{}}
	for _, m := range modules {
		for _, rule := range m.Rules {
			s.rules[rule] = scopeOf(rule, rulePath(m, rule))
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

func scopeOf(rule *ast.Rule, path string) scope {
	s := scope{}
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
func (s scope) declareSome(symbol *ast.Term) {
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

// declare notes a declaration. A variable that is declared twice, each time in a scope of its own, leads nowhere known, and so do those of a pattern.
func (s scope) declare(term *ast.Term, b binding) {
	if term == nil {
		return
	}
	name, ok := term.Value.(ast.Var)
	if !ok {
		ast.WalkVars(term, func(name ast.Var) bool {
			s[name] = binding{}
			return false
		})
		return
	}
	if _, twice := s[name]; twice {
		b = binding{}
	}
	s[name] = b
}

// follow is the reference to the input or to data that a term stands for, nil if that is not known.
func (s *scopes) follow(in scope, term *ast.Term, bindings int) ast.Ref {
	switch value := term.Value.(type) {
	case ast.Var:
		return s.followVar(in, value, bindings)
	case ast.Ref:
		if len(value) == 0 {
			return nil
		}
		head := value[:1]
		if name, ok := value[0].Value.(ast.Var); ok && !isRoot(value[0]) {
			head = s.followVar(in, name, bindings)
		} else if !ok {
			return nil
		}
		if head == nil {
			return nil
		}
		path := slices.Clone(head)
		for _, step := range value[1:] {
			if key(step) == nil {
				step = anyElement
			}
			path = append(path, step)
		}
		return path
	}
	return nil
}

func isRoot(term *ast.Term) bool {
	return term.Equal(ast.InputRootDocument) || term.Equal(ast.DefaultRootDocument)
}

func (s *scopes) followVar(in scope, name ast.Var, bindings int) ast.Ref {
	b, ok := in[name]
	if !ok || bindings == 0 {
		return nil
	}
	if b.function != "" {
		return s.followArgument(b.function, b.argument)
	}
	if b.term == nil {
		return nil
	}
	path := s.follow(in, b.term, bindings-1)
	if path != nil && b.element {
		path = append(path, anyElement)
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
	if path, ok := known[argument]; ok {
		return path
	}
	known[argument] = nil // for calls that go in a circle, which OPA refuses
	var path ast.Ref
	for i, call := range s.functions[function] {
		if argument >= len(call.operands) {
			return nil
		}
		given := s.follow(call.scope, call.operands[argument], maxBindings)
		if given == nil || i > 0 && !given.Equal(path) {
			return nil
		}
		path = given
	}
	known[argument] = path
	return path
}
