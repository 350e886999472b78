package rego

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/source"
)

// checker holds the references of some modules, once OPA has resolved their imports, to the schemas: everywhere, in functions and in the targets of `with` too.
type checker struct {
	*compilation
	*scopes
	input     schema
	tests     bool                       // of files of tests alone
	constants map[string][]*ast.Term     // what rules are written out as, by their path
	names     map[string]map[string]bool // what packages have, by the package
}

// check is a stage of OPA's compiler, behind the one that resolves references.
func (k *checker) check(compiler *ast.Compiler) *ast.Error {
	var all, checked []*ast.Module
	for _, m := range k.modules {
		if resolved := compiler.Modules[m.name]; resolved != nil {
			all = append(all, resolved)
			if m.test == k.tests {
				checked = append(checked, resolved)
			}
		}
	}
	k.readConstants(all)
	k.scopes = newScopes(checked)
	for _, m := range k.modules {
		resolved := compiler.Modules[m.name]
		if resolved == nil {
			continue
		}
		for _, rule := range resolved.Rules {
			if m.test == k.tests {
				k.checkRule(m, resolved, rule)
			}
			k.pinZones(rule)
		}
	}
	return nil
}

func (k *checker) checkRule(m *module, resolved *ast.Module, rule *ast.Rule) {
	in := k.scopes.rules[rule]
	ast.WalkTerms(rule, func(term *ast.Term) bool {
		if ref, ok := term.Value.(ast.Ref); ok {
			k.reference(m, in, term.Location, ref)
		}
		return false
	})
	eachCall(rule, func(operator ast.Ref, operands []*ast.Term) {
		k.compare(in, operator, operands)
		if operator.String() == "object.get" && len(operands) > 1 {
			k.objectGet(in, operands[0], operands[1])
		}
	})
	k.literalArguments(resolved, rule)
}

func (k *checker) reference(m *module, in *scope, location *ast.Location, ref ast.Ref) {
	if location == nil && len(ref) > 0 {
		location = ref[0].Location
	}
	switch {
	case len(ref) == 0:
	case ref[0].Equal(ast.InputRootDocument):
		k.inputReference(location, ref, 1)
	case ref[0].Equal(ast.DefaultRootDocument):
		k.dataReference(m, location, ref)
	default:
		if head := k.follow(in, ref[0]); head != nil && head[0].Equal(ast.InputRootDocument) {
			k.inputReference(location, slices.Concat(head, ref[1:]), len(head))
		}
	}
}

// objectGet holds the literal path of a call of object.get to the schemas. Data may be absent there, which is what the call is for, but not unheard of.
func (k *checker) objectGet(in *scope, object, path *ast.Term) {
	ref := k.follow(in, object)
	if ref == nil {
		return
	}
	from := len(ref)
	ref = slices.Clone(ref)
	if steps, ok := path.Value.(*ast.Array); ok {
		steps.Foreach(func(step *ast.Term) { ref = append(ref, step) })
	} else {
		ref = append(ref, path)
	}
	if ref[0].Equal(ast.InputRootDocument) {
		k.inputReference(path.Location, ref, from)
		return
	}
	literal := literalPath(ref)
	if _, ok := k.packageOf(literal); !ok && !within(literal, testingPackage) {
		k.baseReference(path.Location, ref, from, literal)
	}
}

// inputReference holds a reference to the input to its schema. The steps before from were held to it where they are written.
func (k *checker) inputReference(location *ast.Location, ref ast.Ref, from int) {
	i, _ := walk(k.input, ref, 1, func(int, verdict) {})
	if i == 0 {
		k.guaranteeReference(location, ref, from)
	}
	if i < from {
		return
	}
	detail := suggestion(ref[i], k.input, ref[:i])
	if i == 1 && (isText(ref[1], "service") || isText(ref[1], "estimate")) {
		detail = "Safety constraints see neither the service nor the estimate: they are about the action, and are evaluated once for each route."
	}
	k.fault("unknown-field", stepLocation(location, ref[i]), fmt.Sprintf("%v does not exist in the input", ref[:i+1]), detail)
}

// walk follows a reference through a schema. It returns the index of the step that the schema does not have, 0 if it has all, and how far it came.
func walk(s schema, ref ast.Ref, from int, seen func(i int, v verdict)) (missing, reached int) {
	level := []schema{s}
	for i := from; i < len(ref); i++ {
		best := absent
		var below []schema
		for _, alternative := range level {
			v, next := alternative.step(key(ref[i]))
			best = max(best, v)
			below = append(below, next...)
		}
		switch best {
		case absent:
			return i, i
		case open:
			return 0, len(ref)
		}
		if len(below) > maxAlternatives {
			return i, i
		}
		seen(i, best)
		level = below
	}
	return 0, len(ref)
}

// key is the text of a literal step, nil for a variable, a number and whatever else is not known or not a name.
func key(term *ast.Term) *string {
	if text, ok := term.Value.(ast.String); ok {
		return (*string)(&text)
	}
	return nil
}

func isText(term *ast.Term, text string) bool {
	literal := key(term)
	return literal != nil && *literal == text
}

// stepLocation is where a step of a reference stands, or the reference, where that is not known.
func stepLocation(location *ast.Location, step *ast.Term) *ast.Location {
	if step.Location != nil && location != nil && step.Location.File == location.File && step.Location.Row >= location.Row {
		return step.Location
	}
	return location
}

