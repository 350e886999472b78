package rego

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// checkShadowed reports definitions that change nothing, since another one of the rule is true whenever they are and says the same, and alternatives that are never reached.
func (c *compilation) checkShadowed() {
	definitions := map[string][]*ast.Rule{}
	for _, m := range c.modules {
		for _, rule := range m.ast.Rules {
			name := m.pkg + " " + rule.Head.Ref().String()
			definitions[name] = append(definitions[name], rule)
			c.checkElse(rule)
		}
	}
	for _, name := range sortedKeys(definitions) {
		c.checkDefinitions(definitions[name])
	}
}

// checkElse reports what stands behind a body that is always true.
func (c *compilation) checkElse(rule *ast.Rule) {
	for ; rule.Else != nil; rule = rule.Else {
		if unconditional(rule) && fixedHead(rule) {
			c.untidy("shadowed", rule.Else.Location, "the else is never reached: what stands before it is always true", "Remove it, or put a condition in front of it.")
			return
		}
	}
}

func unconditional(rule *ast.Rule) bool {
	for _, expr := range rule.Body {
		term, ok := expr.Terms.(*ast.Term)
		if !ok || !term.Equal(ast.InternedTerm(true)) || len(expr.With) > 0 {
			return false
		}
	}
	return true
}

// fixedHead reports whether a rule's value is written out, and so always defined, for whatever arguments.
func fixedHead(rule *ast.Rule) bool {
	return rule.Head.Value != nil && isLiteral(rule.Head.Value) && !slices.ContainsFunc(rule.Head.Args, func(arg *ast.Term) bool {
		_, ok := arg.Value.(ast.Var)
		return !ok
	})
}

func (c *compilation) checkDefinitions(rules []*ast.Rule) {
	slices.SortFunc(rules, func(a, b *ast.Rule) int {
		return cmp.Or(cmp.Compare(a.Location.File, b.Location.File), cmp.Compare(a.Location.Row, b.Location.Row), cmp.Compare(a.Location.Col, b.Location.Col))
	})
	bodies := make([]map[string]bool, len(rules))
	for i, rule := range rules {
		bodies[i] = conditions(rule)
	}
	for i, rule := range rules {
		for j, other := range rules {
			if i != j && hides(other, rule, bodies[j], bodies[i], j < i) {
				c.untidy("shadowed", rule.Location, fmt.Sprintf("%v changes nothing here: the definition at %s is true whenever this one is, and says the same", rule.Head.Ref(), at(other.Location)), "Remove one of them.")
				break
			}
		}
	}
}

// conditions are the expressions of a rule's body.
func conditions(rule *ast.Rule) map[string]bool {
	all := map[string]bool{}
	for _, expr := range rule.Body {
		if term, ok := expr.Terms.(*ast.Term); ok && term.Equal(ast.InternedTerm(true)) && len(expr.With) == 0 {
			continue
		}
		all[expr.String()] = true
	}
	return all
}

// hides reports whether a definition makes another of the same rule superfluous. Of two that are the same, the first does.
func hides(upper, lower *ast.Rule, above, below map[string]bool, first bool) bool {
	switch {
	case upper.Else != nil || lower.Else != nil || lower.Default:
		// What an else says depends on the order; a default is what the others are measured by.
		return lower.Default && !upper.Default && upper.Else == nil && len(above) == 0 && fixedHead(upper)
	case !sameHead(upper.Head, lower.Head):
		return false
	case upper.Default:
		return true
	}
	for condition := range above {
		if !below[condition] {
			return false
		}
	}
	return len(above) < len(below) || first
}

func sameHead(a, b *ast.Head) bool {
	return slices.EqualFunc(a.Args, b.Args, (*ast.Term).Equal) && ast.TermValueCompare(a.Key, b.Key) == 0 && ast.TermValueCompare(a.Value, b.Value) == 0
}
