package cel_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/cel"
	"github.com/smarthausgroup/caio/contracts"
)

// patience is far beyond what anything here takes on an idle machine, and far below the minutes that it is about.
const patience = 30 * time.Second

// withPredicate is a contract with one predicate of its author's.
func withPredicate(expr string) *contracts.Contract {
	return &contracts.Contract{ID: "x", Privacy: contracts.Privacy{Locality: contracts.Local},
		Predicates: []contracts.Predicate{{ID: "own", Stage: contracts.StageSecurity, Expr: expr}}}
}

// reasonOf is the reason why the author's predicate is not true, "" when it is.
func reasonOf(t testing.TB, expr string, r *contracts.Request) string {
	t.Helper()
	p, ds := cel.Compile(withPredicate(expr))
	if ds.HasErrors() {
		t.Fatal(ds)
	}
	violations, err := p.Evaluate(context.Background(), contracts.StageSecurity, cel.NewInput(r, contracts.Principal{}), contracts.ServiceEstimate{})
	if err != nil {
		t.Fatal(err)
	}
	if len(violations) == 0 {
		return ""
	}
	return violations[0].Reason
}

func TestReasons(t *testing.T) {
	latency := int64(5)
	r := &contracts.Request{Limits: contracts.RequestLimits{MaxLatencyMS: &latency}, Requirements: contracts.Requirements{
		Attributes: map[string]contracts.Value{"text": {V: "t"}}, Guarantees: map[string]contracts.Bounds{"g": {}}}}
	for _, c := range []struct{ expr, reason string }{
		{`true`, ""},
		{`false`, "0"},
		{`true && false && false`, "1"},
		{`true && (true && (true && false)) && true`, "3"},
		{`(false || true) && !(true && true)`, "1"},
		{`request.limits.max_latency_ms == 5`, ""},
		{`request.limits.max_cost_micro_usd > 0`, "error"},
		{`!has(request.limits.max_cost_micro_usd)`, ""},
		{`has(request.supersedes)`, "0"},
		{`request.supersedes == "x"`, "error"},
		{`has(estimate.latency_ms)`, "0"},
		{`estimate.latency_ms < 3`, "error"},
		{`has(request.requirements.guarantees.g.min)`, "0"},
		{`!has(request.requirements.guarantees.g.equals) && !has(request.requirements.guarantees.h)`, ""},
		{`request.requirements.attributes.missing == 1`, "error"},
		{`request.requirements.attributes.text > 1`, "error"},
		{`request.requirements.attributes.text == 1`, "0"},
		{`1 / request.estimate.units > 0`, "error"},
		// && is false when either side is, whatever the other does.
		{`request.supersedes == "x" && true`, "error"},
		{`request.supersedes == "x" && false`, "1"},
		{`request.supersedes == "x" || true`, ""},
		{`dyn(request)["intent"]["type"] == ""`, ""},
		{`dyn(request)["nothing"] == ""`, "error"},
		{`principal.trust == 0 && principal.trust == 0.0 && request.traits.risk_tolerance != 1`, ""},
	} {
		if reason := reasonOf(t, c.expr, r); reason != c.reason {
			t.Errorf("%s: reason %q, expected %q", c.expr, reason, c.reason)
		}
	}
}

func TestOrderOfViolations(t *testing.T) {
	c := benchContract(1)
	c.Predicates = []contracts.Predicate{{ID: "a", Stage: contracts.StageMatch, Expr: "false"}, {ID: "z", Stage: contracts.StageMatch, Expr: "false"}}
	p, ds := cel.Compile(c)
	if ds.HasErrors() {
		t.Fatal(ds)
	}
	violations, err := p.Evaluate(context.Background(), contracts.StageMatch, benchInput(), contracts.ServiceEstimate{})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, v := range violations {
		ids = append(ids, v.ID)
	}
	if want := []string{"a", "capability", "z"}; !slices.Equal(ids, want) {
		t.Errorf("violated are %v, expected %v", ids, want)
	}
	if !slices.IsSortedFunc(p.Predicates(), func(a, b cel.Predicate) int { return strings.Compare(a.ID, b.ID) }) {
		t.Error("predicates are not sorted")
	}
}

