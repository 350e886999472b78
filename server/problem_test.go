package server_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/server/auth"
)

// wrong is a request that is refused, and the problem that it gets is in testdata/problems.golden.
type wrong struct {
	name, method, path, body, media string
}

func wrongs() []wrong {
	post := func(name, body string) wrong { return wrong{name, "POST", "/v1/decisions", body, "application/json"} }
	return []wrong{
		post("empty", " "),
		post("not JSON", "intent: embeddings"),
		post("ten faults at once", `{
  "intent": {"type": "Embeddings", "txt": "x"},
  "requirements": {"capabilities": "embeddings", "guarantees": {"latency": {"most": 3}}},
  "estimate": {"input_tokens": -1, "units": 1.5, "payload_bytes": 3},
  "limits": {"max_cost_usd": "0.1", "max_latency_ms": 0},
  "data": {"labels": ["pii", "unknown"]},
  "profile": "fast",
  "seed": 3,
  "purpose": null
}`),
		post("repeated key", `{"intent": {"type": "a"}, "intent": {"type": "b"}}`),
		post("NaN", `{"intent": {"type": "a"}, "limits": {"max_cost_usd": NaN}}`),
		post("not Unicode", "{\"intent\": {\"type\": \"a\", \"text\": \"\xff\"}}"),
		post("half a surrogate", `{"intent": {"type": "a", "text": "\ud800"}}`),
		post("10,000 levels", `{"payload": `+strings.Repeat("[", 10000)+strings.Repeat("]", 10000)+`, "intent": {"type": "a"}}`),
		post("text after the end", embed+embed),
		{"wrong media type", "POST", "/v1/decisions", embed, "text/plain"},
		{"wrong charset", "POST", "/v1/decisions", embed, "application/json; charset=latin1"},
		{"wrong method", "PUT", "/v1/decisions", embed, "application/json"},
		{"wrong address", "GET", "/v2/decisions", "", ""},
		{"unknown parameter", "GET", "/v1/services?sort=name&limit=0", "", ""},
		{"wrong times", "GET", "/v1/decisions?from=yesterday&outcome=maybe", "", ""},
		{"wrong cursor", "GET", "/v1/decisions?cursor=xyz", "", ""},
		{"no id", "GET", "/v1/decisions/latest", "", ""},
		{"absent decision", "GET", "/v1/decisions/01a20368-453e-7f21-aad0-9018e60ae18f", "", ""},
		{"absent service", "GET", "/v1/services/nothing", "", ""},
		{"contract with faults", "PUT", "/v1/services/a", `schema: caio.contract/v1
id: A
name: ""
version: one
placement: external
capabilities:
  - type: x
  - type: x
cost: {per_call: -1}
privacy: {locality: local, region: [eu]}
`, "application/yaml"},
		{"misspelt predicate", "PUT", "/v1/services/a", contract("a", "eu", "predicates:\n  - id: p\n    expr: request.estimat.units < 3\n"), "application/yaml"},
		{"YAML alias", "PUT", "/v1/services/a", "a: &x 1\nb: *x\n", "application/yaml"},
		{"empty batch", "POST", "/v1/decisions/batch", `{"requests": [], "mode": "fast"}`, "application/json"},
		{"batch with faults", "POST", "/v1/decisions/batch", `{"requests": [{"intent": {"type": 7}}, {"intent": {"type": "A"}, "data": {"labels": ["none", "x"]}, "seed": 1}]}`, "application/json"},
		{"empty outcome", "POST", "/v1/decisions/{decision}/outcome", `{}`, "application/json"},
		{"empty grants", "PUT", "/v1/services/a/grants", `{}`, "application/json"},
		{"outcome with faults", "POST", "/v1/decisions/{decision}/outcome", `{"status": "fine", "latency_ms": -1, "unmet": ["latency"], "cost_usd": -1, "x": 1}`, "application/json"},
		{"attestation with faults", "PUT", "/v1/services/a/attestation", `{"level": "best", "contract": "abc"}`, "application/json"},
		{"API key with faults", "POST", "/v1/api-keys", `{"subject": "", "roles": ["operater"], "permissions": [""], "trust": 11, "expires": "tomorrow", "key": "x"}`, "application/json"},
		{"API key that is past", "POST", "/v1/api-keys", `{"subject": "ci", "roles": ["app"], "expires": "2020-01-01T00:00:00Z"}`, "application/json"},
		{"grants with faults", "PUT", "/v1/services/a/grants", `{"tenants": ["Beta", "default"], "reason": "x"}`, "application/json"},
	}
}

