package cel

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"

	"github.com/smarthausgroup/caio/contracts"
)

// group is predicates of one stage, in order of their ids, whose values follow from request and principal alone. Programs that have the same share it.
type group struct {
	ids       []string
	conjuncts [][]*conjunct
}

// part is the predicates of one stage of a program, divided by what their values follow from. Together they are all.
type part struct {
	common   *group // nil for none
	own      []int  // indexes of those that may read the estimate: the contract's alone
	excluded int    // index of that which is false where the request excludes the service, -1 for none
	excludes string // the service's id
}

func stageNumber(stage contracts.Stage) int {
	switch stage {
	case contracts.StageMatch:
		return 0
	case contracts.StageSecurity:
		return 1
	}
	return 2 // bounds: checkPredicate knows no other
}

// divide makes the part of a stage, of the indexes of its predicates.
func (e *environment) divide(p *Program, indexes []int) part {
	of := part{excluded: -1}
	var g group
	var text strings.Builder
	for _, i := range indexes {
		conjuncts := p.conjuncts[i]
		switch {
		case slices.ContainsFunc(conjuncts, func(c *conjunct) bool { return !c.general }):
			of.own = append(of.own, i)
		case len(conjuncts) == 1 && conjuncts[0].excludes != "":
			of.excluded, of.excludes = i, conjuncts[0].excludes
		default:
			g.ids, g.conjuncts = append(g.ids, p.predicates[i].ID), append(g.conjuncts, conjuncts)
			text.WriteString(quote(p.predicates[i].ID) + p.predicates[i].Expr + "\n")
		}
	}
	if len(g.ids) > 0 {
		of.common, _ = e.groups.get(text.String(), func(string) (*group, error) { return &g, nil })
	}
	return of
}

// Memo evaluates the programs of many contracts on one input. It finds what [Program.Evaluate] finds, which is the definition, and sooner: the contracts of a registry have most of their generated predicates in common, and a memo evaluates those once. It is for one goroutine.
type Memo struct {
	in      *Input
	exclude traits.Lister // request.exclude
	values  map[*conjunct]ref.Val
	found   map[*group][]contracts.Violation
}

// NewMemo is a memo that knows nothing yet.
func NewMemo(in *Input) *Memo {
	request := in.request.(*object)
	return &Memo{in, request.values[request.record.index["exclude"]].(traits.Lister), map[*conjunct]ref.Val{}, map[*group][]contracts.Violation{}}
}

// Evaluate returns the violations of a program's stage, as [Program.Evaluate] does; the caller must not change them. The estimate is asked for where a predicate may read it.
func (m *Memo) Evaluate(ctx context.Context, p *Program, stage contracts.Stage, estimate func() contracts.ServiceEstimate) ([]contracts.Violation, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	of := &p.parts[stageNumber(stage)]
	common, err := m.common(of.common)
	if err != nil {
		return nil, err
	}
	var own []contracts.Violation
	if of.excluded >= 0 && m.exclude.Size() != types.IntZero && m.exclude.Contains(types.String(of.excludes)) == types.True {
		own = append(own, violation(p.predicates[of.excluded].ID, "0"))
	}
	if len(of.own) > 0 {
		violations, err := p.evaluate(ctx, of.own, m.in, estimate())
		if err != nil {
			return nil, err
		}
		own = append(own, violations...)
	}
	if len(own) == 0 {
		return common, nil
	}
	all := slices.Concat(common, own)
	slices.SortFunc(all, func(a, b contracts.Violation) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// common are the violations of a group.
func (m *Memo) common(g *group) ([]contracts.Violation, error) {
	if g == nil {
		return nil, nil
	}
	if violations, ok := m.found[g]; ok {
		return violations, nil
	}
	variables := &activation{m.in, nil}
	frame, err := interpreter.NewExecutionFrame(variables)
	if err != nil {
		return nil, err
	}
	defer frame.Close()
	var violations []contracts.Violation
	for i, id := range g.ids {
		if reason := m.reason(g.conjuncts[i], frame, variables); reason != "" {
			violations = append(violations, violation(id, reason))
		}
	}
	m.found[g] = violations
	return violations, nil
}

// reason is that of [evaluate], which has no cost to mind here.
func (m *Memo) reason(all []*conjunct, frame *interpreter.ExecutionFrame, variables *activation) (reason string) {
	for i, c := range all {
		value, ok := m.values[c]
		if !ok {
			value, _, _ = c.evaluate(frame, variables)
			m.values[c] = value
		}
		switch value {
		case types.False:
			return strconv.Itoa(i)
		case types.True:
		default:
			reason = contracts.ReasonError
		}
	}
	return reason
}
