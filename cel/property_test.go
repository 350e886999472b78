package cel_test

import (
	"context"
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/smarthausgroup/caio/cel"
	"github.com/smarthausgroup/caio/contracts"
)

// TestTable compares the generated predicates with a plain reading of the table in spec/contract.md.
func TestTable(t *testing.T) {
	seen := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		c, r, p, e := drawContract(t), drawRequest(t), drawPrincipal(t), drawEstimate(t)
		require(t, c, r)
		program, ds := cel.Compile(c)
		if ds.HasErrors() {
			t.Fatal(ds)
		}
		in := cel.NewInput(r, p)
		got := map[string]bool{}
		for _, stage := range []contracts.Stage{contracts.StageMatch, contracts.StageSecurity, contracts.StageBounds} {
			violations, err := program.Evaluate(context.Background(), stage, in, e)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range violations {
				if v.Kind != contracts.KindCEL || v.Value != 1 || v.Reason == contracts.ReasonError {
					t.Errorf("%+v", v)
				}
				got[string(stage)+" "+v.ID] = true
			}
		}
		table := read(c, r, p, e)
		want := map[string]bool{}
		for id, holds := range table {
			if !holds {
				want[id] = true
				seen[id]++
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("false are %v, by the table %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
		}
		var ids, tableIDs []string
		for _, q := range program.Predicates() {
			ids = append(ids, string(q.Stage)+" "+q.ID)
		}
		slices.Sort(ids)
		for id := range maps.Keys(table) {
			tableIDs = append(tableIDs, id)
		}
		slices.Sort(tableIDs)
		if !slices.Equal(ids, tableIDs) {
			t.Errorf("generated are %v, by the table %v", ids, tableIDs)
		}
	})
	for _, id := range []string{"match capability", "match capability.a", "match excluded", "match guarantee.offered", "match guarantee.x", "match attribute", "match limit.max_units", "match limit.max_payload_bytes",
		"match limit.max_input_tokens", "match limit.max_output_tokens", "security privacy.sensitive", "security access.permissions_any", "security access.permissions_all", "security access.trust", "bounds bounds.cost", "bounds bounds.latency"} {
		if seen[id] == 0 && !testing.Short() { // rapid draws too few cases in short tests
			t.Errorf("%s was never false", id)
		}
	}
}

