package rego

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	oparego "github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/smarthausgroup/caio/contracts"
)

// Policies are compiled bundles, ready to be evaluated. Safe for concurrent use; the zero value has no constraint.
type Policies struct {
	constraints []contracts.Constraint // in order of id
	families    map[contracts.Family]*evaluator
}

// Constraints are all constraints, in order of id.
func (p *Policies) Constraints() []contracts.Constraint { return p.constraints }

// Evaluate evaluates every constraint of a family; without one the findings are empty.
//
// What can't be evaluated is a violation of the constraint it occurred in, with the reason [contracts.ReasonError], and leaves the others alone (spec/policy.md). The error is that of the context: a time-out is not reproducible, and so is no finding.
func (p *Policies) Evaluate(ctx context.Context, family contracts.Family, in Input) (Findings, error) {
	if err := ctx.Err(); err != nil {
		return Findings{}, err
	}
	e := p.families[family]
	if e == nil {
		return Findings{}, nil
	}
	cancel := topdown.NewCancel()
	defer context.AfterFunc(ctx, cancel.Cancel)()
	return e.evaluate(ctx, evaluation{in.value(family), cancel})
}

// evaluator evaluates the constraints of one family. On the way that is always taken, one query asks for everything. If that fails, each package is asked alone, and, where one fails, each of its items.
type evaluator struct {
	packs   []*packEvaluator
	store   storage.Store
	modules *ast.Compiler
	whole   oparego.PreparedEvalQuery // [value of an item, ...], of all packages
}

type packEvaluator struct {
	items []*item
	alone func() (oparego.PreparedEvalQuery, error) // [value of an item, ...]
}

// item is a part of what a package says: the violations of one constraint, one margin, the warnings of one id. Its value is a list: of sets of violations or of warnings, of a margin or of none.
type item struct {
	role  role
	id    string
	alone func() (oparego.PreparedEvalQuery, error) // [value]
}

func newEvaluator(ctx context.Context, packs []*pack, modules *ast.Compiler, store storage.Store) (*evaluator, error) {
	e := &evaluator{store: store, modules: modules}
	var all []string
	for _, p := range packs {
		pe := &packEvaluator{}
		var values []string
		add := func(r role, id, value string) {
			pe.items = append(pe.items, &item{r, id, e.later(value)})
			values = append(values, value)
		}
		for _, k := range p.constraints {
			add(roleConstraint, k.ID, p.violations(k))
		}
		for _, id := range p.margins {
			add(roleMargin, id, fmt.Sprintf("[n | n = %v]", p.document("margin", id)))
		}
		for _, id := range p.warnings {
			add(roleWarning, id, fmt.Sprintf("[%v]", p.document("warn", id)))
		}
		pe.alone = e.later(values...)
		e.packs = append(e.packs, pe)
		all = append(all, values...)
	}
	var err error
	e.whole, err = e.prepare(ctx, all)
	return e, err
}

// violations is the list of the sets that a constraint's violations stand in.
func (p *pack) violations(k *constraint) string {
	if k.documents == nil {
		return fmt.Sprintf("[%v]", p.document("violation", k.ID))
	}
	sets := make([]string, len(k.documents))
	for i, name := range k.documents {
		sets[i] = p.document(name).String()
	}
	return "[" + strings.Join(sets, ", ") + "]"
}

// answer is the name under which a query binds its value.
const answer = "answer"

func (e *evaluator) prepare(ctx context.Context, values []string) (oparego.PreparedEvalQuery, error) {
	return oparego.New(
		oparego.Query(answer+" = ["+strings.Join(values, ", ")+"]"), oparego.Compiler(e.modules), oparego.Store(e.store), oparego.StrictBuiltinErrors(true), oparego.Metrics(metrics.NoOp()),
		oparego.GenerateJSON(func(term *ast.Term, _ *oparego.EvalContext) (any, error) { return term.Value, nil }),
	).PrepareForEval(ctx)
}

// later prepares a query when it is first needed, which is after a failure.
func (e *evaluator) later(values ...string) func() (oparego.PreparedEvalQuery, error) {
	return sync.OnceValues(func() (oparego.PreparedEvalQuery, error) { return e.prepare(context.Background(), values) })
}

// evaluation is one call: the input, and how it is interrupted.
type evaluation struct {
	input  ast.Value
	cancel topdown.Cancel
}

// run asks one query, whose answer is a list: nil if it is undefined. The error is reproducible, unless the context has one.
func (v evaluation) run(ctx context.Context, q oparego.PreparedEvalQuery) (*ast.Array, error) {
	results, err := q.Eval(ctx, oparego.EvalParsedInput(v.input), oparego.EvalExternalCancel(v.cancel), oparego.EvalMetrics(metrics.NoOp()), oparego.EvalSortSets(true))
	if err != nil || len(results) == 0 {
		return nil, err
	}
	list, ok := results[0].Bindings[answer].(*ast.Array)
	if !ok {
		return nil, fmt.Errorf("rego: the answer is a %T", results[0].Bindings[answer])
	}
	return list, nil
}

// attempt asks a query that is prepared when it is first needed.
func (v evaluation) attempt(ctx context.Context, prepare func() (oparego.PreparedEvalQuery, error)) (*ast.Array, error) {
	q, err := prepare()
	if err != nil {
		return nil, err
	}
	return v.run(ctx, q)
}

func (e *evaluator) evaluate(ctx context.Context, v evaluation) (Findings, error) {
	var found findings
	all, err := v.run(ctx, e.whole)
	if ctx.Err() != nil {
		return Findings{}, ctx.Err()
	}
	first := 0
	for _, p := range e.packs {
		if err == nil && all != nil {
			p.read(&found, all, first)
			first += len(p.items)
		} else if err := p.evaluate(ctx, v, &found); err != nil {
			return Findings{}, err
		}
	}
	return found.sorted(), nil
}

// read notes the values of a package's items, which stand in a list from a place on.
func (p *packEvaluator) read(found *findings, values *ast.Array, first int) {
	for i, item := range p.items {
		value, _ := values.Elem(first + i).Value.(*ast.Array)
		found.add(item, value)
	}
}

// evaluate asks one package alone, and, if that fails, for each of its items.
func (p *packEvaluator) evaluate(ctx context.Context, v evaluation, found *findings) error {
	values, err := v.attempt(ctx, p.alone)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil && values != nil {
		p.read(found, values, 0)
		return nil
	}
	for _, item := range p.items {
		values, err := v.attempt(ctx, item.alone)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil || values == nil {
			found.fail(item)
			continue
		}
		value, _ := values.Elem(0).Value.(*ast.Array)
		found.add(item, value)
	}
	return nil
}
