package rego

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/smarthausgroup/caio/contracts"
)

// TestOptions say which tests to run and with what.
type TestOptions struct {
	Options
	Run      string        // regular expression over data.<package>.<test>; "" is all
	Coverage bool          // not together with Trace
	Trace    bool          // of every test, into TestResult.Trace
	Timeout  time.Duration // of one test; 0 is 5 s
}

// Report is the outcome of a run of tests. A run that found none has no results.
type Report struct {
	Results  []TestResult  `json:"results"` // in order of file and line
	Pass     int           `json:"pass"`
	Fail     int           `json:"fail"`
	Skip     int           `json:"skip"`
	Error    int           `json:"error"`
	Duration time.Duration `json:"duration"` // in ns
	// Coverage is how many percent of the lines of policies were evaluated, as OPA counts them, those of tests left out; nil if it was not asked for.
	Coverage  *float64             `json:"coverage,omitempty"`
	Uncovered []contracts.Position `json:"uncovered,omitempty"`
}

// Outcomes of a test.
const (
	TestPass  = "pass"
	TestFail  = "fail"
	TestSkip  = "skip"
	TestError = "error"
)

// TestResult is the outcome of one test rule.
type TestResult struct {
	Package  string             `json:"package"` // data.caio.policy.gdpr_test
	Name     string             `json:"name"`
	Pos      contracts.Position `json:"location"`
	Status   string             `json:"status"`           // pass | fail | skip | error
	Detail   string             `json:"detail,omitempty"` // the expression that is not true, with the values of its variables; or the error
	Output   string             `json:"output,omitempty"` // of print
	Trace    string             `json:"trace,omitempty"`
	Duration time.Duration      `json:"duration"` // in ns
}

// Test runs the `test_` rules of the bundles with OPA's own runner, over their data and the settings. Rules whose name begins with `todo_test_` are skipped.
// The error is [contracts.Diagnostics] if the bundles don't compile; otherwise it is of the options, or the context's.
func Test(ctx context.Context, bundles []*Bundle, o TestOptions) (Report, error) {
	if o.Coverage && o.Trace {
		return Report{}, errors.New("rego: coverage and trace exclude each other")
	}
	c := analyse(bundles, o.Options)
	if err := c.faults.Err(); err != nil {
		return Report{}, err
	}
	started := time.Now()
	var coverage *cover.Cover
	if o.Coverage {
		coverage = cover.New()
	}
	results, err := c.runTests(ctx, o, coverage)
	if err != nil {
		return Report{}, err
	}
	r := Report{Results: []TestResult{}, Duration: time.Since(started)}
	for _, result := range results {
		r.add(testResult(result, o.Trace))
	}
	if err := c.explainFailures(ctx, o, r.Results); err != nil {
		return Report{}, err
	}
	slices.SortFunc(r.Results, func(a, b TestResult) int {
		return cmp.Or(strings.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line), strings.Compare(a.Package, b.Package), strings.Compare(a.Name, b.Name))
	})
	if coverage != nil {
		r.cover(c.modules, coverage)
	}
	return r, nil
}

// runTests compiles everything again, in the form that OPA's runner gives to tests, and runs them.
func (c *compilation) runTests(ctx context.Context, o TestOptions, coverage *cover.Cover) ([]*tester.Result, error) {
	compiler, parsed := c.prepare(c.modules, c.testChecker(), testCapabilities(), testingModule())
	store := c.store()
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		return nil, err
	}
	defer store.Abort(ctx, txn)
	runner := tester.NewRunner().SetCompiler(compiler).SetModules(parsed).SetStore(store).AddCustomBuiltins(testBuiltins).
		RaiseBuiltinErrors(true).Filter(o.Run).SetTimeout(cmp.Or(o.Timeout, 5*time.Second)).EnableTracing(o.Trace)
	if coverage != nil {
		runner.SetCoverageQueryTracer(coverage)
	}
	stream, err := runner.RunTests(ctx, txn)
	if err != nil {
		return nil, fmt.Errorf("rego: the tests can't be run: %w", err)
	}
	var results []*tester.Result
	for result := range stream {
		results = append(results, result)
	}
	return results, ctx.Err()
}

