package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine/scenario"
	"github.com/smarthausgroup/caio/rego"
	"github.com/spf13/cobra"
)

func newPolicy(o *options) *cobra.Command {
	return group("policy", "Check, test, lay out, describe, compare and build policies", newPolicyCheck(o), newPolicyTest(o), newPolicyFmt(o), newPolicyDocs(o), newPolicyDiff(o), newPolicyBuild(o))
}

func newPolicyCheck(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "check DIR...",
		Short:   "Compile bundles strictly: every fault with its file, line and column",
		Example: "  caio policy check policies",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			bundles, constraints, all, err := checkBundles(args...)
			if err != nil {
				return err
			}
			return o.tellCheck(cmd, bundles, constraints, all)
		},
	}
}

// checkBundles reads bundles and compiles them together. Constraints are never nil; faults are not an error.
func checkBundles(paths ...string) ([]*rego.Bundle, []contracts.Constraint, contracts.Diagnostics, error) {
	var bundles []*rego.Bundle
	var all contracts.Diagnostics
	for _, path := range paths {
		bundle, diagnostics, err := readBundle(path)
		if err != nil {
			return nil, nil, nil, err
		}
		all = append(all, diagnostics...)
		if bundle != nil {
			bundles = append(bundles, bundle)
		}
	}
	constraints := []contracts.Constraint{}
	if !all.HasErrors() {
		policies, diagnostics := rego.Compile(bundles, rego.Options{})
		all = append(all, diagnostics...)
		if policies != nil {
			constraints = policies.Constraints()
		}
	}
	return bundles, constraints, all, nil
}

// errNoConstraint refuses what compiles and says nothing.
func errNoConstraint() error {
	return not("there is no constraint here: a rule violation[\"ID\"] in a package caio.policy.…, caio.safety.… or caio.traits.…")
}

func (o *options) tellCheck(cmd *cobra.Command, bundles []*rego.Bundle, constraints []contracts.Constraint, all contracts.Diagnostics) error {
	if o.machine() {
		if err := o.emit(cmd, map[string]any{"diagnostics": append(contracts.Diagnostics{}, all...), "constraints": constraints}); err != nil {
			return err
		}
		if all.HasErrors() {
			return no()
		}
		return nil
	}
	if o.diagnose(cmd, all) {
		return no()
	}
	if len(constraints) == 0 {
		return errNoConstraint()
	}
	if o.quiet {
		return nil
	}
	p := o.present(cmd)
	rows := [][]string{}
	for _, c := range constraints {
		rows = append(rows, []string{c.ID, string(c.Family), c.Severity, c.Title})
	}
	p.table([]string{"CONSTRAINT", "FAMILY", "SEVERITY", "TITLE"}, rows)
	for _, bundle := range bundles {
		p.printf("  %s %s\n", p.bold.Render(bundle.Name), p.faint.Render(bundle.Digest))
	}
	return nil
}

func newPolicyTest(o *options) *cobra.Command {
	var t policyTest
	cmd := &cobra.Command{
		Use:   "test DIR...",
		Short: "Run the test_ rules and the scenarios of bundles",
		Long: `Run the test_ rules and the scenarios (*.scenario.yaml, *.scenario.json) of bundles.

Exit 1 on a failure, on an error, where no test was found, and where the coverage is below --threshold.`,
		Example: "  caio policy test policies --coverage\n  caio policy test policies --run gdpr -v",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.run(o, cmd, args)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&t.pattern, "run", "r", "", "run only the tests whose name matches `REGEX`")
	flags.BoolVarP(&t.verbose, "verbose", "v", false, "show every test, and the trace of those that fail")
	flags.BoolVarP(&t.coverage, "coverage", "c", false, "say how many lines of the policies were evaluated")
	flags.Float64Var(&t.threshold, "threshold", 0, "fail below this coverage, in `PERCENT`; implies --coverage")
	flags.DurationVar(&t.timeout, "timeout", 5*time.Second, "of one test")
	return cmd
}

type policyTest struct {
	pattern           string
	verbose, coverage bool
	threshold         float64
	timeout           time.Duration
}

