package rego_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/rego"
)

const sourcesSchema = `{"type": "object", "required": ["caio"], "properties": {"caio": {"type": "object", "required": ["settings"], "properties": {"settings": {"type": "object", "required": ["a", "b"], "properties": {
	"a": {"type": "object", "required": ["labels"], "properties": {"labels": {"type": "array", "items": {"type": "string"}}}}, "b": {"type": "object", "required": ["most"], "properties": {"most": {"type": "integer"}}}}}}}}}`

const (
	keptInSettings = `kept(label) if label in data.caio.settings.a.labels`
	keptSecret     = `kept(label) if {
	label == "secret"
} else := false if nobody`
)

func sourced() map[string]string {
	return map[string]string{
		"a.rego": policy("caio.policy.a", "import data.shared.words\n", rule(`violation["A"] contains msg if {
	some label in input.request.data.labels
	kept(label)
	msg := words.because(label)
}`), rule(`violation["B"] contains "too much" if {
	input.request.estimate.units > data.caio.settings.b.most
}`), keptInSettings, keptSecret, `nobody if not input.principal.tenant`, `warn["A"] contains "unrelated" if kept("x")`),
		"words.rego":  "package shared.words\n\nimport rego.v2\n\nbecause(label) := concat(\" \", [\"kept:\", label])\n\nunused(x) := x\n",
		"data.json":   `{"caio": {"settings": {"a": {"labels": ["pii"]}, "b": {"most": 3}}}}`,
		"schema.json": sourcesSchema,
	}
}

func sourcesOf(t *testing.T, files map[string]string) map[string]map[string]string {
	t.Helper()
	found, faults := rego.Sources([]*rego.Bundle{bundleOf(t, "b", files)}, rego.Options{})
	if faults.HasErrors() {
		t.Fatal(faults)
	}
	return found
}

// TestSources says what each constraint is made of, and what changes when something changes.
func TestSources(t *testing.T) {
	before := sourcesOf(t, sourced())
	for id, want := range map[string]string{
		"A": `data.caio.policy.a.kept data.caio.policy.a.nobody data.caio.policy.a.violation.A data.caio.settings.a.labels data.shared.words.because`,
		"B": `data.caio.policy.a.violation.B data.caio.settings.b.most`,
	} {
		if got := strings.Join(slices.Sorted(maps.Keys(before[id])), " "); got != want {
			t.Errorf("%s is made of\n%s, want\n%s", id, got, want)
		}
	}
	for name, c := range map[string]struct{ file, old, new, want string }{
		"a condition":        {"a.rego", `kept(label)`, `not kept(label)`, "A data.caio.policy.a.violation.A"},
		"a helper":           {"a.rego", `== "secret"`, `== "hidden"`, "A data.caio.policy.a.kept"},
		"an else":            {"a.rego", `:= false if nobody`, `:= true if nobody`, "A data.caio.policy.a.kept"},
		"below an else":      {"a.rego", `if not input.principal`, `if input.principal`, "A data.caio.policy.a.nobody"},
		"another package":    {"words.rego", `"kept:"`, `"held:"`, "A data.shared.words.because"},
		"a default":          {"data.json", `"most": 3`, `"most": 4`, "B data.caio.settings.b.most"},
		"what nobody uses":   {"words.rego", `unused(x) := x`, `unused(x) := [x]`, ""},
		"a warning":          {"a.rego", `"unrelated"`, `"of no interest"`, ""},
		"a comment":          {"a.rego", "\tkept(label)\n", "\tkept(label) # so be it\n", ""},
		"white space":        {"a.rego", "kept(label) if label in", "kept(label)  if  label   in", ""},
		"the order of rules": {"a.rego", keptInSettings + "\n\n" + keptSecret, keptSecret + "\n\n" + keptInSettings, ""},
	} {
		t.Run(name, func(t *testing.T) {
			files := sourced()
			changed := strings.Replace(files[c.file], c.old, c.new, 1)
			if changed == files[c.file] {
				t.Fatal("nothing was changed")
			}
			files[c.file] = changed
			var got []string
			for id, now := range sourcesOf(t, files) {
				for name := range now {
					if now[name] != before[id][name] {
						got = append(got, id, name)
					}
				}
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("changed: %v, want %s", got, c.want)
			}
		})
	}
}

// TestDocumentedSettings says which settings a constraint reads, and their defaults.
func TestDocumentedSettings(t *testing.T) {
	documented, faults := rego.Document([]*rego.Bundle{bundleOf(t, "b", sourced())}, rego.Options{})
	if faults.HasErrors() {
		t.Fatal(faults)
	}
	for i, want := range []string{`[{a.labels ["pii"]}]`, `[{b.most 3}]`} {
		if got := fmt.Sprintf("%s", documented[i].Settings); got != want {
			t.Errorf("%s reads %s, not %s", documented[i].ID, got, want)
		}
	}
}

// TestSourcesOfConftest follows rules without an id in their path.
func TestSourcesOfConftest(t *testing.T) {
	found := sourcesOf(t, map[string]string{"a.rego": "package caio.policy.a\n\nimport rego.v2\n\n# METADATA\n# title: t\n# custom:\n#   id: X\n#   severity: low\n#   controls: []\n#   remedy: r\ndeny contains \"no\" if far\n\ndeny_more contains \"no\" if input.route == \"hybrid\"\n\nfar if input.route == \"external\"\n"})
	if got := strings.Join(slices.Sorted(maps.Keys(found["X"])), " "); got != "data.caio.policy.a.deny data.caio.policy.a.deny_more data.caio.policy.a.far" {
		t.Errorf("X is made of %s", got)
	}
}
