package verify_test

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/verify"
	"pgregory.net/rapid"
)

// proof is a document with everything around it.
type proof struct {
	request     *contracts.Request
	principal   contracts.Principal
	disclosures []verify.Disclosure
	document    *verify.Document
	evidence    *verify.Evidence
	trust       verify.Trust
}

var fixedTime = time.Date(2026, 11, 22, 12, 0, 0, 123_000_000, time.UTC)

// signer is the issuer's for 1, and a stranger's for anything else.
func signer(t rapid.TB, seed byte) *verify.Signer {
	t.Helper()
	s, err := verify.NewSigner(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func salt(name string) []byte {
	sum := sha256.Sum256([]byte("salt of " + name))
	return sum[:verify.SaltBytes]
}

func field(d int, of func(i int) float64) *contracts.Field {
	re := make([]float64, d)
	for i := range re {
		re[i] = of(i)
	}
	f, err := contracts.NewField(re, nil)
	if err != nil {
		panic(err)
	}
	return f
}

// contractText stands for a contract: verify reads of one only its digest and the messages of its predicates.
func contractText(service string) []byte {
	return []byte(`{"id":"` + service + `","predicates":[{"id":"batch-size","message":"at most 128 inputs a call"}]}`)
}

// newProof puts a proof around a decision. Its snapshot holds the services of the decision.
func newProof(t rapid.TB, r *contracts.Request, p contracts.Principal, d verify.Decision) *proof {
	t.Helper()
	ev := &verify.Evidence{
		Snapshot:     map[string]string{},
		Contracts:    map[string][]byte{},
		Attestations: []verify.AttestationRecord{},
		Settings:     map[string]any{"gdpr": map[string]any{"regions": []any{"eu"}, "ratio": contracts.Decimal(1_500_000), "none": nil}},
		Bundles:      map[string]map[string][]byte{},
	}
	for _, u := range d.Unmatched {
		addContract(ev, u.Service)
	}
	for i := range d.Candidates {
		d.Candidates[i].Contract = addContract(ev, d.Candidates[i].Service)
	}
	if d.Choice.Service != "" {
		d.Choice.Contract = ev.Snapshot[d.Choice.Service]
		ev.Attestations = append(ev.Attestations, verify.AttestationRecord{Service: d.Choice.Service, Contract: d.Choice.Contract, Level: contracts.Audited})
	}
	h := header()
	for i, name := range []string{"tenant", "baseline"} {
		files := map[string][]byte{"policy/gdpr.rego": []byte("package caio.policy." + name), "größe 100%.json": {}}
		if name == "tenant" {
			files[verify.SignaturesFile] = []byte("{}")
		}
		digest := must(verify.BundleDigest(files))(t)
		ev.Bundles[digest] = files
		h.Bundles = append(h.Bundles, verify.BundleReference{Name: name, Digest: digest, Key: "kid", Index: int64(i)})
	}
	h.Bundles[1].Key = ""
	h.Snapshot.Digest = verify.Digest(verify.SnapshotText(ev.Snapshot))
	h.Attestations.Digest = must(verify.AttestationsDigest(ev.Attestations))(t)
	h.Settings.Digest = must(verify.SettingsDigest(ev.Settings))(t)
	c, disclosures, err := verify.Commit(r, p.Subject, salt)
	if err != nil {
		t.Fatal(err)
	}
	ev.Disclosures = disclosures
	made := &proof{request: r, principal: p, disclosures: disclosures, document: verify.NewDocument(h, r, p, c, d), evidence: ev}
	key := verify.Key{Public: signer(t, 1).Public()}
	made.trust = verify.Trust{Issuer: h.Issuer, Logs: []verify.Log{{Origin: h.Log}}, Keys: verify.Keys{key}}
	made.seal(t, 1)
	return made
}

// seal writes the document into the evidence and signs it.
func (p *proof) seal(t rapid.TB, by byte) {
	t.Helper()
	p.evidence.Document = must(p.document.Canonical())(t)
	s := must(verify.NewStatement(p.document, verify.Digest(p.evidence.Document), verify.RetentionStandard))(t)
	p.evidence.Statement = must(signer(t, by).Sign(verify.TypDecision, s))(t)
}

func addContract(ev *verify.Evidence, service string) string {
	text := contractText(service)
	digest := verify.Digest(text)
	ev.Snapshot[service] = digest
	ev.Contracts[digest] = text
	return digest
}

func header() verify.Header {
	return verify.Header{
		DecisionID:   verify.NewDecisionID(fixedTime, [10]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}),
		Issuer:       "https://caio.example.com",
		Log:          "caio.example.com/0f3a",
		Base:         1234,
		Engine:       verify.Build{Version: "v0.1.0", Digest: verify.Digest([]byte("build")), Go: "go1.26.0", Arch: "amd64", OPA: "v1.22.2", CEL: "v0.33.2", Capabilities: verify.Digest([]byte("capabilities"))},
		Time:         fixedTime,
		Snapshot:     verify.Reference{Revision: 7, Index: 1200},
		Attestations: verify.Reference{Revision: 2, Index: 1100},
		Settings:     verify.Reference{Revision: 0, Index: -1},
	}
}

// must lets a function with an error be used in place: must(f())(t).
func must[T any](v T, err error) func(rapid.TB) T {
	return func(t rapid.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func exampleRequest() *contracts.Request {
	cost, half := int64(5000), contracts.Decimal(500_000)
	return &contracts.Request{
		Intent:       contracts.Intent{Type: "embeddings", Text: "Rechnung von Frau Müller \u2028 \x01 \"quoted\""},
		Requirements: contracts.Requirements{Capabilities: []string{"embeddings"}, CapabilityParameters: map[string]map[string]contracts.Value{"embeddings": {"dimensions": {V: contracts.Decimal(1024_000_000)}}}, Guarantees: map[string]contracts.Bounds{"accuracy": {Min: &half}, "determinism": {Equals: &contracts.Value{V: true}}}, Attributes: map[string]contracts.Value{"shape": {V: map[string]any{"a": []any{contracts.Decimal(1), "x"}}}}},
		Estimate:     contracts.Estimate{InputTokens: 5, OutputTokens: 1000, Defaulted: []string{"output_tokens"}, Units: 1, PayloadBytes: 21},
		Limits:       contracts.RequestLimits{MaxCostMicroUSD: &cost},
		Data:         contracts.Data{Labels: []string{"pii"}, Subjects: []string{"person-1"}, Regions: []string{"eu"}, Findings: []contracts.Finding{{Type: "email", Count: 2}}},
		Context:      contracts.Context{Text: "Q4", ConversationID: "c-1"},
		Traits:       contracts.Traits{Conservative: half, RiskTolerance: contracts.Micro},
		Profile:      contracts.Balanced,
		Purpose:      "billing",
		Seed:         42,
		Exclude:      []string{"old-service"},
		Previous:     []int64{1, -1, 0, 0, 0, 0, 0, 250_000},
		Fields:       contracts.Fields{Intent: field(64, func(i int) float64 { return math.Sin(float64(i)) }), Memory: field(64, func(i int) float64 { return float64(i) })},
		Payload:      []byte(`{"input":["Müller"]}`),
		Sources:      exampleSources(),
	}
}

func exampleSources() map[string]contracts.Source {
	sources := map[string]contracts.Source{
		"context.shareable": contracts.SourceCaller, "data.findings": contracts.SourceOperator, "estimate.defaulted": contracts.SourceServer, "estimate.input_tokens": contracts.SourceServer,
		"estimate.output_tokens": contracts.SourceDefault, "estimate.payload_bytes": contracts.SourceServer, "estimate.units": contracts.SourceDefault, "profile": contracts.SourceCaller,
		"requirements.capabilities": contracts.SourceDefault, "seed": contracts.SourceServer, "traits.confidential": contracts.SourceDefault, "traits.risk_tolerance": contracts.SourceDefault,
	}
	for _, key := range []string{"intent.type", "data.labels", "data.regions", "exclude", "limits.max_cost_micro_usd", "purpose", "requirements.attributes", "requirements.capability_parameters", "requirements.guarantees", "traits.conservative"} {
		sources[key] = contracts.SourceCaller
	}
	return sources
}

func examplePrincipal() contracts.Principal {
	return contracts.Principal{Tenant: "acme", Subject: "alice@example.com", Roles: []string{"app"}, Permissions: []string{"ai.embed"}, Trust: 3 * contracts.Micro, Method: "jwt", Issuer: "https://login.example.com"}
}

// example is the golden proof: two survivors, one rejected by a policy and one by a bound, and one that did not match.
func example(t rapid.TB) *proof {
	l := int64(40)
	best := verify.Terms{Intent: 250_000, Attention: 0, Learned: 700_000, Resonance: 300_000, Cost: 100_000, Risk: 50_000, Latency: 200_000}
	other := best
	other.Cost = 153_333
	score := func(terms verify.Terms, cost int64, latency *int64) *verify.Score {
		coefficients, _ := verify.ProfileCoefficients(contracts.Balanced)
		return &verify.Score{Terms: terms, Estimate: verify.Estimate{CostMicroUSD: cost, LatencyMS: latency}, Objective: coefficients.Objective(terms)}
	}
	d := verify.Decision{
		Unmatched: []verify.Unmatched{{Service: "tiny-search", IDs: []string{"capability", "limit.max_units"}}},
		Candidates: []verify.Candidate{
			{Service: "bge-local", Route: contracts.Internal, History: &contracts.History{N: 30, OK: 29, P95: 40}, Score: score(best, 10, &l)},
			{Service: "gte-local", Route: contracts.Internal, Score: score(other, 20, nil)},
			{Service: "openai-embed", Route: contracts.External, Eliminated: &verify.Elimination{Stage: contracts.StagePolicy, Violations: []contracts.Violation{{Kind: contracts.KindRego, ID: "GDPR-44", Value: 1, Reason: "openai-embed keeps data in [us]"}}}},
			{Service: "voyage", Route: contracts.External, Eliminated: &verify.Elimination{Stage: contracts.StageBounds, Violations: []contracts.Violation{{Kind: contracts.KindCEL, ID: "batch-size", Value: 1, Reason: "0"}, {Kind: contracts.KindCEL, ID: "bounds.cost", Value: 1, Reason: "0"}}}},
		},
		Satisfied: verify.Satisfied{Predicates: []string{"capability", "excluded"}, Constraints: []verify.SatisfiedConstraint{{ID: "GDPR-44"}, {ID: "SPEND-1", Margin: &l}}},
		Warnings:  []verify.Warning{{ID: "VENDOR-9", Service: "bge-local", Reason: "bge-local is new"}},
	}
	conclude(&d, 42)
	d.Choice.Control = [8]int64{250_000, -250_000, 1, 0, 0, 0, 0, 7}
	latency := contracts.Decimal(40 * contracts.Micro)
	d.Choice.Guarantees = map[string]contracts.Bounds{"latency": {Max: &latency}}
	return newProof(t, exampleRequest(), examplePrincipal(), d)
}

// conclude fills in outcome, winner, runner-up and nearest, in its own way: by the order of one text for each survivor.
func conclude(d *verify.Decision, seed int64) {
	rank := func(c verify.Candidate) string {
		latency := int64(math.MaxInt64)
		if c.Score.Estimate.LatencyMS != nil {
			latency = *c.Score.Estimate.LatencyMS
		}
		sum := sha256.Sum256(fmt.Appendf(nil, "%d:%s", seed, c.Service))
		return fmt.Sprintf("%020d %020d %020d %s", 1_000_000_000-c.Score.Objective, c.Score.Estimate.CostMicroUSD, latency, hex.EncodeToString(sum[:]))
	}
	var scored []verify.Candidate
	order := []contracts.Stage{contracts.StageSafety, contracts.StagePolicy, contracts.StageSecurity, contracts.StageTraits, contracts.StageBounds}
	furthest := -1
	for _, c := range d.Candidates {
		if c.Score != nil {
			scored = append(scored, c)
		} else {
			furthest = max(furthest, slices.Index(order, c.Eliminated.Stage))
		}
	}
	if len(scored) == 0 {
		d.Outcome, d.Satisfied, d.Choice.Nearest = verify.Denied, verify.Satisfied{}, nil
		for _, c := range d.Candidates {
			if slices.Index(order, c.Eliminated.Stage) == furthest {
				d.Choice.Nearest = append(d.Choice.Nearest, verify.Nearest{Service: c.Service, Stage: c.Eliminated.Stage, Violations: c.Eliminated.Violations})
			}
		}
		return
	}
	slices.SortFunc(scored, func(a, b verify.Candidate) int { return cmp.Compare(rank(a), rank(b)) })
	first := scored[0]
	d.Outcome = verify.Routed
	d.Choice.Service, d.Choice.Contract, d.Choice.Route, d.Choice.Objective = first.Service, first.Contract, first.Route, &first.Score.Objective
	if len(scored) > 1 {
		d.Choice.RunnerUp = &verify.RunnerUp{Service: scored[1].Service, Margin: first.Score.Objective - scored[1].Score.Objective}
	}
}

// randomProof draws a decision about services whose scores often tie.
func randomProof(t *rapid.T) *proof {
	r, p := exampleRequest(), examplePrincipal()
	r.Profile = rapid.SampledFrom([]string{contracts.Balanced, contracts.Economy, contracts.Realtime, contracts.Assurance}).Draw(t, "profile")
	r.Seed = rapid.Int64Range(0, 1<<53-1).Draw(t, "seed")
	r.Intent.Text = rapid.String().Draw(t, "text")
	r.Context.Shareable = rapid.Bool().Draw(t, "shareable")
	coefficients, _ := verify.ProfileCoefficients(r.Profile)
	intent := rapid.Int64Range(0, contracts.Micro).Draw(t, "intent")
	var d verify.Decision
	for i := range rapid.IntRange(0, 6).Draw(t, "services") {
		service := fmt.Sprintf("svc-%02d", i)
		route := rapid.SampledFrom([]contracts.Placement{contracts.Internal, contracts.Hybrid, contracts.External}).Draw(t, "route")
		switch rapid.SampledFrom([]string{"unmatched", "eliminated", "scored", "scored"}).Draw(t, "fate") {
		case "unmatched":
			d.Unmatched = append(d.Unmatched, verify.Unmatched{Service: service, IDs: []string{"capability"}})
		case "eliminated":
			d.Candidates = append(d.Candidates, verify.Candidate{Service: service, Route: route, Eliminated: elimination(t)})
		case "scored":
			term := func(name string) int64 {
				return rapid.OneOf(rapid.SampledFrom([]int64{0, contracts.Micro}), rapid.Int64Range(0, contracts.Micro)).Draw(t, name)
			}
			terms := verify.Terms{Intent: intent, Attention: term("a"), Learned: term("l"), Resonance: term("w"), Cost: term("c"), Risk: term("r"), Latency: term("t")}
			s := &verify.Score{Terms: terms, Objective: coefficients.Objective(terms), Estimate: verify.Estimate{CostMicroUSD: rapid.Int64Range(0, 1).Draw(t, "cost")}}
			if rapid.Bool().Draw(t, "known") {
				l := rapid.Int64Range(0, 1).Draw(t, "latency")
				s.Estimate.LatencyMS = &l
			}
			d.Candidates = append(d.Candidates, verify.Candidate{Service: service, Route: route, Score: s})
		}
	}
	conclude(&d, r.Seed)
	return newProof(t, r, p, d)
}

func elimination(t *rapid.T) *verify.Elimination {
	if rapid.Bool().Draw(t, "cel") {
		stage := rapid.SampledFrom([]contracts.Stage{contracts.StageSecurity, contracts.StageBounds}).Draw(t, "stage")
		return &verify.Elimination{Stage: stage, Violations: []contracts.Violation{{Kind: contracts.KindCEL, ID: "access.trust", Value: 1, Reason: contracts.ReasonError}}}
	}
	stage := rapid.SampledFrom([]contracts.Stage{contracts.StageSafety, contracts.StagePolicy, contracts.StageTraits}).Draw(t, "stage")
	return &verify.Elimination{Stage: stage, Violations: []contracts.Violation{{Kind: contracts.KindRego, ID: "R-1", Value: rapid.Int64Range(1, 1<<53-1).Draw(t, "value"), Reason: rapid.String().Draw(t, "reason")}}}
}
