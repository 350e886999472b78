package impact_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine"
	"github.com/smarthausgroup/caio/engine/impact"
	"github.com/smarthausgroup/caio/rego"
)

// forbidding compiles a constraint that keeps data with a label away from a service, or, without a label, nothing.
func forbidding(t *testing.T, label, service string) *rego.Policies {
	t.Helper()
	bundle, faults := rego.ReadFS("house", fstest.MapFS{"house.rego": {Data: fmt.Appendf(nil, `package caio.policy.house

import rego.v2

# METADATA
# title: Kept away
# custom: {severity: high, controls: [House rule 1], remedy: Ask another service.}
violation["AWAY"] contains sprintf("%%s is kept away", [input.service.id]) if {
	input.service.id == %q
	%q in input.request.data.labels
}
`, service, label)}})
	if faults.HasErrors() {
		t.Fatal(faults)
	}
	policies, faults := rego.Compile([]*rego.Bundle{bundle}, rego.Options{})
	if faults.HasErrors() {
		t.Fatal(faults)
	}
	return policies
}

func service(t *testing.T, id string, price int) *engine.Service {
	t.Helper()
	s, faults := engine.ReadService("c.yaml", fmt.Appendf(nil, "schema: caio.contract/v1\nid: %s\nname: S\nversion: 1.0.0\nowner: a@example.com\nplacement: internal\ncapabilities: [{type: chat}]\ncost: {per_call: %d}\nprivacy: {locality: local}\n", id, price))
	if faults.HasErrors() {
		t.Fatal(faults)
	}
	return s
}

