package rego

import (
	"maps"
	"slices"
	"strings"
)

// Schema is the JSON Schema of a tenant's settings: that of settings.core and of every pack, as their bundles have it. What the bundles' defaults give is not required of the tenant, and stands at `default`.
// A pack's schema is complete in itself, with an `$id` of its own, so that it can be taken out and used alone.
func (f *SettingsForm) Schema() map[string]any {
	defaults := f.InForce(nil)
	packs := map[string]any{coreSettings: described(coreSettings, coreSchema().schema, nil)}
	for _, s := range slices.Concat(f.schemas, f.waiting) {
		for _, settings := range s.settings() {
			for _, node := range settings.alternatives() {
				properties, _ := node["properties"].(map[string]any)
				for _, pack := range sortedKeys(properties) {
					if packs[pack] == nil {
						packs[pack] = described(pack, schema{s.root, properties[pack]}, defaults[pack])
					}
				}
			}
		}
	}
	return map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Operational settings",
		"type": "object", "properties": packs, "additionalProperties": f.open,
	}
}

// described is the schema of one pack, as a document of its own.
func described(pack string, s schema, defaults any) map[string]any {
	c := carrying{root: s.root, definitions: map[string]any{}}
	node, ok := c.copy(s.node).(map[string]any)
	if !ok {
		node = map[string]any{}
	}
	offer(node, defaults)
	node["$id"] = "urn:caio:settings:" + pack
	if len(c.definitions) > 0 {
		node["$defs"] = c.definitions
	}
	return node
}

// carrying copies a part of a schema to a document of its own, with what it refers to.
type carrying struct {
	root        any
	definitions map[string]any // by the name under which they are referred to
}

func (c *carrying) copy(node any) any {
	switch node := node.(type) {
	case []any:
		list := make([]any, len(node))
		for i := range node {
			list[i] = c.copy(node[i])
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(node))
		for key, below := range node {
			if reference, ok := below.(string); ok && key == "$ref" {
				object[key] = "#/$defs/" + c.define(reference)
				continue
			}
			object[key] = c.copy(below)
		}
		return object
	}
	return node
}

// define makes sure that the target of a reference comes along, and returns its name there.
func (c *carrying) define(reference string) string {
	name := strings.TrimPrefix(strings.TrimPrefix(reference, "#"), "/")
	name = strings.NewReplacer("/", ".", "~", "-").Replace(strings.TrimPrefix(name, "$defs/"))
	if _, there := c.definitions[name]; !there {
		c.definitions[name] = true // until it is copied: it may refer to itself
		c.definitions[name] = c.copy(schema{c.root, c.root}.resolve(reference).node)
	}
	return name
}

// offer writes defaults into a copied schema, and takes them out of what is required.
func offer(node map[string]any, defaults any) {
	given, _ := defaults.(map[string]any)
	if names, ok := node["required"].([]any); ok {
		names = slices.DeleteFunc(slices.Clone(names), func(name any) bool {
			text, ok := name.(string)
			_, there := given[text]
			return ok && there
		})
		if node["required"] = names; len(names) == 0 {
			delete(node, "required")
		}
	}
	properties, _ := node["properties"].(map[string]any)
	for name, value := range given {
		below, ok := properties[name].(map[string]any)
		switch {
		case !ok:
		case below["properties"] != nil:
			offer(below, value)
		default:
			below = maps.Clone(below)
			below["default"] = value
			properties[name] = below
		}
	}
}
