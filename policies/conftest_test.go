package policies_test

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/open-policy-agent/opa/v1/ast"
	oparego "github.com/open-policy-agent/opa/v1/rego"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/rego"
)

var (
	pageFile     = regexp.MustCompile("(?ms)^`([^`\n]+)`\n\n```\\w+\n(.*?)^```\n")
	pageDiff     = regexp.MustCompile("(?ms)^```diff\n(.*?)^```\n")
	conftestLine = regexp.MustCompile(`(?m)^FAIL - \S+ - main - (.*)$`)
	conftestRule = regexp.MustCompile(`^(deny|violation)(_[a-zA-Z0-9]+)*$`) // which rules Conftest evaluates
)

// What docs/conftest.md shows must be so: that its policies find what Conftest printed, that the edits make one file of the other, that there are two of them, and that CAIO finds the same.
func TestConftestPage(t *testing.T) {
	text, err := os.ReadFile("../docs/conftest.md")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, file := range pageFile.FindAllStringSubmatch(string(text), -1) {
		files[file[1]] = file[2]
	}
	var printed []string
	for _, line := range conftestLine.FindAllStringSubmatch(string(text), -1) {
		printed = append(printed, line[1])
	}
	slices.Sort(printed)
	if len(printed) < 3 {
		t.Fatalf("the page shows %d lines of Conftest's", len(printed))
	}
	edits := pageDiff.FindAllStringSubmatch(string(text), -1)
	if len(edits) != 3 {
		t.Fatalf("the page shows %d edits", len(edits))
	}
	modules, moved := map[string]string{}, fstest.MapFS{}
	for _, diff := range edits {
		from, to := followDiff(t, files, diff[1])
		modules[from] = files[from]
		moved[strings.TrimPrefix(to, "moved/")] = &fstest.MapFile{Data: []byte(files[to])}
	}
	moved[".manifest"] = &fstest.MapFile{Data: []byte(files["moved/.manifest"])}
	if got := asConftest(t, modules, files["uses/tickets.yaml"]); !slices.Equal(got, printed) {
		t.Errorf("as Conftest evaluates them, the policies find\n%q, and the page says\n%q", got, printed)
	}
	if got := asCAIO(t, moved, files["uses/tickets.yaml"]); !slices.Equal(got, printed) {
		t.Errorf("moved over, the policies find\n%q, and Conftest found\n%q", got, printed)
	}
}

// followDiff checks that a diff turns one file of the page into the other, and that it is two edits: the head, and an annotation.
func followDiff(t *testing.T, files map[string]string, diff string) (from, to string) {
	t.Helper()
	var removed, added []string
	hunks := 0
	for line := range strings.Lines(diff) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "--- "):
			from = line[4:]
		case strings.HasPrefix(line, "+++ "):
			to = line[4:]
		case strings.HasPrefix(line, "@@"):
			hunks++
		case strings.HasPrefix(line, "-"):
			removed = append(removed, line[1:])
		case strings.HasPrefix(line, "+"):
			added = append(added, line[1:])
		}
	}
	if hunks != 2 || files[from] == "" || files[to] == "" || len(added) < 3 {
		t.Fatalf("%d edits between %s and %s", hunks, from, to)
	}
	if !slices.Equal(removed, []string{"package main", "import rego.v1"}) || !strings.HasPrefix(added[0], "package caio.") || added[1] != "import rego.v2" || added[2] != "# METADATA" {
		t.Errorf("%s: removed %q, added %q", from, removed, added)
	}
	for _, line := range added[2:] {
		if !strings.HasPrefix(line, "# ") {
			t.Errorf("%s: %q is more than an annotation", from, line)
		}
	}
	head := strings.Join(removed, "\n") + "\n"
	rest, found := strings.CutPrefix(files[from], head)
	before, after, annotated := strings.Cut(files[to], strings.Join(added[2:], "\n")+"\n")
	if !found || !annotated || before+after != strings.Join(added[:2], "\n")+"\n"+rest {
		t.Errorf("the edits do not turn %s into %s", from, to)
	}
	return from, to
}

// asConftest evaluates the rules that Conftest does, and gives their messages in order.
func asConftest(t *testing.T, modules map[string]string, document string) (messages []string) {
	t.Helper()
	var input any
	if err := yaml.Unmarshal([]byte(document), &input); err != nil {
		t.Fatal(err)
	}
	options := []func(*oparego.Rego){oparego.Input(input)}
	var names []string
	for name, text := range modules {
		options = append(options, oparego.Module(name, text))
		for _, rule := range ast.MustParseModule(text).Rules {
			if name := rule.Head.Name.String(); conftestRule.MatchString(name) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	for _, name := range names {
		result, err := oparego.New(append(options, oparego.Query("data.main."+name))...).Eval(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range result[0].Expressions[0].Value.([]any) {
			if object, ok := found.(map[string]any); ok {
				found = object["msg"]
			}
			messages = append(messages, found.(string))
		}
	}
	slices.Sort(messages)
	return messages
}

// asCAIO evaluates a bundle on the same service and request.
func asCAIO(t *testing.T, files fstest.MapFS, document string) (messages []string) {
	t.Helper()
	var use struct {
		Request struct {
			Intent struct{ Type string }
			Data   struct{ Labels []string }
		}
		Service struct {
			ID      string
			Privacy struct {
				Regions   []string
				Retention *int64 `yaml:"retention_days"`
			}
		}
		Estimate struct {
			Cost int64 `yaml:"cost_micro_usd"`
		}
	}
	if err := yaml.UnmarshalWithOptions([]byte(document), &use, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	compiled, ds := rego.Compile([]*rego.Bundle{read(t, files)}, rego.Options{})
	if ds.HasErrors() || len(compiled.Constraints()) != 3 {
		t.Fatalf("%v, %v", ds, compiled)
	}
	request := &contracts.Request{Intent: contracts.Intent{Type: use.Request.Intent.Type}, Data: contracts.Data{Labels: use.Request.Data.Labels}}
	contract := &contracts.Contract{ID: use.Service.ID, Placement: contracts.External, Privacy: contracts.Privacy{Locality: contracts.Cloud, Regions: use.Service.Privacy.Regions, RetentionDays: use.Service.Privacy.Retention}}
	found, err := compiled.Evaluate(context.Background(), contracts.StagePolicy, rego.Input{
		Shared:   rego.NewShared(request, contracts.Principal{}, time.Unix(0, 0)),
		Service:  rego.NewService(contract, contracts.SelfAttested),
		Estimate: contracts.ServiceEstimate{CostMicroUSD: use.Estimate.Cost},
		Route:    contracts.External,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, violation := range found.Violations {
		messages = append(messages, strings.Split(violation.Reason, "; ")...)
	}
	slices.Sort(messages)
	return messages
}
