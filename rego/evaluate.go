package rego

import (
	"context"
	"fmt"
	"slices"
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

// evaluator evaluates the constraints of one family. On the way that is always taken, one query asks for everything. If that fails, each package is asked alone, and, where one fails, each of its constraints.
type evaluator struct {
	packs   []*packEvaluator
	store   storage.Store
	modules *ast.Compiler
	whole   oparego.PreparedEvalQuery // [[document, ...] of each package, ...]
}

type packEvaluator struct {
	alone func() (oparego.PreparedEvalQuery, error) // [document, ...]
	items []*item
}

// item is a part of what a package says, by itself: the violations of one constraint, one margin, the warnings of one id. Its value is a list of sets of violations or warnings, or of one margin.
type item struct {
	role  role
	id    string
	key   *ast.Term // the id's step below the documents; nil where they are the item's as a whole
	at    []int     // the documents that it stands in, as indices into those of the package
	alone func() (oparego.PreparedEvalQuery, error)
}

func newEvaluator(ctx context.Context, packs []*pack, modules *ast.Compiler, store storage.Store) (*evaluator, error) {
	e := &evaluator{store: store, modules: modules}
	var all []string
	for _, p := range packs {
		query := listOf(p.documents, p.document)
		all = append(all, query)
		pe := &packEvaluator{alone: e.later(query)}
		for _, k := range p.constraints {
			if k.documents != nil {
				pe.items = append(pe.items, e.item(p, roleConstraint, k.ID, nil, k.documents...))
			} else {
				pe.items = append(pe.items, e.item(p, roleConstraint, k.ID, ast.StringTerm(k.ID), "violation"))
			}
		}
		for _, id := range p.margins {
			pe.items = append(pe.items, e.item(p, roleMargin, id, ast.StringTerm(id), "margin"))
		}
		for _, id := range p.warnings {
			pe.items = append(pe.items, e.item(p, roleWarning, id, ast.StringTerm(id), "warn"))
		}
		e.packs = append(e.packs, pe)
	}
	var err error
	e.whole, err = e.prepare(ctx, "["+strings.Join(all, ", ")+"]")
	return e, err
}

// item prepares for one part of a package's documents to be read out of them all, or to be asked for alone.
func (e *evaluator) item(p *pack, r role, id string, key *ast.Term, documents ...string) *item {
	i := &item{role: r, id: id, key: key}
	for _, name := range documents {
		i.at = append(i.at, slices.Index(p.documents, name))
	}
	i.alone = e.later(listOf(documents, func(name string) ast.Ref {
		if key == nil {
			return p.document(name)
		}
		return p.document(name).Append(key)
	}))
	return i
}

func listOf(names []string, ref func(string) ast.Ref) string {
	refs := make([]string, len(names))
	for i, name := range names {
		refs[i] = ref(name).String()
	}
	return "[" + strings.Join(refs, ", ") + "]"
}

// answer is the name under which a query binds its value.
const answer = "answer"

func (e *evaluator) prepare(ctx context.Context, query string) (oparego.PreparedEvalQuery, error) {
	return oparego.New(
		oparego.Query(answer+" = "+query), oparego.Compiler(e.modules), oparego.Store(e.store), oparego.StrictBuiltinErrors(true), oparego.Metrics(metrics.NoOp()),
		oparego.GenerateJSON(func(term *ast.Term, _ *oparego.EvalContext) (any, error) { return term.Value, nil }),
	).PrepareForEval(ctx)
}

// later prepares a query when it is first needed, which is after a failure.
func (e *evaluator) later(query string) func() (oparego.PreparedEvalQuery, error) {
	return sync.OnceValues(func() (oparego.PreparedEvalQuery, error) { return e.prepare(context.Background(), query) })
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
	for i, p := range e.packs {
		if err == nil && all != nil {
			documents, _ := all.Elem(i).Value.(*ast.Array)
			p.read(&found, documents)
		} else if err := p.evaluate(ctx, v, &found); err != nil {
			return Findings{}, err
		}
	}
	return found.sorted(), nil
}

// read takes a package's documents apart.
func (p *packEvaluator) read(found *findings, documents *ast.Array) {
	for _, item := range p.items {
		values := make([]ast.Value, len(item.at))
		for i, at := range item.at {
			values[i] = documents.Elem(at).Value
			if item.key != nil {
				values[i] = member(values[i], item.key)
			}
		}
		found.add(item, values)
	}
}

// member is the value of a key, nil without one.
func member(value ast.Value, key *ast.Term) ast.Value {
	if object, ok := value.(ast.Object); ok {
		if term := object.Get(key); term != nil {
			return term.Value
		}
	}
	return nil
}

// evaluate asks one package alone, and, if that fails, for each of its items.
func (p *packEvaluator) evaluate(ctx context.Context, v evaluation, found *findings) error {
	documents, err := v.attempt(ctx, p.alone)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil && documents != nil {
		p.read(found, documents)
		return nil
	}
	for _, item := range p.items {
		list, err := v.attempt(ctx, item.alone)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			found.fail(item)
		case list == nil: // undefined, as a margin may be
			found.add(item, []ast.Value{nil})
		default:
			values := make([]ast.Value, list.Len())
			for i := range values {
				values[i] = list.Elem(i).Value
			}
			found.add(item, values)
		}
	}
	return nil
}