var update = flag.Lookup("update")

// The problems of wrong input, each as it was sent, so that a change of what callers are told is seen.
func TestProblems(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	i.register(token, contract("eu", "eu", ""))
	decision := i.decide(token, embed).DecisionID
	var golden bytes.Buffer
	for _, w := range wrongs() {
		before := i.everything("default")
		begun := time.Now()
		r := i.call(w.method, strings.ReplaceAll(w.path, "{decision}", decision), token, w.body, "Content-Type", w.media)
		if took := time.Since(begun); took > time.Second {
			t.Errorf("%s: refused only after %v", w.name, took)
		}
		if refused := r.status >= 400 && r.status < 500 && r.problem() != ""; !refused && w.name != "batch with faults" {
			t.Errorf("%s: %d %s", w.name, r.status, r.body)
		}
		onceEach(t, w.name, r.body)
		if i.everything("default") != before {
			t.Errorf("%s: it was refused and left a trace", w.name)
		}
		var indented bytes.Buffer
		must(t, json.Indent(&indented, r.body, "", "  "))
		fmt.Fprintf(&golden, "-- %s --\n%s\n", w.name, indented.Bytes())
	}
	path := filepath.Join("testdata", "problems.golden")
	if update.Value.String() == "true" {
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(path, golden.Bytes(), 0o644))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Equal(golden.Bytes(), want) {
		t.Errorf("the problems are not those of %s: look at them, and run with -update\n%s", path, golden.Bytes())
	}
}

// onceEach demands that a problem, or each one of a batch, has no two faults of one value, repeats no name of a field, and prints no list of Go's.
func onceEach(t *testing.T, name string, body []byte) {
	t.Helper()
	var answer struct {
		server.Problem
		Results []struct{ Problem server.Problem }
	}
	must(t, json.Unmarshal(body, &answer))
	problems := []server.Problem{answer.Problem}
	for n, r := range answer.Results {
		problems = append(problems, r.Problem)
		for _, e := range r.Problem.Errors {
			if !strings.HasPrefix(e.Pointer, fmt.Sprintf("/requests/%d/", n)) {
				t.Errorf("%s: %q leads elsewhere", name, e.Pointer)
			}
		}
	}
	for _, p := range problems {
		seen := map[string]bool{}
		for _, e := range p.Errors {
			field := e.Pointer[strings.LastIndexByte(e.Pointer, '/')+1:]
			if e.Pointer != "" && seen[e.Pointer] || strings.HasPrefix(e.Detail, field+" ") && field != "" || strings.Contains(e.Detail, `" "`) {
				t.Errorf("%s: %+v", name, e)
			}
			seen[e.Pointer] = true
		}
	}
}

func TestLimits(t *testing.T) {
	i := start(t, func(i *installation) { i.config.Limits.BatchBytes = 2 << 20 })
	token := i.token("default", auth.Operator)
	huge := strings.Repeat("x", 10<<20)
	for _, c := range []struct{ method, path, body, media string }{
		{"POST", "/v1/decisions", `{"intent": {"type": "a", "text": "` + huge + `"}}`, "application/json"},
		{"POST", "/v1/decisions/batch", huge, "application/json"},
		{"POST", "/v1/decisions/explain", huge, "application/json"},
		{"PUT", "/v1/services/a", contract("a", "eu", "description: "+strings.Repeat("x", contracts.MaxContractBytes)+"\n"), "application/yaml"},
		{"POST", "/v1/contracts/validate", huge, "application/yaml"},
		{"PUT", "/v1/services/a/grants", huge, "application/json"},
	} {
		begun := time.Now()
		r := i.call(c.method, c.path, token, c.body, "Content-Type", c.media)
		if r.status != 413 || r.problem() != "body-too-large" || time.Since(begun) > time.Second {
			t.Errorf("%s %s: %d %.200s after %v", c.method, c.path, r.status, r.body, time.Since(begun))
		}
	}
	if r := i.call("GET", "/livez?"+strings.Repeat("a", 2000)+"=1", "", ""); r.status != 400 || len(r.body) > 1000 {
		t.Errorf("a long parameter: %d, %d bytes", r.status, len(r.body))
	}
}
