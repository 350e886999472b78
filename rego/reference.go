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
	input schema
	tests bool                       // of files of tests alone
	known map[string]map[string]bool // what packages have, by the package
	mocks map[mocked]bool            // that were read already
	found map[string]bool            // whether there can be something at a path

	vocabularies map[string]fieldValues // by path
	compared     map[compared]bool
	lookups      map[*ast.Term]*meaning // what literal objects are looked up by
}

// check is a stage of OPA's compiler, behind the one that resolves references.
func (k *checker) check(compiler *ast.Compiler) *ast.Error {
	var checked []*ast.Module
	for _, m := range k.modules {
		if resolved := compiler.Modules[m.name]; resolved != nil && m.test == k.tests {
			checked = append(checked, resolved)
		}
	}
	k.scopes, k.mocks, k.compared = newScopes(checked), map[mocked]bool{}, map[compared]bool{}
	k.found, k.vocabularies = map[string]bool{}, map[string]fieldValues{}
	k.lookups = map[*ast.Term]*meaning{}
	for _, m := range k.modules {
		resolved := compiler.Modules[m.name]
		if resolved == nil {
			continue
		}
		for _, rule := range resolved.Rules {
			if m.test == k.tests {
				k.checkRule(m, resolved, rule)
			}
		}
	}
	k.checkLookups()
	if k.followed > maxFollowed {
		k.tooLarge(contracts.Position{File: k.modules[0].name}, "what the variables and arguments of these policies lead to takes too long to follow")
	}
	for _, m := range k.modules {
		if resolved := compiler.Modules[m.name]; resolved != nil {
			for _, rule := range resolved.Rules {
				k.pinZones(rule)
			}
		}
	}
	return nil
}

func (k *checker) checkRule(m *module, resolved *ast.Module, rule *ast.Rule) {
	ast.WalkTerms(rule, func(term *ast.Term) bool {
		if ref, ok := term.Value.(ast.Ref); ok {
			k.reference(m, term.Location, ref)
		}
		return false
	})
	eachCall(rule, k.call)
	if !k.tests {
		k.checkElement(rule)
	}
	k.unreachable(rule)
	ast.WalkExprs(rule, func(expr *ast.Expr) bool {
		for _, with := range expr.With {
			k.mockOf(with.Target, with.Value)
		}
		return false
	})
	k.literalArguments(rulePath(resolved, rule), rule)
}

// call holds the operands of one call to each other, and to the schemas.
func (k *checker) call(operator ast.Ref, operands []*ast.Term) {
	name := operator.String()
	k.compare(name, operands)
	if !k.tests {
		k.checkKinds(name, operands)
	}
	k.match(operator, operands)
	k.checkSprintf(name, operands)
	k.mockCall(name, operands)
	if name == "object.get" && len(operands) > 1 {
		steps := stepsOf(operands[1])
		if m := k.follow(operands[1]); m.complete && len(m.values) == 1 && m.values[0].term != nil && m.values[0].in == nil {
			steps = stepsOf(m.values[0].term)
		}
		k.noteLookups(k.follow(operands[0]), steps)
		k.descend(operands[1].Location, k.follow(operands[0]), steps, true)
	}
}

func (k *checker) reference(m *module, location *ast.Location, ref ast.Ref) {
	if location == nil && len(ref) > 0 {
		location = ref[0].Location
	}
	if len(ref) > 1 {
		k.noteLookups(k.follow(ref[0]), ref[1:])
	}
	switch {
	case len(ref) == 0:
	case ref[0].Equal(ast.InputRootDocument):
		if !k.computed(ref[1:]) {
			k.inputReference(location, ref, 1)
			return
		}
		k.descend(location, one(value{path: ref[:1]}), ref[1:], false)
	case ref[0].Equal(ast.DefaultRootDocument):
		k.dataReference(m, location, ref)
		if k.computed(ref[1:]) {
			k.descend(location, one(value{path: ref[:1]}), ref[1:], false)
		}
	case len(ref) > 1:
		k.descend(location, k.follow(ref[0]), ref[1:], false)
	}
}

// computed reports whether a step is no literal, but only ever some known names.
func (k *checker) computed(steps []*ast.Term) bool {
	return slices.ContainsFunc(steps, func(step *ast.Term) bool {
		k.work = maxWork
		return key(step) == nil && len(k.scopes.names(step, nil)) > 0
	})
}

// descend goes down from where something can lead, and refuses a step that none of these places has. One that only some calls of a function lead past is a warning.
// Where spare is set data may be absent, which object.get is for, but not unheard of.
func (k *checker) descend(location *ast.Location, heads *meaning, steps []*ast.Term, spare bool) {
	level, sure := heads.values, heads.complete
	if len(level) == 1 && sure && level[0].part == whole && len(level[0].path) > 1 && !k.computed(steps) {
		k.held(location, slices.Concat(level[0].path, steps), len(level[0].path), spare)
		return
	}
	for _, step := range steps {
		k.work = maxWork
		names := k.scopes.names(step, nil)
		if len(names) == 0 {
			names = []*ast.Term{anyElement}
		}
		next := &meaning{complete: true}
		for _, name := range names {
			place := location
			if key(step) == nil && name.Location != nil {
				place = name.Location
			}
			next.add(k.down(place, level, name, sure, spare))
		}
		if level, sure = next.values, sure && next.complete; len(level) == 0 {
			return
		}
	}
}

