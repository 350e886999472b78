package engine_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/contracts"
	"pgregory.net/rapid"
)

// Vocabularies from which contracts and requests are drawn: small, so that they meet.
var (
	capabilityTypes = []string{"chat", "embeddings", "search"}
	words           = []string{"Chat", "search", "GPU", "legal", "memory", "Großraum", "検索", "fast", "-", "42"}
	regions         = []string{"ap", "eu", "us"}
	labels          = []string{"confidential", "internal", "none", "phi", "pii", "secret", "telemetry"}
	permissions     = []string{"ai.chat", "ai.embed", "finance.read"}
	roles           = []string{"analyst", "app"}
	levels          = []contracts.Attestation{contracts.SelfAttested, contracts.Audited, contracts.Verified}
	placements      = map[contracts.Placement][]contracts.Locality{
		contracts.Internal: {contracts.OnDevice, contracts.Local, contracts.Private},
		contracts.Hybrid:   {contracts.Private, contracts.Cloud},
		contracts.External: {contracts.Cloud},
	}
	boundNames = []string{"accuracy", "availability", "determinism", "latency", "residence"}
	// authored are predicates that are true, false or an error, as the request may be.
	authored = []contracts.Predicate{
		{Stage: contracts.StageMatch, Expr: `request.estimate.units <= 2`},
		{Stage: contracts.StageMatch, Expr: `request.intent.type != "search" && request.estimate.input_tokens < 5000`},
		{Stage: contracts.StageMatch, Expr: `10 / (request.estimate.units - 1) > 3`},
		{Stage: contracts.StageSecurity, Expr: `!("phi" in request.data.labels) && "app" in principal.roles`},
		{Stage: contracts.StageSecurity, Expr: `request.purpose != "" || principal.tenant == "acme"`},
		{Stage: contracts.StageBounds, Expr: `estimate.latency_ms < 700`},
		{Stage: contracts.StageBounds, Expr: `estimate.cost_micro_usd != 0`},
	}
)

func oneOf[T any](t *rapid.T, label string, options ...T) T {
	return rapid.SampledFrom(options).Draw(t, label)
}

// chance is true once in 2^k. Rapid's ranges favour their ends; a bit is fair.
func chance(t *rapid.T, label string, k int) bool {
	for range k {
		if !rapid.Bool().Draw(t, label) {
			return false
		}
	}
	return true
}

// subset draws a sorted set.
func subset(t *rapid.T, label string, of []string) []string {
	mask := rapid.IntRange(0, 1<<len(of)-1).Draw(t, label)
	set := []string{}
	for i, element := range of {
		if mask>>i&1 == 1 {
			set = append(set, element)
		}
	}
	return set
}

func pointer[T any](v T) *T { return &v }

// decimal draws a number, often one of few, in millionths.
func decimal(t *rapid.T, label string, low, high int64) contracts.Decimal {
	return contracts.Decimal(rapid.OneOf(rapid.SampledFrom([]int64{low, (low + high) / 2, high}), rapid.Int64Range(low, high)).Draw(t, label))
}

// vector draws a field of dimension d: noise, a row of the transform, or one component, real or complex.
func vector(t *rapid.T, label string, d int) *contracts.Field {
	random := rand.New(rand.NewPCG(1, rapid.Uint64Range(0, 1<<20).Draw(t, label)))
	parts := make([][]float64, 1+random.IntN(2))
	for i := range parts {
		parts[i] = make([]float64, d)
		for n := range parts[i] {
			parts[i][n] = random.NormFloat64()
		}
	}
	switch random.IntN(3) {
	case 0:
		period := 1 << random.IntN(7)
		for n := range parts[0] {
			parts[0][n] = float64(1 - 2*(n/period%2))
		}
	case 1:
		clear(parts[0])
		parts[0][random.IntN(d)] = -0.1
	}
	field, err := contracts.NewField(parts[0], slices.Concat(parts[1:]...))
	if err != nil {
		t.Fatal(err)
	}
	return field
}

