package main

import (
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/rego"
	"github.com/spf13/cobra"
)

func newPolicy(o *options) *cobra.Command {
	return group("policy", "Start, check, test, lay out, describe, compare and build policies, and put them in force", newPolicyInit(o), newPolicyCheck(o), newPolicyTest(o), newPolicyFmt(o), newPolicyDocs(o), newPolicySchema(o), newPolicyDiff(o), newPolicyBuild(o), newPolicyImpact(o),
		newPolicyPush(o), newPolicyList(o), newPolicyActivate(o), newPolicyDeactivate(o), newPolicyRollback(o), newPolicyShadow(o), newPolicyApprove(o))
}

// readBundles reads bundles from folders and tarballs; faults are not an error.
func readBundles(paths []string) ([]*rego.Bundle, contracts.Diagnostics, error) {
	var bundles []*rego.Bundle
	var all contracts.Diagnostics
	for _, path := range paths {
		bundle, diagnostics, err := readBundle(path)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, diagnostics...)
		if bundle != nil {
			bundles = append(bundles, bundle)
		}
	}
	return bundles, all, nil
}

// checkBundles reads bundles and compiles them together, as a server does. Constraints are never nil; faults are not an error.
func checkBundles(paths ...string) ([]*rego.Bundle, []contracts.Constraint, contracts.Diagnostics, error) {
	bundles, all, err := readBundles(paths)
	if err != nil {
		return nil, nil, nil, err
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
