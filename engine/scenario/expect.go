package scenario

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/canonical"
	"github.com/smarthausgroup/caio/verify"
)

// Expect is what a scenario expects of its decision. A key that is not given, which is a nil here, is not compared.
type Expect struct {
	Outcome    *string                     `json:"outcome"` // routed | denied
	Winner     *string                     `json:"winner"`
	Route      *string                     `json:"route"`
	Violations map[string][]string         `json:"violations"` // service -> every id that is violated where it fell; of the services named only, none for one that survived
	Unmatched  []Unmatched                 `json:"unmatched"`  // all of them
	Candidates []Candidate                 `json:"candidates"` // all of them, and of each the keys that are given
	Control    []int64                     `json:"control"`
	Guarantees map[string]contracts.Bounds `json:"guarantees"` // all of them
}

// Unmatched is a service that is expected to fail stage match.
type Unmatched struct {
	Service string   `json:"service" jsonschema:"required"`
	IDs     []string `json:"ids" jsonschema:"required"`
}

// Candidate is a service that is expected to match.
type Candidate struct {
	Service    string           `json:"service" jsonschema:"required"`
	Eliminated *Elimination     `json:"eliminated"`
	Estimate   *verify.Estimate `json:"estimate"`
	Terms      map[string]int64 `json:"terms"`     // micro
	Objective  *int64           `json:"objective"` // nano
}

// Elimination is the stage at which a candidate falls, and every id that is violated there.
type Elimination struct {
	Stage string   `json:"stage" jsonschema:"required"`
	IDs   []string `json:"ids" jsonschema:"required"`
}

// Difference between what is expected and what was decided, both as JSON; "none" where there is no value.
type Difference struct {
	Key      string `json:"key"` // winner, candidates.bge-local.objective
	Expected string `json:"expected"`
	Actual   string `json:"actual"`
}

// Table shows differences with expected and actual side by side.
func Table(differences []Difference) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\texpected\tactual")
	for _, d := range differences {
		fmt.Fprintf(w, "%s\t%s\t%s\n", d.Key, d.Expected, d.Actual)
	}
	_ = w.Flush() // a strings.Builder takes everything
	return text.String()
}

// Compare lists the differences between what is expected and a decision, nil if there is none.
func (e *Expect) Compare(d verify.Decision) []Difference {
	var c comparison
	fell := map[string][]string{}
	for _, unmatched := range d.Unmatched {
		fell[unmatched.Service] = unmatched.IDs
	}
	for _, candidate := range d.Candidates {
		fell[candidate.Service] = []string{}
		if candidate.Eliminated != nil {
			fell[candidate.Service] = ids(candidate.Eliminated.Violations)
		}
	}
	given(&c, "outcome", e.Outcome, d.Outcome)
	given(&c, "winner", e.Winner, d.Choice.Service)
	given(&c, "route", e.Route, string(d.Choice.Route))
	for _, service := range slices.Sorted(maps.Keys(e.Violations)) {
		actual, known := fell[service]
		c.equal("violations."+service, set(e.Violations[service]), optional(actual, known))
	}
	c.unmatched(e.Unmatched, d.Unmatched)
	c.candidates(e.Candidates, d.Candidates)
	if e.Control != nil {
		c.equal("control", e.Control, d.Choice.Control)
	}
	if e.Guarantees != nil {
		everyKey(&c, "guarantees.", e.Guarantees, d.Choice.Guarantees)
	}
	return c.differences
}

type comparison struct{ differences []Difference }

// equal compares as canonical JSON does, so that decimals are compared as numbers.
func (c *comparison) equal(key string, expected, actual any) {
	want, got := text(expected), text(actual)
	if want != got {
		c.differences = append(c.differences, Difference{key, want, got})
	}
}

func text(v any) string {
	if v == nil {
		return "none"
	}
	encoded, err := canonical.Encode(v)
	if err != nil {
		return err.Error()
	}
	return string(encoded)
}

// given compares a key if it is given.
func given[T any](c *comparison, key string, expected *T, actual any) {
	if expected != nil {
		c.equal(key, *expected, actual)
	}
}

// optional is v, or nothing.
func optional[T any](v T, ok bool) any {
	if !ok {
		return nil
	}
	return v
}

// everyKey compares the values under every key that one of two maps has.
func everyKey[T any](c *comparison, prefix string, expected, actual map[string]T) {
	for _, key := range set(slices.Collect(maps.Keys(expected)), slices.Collect(maps.Keys(actual))) {
		want, wanted := expected[key]
		got, there := actual[key]
		c.equal(prefix+key, optional(want, wanted), optional(got, there))
	}
}

func (c *comparison) unmatched(expected []Unmatched, actual []verify.Unmatched) {
	if expected == nil {
		return
	}
	want, got := map[string][]string{}, map[string][]string{}
	for _, unmatched := range expected {
		want[unmatched.Service] = set(unmatched.IDs)
	}
	for _, unmatched := range actual {
		got[unmatched.Service] = unmatched.IDs
	}
	everyKey(c, "unmatched.", want, got)
}

func (c *comparison) candidates(expected []Candidate, actual []verify.Candidate) {
	if expected == nil {
		return
	}
	var want, got []string
	byService := map[string]verify.Candidate{}
	for _, candidate := range expected {
		want = append(want, candidate.Service)
	}
	for _, candidate := range actual {
		got = append(got, candidate.Service)
		byService[candidate.Service] = candidate
	}
	c.equal("candidates", set(want), got)
	for _, candidate := range slices.SortedFunc(slices.Values(expected), func(a, b Candidate) int { return cmp.Compare(a.Service, b.Service) }) {
		if found, ok := byService[candidate.Service]; ok {
			c.candidate(candidate, found)
		}
	}
}

// candidate compares the keys of one that are given. What an eliminated candidate does not have, score and estimate, is none.
func (c *comparison) candidate(expected Candidate, actual verify.Candidate) {
	prefix := "candidates." + expected.Service + "."
	if expected.Eliminated != nil {
		want, got := Elimination{expected.Eliminated.Stage, set(expected.Eliminated.IDs)}, any(nil)
		if fell := actual.Eliminated; fell != nil {
			got = Elimination{string(fell.Stage), ids(fell.Violations)}
		}
		c.equal(prefix+"eliminated", want, got)
	}
	var estimate, objective any
	terms := map[string]int64{}
	if score := actual.Score; score != nil {
		estimate, objective = score.Estimate, score.Objective
		terms = named(score.Terms)
	}
	given(c, prefix+"estimate", expected.Estimate, estimate)
	for _, name := range slices.Sorted(maps.Keys(expected.Terms)) {
		term, ok := terms[name]
		c.equal(prefix+"terms."+name, expected.Terms[name], optional(term, ok))
	}
	given(c, prefix+"objective", expected.Objective, objective)
}

// named are terms by the keys that they have in a document.
func named(t verify.Terms) map[string]int64 {
	return map[string]int64{
		"intent": t.Intent, "attention": t.Attention, "learned": t.Learned, "resonance": t.Resonance, "cost": t.Cost, "risk": t.Risk, "latency": t.Latency,
	}
}

// ids are those of violations, sorted.
func ids(violations []contracts.Violation) []string {
	list := make([]string, len(violations))
	for i, violation := range violations {
		list[i] = violation.ID
	}
	return set(list)
}

// set is what the lists hold, sorted and without repetition.
func set(lists ...[]string) []string {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return slices.Compact(all)
}
