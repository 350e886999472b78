package replay_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/canonical"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/replay"
)

const policy = `package caio.policy.region

import rego.v2

# METADATA
# title: Only where the settings say
# custom:
#   severity: high
#   controls: []
#   remedy: none
violation["REGION"] contains sprintf("%s keeps data in %s", [input.service.id, region]) if {
	some region in input.service.privacy.regions
	not region in data.caio.settings.region.permitted
}

margin["REGION"] := count(data.caio.settings.region.permitted)

warn["ATTESTED"] contains "nobody has looked" if input.service.attestation == "self"
`

const schema = `{"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "required": ["caio"], "properties": {"caio": {"type": "object", "required": ["settings"],
	"properties": {"settings": {"type": "object", "required": ["region"], "properties": {"region": {"type": "object", "required": ["permitted"],
	"properties": {"permitted": {"type": "array", "items": {"type": "string"}}}}}}}}}}`

var build = verify.Build{Version: "v1", Digest: strings.Repeat("0", 64), Go: "go1.26.0", Arch: "amd64", OPA: "1", CEL: "2", Capabilities: strings.Repeat("1", 64)}

// proof is evidence of a decision, and the document in it.
type proof struct {
	evidence *verify.Evidence
	document *verify.Document
}

func contract(t testing.TB, id, region, extra string) *contracts.Contract {
	t.Helper()
	c, faults := contracts.ParseContract(id+".yaml", []byte(`
schema: caio.contract/v1
id: `+id+`
name: Embeddings `+id+`
version: 1.0.0
owner: ml@example.com
placement: internal
capabilities: [{type: embeddings}]
guarantees: {latency: {max: 200}, availability: {min: 0.99}}
cost: {per_call: 0.001}
privacy: {locality: local, regions: [`+region+`]}
`+extra))
	if faults.HasErrors() {
		t.Fatal(faults)
	}
	return c
}

// prove decides a request and puts the evidence together.
func prove(t *testing.T, request string) *proof {
	t.Helper()
	a := replay.Arguments{
		Contracts: []*contracts.Contract{
			contract(t, "abroad", "us", ""),
			contract(t, "second", "eu", "field: [1"+strings.Repeat(",1", 63)+"]\n"),
			contract(t, "winner", "eu", "field: [2"+strings.Repeat(",-1, 1", 31)+",1]\n"),
			contract(t, "unmatched", "eu", "predicates: [{id: never, expr: 'request.estimate.units > 5'}]\n"),
			contract(t, "slow", "eu", "predicates: [{id: fast, expr: 'has(estimate.latency_ms) && estimate.latency_ms < 100'}]\n"),
		},
		Attestations: map[string]contracts.Attestation{"winner": contracts.Audited},
		Settings:     map[string]any{"region": map[string]any{"permitted": []any{"eu"}}},
		History:      map[string]contracts.History{"winner": {N: 30, OK: 30, P95: 50}},
		Time:         time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
	}
	files := map[string][]byte{
		".manifest":   []byte(`{"revision": "1", "roots": ["caio/policy/region"]}`),
		"schema.json": []byte(schema), "region.rego": []byte(policy),
	}
	bundle, faults := rego.ReadFiles("baseline", files)
	if faults.HasErrors() {
		t.Fatal(faults)
	}
	a.Bundles = []*rego.Bundle{bundle}
	if a.Request, faults = contracts.ParseRequest("request.yaml", []byte(request), contracts.Admission{Operator: true}); faults.HasErrors() {
		t.Fatal(faults)
	}
	if a.Principal, faults = contracts.ParsePrincipal("principal.yaml", []byte("{tenant: acme, subject: somebody}")); faults.HasErrors() {
		t.Fatal(faults)
	}
	decision, err := replay.Decide(context.Background(), a)
	if err != nil {
		t.Fatal(err)
	}
	return document(t, a, bundle, files, decision)
}

