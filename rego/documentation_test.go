package rego_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/rego"
)

// TestDocument finds the tests that mention a constraint: by its id, through a rule that they use, and by the rules of one in Conftest's form.
func TestDocument(t *testing.T) {
	b := bundleOf(t, "b", map[string]string{
		"a.rego": policy("caio.policy.a", `# METADATA
# title: A
# description: |
#   What A asks.
# related_resources:
# - ref: https://example.com/a
#   description: Article A
# - ref: https://example.com/b
# custom:
#   severity: high
#   controls: [C 1]
#   remedy: Do otherwise.
violation["A"] contains "a"`, rule(`violation["B"] contains "b"`), rule(`violation["C"] contains "c"`)),
		"a_test.rego": policy("caio.policy.a_test", "import data.caio.policy.a", `helper(id) := count(a.violation[id])`, `of_b := helper("B")`,
			`test_through_helper if of_b == 1`, `test_both if {
	helper("A") == 1
	of_b == 1
}`, `test_deny_elsewhere if "deny" != "A"`, `todo_test_later if helper("A") == 1`),
		"beside.rego":      policy("caio.policy.beside", rule(`violation["D"] contains "d"`), rule(`violation["E"] contains "e"`)),
		"beside_test.rego": policy("caio.policy.beside", `test_d if count(violation["D"]) == 1`),
		"moved.rego":       policy("caio.policy.moved", strings.Replace(annotation, "custom: {", "custom: {id: MOVED, ", 1)+`deny contains "no"`),
		"moved_test.rego":  policy("caio.policy.moved_test", "import data.caio.policy.moved", `test_denies if moved.deny == {"no"}`),
	})
	documented, faults := rego.Document([]*rego.Bundle{b}, rego.Options{})
	if faults.HasErrors() {
		t.Fatal(faults)
	}
	want := map[string][]string{
		"A": {"caio.policy.a_test.test_both", "caio.policy.a_test.test_deny_elsewhere"}, "B": {"caio.policy.a_test.test_through_helper", "caio.policy.a_test.test_both"},
		"C": {}, "D": {"caio.policy.beside.test_d"}, "E": {}, "MOVED": {"caio.policy.moved_test.test_denies"},
	}
	var ids []string
	for _, d := range documented {
		ids = append(ids, d.ID)
		names := []string{}
		for _, mention := range d.Tests {
			names = append(names, mention.Name)
			if mention.Pos.File == "" || mention.Pos.Line == 0 {
				t.Errorf("%s is nowhere", mention.Name)
			}
		}
		if !slices.Equal(names, want[d.ID]) {
			t.Errorf("%s is mentioned by %q, not %q", d.ID, names, want[d.ID])
		}
	}
	if !slices.Equal(ids, []string{"A", "B", "C", "D", "E", "MOVED"}) {
		t.Fatalf("documented: %q", ids)
	}
	if got := documented[0].Related; !slices.Equal(got, []rego.Resource{{Ref: "https://example.com/a", Description: "Article A"}, {Ref: "https://example.com/b"}}) {
		t.Errorf("related: %+v", got)
	}
	broken := bundleOf(t, "b", map[string]string{"a.rego": policy("caio.policy.a", `violation["A"] contains "a"`)})
	if documented, faults := rego.Document([]*rego.Bundle{broken}, rego.Options{}); documented != nil || !faults.HasErrors() {
		t.Errorf("documented %v in spite of a fault", documented)
	}
}
