package rego

import (
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/smarthausgroup/caio/contracts"
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