func document(t *testing.T, a replay.Arguments, bundle *rego.Bundle, files map[string][]byte, decision verify.Decision) *proof {
	t.Helper()
	commitments, disclosures, err := verify.Commit(a.Request, a.Principal.Subject, func(name string) []byte { return bytes.Repeat([]byte{byte(len(name))}, verify.SaltBytes) })
	if err != nil {
		t.Fatal(err)
	}
	ev := &verify.Evidence{
		Snapshot: map[string]string{}, Contracts: map[string][]byte{}, Settings: a.Settings, Disclosures: disclosures,
		Bundles: map[string]map[string][]byte{bundle.Digest: files},
	}
	for _, c := range a.Contracts {
		ev.Snapshot[c.ID], ev.Contracts[c.Digest()] = c.Digest(), c.Canonical()
		if level, ok := a.Attestations[c.ID]; ok {
			ev.Attestations = append(ev.Attestations, verify.AttestationRecord{Service: c.ID, Contract: c.Digest(), Level: level})
		}
	}
	header := verify.Header{
		DecisionID: verify.NewDecisionID(a.Time, [10]byte{}), Issuer: "caio.example.com", Log: "caio.example.com/log", Base: 5, Engine: build, Time: a.Time,
		Bundles: []verify.BundleReference{{Name: bundle.Name, Digest: bundle.Digest, Key: "key", Index: 1}},
	}
	p := &proof{ev, verify.NewDocument(header, a.Request, a.Principal, commitments, decision)}
	p.bind(t)
	return p
}

// bind names the evidence's parts in the document by digest, and puts the document into it.
func (p *proof) bind(t *testing.T) {
	t.Helper()
	p.document.Snapshot.Digest = verify.Digest(verify.SnapshotText(p.evidence.Snapshot))
	var err error
	if p.document.Attestations.Digest, err = verify.AttestationsDigest(p.evidence.Attestations); err != nil {
		t.Fatal(err)
	}
	if p.document.Settings.Digest, err = verify.SettingsDigest(p.evidence.Settings); err != nil {
		t.Fatal(err)
	}
	p.seal(t)
}

func (p *proof) seal(t *testing.T) {
	t.Helper()
	var err error
	if p.evidence.Document, err = p.document.Canonical(); err != nil {
		t.Fatal(err)
	}
}

func (p *proof) check(o replay.Options) (completeness, again verify.Verdict) {
	if o.Build == (verify.Build{}) {
		o.Build = build
	}
	verdicts := replay.Check(context.Background(), p.evidence, o)
	return verdicts[0], verdicts[1]
}

var trusted = replay.Options{VerifyBundle: func(*rego.Bundle) (string, error) { return "key", nil }}

// requests that are scored by texts, by fields, and not at all.
var requests = map[string]string{
	"texts":  "intent: {type: embeddings, text: embeddings for a winner}\ncontext: {text: embeddings}\n",
	"fields": "intent: {type: embeddings}\nfields: {intent: [3" + strings.Repeat(",1, -1", 31) + ",1], memory: [1" + strings.Repeat(",1", 63) + "]}\n",
	"denied": "intent: {type: embeddings, text: anything}\nlimits: {max_latency_ms: 1}\n",
}

func TestCheckPasses(t *testing.T) {
	for name, request := range requests {
		completeness, again := prove(t, request).check(trusted)
		if completeness.Status != verify.Pass || again.Status != verify.Pass {
			t.Errorf("%s: %+v %+v", name, completeness, again)
		}
	}
}

