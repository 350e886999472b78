package scenario

import (
	"context"

	"github.com/smarthausgroup/caio/rego"
)

// Test runs the scenario under bundles as a test: a difference is a failure, a decision that can't be made an error of the test. The error is that of ctx, if it ended. Package and Duration are left empty.
func (s *Scenario) Test(ctx context.Context, bundles []*rego.Bundle) (rego.TestResult, error) {
	t := rego.TestResult{Name: s.Name, Pos: s.Pos, Status: rego.TestPass}
	result, err := s.Run(ctx, bundles)
	switch {
	case ctx.Err() != nil:
		return t, ctx.Err()
	case err != nil:
		t.Status, t.Detail = rego.TestError, err.Error()
	case len(result.Differences) > 0:
		t.Status, t.Detail = rego.TestFail, Table(result.Differences)
		for _, d := range result.Differences {
			t.Failures = append(t.Failures, rego.Failure{Pos: s.Pos, Expression: d.Key, Values: []rego.Value{
				{Role: rego.RoleExpected, Text: d.Key, Value: d.Expected}, {Role: rego.RoleActual, Text: d.Key, Value: d.Actual},
			}})
		}
	}
	return t, nil
}
