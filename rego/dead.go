package rego

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// negations are the comparisons that hold where the others don't, and mirrors those with the operands the other way round.
var (
	negations = map[string]string{"equal": "neq", "eq": "neq", "neq": "equal", "lt": "gte", "gte": "lt", "gt": "lte", "lte": "gt"}
	mirrors   = map[string]string{"equal": "equal", "eq": "equal", "neq": "neq", "lt": "gt", "gt": "lt", "lte": "gte", "gte": "lte"}
)

// unreachable reports the bodies of a rule that can't be true: with a comparison of literals that does not hold, one that no well-formed input satisfies, or several that contradict each other.
func (k *checker) unreachable(rule *ast.Rule) {
	if !k.thorough || k.tests {
		return
	}
	for ; rule != nil; rule = rule.Else {
		k.deadBody(rule.Body)
		visit := func(body ast.Body) bool { k.deadBody(body); return false }
		visitor := ast.NewGenericVisitor(func(x any) bool {
			switch x := x.(type) {
			case *ast.ArrayComprehension:
				visit(x.Body)
			case *ast.SetComprehension:
				visit(x.Body)
			case *ast.ObjectComprehension:
				visit(x.Body)
			case *ast.Every:
				visit(x.Body)
			case *ast.Rule:
				return true
			}
			return false
		})
		visitor.Walk(rule.Body)
		for _, term := range []*ast.Term{rule.Head.Key, rule.Head.Value} {
			if term != nil {
				visitor.Walk(term)
			}
		}
	}
}

// deadBody reports why a body can't be true, once.
func (k *checker) deadBody(body ast.Body) {
	facts := map[string]*fact{}
	for _, expr := range body {
		if len(expr.With) > 0 {
			continue
		}
		if reason, detail := k.neverTrue(expr); reason != "" {
			code := "never-true"
			if detail == "" {
				code, detail = "unreachable", "What follows from it can't happen: remove the rule, or the expression."
			}
			k.untidy(code, expr.Location, reason, detail)
			return
		}
		place, contradiction := k.learn(facts, expr)
		if contradiction != "" {
			k.untidy("unreachable", expr.Location, place+" "+contradiction, "The expressions of a body hold at the same time. Where either is meant, write two rules.")
			return
		}
	}
}

// neverTrue says why an expression is not true whatever the input; the detail is empty where its text says it all.
func (k *checker) neverTrue(expr *ast.Expr) (reason, detail string) {
	switch terms := expr.Terms.(type) {
	case *ast.Term:
		if terms.Equal(ast.InternedTerm(false)) && !expr.Generated {
			return "false is never true", ""
		}
	case *ast.Not:
		if len(terms.Body) == 1 && !terms.ExplicitBody && len(terms.Body[0].With) == 0 {
			return k.alwaysTrue(terms.Body[0])
		}
	case []*ast.Term:
		if len(terms) != 3 || negations[terms[0].String()] == "" {
			return "", ""
		}
		name, a, b := terms[0].String(), terms[1], terms[2]
		if isScalar(a) && isScalar(b) && !holds(name, a.Value, b.Value) {
			return fmt.Sprintf("%v is never true", comparisonText(a, name, b)), ""
		}
		if counted, limit := countOf(&name, a, b); counted != nil && !countHolds(name, limit) {
			return fmt.Sprintf("count(%v) is never %s %v", written(counted), signs[name], limit), "What is counted is at least 0."
		}
	}
	return "", ""
}