// TestCheckFindsEveryChange changes one thing that follows from the arguments; the document itself stays well-formed.
//
// Of these, only what an evaluator of predicates or constraints says can have come from another version of it.
func TestCheckFindsEveryChange(t *testing.T) {
	evaluated := []string{"a reason", "a margin", "a warning", "an unmatched one"}
	for name, test := range map[string]struct {
		request string
		change  func(d *verify.Document)
		pointer string
	}{
		"a term":           {"texts", func(d *verify.Document) { d.Candidates[2].Score.Terms.Risk++ }, "/candidates/2/score/terms/risk"},
		"an objective":     {"texts", func(d *verify.Document) { d.Candidates[1].Score.Objective++ }, "/candidates/1/score/objective"},
		"an estimate":      {"texts", func(d *verify.Document) { d.Candidates[1].Score.Estimate.CostMicroUSD++ }, "/candidates/1/score/estimate/cost_micro_usd"},
		"a reason":         {"texts", func(d *verify.Document) { d.Candidates[0].Eliminated.Violations[0].Reason = "keeps data" }, "/candidates/0/eliminated/violations/0/reason"},
		"a history":        {"texts", func(d *verify.Document) { d.Candidates[2].History.OK-- }, "/candidates/2/score/objective"},
		"the margin":       {"texts", func(d *verify.Document) { d.Choice.RunnerUp.Margin++ }, "/decision/runner_up/margin"},
		"a guarantee":      {"texts", func(d *verify.Document) { delete(d.Choice.Guarantees, "latency") }, "/decision/guarantees/latency"},
		"a predicate":      {"texts", func(d *verify.Document) { d.Satisfied.Predicates = d.Satisfied.Predicates[1:] }, "/satisfied/predicates/0"},
		"a margin":         {"texts", func(d *verify.Document) { *d.Satisfied.Constraints[0].Margin++ }, "/satisfied/constraints/0/margin"},
		"a warning":        {"texts", func(d *verify.Document) { d.Warnings = nil }, "/warnings/0"},
		"an unmatched one": {"texts", func(d *verify.Document) { d.Unmatched[1].IDs = []string{"capability"} }, "/unmatched/1/ids/0"},
		"the control":      {"fields", func(d *verify.Document) { d.Choice.Control[7]++ }, "/decision/control/7"},
		"the seed's winner": {"texts", func(d *verify.Document) {
			d.Choice.Service, d.Choice.RunnerUp.Service = d.Choice.RunnerUp.Service, d.Choice.Service
		}, "/decision/runner_up/service"},
		"the nearest": {"denied", func(d *verify.Document) { d.Choice.Nearest = d.Choice.Nearest[1:] }, "/decision/nearest/0/service"},
		"the request": {"texts", func(d *verify.Document) {
			d.Request.Profile, d.Request.Sources["profile"] = contracts.Realtime, contracts.SourceCaller
		}, "/candidates/1/score/objective"},
		"the labels": {"texts", func(d *verify.Document) { label(d, "phi") }, "/candidates/1/score/objective"},
	} {
		t.Run(name, func(t *testing.T) {
			p := prove(t, requests[test.request])
			test.change(p.document)
			p.seal(t)
			_, again := p.check(trusted)
			if again.Status != verify.Fail || again.Pointer != test.pointer || again.Want == again.Got {
				t.Errorf("%+v", again)
			}
			p.document.Engine.OPA = "0.9"
			p.seal(t)
			want := verify.Fail
			if slices.Contains(evaluated, name) {
				want = verify.Inconclusive
			}
			if _, again = p.check(trusted); again.Status != want || again.Pointer != test.pointer {
				t.Errorf("under other evaluators: %+v", again)
			}
		})
	}
}

// TestCheckFindsOtherArguments changes what the decision was made from, and what the document says of it too.
func TestCheckFindsOtherArguments(t *testing.T) {
	for name, change := range map[string]func(p *proof){
		"settings": func(p *proof) {
			p.evidence.Settings = map[string]any{"region": map[string]any{"permitted": []any{"us"}}}
		},
		"attestations": func(p *proof) { p.evidence.Attestations = nil },
		"an attestation of another contract": func(p *proof) {
			p.evidence.Attestations[0].Contract = strings.Repeat("0", 64)
		},
		"a contract of another digest": func(p *proof) {
			p.evidence.Contracts[p.evidence.Snapshot["unmatched"]] = contract(t, "unmatched", "us", "predicates: [{id: never, expr: 'request.estimate.units > 5'}]\n").Canonical()
		},
		"a service more": func(p *proof) {
			c := contract(t, "better", "eu", "")
			p.evidence.Snapshot[c.ID], p.evidence.Contracts[c.Digest()] = c.Digest(), c.Canonical()
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := prove(t, requests["texts"])
			change(p)
			if _, again := p.check(trusted); again.Status != verify.Fail {
				t.Errorf("not bound: %+v", again)
			}
			p.bind(t)
			if _, again := p.check(trusted); again.Status != verify.Fail {
				t.Errorf("bound: %+v", again)
			}
		})
	}
}

