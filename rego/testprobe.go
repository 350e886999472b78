package rego

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/smarthausgroup/caio/contracts"
)

// probes are expressions that are put before those of tests that failed, to have the values of their parts.
type probes map[contracts.Position]*probe

type probe struct {
	name  ast.Var // what holds the values
	parts []part
	with  []*ast.With
}

// part is a term of a statement whose value is of interest.
type part struct {
	role     string
	term     *ast.Term
	text     string
	modifier bool // the value of a `with`, which is of interest where it is undefined: the statement is not evaluated then
}

func partOf(role string, term *ast.Term) part {
	text := term.String()
	if term.Location != nil && len(term.Location.Text) > 0 {
		text = oneLine(string(term.Location.Text))
	}
	return part{role: role, term: term, text: text}
}

// add has a statement probed, which may be nil. Variables that have no value before the statement gives them one can't be.
func (p probes) add(statement *ast.Expr, bound func(ast.Var) bool) {
	if statement == nil || p[at(statement.Location)] != nil {
		return
	}
	unbound := func(part part) bool {
		v, ok := part.term.Value.(ast.Var)
		return ok && !bound(v)
	}
	list := slices.DeleteFunc(parts(statement), unbound)
	if len(list) == 1 {
		list[0].role = ""
	}
	with := modifiers(statement)
	for _, modifier := range with {
		for _, value := range slices.DeleteFunc(told(modifier.Value), unbound) {
			value.modifier = true
			list = append(list, value)
		}
	}
	if len(list) > 0 {
		p[at(statement.Location)] = &probe{ast.Var(fmt.Sprintf("caio_probe_%d", len(p))), list, with}
	}
}

// insert puts the probes into copies of the files that they belong in.
func (p probes) insert(parsed map[string]*ast.Module) map[string]*ast.Module {
	files := map[string]bool{}
	for pos := range p {
		files[pos.File] = true
	}
	all := maps.Clone(parsed)
	for name, m := range parsed {
		if m.Package.Location == nil || !files[m.Package.Location.File] {
			continue
		}
		probed := m.Copy()
		for _, rule := range probed.Rules {
			for r := rule; r != nil; r = r.Else {
				r.Body = p.into(r.Body)
				if value := headValue(r); value != nil && p[at(value.Location)] != nil {
					r.Body = ast.NewBody(append(r.Body, p[at(value.Location)].expr())...)
				}
			}
		}
		all[name] = probed
	}
	return all
}

// into puts probes into a body, and into those of `every` in it.
func (p probes) into(body ast.Body) ast.Body {
	var exprs []*ast.Expr
	for _, e := range body {
		if every, ok := e.Terms.(*ast.Every); ok {
			every.Body = p.into(every.Body)
		}
		if probe := p[at(e.Location)]; probe != nil {
			exprs = append(exprs, probe.expr())
		}
		exprs = append(exprs, e)
	}
	return ast.NewBody(exprs...)
}

// expr is always true: an array with a set for each part, which holds the part's value, or nothing where it is undefined.
func (p *probe) expr() *ast.Expr {
	value := ast.VarTerm("caio_value")
	var found []*ast.Term
	for _, part := range p.parts {
		is := placedAt(ast.Equality.Expr(value, part.term.Copy()))
		if !part.modifier {
			for _, with := range p.with {
				is.With = append(is.With, with.Copy())
			}
		}
		// What stands for anything in the statement does so in the probe, and is not the same thing.
		_, _ = ast.TransformVars(is, func(v ast.Var) (ast.Value, error) {
			if v.IsWildcard() {
				return v + "_probe", nil
			}
			return v, nil
		})
		found = append(found, ast.SetComprehensionTerm(value, ast.NewBody(is)))
	}
	return placedAt(ast.Equality.Expr(ast.NewTerm(p.name), ast.ArrayTerm(found...)))
}

// placedAt gives an expression a place that is in no file, so that nobody takes it for a policy's.
func placedAt(e *ast.Expr) *ast.Expr { return e.SetLocation(ast.NewLocation(nil, "", 1, 1)) }

