package main

import (
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/rego"
	"github.com/spf13/cobra"
)

func newPolicy(o *options) *cobra.Command {
	return group("policy", "Start, check, test, lay out, describe, compare and build policies, and put them in force", newPolicyInit(o), newPolicyCheck(o), newPolicyTest(o), newPolicyFmt(o), newPolicyDocs(o), newPolicyDiff(o), newPolicyBuild(o),
		newPolicyPush(o), newPolicyList(o), newPolicyActivate(o), newPolicyDeactivate(o), newPolicyRollback(o), newPolicyApprove(o))
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