// alwaysTrue says why an expression is true whatever the input.
func (k *checker) alwaysTrue(expr *ast.Expr) (reason, detail string) {
	switch terms := expr.Terms.(type) {
	case *ast.Term:
		if isScalar(terms) && !terms.Equal(ast.InternedTerm(false)) {
			return fmt.Sprintf("not %v is never true", terms), ""
		}
		if path := k.place(terms); path != nil && k.alwaysThere(path) {
			if at := k.kindsAt(path); at&kindBoolean == 0 {
				return fmt.Sprintf("not %v is never true: it is always there", written(terms)), emptiness(at)
			}
		}
	case []*ast.Term:
		if len(terms) != 3 || negations[terms[0].String()] == "" {
			return "", ""
		}
		name, a, b := terms[0].String(), terms[1], terms[2]
		if isScalar(a) && isScalar(b) && holds(name, a.Value, b.Value) {
			return fmt.Sprintf("not %v is never true", comparisonText(a, name, b)), ""
		}
		counted, limit := countOf(&name, a, b)
		if counted == nil || !countAlways(name, limit) {
			return "", ""
		}
		if path := k.place(counted); path != nil && k.alwaysThere(path) && k.kindsAt(path)&(kindNull|kindBoolean|kindNumber) == 0 {
			return fmt.Sprintf("count(%v) is always %s %v", written(counted), signs[name], limit), "What is counted is at least 0, and it is always there."
		}
	}
	return "", ""
}

// emptiness says what to write in place of a negation that was probably meant to find what is empty.
func emptiness(at kinds) string {
	switch {
	case at&^(kindArray|kindSet|kindObject) == 0:
		return "An empty list or object is true as well: write count(…) == 0."
	case at == kindString:
		return `An empty text is true as well: write … == "".`
	case at == kindNumber:
		return "0 is true as well: write … == 0."
	}
	return "Only what is false or absent is not true."
}

// alwaysThere reports whether every well-formed input has something at a path.
func (k *checker) alwaysThere(path ast.Ref) bool {
	if !path[0].Equal(ast.InputRootDocument) {
		return false
	}
	there := true
	missing, _ := walk(k.input, path, func(_ int, v verdict) { there = there && v == required })
	return there && missing == 0
}

func isScalar(term *ast.Term) bool { return ast.IsScalar(term.Value) }