// label gives the request labels, as a caller would have.
func label(d *verify.Document, labels ...string) {
	d.Request.Data.Labels, d.Request.Sources["data.labels"] = labels, contracts.SourceCaller
}

// TestLabelsAreThoseOfTheTenant: an insider documents a request that admission would have refused, and decides it truly.
func TestLabelsAreThoseOfTheTenant(t *testing.T) {
	const unlabelled, labelled = "intent: {type: embeddings}\n", "intent: {type: embeddings}\ndata: {labels: [none]}\n"
	for name, test := range map[string]struct {
		request string
		core    map[string]any
		change  func(d *verify.Document)
		want    string
	}{
		"of everybody":      {labelled, nil, func(*verify.Document) {}, ""},
		"of nobody":         {labelled, nil, func(d *verify.Document) { label(d, "PII") }, "/request/data/labels/0"},
		"of another tenant": {labelled, map[string]any{"labels": []any{"salary"}}, func(d *verify.Document) { label(d, "pii", "telemetry") }, "/request/data/labels/1"},
		"of the tenant":     {labelled, map[string]any{"labels": []any{"none-at-all"}}, func(*verify.Document) {}, ""},
		"none required":     {unlabelled, map[string]any{"require_label": false}, func(*verify.Document) {}, ""},
		"one required":      {unlabelled, map[string]any{"require_label": true}, func(*verify.Document) {}, "/request/data/labels"},
	} {
		p := prove(t, test.request)
		if test.core != nil {
			p.evidence.Settings["core"] = test.core
		}
		test.change(p.document)
		p.bind(t)
		_, again := p.check(trusted)
		if again.Pointer != test.want || (again.Status == verify.Pass) != (test.want == "") {
			t.Errorf("%s: %+v", name, again)
		}
	}
}

func TestCompleteness(t *testing.T) {
	for name, test := range map[string]struct {
		change  func(p *proof)
		pointer string
	}{
		"left out":         {func(p *proof) { p.document.Unmatched = p.document.Unmatched[1:] }, "/candidates"},
		"a candidate gone": {func(p *proof) { p.document.Candidates = p.document.Candidates[1:] }, "/candidates"},
		"invented":         {func(p *proof) { p.document.Unmatched[0].Service = "nobody" }, "/unmatched/0/service"},
		"another snapshot": {func(p *proof) { delete(p.evidence.Snapshot, "slow") }, "/snapshot/digest"},
	} {
		p := prove(t, requests["texts"])
		test.change(p)
		p.seal(t)
		if completeness, _ := p.check(trusted); completeness.Status != verify.Fail || completeness.Pointer != test.pointer {
			t.Errorf("%s: %+v", name, completeness)
		}
	}
}

func (p *proof) hide(names ...string) {
	var left []verify.Disclosure
	for _, d := range p.evidence.Disclosures {
		if !strings.Contains(strings.Join(names, " "), d.Name) {
			left = append(left, d)
		}
	}
	p.evidence.Disclosures = left
}

func TestUndisclosedContent(t *testing.T) {
	for name, test := range map[string]struct {
		request, hidden string
		want            verify.Status
	}{
		"subjects":                    {"texts", "principal.subject data.subjects context.conversation_id", verify.Pass},
		"texts":                       {"texts", "intent.text context.text", verify.Skipped},
		"a text that fields outweigh": {"fields", "intent.text context.text", verify.Pass},
		"a field":                     {"fields", "fields.intent", verify.Skipped},
		"a text of a denial":          {"denied", "intent.text", verify.Pass},
	} {
		p := prove(t, requests[test.request])
		p.hide(test.hidden)
		if _, again := p.check(trusted); again.Status != test.want {
			t.Errorf("%s: %+v", name, again)
		}
	}
	// What does not depend on the content is still found.
	p := prove(t, requests["fields"])
	p.hide("fields.intent")
	p.document.Candidates[2].Score.Terms.Cost++
	p.seal(t)
	if _, again := p.check(trusted); again.Status != verify.Fail || again.Pointer != "/candidates/2/score/terms/cost" {
		t.Errorf("%+v", again)
	}
}

