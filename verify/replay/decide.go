package replay

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/smarthausgroup/caio/cel"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
)

// Arguments are everything that a decision reads (spec/calculus.md, top).
type Arguments struct {
	Request      *contracts.Request
	Principal    contracts.Principal
	Contracts    []*contracts.Contract            // the snapshot, in any order
	Attestations map[string]contracts.Attestation // by service; a service without one is self-attested
	Bundles      []*rego.Bundle
	Settings     map[string]any               // the tenant's, read by policies as data.caio.settings
	Data         map[string]any               // merged into the bundles' data
	History      map[string]contracts.History // by service: the rows of the tenant and the intent type at Time
	Time         time.Time
}

// Decide evaluates the calculus. It returns an error, and no decision, where the arguments break a rule of admission, a contract or a bundle does not compile, or ctx ends.
func Decide(ctx context.Context, a Arguments) (verify.Decision, error) {
	rules, err := Compile(a)
	if err != nil {
		return verify.Decision{}, err
	}
	return rules.Decide(ctx, a)
}

// Rules are compiled contracts and policies, for many decisions under the same ones.
type Rules struct {
	programs map[*contracts.Contract]*cel.Program
	policies *rego.Policies
}

// Compile compiles the contracts, bundles, settings and data of a. It returns every fault, as contracts.Diagnostics.
func Compile(a Arguments) (*Rules, error) {
	rules := &Rules{programs: map[*contracts.Contract]*cel.Program{}}
	var faults contracts.Diagnostics
	for _, contract := range a.Contracts {
		program, ds := cel.Compile(contract)
		rules.programs[contract] = program
		faults = append(faults, ds...)
	}
	policies, ds := rego.Compile(a.Bundles, rego.Options{Settings: a.Settings, Data: a.Data})
	rules.policies = policies
	return rules, append(faults, ds...).Err()
}

// candidate is a service under evaluation.
type candidate struct {
	verify.Candidate
	contract  *contracts.Contract
	program   *cel.Program
	service   *rego.Service
	attested  contracts.Attestation
	history   contracts.History
	estimate  contracts.ServiceEstimate
	satisfied []contracts.SatisfiedConstraint
}

// decision is one in the making.
type decision struct {
	Arguments
	policies   *rego.Policies
	input      *cel.Input
	shared     *rego.Shared
	fields     psi
	candidates []*candidate // in order of service
	verify.Decision
}

// Decide evaluates the calculus under r, which was compiled from every contract of a (there may have been more) and from its bundles, settings and data.
func (r *Rules) Decide(ctx context.Context, a Arguments) (verify.Decision, error) {
	d, err := r.eliminate(ctx, a)
	if err != nil {
		return verify.Decision{}, err
	}
	d.score()
	d.choose()
	return d.report(), nil
}

// eliminate is stages 1 to 6.
func (r *Rules) eliminate(ctx context.Context, a Arguments) (*decision, error) {
	if err := admissible(a); err != nil {
		return nil, err
	}
	d := &decision{Arguments: a, policies: r.policies, input: cel.NewInput(a.Request, a.Principal), shared: rego.NewShared(a.Request, a.Principal, a.Time)}
	for _, stage := range []func(context.Context) error{
		func(ctx context.Context) error { return d.match(ctx, r.programs) },
		d.safety,
		d.constraints(contracts.StagePolicy),
		d.predicates(contracts.StageSecurity),
		d.constraints(contracts.StageTraits),
		d.predicates(contracts.StageBounds),
	} {
		if err := stage(ctx); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// admissible refuses what admission should have refused and the calculus has no answer for.
func admissible(a Arguments) error {
	if _, ok := profiles[a.Request.Profile]; !ok {
		return fmt.Errorf("replay: the request's profile %q is not one of the calculus", a.Request.Profile)
	}
	if n := len(a.Request.Previous); n != 0 && n != 8 {
		return fmt.Errorf("replay: control.previous has %d numbers, not eight", n)
	}
	seen := map[string]bool{}
	for _, contract := range a.Contracts {
		if seen[contract.ID] {
			return fmt.Errorf("replay: the snapshot has service %s twice", contract.ID)
		}
		seen[contract.ID] = true
	}
	return nil
}

// match is stage 1: it makes the candidates, and records the services that are none.
func (d *decision) match(ctx context.Context, programs map[*contracts.Contract]*cel.Program) error {
	services := slices.SortedFunc(slices.Values(d.Contracts), func(a, b *contracts.Contract) int { return cmp.Compare(a.ID, b.ID) })
	for _, contract := range services {
		c := d.candidate(contract, programs[contract])
		if c.program == nil {
			return fmt.Errorf("replay: service %s has not been compiled", contract.ID)
		}
		violations, err := c.program.Evaluate(ctx, contracts.StageMatch, d.input, c.estimate)
		if err != nil {
			return err
		}
		if len(violations) == 0 {
			d.candidates = append(d.candidates, c)
			continue
		}
		unmatched := verify.Unmatched{Service: contract.ID}
		for _, violation := range violations {
			unmatched.IDs = append(unmatched.IDs, violation.ID)
		}
		slices.Sort(unmatched.IDs)
		d.Unmatched = append(d.Unmatched, unmatched)
	}
	return nil
}

func (d *decision) candidate(contract *contracts.Contract, program *cel.Program) *candidate {
	c := &candidate{contract: contract, program: program, attested: contracts.SelfAttested, history: d.History[contract.ID]}
	if level, ok := d.Attestations[contract.ID]; ok {
		c.attested = level
	}
	c.estimate = estimate(d.Request.Estimate, contract, c.history)
	c.service = rego.NewService(contract, c.attested)
	c.Candidate = verify.Candidate{Service: contract.ID, Contract: contract.Digest(), Route: contract.Placement}
	if c.history != (contracts.History{}) {
		c.History = &c.history
	}
	return c
}

// safety is stage 2: about the action, so evaluated once for each route among the candidates.
func (d *decision) safety(ctx context.Context) error {
	for _, route := range []contracts.Placement{contracts.Internal, contracts.Hybrid, contracts.External} {
		ofRoute := slices.DeleteFunc(slices.Clone(d.candidates), func(c *candidate) bool { return c.Route != route })
		if len(ofRoute) == 0 {
			continue
		}
		findings, err := d.policies.Evaluate(ctx, contracts.StageSafety, rego.Input{Shared: d.shared, Route: route})
		if err != nil {
			return err
		}
		for _, warning := range findings.Warnings {
			d.Warnings = append(d.Warnings, verify.Warning{ID: warning.ID, Route: route, Reason: warning.Reason})
		}
		for _, c := range ofRoute {
			c.satisfied = append(c.satisfied, findings.Satisfied...)
			c.eliminate(contracts.StageSafety, findings.Violations)
		}
	}
	return nil
}

// constraints is a stage of Rego about services: 3 or 5.
func (d *decision) constraints(family contracts.Family) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, c := range d.survivors() {
			findings, err := d.policies.Evaluate(ctx, family, rego.Input{Shared: d.shared, Service: c.service, Estimate: c.estimate, Route: c.Route})
			if err != nil {
				return err
			}
			for _, warning := range findings.Warnings {
				d.Warnings = append(d.Warnings, verify.Warning{ID: warning.ID, Service: c.Service, Reason: warning.Reason})
			}
			c.satisfied = append(c.satisfied, findings.Satisfied...)
			c.eliminate(family, findings.Violations)
		}
		return nil
	}
}

