package impact

import (
	"fmt"
	"slices"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/verify"
)

const (
	// maxReasons and maxDifferences bound what an example goes into; its explanations hold everything.
	maxReasons     = 12
	maxDifferences = 20
)

// example puts both decisions into words.
func (r *result) example() Example {
	c := r.of
	e := Example{
		Kind: r.kind, DecisionID: c.ID, Tenant: c.Tenant, Intent: c.Request.Intent.Type, Time: c.Time.Format(verify.TimeFormat), Already: r.already(),
		Before: r.side(&outcome{c.Recorded, true}), After: r.side(r.after),
		Differences: slices.Clone(r.differences[:min(len(r.differences), maxDifferences)]),
	}
	e.Before.Reasons, e.After.Reasons = telling(e.Before.Reasons, e.After.Reasons), telling(e.After.Reasons, e.Before.Reasons)
	e.After.Decision = &r.after.Decision
	if e.Before.Explanation = c.Link; c.Link == "" {
		e.Before.Decision = &c.Recorded
	}
	for i := range e.Differences {
		d := &e.Differences[i]
		known := c.Rules.constraint(d.ID)
		d.Title, d.Severity, d.Controls, d.Remedy = known.Title, known.Severity, known.Controls, known.Remedy
		d.Reason = r.why(d)
	}
	return e
}

// side is a decision in short. Who did not match is the same on both sides, and left out.
func (r *result) side(o *outcome) Side {
	d := o.Decision
	d.Unmatched = nil
	s := Side{Outcome: d.Outcome, Service: d.Choice.Service, WinnerUnknown: d.Outcome == verify.Routed && !o.known}
	document := &verify.Document{Decision: d}
	document.Request.Seed = r.of.Request.Seed
	s.Reasons = verify.Sentences(r.evidence(), document)
	if s.WinnerUnknown {
		s.Reasons[0] = "routed, winner unknown: a text is gone that scoring reads"
	}
	return s
}

// telling are the sentences of one side, those that the other side has not before those that it has; the first says what came out.
func telling(side, other []string) []string {
	list := slices.Clone(side)
	slices.SortStableFunc(list[1:], func(a, b string) int {
		return bit(slices.Contains(other, a)) - bit(slices.Contains(other, b))
	})
	if more := len(list) - maxReasons; more > 0 {
		list = append(list[:maxReasons], fmt.Sprintf("and %d more", more))
	}
	return list
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// evidence holds what sentences read of it: the contracts of the candidates.
func (r *result) evidence() *verify.Evidence {
	ev := &verify.Evidence{Contracts: make(map[string][]byte, len(r.of.Services))}
	for _, s := range r.of.Services {
		ev.Contracts[s.Digest] = s.Contract.Canonical()
	}
	return ev
}

// why puts the reason of a difference into words.
func (r *result) why(d *Difference) string {
	switch {
	case d.Reason == contracts.ReasonError:
		return "it could not be evaluated, so it counts as violated"
	case d.kind == contracts.KindRego:
		return d.Reason
	}
	for _, s := range r.of.Services {
		for _, p := range s.Contract.Predicates {
			if s.Contract.ID == d.Service && p.ID == d.ID {
				return verify.FalsePredicate(d.ID, p.Message, p.Expr)
			}
		}
	}
	return verify.FalsePredicate(d.ID, "", "")
}

// point fills in the pointers to the explanations that the report carries.
func (r *Report) point() {
	for i := range r.Examples {
		e := &r.Examples[i]
		e.After.Explanation = fmt.Sprintf("#/examples/%d/after/decision", i)
		if e.Before.Decision != nil {
			e.Before.Explanation = fmt.Sprintf("#/examples/%d/before/decision", i)
		}
	}
}
