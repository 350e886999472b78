package main

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine/scenario"
	"github.com/smarthausgroup/caio/rego"
	"github.com/spf13/cobra"
)

func newPolicyTest(o *options) *cobra.Command {
	var t policyTest
	cmd := &cobra.Command{
		Use:   "test PATH...",
		Short: "Run the test_ rules and the scenarios of bundles, or the tests of any Rego",
		Long: `Run the test_ rules and the scenarios (*.scenario.yaml, *.scenario.json) of bundles, or the tests of any Rego.

A path that holds a package caio, or one below it, or a scenario is a bundle: it is compiled as "check" does, together with the other paths, and its tests make their input with data.caio.testing.
Other folders and files are run as "opa test" runs them: the same files, data, tests and counts, under the same rules of Rego.

A test that fails is evaluated again, to say which expression was not true and what was on its sides; -v shows its trace too.

Exit 1 on a failure, on an error, where no test was found, and where the coverage is below --threshold.`,
		Example: "  caio policy test policies --coverage\n  caio policy test policies --run gdpr -v\n  caio policy test policies -o junit.xml\n  caio policy test gatekeeper/library --ignore '*.yaml'",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.run(o, cmd, args)
		},
	}
	t.addFlags(cmd)
	o.addFormats(cmd, "junit gobench")
	return cmd
}

// policyTest are the flags.
type policyTest struct {
	pattern, explain, output   string
	verbose, failFast          bool
	coverage                   bool
	threshold                  float64
	bench, watch, skippedFails bool
	count, parallel            int
	timeout                    time.Duration
	plain                      rego.PlainOptions
}

// plainFlags make sense only of Rego that is no bundle of CAIO's.
var plainFlags = []string{"bundle", "v0-compatible", "ignore", "schema", "capabilities"}

func (t *policyTest) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&t.pattern, "run", "r", "", "run only the tests whose name, data.PACKAGE.TEST or that of a scenario, matches `REGEX`")
	flags.BoolVarP(&t.verbose, "verbose", "v", false, "show every test and case, and the trace of those that fail")
	flags.StringVar(&t.explain, "explain", "", "how much of the trace: brief (notes and failures, as -v), fails, notes, full or debug; implies -v")
	flags.BoolVar(&t.failFast, "fail-fast", false, "stop at the first test that fails")
	flags.StringVarP(&t.output, "output", "o", "", "write the report to `FILE` as well, in the form that its name ends in: .xml (JUnit), .json or .yaml")
	flags.BoolVarP(&t.coverage, "coverage", "c", false, "say how many lines were evaluated, and which were not")
	flags.Float64Var(&t.threshold, "threshold", 0, "fail below this coverage, in `PERCENT`; implies --coverage")
	flags.BoolVar(&t.bench, "bench", false, "measure the tests that pass: time and allocations of each evaluation")
	flags.IntVar(&t.count, "count", 1, "run everything `N` times")
	flags.BoolVarP(&t.watch, "watch", "w", false, "run again whenever a file changes, until interrupted")
	flags.BoolVar(&t.skippedFails, "fail-on-skipped", false, "exit 1 if a todo_test_ was skipped")
	flags.IntVarP(&t.parallel, "parallel", "p", 0, "`N` tests at a time; 0 is one for each processor")
	flags.DurationVar(&t.timeout, "timeout", 0, "of one test (default 5s, 30s with --bench)")
	flags.BoolVarP(&t.plain.Bundle, "bundle", "b", false, "read each path as a bundle in OPA's format (not of bundles of CAIO's, which always are)")
	flags.BoolVar(&t.plain.V0, "v0-compatible", false, "the Rego is v0 (not in bundles of CAIO's)")
	flags.StringSliceVar(&t.plain.Ignore, "ignore", nil, "leave out files and folders whose name matches `PATTERN`, as in '.*' (not in bundles of CAIO's)")
	flags.StringVarP(&t.plain.Schemas, "schema", "s", "", "JSON Schemas of the input and the data, a `FILE` or folder (bundles of CAIO's have their own)")
	flags.StringVar(&t.plain.Capabilities, "capabilities", "", "capabilities of OPA, a `VERSION` or file (bundles of CAIO's have their own)")
}

func (t *policyTest) run(o *options, cmd *cobra.Command, paths []string) error {
	if err := t.check(o, paths); err != nil {
		return err
	}
	if t.watch {
		return t.watchAndRun(o, cmd, paths)
	}
	return t.runAll(o, cmd, paths)
}

// check refuses flags that don't go together.
func (t *policyTest) check(o *options, paths []string) error {
	if t.explain != "" && !slices.Contains(rego.TraceLevels(), rego.TraceLevel(t.explain)) {
		return misused("--explain is brief, fails, notes, full or debug, not %q", t.explain)
	}
	if t.threshold < 0 || t.threshold > 100 {
		return misused("--threshold is between 0 and 100, not %v", t.threshold)
	}
	t.coverage = t.coverage || t.threshold > 0
	t.verbose = t.verbose || t.explain != ""
	switch {
	case t.bench && t.coverage:
		return misused("--coverage has no meaning with --bench")
	case o.format == "gobench" && !t.bench:
		return misused("--format gobench is the form of --bench")
	case t.count < 1:
		return misused("--count is at least 1")
	case t.output != "" && reportForms[filepath.Ext(t.output)] == "":
		return misused("--output: the name of %s does not say the form: it ends in .xml (JUnit), .json or .yaml", t.output)
	}
	for _, path := range paths {
		if t.output != "" && inside(path, t.output) {
			return misused("--output: %s is in %s, and would be read as a part of it", t.output, path)
		}
	}
	return nil
}

