package rego

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/contracts"
)

// inputText has a line for each field of the input: its path, and what it means.
//
//go:embed input.txt
var inputText string

// InputField is one thing that a rule sees (spec/policy.md, "What a compliance team writes").
type InputField struct {
	Path     string   `json:"path"` // request.data.findings[].count; * is any key
	Type     string   `json:"type"` // as people call it: "a list of texts"
	Values   []string `json:"values,omitempty"`
	Optional bool     `json:"optional,omitempty"` // it is absent where there is nothing to say
	Meaning  string   `json:"meaning"`
}

// InputFields are those that the rules of a family see, in order of path.
func InputFields(family contracts.Family) []InputField {
	var fields []InputField
	meanings := inputMeanings()
	visit(newSchema(copied(inputSchema(family).node)), "", func(path string, node map[string]any, optional bool) {
		if meanings[path] != "" {
			values, kind := typeOf(node)
			fields = append(fields, InputField{path, kind, values, optional, meanings[path]})
		}
	})
	slices.SortFunc(fields, func(a, b InputField) int { return strings.Compare(a.Path, b.Path) })
	return fields
}

// InputSchema is the JSON Schema of what the rules of a family see, with a description of each field, as `opa check --schema`, Regal and editors take it.
func InputSchema(family contracts.Family) json.RawMessage {
	root := copied(inputSchema(family).node).(map[string]any)
	meanings := inputMeanings()
	visit(newSchema(root), "", func(path string, node map[string]any, _ bool) {
		if meanings[path] != "" {
			node["description"] = meanings[path]
		}
	})
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = fmt.Sprintf("What rules in caio.%s see as input", family)
	text, err := json.Marshal(root)
	if err != nil {
		panic("rego: the schema of the input has no JSON form: " + err.Error())
	}
	return text
}

func inputMeanings() map[string]string {
	meanings := map[string]string{}
	for line := range strings.Lines(inputText) {
		path, meaning, _ := strings.Cut(strings.TrimSpace(line), ": ")
		meanings[path] = meaning
	}
	return meanings
}

// visit visits everything below a schema that has no references.
func visit(s schema, path string, see func(path string, node map[string]any, optional bool)) {
	node, _ := s.node.(map[string]any)
	properties, _ := node["properties"].(map[string]any)
	needed := textsIn(node["required"])
	for _, name := range sortedKeys(properties) {
		below := strings.TrimPrefix(path+"."+name, ".")
		child, _ := properties[name].(map[string]any)
		if child == nil { // true: anything
			child = map[string]any{}
			properties[name] = child
		}
		see(below, child, !slices.Contains(needed, name))
		visit(schema{s.root, child}, below, see)
	}
	if items, ok := node["items"].(map[string]any); ok {
		visit(schema{s.root, items}, path+"[]", see)
	}
	if values, ok := node["additionalProperties"].(map[string]any); ok {
		visit(schema{s.root, values}, path+".*", see)
	}
}

// typeOf is what a field is, and which values it or its elements have.
func typeOf(node map[string]any) (values []string, kind string) {
	values = append(textsIn(node["enum"]), textsIn(node["examples"])...)
	kind = typeNames[fmt.Sprint(node["type"])]
	items, _ := node["items"].(map[string]any)
	switch {
	case kind == "":
		kind = "anything"
	case items != nil:
		values, _ = typeOf(items)
		kind = "a list of " + map[string]string{"string": "texts", "object": "maps"}[fmt.Sprint(items["type"])]
	}
	return values, kind
}

// copied copies a JSON value.
func copied(node any) any {
	switch node := node.(type) {
	case map[string]any:
		object := maps.Clone(node)
		for key := range object {
			object[key] = copied(object[key])
		}
		return object
	case []any:
		list := slices.Clone(node)
		for i := range list {
			list[i] = copied(list[i])
		}
		return list
	}
	return node
}
