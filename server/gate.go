package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine/scenario"
	"github.com/smarthausgroup/caio/rego"
)

// What a bundle must pass before it is handed in, and again before it is put in force (spec/policy.md, "Bundles"): a key of those configured now signed it, it compiles together with everything in force, and its own tests pass.

// TestCounts is how the tests that a bundle brings along came out, scenarios among them.
type TestCounts struct {
	Pass  int `json:"pass"`
	Fail  int `json:"fail"`
	Skip  int `json:"skip"`
	Error int `json:"error"`
}

// maxTestFaults bounds how many failing tests a problem lists.
const maxTestFaults = 100

// lane is a way through the gate, for one at a time, so that memory and time are those of one: at most as many bundles are compiled and tested together as there are lanes.
type lane chan struct{}

// gate has a lane for what is new, and one of its own for what takes a bundle back: who has to undo something does not wait behind what others try out.
type gate struct{ new, back lane }

func newGate() gate { return gate{make(lane, 1), make(lane, 1)} }

// enter waits for a turn. The caller calls leave.
func (l lane) enter(ctx context.Context) (leave func(), err error) {
	select {
	case l <- struct{}{}:
		return func() { <-l }, nil
	case <-ctx.Done():
		return nil, newProblem(http.StatusServiceUnavailable, "gate-busy", "Other bundles are being tested: send the request again. Nothing was done.").because(ctx.Err())
	}
}

// pass returns the rules with the candidate put in among what is in force. The caller is in the gate.
func (s *Server) pass(ctx context.Context, now *inForce, b *rego.Bundle) (*rules, TestCounts, error) {
	r, err := s.candidateRules(now, b, nil)
	if err != nil {
		return nil, TestCounts{}, unfitBundle(err)
	}
	limited, cancel := context.WithTimeout(ctx, s.config.Limits.Gate)
	defer cancel()
	report, err := s.ownTests(limited, r, b)
	switch {
	case ctx.Err() != nil:
		return nil, TestCounts{}, newProblem(http.StatusServiceUnavailable, "gate-busy", "The time ran out before the tests ended: send the request again. Nothing was done.").because(ctx.Err())
	case limited.Err() != nil:
		return nil, TestCounts{}, newProblem(http.StatusUnprocessableEntity, "bundle-tests", fmt.Sprintf("The tests of the bundle did not end within %v.", s.config.Limits.Gate))
	case err != nil:
		return nil, TestCounts{}, unfitBundle(err)
	}
	counts := TestCounts{report.Pass, report.Fail, report.Skip, report.Error}
	return r, counts, untested(report)
}

// unfitBundle is the problem of a bundle that does not compile with what is in force.
func unfitBundle(err error) error {
	var diagnostics contracts.Diagnostics
	if !errors.As(err, &diagnostics) {
		return err
	}
	return bundleFaults("bundle-unfit", "Each fault is listed with its place; nothing was done. A bundle is compiled together with the others in force, under the settings in force.", diagnostics)
}

// ownTests runs the tests that a bundle brings along as `caio policy test` does: the bundle alone, with its own data. One that needs packages of others is tested beside those in force.
func (s *Server) ownTests(ctx context.Context, r *rules, b *rego.Bundle) (rego.Report, error) {
	beside := []*rego.Bundle{b}
	report, err := rego.Test(ctx, beside, rego.TestOptions{})
	var alone contracts.Diagnostics
	if errors.As(err, &alone) && ctx.Err() == nil {
		beside = r.bundles
		report, err = rego.Test(ctx, beside, rego.TestOptions{Options: rego.Options{Settings: r.settings}, Bundles: []string{b.Name}})
	}
	if err != nil {
		return report, err
	}
	return report, runScenarios(ctx, b, beside, &report)
}

// runScenarios adds the scenarios in the bundle to the report.
func runScenarios(ctx context.Context, b *rego.Bundle, beside []*rego.Bundle, report *rego.Report) error {
	all, diagnostics := scenario.InBundle(b)
	if err := diagnostics.Err(); err != nil {
		return err
	}
	for i := range all {
		result, err := all[i].Test(ctx, beside)
		if err != nil {
			return err
		}
		report.Add(result)
	}
	return nil
}

// untested is the problem of a bundle whose tests fail, or that has none.
func untested(report rego.Report) error {
	switch {
	case report.Fail+report.Error > 0:
		p := newProblem(http.StatusUnprocessableEntity, "bundle-tests", fmt.Sprintf("Of the bundle's own tests %d failed and %d could not be evaluated; nothing was done. Run `caio policy test` on its sources.", report.Fail, report.Error))
		for _, t := range report.Results {
			if (t.Status == rego.TestFail || t.Status == rego.TestError) && len(p.Errors) < maxTestFaults {
				name := strings.TrimPrefix(t.Package+"."+t.Name, ".")
				p.Errors = append(p.Errors, Fault{File: t.Pos.File, Line: t.Pos.Line, Column: t.Pos.Column, Code: "test-" + t.Status, Detail: strings.TrimSpace(name + "\n" + t.Detail)})
			}
		}
		return p
	case report.Pass == 0:
		return newProblem(http.StatusUnprocessableEntity, "bundle-tests", "The bundle has no test of its own that is run: add rules test_… in files *_test.rego, or scenarios, and build it with them.")
	}
	return nil
}

// verified holds a bundle to the configured keys.
func (s *Server) verified(b *rego.Bundle) (*rego.Bundle, error) {
	keys := s.configured().PolicyKeys
	if s.config.AllowUnsigned && (b.Signatures == nil || len(keys) == 0) {
		return b, nil
	}
	verified, err := rego.Verify(b, keys)
	if err != nil {
		return nil, newProblem(http.StatusUnprocessableEntity, "bundle-signature", sentence(err.Error())+" Sign it with a key of policy_keys: caio policy build --signing-key FILE --key-id ID.")
	}
	return verified, nil
}
