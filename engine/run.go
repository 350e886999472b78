package engine

import (
	"context"
	"fmt"

	"github.com/smarthausgroup/caio/cel"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
)

// run is one decision in the making.
type run struct {
	Arguments
	predicates *cel.Memo
	policies   *rego.Shared
	safety     map[contracts.Placement]rego.Findings // evaluated once for each route

	unmatched  []unmatched  // in order of service id, as candidates
	candidates []*candidate //
	scorer     *scorer      // nil until somebody survives
}

// unmatched is a service that failed stage match.
type unmatched struct {
	service    *Service
	violations []contracts.Violation
}

// candidate is a service on its way through the stages.
type candidate struct {
	service    *Service
	history    contracts.History
	estimate   contracts.ServiceEstimate
	stage      contracts.Stage // at which it fell; "" while it has not
	violations []contracts.Violation
	satisfied  []contracts.SatisfiedConstraint
	warnings   []verify.Warning
	score      *verify.Score
}

func (e *Engine) run(ctx context.Context, a Arguments) (*run, error) {
	if limit := e.options.MaxServices; limit > 0 && a.Snapshot.Len() > limit {
		return nil, fmt.Errorf("engine: the snapshot has %d services, more than the limit of %d", a.Snapshot.Len(), limit)
	}
	r := &run{
		Arguments:  a,
		predicates: cel.NewMemo(cel.NewInput(a.Request, a.Principal)),
		policies:   rego.NewShared(a.Request, a.Principal, a.Time),
		safety:     map[contracts.Placement]rego.Findings{},
	}
	if err := r.match(ctx); err != nil {
		return nil, err
	}
	for _, stage := range stages {
		for _, c := range r.candidates {
			if c.stage != "" {
				continue
			}
			if err := r.evaluate(ctx, stage, c); err != nil {
				return nil, err
			}
		}
	}
	r.scoreSurvivors()
	return r, nil
}

// match splits the snapshot into candidates and services that fail stage match. Most of a large registry fails, so that only what its predicates read is made for it.
func (r *run) match(ctx context.Context) error {
	r.unmatched = make([]unmatched, 0, r.Snapshot.Len())
	for _, service := range r.Snapshot.Services() {
		e := func() contracts.ServiceEstimate {
			return estimate(service.Contract, r.Request.Estimate, r.History[service.Contract.ID])
		}
		violations, err := r.predicates.Evaluate(ctx, service.program, contracts.StageMatch, e)
		if err != nil {
			return failed(contracts.StageMatch, service, err)
		}
		if len(violations) > 0 {
			r.unmatched = append(r.unmatched, unmatched{service, violations})
			continue
		}
		r.candidates = append(r.candidates, &candidate{service: service, history: r.History[service.Contract.ID], estimate: e()})
	}
	return nil
}

func failed(stage contracts.Stage, service *Service, err error) error {
	return fmt.Errorf("stage %s of service %s: %w", stage, service.Contract.ID, err)
}

// evaluate takes c through one stage and eliminates it there if anything is violated.
func (r *run) evaluate(ctx context.Context, stage contracts.Stage, c *candidate) error {
	var violations []contracts.Violation
	var err error
	switch stage {
	case contracts.StageSecurity, contracts.StageBounds:
		violations, err = r.predicates.Evaluate(ctx, c.service.program, stage, func() contracts.ServiceEstimate { return c.estimate })
	default:
		violations, err = r.evaluatePolicies(ctx, stage, c)
	}
	if err != nil {
		return failed(stage, c.service, err)
	}
	if len(violations) > 0 {
		c.stage, c.violations = stage, violations
	}
	return nil
}

func (r *run) evaluatePolicies(ctx context.Context, family contracts.Family, c *candidate) ([]contracts.Violation, error) {
	var findings rego.Findings
	var err error
	about := verify.Warning{Service: c.service.Contract.ID}
	if family == contracts.StageSafety {
		about = verify.Warning{Route: c.service.Contract.Placement}
		findings, err = r.evaluateSafety(ctx, c.service.Contract.Placement)
	} else {
		findings, err = r.Policies.Evaluate(ctx, family, rego.Input{Shared: r.policies, Service: c.service.policies, Estimate: c.estimate, Route: c.service.Contract.Placement})
	}
	if err != nil {
		return nil, err
	}
	c.satisfied = append(c.satisfied, findings.Satisfied...)
	for _, w := range findings.Warnings {
		about.ID, about.Reason = w.ID, w.Reason
		c.warnings = append(c.warnings, about)
	}
	return findings.Violations, nil
}

func (r *run) evaluateSafety(ctx context.Context, route contracts.Placement) (rego.Findings, error) {
	if findings, ok := r.safety[route]; ok {
		return findings, nil
	}
	findings, err := r.Policies.Evaluate(ctx, contracts.StageSafety, rego.Input{Shared: r.policies, Route: route})
	if err == nil {
		r.safety[route] = findings
	}
	return findings, err
}
