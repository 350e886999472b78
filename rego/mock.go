package rego

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// maxMock bounds how deep a value in the place of the input is read.
const maxMock = 16

// mocked is a value that was held to what is at a path.
type mocked struct {
	path string
	term *ast.Term
}

// mockOf holds a value that `with` puts in a place to the schema of that place.
func (k *checker) mockOf(target, term *ast.Term) {
	ref, ok := target.Value.(ast.Ref)
	if !ok || !isRoot(ref[0]) || !ref.IsGround() || ref[0].Equal(ast.DefaultRootDocument) && k.inPackage(literalPath(ref)) || !k.exists(ref) {
		return
	}
	k.mock(ref, term)
}

func (k *checker) mock(path ast.Ref, term *ast.Term) {
	name := path.String()
	for _, v := range k.follow(term).values {
		if seen := (mocked{name, v.term}); v.term != nil && (v.in != nil || !k.mocks[seen]) {
			k.mocks[seen] = true
			k.work = maxWork
			k.mockValue(path, v, 0)
		}
	}
}

// mockValue holds one value to what is at a path: the keys of objects, and what they hold.
func (k *checker) mockValue(path ast.Ref, v value, depth int) {
	if v.term == nil || depth > maxMock || !k.spend() {
		return
	}
	below := func(step, term *ast.Term) {
		next := append(slices.Clone(path), step)
		if !k.exists(next) {
			k.held(step.Location, next, len(path), true)
			return
		}
		for _, v := range k.meaning(term, v.in).values {
			k.mockValue(next, v, depth+1)
		}
	}
	k.mockLiteral(path, v)
	switch literal := v.term.Value.(type) {
	case ast.Object:
		literal.Foreach(func(name, term *ast.Term) {
			if key(name) != nil {
				below(name, term)
			}
		})
	case *ast.Array:
		if next := append(slices.Clone(path), anyElement); k.exists(next) {
			literal.Foreach(func(term *ast.Term) { below(anyElement, term) })
		}
	case ast.Call:
		if name := literal[0].String(); name == "object.union" {
			for _, operand := range literal[1:] {
				for _, v := range k.meaning(operand, v.in).values {
					k.mockValue(path, v, depth+1)
				}
			}
		}
	}
}

// mockLiteral holds a literal to the type, and a text to the values, of what is at a path. A set may stand for a list, and null for what is not there.
func (k *checker) mockLiteral(path ast.Ref, v value) {
	if _, ok := v.term.Value.(ast.Call); ok {
		return
	}
	may, is := k.kindsAt(path)|kindNull, k.kindsOfValue(v)
	if may&kindArray != 0 {
		may |= kindSet
	}
	switch {
	case may&is == 0:
		k.fault("type-mismatch", v.term.Location, fmt.Sprintf("%v is %v, and %v is put in its place", path, k.kindsAt(path), is), "No rule ever sees such a value there.")
	case key(v.term) != nil:
		k.text(one(value{path: path}), v.term)
	}
}

// mockCall holds what calls say about the shape of a value to its schema.
func (k *checker) mockCall(name string, operands []*ast.Term) {
	request, service := ast.InputRootRef.Append(ast.StringTerm("request")), ast.InputRootRef.Append(ast.StringTerm("service"))
	switch {
	case name == "data.caio.testing.given" && len(operands) == 2:
		k.mock(request, operands[0])
		k.mock(service, operands[1])
	case name == "data.caio.testing.candidate" && len(operands) == 1:
		k.mock(ast.InputRootRef, operands[0])
	case len(operands) != 2:
	case name == "object.subset":
		if path := k.place(operands[0]); path != nil {
			k.mock(path, operands[1])
			k.literals(k.each(one(value{path: path})), k.each(k.follow(operands[1])))
		}
	case name == "object.filter", name == "object.remove":
		if path := k.place(operands[0]); path != nil {
			k.literals(one(value{path: path, part: oneKey}), k.named(operands[1]))
		}
	case name == "json.filter", name == "json.remove":
		if path := k.place(operands[0]); path != nil {
			for _, v := range k.each(k.follow(operands[1])).values {
				k.pointer(path, v, "")
			}
		}
	case name == "json.patch":
		if path := k.place(operands[0]); path != nil {
			for _, v := range k.each(k.follow(operands[1])).values {
				for _, at := range k.below(v, ast.StringTerm("path")).values {
					k.pointer(path, at, "/")
				}
			}
		}
	}
}

// named are the names that object.filter and object.remove take: the elements of a list or set, the keys of an object.
func (k *checker) named(term *ast.Term) *meaning {
	m := k.follow(term)
	if len(m.values) == 1 && m.values[0].term != nil {
		if _, ok := m.values[0].term.Value.(ast.Object); ok {
			return k.keys(m, oneKey)
		}
	}
	return k.each(m)
}

// place is the only place that a term leads to, nil without one.
func (k *checker) place(term *ast.Term) ast.Ref {
	m := k.follow(term)
	if !m.complete || len(m.values) != 1 || m.values[0].part != whole {
		return nil
	}
	return m.values[0].path
}

// pointer holds a path as the json built-ins take it, "a/b" or ["a", "b"], to the schemas. JSON patches begin theirs with a slash.
func (k *checker) pointer(path ast.Ref, v value, slash string) {
	if v.term == nil {
		return
	}
	steps := stepsOf(v.term)
	if text := key(v.term); text != nil {
		steps = nil
		for step := range strings.SplitSeq(strings.TrimPrefix(*text, slash), "/") {
			name := strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
			steps = append(steps, ast.StringTerm(name).SetLocation(v.term.Location))
		}
	}
	for _, step := range steps {
		if name := key(step); name == nil || strings.Trim(*name, "0123456789-") == "" { // an element of a list
			step = anyElement
		}
		next := append(slices.Clone(path), step)
		if !k.exists(next) {
			k.held(v.term.Location, next, len(path), true)
			return
		}
		path = next
	}
}