// read is the table, row by row: every predicate that there is, and whether it is true.
func read(c *contracts.Contract, r *contracts.Request, p contracts.Principal, e contracts.ServiceEstimate) map[string]bool {
	table := map[string]bool{}
	match, security, bounds := "match ", "security ", "bounds "

	offered := map[string]contracts.Capability{}
	for _, capability := range c.Capabilities {
		offered[capability.Type] = capability
	}
	table[match+"capability"] = true
	for _, required := range r.Requirements.Capabilities {
		if _, ok := offered[required]; !ok {
			table[match+"capability"] = false
		}
	}
	for name, capability := range offered {
		holds := true
		for parameter, required := range r.Requirements.CapabilityParameters[name] {
			have, ok := capability.Parameters[parameter]
			holds = holds && ok && accepts(have.V, required.V)
		}
		table[match+"capability."+name] = holds
	}
	table[match+"excluded"] = !slices.Contains(r.Exclude, c.ID)

	table[match+"guarantee.offered"] = true
	for name := range r.Requirements.Guarantees {
		if _, ok := c.Guarantees[name]; !ok {
			table[match+"guarantee.offered"] = false
		}
	}
	for name, have := range c.Guarantees {
		required, ok := r.Requirements.Guarantees[name]
		table[match+"guarantee."+name] = !ok ||
			(required.Min == nil || have.Min != nil && *have.Min >= *required.Min) &&
				(required.Max == nil || have.Max != nil && *have.Max <= *required.Max) &&
				(required.Equals == nil || have.Equals != nil && same(have.Equals.V, required.Equals.V))
	}

	limit := func(name string, limit *int64, estimate int64, key string) {
		if limit != nil {
			table[match+"limit."+name] = estimate <= *limit || slices.Contains(r.Estimate.Defaulted, key)
		}
	}
	limit("max_input_tokens", c.Limits.MaxInputTokens, r.Estimate.InputTokens, "input_tokens")
	limit("max_output_tokens", c.Limits.MaxOutputTokens, r.Estimate.OutputTokens, "output_tokens")
	limit("max_units", c.Limits.MaxUnits, r.Estimate.Units, "units")
	limit("max_payload_bytes", c.Limits.MaxPayloadBytes, r.Estimate.PayloadBytes, "payload_bytes")

	table[match+"attribute"] = true
	for name, required := range r.Requirements.Attributes {
		if have, ok := c.Attributes[name]; !ok || !same(have.V, required.V) {
			table[match+"attribute"] = false
		}
	}

	if !c.Privacy.Protected() {
		table[security+"privacy.sensitive"] = !slices.ContainsFunc(r.Data.Labels, func(l string) bool {
			return l == "confidential" || l == "pii" || l == "phi" || l == "secret"
		})
	}
	holds := func(permission string) bool { return slices.Contains(p.Permissions, permission) }
	if len(c.Access.PermissionsAny) > 0 {
		table[security+"access.permissions_any"] = slices.ContainsFunc(c.Access.PermissionsAny, holds)
	}
	if len(c.Access.PermissionsAll) > 0 {
		table[security+"access.permissions_all"] = !slices.ContainsFunc(c.Access.PermissionsAll, func(q string) bool { return !holds(q) })
	}
	if c.Access.MinTrust > 0 {
		table[security+"access.trust"] = p.Trust >= c.Access.MinTrust
	}
	table[bounds+"bounds.cost"] = r.Limits.MaxCostMicroUSD == nil || e.CostMicroUSD <= *r.Limits.MaxCostMicroUSD
	table[bounds+"bounds.latency"] = r.Limits.MaxLatencyMS == nil || e.LatencyMS != nil && *e.LatencyMS <= *r.Limits.MaxLatencyMS
	return table
}

// accepts is the row capability.<type> for one parameter.
func accepts(have, required any) bool {
	if list, ok := have.([]any); ok {
		elements, ok := required.([]any)
		if !ok {
			elements = []any{required}
		}
		for _, e := range elements {
			if !slices.ContainsFunc(list, func(h any) bool { return same(h, e) }) {
				return false
			}
		}
		return true
	}
	if m, ok := have.(map[string]any); ok && len(m) > 0 {
		low, min := m["min"]
		high, max := m["max"]
		if (min || max) && len(m) == 1 || min && max && len(m) == 2 {
			n, ok := required.(contracts.Decimal)
			if min {
				l, number := low.(contracts.Decimal)
				ok = ok && number && l <= n
			}
			if max {
				h, number := high.(contracts.Decimal)
				ok = ok && number && n <= h
			}
			return ok
		}
	}
	return same(have, required)
}

// same is equality of type and value; there is one kind of number.
func same(a, b any) bool { return reflect.DeepEqual(a, b) }

var interesting = []contracts.Decimal{0, 1, -1, 500_000, 1_000_000, 2_000_000, 999_999, 3 << 40, 8_589_934_592_000_000, 8_589_934_592_000_001, 8_589_934_591_999_999, -8_589_934_592_000_001,
	8_589_934_593_000_001, 9_000_000_000_123_457, 17_179_869_184_000_003, 40_000_000_000_999_999, -12_345_678_901_234_567, 999_999_999_999_999_999, 1_000_000_000_000_000_000, 999_999_999_999_999_998, -1_000_000_000_000_000_000}

func drawDecimal(t *rapid.T) contracts.Decimal {
	return rapid.OneOf(rapid.SampledFrom(interesting), rapid.Map(rapid.Int64Range(-int64(contracts.MaxDecimal), int64(contracts.MaxDecimal)), func(n int64) contracts.Decimal { return contracts.Decimal(n) })).Draw(t, "decimal")
}

