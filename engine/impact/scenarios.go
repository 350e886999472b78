package impact

import (
	"context"
	"fmt"
	"iter"

	"github.com/smarthausgroup/caio/contracts/canonical"
	"github.com/smarthausgroup/caio/engine"
	"github.com/smarthausgroup/caio/engine/scenario"
	"github.com/smarthausgroup/caio/verify"
)

// FromScenarios gives scenarios as cases: recorded is what they come to under Rules.InForce. Compile gives the rules with a scenario's settings and data; it is called once for those that are equal.
func FromScenarios(scenarios []scenario.Scenario, compile func(settings, data map[string]any) (*Rules, error)) iter.Seq2[Pending, error] {
	known := map[string]*Rules{}
	rulesOf := func(s *scenario.Scenario) (*Rules, error) {
		key, err := canonical.Digest([]any{s.Settings, s.Data})
		if err != nil || known[key] != nil {
			return known[key], err
		}
		known[key], err = compile(s.Settings, s.Data)
		return known[key], err
	}
	return func(yield func(Pending, error) bool) {
		for i := range scenarios {
			s := &scenarios[i]
			rules, err := rulesOf(s)
			read := func(ctx context.Context) (*Case, error) { return fromScenario(ctx, s, rules) }
			if err != nil {
				read = func(context.Context) (*Case, error) { return nil, err }
			}
			if !yield(Pending{Name: nameOf(s), Tenant: s.Principal.Tenant, Intent: s.Request.Intent.Type, Read: read}, nil) {
				return
			}
		}
	}
}

func nameOf(s *scenario.Scenario) string { return fmt.Sprintf("%s: %s", s.Pos.File, s.Name) }

func fromScenario(ctx context.Context, s *scenario.Scenario, rules *Rules) (*Case, error) {
	snapshot, err := s.Snapshot()
	if err != nil {
		return nil, err
	}
	decider, err := engine.New(engine.Options{})
	if err != nil {
		return nil, err
	}
	c := &Case{ID: nameOf(s), Tenant: s.Principal.Tenant, Request: s.Request, Principal: s.Principal, History: s.Rows(), Time: s.Time, Rules: rules}
	c.Recorded, err = decider.Decide(ctx, engine.Arguments{Request: c.Request, Principal: c.Principal, Snapshot: snapshot, Policies: rules.InForce, History: c.History, Time: c.Time})
	if err != nil {
		return nil, err
	}
	for i := range c.Recorded.Candidates {
		if service, ok := snapshot.Service(c.Recorded.Candidates[i].Service); ok {
			c.Services = append(c.Services, service)
		}
	}
	c.Recorded.Unmatched = []verify.Unmatched{} // who did not match is the same on both sides
	return c, nil
}