// A cancellation is not reproducible: it is an error, and never a violation.
func TestCancellation(t *testing.T) {
	p, ds := cel.Compile(benchContract(1))
	if ds.HasErrors() {
		t.Fatal(ds)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	violations, err := p.Evaluate(ctx, contracts.StageMatch, benchInput(), contracts.ServiceEstimate{})
	if !errors.Is(err, context.Canceled) || violations != nil {
		t.Errorf("violations %v, error %v", violations, err)
	}
}

// What is cheap for the sizes that are assumed may be dear for others: then it ends early, and everywhere at the same place.
func TestRunCostLimit(t *testing.T) {
	r := &contracts.Request{}
	for i := range 3000 {
		r.Data.Labels = append(r.Data.Labels, fmt.Sprint("label-", i))
	}
	start := time.Now()
	for _, expr := range []string{
		`request.data.labels.all(a, request.data.labels.all(b, a != "" && b != ""))`,
		`true && request.data.labels.all(a, request.data.labels.all(b, a != "" && b != "")) && false`, // never reached
		`request.data.labels.map(a, a).all(a, request.data.labels.exists(b, b == a))`,
	} {
		if reason := reasonOf(t, expr, r); reason != contracts.ReasonError {
			t.Errorf("%s: reason %q, expected %q", expr, reason, contracts.ReasonError)
		}
	}
	if took := time.Since(start); took > patience {
		t.Errorf("took %s", took)
	}
}

func TestReservedIDs(t *testing.T) {
	for _, c := range []struct {
		id   string
		free bool
	}{
		{"capability", false}, {"excluded", false}, {"attribute", false}, {"guarantee.offered", false}, {"capability.x", false}, {"guarantee.x", false}, {"limit.x", false}, {"privacy.x", false},
		{"access.x", false}, {"bounds.x", false}, {"bounds.", false}, {"mine", true}, {"my.bounds.x", true}, {"capabilities", true}, {"limits.x", true}, {"batch-size", true},
	} {
		contract := withPredicate("true")
		contract.Predicates[0].ID = c.id
		if _, ds := cel.Compile(contract); ds.HasErrors() == c.free || cel.Reserved(c.id) == c.free {
			t.Errorf("%s: %v", c.id, ds)
		}
	}
	contract := withPredicate("true")
	contract.Predicates = append(contract.Predicates, contract.Predicates[0])
	if _, ds := cel.Compile(contract); !ds.HasErrors() {
		t.Error("two predicates of one id compile")
	}
	contract = withPredicate("true")
	contract.Predicates[0].Stage = contracts.StagePolicy
	if _, ds := cel.Compile(contract); !ds.HasErrors() {
		t.Error("a predicate of stage policy compiles")
	}
}

// An expression that would run for minutes, or take long to compile, is refused at once.
func TestRefusedQuickly(t *testing.T) {
	nested := "true"
	for i := range 12 {
		nested = fmt.Sprintf("[1,2,3,4,5,6,7,8,9,10].all(v%d, %s)", i, nested)
	}
	for name, expr := range map[string]string{
		"nested all":    nested,
		"long":          strings.Repeat("true && ", 20_000) + "true",
		"deep brackets": strings.Repeat("(", 4000) + "true" + strings.Repeat(")", 4000),
		"deep lists":    strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + " == []",
		"deep macros":   strings.Repeat("[1].all(x,", 700) + "true" + strings.Repeat(")", 700),
		"conditional":   strings.Repeat("true ? false : ", 500) + "true ? [1].all(x, [2].all(y, x.matches('('))) : 1",
		"open":          strings.Repeat("a(", 4000),
		"strings":       strings.Repeat("'", 8001),
		"growing":       "request.data.labels.map(a, request.data.labels.map(b, request.data.labels.map(c, a + b + c))) == []",
		"pattern":       "principal.tenant.matches('" + strings.Repeat("(a*)*", 1000) + "')",
	} {
		start := time.Now()
		if _, ds := cel.Compile(withPredicate(expr)); !ds.HasErrors() {
			t.Errorf("%s compiles", name)
		}
		if took := time.Since(start); took > patience {
			t.Errorf("%s: refused after %s", name, took)
		}
	}
}

// The largest contracts, and the largest requests against them, take no longer than their size allows.
func TestLargeContract(t *testing.T) {
	var list []any
	var permissions []string
	for i := range 10_000 {
		list = append(list, fmt.Sprint("element-", i))
		permissions = append(permissions, fmt.Sprint("p", i))
	}
	nested := any(true)
	for range 64 {
		nested = []any{nested}
	}
	parameters := map[string]contracts.Value{"list": {V: list}, "nested": {V: map[string]any{"x": nested}}}
	c := &contracts.Contract{ID: "large", Capabilities: []contracts.Capability{{Type: "chat", Parameters: parameters}}, Access: contracts.Access{PermissionsAny: permissions, PermissionsAll: permissions}}
	start := time.Now()
	p, ds := cel.Compile(c)
	if ds.HasErrors() {
		t.Fatal(ds)
	}
	t.Logf("compiled in %s", time.Since(start))
	start = time.Now()
	in := cel.NewInput(&contracts.Request{Requirements: contracts.Requirements{Capabilities: []string{"chat"}, CapabilityParameters: map[string]map[string]contracts.Value{"chat": parameters}}},
		contracts.Principal{Permissions: permissions})
	for _, stage := range []contracts.Stage{contracts.StageMatch, contracts.StageSecurity} {
		violations, err := p.Evaluate(context.Background(), stage, in, contracts.ServiceEstimate{})
		if err != nil || len(violations) > 0 {
			t.Errorf("%v, %v", violations, err)
		}
	}
	t.Logf("evaluated in %s", time.Since(start))
	if took := time.Since(start); took > patience {
		t.Errorf("evaluating took %s", took)
	}
}

func TestConcurrency(t *testing.T) {
	in := benchInput()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for n := range 40 {
				c := benchContract(n)
				c.Predicates = []contracts.Predicate{{ID: "own", Stage: contracts.StageMatch, Expr: `request.requirements.capability_parameters.all(k, k.matches("^c.*t$")) && principal.trust < 6`}}
				p, ds := cel.Compile(c)
				if ds.HasErrors() {
					t.Error(ds)
					return
				}
				for range 5 {
					violations, err := p.Evaluate(context.Background(), contracts.StageMatch, in, contracts.ServiceEstimate{CostMicroUSD: int64(n)})
					if err != nil || (len(violations) == 0) != (n%6 == 0) {
						t.Errorf("%d: %v, %v", n, violations, err)
						return
					}
				}
			}
		})
	}
	group.Wait()
}

