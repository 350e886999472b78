// Package scenario reads tests of whole decisions, runs them through the engine and compares (spec/policy.md, "Scenarios").
//
// A file `*.scenario.yaml` or `*.scenario.json` holds one scenario or a list of them: the arguments of a decision, and what is expected of it. It is for tests and for trying policies out, not for serving requests: a scenario may set
// what a client may not.
package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
)

// Scenario is the arguments of a decision, and what is expected of it.
type Scenario struct {
	Name         string
	Pos          contracts.Position
	Time         time.Time // UTC, whole milliseconds
	Principal    contracts.Principal
	Contracts    []*contracts.Contract
	Attestations map[string]contracts.Attestation // by service
	Request      *contracts.Request
	History      []Row
	Settings     map[string]any // the tenant's
	Data         map[string]any // merged into the bundles' data
	Expect       Expect
}

// Row is a history row of any tenant and intent type; a decision reads those of its own.
type Row struct {
	Tenant  string `json:"tenant" jsonschema:"required"`
	Intent  string `json:"intent" jsonschema:"required"`
	Service string `json:"service" jsonschema:"required"`
	N       int64  `json:"n" jsonschema:"required"`
	OK      int64  `json:"ok" jsonschema:"required"`
	P95     int64  `json:"p95" jsonschema:"required"`
}

// Rows are the history rows that the decision reads, by service: those of the principal's tenant and the request's intent type.
func (s *Scenario) Rows() map[string]contracts.History {
	rows := map[string]contracts.History{}
	for _, row := range s.History {
		if row.Tenant == s.Principal.Tenant && row.Intent == s.Request.Intent.Type {
			rows[row.Service] = contracts.History{N: row.N, OK: row.OK, P95: row.P95}
		}
	}
	return rows
}

// Arguments compiles the scenario's contracts, and the bundles with its settings and data. The error holds every fault, as contracts.Diagnostics.
func (s *Scenario) Arguments(bundles []*rego.Bundle) (engine.Arguments, error) {
	services, faults := s.services()
	policies, ds := rego.Compile(bundles, rego.Options{Settings: s.Settings, Data: s.Data})
	if err := append(faults, ds...).Err(); err != nil {
		return engine.Arguments{}, err
	}
	snapshot, err := engine.NewSnapshot(services...)
	return engine.Arguments{Request: s.Request, Principal: s.Principal, Snapshot: snapshot, Policies: policies, History: s.Rows(), Time: s.Time}, err
}

// Snapshot compiles the scenario's contracts. The error holds every fault, as contracts.Diagnostics.
func (s *Scenario) Snapshot() (*engine.Snapshot, error) {
	services, faults := s.services()
	if err := faults.Err(); err != nil {
		return nil, err
	}
	return engine.NewSnapshot(services...)
}

func (s *Scenario) services() (services []*engine.Service, faults contracts.Diagnostics) {
	for _, contract := range s.Contracts {
		level := contracts.SelfAttested
		if attested, ok := s.Attestations[contract.ID]; ok {
			level = attested
		}
		service, ds := engine.NewService(contract, level)
		services, faults = append(services, service), append(faults, ds...)
	}
	return services, faults
}

// Result of a scenario. It passed if there is no difference.
type Result struct {
	Decision    verify.Decision
	Differences []Difference
}

// Run decides on the scenario under bundles and compares. The error says that there is no decision: something does not compile, or ctx ended.
func (s *Scenario) Run(ctx context.Context, bundles []*rego.Bundle) (Result, error) {
	arguments, err := s.Arguments(bundles)
	if err != nil {
		return Result{}, fmt.Errorf("scenario %q: %w", s.Name, err)
	}
	e, err := engine.New(engine.Options{})
	if err != nil {
		return Result{}, err
	}
	decision, err := e.Decide(ctx, arguments)
	if err != nil {
		return Result{}, fmt.Errorf("scenario %q: %w", s.Name, err)
	}
	return Result{decision, s.Expect.Compare(decision)}, nil
}
