package main

import (
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/rego"
	"github.com/spf13/cobra"
)

func newPolicy(o *options) *cobra.Command {
	return group("policy", "Start, check, test, lay out, describe, compare and build policies, and put them in force", newPolicyInit(o), newPolicyCheck(o), newPolicyTest(o), newPolicyFmt(o), newPolicyDocs(o), newPolicySchema(o), newPolicyDiff(o), newPolicyBuild(o), newPolicyImpact(o),
		newPolicyPush(o), newPolicyPull(o), newPolicyList(o), newPolicyActivate(o), newPolicyDeactivate(o), newPolicyRollback(o), newPolicyShadow(o), newPolicyApprove(o))
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

// compileBundle compiles a bundle that was read with these faults; with an error among them it is not. Constraints are never nil.
func compileBundle(bundle *rego.Bundle, faults contracts.Diagnostics) ([]contracts.Constraint, contracts.Diagnostics) {
	if !faults.HasErrors() {
		policies, diagnostics := rego.Compile([]*rego.Bundle{bundle}, rego.Options{})
		faults = append(faults, diagnostics...)
		if policies != nil {
			return policies.Constraints(), faults
		}
	}
	return []contracts.Constraint{}, faults
}

// errNoConstraint refuses what compiles and says nothing.
func errNoConstraint() error {
	return not("there is no constraint here: a rule violation[\"ID\"] in a package caio.policy.…, caio.safety.… or caio.traits.…")
}