func drawValue(t *rapid.T, depth int) any {
	kinds := 8
	if depth == 0 {
		kinds = 3
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return rapid.Bool().Draw(t, "bool")
	case 1:
		return rapid.SampledFrom([]string{"", "a", "1", "é\"\\\x00\u2028", "true"}).Draw(t, "text")
	case 2:
		return drawDecimal(t)
	case 3:
		list := make([]any, rapid.IntRange(0, 3).Draw(t, "length"))
		for i := range list {
			list[i] = drawValue(t, depth-1)
		}
		return list
	case 4, 5, 6: // a range, mostly
		m := map[string]any{}
		for _, key := range rapid.SliceOfN(rapid.SampledFrom([]string{"min", "max", "min", "max", "unit"}), 0, 2).Draw(t, "bounds") {
			m[key] = any(drawDecimal(t))
			if rapid.IntRange(0, 9).Draw(t, "odd") == 0 {
				m[key] = "x"
			}
		}
		return m
	default:
		m := map[string]any{}
		for _, key := range drawNames(t, "keys") {
			m[key] = drawValue(t, depth-1)
		}
		return m
	}
}

func drawNames(t *rapid.T, label string) []string {
	names := rapid.SliceOfDistinct(rapid.SampledFrom([]string{"a", "b", "x", "y-1.z"}), rapid.ID).Draw(t, label)
	slices.Sort(names)
	return names
}

func drawValues(t *rapid.T) map[string]contracts.Value {
	m := map[string]contracts.Value{}
	for _, name := range drawNames(t, "names") {
		m[name] = contracts.Value{V: drawValue(t, 2)}
	}
	return m
}

func drawBounds(t *rapid.T) (b contracts.Bounds) {
	if rapid.Bool().Draw(t, "has min") {
		d := drawDecimal(t)
		b.Min = &d
	}
	if rapid.Bool().Draw(t, "has max") {
		d := drawDecimal(t)
		b.Max = &d
	}
	if rapid.IntRange(0, 3).Draw(t, "has equals") == 0 {
		b.Equals = &contracts.Value{V: drawValue(t, 1)}
	}
	return b
}

func drawInt(t *rapid.T, label string) *int64 {
	n := rapid.Int64Range(0, 4).Draw(t, label)
	if rapid.Bool().Draw(t, "has "+label) {
		return nil
	}
	return &n
}

func drawContract(t *rapid.T) *contracts.Contract {
	c := &contracts.Contract{ID: rapid.SampledFrom([]string{"svc-a", "svc-b"}).Draw(t, "id"), Guarantees: map[string]contracts.Guarantee{}, Attributes: drawValues(t)}
	for _, name := range drawNames(t, "capabilities") {
		c.Capabilities = append(c.Capabilities, contracts.Capability{Type: name, Parameters: drawValues(t)})
	}
	for _, name := range drawNames(t, "guarantees") {
		c.Guarantees[name] = contracts.Guarantee{Bounds: drawBounds(t)}
	}
	c.Limits = contracts.ServiceLimits{MaxInputTokens: drawInt(t, "in"), MaxOutputTokens: drawInt(t, "out"), MaxUnits: drawInt(t, "units"), MaxPayloadBytes: drawInt(t, "bytes")}
	c.Privacy.Locality = rapid.SampledFrom([]contracts.Locality{contracts.OnDevice, contracts.Local, contracts.Private, contracts.Cloud}).Draw(t, "locality")
	c.Privacy.Encryption = contracts.Encryption{InTransit: rapid.Bool().Draw(t, "transit"), AtRest: rapid.Bool().Draw(t, "rest")}
	c.Access = contracts.Access{PermissionsAny: drawNames(t, "any"), PermissionsAll: drawNames(t, "all"), MinTrust: drawTrust(t)}
	return c
}

func drawTrust(t *rapid.T) contracts.Decimal {
	return rapid.SampledFrom([]contracts.Decimal{0, 1, 2_999_999, 3_000_000, 3_000_001, 10_000_000}).Draw(t, "trust")
}

func drawPrincipal(t *rapid.T) contracts.Principal {
	return contracts.Principal{Tenant: "acme", Permissions: drawNames(t, "permissions"), Trust: drawTrust(t)}
}