// FuzzAuthor: whatever an author writes is compiled or refused, and evaluated, in bounded time, the same each time.
func FuzzAuthor(f *testing.F) {
	for _, seed := range []string{
		`request.estimate.units <= 128`, `request.data.labels.exists(l, l in ["pii"])`, `has(request.limits.max_cost_micro_usd) ? estimate.cost_micro_usd < 3 : true`,
		`request.requirements.attributes.all(k, request.requirements.attributes[k] == 2.5)`, `principal.roles.map(r, r + "x").filter(r, r.matches("a+")) == []`,
		`timestamp("2026-01-01T00:00:00Z").getHours() == 0 && duration("1s") > duration("1ms")`, `[1, 2u, 3.0, b"x", null, {"a": 1}].exists_one(x, x == 1)`, `string(1e300 * 1e300) == "+Inf"`,
		`int("9223372036854775807") + 1 > 0`, `-9223372036854775808 / -1 == 0`, `"é"[0] == ""`, `type(request) == type(1)`, "request.", "a\x00b", `0.0 / 0.0 < 1`, `request == request`, `{1: 2}[1] == 2`,
		`[1] + [2] == [1, 2] || size("abc") > 2`, `bytes("a") < b"b" && "a".contains("") && "a".startsWith("a")`, `dyn(principal).trust + 1.0 >= 3`,
	} {
		f.Add(seed)
	}
	r := &contracts.Request{Requirements: contracts.Requirements{Attributes: map[string]contracts.Value{
		"n": {V: contracts.Decimal(2_500_000)}, "large": {V: contracts.Decimal(8_589_934_592_000_001)}, "m": {V: map[string]any{"a": true, "b": []any{"x"}}}}},
		Data: contracts.Data{Labels: []string{"none", "pii"}}}
	in := cel.NewInput(r, contracts.Principal{Tenant: "acme", Trust: 3_500_000, Roles: []string{"a"}})
	f.Fuzz(func(t *testing.T, expr string) {
		start := time.Now()
		p, ds := cel.Compile(withPredicate(expr))
		if ds.HasErrors() != (p == nil) {
			t.Fatalf("program %v, diagnostics %v", p, ds)
		}
		if p != nil {
			first, err := p.Evaluate(context.Background(), contracts.StageSecurity, in, contracts.ServiceEstimate{})
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				again, err := p.Evaluate(context.Background(), contracts.StageSecurity, in, contracts.ServiceEstimate{})
				if err != nil || !slices.Equal(first, again) {
					t.Fatalf("%v, then %v, %v", first, again, err)
				}
			}
		}
		if took := time.Since(start); took > patience {
			t.Errorf("took %s", took)
		}
	})
}
