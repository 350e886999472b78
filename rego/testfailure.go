package rego

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	oparego "github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/lineage"
	"github.com/smarthausgroup/caio/contracts"
)

// Failure is an expression of a test that was not true, or at which an error occurred.
type Failure struct {
	Case       []string           `json:"case,omitempty"` // keys of the case that failed, of a test with cases
	Pos        contracts.Position `json:"location"`
	Expression string             `json:"expression"`
	Values     []Value            `json:"values,omitempty"`

	value string // of the test, where it has one that is not true
}

// Value is what a part of an expression was.
type Value struct {
	Role  string `json:"role,omitempty"` // expected | actual, of a comparison with a constant
	Text  string `json:"text"`           // the part, as it is written
	Value string `json:"value"`          // in Rego; or undefined
}

// Roles of values, in a comparison with a constant.
const (
	RoleExpected = "expected"
	RoleActual   = "actual"
)

const undefined = "undefined"

// maxValue bounds, in bytes, a value that is told.
const maxValue = 16 << 10

// explanation is how a test, or one case of it, came to fail.
type explanation struct {
	keys      []string
	statement *ast.Expr // as parsed: what was not true, or the value of the rule's head; nil if there is neither
	failed    bool      // the statement was evaluated, and was not true
	value     string    // JSON, of the test or its case, where no expression failed
	locals    []Value   // what variables were
	parts     []Value   // what both sides, or the arguments, were
}

// explain says of each test that failed which expression was not true, and what was on its sides. For that the tests that failed are evaluated again: once to see where they fail, and once more with a probe before each such expression.
func (s *suite) explain(ctx context.Context, o TestOptions, results []TestResult) error {
	rules := map[string]testRule{}
	for _, t := range s.tests {
		rules[t.pkg+"."+t.name] = t
	}
	found := map[*TestResult][]*explanation{}
	probes := probes{}
	for i := range results {
		t := &results[i]
		if t.Status != TestFail {
			continue
		}
		rule := rules[t.Package+"."+t.Name]
		t.Trace = s.trace(ctx, o.Trace, rule)
		found[t] = s.witnessed(ctx, s.compiled, rule, t.Cases, probes)
		for _, e := range found[t] {
			probes.add(e.statement, func(v ast.Var) bool {
				return s.named(rule, v) || slices.ContainsFunc(e.locals, func(local Value) bool { return local.Text == string(v) })
			})
		}
	}
	if len(found) == 0 {
		return nil
	}
	if probed, err := s.compileModules(ctx, probes.insert(s.parsed), nil); err == nil {
		for t, explanations := range found {
			for i, e := range s.witnessed(ctx, probed, rules[t.Package+"."+t.Name], t.Cases, probes) {
				explanations[i].parts = e.parts
			}
		}
	}
	for t, explanations := range found {
		t.tell(explanations)
	}
	return ctx.Err()
}

// named reports whether a name stands for a rule of the test's package, or for what its file imports.
func (s *suite) named(t testRule, name ast.Var) bool {
	for _, m := range s.parsed {
		if m.Package.Path.String() != t.pkg {
			continue
		}
		rule := func(r *ast.Rule) bool { return r.Head.Ref()[0].Value.Compare(name) == 0 }
		if slices.ContainsFunc(m.Rules, rule) || slices.ContainsFunc(m.Imports, func(i *ast.Import) bool { return i.Name() == name }) {
			return true
		}
	}
	return ast.RootDocumentNames.Contains(ast.NewTerm(name))
}

// trace is that of a test, as text.
func (s *suite) trace(ctx context.Context, level TraceLevel, t testRule) string {
	if level == TraceNone {
		return ""
	}
	events := topdown.NewBufferTracer()
	s.evaluate(ctx, s.compiled, t, oparego.EvalQueryTracer(events)) // what there is until a time-out is worth showing
	trace := []*topdown.Event(*events)
	switch level {
	case TraceFails:
		trace = lineage.Fails(trace)
	case TraceNotes:
		trace = lineage.Notes(trace)
	case TraceFull:
		trace = lineage.Full(trace)
	case TraceBrief:
		trace = lineage.Filter(trace, func(e *topdown.Event) bool { return e.Op == topdown.NoteOp || e.Op == topdown.FailOp })
	}
	var text bytes.Buffer
	topdown.PrettyTraceWithOpts(&text, trace, topdown.PrettyTraceOptions{Locations: true})
	return text.String()
}

// witnessed evaluates a test and tells of it, or of each case that failed, what a witness saw.
func (s *suite) witnessed(ctx context.Context, compiler *ast.Compiler, t testRule, cases []TestCase, probes probes) []*explanation {
	w := newWitness(s.parsed, t, probes)
	value := s.evaluate(ctx, compiler, t, oparego.EvalQueryTracer(w))
	if len(w.seen) == 0 {
		// The index may have told that no body can be true without evaluating one.
		s.evaluate(ctx, compiler, t, oparego.EvalQueryTracer(w), oparego.EvalRuleIndexing(false))
	}
	if len(cases) == 0 {
		return []*explanation{w.explanation(nil, value)}
	}
	var list []*explanation
	for _, c := range cases {
		if c.Status == TestFail {
			list = append(list, w.explanation(c.Name, value))
		}
	}
	return list
}

// witness is a tracer that keeps, for every case of a test, the last expression in the test's file that was not true: a rule's fails after those of the rules that it calls. There is one case without keys in a test that has no cases.
type witness struct {
	test   testRule
	source *ast.Module
	probes probes
	now    []string // keys of the case under way
	seen   map[string]*explanation
}

func newWitness(parsed map[string]*ast.Module, t testRule, probes probes) *witness {
	w := &witness{test: t, probes: probes, seen: map[string]*explanation{}}
	for _, m := range parsed {
		if m.Package.Location != nil && m.Package.Location.File == t.pos.File {
			w.source = m
		}
	}
	return w
}