// predicates is a stage of CEL: 4 or 6.
func (d *decision) predicates(stage contracts.Stage) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, c := range d.survivors() {
			violations, err := c.program.Evaluate(ctx, stage, d.input, c.estimate)
			if err != nil {
				return err
			}
			c.eliminate(stage, violations)
		}
		return nil
	}
}

// survivors are the candidates that no stage has eliminated yet.
func (d *decision) survivors() []*candidate {
	return slices.DeleteFunc(slices.Clone(d.candidates), func(c *candidate) bool { return c.Eliminated != nil })
}

// eliminate ends a candidate if the stage found a violation.
func (c *candidate) eliminate(stage contracts.Stage, violations []contracts.Violation) {
	if len(violations) == 0 {
		return
	}
	sorted := slices.SortedFunc(slices.Values(violations), func(a, b contracts.Violation) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Value, b.Value))
	})
	c.Eliminated = &verify.Elimination{Stage: stage, Violations: sorted}
}

// score is stage 7: the terms and the objective of every survivor.
func (d *decision) score() {
	d.fields = requestFields(d.Request)
	clarity := d.fields.clarity()
	for _, c := range d.survivors() {
		t := terms(d.Request, d.fields, clarity, c.contract, c.attested, c.history, c.estimate)
		c.Score = &verify.Score{Terms: t, Estimate: c.estimate, Objective: profiles[d.Request.Profile].objective(t)}
	}
}

// choose is the argmax, or the denial.
func (d *decision) choose() {
	survivors := d.survivors()
	if len(survivors) == 0 {
		d.Outcome = verify.Denied
		d.Choice.Nearest = d.nearest()
		return
	}
	slices.SortFunc(survivors, func(a, b *candidate) int { return compare(a.Candidate, b.Candidate, d.Request.Seed) })
	winner := survivors[0]
	d.Outcome = verify.Routed
	d.Choice = verify.Choice{
		Service:    winner.Service,
		Contract:   winner.Contract,
		Route:      winner.Route,
		Objective:  &winner.Score.Objective,
		Control:    control(d.fields, winner.contract, d.Request.Previous),
		Guarantees: guarantees(winner.contract),
	}
	if len(survivors) > 1 {
		second := survivors[1]
		d.Choice.RunnerUp = &verify.RunnerUp{Service: second.Service, Margin: winner.Score.Objective - second.Score.Objective}
	}
	for _, predicate := range winner.program.Predicates() {
		d.Satisfied.Predicates = append(d.Satisfied.Predicates, predicate.ID)
	}
	slices.Sort(d.Satisfied.Predicates)
	d.Satisfied.Constraints = slices.SortedStableFunc(slices.Values(winner.satisfied), func(a, b contracts.SatisfiedConstraint) int { return cmp.Compare(a.ID, b.ID) })
}

// nearest are the candidates of a denial that fell last, in order of service (spec/proof.md, "The document").
func (d *decision) nearest() []verify.Nearest {
	order := []contracts.Stage{contracts.StageBounds, contracts.StageTraits, contracts.StageSecurity, contracts.StagePolicy, contracts.StageSafety}
	for _, stage := range order {
		var fell []verify.Nearest
		for _, c := range d.candidates {
			if c.Eliminated.Stage == stage {
				fell = append(fell, verify.Nearest{Service: c.Service, Stage: stage, Violations: c.Eliminated.Violations})
			}
		}
		if fell != nil {
			return fell
		}
	}
	return nil
}

// report collects the candidates and puts the warnings, a set, in their order.
func (d *decision) report() verify.Decision {
	for _, c := range d.candidates {
		d.Candidates = append(d.Candidates, c.Candidate)
	}
	slices.SortFunc(d.Warnings, func(a, b verify.Warning) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Route, b.Route), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Reason, b.Reason))
	})
	d.Warnings = slices.Compact(d.Warnings)
	return d.Decision
}
