package engine

import (
	"cmp"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/verify"
)

func (r *run) scoreSurvivors() {
	for _, c := range r.candidates {
		if c.stage != "" {
			continue
		}
		if r.scorer == nil {
			r.scorer = newScorer(r.Request)
		}
		c.score = r.scorer.score(c)
	}
}

// conclude chooses the winner and writes the decision down.
func (r *run) conclude() Decision {
	d := Decision{Outcome: verify.Denied, Unmatched: r.unmatchedIDs(), Candidates: []verify.Candidate{}, Warnings: []verify.Warning{}}
	for _, c := range r.candidates {
		d.Candidates = append(d.Candidates, c.record())
	}
	d.Warnings = append(d.Warnings, r.warnings()...)
	ranking := r.ranking()
	if len(ranking) == 0 {
		d.Choice.Nearest = r.nearest()
		return d
	}
	winner := ranking[0]
	d.Outcome = verify.Routed
	d.Choice = verify.Choice{
		Service:    winner.service.Contract.ID,
		Contract:   winner.service.Digest,
		Route:      winner.service.Contract.Placement,
		Objective:  &winner.score.Objective,
		Control:    control(r.Request, r.scorer.serviceField(winner.service)),
		Guarantees: carried(winner.service.Contract),
	}
	if len(ranking) > 1 {
		next := ranking[1]
		d.Choice.RunnerUp = &verify.RunnerUp{Service: next.service.Contract.ID, Margin: winner.score.Objective - next.score.Objective}
	}
	d.Satisfied = winner.satisfies()
	return d
}

// unmatchedIDs lists the services that did not match, with the ids of their false predicates, which stand in one array: of a large registry they are many.
func (r *run) unmatchedIDs() []verify.Unmatched {
	total := 0
	for i := range r.unmatched {
		total += len(r.unmatched[i].violations)
	}
	all, list := make([]string, 0, total), make([]verify.Unmatched, len(r.unmatched))
	for i := range r.unmatched {
		first := len(all)
		for _, v := range r.unmatched[i].violations {
			all = append(all, v.ID)
		}
		list[i] = verify.Unmatched{Service: r.unmatched[i].service.Contract.ID, IDs: all[first:len(all):len(all)]}
	}
	return list
}

func (c *candidate) record() verify.Candidate {
	record := verify.Candidate{Service: c.service.Contract.ID, Contract: c.service.Digest, Route: c.service.Contract.Placement, Score: c.score}
	if c.history != (contracts.History{}) {
		record.History = &c.history
	}
	if c.stage != "" {
		record.Eliminated = &verify.Elimination{Stage: c.stage, Violations: c.violations}
	}
	return record
}

// ranking is the survivors in the total order of spec/calculus.md, section 4, the winner first.
func (r *run) ranking() []*candidate {
	var survivors []*candidate
	for _, c := range r.candidates {
		if c.score != nil {
			survivors = append(survivors, c)
		}
	}
	ranked := func(c *candidate) *verify.Candidate {
		return &verify.Candidate{Service: c.service.Contract.ID, Score: c.score}
	}
	slices.SortFunc(survivors, func(a, b *candidate) int { return verify.Compare(ranked(a), ranked(b), r.Request.Seed) })
	return survivors
}

// nearest lists the candidates that fell last.
func (r *run) nearest() []verify.Nearest {
	var nearest []verify.Nearest
	last := -1
	for _, c := range r.candidates {
		at := slices.Index(stages, c.stage)
		if at > last {
			last, nearest = at, nil
		}
		if at == last {
			nearest = append(nearest, verify.Nearest{Service: c.service.Contract.ID, Stage: c.stage, Violations: c.violations})
		}
	}
	return nearest
}

func (c *candidate) satisfies() verify.Satisfied {
	s := verify.Satisfied{Predicates: []string{}, Constraints: c.satisfied}
	for _, p := range c.service.Predicates() {
		s.Predicates = append(s.Predicates, p.ID)
	}
	slices.Sort(s.Predicates)
	slices.SortFunc(s.Constraints, func(a, b contracts.SatisfiedConstraint) int { return strings.Compare(a.ID, b.ID) })
	return s
}

// warnings collects those of every candidate, each once: one of safety is the same for every candidate of its route.
func (r *run) warnings() []verify.Warning {
	var all []verify.Warning
	for _, c := range r.candidates {
		all = append(all, c.warnings...)
	}
	slices.SortFunc(all, func(a, b verify.Warning) int {
		return cmp.Or(strings.Compare(a.ID, b.ID), cmp.Compare(a.Route, b.Route), strings.Compare(a.Service, b.Service), strings.Compare(a.Reason, b.Reason))
	})
	return slices.Compact(all)
}
