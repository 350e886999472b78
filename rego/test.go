package rego

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/smarthausgroup/caio/contracts"
)

// TestOptions say which tests to run and with what. A limit on the time of the whole run is that of the context.
type TestOptions struct {
	Options             // of bundles; not of [TestPlain]
	Bundles  []string   // names of the bundles whose files of tests count, and are run; nil is all. Not of TestPlain
	Run      string     // regular expression over data.<package>.<test>; "" is all
	FailFast bool       // run the tests one by one, in order, until one fails or is an error
	Coverage bool       // into Report.Coverage
	Trace    TraceLevel // of the tests that fail, into TestResult.Trace
	Bench    bool       // measure the tests that pass, into TestResult.Bench; a second each

	Timeout  time.Duration         // of one test; 0 is 5 s, and 30 s with Bench
	Parallel int                   // how many tests run at a time; 0 is the number of processors
	Progress func(done, total int) // called after every test, and every measurement; may be nil
}

// TraceLevel is how much of the trace of a test that failed is kept, as `opa test --explain` has it.
type TraceLevel string

// TraceBrief is the notes and the failures, which is what OPA shows unless told otherwise.
const (
	TraceNone  TraceLevel = ""
	TraceBrief TraceLevel = "brief"
	TraceFails TraceLevel = "fails"
	TraceNotes TraceLevel = "notes"
	TraceFull  TraceLevel = "full"
	TraceDebug TraceLevel = "debug"
)

// TraceLevels are those that show something.
func TraceLevels() []TraceLevel {
	return []TraceLevel{TraceBrief, TraceFails, TraceNotes, TraceFull, TraceDebug}
}

// Report is the outcome of a run of tests. A run that found none has no results. The counts are those of `opa test`: a test with cases counts once for each case, unless it is skipped or an error.
type Report struct {
	Results  []TestResult  `json:"results"` // in order of file and line
	Pass     int           `json:"pass"`
	Fail     int           `json:"fail"`
	Skip     int           `json:"skip"`
	Error    int           `json:"error"`
	Duration time.Duration `json:"duration"` // in ns
	// Coverage is how many percent of the lines were evaluated, as OPA counts them; nil if it was not asked for. Of bundles the files of tests are left out.
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

// TestResult is the outcome of one test rule. Of several rules with one name, all but the first are numbered: test_x, test_x#01.
type TestResult struct {
	Package  string             `json:"package"` // data.caio.policy.gdpr_test
	Name     string             `json:"name"`
	Pos      contracts.Position `json:"location"`
	Status   string             `json:"status"`             // pass | fail | skip | error
	Cases    []TestCase         `json:"cases,omitempty"`    // of a test whose name ends in keys, in order of name
	Detail   string             `json:"detail,omitempty"`   // Failures for people; or the error
	Failures []Failure          `json:"failures,omitempty"` // one, or one for each case that failed; of an error where it occurred, and the calls that led there
	Output   string             `json:"output,omitempty"`   // of print
	Trace    string             `json:"trace,omitempty"`    // of a test that failed
	Bench    *Benchmark         `json:"bench,omitempty"`
	Duration time.Duration      `json:"duration"` // in ns
}

// TestCase is a case of a test rule with keys in its head, such as test_x[name].
type TestCase struct {
	Name   []string `json:"name"`   // its keys
	Status string   `json:"status"` // pass | fail
}

// Test runs the `test_` rules of the bundles with OPA's own runner, over their data and the settings. Rules whose name begins with `todo_test_` are skipped.
// The error is [contracts.Diagnostics] if the bundles don't compile; otherwise it is of the options, or the context's.
func Test(ctx context.Context, bundles []*Bundle, o TestOptions) (Report, error) {
	c := analyse(bundles, o.Options)
	if err := c.faults.Err(); err != nil {
		return Report{}, err
	}
	store := c.store()
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		return Report{}, err
	}
	defer store.Abort(ctx, txn)
	_, parsed := c.prepare(c.modules, c.testChecker(), testCapabilities(), testingModule())
	s := &suite{
		store: store, txn: txn, parsed: parsed, builtins: testBuiltins, raise: true,
		compiler: func() *ast.Compiler {
			compiler, _ := c.prepare(c.modules, c.testChecker(), testCapabilities(), testingModule())
			return compiler
		},
		covered: func(file string) bool {
			return !slices.ContainsFunc(c.modules, func(m *module) bool { return m.test && m.name == file })
		},
	}
	if o.Bundles != nil {
		s.owned = func(file string) bool {
			return slices.ContainsFunc(c.modules, func(m *module) bool { return m.name == file && slices.Contains(o.Bundles, m.bundle.Name) })
		}
	}
	return s.report(ctx, o)
}

