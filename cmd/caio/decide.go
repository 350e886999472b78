package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/smarthausgroup/caio/cel"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/source"
	"github.com/smarthausgroup/caio/engine"
	"github.com/smarthausgroup/caio/engine/scenario"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
	"github.com/spf13/cobra"
)

// decideFlags are those of `caio decide`.
type decideFlags struct {
	request, principal, settings, attestations, at string
	contracts, policies, scenarios                 []string
	output, key                                    string
}

func newDecide(o *options) *cobra.Command {
	var f decideFlags
	cmd := &cobra.Command{
		Use:   "decide",
		Short: "Decide offline, without a server or a store",
		Long: `Decide offline, without a server or a store.

With --format json it prints one proof document a line. A document made here hides nothing: the salts of its commitments follow from the arguments,
so that the same arguments give the same bytes. With -o it writes a request's evidence, signed with --key.

A scenario's expectations are compared; exit 1 if one is not met, or if a request without scenario is denied.`,
		Example: `  caio decide -f request.json --principal principal.json --contracts contracts/catalog
  caio decide --scenario tests/spend.scenario.yaml --policies policies`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			bundles, err := o.bundles(cmd, f.policies)
			if err != nil {
				return err
			}
			if len(f.scenarios) > 0 {
				return o.decideScenarios(cmd, f, bundles)
			}
			return o.decideRequest(cmd, f, bundles)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.request, "file", "f", "", "the request: a `FILE`, JSON or YAML, or - for standard input")
	flags.StringVar(&f.principal, "principal", "", "`FILE` that says who asks; without it somebody of the tenant with no roles and no permissions")
	flags.StringSliceVar(&f.contracts, "contracts", nil, "contracts: `FILES` or folders")
	flags.StringSliceVar(&f.policies, "policies", nil, "policy bundles: `FOLDERS` or tarballs; those that come with caio if not given")
	flags.StringVar(&f.settings, "settings", "", "`FILE` with the tenant's settings")
	flags.StringVar(&f.attestations, "attestations", "", "`FILE` with the attestations, service to level")
	flags.StringVar(&f.at, "at", "", "the `TIME` of the decision, RFC 3339; now if not given")
	flags.StringSliceVar(&f.scenarios, "scenario", nil, "scenario `FILES`, in place of a request")
	flags.StringVarP(&f.output, "output", "o", "", "write the evidence to `FILE`")
	flags.StringVar(&f.key, "key", "", "`FILE` of the key that signs the evidence")
	cmd.MarkFlagsMutuallyExclusive("file", "scenario")
	cmd.MarkFlagsOneRequired("file", "scenario")
	cmd.MarkFlagsRequiredTogether("output", "key")
	for _, flag := range []string{"principal", "contracts", "settings", "attestations", "at", "output"} {
		cmd.MarkFlagsMutuallyExclusive(flag, "scenario")
	}
	return cmd
}

func (o *options) decideRequest(cmd *cobra.Command, f decideFlags, bundles []*rego.Bundle) error {
	s, err := o.readArguments(cmd, f)
	if err != nil {
		return err
	}
	arguments, decision, err := decideOn(cmd.Context(), s, bundles)
	if err != nil {
		return o.undecided(cmd, err)
	}
	proof, err := newOfflineProof(s, arguments, bundles, decision)
	if err != nil {
		return err
	}
	if f.output != "" {
		if err := proof.write(f.output, f.key); err != nil {
			return err
		}
	}
	if o.format == "pretty" {
		p := o.present(cmd)
		p.decision(&decision, whyFromSnapshot(arguments.Snapshot))
	} else if err := o.emit(cmd, json.RawMessage(proof.text)); err != nil {
		return err
	}
	if decision.Outcome == verify.Denied {
		return no()
	}
	return nil
}

