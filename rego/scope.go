package rego

import (
	"github.com/open-policy-agent/opa/v1/ast"
)

// scopes know where the variables of rules are declared, and what there is to follow: the calls of every function and the definitions of every rule.
type scopes struct {
	lexical   map[*ast.Term]*scope  // where a variable is looked up, by its occurrence
	functions map[string][]call     // by the function's path
	documents map[string][]document // by the rule's path; of a function, what it returns
	mocked    map[string]bool       // documents that a `with` replaces somewhere

	variables map[*binding]*meaning // what variables outside of a followed call stand for
	rules     map[string]*meaning   // what rules do
	lists     map[*ast.Term]*meaning
	gone      map[*ast.Term]bool // literals that a variable goes through
	work      int                // that is left for what is being followed
	followed  int                // all work
}

// scope is a body, an argument list or the condition of an `every`: what is declared in it is seen in it and in those inside it.
type scope struct {
	outer    *scope
	bindings map[ast.Var]*binding
}

// binding is the declaration of a variable; one without a term or a function leads nowhere known.
type binding struct {
	term     *ast.Term // what it is, or what it is a part of
	part     aspect
	function string // whose argument it is
	argument int
}

// aspect is what of a value something is.
type aspect uint8

const (
	whole    aspect = iota
	oneOf           // an element
	oneKey          // the key of an element
	everyKey        // the set of the keys
	nothing         // that is known
)

type call struct {
	operands []*ast.Term
}

// document is what one definition of a rule gives; of a set, an element of it.
type document struct {
	value *ast.Term
	set   bool
}

// newScopes reads the variables of some modules, whose references are resolved.
func newScopes(modules []*ast.Module) *scopes {
	s := &scopes{
		lexical: map[*ast.Term]*scope{}, functions: map[string][]call{}, documents: map[string][]document{}, mocked: map[string]bool{},
		variables: map[*binding]*meaning{}, rules: map[string]*meaning{}, lists: map[*ast.Term]*meaning{}, gone: map[*ast.Term]bool{},
	}
	for _, m := range modules {
		for _, rule := range m.Rules {
			s.addRule(rule, rulePath(m, rule))
		}
	}
	for _, m := range modules {
		for _, rule := range m.Rules {
			eachCall(rule, func(operator ast.Ref, operands []*ast.Term) {
				name := operator.String()
				s.functions[name] = append(s.functions[name], call{operands})
			})
		}
	}
	return s
}

func (s *scopes) addRule(rule *ast.Rule, path string) {
	multi := rule.Head.RuleKind() == ast.MultiValue
	for ; rule != nil; rule = rule.Else {
		arguments := newScope(nil)
		for i, argument := range rule.Head.Args {
			arguments.declare(argument, binding{function: path, argument: i})
			s.term(arguments, argument)
		}
		in := s.body(arguments, rule.Body)
		for _, step := range rule.Head.Reference {
			s.term(in, step)
		}
		for _, term := range []*ast.Term{rule.Head.Key, rule.Head.Value} {
			if term != nil {
				s.term(in, term)
			}
		}
		d := document{rule.Head.Value, false}
		if multi {
			d = document{rule.Head.Key, true}
		}
		s.documents[path] = append(s.documents[path], d)
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

func newScope(outer *scope) *scope { return &scope{outer, map[ast.Var]*binding{}} }

// declare notes a declaration. The variables of a pattern lead nowhere known.
func (in *scope) declare(term *ast.Term, b binding) {
	if term == nil {
		return
	}
	if name, ok := term.Value.(ast.Var); ok {
		in.bindings[name] = &b
		return
	}
	ast.WalkVars(term, func(name ast.Var) bool {
		in.bindings[name] = &binding{part: nothing}
		return false
	})
}

// lookup is the declaration of a variable, nil without one.
func (in *scope) lookup(name ast.Var) *binding {
	for ; in != nil; in = in.outer {
		if b := in.bindings[name]; b != nil {
			return b
		}
	}
	return nil
}

// body declares what a body does, and notes for each occurrence of a variable in it where that is looked up.
func (s *scopes) body(outer *scope, body ast.Body) *scope {
	in := newScope(outer)
	for _, expr := range body {
		switch terms := expr.Terms.(type) {
		case []*ast.Term:
			if len(terms) == 3 && expr.IsAssignment() {
				in.declare(terms[1], binding{term: terms[2]})
			}
		case *ast.SomeDecl:
			for _, symbol := range terms.Symbols {
				in.declareSome(symbol)
			}
		}
	}
	for _, expr := range body {
		s.expression(in, expr)
	}
	return in
}

// declareSome declares what `some x`, `some x in xs` and `some k, x in xs` do.
func (in *scope) declareSome(symbol *ast.Term) {
	member, ok := symbol.Value.(ast.Call)
	if !ok {
		in.declare(symbol, binding{part: nothing})
		return
	}
	last := len(member) - 1
	for _, key := range member[1 : last-1] {
		in.declare(key, binding{term: member[last], part: oneKey})
	}
	in.declare(member[last-1], binding{term: member[last], part: oneOf})
}

func (s *scopes) expression(in *scope, expr *ast.Expr) {
	switch terms := expr.Terms.(type) {
	case *ast.Term:
		s.term(in, terms)
	case []*ast.Term:
		for _, term := range terms {
			s.term(in, term)
		}
	case *ast.SomeDecl:
		for _, symbol := range terms.Symbols {
			s.term(in, symbol)
		}
	case *ast.Every:
		s.term(in, terms.Domain)
		below := newScope(in)
		below.declare(terms.Key, binding{term: terms.Domain, part: oneKey})
		below.declare(terms.Value, binding{term: terms.Domain, part: oneOf})
		s.body(below, terms.Body)
	case *ast.Not:
		s.body(in, terms.Body)
	case *ast.LogicalAnd:
		s.body(in, terms.Lhs)
		s.body(in, terms.Rhs)
	case *ast.LogicalOr:
		s.body(in, terms.Lhs)
		s.body(in, terms.Rhs)
	}
	for _, with := range expr.With {
		s.term(in, with.Target)
		s.term(in, with.Value)
		if ref, ok := with.Target.Value.(ast.Ref); ok {
			s.mocked[ref.String()] = true
		}
	}
}

func (s *scopes) term(in *scope, term *ast.Term) {
	each := func(term *ast.Term) { s.term(in, term) }
	switch value := term.Value.(type) {
	case ast.Var:
		s.lexical[term] = in
	case ast.Ref:
		for _, step := range value {
			each(step)
		}
	case ast.Call:
		for _, operand := range value {
			each(operand)
		}
	case *ast.Array:
		value.Foreach(each)
	case ast.Set:
		value.Foreach(each)
	case ast.Object:
		value.Foreach(func(key, value *ast.Term) { each(key); each(value) })
	case *ast.ArrayComprehension:
		s.term(s.body(in, value.Body), value.Term)
	case *ast.SetComprehension:
		s.term(s.body(in, value.Body), value.Term)
	case *ast.ObjectComprehension:
		inside := s.body(in, value.Body)
		s.term(inside, value.Key)
		s.term(inside, value.Value)
	case *ast.TemplateString:
		for _, part := range value.Parts {
			switch part := part.(type) {
			case *ast.Expr:
				s.expression(in, part)
			case *ast.Term:
				each(part)
			}
		}
	}
}