// Enabled makes it a topdown.QueryTracer.
func (w *witness) Enabled() bool { return true }

// Config asks for the values of variables.
func (w *witness) Config() topdown.TraceConfig { return topdown.TraceConfig{PlugLocalVars: true} }

// TraceEvent is called for each step of the evaluation.
func (w *witness) TraceEvent(event topdown.Event) {
	switch node := event.Node.(type) {
	case *ast.Rule:
		if event.Op == topdown.ExitOp && at(node.Loc()) == w.test.pos {
			w.note(&event, valueOf(node, w.source), false)
		}
	case *ast.Expr:
		if event.Op == topdown.TestCaseOp {
			w.now = caseKeys(node)
		}
		if event.Op != topdown.FailOp {
			return
		}
		location := node.BaseCogeneratedExpr().Location
		if location == nil || location.File != w.test.pos.File {
			return
		}
		statement := statementAt(w.source, location)
		if statement == nil {
			return
		}
		if last := w.seen[caseName(w.now)]; statement.IsEvery() && last != nil && last.statement != nil && encloses(statement.Location, last.statement.Location) {
			return // what failed inside says more
		}
		w.note(&event, statement, true)
	}
}

// note keeps what an event shows of a statement.
func (w *witness) note(event *topdown.Event, statement *ast.Expr, failed bool) {
	e := &explanation{keys: w.now, statement: statement, failed: failed}
	w.seen[caseName(w.now)] = e
	if statement == nil {
		return
	}
	used := ast.NewVarSet()
	ast.WalkVars(statement, func(v ast.Var) bool {
		used.Add(v)
		return false
	})
	values := map[string]string{}
	for v, meta := range event.LocalMetadata {
		if local := event.Locals.Get(v); local != nil && used.Contains(meta.Name) && !meta.Name.IsWildcard() {
			values[string(meta.Name)] = bounded(local.String())
		}
	}
	for _, name := range sortedKeys(values) {
		e.locals = append(e.locals, Value{Text: name, Value: values[name]})
	}
	e.parts = w.probes.read(statement, event.Locals)
}

// explanation is what was seen of a case, whose value is found in that of the test.
func (w *witness) explanation(keys []string, value any) *explanation {
	e := w.seen[caseName(keys)]
	if e == nil {
		e = &explanation{keys: keys}
	}
	for _, key := range keys {
		cases, _ := value.(map[string]any)
		value = cases[key]
	}
	if text, err := json.Marshal(value); err == nil && value != nil && !e.failed {
		e.value = bounded(string(text))
	}
	return e
}

func caseName(keys []string) string { return strings.Join(keys, "\x00") }

// caseKeys are the keys of the case that the call marks, as OPA's runner writes them.
func caseKeys(mark *ast.Expr) []string {
	array, ok := mark.Operand(0).Value.(*ast.Array)
	if !ok {
		return nil
	}
	var keys []string
	array.Foreach(func(key *ast.Term) {
		text := key.String()
		if value, err := ast.JSON(key.Value); err == nil {
			if plain, ok := value.(string); ok {
				text = plain
			} else if encoded, err := json.Marshal(value); err == nil {
				text = string(encoded)
			}
		}
		keys = append(keys, text)
	})
	return keys
}

// tell writes the explanations down, as data and for people.
func (t *TestResult) tell(explanations []*explanation) {
	var texts []string
	for _, e := range explanations {
		f := Failure{Case: e.keys, Pos: t.Pos, Values: e.values(), value: e.value}
		if e.statement != nil {
			f.Pos, f.Expression = at(e.statement.Location), oneLine(string(e.statement.Location.Text))
		}
		t.Failures = append(t.Failures, f)
		texts = append(texts, f.String())
	}
	t.Detail = strings.Join(texts, "\n")
}

// String is for people: the case, the line, the expression and, on lines of their own, the values.
func (f Failure) String() string {
	var text strings.Builder
	if f.Case != nil {
		fmt.Fprintf(&text, "case %s: ", strings.Join(f.Case, " / "))
	}
	what := "is undefined"
	switch {
	case f.value != "":
		what = fmt.Sprintf("has the value %s, which is not true", Value{Value: f.value}.short())
	case f.Expression != "":
		what = "is not true: " + f.Expression
	}
	fmt.Fprintf(&text, "line %d %s", f.Pos.Line, what)
	for _, value := range f.Values {
		text.WriteString("\n  " + value.line())
	}
	return text.String()
}

// values are those of the parts, and of the variables that are not a part themselves.
func (e *explanation) values() []Value {
	list := slices.Clone(e.parts)
	for _, local := range e.locals {
		if !slices.ContainsFunc(e.parts, func(v Value) bool { return v.Text == local.Text }) {
			list = append(list, local)
		}
	}
	slices.SortStableFunc(list, func(a, b Value) int { return -cmp.Compare(a.Role, b.Role) })
	return list
}

// line is a value for people.
func (v Value) line() string {
	if v.Role != "" {
		return fmt.Sprintf("%-10s%s", v.Role, v.short())
	}
	return v.Text + " = " + v.short()
}

// short is as much of a value as people read.
func (v Value) short() string {
	const limit = 1000
	if len(v.Value) <= limit {
		return v.Value
	}
	return strings.ToValidUTF8(v.Value[:limit], "") + fmt.Sprintf("… (%d bytes)", len(v.Value))
}

func bounded(text string) string {
	if len(text) > maxValue {
		return strings.ToValidUTF8(text[:maxValue], "") + "…"
	}
	return text
}

// oneLine writes what may stand on several lines on one.
func oneLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, " ")
}