func TestSlimEvidence(t *testing.T) {
	p := prove(t, requests["texts"])
	delete(p.evidence.Contracts, p.evidence.Snapshot["unmatched"])
	completeness, again := p.check(trusted)
	if completeness.Status != verify.Pass || again.Status != verify.Skipped || !strings.Contains(again.Reason, "unmatched") {
		t.Errorf("%+v %+v", completeness, again)
	}
	delete(p.evidence.Contracts, p.evidence.Snapshot["winner"])
	if _, again = p.check(trusted); again.Status != verify.Fail {
		t.Errorf("without a candidate's contract: %+v", again)
	}
}

// TestUnknownHistory: a history that the document does not hold decided a match.
func TestUnknownHistory(t *testing.T) {
	p := prove(t, requests["texts"])
	p.document.Unmatched[0].IDs = []string{"excluded", "fast"} // of slow: as a history could not make it, but who knows
	p.seal(t)
	if _, again := p.check(trusted); again.Status != verify.Inconclusive || !strings.Contains(again.Reason, "slow") {
		t.Errorf("%+v", again)
	}
	// What was left out comes first: it can be fetched.
	if _, again := p.check(replay.Options{}); again.Status != verify.Skipped || !strings.Contains(again.Reason, "slow") {
		t.Errorf("without keys: %+v", again)
	}
}

func TestBundleSignatures(t *testing.T) {
	p := prove(t, requests["texts"])
	for name, test := range map[string]struct {
		verify func(*rego.Bundle) (string, error)
		want   verify.Status
	}{
		"no keys":     {nil, verify.Skipped},
		"bad":         {func(*rego.Bundle) (string, error) { return "", errors.New("forged") }, verify.Fail},
		"another key": {func(*rego.Bundle) (string, error) { return "other", nil }, verify.Fail},
		"a key that was not given": {func(*rego.Bundle) (string, error) {
			return "", fmt.Errorf("the bundle: %w", &rego.UnknownKeyError{ID: p.document.Bundles[0].Key})
		}, verify.Inconclusive},
		"one that the document does not name": {func(*rego.Bundle) (string, error) { return "", &rego.UnknownKeyError{ID: "other"} }, verify.Fail},
	} {
		if _, again := p.check(replay.Options{VerifyBundle: test.verify}); again.Status != test.want {
			t.Errorf("%s: %+v", name, again)
		}
	}
	p.document.Bundles[0].Key = ""
	p.seal(t)
	if _, again := p.check(replay.Options{}); again.Status != verify.Pass || !strings.Contains(again.Reason, "unsigned") {
		t.Errorf("unsigned: %+v", again)
	}
	if _, again := p.check(trusted); again.Status != verify.Fail || again.Pointer != "/bundles/0/key" {
		t.Errorf("unsigned, though the auditor has keys: %+v", again)
	}
}

func TestCheckOfBrokenDocument(t *testing.T) {
	p := prove(t, requests["texts"])
	p.evidence.Document = append(p.evidence.Document, ' ')
	if completeness, again := p.check(trusted); completeness.Status != verify.Skipped || again.Status != verify.Skipped {
		t.Errorf("%+v %+v", completeness, again)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	options := trusted
	options.Build = build
	verdicts := replay.Check(ctx, prove(t, requests["texts"]).evidence, options)
	if verdicts[1].Status != verify.Inconclusive {
		t.Errorf("%+v", verdicts[1])
	}
}

// TestDecideIsDeterministic: the bytes of a decision are the same each time.
func TestDecideIsDeterministic(t *testing.T) {
	for name, request := range requests {
		one, err := canonical.Encode(prove(t, request).document)
		if err != nil {
			t.Fatal(err)
		}
		other, err := canonical.Encode(prove(t, request).document)
		if err != nil || !bytes.Equal(one, other) {
			t.Errorf("%s: %s\n%s", name, one, other)
		}
	}
}
