package rego

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"
	"github.com/smarthausgroup/caio/contracts"
)

// Sources are what each constraint of bundles without a fault is made of, by its id: the rules that it reaches and the data that they read, by their path in data.
// Of rules it is the text as OPA's formatter lays it out, without comments and whatever their order, and of data the JSON. Constraints whose sources are equal decide equally.
func Sources(bundles []*Bundle, o Options) (map[string]map[string]string, contracts.Diagnostics) {
	c := analyse(bundles, o)
	if c.faults.HasErrors() {
		return nil, c.faults
	}
	return c.sources(), c.faults
}

func (c *compilation) sources() map[string]map[string]string {
	parsed := map[contracts.Position]*ast.Rule{}
	for _, m := range c.modules {
		for _, rule := range m.ast.Rules {
			parsed[at(rule.Location)] = rule
		}
	}
	all := map[string]map[string]string{}
	for _, p := range c.packs {
		for _, k := range p.constraints {
			s := sources{compilation: c, compiler: c.groups[p.family], parsed: parsed, seen: map[*ast.Rule]bool{}, rules: map[string][]string{}, data: map[string]string{}}
			for _, m := range c.modules {
				if m.pkg == p.name && !m.test {
					s.start(m, k)
				}
			}
			all[k.ID] = s.texts()
		}
	}
	return all
}

// sources collects those of one constraint.
type sources struct {
	*compilation
	compiler *ast.Compiler
	parsed   map[contracts.Position]*ast.Rule // as they were written, where the compiler rewrote them
	seen     map[*ast.Rule]bool
	rules    map[string][]string // texts by path
	data     map[string]string
}

// start follows the constraint's own rules of a file.
func (s *sources) start(m *module, k *constraint) {
	for _, rule := range s.compiler.Modules[m.name].Rules {
		r, id, _ := classify(rule)
		if r == roleConstraint && id == k.ID && ruleName(rule) == "violation" || r == roleConftest && slices.Contains(k.documents, ruleName(rule)) {
			s.follow(rule)
		}
	}
}

// follow notes a rule and all that it reaches. An else is a rule of its own to the compiler, whose text is that of the rule.
func (s *sources) follow(rule *ast.Rule) {
	if s.seen[rule] {
		return
	}
	s.seen[rule] = true
	if written := s.parsed[at(rule.Location)]; written != nil {
		name := rule.Module.Package.Path.Extend(written.Head.Ref()).String()
		s.rules[name] = append(s.rules[name], laidOut(written))
	}
	for dependency := range s.compiler.Graph.Dependencies(rule) {
		s.follow(dependency.(*ast.Rule))
	}
	ast.WalkRefs(rule, func(ref ast.Ref) bool {
		if ref.HasPrefix(ast.DefaultRootRef) && len(s.compiler.GetRules(ref.ConstantPrefix())) == 0 {
			s.read(ref.ConstantPrefix())
		}
		return false
	})
}

// read notes the data at a path, or at the deepest step of it that there is.
func (s *sources) read(path ast.Ref) {
	var value any = s.compilation.data
	for _, step := range path[1:] {
		object, _ := value.(map[string]any)
		name, isText := step.Value.(ast.String)
		below, ok := object[string(name)]
		if !isText || !ok {
			break
		}
		value = below
	}
	text, err := json.Marshal(value)
	if err != nil {
		text = fmt.Appendf(nil, "%v", value)
	}
	s.data[path.String()] = string(text)
}

// laidOut is the text of a rule, wherever it stands and however it was laid out.
func laidOut(rule *ast.Rule) string {
	text, err := format.AstWithOpts(rule, format.Opts{IgnoreLocations: true, RegoVersion: ast.RegoV1})
	if err != nil {
		return rule.String()
	}
	return strings.TrimSpace(string(text))
}

func (s *sources) texts() map[string]string {
	all := s.data
	for name, texts := range s.rules {
		slices.Sort(texts)
		all[name] = strings.Join(texts, "\n\n")
	}
	return all
}
