package impact

import (
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
)

// Rules are what is compared.
type Rules struct {
	Candidate *rego.Policies
	// InForce are those that the candidate would replace; nil where none are in force.
	InForce *rego.Policies
}

// Answer is a report with what was compared.
type Answer struct {
	Rules []Comparison `json:"rules"` // of each tenant
	Report
}

// Comparison names what a tenant has in force and what was tried.
type Comparison struct {
	Tenant    string  `json:"tenant"`
	InForce   RuleSet `json:"in_force"`
	Candidate RuleSet `json:"candidate"`
}

// RuleSet names bundles and settings by digest.
type RuleSet struct {
	Bundles  []RuleBundle `json:"bundles"` // in order of name
	Settings string       `json:"settings"`
}

// RuleBundle is one bundle.
type RuleBundle struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
}

// NewRuleSet names them.
func NewRuleSet(bundles []*rego.Bundle, settings map[string]any) (RuleSet, error) {
	digest, err := verify.SettingsDigest(settings)
	set := RuleSet{Bundles: make([]RuleBundle, 0, len(bundles)), Settings: digest}
	for _, b := range bundles {
		set.Bundles = append(set.Bundles, RuleBundle{b.Name, b.Digest})
	}
	slices.SortFunc(set.Bundles, func(a, b RuleBundle) int { return strings.Compare(a.Name, b.Name) })
	return set, err
}

// MadeUnder reports whether a decision was made under these rules.
func (s RuleSet) MadeUnder(d *verify.Document) bool {
	return d.Settings.Digest == s.Settings && slices.EqualFunc(d.Bundles, s.Bundles, func(b verify.BundleReference, in RuleBundle) bool { return b.Name == in.Name && b.Digest == in.Digest })
}

// constraint describes one by its id; it is empty for a predicate, and for a constraint that neither the candidate nor what is in force has.
func (r *Rules) constraint(id string) contracts.Constraint {
	lists := [][]contracts.Constraint{r.Candidate.Constraints()}
	if r.InForce != nil {
		lists = append(lists, r.InForce.Constraints())
	}
	for _, list := range lists {
		if i, found := slices.BinarySearchFunc(list, id, func(c contracts.Constraint, id string) int { return strings.Compare(c.ID, id) }); found {
			return list[i]
		}
	}
	return contracts.Constraint{}
}