// report runs the tests, explains those that failed, and measures.
func (s *suite) report(ctx context.Context, o TestOptions) (Report, error) {
	started := time.Now()
	if err := s.compile(ctx, o); err != nil {
		return Report{}, err
	}
	r := Report{Results: []TestResult{}}
	results, err := s.run(ctx, o)
	if err != nil {
		return Report{}, err
	}
	for _, result := range results {
		r.Add(testResult(result))
	}
	slices.SortFunc(r.Results, func(a, b TestResult) int {
		return cmp.Or(strings.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line), strings.Compare(a.Package, b.Package), strings.Compare(a.Name, b.Name))
	})
	if err := s.explain(ctx, o, r.Results); err != nil {
		return Report{}, err
	}
	if o.Bench {
		if err := s.bench(ctx, o, r.Results); err != nil {
			return Report{}, err
		}
	}
	if s.coverage != nil {
		r.cover(s.coverage.Report(s.parsed), s.covered)
	}
	r.Duration = time.Since(started)
	return r, nil
}

// Add adds the result of a test, and counts it.
func (r *Report) Add(t TestResult) {
	r.Results = append(r.Results, t)
	switch t.Status {
	case TestSkip:
		r.Skip++
		return
	case TestError:
		r.Error++
		return
	}
	statuses := []string{t.Status}
	if len(t.Cases) > 0 {
		statuses = nil
		for _, c := range t.Cases {
			statuses = append(statuses, c.Status)
		}
	}
	for _, status := range statuses {
		if status == TestPass {
			r.Pass++
		} else {
			r.Fail++
		}
	}
}

// Total is how many tests, and cases of tests, there were.
func (r *Report) Total() int { return r.Pass + r.Fail + r.Skip + r.Error }

func testResult(result *tester.Result) TestResult {
	t := TestResult{Package: result.Package, Name: result.Name, Pos: at(result.Location), Output: string(result.Output), Duration: result.Duration, Status: TestPass}
	for path, sub := range result.SubResults.Iter {
		if len(sub.SubResults) > 0 {
			continue
		}
		status := TestPass
		if sub.Fail {
			status = TestFail
		}
		t.Cases = append(t.Cases, TestCase{path, status})
	}
	switch {
	case result.Error != nil:
		t.Status = TestError
		t.fault(result.Error)
	case result.Skip:
		t.Status = TestSkip
	case result.Fail:
		t.Status = TestFail
	}
	return t
}

// fault says what went wrong, where, and how the evaluation came there.
func (t *TestResult) fault(err error) {
	failed := new(topdown.Error)
	if !errors.As(err, &failed) {
		t.Detail = err.Error()
		return
	}
	t.Detail = failed.Message
	places := []*ast.Location{failed.Location}
	for _, frame := range failed.StackTrace {
		places = append(places, frame.Location)
	}
	for _, place := range places {
		if !place.HasFile() {
			continue
		}
		f := Failure{Pos: at(place), Expression: oneLine(string(place.Text))}
		if n := len(t.Failures); n > 0 && t.Failures[n-1].Pos == f.Pos {
			continue
		}
		word := "from"
		if len(t.Failures) == 0 {
			word = "at"
		}
		t.Failures = append(t.Failures, f)
		t.Detail += fmt.Sprintf("\n%s %s: %s", word, f.Pos, f.Expression)
	}
}

// cover adds what was evaluated, of the files that count.
func (r *Report) cover(report cover.Report, counts func(file string) bool) {
	covered, all := 0, 0
	for _, name := range sortedKeys(report.Files) {
		if !counts(name) {
			continue
		}
		file := report.Files[name]
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
