package policies_test

import (
	"context"
	"fmt"
	"io/fs"
	gopath "path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/policies"
	"github.com/smarthausgroup/caio/rego"
)

// packFiles are the files of the bundle.
func packFiles(t *testing.T) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	err := fs.WalkDir(policies.FS, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := policies.FS.ReadFile(path)
		files[path] = &fstest.MapFile{Data: text}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func read(t *testing.T, files fs.FS) *rego.Bundle {
	t.Helper()
	b, ds := rego.ReadFS("baseline", files)
	if len(ds) > 0 {
		t.Fatal(ds)
	}
	return b
}

func TestConstraints(t *testing.T) {
	compiled, ds := rego.Compile([]*rego.Bundle{read(t, policies.FS)}, rego.Options{})
	if len(ds) > 0 {
		t.Fatal(ds)
	}
	var got []string
	for _, c := range compiled.Constraints() {
		got = append(got, string(c.Family)+" "+c.ID)
		for name, text := range map[string]string{"title": c.Title, "description": c.Description, "remedy": c.Remedy} {
			if text == "" {
				t.Errorf("%s has no %s", c.ID, name)
			}
		}
		if len(c.Controls) == 0 {
			t.Errorf("%s names no control", c.ID)
		}
		page, err := policies.FS.ReadFile(strings.ReplaceAll(strings.TrimPrefix(c.Package, "caio."), ".", "/") + "/README.md")
		if err != nil || !strings.Contains(string(page), "| `"+c.ID+"` |") {
			t.Errorf("the page of %s does not explain %s (%v)", c.Package, c.ID, err)
		}
	}
	want := []string{
		"safety ACTION-HUMAN", "safety ACTION-INTENT", "safety ACTION-TOOL",
		"traits CONFIDENTIAL-LOCALITY", "traits CONFIDENTIAL-ROUTE",
		"policy GDPR-28-3-A", "policy GDPR-44", "policy GDPR-5-1-B", "policy GDPR-5-1-C", "policy GDPR-9",
		"policy SPEND-BUDGET", "policy SPEND-ESTIMATE", "policy SPEND-INTENT", "policy SPEND-ROLE", "policy SPEND-TENANT",
		"policy VENDOR-APPROVED", "policy VENDOR-ATTESTATION", "policy VENDOR-CERTIFIED",
	}
	if !slices.Equal(got, want) {
		t.Errorf("constraints\n got %q\nwant %q", got, want)
	}
}

func TestPacks(t *testing.T) {
	report, err := rego.Test(context.Background(), []*rego.Bundle{read(t, policies.FS)}, rego.TestOptions{Coverage: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, result := range report.Results {
		if result.Status != "pass" {
			t.Errorf("%s: %s.%s: %s %s", result.Pos, result.Package, result.Name, result.Status, result.Detail)
		}
	}
	if report.Pass < 60 {
		t.Errorf("%d tests passed: most of them were not run", report.Pass)
	}
	if report.Coverage == nil || *report.Coverage != 100 {
		t.Errorf("not covered: %v", report.Uncovered)
	}
}

// A setting that is missing, misspelt or of the wrong type is refused; one that is right is merged over the defaults.
func TestSettings(t *testing.T) {
	setting := func(pack string, settings map[string]any) rego.Options {
		return rego.Options{Settings: map[string]any{pack: settings}}
	}
	for name, c := range map[string]struct {
		options rego.Options
		want    string // in the fault; "" for none
	}{
		"another region":     {setting("gdpr", map[string]any{"regions": []any{"eu", "uk"}}), ""},
		"a purpose more":     {setting("gdpr", map[string]any{"purposes": map[string]any{"care": map[string]any{"intents": []any{"chat"}, "labels": []any{"phi"}}}}), ""},
		"settings of others": {setting("core", map[string]any{"require_label": true}), ""},
		"misspelt":           {setting("gdpr", map[string]any{"region": []any{"eu"}}), "region"},
		"a text for a list":  {setting("gdpr", map[string]any{"regions": "eu"}), "regions"},
		"an empty ground":    {setting("gdpr", map[string]any{"special_grounds": map[string]any{"care": " "}}), "care"},
		"no such level":      {setting("vendors", map[string]any{"min_attestation": "trusted"}), "min_attestation"},
		"half a purpose":     {setting("gdpr", map[string]any{"purposes": map[string]any{"care": map[string]any{"intents": []any{"chat"}}}}), "labels"},
		"half a micro":       {setting("spend", map[string]any{"default_micro_usd": contracts.Decimal(500_000)}), "default_micro_usd"},
		"below nothing":      {setting("spend", map[string]any{"by_role": map[string]any{"x": contracts.Decimal(-1_000_000)}}), "x"},
		"above 1":            {setting("confidential", map[string]any{"levels": []any{map[string]any{"from": contracts.Decimal(2_000_000), "localities": []any{}, "routes": []any{}}}}), "from"},
	} {
		t.Run(name, func(t *testing.T) {
			_, ds := rego.Compile([]*rego.Bundle{read(t, policies.FS)}, c.options)
			switch {
			case c.want == "" && len(ds) > 0:
				t.Error(ds)
			case c.want != "" && !strings.Contains(ds.Error(), c.want):
				t.Errorf("got %q, want a fault about %s", ds.Error(), c.want)
			}
		})
	}
}

// modules parses the rules of the packs, by path.
func modules(t *testing.T) map[string]*ast.Module {
	t.Helper()
	paths, err := fs.Glob(policies.FS, "*/*/*.rego")
	if err != nil {
		t.Fatal(err)
	}
	parsed := map[string]*ast.Module{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.rego") {
			continue
		}
		text, err := policies.FS.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		module, err := ast.ParseModule(path, string(text))
		if err != nil {
			t.Fatal(err)
		}
		parsed[path] = module
	}
	if len(parsed) < 5 {
		t.Fatalf("%d packs", len(parsed))
	}
	return parsed
}

// noticed reports whether a test of the pack fails, or the pack does not compile, with one file changed. The other packs' rules are left out, which is quicker.
func noticed(t *testing.T, pack, path, text string) bool {
	t.Helper()
	files := packFiles(t)
	for other := range files {
		if strings.HasSuffix(other, ".rego") && gopath.Dir(other) != gopath.Dir(path) {
			delete(files, other)
		}
	}
	files[path] = &fstest.MapFile{Data: []byte(text)}
	report, err := rego.Test(context.Background(), []*rego.Bundle{read(t, files)}, rego.TestOptions{})
	if err != nil {
		return true
	}
	if len(report.Results) == 0 {
		t.Fatalf("%s: no test was run", pack)
	}
	return report.Fail+report.Error > 0
}

// A rule that never fires, and a condition that is left out, must fail a test; so must a constraint that always fires.
func TestTestsNoticeFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("changes every condition of every rule")
	}
	for path, module := range modules(t) {
		pack := module.Package.Path.String()[len("data."):]
		text, _ := policies.FS.ReadFile(path)
		t.Run(pack, func(t *testing.T) {
			t.Parallel()
			faults := 0
			for _, fault := range append(conditions(module, string(text)), firings(module, string(text))...) {
				faults++
				if !noticed(t, pack, path, fault.text) {
					t.Errorf("%s:%d: no test notices that %s", path, fault.line, fault.what)
				}
			}
			if faults < 4 {
				t.Errorf("%d faults were tried", faults)
			}
		})
	}
}

// fault is a changed module.
type fault struct {
	line       int
	what, text string
}

// conditions replaces every expression of every body by one that is always true, and by one that never is.
func conditions(module *ast.Module, text string) []fault {
	var faults []fault
	ast.WalkBodies(module, func(body ast.Body) bool {
		for _, e := range body {
			at := e.Location
			if len(at.Text) == 0 || string(at.Text) == "true" {
				continue // the body of a rule that has none
			}
			for _, constant := range []string{"true", "false"} {
				changed := text[:at.Offset] + constant + text[at.Offset+len(at.Text):]
				faults = append(faults, fault{at.Row, fmt.Sprintf("%q is %s", at.Text, constant), changed})
			}
		}
		return false
	})
	return faults
}

// firings adds to every constraint a rule that always fires.
func firings(module *ast.Module, text string) []fault {
	var faults []fault
	seen := map[string]bool{}
	for _, rule := range module.Rules {
		name := rule.Head.Ref().String()
		if !strings.HasPrefix(name, "violation[") || seen[name] {
			continue
		}
		seen[name] = true
		faults = append(faults, fault{rule.Loc().Row, name + " always fires", text + "\n" + name + " contains \"always\" if true\n"})
	}
	return faults
}
