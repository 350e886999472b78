package rego

import (
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/smarthausgroup/caio/contracts"
)

// Sizes that bound the work of compiling bundles together: OPA looks for recursion along every pair of rules that need each other, and knows no limit of its own.
const (
	MaxRules = 4000
	MaxTerms = 500_000
)

// maxFollowed bounds what the checks of one compilation follow: a variable to what it is assigned, an argument to its calls.
const maxFollowed = 50_000_000

// measure refuses what is too large to compile in a time that a server can spare. It reports whether the rest is worth doing.
func (c *compilation) measure() bool {
	rules, terms := 0, 0
	for _, m := range c.modules {
		ast.WalkRules(m.ast, func(*ast.Rule) bool { rules++; return false })
		ast.WalkTerms(m.ast, func(*ast.Term) bool { terms++; return false })
		if rules > MaxRules || terms > MaxTerms {
			c.tooLarge(contracts.Position{File: m.name}, fmt.Sprintf("the policies are too large from here on: at most %d rules and %d terms are compiled together", MaxRules, MaxTerms))
			return false
		}
	}
	return true
}

func (c *compilation) tooLarge(pos contracts.Position, summary string) {
	c.faults = append(c.faults, contracts.Diagnostic{Severity: contracts.SeverityError, Code: "too-large", Summary: summary, Detail: "Move lists into data, and what only differs in values into one rule over them.", Pos: pos})
}