// down goes one step down from every value, and reports those that don't have it.
func (k *checker) down(location *ast.Location, level []value, name *ast.Term, sure, spare bool) *meaning {
	below := &meaning{complete: true}
	var failed []value
	for _, v := range level {
		if v.path == nil || v.part != whole {
			inside := k.below(v, name)
			sure = sure && inside.complete
			below.add(inside)
			continue
		}
		if next := append(slices.Clone(v.path), name); k.exists(next) {
			below.add(one(value{path: next, given: v.given}))
			switch {
			case next[0].Equal(ast.InputRootDocument):
				k.guaranteeReference(location, next, len(v.path))
			case sure && !spare:
				k.checkLoose(location, next, len(v.path))
			}
		} else {
			failed = append(failed, value{path: next, given: v.given})
		}
	}
	switch {
	case len(failed) == 0:
	case sure && len(below.values) == 0:
		k.held(location, failed[0].path, len(failed[0].path)-1, true)
	case failed[0].given != nil && key(name) != nil:
		k.untidy("field-of-some", stepLocation(location, name), fmt.Sprintf("%v does not exist, which the call at %s leads to", failed[0].path, at(failed[0].given)), "Other calls give the function something that has it; make two functions of it if that is not on purpose.")
	}
	return below
}

// held holds a reference to the schemas of the input or of data. The steps before from were held to them where they are written.
func (k *checker) held(location *ast.Location, ref ast.Ref, from int, spare bool) {
	if ref[0].Equal(ast.InputRootDocument) {
		k.inputReference(location, ref, from)
		return
	}
	required := len(ref)
	if spare {
		required = from
	}
	if literal := literalPath(ref); !k.inPackage(literal) {
		k.baseReference(location, ref, from, required, literal)
	}
}

func (k *checker) inPackage(literal string) bool {
	_, ok := k.packageOf(literal)
	return ok || within(literal, testingPackage) || literal == ""
}

// exists reports whether the input, or data, can have something at a path. What packages have is not asked here.
func (k *checker) exists(path ast.Ref) bool {
	name := path.String()
	found, ok := k.found[name]
	if !ok {
		found = k.find(path)
		k.found[name] = found
	}
	return found
}

func (k *checker) find(path ast.Ref) bool {
	if path[0].Equal(ast.InputRootDocument) {
		missing, _ := walk(k.input, path, func(int, verdict) {})
		return missing == 0
	}
	literal := literalPath(path)
	if k.inPackage(literal) || slices.ContainsFunc(k.modules, func(m *module) bool { return within(m.pkg, literal) }) {
		return true
	}
	return len(k.schemas) == 0 || slices.ContainsFunc(k.schemas, func(s dataSchema) bool {
		missing, _ := walk(s.schema, path, func(int, verdict) {})
		return missing == 0
	})
}

// inputReference holds a reference to the input to its schema. The steps before from were held to it where they are written.
func (k *checker) inputReference(location *ast.Location, ref ast.Ref, from int) {
	i, _ := walk(k.input, ref, func(int, verdict) {})
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
func walk(s schema, ref ast.Ref, seen func(i int, v verdict)) (missing, reached int) {
	level := []schema{s}
	for i := 1; i < len(ref); i++ {
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
			seen(i, open)
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
	alternatives := descend(s, before)
	if name == nil {
		return what(alternatives)
	}
	var names []string
	for _, alternative := range alternatives {
		names = append(names, alternative.keys()...)
	}
	if near := source.DidYouMean(*name, names); near != "" {
		return strings.TrimPrefix(near, ": ")
	}
	if len(names) == 0 {
		return what(alternatives)
	}
	return "There are: " + strings.Join(names, ", ")
}

// typeNames are how people call the types of JSON Schema.
var typeNames = map[string]string{"string": "a text", "integer": "a whole number", "number": "a number", "boolean": "true or false", "array": "a list", "object": "a map", "null": "null"}

// what says what a place without keys is.
func what(alternatives []schema) string {
	var is, values []string
	for _, alternative := range alternatives {
		for _, node := range alternative.alternatives() {
			for _, name := range typesIn(node["type"]) {
				note(&is, typeNames[name])
			}
			values = append(values, textsIn(node["enum"])...)
		}
	}
	switch {
	case len(is) == 0:
		return "It has no keys."
	case len(values) > 0:
		return "It is " + strings.Join(is, " or ") + ", one of " + strings.Join(values, ", ") + "."
	}
	return "It is " + strings.Join(is, " or ") + "."
}

func typesIn(node any) []string {
	if name, ok := node.(string); ok {
		return []string{name}
	}
	return textsIn(node)
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
	k.baseReference(location, ref, 1, len(ref), literal)
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