// read tells the values of a statement's parts, nil if there is no probe, or it has not been reached.
func (p probes) read(statement *ast.Expr, locals *ast.ValueMap) (values []Value) {
	probe := p[at(statement.Location)]
	if probe == nil {
		return nil
	}
	array, ok := locals.Get(probe.name).(*ast.Array)
	if !ok {
		return nil
	}
	for i, part := range probe.parts {
		set, ok := array.Elem(i).Value.(ast.Set)
		if !ok {
			return nil
		}
		value := undefined
		if set.Len() > 0 {
			var found []string
			for _, term := range set.Slice() {
				found = append(found, term.String())
			}
			value = bounded(strings.Join(found, ", "))
		}
		if !part.modifier || value == undefined {
			values = append(values, Value{part.role, part.text, value})
		}
	}
	return values
}

// parts are what is worth knowing of a statement that is not true: both sides of a comparison, the arguments of a call, what is not to hold. Constants tell nothing, unless they are what was expected.
func parts(e *ast.Expr) []part {
	switch terms := e.Terms.(type) {
	case *ast.Term:
		return told(terms)
	case *ast.Every:
		return told(terms.Domain)
	case *ast.SomeDecl:
		if call, ok := terms.Symbols[0].Value.(ast.Call); ok { // some x in xs
			return told(call[len(call)-1])
		}
	case *ast.Not:
		if len(terms.Body) == 1 {
			return unlabelled(parts(terms.Body[0]))
		}
	case []*ast.Term:
		list := callParts(e)
		if e.Negated {
			list = unlabelled(list)
		}
		return list
	}
	return nil
}

func callParts(e *ast.Expr) []part {
	operands := e.Operands()
	switch e.Operator().String() {
	case ast.Assign.Name:
		return told(operands[1])
	case ast.Equality.Name, ast.Equal.Name:
		for i, operand := range operands {
			if other := operands[1-i]; ast.IsConstant(operand.Value) && !ast.IsConstant(other.Value) {
				return []part{partOf(RoleExpected, operand), partOf(RoleActual, other)}
			}
		}
		return told(operands...)
	}
	list := told(operands...)
	if operator := e.Operator().String(); ast.BuiltinMap[operator] == nil {
		// A function of the policy: what it returned is worth knowing too.
		call := ast.CallTerm(slices.Clone(e.Terms.([]*ast.Term))...)
		list = append(list, part{term: call, text: operator + "(…)"})
	}
	return list
}

// told are terms without a role, but for constants.
func told(terms ...*ast.Term) (list []part) {
	for _, term := range terms {
		if !ast.IsConstant(term.Value) {
			list = append(list, partOf("", term))
		}
	}
	return list
}

func unlabelled(list []part) []part {
	for i := range list {
		list[i].role = ""
	}
	return list
}

// modifiers are the `with` of a statement, and of what it negates.
func modifiers(e *ast.Expr) []*ast.With {
	list := e.With
	if negation, ok := e.Terms.(*ast.Not); ok && len(negation.Body) == 1 {
		list = slices.Concat(list, negation.Body[0].With)
	}
	return list
}

// valueOf is the value of a rule's head as it is written, as a statement of its own.
func valueOf(rule *ast.Rule, source *ast.Module) *ast.Expr {
	if source == nil {
		return nil
	}
	for _, parsed := range source.Rules {
		for r := parsed; r != nil; r = r.Else {
			if at(r.Loc()) == at(rule.Loc()) {
				return headValue(r)
			}
		}
	}
	return nil
}

// headValue is the value of a rule, nil if it is left out.
func headValue(rule *ast.Rule) *ast.Expr {
	value := rule.Head.Value
	if value == nil || value.Location == nil {
		return nil
	}
	if call, ok := value.Value.(ast.Call); ok {
		return ast.NewExpr([]*ast.Term(call)).SetLocation(value.Location)
	}
	return ast.NewExpr(value).SetLocation(value.Location)
}

// statementAt is the innermost expression of a rule's body, or of that of an `every` in it, around a place; nil if there is none.
func statementAt(m *ast.Module, place *ast.Location) *ast.Expr {
	if m == nil {
		return nil
	}
	var found *ast.Expr
	var search func(body ast.Body)
	search = func(body ast.Body) {
		for _, e := range body {
			if e.Location == nil || !encloses(e.Location, place) {
				continue
			}
			found = e
			if every, ok := e.Terms.(*ast.Every); ok {
				search(every.Body)
			}
		}
	}
	for _, rule := range m.Rules {
		for r := rule; r != nil; r = r.Else {
			search(r.Body)
		}
	}
	return found
}

// encloses reports whether a place begins inside a text.
func encloses(text, place *ast.Location) bool {
	return text.File == place.File && text.Offset <= place.Offset && place.Offset < text.Offset+max(1, len(text.Text))
}