func decideOn(ctx context.Context, s *scenario.Scenario, bundles []*rego.Bundle) (engine.Arguments, verify.Decision, error) {
	arguments, err := s.Arguments(bundles)
	if err != nil {
		return engine.Arguments{}, verify.Decision{}, err
	}
	decider, err := engine.New(engine.Options{})
	if err != nil {
		return engine.Arguments{}, verify.Decision{}, err
	}
	decision, err := decider.Decide(ctx, arguments)
	return arguments, decision, err
}

// undecided tells diagnostics as such; any other error is passed on.
func (o *options) undecided(cmd *cobra.Command, err error) error {
	if ds := (contracts.Diagnostics)(nil); errors.As(err, &ds) {
		o.diagnose(cmd, ds)
		return no()
	}
	return err
}

// readArguments reads what the flags name, all of it, before it reports faults.
func (o *options) readArguments(cmd *cobra.Command, f decideFlags) (*scenario.Scenario, error) {
	s := &scenario.Scenario{Name: f.request, Time: time.Now().UTC().Truncate(time.Millisecond), Attestations: map[string]contracts.Attestation{}, Data: map[string]any{}}
	s.Principal = contracts.Principal{Tenant: o.tenantOrDefault(), Method: "scenario"}
	if len(f.contracts) == 0 {
		return nil, misused("--contracts is needed with --file: the services to choose from")
	}
	if f.at != "" {
		at, err := time.Parse(time.RFC3339, f.at)
		if err != nil {
			return nil, misused("--at: %w", err)
		}
		s.Time = at.UTC().Truncate(time.Millisecond)
	}
	sources, all, err := readContracts(f.contracts)
	if err != nil {
		return nil, err
	}
	for _, source := range sources {
		s.Contracts = append(s.Contracts, source.contract)
	}
	read := func(file string, parse func(string, []byte) contracts.Diagnostics) error {
		if file == "" {
			return nil
		}
		text, err := readFile(cmd, file)
		if err != nil {
			return err
		}
		all = append(all, parse(file, text)...)
		return nil
	}
	var levels map[string]contracts.Attestation
	err = errors.Join(
		read(f.settings, func(file string, text []byte) (ds contracts.Diagnostics) {
			s.Settings, ds = readSettings(file, text)
			return ds
		}),
		read(f.attestations, func(file string, text []byte) (ds contracts.Diagnostics) {
			levels, ds = readAttestations(file, text)
			return ds
		}),
		read(f.principal, func(file string, text []byte) (ds contracts.Diagnostics) {
			s.Principal, ds = contracts.ParsePrincipal(file, text)
			return ds
		}),
		read(f.request, func(file string, text []byte) (ds contracts.Diagnostics) {
			s.Request, ds = contracts.ParseRequest(file, text, scenario.Admission(s.Settings))
			return ds
		}),
	)
	if err != nil {
		return nil, err
	}
	if o.diagnose(cmd, all) {
		return nil, no()
	}
	for service, level := range levels {
		s.Attestations[service] = level
	}
	return s, nil
}

func readFile(cmd *cobra.Command, file string) ([]byte, error) {
	if file == "-" {
		return readAll(cmd.InOrStdin())
	}
	return os.ReadFile(file)
}

// readSettings reads a tenant's settings.
func readSettings(file string, text []byte) (map[string]any, contracts.Diagnostics) {
	root, faults := source.Parse(file, text, scenario.MaxBytes)
	if root == nil {
		return nil, faults
	}
	exact, err := contracts.Exact(root.Any())
	if err != nil {
		root.Fault(&faults, "out-of-range", "%s", err)
		return nil, faults
	}
	settings, ok := exact.(map[string]any)
	if !ok {
		root.Fault(&faults, "wrong-type", "expected a map, found %s", root.Kind)
	}
	return settings, faults
}

