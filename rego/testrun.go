package rego

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/cover"
	oparego "github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/smarthausgroup/caio/contracts"
)

// suite is what tests are compiled from and run with.
type suite struct {
	store    storage.Store
	txn      storage.Transaction
	parsed   map[string]*ast.Module // files by name, as they were parsed
	bundles  map[string]*bundle.Bundle
	builtins []*tester.Builtin
	runtime  *ast.Term
	raise    bool // an error of a built-in function is one of the test
	compiler func() *ast.Compiler
	covered  func(file string) bool // whether a file counts for the coverage
	owned    func(file string) bool // whether the tests of a file count; nil if all do

	compiled *ast.Compiler
	tests    []testRule // selected, in order
	timeout  time.Duration
	coverage *cover.Cover
}

// testRule is a rule that is a test.
type testRule struct {
	ref  ast.Ref // with its package, without keys
	pkg  string
	name string
	pos  contracts.Position
}

// compile compiles everything and selects the tests.
func (s *suite) compile(ctx context.Context, o TestOptions) error {
	selected, err := regexp.Compile(o.Run)
	if err != nil {
		return fmt.Errorf("the expression that selects tests is not regular: %w", err)
	}
	s.timeout = cmp.Or(o.Timeout, 5*time.Second)
	if o.Bench {
		s.timeout = cmp.Or(o.Timeout, 30*time.Second)
	}
	if o.Coverage {
		s.coverage = cover.New()
	}
	if s.compiled, err = s.compileModules(ctx, s.parsed, s.bundles); err != nil {
		return err
	}
	for _, name := range sortedKeys(s.compiled.Modules) {
		for _, rule := range s.compiled.Modules[name].Rules {
			t, ok := testOf(rule)
			if ok && selected.MatchString(t.ref.String()) && (s.owned == nil || s.owned(name)) {
				s.tests = append(s.tests, t)
			}
		}
	}
	slices.SortStableFunc(s.tests, func(a, b testRule) int {
		return cmp.Or(strings.Compare(a.pos.File, b.pos.File), cmp.Compare(a.pos.Line, b.pos.Line))
	})
	return nil
}

// compileModules compiles, and puts the data of bundles into the store. OPA's runner does it, since it adds stages for cases to the compiler that are its own; it is told to run nothing.
func (s *suite) compileModules(ctx context.Context, modules map[string]*ast.Module, bundles map[string]*bundle.Bundle) (*ast.Compiler, error) {
	compiler := s.compiler()
	compiler.WithStageAfterID(ast.StageRewriteRuleHeadRefs, ast.CompilerStageDefinition{Name: "NumberTests", MetricName: "caio_number_tests", Stage: numberTests})
	nothing := ast.Ref{ast.DefaultRootDocument, ast.StringTerm("no test is here")}
	stream, err := tester.NewRunner().SetCompiler(compiler).SetModules(modules).SetBundles(bundles).SetStore(s.store).SetPrefixMatchers(nothing).RunTests(ctx, s.txn)
	if err != nil {
		return nil, Diagnosed(err)
	}
	for range stream { // which is empty, but not closed at once
	}
	return compiler, nil
}

// testOf is the test that a rule is, if it is one: a step of its name, and not only the last, begins as tests do.
func testOf(rule *ast.Rule) (testRule, bool) {
	name := rule.Head.Ref().GroundPrefix()
	for i, term := range name {
		step := ""
		switch value := term.Value.(type) {
		case ast.Var:
			step = string(value)
		case ast.String:
			step = string(value)
		}
		if strings.HasPrefix(step, tester.TestPrefix) || strings.HasPrefix(step, tester.SkipTestPrefix) {
			pkg := rule.Module.Package.Path
			return testRule{pkg.Extend(name[:i+1]), pkg.String(), name[:i+1].String(), at(rule.Loc())}, true
		}
	}
	return testRule{}, false
}

// numberTests numbers tests of one name, in order of file and line. OPA's runner does the same, but in the random order of a map.
func numberTests(compiler *ast.Compiler) *ast.Error {
	count := map[string]int{}
	for _, file := range sortedKeys(compiler.Modules) {
		for _, rule := range compiler.Modules[file].Rules {
			t, ok := testOf(rule)
			if !ok {
				continue
			}
			key, whole := t.ref.String(), rule.Head.Ref()
			length := len(t.ref) - len(rule.Module.Package.Path)
			last, _ := t.ref[len(t.ref)-1].Value.(ast.String)
			if n := count[key]; n > 0 && strings.HasPrefix(string(last), tester.TestPrefix) {
				numbered := fmt.Sprintf("%s#%02d", string(last), n)
				renamed := slices.Clone(whole)
				renamed[length-1] = ast.StringTerm(numbered)
				if length == 1 {
					renamed[0] = ast.VarTerm(numbered)
				}
				rule.Head.SetRef(renamed)
			}
			count[key]++
		}
	}
	return nil
}

