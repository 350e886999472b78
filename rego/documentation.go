package rego

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/smarthausgroup/caio/contracts"
)

// Documented is what a page on a constraint says: its annotation, the settings that it reads, and which tests mention it (spec/policy.md, "Bundles").
type Documented struct {
	contracts.Constraint
	Related  []Resource `json:"related_resources"`
	Settings []Setting  `json:"settings"` // in order of name
	Tests    []Mention  `json:"tests"`    // in order of place
}

// Setting is an operational setting that a constraint reads, or a map of them.
type Setting struct {
	Name    string          `json:"name"`    // without data.caio.settings: gdpr.regions
	Default json.RawMessage `json:"default"` // that of the bundle
}

// Resource is something to read about a constraint.
type Resource struct {
	Ref         string `json:"ref"`         // a URL
	Description string `json:"description"` // "" without one
}

// Mention is a test whose text holds a constraint's id, or that uses a rule of its package that does.
type Mention struct {
	Name string             `json:"name"` // caio.policy.gdpr_test.test_refuses
	Pos  contracts.Position `json:"location"`
}

// Document describes every constraint of bundles without a fault, by package and id. Of one in Conftest's form, which has no id in its path, tests mention the rules.
func Document(bundles []*Bundle, o Options) ([]Documented, contracts.Diagnostics) {
	c := analyse(bundles, o)
	if c.faults.HasErrors() {
		return nil, c.faults
	}
	tests, sources := c.mentions(), c.sources()
	documented := []Documented{}
	for _, p := range c.packs {
		for _, k := range p.constraints {
			d := Documented{Constraint: k.Constraint, Related: []Resource{}, Settings: settingsIn(sources[k.ID]), Tests: []Mention{}}
			for _, r := range k.related {
				d.Related = append(d.Related, Resource{Ref: r.Ref.String(), Description: strings.TrimSpace(r.Description)})
			}
			for _, t := range tests {
				if t.mentions(p, k) {
					d.Tests = append(d.Tests, t.Mention)
				}
			}
			documented = append(documented, d)
		}
	}
	slices.SortFunc(documented, func(a, b Documented) int {
		return cmp.Or(strings.Compare(a.Package, b.Package), strings.Compare(a.ID, b.ID))
	})
	return documented, c.faults
}

// settingsIn are those among what a constraint is made of.
func settingsIn(sources map[string]string) []Setting {
	settings := []Setting{}
	for _, path := range sortedKeys(sources) {
		if name, ok := strings.CutPrefix(path, "data."+dotted(settingsPath)+"."); ok {
			settings = append(settings, Setting{name, json.RawMessage(sources[path])})
		}
	}
	return settings
}

// mentioning is a test, with every text that it and the rules that it uses hold.
type mentioning struct {
	Mention
	module *module
	texts  map[string]bool
}

func (t *mentioning) mentions(p *pack, k *constraint) bool {
	if t.texts[k.ID] {
		return true
	}
	near := t.module.pkg == p.name || slices.ContainsFunc(t.module.needs(), func(path string) bool { return within(path, p.name) })
	return near && slices.ContainsFunc(k.documents, func(name string) bool { return t.texts[name] })
}

// mentions reads the tests, in order of place. Several rules of one name are one test, at the place of the first.
func (c *compilation) mentions() []*mentioning {
	var tests []*mentioning
	for _, m := range c.modules {
		first := map[string]bool{}
		for _, rule := range m.ast.Rules {
			name := ruleName(rule)
			if first[name] || !strings.HasPrefix(name, tester.TestPrefix) {
				continue
			}
			first[name] = true
			t := &mentioning{Mention{dotted(m.pkg) + "." + name, at(rule.Location)}, m, map[string]bool{}}
			c.collectTexts(t.texts, m.pkg, name, map[string]bool{})
			tests = append(tests, t)
		}
	}
	return tests
}

// collectTexts adds the texts of a package's rules of one name, and of the rules of the package that they use.
func (c *compilation) collectTexts(texts map[string]bool, pkg, name string, seen map[string]bool) {
	if seen[name] {
		return
	}
	seen[name] = true
	for _, m := range c.modules {
		if m.pkg != pkg {
			continue
		}
		for _, rule := range m.ast.Rules {
			if r, _, _ := classify(rule); r != roleHelper || ruleName(rule) != name {
				continue // of constraints beside their tests every id would be mentioned
			}
			var used []string
			ast.WalkTerms(rule, func(term *ast.Term) bool {
				switch value := term.Value.(type) {
				case ast.String:
					texts[string(value)] = true
				case ast.Var:
					note(&used, string(value))
				}
				return false
			})
			for _, other := range used {
				c.collectTexts(texts, pkg, other, seen)
			}
		}
	}
}
