package rego

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/source"
)

// constraint is a constraint and the documents of its package that its violations stand in.
type constraint struct {
	contracts.Constraint
	documents []string // rules in Conftest's form; none where they stand in violation["ID"]
	related   []*ast.RelatedResourceAnnotation
}

// pack is a package of a family: what it says of a candidate.
type pack struct {
	name        string // of the package, separated by slashes
	family      contracts.Family
	constraints []*constraint // in order of id
	margins     []string      // ids, sorted
	warnings    []string      // ids, sorted
}

// document is the reference to one of the package's rules.
func (p *pack) document(path ...string) ast.Ref {
	ref := ast.DefaultRootRef
	for step := range strings.SplitSeq(p.name, "/") {
		ref = ref.Append(ast.StringTerm(step))
	}
	for _, step := range path {
		ref = ref.Append(ast.StringTerm(step))
	}
	return ref
}

// note adds a name to a list in which each stands once.
func note(list *[]string, name string) {
	if !slices.Contains(*list, name) {
		*list = append(*list, name)
	}
}

// role is what a rule of a family's package is for.
type role uint8

const (
	roleHelper role = iota
	roleConstraint
	roleConftest
	roleMargin
	roleWarning
	roleFault
)

var constraintID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// classify says what a rule is for, and the id in its path; or what is wrong with it.
func classify(rule *ast.Rule) (r role, id, fault string) {
	ref := rule.Head.Ref()
	name, contains := ruleName(rule), rule.Head.RuleKind() == ast.MultiValue && len(rule.Head.Args) == 0
	conftest := name == "deny" || strings.HasPrefix(name, "deny_")
	switch {
	case len(ref) == 1 && contains && (conftest || name == "violation"):
		return roleConftest, "", ""
	case conftest:
		return roleFault, "", fmt.Sprintf("%s is not of the form `%s contains message`", name, name)
	case name == "violation" || name == "warn":
		r, fault = roleConstraint, `write %s["ID"] contains message, with the constraint's id as a literal`
		if name == "warn" {
			r = roleWarning
		}
	case name == "margin":
		r, fault = roleMargin, `write %s["ID"] := n, with the constraint's id as a literal`
	default:
		return roleHelper, "", ""
	}
	if len(ref) != 2 || len(rule.Head.Args) > 0 || rule.Default || contains != (r != roleMargin) {
		return roleFault, "", fmt.Sprintf(fault, name)
	}
	literal, ok := ref[1].Value.(ast.String)
	if !ok {
		return roleFault, "", fmt.Sprintf("the id %v is not a literal: "+fault, ref[1], name)
	}
	if !constraintID.MatchString(string(literal)) {
		return roleFault, "", fmt.Sprintf("the id %.80q is not of the form %s", string(literal), constraintID)
	}
	return r, string(literal), ""
}

// found collects what the files of one package say.
type found struct {
	pack
	annotated map[string]annotated // the rule that carries the annotation, by id
	rules     map[string]*ast.Rule // the first rule, by id
	margin    []*ast.Rule
	conftest  []*ast.Rule
}

// annotated is a rule with the annotation that it carries.
type annotated struct {
	rule *ast.Rule
	*ast.Annotations
}

// findConstraints finds every constraint of the families' packages, with its annotation.
func (c *compilation) findConstraints() {
	packages := map[string]*found{}
	for _, m := range c.modules {
		p := packages[m.pkg]
		if p == nil {
			p = &found{pack: pack{name: m.pkg, family: family(m.pkg)}, annotated: map[string]annotated{}, rules: map[string]*ast.Rule{}}
			packages[m.pkg] = p
		}
		c.checkPackageAnnotations(m)
		for _, rule := range m.ast.Rules {
			c.addRule(p, m, rule)
		}
	}
	owners := map[string]*constraint{}
	for _, name := range sortedKeys(packages) {
		p := packages[name]
		c.finishPackage(p)
		for _, k := range p.constraints {
			if other := owners[k.ID]; other != nil {
				c.faults.Errorf("duplicate-id", "", k.Pos, "the constraint %s is also in package %s, at %s", k.ID, other.Package, other.Pos)
				continue
			}
			owners[k.ID] = k
		}
		if len(p.constraints)+len(p.warnings) > 0 && p.family != "" {
			c.packs = append(c.packs, &p.pack)
		}
	}
}

