package rego

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/smarthausgroup/caio/contracts"
)

// TestInputFields: every field of the input has a meaning, and no meaning is of a field that there isn't.
func TestInputFields(t *testing.T) {
	told, there := inputMeanings(), map[string]bool{}
	visit(newSchema(copied(serviceSchema().node)), "", func(path string, node map[string]any, _ bool) {
		there[path] = true
		if properties, _ := node["properties"].(map[string]any); len(properties) == 0 && told[path] == "" {
			t.Errorf("input.txt says nothing of %s", path)
		}
	})
	for path, meaning := range told {
		if !there[path] || !strings.HasSuffix(meaning, ".") {
			t.Errorf("%s: %q, but there is no such field, or it is no sentence", path, meaning)
		}
	}
	safety := InputFields(contracts.StageSafety)
	if len(safety) < 30 || slices.ContainsFunc(safety, func(f InputField) bool { return strings.HasPrefix(f.Path, "service") }) {
		t.Errorf("safety sees %v", safety)
	}
}

// TestInputSchema: OPA's own type checker takes the schema, and refuses a field that there isn't.
func TestInputSchema(t *testing.T) {
	for _, family := range families {
		var schema any
		if err := json.Unmarshal(InputSchema(family), &schema); err != nil {
			t.Fatal(err)
		}
		set := ast.NewSchemaSet()
		set.Put(ast.SchemaRootRef, schema)
		for expression, want := range map[string]bool{`input.request.data.labels[_] == "pii"`: true, `input.request.dta.labels[_] == "pii"`: false, `input.service.attestation == "self"`: family != contracts.StageSafety} {
			compiler := ast.NewCompiler().WithSchemas(set)
			compiler.Compile(map[string]*ast.Module{"a.rego": ast.MustParseModule("package a\n\nx if " + expression)})
			if compiler.Failed() == want {
				t.Errorf("%s: %s: %v", family, expression, compiler.Errors)
			}
		}
	}
}

// TestInputPage holds docs/input.md to the types.
func TestInputPage(t *testing.T) {
	var page strings.Builder
	page.WriteString("# What a rule sees\n\nEvery field of `input`, made of the types of the engine. `caio policy schema` prints the same as a JSON Schema, for `opa check --schema`, Regal and editors:\n\n```console\n$ caio policy schema > input.schema.json\n$ caio policy schema --family safety\n```\n\n" +
		"Rules in `caio.policy` and `caio.traits` see all of it, rules in `caio.safety` neither `service` nor `estimate`. *may be absent* is a field that is left out where there is nothing to say: write a rule for that too. Money is whole micro-USD, 1000000 to the dollar.\n\n| field | is | meaning |\n|---|---|---|\n")
	for _, f := range InputFields(contracts.StagePolicy) {
		kind := f.Type
		if len(f.Values) > 0 {
			kind += ": `" + strings.Join(f.Values, "`, `") + "`"
		}
		if f.Optional {
			kind += "; may be absent"
		}
		fmt.Fprintf(&page, "| `input.%s` | %s | %s |\n", f.Path, kind, f.Meaning)
	}
	const name = "../docs/input.md"
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(name, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(name); err != nil || string(text) != page.String() {
		t.Errorf("%s is not what the types say (-update writes it): %v", name, err)
	}
}