// Diagnosed are OPA's errors as diagnostics, with all that OPA says but the line of the file.
func Diagnosed(err error) contracts.Diagnostics {
	var c compilation
	var errs ast.Errors
	if one := (*ast.Error)(nil); errors.As(err, &one) {
		errs = ast.Errors{one}
	} else if !errors.As(err, &errs) {
		c.faults.Errorf("compile-error", "", contracts.Position{}, "%s", oneLine(err.Error()))
	}
	for _, e := range errs {
		c.upstream(e, "")
		_, line := e.Details.(*ast.ParserErrorDetail)
		if last := &c.faults[len(c.faults)-1]; e.Details != nil && !line && last.Detail == "" {
			last.Detail = oneLine(strings.Join(e.Details.Lines(), "\n"))
		}
	}
	c.sortFaults()
	return c.faults
}

// runner is OPA's, for what is compiled already.
func (s *suite) runner(o TestOptions) *tester.Runner {
	runner := tester.NewRunner().SetCompiler(s.compiled).SetStore(s.store).AddCustomBuiltins(s.builtins).SetRuntime(s.runtime).
		RaiseBuiltinErrors(s.raise).StackTraces(true).SetTimeout(s.timeout).SetParallel(o.Parallel).SetCoverageRuns(nil)
	if s.coverage != nil {
		runner.SetCoverageQueryTracer(s.coverage)
	}
	return runner
}

// run runs the selected tests.
func (s *suite) run(ctx context.Context, o TestOptions) ([]*tester.Result, error) {
	var results []*tester.Result
	each := func(result *tester.Result) {
		results = append(results, result)
		if o.Progress != nil {
			o.Progress(len(results), len(s.tests))
		}
	}
	switch {
	case o.FailFast:
		for _, t := range s.tests {
			if err := s.runOnly(ctx, o, []testRule{t}, each); err != nil {
				return nil, err
			}
			if last := len(results) - 1; last >= 0 && (results[last].Fail || results[last].Error != nil) {
				break
			}
		}
	case s.owned != nil:
		if err := s.runOnly(ctx, o, s.tests, each); err != nil {
			return nil, err
		}
	default:
		if err := s.stream(ctx, s.runner(o).Filter(o.Run), each); err != nil {
			return nil, err
		}
	}
	return results, ctx.Err()
}

// runOnly runs some of the tests. What OPA's runner finds besides, since a package can stand where another's test does, is left out.
func (s *suite) runOnly(ctx context.Context, o TestOptions, tests []testRule, each func(*tester.Result)) error {
	if len(tests) == 0 {
		return nil
	}
	wanted, refs := map[contracts.Position]bool{}, []ast.Ref{}
	for _, t := range tests {
		wanted[t.pos] = true
		refs = append(refs, t.ref)
	}
	return s.stream(ctx, s.runner(o).SetPrefixMatchers(refs...), func(result *tester.Result) {
		if wanted[at(result.Location)] {
			each(result)
		}
	})
}

func (s *suite) stream(ctx context.Context, runner *tester.Runner, each func(*tester.Result)) error {
	stream, err := runner.RunTests(ctx, s.txn)
	if err != nil {
		return fmt.Errorf("the tests can't be run: %w", err)
	}
	for result := range stream {
		each(result)
	}
	return nil
}

// evaluate evaluates one test, outside of OPA's runner: for what happens in it, not for its outcome. The value is nil if it is undefined or can't be told.
func (s *suite) evaluate(ctx context.Context, compiler *ast.Compiler, t testRule, options ...oparego.EvalOption) (value any) {
	prepared, err := s.prepareTest(ctx, compiler, t)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	results, err := prepared.Eval(ctx, append(options, oparego.EvalTransaction(s.txn))...)
	if err != nil || len(results) == 0 {
		return nil
	}
	return results[0].Expressions[0].Value
}

func (s *suite) prepareTest(ctx context.Context, compiler *ast.Compiler, t testRule) (oparego.PreparedEvalQuery, error) {
	query := oparego.New(oparego.Store(s.store), oparego.Transaction(s.txn), oparego.Compiler(compiler), oparego.Query(t.ref.String()), oparego.Runtime(s.runtime), oparego.PrintHook(topdown.NewPrintHook(io.Discard)))
	for _, builtin := range s.builtins {
		builtin.Func(query)
	}
	return query.PrepareForEval(ast.WithCompiler(ctx, compiler))
}
