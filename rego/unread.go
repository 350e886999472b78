package rego

import (
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/source"
)

// evaluated reports whether rules of this role are evaluated themselves, and not only where another one reads them.
func (r role) evaluated() bool {
	return r == roleConstraint || r == roleConftest || r == roleMargin || r == roleWarning
}

// noteRead adds the rules that constraints, margins and warnings read, themselves included, however many rules lie between. It reports whether that could be told: a compiler that has failed early can't.
func (c *compilation) noteRead(compiler *ast.Compiler, read map[contracts.Position]bool) bool {
	if compiler.Graph == nil {
		return false
	}
	var queue []*ast.Rule
	for _, m := range c.modules {
		resolved := compiler.Modules[m.name]
		if resolved == nil || family(m.pkg) == "" {
			continue
		}
		start := map[contracts.Position]bool{}
		for _, rule := range m.ast.Rules {
			r, _, _ := classify(rule)
			start[at(rule.Location)] = r.evaluated()
		}
		for _, rule := range resolved.Rules {
			if start[at(rule.Location)] {
				queue = append(queue, rule)
			}
		}
	}
	visited := map[*ast.Rule]bool{}
	for len(queue) > 0 {
		rule := queue[0]
		queue = queue[1:]
		if visited[rule] {
			continue
		}
		visited[rule] = true
		read[at(rule.Location)] = true
		for next := range compiler.Graph.Dependencies(rule) {
			if next, ok := next.(*ast.Rule); ok {
				queue = append(queue, next)
			}
		}
		if rule.Else != nil {
			queue = append(queue, rule.Else)
		}
	}
	return true
}

// checkRead refuses what would be taken for a constraint, and is evaluated by nothing. That tests read a rule does not help: it blocks nothing.
func (c *compilation) checkRead(read map[contracts.Position]bool) {
	for _, m := range c.modules {
		if m.test || reserved(m.pkg) {
			continue
		}
		for _, rule := range m.ast.Rules {
			if r, _, _ := classify(rule); r == roleHelper && !read[at(rule.Location)] {
				c.unread(m, rule)
			}
		}
	}
}

func (c *compilation) unread(m *module, rule *ast.Rule) {
	name := ruleName(rule)
	switch meant := meantBy(name); {
	case meant != "" && family(m.pkg) != "":
		c.fault("near-miss", rule.Location, fmt.Sprintf("%s is evaluated by nothing: did you mean %s?", name, meant), "")
	case meant != "":
		c.fault("constraint-outside-family", rule.Location, fmt.Sprintf("nothing reads %s, and its package %s is in no family", name, dotted(m.pkg)), outside(m.pkg))
	case family(m.pkg) != "" && len(rule.Head.Args) == 0 && (rule.Head.RuleKind() == ast.MultiValue || len(rule.Head.Ref()) > 1):
		c.fault("unread-rule", rule.Location, fmt.Sprintf("%v is no constraint, and no constraint reads it", rule.Head.Ref()), `What is to block is violation["ID"] contains message; remove what nothing needs.`)
	}
}

// words that people begin the name of a rule with that is to block, or to warn, and the name that does.
var words = []struct{ stem, name string }{
	{"warn", "warn"},
	{"margin", "margin"},
	{"viol", "violation"},
	{"deny", "deny"},
	{"deni", "deny"},
	{"block", "violation"},
	{"reject", "violation"},
	{"refuse", "violation"},
	{"forbid", "violation"},
	{"prohibit", "violation"},
	{"disallow", "violation"},
}

// meantBy is the name of the rules that a name was probably meant to be, "" if it is not like any.
func meantBy(name string) string {
	lower := strings.ToLower(name)
	for _, word := range words {
		if strings.HasPrefix(lower, word.stem) {
			return word.name
		}
	}
	if lower == "allow" { // what OPA's own examples decide with
		return "violation"
	}
	if short := source.Nearest(lower, []string{"deny", "warn"}, 1); short != "" {
		return short
	}
	return source.Nearest(lower, []string{"violation", "margin"}, 2)
}

// outside says where a constraint belongs that stands in a package outside the families.
func outside(pkg string) string {
	if family(pkg+"/") != "" {
		return fmt.Sprintf("Move it to a package with a name of its own in %s, as %s.house.", dotted(pkg), dotted(pkg))
	}
	return "Move it to a package in caio.safety, caio.policy or caio.traits."
}
