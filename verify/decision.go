package verify

import "github.com/smarthausgroup/caio/contracts"

// Decision is what the calculus concludes: the part of a document that engine and replay compute. The zero value routes nowhere.
type Decision struct {
	Outcome    string      `json:"outcome"`
	Unmatched  []Unmatched `json:"unmatched"`  // in order of service
	Candidates []Candidate `json:"candidates"` // in order of service
	Choice     Choice      `json:"decision"`
	Satisfied  Satisfied   `json:"satisfied"` // of the winner; empty for a denial
	Warnings   []Warning   `json:"warnings"`  // in order of id, route, service, reason
}

// Unmatched is a service that failed stage match, with the ids of its false predicates, sorted.
type Unmatched struct {
	Service string   `json:"service"`
	IDs     []string `json:"ids"`
}

// Candidate is a service that survived matching: eliminated or scored, never both.
type Candidate struct {
	Service    string              `json:"service"`
	Contract   string              `json:"contract"` // digest
	Route      contracts.Placement `json:"route"`
	History    *contracts.History  `json:"history,omitempty"` // the row used; absent without one
	Eliminated *Elimination        `json:"eliminated,omitempty"`
	Score      *Score              `json:"score,omitempty"`
}

// Elimination is the stage at which a candidate fell and every violation of that stage, in order of id, reason and value.
type Elimination struct {
	Stage      contracts.Stage       `json:"stage"`
	Violations []contracts.Violation `json:"violations"`
}

// Score is a survivor's terms (micro), estimate and objective (nano).
type Score struct {
	Terms     Terms    `json:"terms"` // each in micro: 1000000 is 1
	Estimate  Estimate `json:"estimate"`
	Objective int64    `json:"objective"` // in nano: 1000000000 is 1
}

// Terms of the objective, in micro, each in [0, 1_000_000] (spec/calculus.md, section 4).
type Terms struct {
	Intent    int64 `json:"intent"`
	Attention int64 `json:"attention"`
	Learned   int64 `json:"learned"`
	Resonance int64 `json:"resonance"`
	Cost      int64 `json:"cost"`
	Risk      int64 `json:"risk"`
	Latency   int64 `json:"latency"`
}

// Estimate is what a call is expected to cost and take. LatencyMS is nil when unknown.
type Estimate = contracts.ServiceEstimate

// Choice is the winner and what comes with it; for a denial only Control, all zero, and Nearest.
type Choice struct {
	Service    string                      `json:"service,omitempty"`
	Contract   string                      `json:"contract,omitempty"` // digest
	Route      contracts.Placement         `json:"route,omitempty"`
	Objective  *int64                      `json:"objective,omitempty"` // nano
	Control    [8]int64                    `json:"control"`             // micro
	Guarantees map[string]contracts.Bounds `json:"guarantees,omitempty"`
	RunnerUp   *RunnerUp                   `json:"runner_up,omitempty"`
	Nearest    []Nearest                   `json:"nearest,omitempty"`
}

// RunnerUp is the survivor that comes second in the total order; Margin is the winner's objective less its own, in nano.
type RunnerUp struct {
	Service string `json:"service"`
	Margin  int64  `json:"margin"`
}

// Nearest is a candidate that fell last, in a denial. Later stages were not evaluated for it.
type Nearest struct {
	Service    string                `json:"service"`
	Stage      contracts.Stage       `json:"stage"`
	Violations []contracts.Violation `json:"violations"`
}

// Satisfied is what the winner satisfies: ids of its predicates, and constraints with their margins where given, each in order of id.
type Satisfied struct {
	Predicates  []string              `json:"predicates"`
	Constraints []SatisfiedConstraint `json:"constraints"`
}

// SatisfiedConstraint is a constraint that did not fire; Margin says how far it is from firing, where its author reports that.
type SatisfiedConstraint = contracts.SatisfiedConstraint

// Warning comes from a `warn` rule: about a service, or, from safety, about a route.
type Warning struct {
	ID      string              `json:"id"`
	Service string              `json:"service,omitempty"`
	Route   contracts.Placement `json:"route,omitempty"`
	Reason  string              `json:"reason"`
}
