package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/smarthausgroup/caio/rego"
	"pgregory.net/rapid"
)

// scriptWorkflow parses a workflow of CI and runs the commands of caio's in it, and those that make folders, in the current folder, as CI would.
func scriptWorkflow(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: workflow FILE")
	}
	var document any
	ts.Check(yaml.Unmarshal([]byte(ts.ReadFile(args[0])), &document))
	ran := 0
	for _, command := range workflowCommands(document, false) {
		switch name, _, _ := strings.Cut(command, " "); name {
		case "caio":
			ran++
			fallthrough
		case "mkdir":
			ts.Logf("> %s", command)
			ts.Check(ts.Exec("sh", "-e", "-c", command))
		}
	}
	if ran < 5 {
		ts.Fatalf("%s: %d commands of caio's", args[0], ran)
	}
}

// workflowCommands are the texts below run (GitHub), before_script and script (GitLab), line by line.
func workflowCommands(node any, inside bool) (commands []string) {
	switch node := node.(type) {
	case map[string]any:
		for _, key := range []string{"jobs", "policies", "steps", "before_script", "script", "run"} {
			commands = append(commands, workflowCommands(node[key], inside || key == "before_script" || key == "script" || key == "run")...)
		}
	case []any:
		for _, entry := range node {
			commands = append(commands, workflowCommands(entry, inside)...)
		}
	case string:
		if inside {
			commands = strings.Split(strings.TrimSpace(node), "\n")
		}
	}
	return commands
}

// TestTemplateIsABundle holds the template to what it becomes, as it stands in the source.
func TestTemplateIsABundle(t *testing.T) {
	bundle, faults := rego.ReadFS("template", os.DirFS("template"))
	if faults.HasErrors() {
		t.Fatal(faults)
	}
	if _, faults := rego.Compile([]*rego.Bundle{bundle}, rego.Options{}); len(faults) > 0 {
		t.Error(faults)
	}
}

var (
	shownCommand = regexp.MustCompile(`(?m)^(?: *# +(?:- )?(?:run: )?|\$ |.*\| *|    )(caio .*)$`)
	quotedText   = regexp.MustCompile(`'[^']*'|"[^"]*"`)
)

// TestPagesShowCommandsThatThereAre holds what the documentation shows, and the template in its README and in comments of its workflows, to the flags of the commands.
func TestPagesShowCommandsThatThereAre(t *testing.T) {
	shown := 0
	for _, pattern := range []string{"template/.gitlab-ci.yml", "template/.github/workflows/policies.yml", "template/README.md", "../../README.md", "../../docs/*.md", "../../docs/checks/*.md", "../../policies/README.md"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range shownCommand.FindAllStringSubmatch(string(text), -1) {
				shown++
				example(t, quotedText.ReplaceAllString(line[1], "text"))
			}
		}
	}
	if shown < 100 {
		t.Errorf("%d commands are shown", shown)
	}
}

// TestPackNames fills the template with any name: it compiles, or the name is refused.
func TestPackNames(t *testing.T) {
	refused := 0
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(rapid.StringMatching(packName.String()), rapid.SampledFrom([]string{"count", "sprintf", "house", "settings", "testing", "input", "data", "default", "not", "some", "in", "if", "null", "true"})).Draw(t, "name")
		files, err := fillRepository(name)
		if err != nil {
			refused++
			if !strings.Contains(err.Error(), "--name") {
				t.Fatalf("%s: %v", name, err)
			}
			return
		}
		for path, text := range files {
			if strings.Contains(strings.ToLower(path+string(text)), "yourpack") {
				t.Fatalf("%s still holds the template's name", path)
			}
		}
	})
	if refused == 0 {
		t.Error("no name was refused")
	}
}