func drawRequest(t *rapid.T) *contracts.Request {
	r := &contracts.Request{}
	r.Requirements = contracts.Requirements{Capabilities: drawNames(t, "required"), CapabilityParameters: map[string]map[string]contracts.Value{}, Guarantees: map[string]contracts.Bounds{}, Attributes: drawValues(t)}
	for _, name := range drawNames(t, "parametrised") {
		r.Requirements.CapabilityParameters[name] = drawValues(t)
	}
	for _, name := range drawNames(t, "guaranteed") {
		r.Requirements.Guarantees[name] = drawBounds(t)
	}
	number := func(label string) int64 { return rapid.Int64Range(0, 4).Draw(t, label) }
	r.Estimate = contracts.Estimate{InputTokens: number("i"), OutputTokens: number("o"), Units: number("u"), PayloadBytes: number("b"),
		Defaulted: rapid.SliceOfDistinct(rapid.SampledFrom([]string{"input_tokens", "output_tokens"}), rapid.ID).Draw(t, "defaulted")}
	r.Limits = contracts.RequestLimits{MaxCostMicroUSD: drawInt(t, "max cost"), MaxLatencyMS: drawInt(t, "max latency")}
	r.Data.Labels = rapid.SliceOfDistinct(rapid.SampledFrom([]string{"internal", "confidential", "pii", "phi", "secret", "none"}), rapid.ID).Draw(t, "labels")
	for i := range rapid.IntRange(0, 1).Draw(t, "long") * 20 { // lists that are long are looked up otherwise
		r.Exclude = append(r.Exclude, fmt.Sprint("other-", i))
	}
	r.Exclude = append(r.Exclude, rapid.SliceOfDistinct(rapid.SampledFrom([]string{"svc-a", "other"}), rapid.ID).Draw(t, "exclude")...)
	return r
}

// require makes some of what the request requires of a contract be near to what it offers: values drawn apart are seldom equal, within or among.
func require(t *rapid.T, c *contracts.Contract, r *contracts.Request) {
	near := func(offered any) any {
		switch v := offered.(type) {
		case contracts.Decimal:
			return v + contracts.Decimal(rapid.IntRange(-1, 1).Draw(t, "off"))
		case []any:
			switch rapid.IntRange(0, 3).Draw(t, "of the list") {
			case 0:
				return v
			case 1:
				return append(slices.Clone(v), drawValue(t, 0))
			default:
				if len(v) > 0 {
					return rapid.SampledFrom(v).Draw(t, "element")
				}
			}
		case map[string]any:
			for _, bound := range []string{"min", "max"} {
				if d, ok := v[bound].(contracts.Decimal); ok && rapid.Bool().Draw(t, bound) {
					return d + contracts.Decimal(rapid.IntRange(-1, 1).Draw(t, "off"))
				}
			}
		}
		return offered
	}
	for _, capability := range c.Capabilities {
		if rapid.Bool().Draw(t, "near parameters") {
			required := map[string]contracts.Value{}
			for _, name := range slices.Sorted(maps.Keys(capability.Parameters)) {
				if rapid.Bool().Draw(t, "required") {
					required[name] = contracts.Value{V: near(capability.Parameters[name].V)}
				}
			}
			r.Requirements.CapabilityParameters[capability.Type] = required
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Guarantees)) {
		g := c.Guarantees[name]
		if b := (contracts.Bounds{}); rapid.Bool().Draw(t, "near guarantee") {
			if g.Min != nil {
				d := near(*g.Min).(contracts.Decimal)
				b.Min = &d
			}
			if g.Max != nil {
				d := near(*g.Max).(contracts.Decimal)
				b.Max = &d
			}
			if g.Equals != nil {
				b.Equals = &contracts.Value{V: near(g.Equals.V)}
			}
			r.Requirements.Guarantees[name] = b
		}
	}
	if rapid.Bool().Draw(t, "near attributes") {
		r.Requirements.Attributes = map[string]contracts.Value{}
		for _, name := range slices.Sorted(maps.Keys(c.Attributes)) {
			r.Requirements.Attributes[name] = contracts.Value{V: near(c.Attributes[name].V)}
		}
	}
}