var signs = map[string]string{"equal": "==", "eq": "=", "neq": "!=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}

func comparisonText(a *ast.Term, name string, b *ast.Term) string {
	return fmt.Sprintf("%v %s %v", a, signs[name], b)
}

// holds compares two values as Rego does.
func holds(name string, a, b ast.Value) bool {
	order := ast.Compare(a, b)
	switch name {
	case "lt":
		return order < 0
	case "lte":
		return order <= 0
	case "gt":
		return order > 0
	case "gte":
		return order >= 0
	case "neq":
		return order != 0
	}
	return order == 0
}

// countOf returns what is counted in count(x) OP n or n OP count(x), which the operator is turned around for.
func countOf(name *string, a, b *ast.Term) (counted *ast.Term, limit ast.Value) {
	for range 2 {
		if call, ok := a.Value.(ast.Call); ok && len(call) == 2 && call[0].String() == "count" {
			if _, ok := b.Value.(ast.Number); ok {
				return call[1], b.Value
			}
		}
		a, b, *name = b, a, mirrors[*name]
	}
	return nil, nil
}

// countHolds reports whether some count satisfies a comparison, countAlways whether every one does. 0 and the largest that counts decide it, but for equality.
func countHolds(name string, limit ast.Value) bool {
	zero := ast.Compare(limit, ast.Number("0"))
	switch name {
	case "lt":
		return zero > 0
	case "lte", "equal", "eq":
		return zero >= 0
	}
	return true
}

func countAlways(name string, limit ast.Value) bool { return !countHolds(negations[name], limit) }

// fact is what the expressions of a body say together about one place.
type fact struct {
	present bool // one of them holds only where it is there
	equal   []ast.Value
	others  []comparison
	domain  []string // all that it can be, none if that is not known
}

type comparison struct {
	name  string
	value ast.Value
}

// learn adds what an expression says, and returns why that can't be.
func (k *checker) learn(facts map[string]*fact, expr *ast.Expr) (place, contradiction string) {
	negated := false
	if not, ok := expr.Terms.(*ast.Not); ok && len(not.Body) == 1 && !not.ExplicitBody && len(not.Body[0].With) == 0 {
		negated, expr = true, not.Body[0]
	}
	term, c := said(expr)
	if term == nil {
		return "", ""
	}
	if negated {
		c.name = negations[c.name]
	}
	place, path := k.fixed(term)
	if place == "" {
		return "", ""
	}
	f := facts[place]
	if f == nil {
		f = &fact{}
		if path != nil {
			if values, closed := k.vocabulary(path); closed {
				f.domain = values
			}
		}
		facts[place] = f
	}
	f.present = f.present || !negated
	if c.name == "equal" {
		f.equal = append(f.equal, c.value)
	} else {
		f.others = append(f.others, c)
	}
	return written(term), f.contradiction()
}

// said is what an expression says of a term: a comparison with a literal, or that it is not false.
func said(expr *ast.Expr) (*ast.Term, comparison) {
	switch terms := expr.Terms.(type) {
	case *ast.Term:
		if _, ok := terms.Value.(ast.Ref); ok {
			return terms, comparison{"neq", ast.Boolean(false)}
		}
	case []*ast.Term:
		if len(terms) != 3 || mirrors[terms[0].String()] == "" {
			break
		}
		name, a, b := terms[0].String(), terms[1], terms[2]
		switch {
		case isScalar(b) && !isScalar(a):
			if name == "eq" {
				name = "equal"
			}
			return a, comparison{name, b.Value}
		case isScalar(a) && !isScalar(b):
			return b, comparison{mirrors[name], a.Value}
		}
	}
	return nil, comparison{}
}

// fixed names a place that is the same in every expression of a body: a reference by literal names, to the input, to data, or from a variable. The path is nil where it is not of the input.
func (k *checker) fixed(term *ast.Term) (place string, path ast.Ref) {
	ref, ok := term.Value.(ast.Ref)
	if !ok {
		ref = ast.Ref{term}
	}
	name, ok := ref[0].Value.(ast.Var)
	if !ok || slices.ContainsFunc(ref[1:], func(step *ast.Term) bool { return key(step) == nil }) {
		return "", nil
	}
	if !isRoot(ref[0]) {
		b := k.lexical[ref[0]].lookup(name)
		if b == nil {
			return "", nil
		}
		return fmt.Sprintf("%p%v", b, ref), k.place(term)
	}
	if ref[0].Equal(ast.DefaultRootDocument) && k.inPackage(literalPath(ref)) && len(k.documents[ref.String()]) == 0 {
		return "", nil
	}
	return ref.String(), k.place(term)
}

// contradiction says which comparisons can't hold at the same time.
func (f *fact) contradiction() string {
	if !f.present {
		return ""
	}
	for _, v := range f.equal {
		for _, other := range f.equal {
			if ast.Compare(v, other) != 0 {
				return fmt.Sprintf("is never both %v and %v", f.equal[0], other)
			}
		}
		for _, c := range f.others {
			if !holds(c.name, v, c.value) {
				return fmt.Sprintf("is never both == %v and %s %v", v, signs[c.name], c.value)
			}
		}
	}
	for _, a := range f.others {
		for _, b := range f.others {
			if disjoint(a, b) {
				return fmt.Sprintf("is never both %s %v and %s %v", signs[a.name], a.value, signs[b.name], b.value)
			}
		}
	}
	if len(f.domain) > 0 && len(f.equal) == 0 && !slices.ContainsFunc(f.domain, f.allows) {
		return "is always one of " + strings.Join(f.domain, ", ") + ", and none of them is left"
	}
	return ""
}

func (f *fact) allows(text string) bool {
	return !slices.ContainsFunc(f.others, func(c comparison) bool { return !holds(c.name, ast.String(text), c.value) })
}

// disjoint reports whether nothing satisfies an upper bound and a lower one.
func disjoint(upper, lower comparison) bool {
	if upper.name != "lt" && upper.name != "lte" || lower.name != "gt" && lower.name != "gte" {
		return false
	}
	order := ast.Compare(upper.value, lower.value)
	return order < 0 || order == 0 && (upper.name == "lt" || lower.name == "gt")
}
