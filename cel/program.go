package cel

import (
	"context"
	"fmt"

	"github.com/smarthausgroup/caio/contracts"
)

// Predicate is one named condition of a contract: true means that the service is acceptable in that respect.
type Predicate struct {
	ID      string          `json:"id"`
	Stage   contracts.Stage `json:"stage"` // match | security | bounds
	Expr    string          `json:"expr"`  // CEL, with the contract's values as literals
	Message string          `json:"message,omitempty"`
}

// Program is a compiled contract. It is immutable and may be used by many goroutines at once.
type Program struct {
	predicates []Predicate // sorted by ID
}

// Predicates are all the predicates of the contract, sorted by id. The caller must not change them.
func (p *Program) Predicates() []Predicate { return p.predicates }

// Input is what predicates see of a request and its principal. It is immutable and may be used by many goroutines at once.
type Input struct{}

// NewInput converts a request and its principal, once for a decision.
func NewInput(r *contracts.Request, p contracts.Principal) *Input { return &Input{} }

// Compile turns a contract into its predicates.
func Compile(c *contracts.Contract) (*Program, contracts.Diagnostics) { return &Program{}, nil }

// Evaluate returns a violation for each false predicate of a stage, sorted by id. The error is that of ctx, or nil: what can't be evaluated is a violation.
func (p *Program) Evaluate(ctx context.Context, stage contracts.Stage, in *Input, e contracts.ServiceEstimate) ([]contracts.Violation, error) {
	return nil, fmt.Errorf("cel: %s can't be evaluated", stage)
}

// Conjunct is the text of a conjunct of a predicate: what the reason of a violation points to. It is empty when there is none.
func (p *Program) Conjunct(id string, index int) string { return "" }
