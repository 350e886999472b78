package policies_test

import (
	"context"
	"io/fs"
	"testing"

	"github.com/smarthausgroup/caio/engine/scenario"
	"github.com/smarthausgroup/caio/policies"
	"github.com/smarthausgroup/caio/rego"
)

// The scenarios in the packs show whole decisions under all packs and the settings of the scenario.
func TestScenarios(t *testing.T) {
	files, err := fs.Glob(policies.FS, "*/*/*.scenario.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 4 {
		t.Fatalf("only %q have been found", files)
	}
	bundles := []*rego.Bundle{read(t, policies.FS)}
	for _, file := range files {
		text, err := policies.FS.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		scenarios, ds := scenario.Parse(file, text, nil)
		if len(ds) > 0 {
			t.Fatal(ds)
		}
		for i := range scenarios {
			result, err := scenarios[i].Run(context.Background(), bundles)
			if err != nil {
				t.Fatal(err)
			}
			if len(result.Differences) > 0 {
				t.Errorf("%s: %s\n%s", scenarios[i].Pos, scenarios[i].Name, scenario.Table(result.Differences))
			}
		}
	}
}
