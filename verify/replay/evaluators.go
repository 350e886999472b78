package replay

import (
	"fmt"
	"slices"

	"github.com/smarthausgroup/caio/cel"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/verify"
)

// otherEvaluators says whether the document names other versions of them than this program has.
func (r *replaying) otherEvaluators() bool {
	was, is := r.document.Engine, r.options.Build
	return was.OPA != is.OPA || was.CEL != is.CEL || was.Capabilities != is.Capabilities
}

// differs judges a difference: a failure, unless the evaluators were others and that explains it.
func (r *replaying) differs(f *verify.Fault) verify.Verdict {
	if !r.otherEvaluators() {
		return verify.Judge(verify.LayerReplay, f)
	}
	if err := r.unexplained(); err != nil {
		v := verify.Judge(verify.LayerReplay, err)
		v.Reason += "; no version of the evaluators explains that"
		return v
	}
	v, was := verify.Judge(verify.LayerReplay, f), r.document.Engine
	v.Status = verify.Inconclusive
	v.Reason += fmt.Sprintf("; the evaluators were others, so the release that the proof names must settle it: %s, with OPA %s and cel-go %s", was.Version, was.OPA, was.CEL)
	return v
}

// unexplained is what no evaluator of predicates and constraints could have made: their verdicts, reasons, margins and warnings are taken from the document, and everything else, which is integers, is decided
// again. Only what exists can have a verdict.
func (r *replaying) unexplained() error {
	if err := verify.Complete(r.ev, r.document); err != nil {
		return err
	}
	rules, uncompiled := Compile(r.arguments)
	if uncompiled == nil {
		if err := r.exist(rules); err != nil {
			return err
		}
	}
	d := &decision{Arguments: r.arguments}
	for i, said := range r.document.Candidates {
		contract := r.contract(said.Service)
		if contract == nil {
			return &verify.Fault{Pointer: fmt.Sprintf("/candidates/%d/service", i), Reason: "the snapshot has no such service", Got: said.Service}
		}
		program := rules.programs[contract]
		if program == nil {
			program = new(cel.Program)
		}
		c := d.candidate(contract, program)
		c.Eliminated = said.Eliminated
		d.candidates = append(d.candidates, c)
	}
	r.conclude(d)
	d.Unmatched, d.Warnings = r.document.Unmatched, slices.Clone(r.document.Warnings)
	if d.Outcome == verify.Routed {
		if uncompiled != nil {
			d.Satisfied = r.document.Satisfied
		} else {
			d.Satisfied.Constraints = r.margins(rules)
		}
	}
	want := *r.document
	want.Decision = d.report()
	fault, err := firstDifference(want, *r.document)
	if fault != nil {
		return fault
	}
	return err
}

func (r *replaying) contract(service string) *contracts.Contract {
	i := slices.IndexFunc(r.arguments.Contracts, func(c *contracts.Contract) bool { return c.ID == service })
	if i < 0 {
		return nil
	}
	return r.arguments.Contracts[i]
}

// margins are the constraints that a winner satisfies, which is all of them, with the margins that the document gives.
func (r *replaying) margins(rules *Rules) []contracts.SatisfiedConstraint {
	var satisfied []contracts.SatisfiedConstraint
	for _, constraint := range rules.policies.Constraints() {
		s := contracts.SatisfiedConstraint{ID: constraint.ID}
		for _, said := range r.document.Satisfied.Constraints {
			if said.ID == constraint.ID {
				s.Margin = said.Margin
			}
		}
		satisfied = append(satisfied, s)
	}
	return satisfied
}

// exist checks that the document speaks only of predicates and constraints that there are, each at its stage.
func (r *replaying) exist(rules *Rules) error {
	unknown := func(pointer, id string) error {
		return &verify.Fault{Pointer: pointer, Reason: "there is no such predicate or constraint at that stage", Got: id}
	}
	for i, said := range r.document.Unmatched {
		contract := r.contract(said.Service)
		for j, id := range said.IDs {
			if contract != nil && !rules.has(contract, contracts.StageMatch, id) {
				return unknown(fmt.Sprintf("/unmatched/%d/ids/%d", i, j), id)
			}
		}
	}
	for i, said := range r.document.Candidates {
		contract := r.contract(said.Service)
		if said.Eliminated == nil || contract == nil {
			continue
		}
		for j, violation := range said.Eliminated.Violations {
			if !rules.has(contract, said.Eliminated.Stage, violation.ID) {
				return unknown(fmt.Sprintf("/candidates/%d/eliminated/violations/%d/id", i, j), violation.ID)
			}
		}
	}
	return nil
}

// has says whether there is a predicate of the contract, or a constraint, with that id at that stage.
func (r *Rules) has(contract *contracts.Contract, stage contracts.Stage, id string) bool {
	return slices.ContainsFunc(r.programs[contract].Predicates(), func(p cel.Predicate) bool { return p.ID == id && p.Stage == stage }) ||
		slices.ContainsFunc(r.policies.Constraints(), func(c contracts.Constraint) bool { return c.ID == id && c.Family == stage })
}