func drawEstimate(t *rapid.T) contracts.ServiceEstimate {
	return contracts.ServiceEstimate{CostMicroUSD: rapid.Int64Range(0, 4).Draw(t, "cost"), LatencyMS: drawInt(t, "latency")}
}

// TestDecimals compares what author's expressions say of decimals with exact arithmetic: between two values of the input, and between a value and a literal.
func TestDecimals(t *testing.T) {
	holds := map[string]func(int) bool{
		"<": func(o int) bool { return o < 0 }, "<=": func(o int) bool { return o <= 0 }, ">": func(o int) bool { return o > 0 }, ">=": func(o int) bool { return o >= 0 },
		"==": func(o int) bool { return o == 0 }, "!=": func(o int) bool { return o != 0 },
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawDecimal(t), drawDecimal(t)
		if rapid.IntRange(0, 3).Draw(t, "near") > 0 {
			b = max(-contracts.MaxDecimal, min(contracts.MaxDecimal, a+contracts.Decimal(rapid.IntRange(-2, 2).Draw(t, "difference"))))
		}
		order := big.NewRat(int64(a), contracts.Micro).Cmp(big.NewRat(int64(b), contracts.Micro))
		operands := [][2]string{
			{"request.requirements.attributes.a", "request.requirements.attributes.b"},
			{"request.requirements.guarantees.g.min", "request.requirements.guarantees.g.max"},
			{"request.requirements.attributes.a", "request.requirements.guarantees.g.max"},
			{"request.requirements.guarantees.g.min", "request.requirements.attributes.b"},
			{"[request.requirements.attributes.a][0]", "dyn(request.requirements.guarantees)['g']['max']"},
		}
		if _, whole := b.Int(); whole || b < 8_589_934_592_000_000 && b > -8_589_934_592_000_000 {
			operands = append(operands, [2]string{"request.requirements.attributes.a", b.String()}, [2]string{"request.requirements.guarantees.g.min", b.String()})
			if whole {
				operands = append(operands, [2]string{"request.requirements.attributes.a", b.String() + ".0"})
			}
		}
		var predicates []contracts.Predicate
		want := map[string]bool{}
		add := func(expr string, holds bool) {
			id := "p" + strconv.Itoa(len(predicates))
			predicates = append(predicates, contracts.Predicate{ID: id, Stage: contracts.StageMatch, Expr: expr})
			want[id] = holds
		}
		pair := rapid.SampledFrom(operands).Draw(t, "operands")
		for operator, hold := range holds {
			add(pair[0]+" "+operator+" "+pair[1], hold(order))
			add(pair[1]+" "+operator+" "+pair[0], hold(-order))
		}
		add("request.requirements.attributes.a in [request.requirements.attributes.b]", order == 0)
		add("request.requirements.attributes.as == [request.requirements.attributes.b]", order == 0)
		add("{'x': [request.requirements.attributes.a]} == {'x': [request.requirements.attributes.b]}", order == 0)
		program, ds := cel.Compile(&contracts.Contract{ID: "x", Predicates: predicates, Attributes: map[string]contracts.Value{"a": {V: a}, "b": {V: b}, "as": {V: []any{a}}},
			Guarantees: map[string]contracts.Guarantee{"g": {}}})
		if ds.HasErrors() {
			t.Fatal(ds)
		}
		in := cel.NewInput(&contracts.Request{Requirements: contracts.Requirements{
			Attributes: map[string]contracts.Value{"a": {V: a}, "b": {V: b}, "as": {V: []any{a}}},
			Guarantees: map[string]contracts.Bounds{"g": {Min: &a, Max: &b}},
		}}, contracts.Principal{})
		violations, err := program.Evaluate(context.Background(), contracts.StageMatch, in, contracts.ServiceEstimate{})
		if err != nil {
			t.Fatal(err)
		}
		reasons := map[string]string{}
		for _, v := range violations {
			reasons[v.ID] = v.Reason
		}
		for i, p := range predicates {
			if reason, isFalse := reasons[p.ID]; isFalse == want[p.ID] || isFalse && reason != "0" {
				t.Errorf("a = %s, b = %s: %s is false: %v (%s)", a, b, predicates[i].Expr, isFalse, reason)
			}
		}
	})
}
