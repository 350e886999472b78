package policies_test

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/smarthausgroup/caio/policies"
	"github.com/smarthausgroup/caio/rego"
)

var guideFile = regexp.MustCompile("(?ms)^`([a-z]+)/([^`]+)`\n\n```\\w+\n(.*?)^```\n")

// What docs/policies.md tells a reader to write must work, after every section of it.
func TestGuide(t *testing.T) {
	text, err := os.ReadFile("../docs/policies.md")
	if err != nil {
		t.Fatal(err)
	}
	bundles := map[string]fstest.MapFS{}
	tried := 0
	for _, section := range strings.Split(string(text), "\n## ") {
		found := guideFile.FindAllStringSubmatch(section, -1)
		for _, file := range found {
			if bundles[file[1]] == nil {
				bundles[file[1]] = fstest.MapFS{}
			}
			bundles[file[1]][file[2]] = &fstest.MapFile{Data: []byte(file[3])}
		}
		if len(found) == 0 {
			continue
		}
		if line := "kept_in_house contains label if"; strings.Contains(section, line) {
			replaceLastLine(t, bundles["acme"]["policy/acme/acme.rego"], section[strings.Index(section, line):])
		}
		for name, files := range bundles {
			tried++
			guideBundle(t, name, files)
		}
	}
	if tried < 3 {
		t.Errorf("%d bundles were tried: the guide's files were not found", tried)
	}
}

// replaceLastLine follows the guide's advice to put a line in the place of the file's last one.
func replaceLastLine(t *testing.T, file *fstest.MapFile, section string) {
	t.Helper()
	line, _, _ := strings.Cut(section, "\n")
	before, _, found := strings.Cut(string(file.Data), "kept_in_house :=")
	if !found {
		t.Fatal("the guide's rule does not end in what it says to replace")
	}
	file.Data = []byte(before + line + "\n")
}

func guideBundle(t *testing.T, name string, files fstest.MapFS) {
	t.Helper()
	own, ds := rego.ReadFS(name, files)
	if len(ds) > 0 {
		t.Fatal(ds)
	}
	bundles := []*rego.Bundle{read(t, policies.FS), own}
	if _, ds := rego.Compile(bundles, rego.Options{}); len(ds) > 0 {
		t.Errorf("%s: %v", name, ds)
	}
	report, err := rego.Test(context.Background(), bundles[1:], rego.TestOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, result := range report.Results {
		if result.Status != rego.TestPass {
			t.Errorf("%s: %s: %s %s", result.Pos, result.Name, result.Status, result.Detail)
		}
	}
	if name == "acme" && report.Pass < 3 {
		t.Errorf("%s: %d tests passed", name, report.Pass)
	}
}
