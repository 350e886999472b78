package rego

import (
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/smarthausgroup/caio/contracts"
)

// Sizes that bound the work of compiling bundles together: OPA looks for recursion along every pair of rules that need each other, and knows no limit of its own.
const (
	MaxRules = 4000
	MaxTerms = 500_000
	// MaxDependencies bounds how often a rule needs another.
	MaxDependencies = 20_000
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
	return c.measureDependencies()
}

// measureDependencies counts, for each rule, the rules that it may need: those of every name that stands in it. A local variable of the name of a rule is taken for it, which counts too much and never too little.
func (c *compilation) measureDependencies() bool {
	at := map[string]int{}    // how many rules stand at a path
	under := map[string]int{} // and at it or below
	for _, m := range c.modules {
		ast.WalkRules(m.ast, func(r *ast.Rule) bool {
			path := m.pkg
			for i, term := range r.Head.Ref() {
				step, ok := stepOf(term, i == 0)
				if !ok {
					break
				}
				path += "/" + step
			}
			at[path]++
			for ; path != ""; path = parent(path) {
				under[path]++
			}
			return false
		})
	}
	needed := func(path string) int {
		if n := under[path]; n > 0 {
			return n
		}
		for path = parent(path); path != ""; path = parent(path) {
			if n := at[path]; n > 0 {
				return n
			}
		}
		return 0
	}
	dependencies := 0
	for _, m := range c.modules {
		imported := imports(m.ast)
		ast.WalkRules(m.ast, func(r *ast.Rule) bool {
			seen := map[string]bool{}
			ast.WalkTerms(r, func(term *ast.Term) bool {
				for _, path := range named(m.pkg, imported, term) {
					if !seen[path] {
						seen[path] = true
						dependencies += needed(path)
					}
				}
				return false
			})
			return false
		})
		if dependencies > MaxDependencies {
			c.tooLarge(contracts.Position{File: m.name}, fmt.Sprintf("the rules need each other too often from here on: at most %d such dependencies are compiled together", MaxDependencies))
			return false
		}
	}
	return true
}

// named are the paths that a term may name: those of data, what a variable stands for by an import, and what it stands for in its package.
func named(pkg string, imported map[string]string, term *ast.Term) []string {
	switch v := term.Value.(type) {
	case ast.Var:
		if path, ok := imported[string(v)]; ok {
			return []string{path}
		}
		return []string{pkg + "/" + string(v)}
	case ast.Ref:
		first, isVar := v[0].Value.(ast.Var)
		path, ok := imported[string(first)]
		if first == ast.DefaultRootDocument.Value.(ast.Var) {
			path, ok = "", true
		}
		if !isVar || !ok {
			return nil // its first step is a term of its own
		}
		for _, term := range v[1:] {
			step, ok := stepOf(term, false)
			if !ok {
				break
			}
			path += "/" + step
		}
		return []string{strings.TrimPrefix(path, "/")}
	}
	return nil
}

// imports are the paths of what a module imports from data, by the names it has there.
func imports(m *ast.Module) map[string]string {
	all := map[string]string{}
	for _, i := range m.Imports {
		ref, ok := i.Path.Value.(ast.Ref)
		if !ok || !ref[0].Equal(ast.DefaultRootDocument) {
			continue
		}
		steps := make([]string, 0, len(ref))
		for _, term := range ref[1:] {
			step, _ := stepOf(term, false)
			steps = append(steps, step)
		}
		all[string(i.Name())] = strings.Join(steps, "/")
	}
	return all
}

// stepOf is one constant step of a path; the first one of a rule's name is a variable.
func stepOf(term *ast.Term, first bool) (string, bool) {
	switch v := term.Value.(type) {
	case ast.String:
		return string(v), true
	case ast.Var:
		return string(v), first
	}
	return "", false
}

func parent(path string) string {
	return path[:max(strings.LastIndexByte(path, '/'), 0)]
}

func (c *compilation) tooLarge(pos contracts.Position, summary string) {
	c.faults = append(c.faults, contracts.Diagnostic{Severity: contracts.SeverityError, Code: "too-large", Summary: summary, Detail: "Move lists into data, and what only differs in values into one rule over them.", Pos: pos})
}
