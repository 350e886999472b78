package cel

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"

	"github.com/smarthausgroup/caio/contracts"
)

// Predicate is one named condition of a contract: true means that the service is acceptable in that respect (spec/contract.md, "What it compiles into").
type Predicate struct {
	ID      string          `json:"id"`
	Stage   contracts.Stage `json:"stage"`   // match | security | bounds
	Expr    string          `json:"expr"`    // CEL, with the contract's values as literals
	Message string          `json:"message"` // what must be the case, in plain words; an author's may be empty
}

// Program is a compiled contract. It is immutable and may be used by many goroutines at once.
type Program struct {
	predicates []Predicate // sorted by ID
	conjuncts  [][]*conjunct
	stages     map[contracts.Stage][]int // indexes, in order
	parts      [3]part                   // the same again, as a [Memo] evaluates it: by stageNumber
}

// Predicates are all the predicates of the contract, sorted by id. The caller must not change them.
func (p *Program) Predicates() []Predicate { return p.predicates }

// Conjunct is the text of a conjunct of a predicate, counted from 0: what the reason of a violation points to. It is empty when there is none.
func (p *Program) Conjunct(id string, index int) string {
	at, found := slices.BinarySearchFunc(p.predicates, id, func(q Predicate, id string) int { return strings.Compare(q.ID, id) })
	if !found || index < 0 || index >= len(p.conjuncts[at]) {
		return ""
	}
	return p.conjuncts[at][index].text
}

// Input is what predicates see of a request and its principal. It is immutable and may be used by many goroutines at once.
type Input struct {
	request, principal ref.Val
}

// NewInput converts a request and its principal, once for a decision. Later changes of either are not seen.
func NewInput(r *contracts.Request, p contracts.Principal) *Input {
	s := sharedEnvironment().schema
	return &Input{s.request.object(r.View()), s.principal.object(p.View())}
}

// activation binds the variables.
type activation struct {
	*Input
	estimate ref.Val
}

func (a *activation) Parent() interpreter.Activation { return nil }

func (a *activation) ResolveName(name string) (any, bool) {
	switch name {
	case "request":
		return a.request, true
	case "principal":
		return a.principal, true
	case "estimate":
		return a.estimate, true
	}
	return nil, false
}

// Evaluate returns a violation for each predicate of a stage that is not true, sorted by id: nothing short-circuits (spec/calculus.md, section 2). Its value is 1, its reason the index of the first false conjunct, or
// [contracts.ReasonError] where none is false and one can't be evaluated. The error is that of ctx, and nil otherwise; with an error there are no violations.
func (p *Program) Evaluate(ctx context.Context, stage contracts.Stage, in *Input, e contracts.ServiceEstimate) ([]contracts.Violation, error) {
	return p.evaluate(ctx, p.stages[stage], in, e)
}

// evaluate is Evaluate for predicates by their indexes.
func (p *Program) evaluate(ctx context.Context, indexes []int, in *Input, e contracts.ServiceEstimate) ([]contracts.Violation, error) {
	variables := &activation{in, sharedEnvironment().schema.serviceEstimate(e)}
	frame, err := interpreter.NewExecutionFrame(variables)
	if err != nil {
		return nil, err
	}
	defer frame.Close()
	var violations []contracts.Violation
	for _, i := range indexes {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if reason := evaluate(p.conjuncts[i], frame, variables); reason != "" {
			violations = append(violations, violation(p.predicates[i].ID, reason))
		}
	}
	return violations, nil
}

func violation(id, reason string) contracts.Violation {
	return contracts.Violation{Kind: contracts.KindCEL, ID: id, Value: 1, Reason: reason}
}

// evaluate is && as CEL defines it: false if one is false, else an error if one is. It returns the reason, empty when true.
func evaluate(all []*conjunct, frame *interpreter.ExecutionFrame, variables *activation) string {
	reason, spent := "", uint64(0)
	for i, c := range all {
		result, cost, err := c.evaluate(frame, variables)
		switch spent += cost; {
		case spent > runCostLimit || err != nil && errors.As(err, new(interpreter.EvalCancelledError)):
			return contracts.ReasonError
		case result == types.False:
			return strconv.Itoa(i)
		case result != types.True:
			reason = contracts.ReasonError
		}
	}
	return reason
}

// evaluate returns the value, nil with an error, and what it cost if that is limited.
func (c *conjunct) evaluate(frame *interpreter.ExecutionFrame, variables *activation) (ref.Val, uint64, error) {
	if !c.limited {
		result, _, err := c.program.Eval(frame)
		return result, 0, err
	}
	result, details, err := c.program.Eval(variables)
	if details == nil || details.ActualCost() == nil {
		return nil, runCostLimit, err // not tracked, so not to be trusted; the limit itself ends here
	}
	return result, *details.ActualCost(), err
}
