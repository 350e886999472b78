//go:build !race

// Hundreds of compilations, one after the other in each pack: the race detector would find nothing here and take minutes.

package policies_test

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/smarthausgroup/caio/policies"
	"github.com/smarthausgroup/caio/rego"
)

// modules parses the rules of the packs, by file.
func modules(t *testing.T) map[string]*ast.Module {
	t.Helper()
	found, err := fs.Glob(policies.FS, "*/*/*.rego")
	if err != nil {
		t.Fatal(err)
	}
	parsed := map[string]*ast.Module{}
	for _, file := range found {
		if strings.HasSuffix(file, "_test.rego") {
			continue
		}
		text, err := policies.FS.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		module, err := ast.ParseModule(file, string(text))
		if err != nil {
			t.Fatal(err)
		}
		parsed[file] = module
	}
	if len(parsed) < 5 {
		t.Fatalf("%d packs", len(parsed))
	}
	return parsed
}

// noticed reports whether a test of the pack fails, or the pack does not compile, with one file changed. The other packs' rules are left out, which is quicker.
func noticed(t *testing.T, pack, file, text string) bool {
	t.Helper()
	files := packFiles(t)
	for other := range files {
		if strings.HasSuffix(other, ".rego") && path.Dir(other) != path.Dir(file) {
			delete(files, other)
		}
	}
	files[file] = &fstest.MapFile{Data: []byte(text)}
	report, err := rego.Test(context.Background(), []*rego.Bundle{read(t, files)}, rego.TestOptions{FailFast: true})
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
	for file, module := range modules(t) {
		pack := module.Package.Path.String()[len("data."):]
		text, _ := policies.FS.ReadFile(file)
		t.Run(pack, func(t *testing.T) {
			t.Parallel()
			if noticed(t, pack, file, string(text)) {
				t.Fatal("the pack by itself does not pass its tests")
			}
			faults := 0
			for _, fault := range append(conditions(module, string(text)), firings(module, string(text))...) {
				faults++
				if !noticed(t, pack, file, fault.text) {
					t.Errorf("%s:%d: no test notices that %s", file, fault.line, fault.what)
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