// contract draws one. Its canonical form is decoded again, so that it is valid and as the registry would have it.
func contract(t *rapid.T, id string) *contracts.Contract {
	placement := oneOf(t, "placement", contracts.Internal, contracts.Hybrid, contracts.External)
	c := &contracts.Contract{
		Schema: contracts.SchemaV1, ID: id, Version: "1.0.0", Owner: "owner@example.com", Placement: placement,
		Name:        oneOf(t, "name", words...),
		Description: strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 0, 6).Draw(t, "description"), " "),
		Tags:        subset(t, "tags", words[:4]),
		Guarantees:  promises(t),
		Cost: contracts.Cost{
			PerCall:                decimal(t, "per call", 0, 20_000),
			PerMillionInputTokens:  decimal(t, "per million input tokens", 0, 10_000_000),
			PerMillionOutputTokens: decimal(t, "per million output tokens", 0, 30_000_000),
			PerUnit:                decimal(t, "per unit", 0, 1000),
		},
		Privacy: contracts.Privacy{
			Locality: oneOf(t, "locality", placements[placement]...), Regions: subset(t, "regions", regions),
			Encryption: contracts.Encryption{InTransit: !chance(t, "in the clear", 2), AtRest: rapid.Bool().Draw(t, "encrypted at rest")},
		},
		Attributes: map[string]contracts.Value{"gpu": {V: rapid.Bool().Draw(t, "gpu")}, "tier": {V: decimal(t, "tier", 1_000_000, 2_000_000)}},
	}
	for _, offered := range rapid.Permutation(capabilityTypes).Draw(t, "capabilities")[oneOf(t, "capabilities left out", 0, 0, 0, 1, 2):] {
		c.Capabilities = append(c.Capabilities, contracts.Capability{Type: offered, Parameters: map[string]contracts.Value{
			"batch":     {V: map[string]any{"max": contracts.Decimal(128_000_000)}},
			"languages": {V: []any{"de", oneOf(t, "language", "en", "fr")}},
			"size":      {V: contracts.Decimal(1_500_000)},
		}})
	}
	if chance(t, "has limits", 2) {
		c.Limits.MaxInputTokens, c.Limits.MaxUnits, c.Limits.MaxPayloadBytes = pointer[int64](2000), pointer(oneOf[int64](t, "max units", 0, 2, 3, 3)), pointer[int64](4096)
	}
	if chance(t, "has access rules", 3) {
		c.Access = contracts.Access{PermissionsAny: subset(t, "any of", permissions), PermissionsAll: subset(t, "all of", permissions[:1]), MinTrust: decimal(t, "min trust", 0, 4_000_000)}
	}
	if chance(t, "has a field", 1) {
		c.Field = vector(t, "field", oneOf(t, "dimension", 64, 64, 128))
	}
	for i, predicate := range authored {
		if chance(t, fmt.Sprintf("predicate %d", i), 4) {
			predicate.ID = fmt.Sprintf("authored-%d", i)
			c.Predicates = append(c.Predicates, predicate)
		}
	}
	decoded, err := contracts.DecodeContract(c.Canonical())
	if err != nil {
		t.Fatalf("the drawn contract is not valid: %v", err)
	}
	return decoded
}

// promises draws a contract's guarantees, and some that promise nothing.
func promises(t *rapid.T) map[string]contracts.Guarantee {
	promises := map[string]contracts.Guarantee{}
	for _, name := range append([]string{"hearsay"}, boundNames...) {
		if chance(t, "does not promise "+name, 2) {
			continue
		}
		promises[name] = contracts.Guarantee{Property: "p", Bounds: bounds(t, name)}
	}
	return promises
}

func bounds(t *rapid.T, name string) contracts.Bounds {
	switch name {
	case "latency":
		return contracts.Bounds{Max: pointer(decimal(t, "latency", 50_000_000, 900_500_000))}
	case "availability", "accuracy":
		return contracts.Bounds{Min: pointer(decimal(t, name, 500_000, 1_000_000))}
	case "determinism":
		return contracts.Bounds{Equals: &contracts.Value{V: rapid.Bool().Draw(t, name)}}
	case "residence":
		return contracts.Bounds{Equals: &contracts.Value{V: oneOf(t, name, "eu", "us")}}
	}
	return contracts.Bounds{}
}

