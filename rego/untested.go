package rego

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/smarthausgroup/caio/contracts/source"
)

// checkTested reports constraints that no test and no scenario mentions.
func (c *compilation) checkTested() {
	tests, expected := c.mentions(), c.expected()
	for _, p := range c.packs {
		for _, k := range p.constraints {
			mentioned := expected[k.ID] || c.readWhole(p) || slices.ContainsFunc(tests, func(t *mentioning) bool { return t.mentions(p, k) })
			if !mentioned {
				c.untidyAt("no-test", k.Pos, fmt.Sprintf("no test mentions %s", k.ID), "Write a rule test_… in a file *_test.rego in which it is violated, and one in which it is not.")
			}
		}
	}
}

// readWhole reports whether a test looks at all violations of a package at once.
func (c *compilation) readWhole(p *pack) bool {
	whole := p.document("violation")
	return slices.ContainsFunc(c.modules, func(m *module) bool {
		found := false
		for _, rule := range m.ast.Rules {
			if !strings.HasPrefix(ruleName(rule), tester.TestPrefix) && !m.test {
				continue
			}
			ast.WalkRefs(rule, func(ref ast.Ref) bool {
				resolved := m.resolved(ref)
				if last := len(resolved) - 1; last > 0 {
					if name, ok := resolved[last].Value.(ast.Var); ok && name.IsWildcard() {
						resolved = resolved[:last]
					}
				}
				found = found || resolved.Equal(whole) || resolved.Equal(whole[:len(whole)-1])
				return false
			})
		}
		return found
	})
}

// resolved writes a reference out that begins with an import, or with the package's own violations.
func (m *module) resolved(ref ast.Ref) ast.Ref {
	head, ok := ref[0].Value.(ast.Var)
	if !ok {
		return ref
	}
	for _, i := range m.ast.Imports {
		if path, ok := i.Path.Value.(ast.Ref); ok && i.Name() == head {
			return path.Concat(ref[1:])
		}
	}
	if head == "violation" {
		return m.ast.Package.Path.Append(ast.StringTerm(string(head))).Concat(ref[1:])
	}
	return ref
}

// expected are the ids that the scenarios of the bundles expect to be violated.
func (c *compilation) expected() map[string]bool {
	ids := map[string]bool{}
	for _, b := range c.bundles {
		for _, file := range b.Files {
			if !strings.HasSuffix(file.Path, ".scenario.yaml") && !strings.HasSuffix(file.Path, ".scenario.json") {
				continue
			}
			node, _ := source.Parse(file.Path, file.Text, MaxBundleBytes)
			if node == nil {
				continue // caio policy test says what is wrong with it
			}
			list, ok := node.Any().([]any)
			if !ok {
				list = []any{node.Any()}
			}
			for _, scenario := range list {
				addViolated(ids, scenario)
			}
		}
	}
	return ids
}

func addViolated(ids map[string]bool, scenario any) {
	object, _ := scenario.(map[string]any)
	expect, _ := object["expect"].(map[string]any)
	services, _ := expect["violations"].(map[string]any)
	for _, list := range services {
		names, _ := list.([]any)
		for _, name := range names {
			if id, ok := name.(string); ok {
				ids[id] = true
			}
		}
	}
}
