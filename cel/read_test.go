package cel_test

import (
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/cel"
)

// TestReadTellsFaultsOfPredicatesBesideOthers checks that a misspelt field is told though the contract has other faults.
func TestReadTellsFaultsOfPredicatesBesideOthers(t *testing.T) {
	text := `schema: caio.contract/v1
id: Wrong
name: Name
version: 1.0.0
owner: o@example.com
placement: internal
capabilities: [{type: chat}]
cost: {}
privacy: {locality: local}
predicates:
  - id: own
    expr: request.dta.labels == []
  - id: other
    expr: true
`
	contract, program, found := cel.Read("c.yaml", []byte(text))
	if contract != nil || program != nil {
		t.Error("a wrong contract was read")
	}
	got := found.Error()
	for _, want := range []string{"c.yaml:2:5", "c.yaml:12:19", `"data"`, "c.yaml:14:11"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in\n%s", want, got)
		}
	}
	sound := strings.NewReplacer("Wrong", "right", "dta", "data", "expr: true", `expr: "true"`).Replace(text)
	contract, program, found = cel.Read("c.yaml", []byte(sound))
	if contract == nil || program == nil || found.HasErrors() {
		t.Error(found)
	}
	contract, program, found = cel.Read("c.yaml", []byte(strings.Replace(sound, "data.labels == []", "dta.labels == []", 1)))
	if contract != nil || program != nil || !found.HasErrors() {
		t.Error("a contract with a wrong predicate was read")
	}
}
