package rego

import (
	"maps"
	"slices"
	"strings"
)

// schema is a JSON Schema, of which the parts that say where a path leads are read: properties, required, additionalProperties, items, allOf, anyOf, oneOf and local $ref.
// What it does not say is allowed, as in JSON Schema, but that an object with properties and without additionalProperties has no others.
type schema struct {
	root any // where $ref points into
	node any
}

func newSchema(node any) schema { return schema{node, node} }

// maxAlternatives bounds the work on a schema, whose references may go in circles and multiply on the way.
const maxAlternatives = 1000

// alternatives are the plain schemas that a schema stands for: behind its references, and each branch of it. None is a schema that says nothing; one of too many branches is one that nothing satisfies.
func (s schema) alternatives() []map[string]any {
	budget := maxAlternatives
	found := s.collect(&budget)
	if budget < 0 {
		return []map[string]any{{"type": "null"}}
	}
	return found
}

func (s schema) collect(budget *int) []map[string]any {
	*budget--
	node, ok := s.node.(map[string]any)
	if !ok || *budget < 0 {
		return nil
	}
	var found []map[string]any
	if reference, ok := node["$ref"].(string); ok {
		found = append(found, s.resolve(reference).collect(budget)...)
	}
	for _, key := range []string{"allOf", "anyOf", "oneOf"} {
		branches, _ := node[key].([]any)
		for _, branch := range branches {
			found = append(found, schema{s.root, branch}.collect(budget)...)
		}
	}
	if len(found) == 0 || node["properties"] != nil || node["additionalProperties"] != nil || node["items"] != nil {
		found = append(found, node)
	}
	return found
}

// resolve follows a local reference: "#/$defs/name".
func (s schema) resolve(reference string) schema {
	node := s.root
	for step := range strings.SplitSeq(strings.TrimPrefix(strings.TrimPrefix(reference, "#"), "/"), "/") {
		if step == "" {
			continue
		}
		object, _ := node.(map[string]any)
		node = object[strings.NewReplacer("~1", "/", "~0", "~").Replace(step)]
	}
	return schema{s.root, node}
}

// verdict says where one step of a path leads.
type verdict uint8

const (
	absent   verdict = iota // the schema has no such key
	optional                // it has, but the key may be left out
	element                 // of a list or of a map with free keys
	required                // it has, always
	open                    // nothing is said of what is below
)

// step goes down by a key, which is nil where it is not known before the evaluation. The schemas returned are the alternatives below.
func (s schema) step(key *string) (verdict, []schema) {
	alternatives := s.alternatives()
	if len(alternatives) == 0 {
		return open, nil
	}
	best := absent
	var below []schema
	for _, node := range alternatives {
		v, next := s.stepIn(node, key)
		if v == open {
			return open, nil
		}
		best = max(best, v)
		below = append(below, next...)
	}
	return best, below
}

func (s schema) stepIn(node map[string]any, key *string) (verdict, []schema) {
	properties, _ := node["properties"].(map[string]any)
	items, additional := node["items"], node["additionalProperties"]
	if properties == nil && items == nil && additional == nil {
		switch node["type"] {
		case nil, "object", "array":
			return open, nil
		}
		return absent, nil
	}
	if key == nil {
		var below []schema
		for _, name := range sortedKeys(properties) {
			below = append(below, schema{s.root, properties[name]})
		}
		for _, other := range []any{items, additional} {
			if _, ok := other.(map[string]any); ok {
				below = append(below, schema{s.root, other})
			} else if other == true {
				return open, nil
			}
		}
		return element, below
	}
	if property, ok := properties[*key]; ok {
		names, _ := node["required"].([]any)
		if slices.Contains(names, any(*key)) {
			return required, []schema{{s.root, property}}
		}
		return optional, []schema{{s.root, property}}
	}
	switch additional := additional.(type) {
	case map[string]any:
		return element, []schema{{s.root, additional}}
	case bool:
		if additional {
			return open, nil
		}
	}
	return absent, nil
}

// keys are the names that a schema knows, for suggestions.
func (s schema) keys() []string {
	var names []string
	for _, node := range s.alternatives() {
		properties, _ := node["properties"].(map[string]any)
		names = append(names, sortedKeys(properties)...)
	}
	return names
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// simplified is the part of a schema that OPA's type checker reads, without references. Where it can't say what holds, it says nothing, which allows everything.
func simplified(s schema) map[string]any {
	budget := maxAlternatives
	return s.simplify(&budget)
}

func (s schema) simplify(budget *int) map[string]any {
	*budget--
	alternatives := s.alternatives()
	if len(alternatives) != 1 || *budget < 0 {
		return map[string]any{}
	}
	node := alternatives[0]
	properties, _ := node["properties"].(map[string]any)
	closed := node["additionalProperties"] == nil || node["additionalProperties"] == false
	kind, _ := node["type"].(string)
	switch {
	case properties != nil && closed:
		known := make(map[string]any, len(properties))
		for _, name := range sortedKeys(properties) {
			known[name] = schema{s.root, properties[name]}.simplify(budget)
		}
		return map[string]any{"type": "object", "properties": known}
	case properties != nil || kind == "object":
		return map[string]any{"type": "object"}
	case kind == "array":
		if items, ok := node["items"].(map[string]any); ok {
			return map[string]any{"type": "array", "items": schema{s.root, items}.simplify(budget)}
		}
		return map[string]any{"type": "array"}
	case kind != "" && kind != "null":
		return map[string]any{"type": kind}
	}
	return map[string]any{}
}

// united is what two simplified schemas say together: the members of both.
func united(a, b map[string]any) map[string]any {
	inA, _ := a["properties"].(map[string]any)
	inB, _ := b["properties"].(map[string]any)
	switch {
	case len(a) == 0 || len(b) > 0 && inA == nil:
		return b
	case inB == nil:
		return a
	}
	all := maps.Clone(inA)
	for name, node := range inB {
		if old, ok := all[name].(map[string]any); ok {
			node = united(old, node.(map[string]any))
		}
		all[name] = node
	}
	return map[string]any{"type": "object", "properties": all}
}
