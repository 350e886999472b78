package rego

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/source"
)

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
	k.baseReference(location, ref, 1, len(ref), literal)
}

func (k *checker) inPackage(literal string) bool {
	_, ok := k.packageOf(literal)
	return ok || within(literal, testingPackage) || literal == ""
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
	if k.known == nil {
		k.known = map[string]map[string]bool{}
	}
	if k.known[pkg] == nil {
		k.known[pkg] = k.namesIn(pkg)
	}
	i := len(strings.Split(pkg, "/")) + 1
	if k.known[pkg][name] {
		k.constraintReference(location, ref, i, pkg, name)
		return
	}
	k.fault("unknown-rule", stepLocation(location, ref[i]), fmt.Sprintf("package %s has no rule %s", dotted(pkg), name), strings.TrimPrefix(source.DidYouMean(name, sortedKeys(k.known[pkg])), ": "))
}

// constraintReference refuses an id that no rule of a package has: a test of it would hold whatever the rules say.
func (k *checker) constraintReference(location *ast.Location, ref ast.Ref, i int, pkg, name string) {
	if family(pkg) == "" || len(ref) <= i+1 || key(ref[i+1]) == nil || !slices.Contains([]string{"violation", "warn", "margin"}, name) {
		return
	}
	id := *key(ref[i+1])
	var ids []string
	for _, m := range k.modules {
		for _, rule := range m.ast.Rules {
			if m.pkg != pkg || ruleName(rule) != name {
				continue
			}
			r, given, _ := classify(rule)
			if r == roleConftest || r == roleFault {
				return // its elements are messages, or nobody knows
			}
			note(&ids, given)
		}
	}
	if len(ids) == 0 || slices.Contains(ids, id) {
		return
	}
	detail := strings.TrimPrefix(source.DidYouMean(id, ids), ": ")
	if detail == "" {
		detail = "There are: " + strings.Join(ids, ", ")
	}
	k.fault("unknown-constraint", stepLocation(location, ref[i+1]), fmt.Sprintf("package %s has no %s[%q]", dotted(pkg), name, id), detail)
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

// baseReference holds a reference to data that is in no package to the schemas, from one step on. The steps from the one at spare on may be absent.
func (k *checker) baseReference(location *ast.Location, ref ast.Ref, from, spare int, literal string) {
	for _, m := range k.modules {
		if within(m.pkg, literal) {
			k.fault("uncovered-data", location, fmt.Sprintf("%v is everything below it, policies and settings alike", ref), "Name the rule or the setting that is needed.")
			return
		}
	}
	if k.tests && within(literal, settingsPath+"/"+coreSettings) {
		if missing, _ := walk(coreSchema().schema, ref[3:], func(int, verdict) {}); missing == 0 {
			return // a test may say which labels there are
		}
	}
	deepest, nearest := 0, -1
	for i, s := range k.schemas {
		missing, reached := walk(s.schema, ref, func(int, verdict) {})
		if missing == 0 {
			k.looseReference(location, ref, s.mayLack(ref, from, spare), s.file, literal)
			return
		}
		if reached > deepest {
			deepest, nearest = reached, i
		}
	}
	if 0 < deepest && deepest < from {
		return
	}
	if nearest < 0 {
		k.fault("uncovered-data", location, fmt.Sprintf("%v is covered by no schema", ref), nearSettings(ref)+"Describe it, with `required`, in a schema.json at the bundle's root, or, for `opa build`, as metadata.schema of its manifest.")
		return
	}
	detail := fmt.Sprintf("%s (%s describes %v)", suggestion(ref[deepest], k.schemas[nearest].schema, ref[:deepest]), k.schemas[nearest].file, ref[:deepest])
	k.fault("uncovered-data", stepLocation(location, ref[deepest]), fmt.Sprintf("%v is covered by no schema", ref[:deepest+1]), detail)
}

// nearSettings suggests the path of the settings for one that is nearly it.
func nearSettings(ref ast.Ref) string {
	right := strings.Split(settingsPath, "/")
	if len(ref) <= len(right) {
		return ""
	}
	misspelt := false
	for i, step := range right {
		name := key(ref[i+1])
		if name == nil || *name != step && source.DidYouMean(*name, right[i:i+1]) == "" {
			return ""
		}
		misspelt = misspelt || *name != step
	}
	if !misspelt {
		return ""
	}
	return "did you mean data." + dotted(settingsPath) + "? "
}

// checkLoose holds one step of a path to data that is put together to what the schema of that data requires.
func (k *checker) checkLoose(location *ast.Location, ref ast.Ref, from int) {
	literal := literalPath(ref)
	if k.inPackage(literal) || slices.ContainsFunc(k.modules, func(m *module) bool { return within(m.pkg, literal) }) {
		return
	}
	for _, s := range k.schemas {
		if missing, _ := walk(s.schema, ref, func(int, verdict) {}); missing == 0 {
			k.looseReference(location, ref, s.mayLack(ref, from, len(ref)), s.file, literal)
			return
		}
	}
}

// looseReference reports data that may be absent, all levels of a path at once. Of a setting that is an error: a rule must not be undefined for want of one. Other data is its bundle's own affair.
func (k *checker) looseReference(location *ast.Location, ref ast.Ref, lacking []int, file, literal string) {
	if len(lacking) == 0 {
		return
	}
	var named, numbered []string
	for _, i := range lacking {
		if path := ref[:i+1].String(); key(ref[i]) == nil {
			numbered = append(numbered, path)
		} else {
			named = append(named, path)
		}
	}
	var remedies []string
	switch len(named) {
	case 0:
	case 1:
		remedies = append(remedies, fmt.Sprintf("List it as required in %s, or read it with object.get and a default.", file))
	default:
		remedies = append(remedies, fmt.Sprintf("List each of them as required, at its level, in %s.", file))
	}
	if len(numbered) > 0 {
		remedies = append(remedies, fmt.Sprintf("Say with minItems in %s that it is there, or go through all of them with some … in.", file))
	}
	d := contracts.Diagnostic{
		Severity: contracts.SeverityWarning, Code: "optional-data", Pos: at(location),
		Summary: strings.Join(slices.Concat(named, numbered), ", ") + " may be absent, and the rule undefined for want of it",
		Detail:  strings.Join(remedies, " "),
	}
	if within(literal, settingsPath) {
		d.Severity = contracts.SeverityError
	}
	k.faults = append(k.faults, d)
}