// pending is a case as the policies recorded it.
func pending(t *testing.T, nth int, label string, recorded *rego.Policies, rules *impact.Rules, services ...*engine.Service) impact.Pending {
	t.Helper()
	request, faults := contracts.ParseRequest("", fmt.Appendf(nil, `{"intent": {"type": "chat"}, "data": {"labels": [%q]}}`, label), contracts.Admission{})
	if faults.HasErrors() {
		t.Fatal(faults)
	}
	c := &impact.Case{ID: fmt.Sprintf("decision-%d", nth), Tenant: "acme", Request: request, Principal: contracts.Principal{Tenant: "acme"}, Services: services, Time: time.Date(2026, 11, 22, 12, 0, nth, 0, time.UTC), Rules: rules, OtherRules: recorded != rules.InForce}
	snapshot, err := engine.NewSnapshot(services...)
	if err != nil {
		t.Fatal(err)
	}
	decider, err := engine.New(engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if c.Recorded, err = decider.Decide(context.Background(), engine.Arguments{Request: request, Principal: c.Principal, Snapshot: snapshot, Policies: recorded, Time: c.Time}); err != nil {
		t.Fatal(err)
	}
	return impact.Pending{Name: c.ID, Tenant: "acme", Intent: "chat", Read: func(context.Context) (*impact.Case, error) { return c, nil }}
}

func sequence(all ...impact.Pending) iter.Seq2[impact.Pending, error] {
	return func(yield func(impact.Pending, error) bool) {
		for _, p := range all {
			if !yield(p, nil) {
				return
			}
		}
	}
}

func TestExamplesTellBothSides(t *testing.T) {
	free, candidate := forbidding(t, "pii", "nobody"), forbidding(t, "pii", "cheap")
	rules := &impact.Rules{Candidate: candidate, InForce: free}
	cheap, dear := service(t, "cheap", 0), service(t, "dear", 1)
	report, err := impact.Run(context.Background(), sequence(
		pending(t, 0, "pii", free, rules, cheap),
		pending(t, 1, "pii", free, rules, cheap, dear),
		pending(t, 2, "none", free, rules, cheap, dear),
	), impact.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if report.Total != 3 || report.Changed != 2 || report.RoutedToDenied != 1 || report.AnotherService != 1 || report.Unchanged != 1 || report.From != "2026-11-22T12:00:00.000Z" || report.To != "2026-11-22T12:00:02.000Z" {
		t.Errorf("%+v", report)
	}
	if got := fmt.Sprint(report.Services); got != "[{cheap 2 0} {dear 0 1}]" {
		t.Errorf("services %s", got)
	}
	if got := fmt.Sprint(report.Constraints); got != "[{AWAY Kept away 2 0}]" {
		t.Errorf("constraints %s", got)
	}
	e := report.Examples[1]
	if e.Kind != impact.AnotherService || e.Before.Service != "cheap" || e.After.Service != "dear" || e.Before.Explanation != "#/examples/1/before/decision" || e.Before.Decision == nil ||
		e.After.Explanation != "#/examples/1/after/decision" || e.After.Decision.Choice.Service != "dear" {
		t.Errorf("%+v", e)
	}
	if d := e.Differences[0]; len(e.Differences) != 1 || d.Reason != "cheap is kept away" || d.Remedy != "Ask another service." || d.Title != "Kept away" || fmt.Sprint(d.Controls) != "[House rule 1]" || !d.Violated {
		t.Errorf("%+v", e.Differences)
	}
	if before, after := strings.Join(e.Before.Reasons, "; "), strings.Join(e.After.Reasons, "; "); !strings.Contains(before, "routed to cheap") || !strings.Contains(after, "rejected cheap: AWAY, is kept away") {
		t.Errorf("%q became %q", before, after)
	}
}

// TestAlready: what was decided before the last change of the rules may differ from the candidate's result though the rules in force give it.
func TestAlready(t *testing.T) {
	free, forbidden := forbidding(t, "pii", "nobody"), forbidding(t, "pii", "cheap")
	rules := &impact.Rules{Candidate: forbidden, InForce: forbidden}
	cheap := service(t, "cheap", 0)
	report, err := impact.Run(context.Background(), sequence(pending(t, 0, "pii", free, rules, cheap), pending(t, 1, "none", free, rules, cheap), pending(t, 2, "pii", forbidden, rules, cheap)), impact.Options{})
	if err != nil || report.Changed != 1 || report.Already != 1 || report.OtherRules != 2 || !report.Examples[0].Already {
		t.Errorf("%+v, %v", report, err)
	}
}

// TestUndone: a candidate that takes back what the rules in force changed differs from these, though not from what was recorded.
func TestUndone(t *testing.T) {
	free, forbidden := forbidding(t, "pii", "nobody"), forbidding(t, "pii", "cheap")
	rules := &impact.Rules{Candidate: free, InForce: forbidden}
	cheap := service(t, "cheap", 0)
	report, err := impact.Run(context.Background(), sequence(pending(t, 0, "pii", free, rules, cheap), pending(t, 1, "none", free, rules, cheap), pending(t, 2, "pii", forbidden, rules, cheap)), impact.Options{})
	if err != nil || report.Changed != 1 || report.Already != 0 {
		t.Errorf("%+v, %v", report, err)
	}
	if want := (impact.Counts{Total: 3, Unchanged: 1, Changed: 2, DeniedToRouted: 2}); report == nil || report.InForce != want {
		t.Errorf("against what is in force %+v", report.InForce)
	}
}

// TestErrorsAreCounted: what can't be read, or panics, is one error, named, what was erased is none, and the others go on.
func TestErrorsAreCounted(t *testing.T) {
	free := forbidding(t, "pii", "nobody")
	rules := &impact.Rules{Candidate: free, InForce: free}
	good := pending(t, 0, "none", free, rules, service(t, "s", 0))
	unread := impact.Pending{Name: "decision-1", Tenant: "acme", Intent: "chat", Read: func(context.Context) (*impact.Case, error) { return nil, errors.New("gone") }}
	broken := impact.Pending{Name: "decision-2", Tenant: "acme", Read: func(context.Context) (*impact.Case, error) { panic("broken") }}
	erased := impact.Pending{Name: "decision-3", Tenant: "acme", Intent: "chat", Read: func(context.Context) (*impact.Case, error) { return nil, fmt.Errorf("entry 7: %w", impact.ErrErased) }}
	report, err := impact.Run(context.Background(), sequence(unread, good, erased, broken), impact.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if report.Total != 4 || report.Erased != 1 || report.InForce.Erased != 1 || report.Errors != 2 || report.Unchanged != 1 || len(report.Failures) != 2 || report.Failures[0].Decision != "decision-1" || report.Failures[0].Error != "gone" || report.Failures[1].Decision != "decision-2" {
		t.Errorf("%+v", report)
	}
	if len(report.Intents) != 1 || report.Intents[0].Errors != 1 || report.Intents[0].Erased != 1 || report.Tenants[0].Errors != 2 {
		t.Errorf("%+v, %+v", report.Intents, report.Tenants)
	}
}

func TestEndsWithItsSource(t *testing.T) {
	free := forbidding(t, "pii", "nobody")
	rules := &impact.Rules{Candidate: free}
	good := pending(t, 0, "none", free, rules, service(t, "s", 0))
	failed := errors.New("the store is gone")
	_, err := impact.Run(context.Background(), func(yield func(impact.Pending, error) bool) {
		_ = yield(good, nil) && yield(impact.Pending{}, failed)
	}, impact.Options{})
	if !errors.Is(err, failed) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var read atomic.Int64
	endless := func(yield func(impact.Pending, error) bool) {
		for yield(impact.Pending{Name: "x", Read: func(ctx context.Context) (*impact.Case, error) {
			if read.Add(1) == 100 {
				cancel()
			}
			return good.Read(ctx)
		}}, nil) {
		}
	}
	if _, err := impact.Run(ctx, endless, impact.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestTurns: every evaluation takes a turn and gives it back, and progress counts to the end.
func TestTurns(t *testing.T) {
	free, forbidden := forbidding(t, "pii", "nobody"), forbidding(t, "pii", "s")
	rules := &impact.Rules{Candidate: forbidden, InForce: forbidden}
	var all []impact.Pending
	for i := range 40 {
		all = append(all, pending(t, i, "pii", free, rules, service(t, "s", 0)))
	}
	var taken, held, most, last atomic.Int64
	report, err := impact.Run(context.Background(), sequence(all...), impact.Options{
		Workers: 3, Examples: -1,
		Turn: func(context.Context) (func(), error) {
			taken.Add(1)
			if n := held.Add(1); n > most.Load() {
				most.Store(n)
			}
			return func() { held.Add(-1) }, nil
		},
		Progress: func(done int64) {
			if done != last.Add(1) {
				t.Errorf("%d are done", done)
			}
		},
	})
	// Under the candidate, and, since all changed and were made under other rules, under those in force.
	if err != nil || report.Changed != 40 || taken.Load() != 80 || held.Load() != 0 || most.Load() > 3 || last.Load() != 40 || len(report.Examples) != 0 {
		t.Errorf("%+v, %v: %d turns, %d held, %d at once, %d told", report, err, taken.Load(), held.Load(), most.Load(), last.Load())
	}
}

// TestManyIntents: callers name intents, so their table is bounded.
func TestManyIntents(t *testing.T) {
	report, err := impact.Run(context.Background(), func(yield func(impact.Pending, error) bool) {
		for i := range 1500 {
			p := impact.Pending{Tenant: "acme", Intent: fmt.Sprintf("intent-%d", i), Read: func(context.Context) (*impact.Case, error) { return nil, errors.New("gone") }}
			if !yield(p, nil) {
				return
			}
		}
	}, impact.Options{})
	if err != nil || len(report.Intents) != 1001 || report.Intents[0].Name != impact.RestOfIntents && report.Intents[0].Total != 500 {
		t.Errorf("%d intents, %v", len(report.Intents), err)
	}
}
