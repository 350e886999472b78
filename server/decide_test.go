package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/replay"
)

func TestTheLeastRequest(t *testing.T) {
	i := start(t)
	author, app := i.token("default", auth.Author), i.token("default", auth.App)
	i.register(author, contract("eu", "eu", "guarantees:\n  latency: {max: 40}\n"))
	i.register(author, contract("us", "us", ""))
	a := i.decide(app, `{"intent": {"type": "embeddings"}, "data": {"labels": ["pii"]}}`)
	if a.Outcome != verify.Routed || a.Service == nil || a.Service.ID != "eu" || a.Service.Version != "1.0.0" || a.Service.Name != "Service eu" || a.Route != contracts.External || a.Denied != nil || a.Document != nil {
		t.Fatalf("%+v", a)
	}
	if api, _ := json.Marshal(a.Service.API); string(api) != `{"base_url":"https://eu.example","protocol":"http"}` {
		t.Errorf("api: %s", api)
	}
	if text, _ := json.Marshal(a.Guarantees); string(text) != `{"latency":{"max":40}}` {
		t.Errorf("guarantees: %s", text)
	}
	if a.Index == nil || a.Links.Document != "/v1/decisions/"+a.DecisionID+"/document" || a.Links.Evidence != "/v1/decisions/"+a.DecisionID+"/evidence" || strings.Count(a.Statement, ".") != 2 {
		t.Errorf("%+v", a)
	}
	if all := strings.Join(a.Reasons, "\n"); !strings.Contains(all, "us was rejected at stage policy: GDPR-44: us keeps data in us.") {
		t.Errorf("reasons: %s", all)
	}
}