// suggestion names the key most like a step that the schema does not have.
func suggestion(step *ast.Term, s schema, before ast.Ref) string {
	name := key(step)
	if name == nil {
		return "It is no list and no map."
	}
	var names []string
	for _, alternative := range descend(s, before) {
		names = append(names, alternative.keys()...)
	}
	if near := source.DidYouMean(*name, names); near != "" {
		return strings.TrimPrefix(near, ": ")
	}
	if len(names) == 0 {
		return "It has no keys."
	}
	return "There are: " + strings.Join(names, ", ")
}

// descend is what a schema says of the end of a reference.
func descend(s schema, ref ast.Ref) []schema {
	level := []schema{s}
	for _, term := range ref[1:] {
		var below []schema
		for _, alternative := range level {
			_, next := alternative.step(key(term))
			below = append(below, next...)
		}
		if level = below; len(level) > maxAlternatives {
			return nil
		}
	}
	return level
}

// literalPath is the beginning of a reference to data that is known before the evaluation.
func literalPath(ref ast.Ref) string {
	var steps []string
	for _, term := range ref[1:] {
		literal := key(term)
		if literal == nil {
			break
		}
		steps = append(steps, *literal)
	}
	return strings.Join(steps, "/")
}

// dataReference holds a reference to data to the packages, and what is in none to the bundles' schemas.
func (k *checker) dataReference(m *module, location *ast.Location, ref ast.Ref) {
	literal := literalPath(ref)
	if within(literal, testingPackage) {
		if !m.test {
			k.fault("testing", location, "data.caio.testing is for tests alone", "Move the rule to a file whose name ends in "+testSuffix+".")
		}
		return
	}
	if pkg, ok := k.packageOf(literal); ok {
		k.ruleReference(location, ref, pkg, strings.TrimPrefix(strings.TrimPrefix(literal, pkg), "/"))
		return
	}
	k.baseReference(location, ref, len(ref), literal)
}

// packageOf is the innermost package that a path is, or is in.
func (k *checker) packageOf(path string) (pkg string, ok bool) {
	for _, m := range k.modules {
		if within(path, m.pkg) && (!ok || len(m.pkg) > len(pkg)) {
			pkg, ok = m.pkg, true
		}
	}
	return pkg, ok
}

// ruleReference refuses a name that no rule of a package has: it would be undefined, silently.
func (k *checker) ruleReference(location *ast.Location, ref ast.Ref, pkg, rest string) {
	name, _, _ := strings.Cut(rest, "/")
	if name == "" {
		return
	}
	if k.names == nil {
		k.names = map[string]map[string]bool{}
	}
	if k.names[pkg] == nil {
		k.names[pkg] = k.namesIn(pkg)
	}
	if k.names[pkg][name] {
		return
	}
	i := len(strings.Split(pkg, "/")) + 1
	k.fault("unknown-rule", stepLocation(location, ref[i]), fmt.Sprintf("package %s has no rule %s", dotted(pkg), name), strings.TrimPrefix(source.DidYouMean(name, sortedKeys(k.names[pkg])), ": "))
}

// namesIn are the names of a package's rules, and of the packages in it.
func (k *checker) namesIn(pkg string) map[string]bool {
	names := map[string]bool{}
	for _, m := range k.modules {
		if below, ok := strings.CutPrefix(m.pkg, pkg+"/"); ok {
			below, _, _ = strings.Cut(below, "/")
			names[below] = true
		}
		if m.pkg == pkg {
			for _, rule := range m.ast.Rules {
				names[ruleName(rule)] = true
			}
		}
	}
	return names
}

// baseReference holds a reference to data that is in no package to the schemas. The steps from the one at spare on may be absent.
func (k *checker) baseReference(location *ast.Location, ref ast.Ref, spare int, literal string) {
	for _, m := range k.modules {
		if within(m.pkg, literal) {
			k.fault("uncovered-data", location, fmt.Sprintf("%v is everything below it, policies and settings alike", ref), "Name the rule or the setting that is needed.")
			return
		}
	}
	deepest, nearest := 0, -1
	for i, s := range k.schemas {
		loose := 0
		missing, reached := walk(s.schema, ref, 1, func(i int, v verdict) {
			if v == optional && loose == 0 && i < spare {
				loose = i
			}
		})
		if missing == 0 {
			if loose > 0 {
				k.looseReference(location, ref[:loose+1], s.file, literal)
			}
			return
		}
		if reached > deepest {
			deepest, nearest = reached, i
		}
	}
	if nearest < 0 {
		k.fault("uncovered-data", location, fmt.Sprintf("%v is covered by no schema", ref), "Describe it, with `required`, in a schema.json at the bundle's root, or, for `opa build`, as metadata.schema of its manifest.")
		return
	}
	detail := fmt.Sprintf("%s (%s describes %v)", suggestion(ref[deepest], k.schemas[nearest].schema, ref[:deepest]), k.schemas[nearest].file, ref[:deepest])
	k.fault("uncovered-data", stepLocation(location, ref[deepest]), fmt.Sprintf("%v is covered by no schema", ref[:deepest+1]), detail)
}

// looseReference reports data that may be absent. Of a setting that is an error: a rule must not be undefined for want of one. Other data is its bundle's own affair.
func (k *checker) looseReference(location *ast.Location, ref ast.Ref, file, literal string) {
	d := contracts.Diagnostic{
		Severity: contracts.SeverityWarning, Code: "optional-data", Pos: at(location),
		Summary: fmt.Sprintf("%v may be absent, and the rule undefined for want of it", ref),
		Detail:  fmt.Sprintf("List it as required in %s, or read it with object.get and a default.", file),
	}
	if within(literal, settingsPath) {
		d.Severity = contracts.SeverityError
	}
	k.faults = append(k.faults, d)
}
