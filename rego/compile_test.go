package rego_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/rego"
)

var update = flag.Bool("update", false, "write what is found into the golden files")

// bundleOf makes a bundle of texts by path.
func bundleOf(t interface {
	Helper()
	Fatal(...any)
}, name string, files map[string]string) *rego.Bundle {
	t.Helper()
	fsys := fstest.MapFS{}
	for path, text := range files {
		fsys[path] = &fstest.MapFile{Data: []byte(text)}
	}
	b, faults := rego.ReadFS(name, fsys)
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestCompile holds every fault, with its position, to a golden file: testdata/compile/*.txtar, each the files of a bundle and the faults wanted, for untidy*.txtar with the warnings of Check.
func TestCompile(t *testing.T) {
	files, err := filepath.Glob("testdata/compile/*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d cases found, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			texts := map[string]string{}
			want := ""
			for _, f := range archive.Files {
				if f.Name == "want" {
					want = string(f.Data)
					continue
				}
				texts[f.Name] = string(f.Data)
			}
			compile := rego.Compile
			if strings.HasPrefix(filepath.Base(file), "untidy") {
				compile = rego.Check
			}
			_, faults := compile([]*rego.Bundle{bundleOf(t, "b", texts)}, rego.Options{})
			got := ""
			for _, fault := range faults {
				got += fault.Code + ": " + fault.String() + "\n"
			}
			if *update {
				archive.Files[len(archive.Files)-1].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// TestCompileSeveral are the faults between bundles.
func TestCompileSeveral(t *testing.T) {
	pack := func(name, roots string) *rego.Bundle {
		return bundleOf(t, name, map[string]string{".manifest": `{"roots": [` + roots + `]}`})
	}
	for _, c := range []struct {
		bundles []*rego.Bundle
		want    string
	}{
		{[]*rego.Bundle{pack("a", `"x"`), pack("b", `"y", "xx"`)}, ""},
		{[]*rego.Bundle{pack("a", `"x"`), pack("b", `"x/y"`)}, `b/.manifest: the root "x/y" overlaps the root "x" of the bundle a: A new version of a bundle takes its place, under its name: did you mean b alone, or, of one that is pushed, --name a?`},
		{[]*rego.Bundle{pack("a", `"x"`), pack("b", `""`)}, `b/.manifest: the bundle b does not say which roots are its own, so it claims those of a too: name them in a .manifest, as in {"roots": ["caio/policy/b"]}`},
		{[]*rego.Bundle{ // nothing is said of the second definition of everything
			bundleOf(t, "a", map[string]string{".manifest": `{"roots": ["caio/policy/x"]}`, "c.rego": policy("caio.policy.x", rule(`violation["X"] contains "x"`))}),
			bundleOf(t, "b", map[string]string{".manifest": `{"roots": ["caio/policy/x"]}`, "c.rego": policy("caio.policy.x", rule(`violation["X"] contains "x"`))}),
		}, `b/.manifest: the root "caio/policy/x" overlaps the root "caio/policy/x" of the bundle a: A new version of a bundle takes its place, under its name: did you mean b alone, or, of one that is pushed, --name a?`},
		{[]*rego.Bundle{pack("a", `"x"`), pack("a", `"y"`)}, `a: two bundles have the name "a"`},
		{[]*rego.Bundle{
			bundleOf(t, "a", map[string]string{".manifest": `{"roots": ["caio/policy/x"]}`, "b/c.rego": policy("caio.policy.x", "x := 1")}),
			bundleOf(t, "a/b", map[string]string{".manifest": `{"roots": ["caio/policy/y"]}`, "c.rego": policy("caio.policy.y", "x := 1")}),
		}, `a/b/c.rego:1:1: two bundles have a file a/b/c.rego: Give the bundles names of which none continues another.`},
	} {
		_, faults := rego.Compile(c.bundles, rego.Options{})
		if got := strings.TrimSpace(faults.Error()); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// TestSchemaBombs are schemas whose references multiply: reading them must end, and one with too many branches covers nothing.
func TestSchemaBombs(t *testing.T) {
	doubling := `{"$ref": "#/$defs/0", "$defs": {`
	for i := range 20 {
		doubling += fmt.Sprintf(`"%d": {"anyOf": [{"$ref": "#/$defs/%d"}, {"$ref": "#/$defs/%d"}]}, `, i, i+1, i+1)
	}
	doubling += `"20": {"type": "object", "properties": {"x": {"$ref": "#"}}}}}`
	for name, c := range map[string]struct{ text, want string }{
		"doubling":   {doubling, "uncovered-data"},
		"circle":     {`{"type": "object", "properties": {"x": {"$ref": "#"}, "y": {"$ref": "#"}, "z": {"$ref": "#"}}}`, "optional-data"},
		"wide steps": {`{"type": "object", "properties": {"x": {"type": "array", "items": {"oneOf": [{"$ref": "#"}, {"$ref": "#"}, {"$ref": "#"}]}}}}`, "uncovered-data"},
	} {
		t.Run(name, func(t *testing.T) {
			b := bundleOf(t, "b", map[string]string{"schema.json": c.text, "a.rego": policy("caio.policy.a", rule(`violation["A"] contains "x" if data`+strings.Repeat(".x[0]", 20)+` == 1`), rule(`violation["B"] contains "x" if data`+strings.Repeat(".x", 40)+` == 1`))})
			_, faults := rego.Compile([]*rego.Bundle{b}, rego.Options{})
			if !slices.ContainsFunc(faults, func(d contracts.Diagnostic) bool { return d.Code == c.want }) {
				t.Errorf("got %v, want %s", faults, c.want)
			}
		})
	}
}