// runAll runs everything as often as was asked for. The first run that is not good ends it.
func (t *policyTest) runAll(o *options, cmd *cobra.Command, paths []string) error {
	for range t.count {
		if err := t.once(o, cmd, paths); err != nil {
			return err
		}
	}
	return nil
}

func (t *policyTest) once(o *options, cmd *cobra.Command, paths []string) error {
	selected, err := t.selector()
	if err != nil {
		return err
	}
	report, err := t.report(o, cmd, paths, selected)
	if err != nil {
		return o.undecided(cmd, err)
	}
	if err := t.tell(o, cmd, &report); err != nil {
		return err
	}
	switch {
	case len(report.Results) == 0 && t.pattern != "":
		return not("no test in %s matches --run %s", strings.Join(paths, ", "), t.pattern)
	case len(report.Results) == 0:
		return not("no test was found in %s", strings.Join(paths, ", "))
	case report.Fail+report.Error > 0, t.skippedFails && report.Skip > 0:
		return no()
	case report.Coverage != nil && *report.Coverage < t.threshold:
		return not("the coverage is %.1f%%, below %.1f%%", *report.Coverage, t.threshold)
	}
	return nil
}

// selector tells by its name whether a scenario was asked for.
func (t *policyTest) selector() (func(name string) bool, error) {
	pattern, err := regexp.Compile(t.pattern)
	if err != nil {
		return nil, misused("--run: %w", err)
	}
	return pattern.MatchString, nil
}

// report runs the tests: of bundles together with their scenarios, of anything else as OPA does.
func (t *policyTest) report(o *options, cmd *cobra.Command, paths []string, selected func(string) bool) (rego.Report, error) {
	own, err := ownPolicies(paths)
	if err != nil {
		return rego.Report{}, err
	}
	step, end := o.progress(cmd, "testing")
	defer end()
	run := rego.TestOptions{
		Run: t.pattern, FailFast: t.failFast, Coverage: t.coverage, Bench: t.bench, Timeout: t.timeout, Parallel: t.parallel, Progress: step, Trace: t.level(),
	}
	if !own {
		return rego.TestPlain(cmd.Context(), paths, t.plain, run)
	}
	if err := wholeBundles(paths); err != nil {
		return rego.Report{}, err
	}
	for _, name := range plainFlags {
		if cmd.Flags().Changed(name) && name != "bundle" {
			return rego.Report{}, misused("--%s is not for bundles of CAIO's, and %s holds one", name, strings.Join(paths, ", "))
		}
	}
	bundles, err := o.bundles(cmd, paths)
	if err != nil {
		return rego.Report{}, err
	}
	report, err := rego.Test(cmd.Context(), bundles, run)
	end()
	if err != nil || t.bench || t.failFast && report.Fail+report.Error > 0 {
		return report, err
	}
	return report, t.scenarios(o, cmd, paths, bundles, selected, &report)
}

func (t *policyTest) level() rego.TraceLevel {
	if t.explain != "" {
		return rego.TraceLevel(t.explain)
	}
	if t.verbose {
		return rego.TraceBrief
	}
	return rego.TraceNone
}

// scenarios runs those below the paths as tests named by their file and name.
func (t *policyTest) scenarios(o *options, cmd *cobra.Command, paths []string, bundles []*rego.Bundle, selected func(name string) bool, report *rego.Report) error {
	all, err := o.scenariosToTest(cmd, paths, bundles)
	if err != nil {
		return err
	}
	for i := range all {
		if !selected(all[i].Name) {
			continue
		}
		start := time.Now()
		r, err := all[i].Test(cmd.Context(), bundles)
		if err != nil {
			return err
		}
		r.Duration = time.Since(start)
		report.Add(r)
		report.Duration += r.Duration
		if t.failFast && r.Status != rego.TestPass {
			break
		}
	}
	return nil
}

// scenariosToTest are those below the folders, and those in the tarballs.
func (o *options) scenariosToTest(cmd *cobra.Command, paths []string, bundles []*rego.Bundle) ([]scenario.Scenario, error) {
	var all []scenario.Scenario
	var faults contracts.Diagnostics
	files, err := scenarioFiles(paths)
	if err != nil {
		return nil, err
	}
	if len(files) > 0 {
		if all, err = o.readScenarios(cmd, files); err != nil {
			return nil, err
		}
	}
	for _, bundle := range bundles {
		if info, err := os.Stat(bundle.Name); err == nil && info.Mode().IsRegular() {
			scenarios, ds := scenario.InBundle(bundle)
			all, faults = append(all, scenarios...), append(faults, ds...)
		}
	}
	if o.diagnose(cmd, faults) {
		return nil, no()
	}
	return all, nil
}

// ownPolicies reports whether one of the paths holds policies or scenarios of CAIO's. What is neither a file nor a folder may still mean something to OPA's loader.
func ownPolicies(paths []string) (bool, error) {
	for _, path := range paths {
		info, err := statPolicies(path)
		switch {
		case errors.Is(err, os.ErrNotExist) && strings.Contains(path, ":"):
			continue
		case err != nil:
			return false, err
		}
		own, err := holdsOwn(path, info)
		if own || err != nil {
			return own, err
		}
	}
	return false, nil
}