func (r *Report) add(t TestResult) {
	r.Results = append(r.Results, t)
	switch t.Status {
	case TestPass:
		r.Pass++
	case TestFail:
		r.Fail++
	case TestSkip:
		r.Skip++
	default:
		r.Error++
	}
}

func testResult(result *tester.Result, trace bool) TestResult {
	t := TestResult{Package: result.Package, Name: result.Name, Pos: at(result.Location), Output: string(result.Output), Duration: result.Duration, Status: TestPass}
	switch {
	case result.Error != nil:
		t.Status, t.Detail = TestError, result.Error.Error()
		if failed := new(topdown.Error); errors.As(result.Error, &failed) {
			t.Detail = failed.Message
		}
	case result.Skip:
		t.Status = TestSkip
	case result.Fail:
		t.Status = TestFail
		for path, sub := range result.SubResults.Iter {
			if sub.Fail && len(sub.SubResults) == 0 {
				t.Detail += fmt.Sprintf("case %s failed\n", strings.Join(path, " / "))
			}
		}
	}
	if trace {
		var text bytes.Buffer
		topdown.PrettyTrace(&text, result.Trace)
		t.Trace = text.String()
	}
	return t
}

// explainFailures runs the tests that failed once more, traced, and says which expression was not true.
func (c *compilation) explainFailures(ctx context.Context, o TestOptions, results []TestResult) error {
	failed := map[string]*TestResult{}
	var names []string
	for i := range results {
		if name := results[i].Package + "." + results[i].Name; results[i].Status == TestFail {
			failed[name] = &results[i]
			names = append(names, "^"+regexp.QuoteMeta(name)+"$")
		}
	}
	if len(names) == 0 {
		return nil
	}
	o.Run, o.Trace = strings.Join(names, "|"), true
	traced, err := c.runTests(ctx, o, nil)
	for _, result := range traced {
		if t := failed[result.Package+"."+result.Name]; t != nil {
			t.Detail = strings.TrimSuffix(t.Detail+failure(result), "\n")
		}
	}
	return err
}

// failure is the last expression of the test's own file that was not true, with what its variables were.
func failure(result *tester.Result) string {
	for _, event := range slices.Backward(result.Trace) {
		if _, ok := event.Node.(*ast.Expr); event.Op != topdown.FailOp || !ok || event.Location == nil || event.Location.File != result.Location.File {
			continue
		}
		expression := strings.TrimSpace(string(event.Location.Text))
		values := map[string]string{}
		for v, meta := range event.LocalMetadata {
			if value := event.Locals.Get(v); value != nil && regexp.MustCompile(`\b`+regexp.QuoteMeta(string(meta.Name))+`\b`).MatchString(expression) {
				values[string(meta.Name)] = value.String()
			}
		}
		text := fmt.Sprintf("line %d is not true: %s", event.Location.Row, expression)
		for _, name := range sortedKeys(values) {
			text += fmt.Sprintf("\n  %s = %s", name, values[name])
		}
		return text
	}
	return ""
}

// cover adds what was evaluated.
func (r *Report) cover(modules []*module, coverage *cover.Cover) {
	parsed := map[string]*ast.Module{}
	for _, m := range modules {
		if !m.test {
			parsed[m.name] = m.ast
		}
	}
	files := coverage.Report(parsed).Files
	covered, all := 0, 0
	for _, name := range sortedKeys(parsed) {
		file := files[name]
		if file == nil {
			continue
		}
		covered += file.CoveredLines
		all += file.CoveredLines + file.NotCoveredLines
		for _, missed := range file.NotCovered {
			r.Uncovered = append(r.Uncovered, contracts.Position{File: name, Line: missed.Start.Row, Column: missed.Start.Col})
		}
	}
	percent := 100.0
	if all > 0 {
		percent = 100 * float64(covered) / float64(all)
	}
	r.Coverage = &percent
}