// request draws a normalised request, scored by supplied fields or by texts.
func request(t *rapid.T, services []string) *contracts.Request {
	capability := oneOf(t, "intent", capabilityTypes...)
	r := &contracts.Request{
		Intent: contracts.Intent{Type: capability, Text: strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 0, 5).Draw(t, "text"), " ")},
		Requirements: contracts.Requirements{
			Capabilities: []string{capability}, CapabilityParameters: map[string]map[string]contracts.Value{},
			Guarantees: map[string]contracts.Bounds{}, Attributes: map[string]contracts.Value{},
		},
		Estimate: contracts.Estimate{
			InputTokens: oneOf[int64](t, "input tokens", 0, 1, 1000, 1000, 2000, 2001), OutputTokens: oneOf[int64](t, "output tokens", 0, 1000, 333_333),
			Defaulted: subset(t, "defaulted", []string{"input_tokens", "output_tokens"}), Units: oneOf[int64](t, "units", 0, 1, 1, 2, 2, 3), PayloadBytes: oneOf[int64](t, "payload bytes", 0, 0, 4096, 4097),
		},
		Data: contracts.Data{
			Labels: subset(t, "labels", oneOf(t, "label vocabulary", nil, labels[1:3], labels[6:], labels)), Regions: subset(t, "data regions", regions), Subjects: []string{},
			Findings: []contracts.Finding{},
		},
		Context: contracts.Context{Text: strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 0, 4).Draw(t, "context"), " "), Shareable: rapid.Bool().Draw(t, "shareable")},
		Traits:  contracts.Traits{Conservative: decimal(t, "conservative", 0, 1_000_000), RiskTolerance: 1_000_000},
		Profile: oneOf(t, "profile", contracts.Balanced, contracts.Economy, contracts.Realtime, contracts.Assurance),
		Purpose: oneOf(t, "purpose", "", "research"),
		Seed:    oneOf[int64](t, "seed", 0, 1, 42, 1<<53-1),
		Exclude: []string{},
	}
	if chance(t, "excludes", 2) {
		r.Exclude = []string{oneOf(t, "excluded", services...)}
	}
	for i := range oneOf(t, "findings", 0, 0, 1, 2) {
		r.Data.Findings = append(r.Data.Findings, contracts.Finding{Type: fmt.Sprintf("finding-%d", i), Count: oneOf[int64](t, "count", 1, 1, 0, 2)})
	}
	if chance(t, "has a budget", 2) {
		r.Limits.MaxCostMicroUSD = pointer(oneOf[int64](t, "max cost", 0, 5000, 20_000, 1_000_000))
	}
	if chance(t, "is urgent", 2) {
		r.Limits.MaxLatencyMS = pointer(oneOf[int64](t, "max latency", 1, 300, 700, 901))
	}
	if chance(t, "has requirements", 2) {
		requirements(t, &r.Requirements)
	}
	if chance(t, "supplies fields", 1) {
		r.Fields = fields(t)
	}
	if chance(t, "has a previous signal", 2) {
		r.Previous = rapid.SliceOfN(rapid.Int64Range(-250_000, 250_000), 8, 8).Draw(t, "previous")
	}
	return r
}

func requirements(t *rapid.T, r *contracts.Requirements) {
	if chance(t, "requires several capabilities", 2) {
		r.Capabilities = subset(t, "required capabilities", capabilityTypes)
	}
	for _, required := range r.Capabilities {
		r.CapabilityParameters[required] = map[string]contracts.Value{"languages": {V: []any{oneOf(t, "required language", "de", "en")}}}
	}
	for range rapid.IntRange(0, 2).Draw(t, "required guarantees") {
		name := oneOf(t, "required guarantee", boundNames...)
		r.Guarantees[name] = bounds(t, name)
	}
	if chance(t, "requires an attribute", 2) {
		r.Attributes["gpu"] = contracts.Value{V: true}
	}
}

func fields(t *rapid.T) contracts.Fields {
	d := oneOf(t, "request's dimension", 64, 64, 128)
	fields := contracts.Fields{Intent: vector(t, "Psi_i", d)}
	for _, optional := range []struct {
		label string
		field **contracts.Field
	}{{"Psi_C", &fields.Context}, {"Psi_M", &fields.Memory}, {"Psi_t", &fields.Traits}} {
		if !chance(t, "no "+optional.label, 2) {
			*optional.field = vector(t, optional.label, d)
		}
	}
	return fields
}

// history draws a row, none for about half of the services.
func history(t *rapid.T) contracts.History {
	n := oneOf[int64](t, "n", 0, 0, 0, 1, 19, 20, 500)
	if n == 0 {
		return contracts.History{}
	}
	h := contracts.History{N: n, OK: rapid.Int64Range(0, n).Draw(t, "ok")}
	if h.OK > 0 {
		h.P95 = oneOf[int64](t, "p95", 1, 40, 300, 60_000)
	}
	return h
}

func principal(t *rapid.T) contracts.Principal {
	return contracts.Principal{
		Tenant: oneOf(t, "tenant", "acme", "other"), Subject: "somebody", Roles: oneOf(t, "roles", roles, roles[:1]), Permissions: oneOf(t, "permissions", permissions, permissions[1:]),
		Trust: decimal(t, "trust", 0, 5_000_000), Method: "scenario",
	}
}
