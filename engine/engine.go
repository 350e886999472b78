// Package engine decides: which of the services of a snapshot may handle a request under the policies in force, and which of those is best (spec/calculus.md).
//
// It is a function of its arguments: it reads no clock, no random source, no environment and no network. What it concludes, verify/replay must conclude too; that package is the definition, this one may be clever.
package engine

import (
	"context"
	"errors"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
)

// Options of an engine.
type Options struct {
	// MaxServices bounds a snapshot; 0 is no bound. A request against a larger one is an error, not a decision.
	MaxServices int
}

// Engine decides. It is safe for concurrent use.
type Engine struct{ options Options }

// New returns an engine.
func New(options Options) (*Engine, error) {
	if options.MaxServices < 0 {
		return nil, errors.New("engine: MaxServices is negative")
	}
	return &Engine{options}, nil
}

// Arguments are everything that a decision depends on (spec/calculus.md).
type Arguments struct {
	Request   *contracts.Request
	Principal contracts.Principal
	// Snapshot is the registry, each service with its attestation.
	Snapshot *Snapshot
	// Policies are the bundles in force, compiled with the settings in force.
	Policies *rego.Policies
	// History holds, by service id, the rows of the request's tenant and intent type at Time; a service without one has none.
	History map[string]contracts.History
	Time    time.Time
}

// Decision is what the calculus concludes.
type Decision = verify.Decision

// stages lists those between matching and scoring, in their order (spec/calculus.md, section 2).
var stages = []contracts.Stage{contracts.StageSafety, contracts.StagePolicy, contracts.StageSecurity, contracts.StageTraits, contracts.StageBounds}

// Decide takes the services of the snapshot through the stages and chooses the best survivor. Inside a stage nothing short-circuits; a service that fails one is not evaluated in later ones.
//
// The error is ctx's, or says that the arguments can't be decided on: then there is no decision. What could not be evaluated is a violation instead.
func (e *Engine) Decide(ctx context.Context, a Arguments) (Decision, error) {
	r, err := e.run(ctx, a)
	if err != nil {
		return Decision{}, err
	}
	return r.conclude(), nil
}

// Explanation is a decision with what its document leaves out.
type Explanation struct {
	Decision Decision
	// Unmatched holds the violations of each service that failed stage match, by service id.
	Unmatched map[string][]contracts.Violation
}

// Explain decides and tells the reason of every false predicate too.
func (e *Engine) Explain(ctx context.Context, a Arguments) (Explanation, error) {
	r, err := e.run(ctx, a)
	if err != nil {
		return Explanation{}, err
	}
	unmatched := make(map[string][]contracts.Violation, len(r.unmatched))
	for _, c := range r.unmatched {
		unmatched[c.service.Contract.ID] = c.violations
	}
	return Explanation{r.conclude(), unmatched}, nil
}