func TestDenials(t *testing.T) {
	i := start(t)
	all := i.token("default", auth.Operator)
	for _, c := range []struct {
		name, contract, request, stage string
		want                           server.Violated
	}{
		{"nothing registered", "", embed, "match", server.Violated{}},
		{"policy", contract("us", "us", ""), `{"intent": {"type": "embeddings"}, "data": {"labels": ["pii"]}}`, "policy",
			server.Violated{Service: "us", ID: "GDPR-44", Reason: "us keeps data in us", Remedy: "Choose a service in the EU."}},
		{"match", "", `{"intent": {"type": "chat"}}`, "match", server.Violated{Service: "us", ID: "capability"}},
		{"bounds", "", `{"intent": {"type": "embeddings"}, "limits": {"max_cost_usd": 0.0001}}`, "bounds", server.Violated{Service: "us", ID: "bounds.cost"}},
		{"author's predicate", contract("us", "us", "predicates:\n  - {id: tiny, expr: request.estimate.units <= 2, message: at most two inputs}\n"),
			`{"intent": {"type": "embeddings"}, "estimate": {"units": 3}}`, "match", server.Violated{Service: "us", ID: "tiny", Reason: "at most two inputs"}},
		{"author's predicate without a message", contract("us", "us", "predicates:\n  - {id: tiny, expr: request.estimate.units <= 2}\n"),
			`{"intent": {"type": "embeddings"}, "estimate": {"units": 3}}`, "match", server.Violated{Service: "us", ID: "tiny", Reason: "not so: request.estimate.units <= 2"}},
		{"guarantee", contract("us", "us", "guarantees:\n  latency: {max: 40}\n"), `{"intent": {"type": "embeddings"}, "requirements": {"guarantees": {"latency": {"max": 10}}}}`, "match",
			server.Violated{Service: "us", ID: "guarantee.latency", Reason: "does not guarantee the latency that is required"}},
	} {
		if c.contract != "" {
			i.register(all, c.contract)
		}
		a := i.decide(all, c.request)
		if a.Outcome != verify.Denied || a.Service != nil || a.Route != "" || a.Guarantees != nil || a.Denied == nil || string(a.Denied.Stage) != c.stage || len(a.Reasons) == 0 {
			t.Errorf("%s: %+v", c.name, a)
			continue
		}
		if c.want.Service == "" {
			continue
		}
		if len(a.Denied.Violations) != 1 {
			t.Errorf("%s: %+v", c.name, a.Denied)
			continue
		}
		got := a.Denied.Violations[0]
		if got.Service != c.want.Service || got.ID != c.want.ID || got.Reason == "" || got.Remedy == "" || c.want.Reason != "" && got.Reason != c.want.Reason || c.want.Remedy != "" && got.Remedy != c.want.Remedy {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// A denial says which capability nobody offers, and what was meant perhaps; a guarantee that is not met is no capability that is missing. Read again, it says the same, with the contracts of its time.
func TestReasonsOfADenial(t *testing.T) {
	i := start(t)
	all := i.token("default", auth.Operator)
	i.register(all, contract("eu", "eu", "guarantees:\n  latency: {max: 40}\n"))
	for _, c := range []struct{ request, want string }{
		{`{"intent": {"type": "embedings"}}`, `No service offers the capability "embedings": did you mean "embeddings"?`},
		{`{"intent": {"type": "chat"}}`, `No service offers the capability "chat".`},
		{`{"intent": {"type": "embeddings"}, "requirements": {"guarantees": {"latency": {"max": 10}}}}`, "No service matches this request: 1 service registered, none satisfies what it requires."},
	} {
		a := i.decide(all, c.request)
		if !slices.Contains(a.Reasons, c.want) || len(a.Reasons) > 2 {
			t.Errorf("%s: %q", c.request, a.Reasons)
		}
		i.register(all, contract("eu", "eu", "tags: ["+strings.ToLower(a.DecisionID[:8])+"]\n"))
		var again server.Answer
		i.call("GET", "/v1/decisions/"+a.DecisionID, all, "").into(t, &again)
		if !slices.Equal(again.Reasons, a.Reasons) {
			t.Errorf("%q, read again %q", a.Reasons, again.Reasons)
		}
		i.register(all, contract("eu", "eu", "guarantees:\n  latency: {max: 40}\n"))
	}
}

// Answers and reports write objectives alike.
func TestObjectivesAreThoseOfReports(t *testing.T) {
	i := start(t)
	all := i.token("default", auth.Operator)
	i.register(all, contract("a", "eu", ""))
	i.register(all, strings.Replace(contract("b", "eu", ""), "0.001", "0.0013", 1))
	var full struct {
		Reasons  []string
		Document verify.Document
	}
	i.call("POST", "/v1/decisions?detail=full", all, embed).into(t, &full)
	reported := verify.Sentences(nil, &full.Document)
	parts := strings.Split(reported[1], "feasible, with the objective ")
	second, first, _ := strings.Cut(parts[1], " against ")
	if want := "highest objective, " + first + "; b comes next with " + second + "."; !strings.Contains(full.Reasons[0], want) {
		t.Errorf("%q lacks %q: %q", full.Reasons[0], want, reported)
	}
}

func TestDetail(t *testing.T) {
	i := start(t)
	all := i.token("default", auth.Operator)
	i.register(all, contract("eu", "eu", ""))
	read := func(detail string) server.Answer {
		var a server.Answer
		r := i.call("POST", "/v1/decisions?detail="+detail, all, embed)
		r.into(t, &a)
		return a
	}
	if a := read("none"); a.Service == nil || a.Statement != "" || a.Reasons != nil || a.Document != nil || a.Index == nil {
		t.Errorf("none: %+v", a)
	}
	if a := read("brief"); a.Statement == "" || a.Document != nil {
		t.Errorf("brief: %+v", a)
	}
	r := i.call("POST", "/v1/decisions?detail=full", all, embed)
	var full struct {
		Document   verify.Document `json:"document"`
		DecisionID string          `json:"decision_id"`
	}
	r.into(t, &full)
	if full.Document.DecisionID != full.DecisionID || full.Document.Candidates[0].Score == nil {
		t.Errorf("full: %s", r.body)
	}
	for _, wrong := range []string{"?detail=most", "?detial=full", "?detail=full&detail=none", "?detail=%zz"} {
		if r := i.call("POST", "/v1/decisions"+wrong, all, embed); r.status != 400 || r.problem() != "invalid-parameter" {
			t.Errorf("%s: %d %s", wrong, r.status, r.body)
		}
	}
}

func TestOrchestrate(t *testing.T) {
	i := start(t)
	all := i.token("default", auth.Operator)
	i.register(all, contract("eu", "eu", ""))
	for _, path := range []string{"/v1/orchestrate", "/orchestrate"} {
		for _, body := range []string{embed, `{"execute": false, "intent": {"type": "embeddings"}}`} {
			if r := i.call("POST", path, all, body); r.status != 200 {
				t.Errorf("%s %s: %d %s", path, body, r.status, r.body)
			}
		}
		if r := i.call("POST", path, all, `{"execute": true, "intent": {"type": "embeddings"}}`); r.status != 501 || r.problem() != "execution-unavailable" {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
	if r := i.call("POST", "/v1/decisions", all, `{"execute": true, "intent": {"type": "embeddings"}}`); r.status != 400 {
		t.Errorf("execute where there is only to decide: %d %s", r.status, r.body)
	}
}

func TestBatch(t *testing.T) {
	i := start(t)
	all := i.token("default", auth.Operator)
	i.register(all, contract("eu", "eu", ""))
	r := i.call("POST", "/v1/decisions/batch", all, `{"requests": [{"intent": {"type": "embeddings"}},
 {"intent": {"type": "embeddings"}, "profil": "economy"}, {"intent": {"type": "chat"}}]}`)
	var b struct {
		Results []struct {
			Answer  *server.Answer
			Problem *server.Problem
		}
	}
	r.into(t, &b)
	if r.status != 200 || len(b.Results) != 3 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if a := b.Results[0].Answer; a == nil || a.Outcome != verify.Routed || a.Index == nil {
		t.Errorf("first: %s", r.body)
	}
	if p := b.Results[1].Problem; p == nil || p.Code != "invalid-request" || p.Errors[0].Pointer != "/requests/1/profil" || p.Errors[0].Line != 2 {
		t.Errorf("second: %+v", p)
	}
	if a := b.Results[2].Answer; a == nil || a.Outcome != verify.Denied {
		t.Errorf("third: %s", r.body)
	}
	thousand := `{"requests": [` + strings.Repeat(embed+",", 999) + embed + `]}`
	r = i.call("POST", "/v1/decisions/batch?detail=none", all, thousand)
	r.into(t, &b)
	seen := map[int64]bool{}
	for _, result := range b.Results {
		if result.Answer == nil || seen[*result.Answer.Index] {
			t.Fatalf("%+v", result)
		}
		seen[*result.Answer.Index] = true
	}
	if len(seen) != 1000 {
		t.Errorf("%d decisions, not 1000", len(seen))
	}
	for _, wrong := range []string{`{}`, `{"requests": []}`, `[]`, `{"requests": [` + strings.Repeat(embed+",", 1000) + embed + `]}`} {
		if r := i.call("POST", "/v1/decisions/batch", all, wrong); r.status != 400 || r.problem() != "invalid-request" {
			t.Errorf("%.40s: %d %s", wrong, r.status, r.body)
		}
	}
}

// Every kind of decision, its evidence checked layer by layer, by the verifier and by the naive evaluator.
func TestEvidenceVerifies(t *testing.T) {
	i := start(t, withSettings(map[string]any{"core": map[string]any{"labels": []any{"salary"}}}))
	all := i.token("default", auth.Operator)
	eu := i.register(all, contract("eu", "eu", ""))
	i.register(all, contract("us", "us", ""))
	i.call("PUT", "/v1/services/eu/attestation", all, `{"contract": "`+eu.Contract+`", "level": "audited", "reason": "looked at it"}`)
	trust, err := verify.ParseTrust(i.call("GET", "/v1/trust", i.token("default", auth.Auditor), "").body)
	must(t, err)
	for _, request := range []string{
		embed, `{"intent": {"type": "chat"}}`, `{"intent": {"type": "weapons"}}`,
		`{"intent": {"type": "embeddings", "text": "ein Satz"}, "context": {"text": "noch einer", "shareable": true}, "data": {"labels": ["pii", "salary"], "subjects": ["p-1"]}, "payload": {"input": "x"}}`,
		`{"intent": {"type": "embeddings"}, "limits": {"max_cost_usd": 0.0001}}`,
	} {
		a := i.decide(all, request)
		checkEvidence(t, i, all, a, trust)
		var read server.Answer
		i.call("GET", "/v1/decisions/"+a.DecisionID, all, "").into(t, &read)
		if !reflect.DeepEqual(read, a) {
			t.Errorf("read back:\n%+v\nfirst answered:\n%+v", read, a)
		}
		document := i.call("GET", a.Links.Document, all, "")
		if document.header.Get("Content-Type") != verify.MediaType {
			t.Errorf("document: %s", document.header)
		}
		if statement := i.call("GET", "/v1/decisions/"+a.DecisionID+"/statement", all, ""); string(statement.body) != a.Statement {
			t.Errorf("statement: %s", statement.body)
		}
	}
	// A changed registry does not change what old proofs show.
	old := i.decide(all, embed)
	i.register(all, contract("eu", "eu", "tags: [changed]\n"))
	i.call("DELETE", "/v1/services/us", all, "")
	checkEvidence(t, i, all, old, trust)
}

// checkEvidence demands that every layer that can be checked passes.
func checkEvidence(t *testing.T, i *installation, token string, a server.Answer, trust verify.Trust) {
	t.Helper()
	r := i.call("GET", a.Links.Evidence, token, "")
	if r.status != http.StatusOK {
		t.Fatalf("%d %s\n%s", r.status, r.body, i.logs)
	}
	ev, err := verify.ReadEvidence(r.body)
	must(t, err)
	if len(ev.Disclosures) == 0 {
		t.Error("no disclosure came along")
	}
	checkLayers(t, ev, trust)
	slim, err := verify.ReadEvidence(i.call("GET", a.Links.Evidence+"?contracts=candidates", token, "").body)
	must(t, err)
	if document, err := verify.DecodeDocument(slim.Document); err != nil || len(slim.Contracts) != len(document.Candidates) {
		t.Errorf("%d contracts of %d candidates: %v", len(slim.Contracts), len(document.Candidates), err)
	}
	without, err := verify.ReadEvidence(i.call("GET", a.Links.Evidence+"?disclosures=none", token, "").body)
	must(t, err)
	if len(without.Disclosures) != 0 {
		t.Error("disclosures came along although they were not asked for")
	}
}

// checkLayers demands that all layers pass but witnesses, of which there are none, currency, which the evidence alone can't show, and outcome, where none was reported.
func checkLayers(t *testing.T, ev *verify.Evidence, trust verify.Trust) {
	t.Helper()
	want := map[string]verify.Status{verify.LayerWitnesses: verify.Skipped, verify.LayerCurrency: verify.Inconclusive, verify.LayerOutcome: verify.Skipped}
	verdicts := append(verify.Check(context.Background(), ev, trust, verify.Options{}), replay.Check(context.Background(), ev, replay.Options{})...)
	for _, v := range verdicts {
		status, ok := want[v.Layer]
		if !ok {
			status = verify.Pass
		}
		if v.Status != status && !(v.Layer == verify.LayerOutcome && v.Status == verify.Pass) {
			t.Errorf("%s: %s %s %s: want %s, got %s", v.Layer, v.Status, v.Pointer, v.Reason, v.Want, v.Got)
		}
	}
	if len(verdicts) != 9 {
		t.Errorf("%d layers", len(verdicts))
	}
}

// An outcome comes along once it is reported, with its receipt, and a person gets the file that is theirs, and nobody else's.
func TestEvidenceOfAnOutcomeAndForASubject(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	i.register(token, contract("eu", "eu", ""))
	a := i.decide(token, `{"intent": {"type": "embeddings", "text": "x"}, "data": {"labels": ["pii"], "subjects": ["ann", "bob"]}}`)
	if r := i.call("POST", "/v1/decisions/"+a.DecisionID+"/outcome", token, `{"status": "succeeded", "latency_ms": 5}`); r.status != 201 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	trust, err := i.server.Trust(context.Background(), "default")
	must(t, err)
	ev, err := verify.ReadEvidence(i.call("GET", a.Links.Evidence, token, "").body)
	must(t, err)
	passed := false
	for _, v := range verify.Check(context.Background(), ev, trust, verify.Options{}) {
		passed = passed || v.Layer == verify.LayerOutcome && v.Status == verify.Pass
	}
	if !passed {
		t.Error("the outcome does not hold")
	}
	if r := i.call("GET", a.Links.Evidence+"?for_subject=eve", token, ""); r.status != http.StatusNotFound || r.problem() != "not-concerned" {
		t.Errorf("for a stranger: %d", r.status)
	}
	theirs, err := verify.ReadEvidence(i.call("GET", a.Links.Evidence+"?for_subject=ann", token, "").body)
	must(t, err)
	if len(theirs.Disclosures) != 0 || len(theirs.Entries) != 0 {
		t.Errorf("ann gets what concerns bob: %+v", theirs.Disclosures)
	}
	long := strings.Repeat("a", 256)
	long = i.decide(token, `{"intent": {"type": "embeddings", "text": "x"}, "data": {"labels": ["pii"], "subjects": ["`+long+`"]}}`).Links.Evidence + "?for_subject=" + long
	if r := i.call("GET", long, token, ""); r.status != http.StatusOK {
		t.Errorf("of a name as long as may be: %d %s", r.status, r.body)
	}
	alone := i.decide(token, `{"intent": {"type": "embeddings", "text": "x"}, "data": {"labels": ["pii"], "subjects": ["ann"]}}`)
	theirs, err = verify.ReadEvidence(i.call("GET", alone.Links.Evidence+"?for_subject=ann", token, "").body)
	must(t, err)
	for _, d := range theirs.Disclosures {
		if d.Name == verify.NameSubject {
			t.Error("ann is told who asked")
		}
	}
	if len(theirs.Disclosures) == 0 {
		t.Error("ann gets nothing of what is hers")
	}
}

func TestSeed(t *testing.T) {
	i := start(t)
	body := `{"intent": {"type": "embeddings"}, "seed": 7}`
	if r := i.call("POST", "/v1/decisions", i.token("default", auth.App), body); r.status != 400 {
		t.Errorf("without the permission: %d %s", r.status, r.body)
	}
	may := i.tokenOf(contracts.Principal{Tenant: "default", Subject: "x", Roles: []string{"app"}, Permissions: []string{auth.PermissionSeed}})
	if r := i.call("POST", "/v1/decisions", may, body); r.status != 200 {
		t.Errorf("with it: %d %s", r.status, r.body)
	}
}

func TestExplain(t *testing.T) {
	i := start(t)
	all := i.token("default", auth.Operator)
	i.register(all, contract("eu", "eu", ""))
	i.register(all, contract("us", "us", ""))
	i.register(all, strings.Replace(contract("chat", "eu", ""), "type: embeddings", "type: chat", 1))
	r := i.call("POST", "/v1/decisions/explain", i.token("default", auth.Author), `{"intent": {"type": "embeddings", "text": "canary"}, "data": {"labels": ["pii"]}}`)
	var e server.Explanation
	r.into(t, &e)
	if r.status != 200 || e.Proof || e.Winner != "eu" || len(e.Services) != 3 || e.Note == "" {
		t.Fatalf("%d %s", r.status, r.body)
	}
	for n, stage := range []contracts.Stage{"match", "score", "policy"} {
		if e.Services[n].Stage != stage {
			t.Errorf("%s fell at %s, not at %s", e.Services[n].Service, e.Services[n].Stage, stage)
		}
	}
	if chat, us := e.Services[0].Violations, e.Services[2].Violations; len(chat) != 1 || chat[0].Reason != "does not offer what is asked for" || chat[0].False != `request.requirements.capabilities.only(["chat"])` || len(us) != 1 || us[0].False != "" {
		t.Errorf("%s", r.body)
	}
	entries, err := i.store.Entries(context.Background(), "default", e.Index, 1)
	must(t, err)
	if len(entries) != 1 || entries[0].Type != verify.TypExplanation {
		t.Errorf("the call is not in the log: %+v", entries)
	}
	var list server.DecisionList
	i.call("GET", "/v1/decisions", all, "").into(t, &list)
	if len(list.Decisions) != 0 {
		t.Error("an explanation is listed as a decision")
	}
}
