package rego

import (
	"context"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/smarthausgroup/caio/contracts"
)

// Options are what policies read besides their input: the tenant's settings at data.caio.settings, and other data, both merged over the bundles' own (spec/policy.md).
// Values are nil, bool, int64, [contracts.Decimal], string, []any and map[string]any.
type Options struct {
	Settings map[string]any
	Data     map[string]any
}

// Policies are compiled bundles, ready to be evaluated. Safe for concurrent use; the zero value has no constraint.
type Policies struct {
	constraints []contracts.Constraint
}

// Compile compiles bundles together, under the rules of spec/policy.md, and reports every fault that it finds; the policies are nil if one is an error.
func Compile(bundles []*Bundle, o Options) (*Policies, contracts.Diagnostics) {
	return &Policies{}, nil
}

// Constraints are all constraints, in order of id.
func (p *Policies) Constraints() []contracts.Constraint { return p.constraints }

// Shared is what every candidate of a decision has in common, as OPA's values. Safe for concurrent use.
type Shared struct{ request, principal, time *ast.Term }

// NewShared converts the request, the principal and the decision's time once.
func NewShared(r *contracts.Request, p contracts.Principal, t time.Time) *Shared { return &Shared{} }

// Service is a contract with its attestation, as OPA's values. Safe for concurrent use.
type Service struct{ term *ast.Term }

// NewService converts a contract once.
func NewService(c *contracts.Contract, a contracts.Attestation) *Service { return &Service{} }

// Input is what the policies see of one candidate. Service and Estimate are not read by safety constraints, which see only the route.
type Input struct {
	Shared   *Shared
	Service  *Service
	Estimate contracts.ServiceEstimate
	Route    contracts.Placement
}

// Findings are what the constraints of one family say of one candidate, each list in order of id.
type Findings struct {
	Violations []contracts.Violation
	Satisfied  []contracts.SatisfiedConstraint
	Warnings   []Warning
}

// Warning is what a `warn` rule says; it blocks nothing.
type Warning struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
}

// Evaluate evaluates every constraint of a family; without one the findings are empty. The error is the context's, or a time-out: what can't be evaluated is a violation with the reason [contracts.ReasonError].
func (p *Policies) Evaluate(ctx context.Context, family contracts.Family, in Input) (Findings, error) {
	return Findings{}, ctx.Err()
}