// addRule notes one rule of a package.
func (c *compilation) addRule(p *found, m *module, rule *ast.Rule) {
	r, id, fault := classify(rule)
	if fault != "" && p.family != "" && !m.test {
		c.fault("near-miss", rule.Location, fault, "")
	}
	switch {
	case m.test && (r == roleConstraint || r == roleConftest && p.family != ""):
		c.fault("constraint-in-test", rule.Location, "a constraint stands in a file of tests, which are not evaluated", "Move it to a file whose name does not end in "+testSuffix+".")
		return
	case !m.test && p.family == "" && isConstraint(rule, r):
		c.fault("constraint-outside-family", rule.Location, ruleName(rule)+" stands in package "+dotted(p.name)+", which is in no family", outside(p.name))
		return
	}
	if i := slices.IndexFunc(rule.Annotations, describesConstraint); i >= 0 && r != roleConstraint && (r != roleConftest || p.family == "") {
		c.fault("misplaced-annotation", rule.Annotations[i].Location, "the annotation of a constraint stands in front of "+rule.Head.Ref().String()+", which is not one", "Move it directly above a rule violation[\"ID\"].")
	}
	if m.test || p.family == "" {
		return
	}
	switch r {
	case roleConstraint:
		c.addConstraintRule(p, id, rule)
	case roleConftest:
		p.conftest = append(p.conftest, rule)
	case roleMargin:
		p.margin = append(p.margin, rule)
		note(&p.margins, id)
	case roleWarning:
		note(&p.warnings, id)
	}
}

// isConstraint reports whether a rule outside the families has a name that only theirs are evaluated by. The form does not matter; deny_ is a beginning that other names have too.
func isConstraint(rule *ast.Rule, r role) bool {
	return r.evaluated() || r == roleFault && !strings.HasPrefix(ruleName(rule), "deny_")
}

// ruleName is the first step of a rule's path.
func ruleName(rule *ast.Rule) string {
	name, _ := rule.Head.Ref()[0].Value.(ast.Var)
	return string(name)
}

func (c *compilation) addConstraintRule(p *found, id string, rule *ast.Rule) {
	if p.rules[id] == nil {
		p.rules[id] = rule
	}
	for _, a := range rule.Annotations {
		if first, ok := p.annotated[id]; ok {
			c.fault("repeated-annotation", a.Location, fmt.Sprintf("%s is annotated a second time", id), fmt.Sprintf("The first annotation belongs to the rule at %s; exactly one rule of an id carries it.", at(first.rule.Location)))
			continue
		}
		p.annotated[id] = annotated{rule, a}
	}
}

// finishPackage reads the annotations, once every rule is known.
func (c *compilation) finishPackage(p *found) {
	slices.Sort(p.margins)
	slices.Sort(p.warnings)
	for _, id := range sortedKeys(p.rules) {
		a, ok := p.annotated[id]
		if !ok {
			c.fault("no-annotation", p.rules[id].Location, fmt.Sprintf("no rule of %s is annotated", id), "Put a METADATA comment with title, custom.severity, custom.controls and custom.remedy directly above one of them.")
			continue
		}
		if named, ok := a.Custom["id"]; ok && named != id {
			c.fault("annotation", a.Location, fmt.Sprintf("custom.id is %v, and the rule's path says %s", named, id), "")
		}
		p.constraints = append(p.constraints, c.describe(p, id, a))
	}
	c.finishConftest(p)
	for _, rule := range p.margin {
		id := string(rule.Head.Ref()[1].Value.(ast.String))
		if !slices.ContainsFunc(p.constraints, func(k *constraint) bool { return k.ID == id }) && p.rules[id] == nil {
			c.fault("margin", rule.Location, fmt.Sprintf("margin[%q] is of no constraint of the package%s", id, source.DidYouMean(id, sortedKeys(p.rules))), "")
		}
	}
	slices.SortFunc(p.constraints, func(a, b *constraint) int { return strings.Compare(a.ID, b.ID) })
}

// finishConftest makes one constraint of the rules in Conftest's form: exactly one of them is annotated, and its custom.id names it.
func (c *compilation) finishConftest(p *found) {
	if len(p.conftest) == 0 {
		return
	}
	var carrier *annotated
	var documents []string
	for _, rule := range p.conftest {
		note(&documents, ruleName(rule))
		for _, a := range rule.Annotations {
			if carrier != nil {
				c.fault("repeated-annotation", a.Location, "the package's deny rules are annotated a second time", fmt.Sprintf("They are one constraint, annotated at %s.", at(carrier.rule.Location)))
				continue
			}
			carrier = &annotated{rule, a}
		}
	}
	slices.Sort(documents)
	if carrier == nil {
		c.fault("deny-without-constraint", p.conftest[0].Location, "none of the package's deny rules is annotated", "They are one constraint: put a METADATA comment with title, custom.id, custom.severity, custom.controls and custom.remedy directly above one of them.")
		return
	}
	id, _ := carrier.Custom["id"].(string)
	if !constraintID.MatchString(id) {
		c.fault("annotation", carrier.Location, "custom.id is missing, or not of the form "+constraintID.String(), "Rules without an id in their path are named by it.")
		return
	}
	if p.rules[id] != nil {
		c.fault("duplicate-id", carrier.Location, fmt.Sprintf("custom.id is %s, which is also the id of violation[%q]", id, id), "")
		return
	}
	k := c.describe(p, id, *carrier)
	k.documents = documents
	p.constraints = append(p.constraints, k)
}
