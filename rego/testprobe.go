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
type probes struct {
	targets map[contracts.Position]*ast.Expr // statements by where they are
	names   map[contracts.Position]ast.Var   // the variable that holds what a probe found
}

func newProbes() *probes {
	return &probes{map[contracts.Position]*ast.Expr{}, map[contracts.Position]ast.Var{}}
}

// part is a term of a statement whose value is of interest.
type part struct {
	role string
	term *ast.Term
}

func (p part) text() string {
	if p.term.Location != nil && len(p.term.Location.Text) > 0 {
		return oneLine(string(p.term.Location.Text))
	}
	return p.term.String()
}

// add has a statement probed, which may be nil.
func (p *probes) add(statement *ast.Expr) {
	if statement == nil || len(parts(statement)) == 0 {
		return
	}
	pos := at(statement.Location)
	if p.targets[pos] == nil {
		p.targets[pos], p.names[pos] = statement, ast.Var(fmt.Sprintf("caio_probe_%d", len(p.names)))
	}
}

// insert puts the probes into copies of the files that they belong in.
func (p *probes) insert(parsed map[string]*ast.Module) map[string]*ast.Module {
	all := maps.Clone(parsed)
	for name, m := range parsed {
		if m.Package.Location == nil || !slices.ContainsFunc(sortedPositions(p.targets), func(pos contracts.Position) bool { return pos.File == m.Package.Location.File }) {
			continue
		}
		probed := m.Copy()
		for _, rule := range probed.Rules {
			for r := rule; r != nil; r = r.Else {
				r.Body = p.into(r.Body)
				if probe := p.before(headValue(r)); probe != nil {
					r.Body = ast.NewBody(append(r.Body, probe)...)
				}
			}
		}
		all[name] = probed
	}
	return all
}

// into puts probes into a body, and into those of `every` in it.
func (p *probes) into(body ast.Body) ast.Body {
	var exprs []*ast.Expr
	for _, e := range body {
		if every, ok := e.Terms.(*ast.Every); ok {
			every.Body = p.into(every.Body)
		}
		if probe := p.before(e); probe != nil {
			exprs = append(exprs, probe)
		}
		exprs = append(exprs, e)
	}
	return ast.NewBody(exprs...)
}

// before is the probe of a statement, nil if it needs none: an array with a set for each part, which holds the part's value, or nothing where it is undefined.
func (p *probes) before(e *ast.Expr) *ast.Expr {
	if e == nil {
		return nil
	}
	name, ok := p.names[at(e.Location)]
	if !ok {
		return nil
	}
	value := ast.VarTerm("caio_value")
	var found []*ast.Term
	for _, part := range parts(e) {
		found = append(found, ast.SetComprehensionTerm(value, ast.NewBody(placedAt(ast.Equality.Expr(value, part.term.Copy())))))
	}
	probe := placedAt(ast.Equality.Expr(ast.NewTerm(name), ast.ArrayTerm(found...)))
	for _, with := range modifiers(e) {
		probe.With = append(probe.With, with.Copy())
	}
	return probe
}

// placedAt gives an expression a place that is in no file, so that nobody takes it for a policy's.
func placedAt(e *ast.Expr) *ast.Expr { return e.SetLocation(ast.NewLocation(nil, "", 1, 1)) }

// read tells the values of a statement's parts, nil if there is no probe, or it has not been reached.
func (p *probes) read(statement *ast.Expr, locals *ast.ValueMap) (values []Value) {
	name, ok := p.names[at(statement.Location)]
	if !ok {
		return nil
	}
	array, ok := locals.Get(name).(*ast.Array)
	if !ok {
		return nil
	}
	for i, part := range parts(statement) {
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
		values = append(values, Value{part.role, part.text(), value})
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
				return []part{{roleExpected, operand}, {roleActual, other}}
			}
		}
		return told(operands...)
	}
	list := told(operands...)
	if operator := e.Operator().String(); ast.BuiltinMap[operator] == nil {
		// A function of the policy: what it returned is worth knowing too.
		call := ast.CallTerm(slices.Clone(e.Terms.([]*ast.Term))...).SetLocation(e.Location)
		list = append(list, part{"", call})
	}
	return list
}

// told are terms without a role, but for constants.
func told(terms ...*ast.Term) (list []part) {
	for _, term := range terms {
		if !ast.IsConstant(term.Value) {
			list = append(list, part{"", term})
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

// headValue is the value of a rule, if it is neither a constant nor left out.
func headValue(rule *ast.Rule) *ast.Expr {
	value := rule.Head.Value
	if value == nil || value.Location == nil || rule.Default || ast.IsConstant(value.Value) {
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

func sortedPositions(m map[contracts.Position]*ast.Expr) []contracts.Position {
	return slices.Collect(maps.Keys(m))
}
