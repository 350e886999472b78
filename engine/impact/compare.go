package impact

import (
	"cmp"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/verify"
)

// Kind says how a decision comes out under the candidate rules, beside what was recorded.
type Kind string

// The kinds. The first three are changes; an error is none of them.
const (
	RoutedToDenied Kind = "routed_to_denied"
	DeniedToRouted Kind = "denied_to_routed"
	AnotherService Kind = "another_service"
	// OtherConstraints: the same outcome and service, and some candidate violates other constraints.
	OtherConstraints Kind = "other_constraints"
	// WinnerUnknown: routed either way, and whether to the same service can't be told, since a text is gone that scoring reads.
	WinnerUnknown Kind = "winner_unknown"
	Unchanged     Kind = "unchanged"
	// Erased is of one whose document was erased, so that it can't be decided again.
	Erased Kind = "erased"
)

// Kinds lists those of which examples are shown, in their order.
var Kinds = []Kind{RoutedToDenied, DeniedToRouted, AnotherService, OtherConstraints, WinnerUnknown}

func (k Kind) changed() bool {
	return k == RoutedToDenied || k == DeniedToRouted || k == AnotherService
}

// outcome is a decision of which not everything may be known.
type outcome struct {
	verify.Decision
	known bool // whether Choice says who wins
}

// recall puts the recorded scores in the place of those that were computed without a text that is gone: scores don't depend on policies. A survivor that has no recorded one is left without, and unless it is alone nobody knows who wins.
func (o *outcome) recall(c *Case) {
	recorded := map[string]*verify.Score{}
	for i := range c.Recorded.Candidates {
		recorded[c.Recorded.Candidates[i].Service] = c.Recorded.Candidates[i].Score
	}
	var ranking []*verify.Candidate
	for i := range o.Candidates {
		candidate := &o.Candidates[i]
		if candidate.Eliminated == nil {
			candidate.Score = recorded[candidate.Service]
			o.known = o.known && candidate.Score != nil
			ranking = append(ranking, candidate)
		}
	}
	o.known = o.known || len(ranking) == 1
	if len(ranking) == 0 {
		return
	}
	o.Choice, o.Satisfied = verify.Choice{}, verify.Satisfied{}
	if !o.known {
		return
	}
	slices.SortFunc(ranking, func(a, b *verify.Candidate) int { return verify.Compare(a, b, c.Request.Seed) })
	winner := ranking[0]
	o.Choice.Service, o.Choice.Contract, o.Choice.Route = winner.Service, winner.Contract, winner.Route
	if winner.Score != nil {
		o.Choice.Objective = &winner.Score.Objective
	}
	if len(ranking) > 1 {
		o.Choice.RunnerUp = &verify.RunnerUp{Service: ranking[1].Service, Margin: winner.Score.Objective - ranking[1].Score.Objective}
	}
}

// result is what became of one case.
type result struct {
	name, tenant, intent string
	err                  error
	of                   *Case
	after                *outcome
	kind                 Kind // beside what was recorded
	live                 Kind // beside what the rules in force decide, which is what was recorded if it was made under them
	differences          []Difference
}

// Difference is a predicate or constraint that one candidate violates under one of the rules and not under the other.
type Difference struct {
	Service string          `json:"service"`
	ID      string          `json:"id"`
	Stage   contracts.Stage `json:"stage"`
	// Violated says under which: true under the candidate rules only, false as recorded only.
	Violated bool `json:"violated"`
	// Reason is in words.
	Reason string `json:"reason"`
	// Title, Severity, Controls and Remedy are those of a constraint's annotation.
	Title    string   `json:"title,omitempty"`
	Severity string   `json:"severity,omitempty"`
	Controls []string `json:"controls,omitempty"`
	Remedy   string   `json:"remedy,omitempty"`

	kind string
}

// already reports whether the candidate changes the decision no more: the rules in force give its result.
func (r *result) already() bool {
	return r.kind.changed() && (r.live == OtherConstraints || r.live == Unchanged)
}

func (r *result) compare(recorded, now, after *outcome) {
	r.after, r.differences = after, differences(&recorded.Decision, &after.Decision)
	r.kind = kindOf(recorded, after, r.differences)
	if r.live = r.kind; now != recorded {
		r.live = kindOf(now, after, differences(&now.Decision, &after.Decision))
	}
}

func kindOf(before, after *outcome, differences []Difference) Kind {
	switch {
	case before.Outcome != after.Outcome && after.Outcome == verify.Denied:
		return RoutedToDenied
	case before.Outcome != after.Outcome:
		return DeniedToRouted
	case !before.known || !after.known:
		return WinnerUnknown
	case before.Choice.Service != after.Choice.Service:
		return AnotherService
	case len(differences) > 0:
		return OtherConstraints
	}
	return Unchanged
}

// order is that of the stages in which a candidate can fall.
var order = []contracts.Stage{contracts.StageSafety, contracts.StagePolicy, contracts.StageSecurity, contracts.StageTraits, contracts.StageBounds}

// differences lists, in order of service, what is violated in one of the two. What an earlier stage kept from being evaluated is not known to hold, and so is not listed as violated no longer.
func differences(before, after *verify.Decision) []Difference {
	fell := map[string]*verify.Elimination{}
	for i := range before.Candidates {
		fell[before.Candidates[i].Service] = before.Candidates[i].Eliminated
	}
	var list []Difference
	for i := range after.Candidates {
		service, was, is := after.Candidates[i].Service, fell[after.Candidates[i].Service], after.Candidates[i].Eliminated
		list = append(list, only(service, is, was, true)...)
		if was != nil && (is == nil || slices.Index(order, is.Stage) >= slices.Index(order, was.Stage)) {
			list = append(list, only(service, was, is, false)...)
		}
	}
	return list
}

// only lists what of a is not in b, each id once.
func only(service string, a, b *verify.Elimination, violated bool) []Difference {
	if a == nil {
		return nil
	}
	var list []Difference
	same := func(x, y contracts.Violation) bool { return x.Kind == y.Kind && x.ID == y.ID }
	for i, v := range a.Violations {
		known := func(w contracts.Violation) bool { return same(v, w) }
		if slices.ContainsFunc(a.Violations[:i], known) || b != nil && slices.ContainsFunc(b.Violations, known) {
			continue
		}
		list = append(list, Difference{Service: service, ID: v.ID, Stage: a.Stage, Violated: violated, Reason: v.Reason, kind: v.Kind})
	}
	return list
}

// byMost sorts the largest first, ties by name.
func byMost[T any](list []T, size func(*T) int64, name func(*T) string) {
	slices.SortFunc(list, func(a, b T) int {
		return cmp.Or(cmp.Compare(size(&b), size(&a)), strings.Compare(name(&a), name(&b)))
	})
}
