package server_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/server/auth"
)

func (i *installation) decisions(token string) int {
	i.t.Helper()
	var list server.DecisionList
	i.call("GET", "/v1/decisions?limit=1000", token, "").into(i.t, &list)
	return len(list.Decisions)
}

func TestIdempotency(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	i.register(token, contract("eu", "eu", ""))
	post := func(path, body, key string) reply {
		return i.call("POST", path, token, body, "Idempotency-Key", key)
	}
	first := post("/v1/decisions", embed, "k1")
	again := post("/v1/decisions", embed, "k1")
	if first.status != 200 || string(first.body) != string(again.body) {
		t.Errorf("first %s\nagain %s", first.body, again.body)
	}
	for name, r := range map[string]reply{
		"another body":   post("/v1/decisions", `{"intent": {"type": "chat"}}`, "k1"),
		"another detail": post("/v1/decisions?detail=full", embed, "k1"),
	} {
		if r.status != 422 || r.problem() != "idempotency-key-reused" {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	// A key is its caller's own: another one's is not known to be in use.
	other := i.tokenOf(contracts.Principal{Tenant: "default", Subject: "else", Roles: []string{"app"}})
	for _, body := range []string{embed, `{"intent": {"type": "chat"}}`} {
		if r := i.call("POST", "/v1/decisions", other, body, "Idempotency-Key", "k1"); body == embed && (r.status != 200 || string(r.body) == string(first.body)) || body != embed && r.problem() != "idempotency-key-reused" {
			t.Errorf("another caller: %d %s", r.status, r.body)
		}
	}
	if r := post("/v1/decisions", embed, "k1"); string(r.body) != string(first.body) {
		t.Errorf("after another caller: %s", r.body)
	}
	if r := post("/orchestrate", embed, "k1"); r.status != 200 || string(r.body) == string(first.body) {
		t.Errorf("another call: %d %s", r.status, r.body)
	}
	if r := i.call("POST", "/v1/decisions", i.token("beta", auth.App), embed, "Idempotency-Key", "k1"); r.status != 200 || string(r.body) == string(first.body) {
		t.Errorf("another tenant: %d %s", r.status, r.body)
	}
	for _, key := range []string{"", "a b", strings.Repeat("k", 129), "kéy"} {
		if r := post("/v1/decisions", embed, key); r.status != 400 || r.problem() != "idempotency-key-invalid" {
			t.Errorf("%q: %d %s", key, r.status, r.body)
		}
	}
	batch := `{"requests": [` + embed + `, {"intent": {"type": "chat"}}]}`
	before := i.decisions(token)
	one, two := post("/v1/decisions/batch", batch, "b"), post("/v1/decisions/batch", batch, "b")
	if string(one.body) != string(two.body) || i.decisions(token) != before+2 {
		t.Errorf("batch: %s\n%s", one.body, two.body)
	}
	if r := i.call("POST", "/register-service", token, contract("new", "eu", ""), "Content-Type", "application/yaml", "Idempotency-Key", "r"); r.status != 201 {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := i.call("POST", "/register-service", token, contract("new", "eu", ""), "Content-Type", "application/yaml", "Idempotency-Key", "r"); r.status != 201 || !strings.Contains(string(r.body), `"unchanged":false`) {
		t.Errorf("again: %d %s", r.status, r.body)
	}
	// A request that was refused may be corrected under the same key.
	if r := post("/v1/decisions", `{}`, "k2"); r.status != 400 {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := post("/v1/decisions", embed, "k2"); r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
	// The answer outlives a restart.
	i.stop()
	i = startAt(t, i.path, i)
	if r := i.call("POST", "/v1/decisions", token, embed, "Idempotency-Key", "k1"); string(r.body) != string(first.body) {
		t.Errorf("after a restart: %s", r.body)
	}
}

func TestConcurrentDuplicates(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	i.register(token, contract("eu", "eu", ""))
	for round := range 5 {
		var bodies sync.Map
		var callers sync.WaitGroup
		for range 16 {
			callers.Go(func() {
				r, err := i.try("POST", "/v1/decisions", token, embed, "Idempotency-Key", "same-"+string(rune('a'+round)))
				if err != nil || r.status != http.StatusOK {
					t.Errorf("%v %d %s", err, r.status, r.body)
				}
				bodies.Store(string(r.body), true)
			})
		}
		callers.Wait()
		different := 0
		bodies.Range(func(any, any) bool { different++; return true })
		if different != 1 {
			t.Errorf("one key had %d answers", different)
		}
	}
	if n := i.decisions(token); n != 5 {
		t.Errorf("5 keys made %d decisions", n)
	}
}

func TestOutcomes(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	i.register(token, contract("eu", "eu", "guarantees:\n  latency: {max: 40}\n"))
	report := func(id, body string, header ...string) reply {
		return i.call("POST", "/v1/decisions/"+id+"/outcome", token, body, header...)
	}
	a := i.decide(token, `{"intent": {"type": "embeddings"}, "requirements": {"guarantees": {"latency": {"max": 100}}}}`)
	first := report(a.DecisionID, `{"status": "succeeded", "latency_ms": 101, "cost_usd": 0.002}`, "Idempotency-Key", "o")
	var o server.OutcomeAnswer
	first.into(t, &o)
	if first.status != 201 || o.Counted || len(o.Unmet) != 1 || o.Unmet[0] != "latency" || o.Index == nil || o.Service != "eu" {
		t.Errorf("%d %s", first.status, first.body)
	}
	if again := report(a.DecisionID, `{"status": "succeeded", "latency_ms": 101, "cost_usd": 0.002}`, "Idempotency-Key", "o"); string(again.body) != string(first.body) {
		t.Errorf("%d %s", again.status, again.body)
	}
	if second := report(a.DecisionID, `{"status": "succeeded", "latency_ms": 1}`); second.status != 409 || second.problem() != "already-reported" {
		t.Errorf("%d %s", second.status, second.body)
	}
	denied := i.decide(token, `{"intent": {"type": "chat"}}`)
	if r := report(denied.DecisionID, `{"status": "failed", "latency_ms": 1}`); r.status != 409 || r.problem() != "decision-denied" {
		t.Errorf("%d %s", r.status, r.body)
	}
	report(i.decide(token, embed).DecisionID, `{"status": "succeeded", "latency_ms": 7}`)
	var full struct {
		Document struct {
			Candidates []struct{ History *contracts.History }
		}
	}
	i.call("POST", "/v1/decisions?detail=full", token, embed).into(t, &full)
	if h := full.Document.Candidates[0].History; h == nil || *h != (contracts.History{N: 2, OK: 1, P95: 7}) {
		t.Errorf("history: %+v", h)
	}
}

// Many callers report the same outcome at once: it counts once.
func TestConcurrentOutcomes(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	i.register(token, contract("eu", "eu", ""))
	id := i.decide(token, embed).DecisionID
	var callers sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for range 16 {
		callers.Go(func() {
			r, err := i.try("POST", "/v1/decisions/"+id+"/outcome", token, `{"status": "succeeded", "latency_ms": 7}`)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			statuses[r.status]++
			mu.Unlock()
		})
	}
	callers.Wait()
	if statuses[201] != 1 || statuses[409] != 15 {
		t.Errorf("%v", statuses)
	}
}