func readAttestations(file string, text []byte) (map[string]contracts.Attestation, contracts.Diagnostics) {
	root, faults := source.Parse(file, text, scenario.MaxBytes)
	if root == nil {
		return nil, faults
	}
	levels := map[string]contracts.Attestation{}
	source.Decode(root, &levels, &faults)
	for service, level := range levels {
		switch level {
		case contracts.SelfAttested, contracts.Audited, contracts.Verified:
		default:
			root.FaultAt(&faults, "/"+source.Escape(service), "unknown-value", "%q is none of self, audited, verified", level)
		}
	}
	return levels, faults
}

func (o *options) decideScenarios(cmd *cobra.Command, f decideFlags, bundles []*rego.Bundle) error {
	scenarios, err := o.readScenarios(cmd, f.scenarios)
	if err != nil {
		return err
	}
	p, missed := o.present(cmd), 0
	step, end := o.progress(cmd, "deciding")
	for i := range scenarios {
		step(i, len(scenarios))
		s := &scenarios[i]
		arguments, decision, err := decideOn(cmd.Context(), s, bundles)
		end()
		if err != nil {
			return o.undecided(cmd, fmt.Errorf("%s: %w", s.Name, err))
		}
		differences := s.Expect.Compare(decision)
		if len(differences) > 0 {
			missed++
			if o.machine() || o.quiet {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n%s", s.Pos, s.Name, scenario.Table(differences))
			}
		}
		switch {
		case o.machine():
			proof, err := newOfflineProof(s, arguments, bundles, decision)
			if err != nil {
				return err
			}
			if err := o.emit(cmd, json.RawMessage(proof.text)); err != nil {
				return err
			}
		case len(scenarios) == 1:
			p.decision(&decision, whyFromSnapshot(arguments.Snapshot))
			p.differences(s, differences)
		case !o.quiet:
			p.printf("%s %s %s\n", p.met(len(differences) == 0), s.Name, p.faint.Render(summary(&decision)))
			p.differences(s, differences)
		}
	}
	if !o.machine() && !o.quiet {
		p.printf("%d of %d scenarios came out as expected\n", len(scenarios)-missed, len(scenarios))
	}
	if missed > 0 {
		return no()
	}
	return nil
}

// readScenarios reads every file, and fails if there is no scenario in them.
func (o *options) readScenarios(cmd *cobra.Command, files []string) ([]scenario.Scenario, error) {
	var all []scenario.Scenario
	var faults contracts.Diagnostics
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		scenarios, ds := scenario.Parse(filepath.ToSlash(file), text, func(path string) ([]byte, error) { return os.ReadFile(filepath.FromSlash(path)) })
		all, faults = append(all, scenarios...), append(faults, ds...)
	}
	if o.diagnose(cmd, faults) {
		return nil, no()
	}
	if len(all) == 0 {
		return nil, not("there is no scenario in %s", strings.Join(files, ", "))
	}
	return all, nil
}

// differences shows what came out otherwise than expected, side by side.
func (p *presenter) differences(s *scenario.Scenario, differences []scenario.Difference) {
	if len(differences) > 0 {
		p.printf("%s: %s\n  %s\n", s.Pos, p.bad.Render("not as expected"), strings.ReplaceAll(strings.TrimRight(scenario.Table(differences), "\n"), "\n", "\n  "))
	}
}

func summary(d *verify.Decision) string {
	if d.Outcome == verify.Routed {
		return "routed to " + d.Choice.Service
	}
	return "denied"
}

func (p *presenter) met(ok bool) string {
	if ok {
		return p.good.Render("✓")
	}
	return p.bad.Render("✗")
}

// whyFromSnapshot explains violations with the services that were decided on.
func whyFromSnapshot(snapshot *engine.Snapshot) explain {
	return whyFromConjuncts(func(service, id string, index int) string {
		if s, ok := snapshot.Service(service); ok {
			return s.Conjunct(id, index)
		}
		return ""
	})
}

// whyFromPrograms is the same with compiled contracts.
func whyFromPrograms(program func(service string) *cel.Program) explain {
	return whyFromConjuncts(func(service, id string, index int) string {
		if p := program(service); p != nil {
			return p.Conjunct(id, index)
		}
		return ""
	})
}
