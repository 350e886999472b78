package rego_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/loader"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/rego"
)

// plainCase is a folder of Rego that is no bundle of CAIO's.
type plainCase struct {
	file    string
	archive *txtar.Archive // the last file is what is wanted
	options rego.PlainOptions
}

// plainCases reads testdata/test/*.txtar. Flags of `opa test` stand in the comment's first line.
func plainCases(t *testing.T) []plainCase {
	t.Helper()
	files, err := filepath.Glob("testdata/test/*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d cases found, %v", len(files), err)
	}
	var cases []plainCase
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c := plainCase{file: file, archive: archive}
		first, _, _ := strings.Cut(string(archive.Comment), "\n")
		if flags, ok := strings.CutPrefix(first, "flags: "); ok {
			words := strings.Fields(flags)
			for i, word := range words {
				switch word {
				case "--bundle":
					c.options.Bundle = true
				case "--v0-compatible":
					c.options.V0 = true
				case "--ignore":
					c.options.Ignore = append(c.options.Ignore, words[i+1])
				}
			}
		}
		cases = append(cases, c)
	}
	return cases
}

// unpack writes the files of a case to a folder "dir", below the working directory, so that positions are the same everywhere.
func (c plainCase) unpack(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, file := range c.archive.Files[:len(c.archive.Files)-1] {
		path := filepath.Join("dir", file.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, file.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPlain holds results and explanations to golden files.
func TestPlain(t *testing.T) {
	for _, c := range plainCases(t) {
		t.Run(strings.TrimSuffix(filepath.Base(c.file), ".txtar"), func(t *testing.T) {
			golden, err := filepath.Abs(c.file)
			if err != nil {
				t.Fatal(err)
			}
			c.unpack(t)
			report, err := rego.TestPlain(context.Background(), []string{"dir"}, c.options, rego.TestOptions{})
			got := outcome(report) + "\n"
			if err != nil {
				got = err.Error() + "\n"
			}
			want := &c.archive.Files[len(c.archive.Files)-1]
			if *update {
				want.Data = []byte(got)
				if err := os.WriteFile(golden, txtar.Format(c.archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want.Data) {
				t.Errorf("got\n%s\nwant\n%s", got, want.Data)
			}
		})
	}
}

// TestPlainIsStable runs the same tests, of which several have one name, again and again.
func TestPlainIsStable(t *testing.T) {
	for _, c := range plainCases(t) {
		if filepath.Base(c.file) != "selection.txtar" {
			continue
		}
		c.unpack(t)
		first := ""
		for range 20 {
			report, err := rego.TestPlain(context.Background(), []string{"dir"}, c.options, rego.TestOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if first == "" {
				first = outcome(report)
			}
			if got := outcome(report); got != first {
				t.Fatalf("got\n%s\nand before\n%s", got, first)
			}
		}
		return
	}
	t.Fatal("the case is not there")
}

// summary finds the counts at the end of OPA's report.
var summary = regexp.MustCompile(`(?m)^(PASS|FAIL|SKIPPED|ERROR): (\d+)/\d+$`)

// TestPlainIsAsOPA compares with what `opa test` is made of: its loader, its runner and its own count.
func TestPlainIsAsOPA(t *testing.T) {
	for _, c := range plainCases(t) {
		t.Run(strings.TrimSuffix(filepath.Base(c.file), ".txtar"), func(t *testing.T) {
			c.unpack(t)
			report, err := rego.TestPlain(context.Background(), []string{"dir"}, c.options, rego.TestOptions{Coverage: true})
			opa, coverage, opaErr := opaTest(c.options, "dir")
			if (err == nil) != (opaErr == nil) {
				t.Fatalf("got %v, OPA has %v", err, opaErr)
			}
			if err == nil && len(report.Results) > 0 && *report.Coverage != coverage {
				t.Errorf("coverage %v, OPA has %v", *report.Coverage, coverage)
			}
			counts := map[string]string{"PASS": fmt.Sprint(report.Pass), "FAIL": fmt.Sprint(report.Fail), "SKIPPED": fmt.Sprint(report.Skip), "ERROR": fmt.Sprint(report.Error)}
			for _, count := range summary.FindAllStringSubmatch(opa, -1) {
				if counts[count[1]] != count[2] {
					t.Errorf("%s: got %s, OPA has %s", count[1], counts[count[1]], count[2])
				}
				counts[count[1]] = "0"
			}
			for name, count := range counts {
				if count != "0" {
					t.Errorf("%s: got %s, OPA has none", name, count)
				}
			}
			for _, result := range report.Results {
				if !strings.Contains(opa, fmt.Sprintf("%s:%d:\n", result.Pos.File, result.Pos.Line)) {
					t.Errorf("%s: OPA has no test here:\n%s", result.Pos, opa)
				}
			}
		})
	}
}

// opaTest is OPA's report on a folder, and how much was covered, in percent.
func opaTest(o rego.PlainOptions, dir string) (string, float64, error) {
	ctx := context.Background()
	parser := ast.ParserOptions{RegoVersion: ast.RegoV1, ProcessAnnotation: true}
	if o.V0 {
		parser.RegoVersion = ast.RegoV0
	}
	ignore := func(path string, info fs.FileInfo, depth int) bool {
		for _, pattern := range o.Ignore {
			if loader.GlobExcludeName(pattern, 1)(path, info, depth) {
				return true
			}
		}
		return false
	}
	tracer := cover.New()
	runner := tester.NewRunner().SetCoverageQueryTracer(tracer)
	var modules map[string]*ast.Module
	var store storage.Store
	var err error
	if o.Bundle {
		bundles, s, e := tester.LoadBundlesWithParserOptions([]string{dir}, ignore, parser)
		runner.SetBundles(bundles)
		modules, store, err = map[string]*ast.Module{}, s, e
		for name, b := range bundles {
			maps.Copy(modules, b.ParsedModules(name))
		}
	} else {
		modules, store, err = tester.LoadWithParserOptions([]string{dir}, ignore, parser)
		runner.SetModules(modules)
	}
	if err != nil {
		return "", 0, err
	}
	txn, err := store.NewTransaction(ctx, storage.WriteParams)
	if err != nil {
		return "", 0, err
	}
	defer store.Abort(ctx, txn)
	compiler := ast.NewCompiler().WithPathConflictsCheck(storage.NonEmpty(ctx, store, txn)).WithEnablePrintStatements(true).
		WithCapabilities(ast.CapabilitiesForThisVersion()).WithUseTypeCheckAnnotations(true)
	results, err := runner.SetCompiler(compiler).SetStore(store).RunTests(ctx, txn)
	if err != nil {
		return "", 0, err
	}
	var text bytes.Buffer
	err = tester.PrettyReporter{Output: &text, Verbose: true}.Report(results)
	return text.String(), tracer.Report(modules).Coverage, err
}

// TestPlainOptions are those that no golden file has.
func TestPlainOptions(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"a_test.rego":       "package a\n\ntest_a if allow\n\ntest_b if allow\n\ntest_c if allow == false\n\nallow if input.naem\n\nnever if false\n",
		"schema.json":       `{"type": "object", "properties": {"name": {"type": "string"}}}`,
		"capabilities.json": `{"builtins": []}`,
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run := func(p rego.PlainOptions, o rego.TestOptions) (rego.Report, error) {
		return rego.TestPlain(context.Background(), []string{"a_test.rego"}, p, o)
	}
	var steps []int
	report, err := run(rego.PlainOptions{}, rego.TestOptions{FailFast: true, Coverage: true, Trace: rego.TraceBrief, Progress: func(done, total int) { steps = append(steps, done, total) }})
	if err != nil || report.Total() != 1 || report.Results[0].Name != "test_a" || fmt.Sprint(steps) != "[1 3]" {
		t.Errorf("fail-fast: %v %s, steps %v", err, outcome(report), steps)
	}
	if report.Coverage == nil || !strings.Contains(report.Results[0].Trace, "a_test.rego:3") {
		t.Errorf("coverage %v, trace %q", report.Coverage, report.Results[0].Trace)
	}
	var faults contracts.Diagnostics
	if _, err := run(rego.PlainOptions{Schemas: "schema.json"}, rego.TestOptions{}); !errors.As(err, &faults) || !strings.Contains(err.Error(), `did you mean "name"`) {
		t.Errorf("schema: %v", err)
	}
	if _, err := run(rego.PlainOptions{Capabilities: "capabilities.json"}, rego.TestOptions{}); !errors.As(err, &faults) {
		t.Errorf("capabilities: %v", err)
	}
	if _, err := run(rego.PlainOptions{Capabilities: "v0.40.0"}, rego.TestOptions{}); err == nil {
		t.Error("capabilities of a version without `if` were not used")
	}
	for _, missing := range []rego.PlainOptions{{Capabilities: "none"}, {Schemas: "none"}} {
		if _, err := run(missing, rego.TestOptions{}); err == nil {
			t.Errorf("%+v was accepted", missing)
		}
	}
	if _, err := rego.TestPlain(context.Background(), []string{"none"}, rego.PlainOptions{}, rego.TestOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}