func (t *policyTest) run(o *options, cmd *cobra.Command, dirs []string) error {
	selected, err := t.selector()
	if err != nil {
		return err
	}
	bundles, err := o.bundles(cmd, dirs)
	if err != nil {
		return err
	}
	report, err := rego.Test(cmd.Context(), bundles, rego.TestOptions{Run: t.pattern, Coverage: t.coverage || t.threshold > 0, Timeout: t.timeout, Trace: t.verbose})
	if err != nil {
		return o.undecided(cmd, err)
	}
	if err := t.scenarios(o, cmd, dirs, bundles, selected, &report); err != nil {
		return err
	}
	if o.machine() {
		if err := o.emit(cmd, report); err != nil {
			return err
		}
	} else {
		t.tell(o.present(cmd), &report)
	}
	low := report.Coverage != nil && *report.Coverage < t.threshold
	switch {
	case len(report.Results) == 0:
		return not("no test was found in %s", strings.Join(dirs, ", "))
	case low:
		return not("the coverage is %.1f%%, below %.1f%%", *report.Coverage, t.threshold)
	case report.Fail+report.Error > 0:
		return no()
	}
	return nil
}

// scenarios runs those below the folders as tests named by their file and name.
func (t *policyTest) scenarios(o *options, cmd *cobra.Command, dirs []string, bundles []*rego.Bundle, selected func(name string) bool, report *rego.Report) error {
	files, err := scenarioFiles(dirs)
	if err != nil || len(files) == 0 {
		return err
	}
	all, err := o.readScenarios(cmd, files)
	if err != nil {
		return err
	}
	for i := range all {
		s := &all[i]
		if !selected(s.Name) {
			continue
		}
		start := time.Now()
		result, err := s.Run(cmd.Context(), bundles)
		r := rego.TestResult{Name: s.Name, Pos: s.Pos, Status: "pass"}
		switch {
		case err != nil:
			r.Status, r.Detail = "error", err.Error()
			report.Error++
		case len(result.Differences) > 0:
			r.Status, r.Detail = "fail", scenario.Table(result.Differences)
			report.Fail++
		default:
			report.Pass++
		}
		r.Duration = time.Since(start)
		report.Results = append(report.Results, r)
	}
	return nil
}

func scenarioFiles(dirs []string) (files []string, err error) {
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
			if err == nil && (strings.HasSuffix(path, ".scenario.yaml") || strings.HasSuffix(path, ".scenario.json")) {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// selector tells by its name whether a scenario was asked for.
func (t *policyTest) selector() (func(name string) bool, error) {
	pattern, err := regexp.Compile(t.pattern)
	if err != nil {
		return nil, misused("--run: %w", err)
	}
	return pattern.MatchString, nil
}

func (t *policyTest) tell(p *presenter, report *rego.Report) {
	marks := map[string]string{"pass": p.good.Render("PASS"), "fail": p.bad.Render("FAIL"), "skip": p.faint.Render("SKIP"), "error": p.bad.Render("ERROR")}
	for _, r := range report.Results {
		if r.Status == "pass" && !t.verbose {
			continue
		}
		p.printf("%s: %s %s\n", r.Pos, strings.TrimPrefix(r.Package+"."+r.Name, "."), marks[r.Status])
		texts := []string{r.Detail, r.Output, r.Trace}
		if r.Status == "pass" {
			texts = texts[1:2]
		}
		for _, text := range texts {
			if text != "" {
				p.printf("  %s\n", strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  "))
			}
		}
	}
	if len(report.Results) == 0 {
		return
	}
	p.printf("%s\n", strings.Repeat("-", 80))
	p.printf("PASS: %d/%d\n", report.Pass, len(report.Results))
	for _, count := range []struct {
		name string
		n    int
	}{{"FAIL", report.Fail}, {"SKIPPED", report.Skip}, {"ERROR", report.Error}} {
		if count.n > 0 {
			p.printf("%s: %d/%d\n", count.name, count.n, len(report.Results))
		}
	}
	if report.Coverage != nil {
		p.printf("COVERAGE: %.1f%%\n", *report.Coverage)
		for _, pos := range report.Uncovered {
			p.printf("  not covered: %s\n", pos)
		}
	}
}
