package rego

import (
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/smarthausgroup/caio/contracts/source"
)

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
