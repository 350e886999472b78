package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine/impact"
	"github.com/smarthausgroup/caio/engine/impact/export"
	"github.com/smarthausgroup/caio/rego"
	"github.com/spf13/cobra"
)

// policyImpact is a call of `caio policy impact`.
type policyImpact struct {
	*options
	cmd                           *cobra.Command
	bundle                        string // digest, folder or tarball; "" for settings alone
	name, settings                string
	since, from, to               string
	decisions, scenarios, against string
	tenants                       []string
	examples                      int
	maxChanged, maxOther          int64

	push      policyPush
	candidate *rego.Bundle // nil where settings alone are tried, and where the server reads it
}

func newPolicyImpact(o *options) *cobra.Command {
	i := policyImpact{options: o}
	cmd := &cobra.Command{
		Use:   "impact [BUNDLE]",
		Short: "Say which stored decisions would have come out otherwise",
		Long: `Decide stored decisions again with BUNDLE put in force, in place of the bundle of its name, and say which would have come out otherwise. Nothing is changed.

BUNDLE is a folder, a tarball, or the digest of a bundle that the server has. The decisions are those of a server (a folder or a tarball is pushed to it first),
of a file that caio proof export --since wrote, or scenarios, which are decided under --against first. --settings tries other settings, with a bundle or alone.

With --max-changed it is a gate: exit 1 if more decisions than that would come out otherwise than the rules in force decide them, and 4 if it could not be told:
no decision to try it on, decisions that can't be read or decided again, winners that are unknown. --max-other-constraints holds decisions that come out alike for other reasons.`,
		Example: `  caio policy impact acme --since 7d
  caio policy impact acme --decisions decisions.jsonl.gz --max-changed 0
  caio policy impact acme --against acme-released --scenarios tests --max-changed 0
  caio policy impact --settings settings.yaml --since 30d --format json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			i.cmd = cmd
			if len(args) == 1 {
				i.bundle = args[0]
			}
			i.push.name = i.name
			return i.run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&i.push.keyFile, "signing-key", "", "private key `FILE` to sign a folder with that is pushed to the server")
	flags.StringVar(&i.push.kid, "key-id", "", "`ID` that the server knows the key by")
	cmd.MarkFlagsRequiredTogether("signing-key", "key-id")
	flags.StringVar(&i.name, "name", "", "the `NAME` under which the bundle is, or is to be, in force; that of its folder or file if not given")
	flags.StringVar(&i.settings, "settings", "", "decide with the settings of `FILE` in place of those in force")
	flags.Var((*ago)(&i.since), "since", "decisions of this last `TIME`: 12h, 7d, 4w")
	flags.StringVar(&i.from, "from", "", "decisions at this `TIME` or later, RFC 3339")
	flags.StringVar(&i.to, "to", "", "decisions before this `TIME`, RFC 3339")
	flags.StringVar(&i.decisions, "decisions", "", "decisions of a `FILE` that caio proof export wrote, in place of a server's")
	flags.StringVar(&i.scenarios, "scenarios", "", "the scenarios of a `FOLDER`, in place of stored decisions")
	flags.StringVar(&i.against, "against", "", "what scenarios are compared with: the bundles of these `FOLDERS` or tarballs, separated by commas")
	flags.StringSliceVar(&i.tenants, "tenants", nil, "decisions of these `TENANTS`, for people of the installation")
	flags.IntVar(&i.examples, "examples", impact.DefaultExamples, "show at most `N` of each kind")
	flags.Int64Var(&i.maxChanged, "max-changed", -1, "fail if more than `N` decisions would come out otherwise than under the rules in force")
	flags.Int64Var(&i.maxOther, "max-other-constraints", -1, "fail if in more than `N` others some candidate violates other constraints")
	cmd.MarkFlagsMutuallyExclusive("decisions", "scenarios")
	cmd.MarkFlagsRequiredTogether("scenarios", "against")
	for _, offline := range []string{"decisions", "scenarios"} {
		for _, served := range []string{"since", "from", "to", "tenants"} {
			cmd.MarkFlagsMutuallyExclusive(offline, served)
		}
	}
	cmd.MarkFlagsMutuallyExclusive("since", "from")
	return cmd
}

func (i *policyImpact) run(ctx context.Context) error {
	if i.bundle == "" && i.settings == "" {
		return misused("name a bundle, or settings with --settings: what is to be tried")
	}
	for name, value := range map[string]int64{"examples": int64(i.examples), "max-changed": i.maxChanged, "max-other-constraints": i.maxOther} {
		if value < 0 && i.cmd.Flags().Changed(name) {
			return misused("--%s is a number from 0 on", name)
		}
	}
	decide := i.onServer
	switch {
	case i.decisions != "":
		decide = i.offline(i.onFile)
	case i.scenarios != "":
		decide = i.offline(i.onScenarios)
	}
	answer, err := decide(ctx)
	if err != nil {
		return i.undecided(i.cmd, err)
	}
	if i.machine() {
		err = i.emit(i.cmd, answer)
	} else if !i.quiet {
		i.present(i.cmd).impact(answer)
	}
	return errors.Join(err, i.gate(&answer.Report))
}

// offline reads the candidate before.
func (i *policyImpact) offline(decide func(context.Context) (*impact.Answer, error)) func(context.Context) (*impact.Answer, error) {
	return func(ctx context.Context) (*impact.Answer, error) {
		if err := i.readCandidate(); err != nil {
			return nil, err
		}
		return decide(ctx)
	}
}

// gate says whether too much would change from today on, beside what the rules in force decide. Where only what can't be told makes the difference, it can't be told.
func (i *policyImpact) gate(r *impact.Report) error {
	c := &r.InForce
	switch {
	case i.maxChanged < 0 && i.maxOther < 0:
		return nil
	case c.Total == c.Erased:
		return &exitError{exitInconclusive, errors.New("there is no decision to try it on")}
	case i.maxChanged >= 0 && c.Changed > i.maxChanged:
		return not("decided otherwise than under the rules in force: %d of %d, and at most %d may be", c.Changed, c.Total, i.maxChanged)
	case i.maxOther >= 0 && c.OtherConstraints > i.maxOther:
		return not("decided alike, and other constraints are violated: %d of %d, and at most %d may be", c.OtherConstraints, c.Total, i.maxOther)
	case i.maxChanged >= 0 && c.Changed+c.WinnerUnknown+c.Errors > i.maxChanged:
		return &exitError{exitInconclusive, fmt.Errorf("it can't be told whether more than %d decisions would change: of %d the winner is unknown, and %d could not be decided again", i.maxChanged, c.WinnerUnknown, c.Errors)}
	case c.Errors > 0:
		return &exitError{exitInconclusive, fmt.Errorf("it can't be told: %d could not be decided again", c.Errors)}
	}
	return nil
}

// readCandidate reads the bundle that is to be tried, if there is one.
func (i *policyImpact) readCandidate() error {
	if i.bundle == "" {
		return nil
	}
	bundles, err := i.bundles(i.cmd, []string{i.bundle})
	if err != nil {
		return err
	}
	i.candidate = bundles[0]
	i.candidate.Name = or(i.name, bareName(i.candidate.Name))
	return nil
}

// bareName is that of a bundle's file or folder, without the way there.
func bareName(path string) string {
	return strings.TrimSuffix(filepath.Base(filepath.Clean(path)), ".tar.gz")
}

// put puts the candidate among the bundles in force, in place of the one of its name; without --name, where there is none of it, in place of those that lay claim to the same roots.
func (i *policyImpact) put(inForce []*rego.Bundle) []*rego.Bundle {
	if i.candidate == nil {
		return inForce
	}
	goes := func(b *rego.Bundle) bool { return b.Name == i.candidate.Name }
	if i.name == "" && !slices.ContainsFunc(inForce, goes) {
		goes = i.candidate.Overlaps
	}
	return append(slices.DeleteFunc(slices.Clone(inForce), goes), i.candidate)
}

// settingsIn reads --settings; without it they are those given.
func (i *policyImpact) settingsIn(otherwise map[string]any) (map[string]any, error) {
	if i.settings == "" {
		return otherwise, nil
	}
	text, err := readFile(i.cmd, i.settings)
	if err != nil {
		return nil, err
	}
	settings, diagnostics := readSettings(i.settings, text)
	return settings, diagnostics.Err()
}

// compare compiles what is in force, and what would be with the candidate put in, with settings and data.
func (i *policyImpact) compare(inForce []*rego.Bundle, settings, data map[string]any) (*impact.Rules, error) {
	tried, err := i.settingsIn(settings)
	if err != nil {
		return nil, err
	}
	rules := &impact.Rules{}
	var before, after contracts.Diagnostics
	rules.InForce, before = rego.Compile(inForce, rego.Options{Settings: settings, Data: data})
	rules.Candidate, after = rego.Compile(i.put(inForce), rego.Options{Settings: tried, Data: data})
	return rules, append(before, after...).Err()
}

// named names both.
func (i *policyImpact) named(tenant string, inForce []*rego.Bundle, settings map[string]any) (c impact.Comparison, err error) {
	c.Tenant = tenant
	if c.InForce, err = impact.NewRuleSet(inForce, settings); err != nil {
		return c, err
	}
	tried, err := i.settingsIn(settings)
	if err != nil {
		return c, err
	}
	c.Candidate, err = impact.NewRuleSet(i.put(inForce), tried)
	return c, err
}

// onFile decides the decisions of an export again.
func (i *policyImpact) onFile(ctx context.Context) (*impact.Answer, error) {
	file, err := os.Open(i.decisions)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	read := &metered{Reader: file}
	r, err := export.NewReader(read)
	if err != nil {
		return nil, &exitError{exitInconclusive, fmt.Errorf("%s: %w", i.decisions, err)}
	}
	inForce, err := bundlesIn(r)
	if err != nil {
		return nil, err
	}
	rules, err := i.compare(inForce, r.Settings, nil)
	if err != nil {
		return nil, err
	}
	compared, err := i.named(r.Head.Tenant, inForce, r.Settings)
	if err != nil {
		return nil, err
	}
	meter := i.meter(i.cmd, "deciding again", "decisions")
	defer meter.end()
	report, err := impact.Run(ctx, impact.FromExport(r, rules), impact.Options{
		Examples: i.exampleCount(), Progress: func(done int64) { meter.share(done, float64(read.n.Load())/float64(max(1, info.Size()))) },
	})
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, &exitError{exitInconclusive, fmt.Errorf("%s: %w", i.decisions, err)}
	}
	return &impact.Answer{Rules: []impact.Comparison{compared}, Report: *report}, nil
}

// bundlesIn are those that were in force when an export was written.
func bundlesIn(r *export.Reader) (inForce []*rego.Bundle, err error) {
	for _, b := range r.Bundles {
		bundle, diagnostics := rego.ReadFiles(b.Name, b.Files)
		if err := diagnostics.Err(); err != nil {
			return nil, err
		}
		inForce = append(inForce, bundle)
	}
	return inForce, nil
}

// exampleCount is --examples as a run takes it, for which 0 is the default.
func (i *policyImpact) exampleCount() int {
	if i.examples == 0 {
		return -1
	}
	return i.examples
}

// onScenarios decides scenarios under --against, and again with the candidate put in.
func (i *policyImpact) onScenarios(ctx context.Context) (*impact.Answer, error) {
	inForce, err := i.bundles(i.cmd, strings.Split(i.against, ","))
	if err != nil {
		return nil, err
	}
	for _, b := range inForce {
		b.Name = bareName(b.Name)
	}
	files, err := scenarioFiles([]string{i.scenarios})
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, not("there is no scenario in %s: a file whose name ends in .scenario.yaml or .scenario.json", i.scenarios)
	}
	scenarios, err := i.readScenarios(i.cmd, files)
	if err != nil {
		return nil, err
	}
	compile := func(settings, data map[string]any) (*impact.Rules, error) { return i.compare(inForce, settings, data) }
	// Faults of the rules are told before anything is decided, not once for each scenario.
	if _, err := compile(scenarios[0].Settings, scenarios[0].Data); err != nil {
		return nil, err
	}
	compared, err := i.named("", inForce, scenarios[0].Settings)
	if err != nil {
		return nil, err
	}
	meter := i.meter(i.cmd, "deciding again", "scenarios")
	defer meter.end()
	report, err := impact.Run(ctx, impact.FromScenarios(scenarios, compile), impact.Options{
		Examples: i.exampleCount(), Progress: func(done int64) { meter.step(done, int64(len(scenarios))) },
	})
	if err != nil {
		return nil, err
	}
	return &impact.Answer{Rules: []impact.Comparison{compared}, Report: *report}, nil
}
