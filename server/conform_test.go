package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/smarthausgroup/caio/contracts/catalog"
	"github.com/smarthausgroup/caio/policies"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/server/auth"
)

// Real answers are those that /openapi.json describes, for every endpoint and for problems.
func TestAnswersAreAsDescribed(t *testing.T) {
	i := start(t)
	i.register(i.token("default", auth.Operator), contract("eu", "eu", "guarantees:\n  accuracy: {min: 0.95}\nattributes: {gpu: true, size: 1.5}\n"))
	text := i.call("GET", "/openapi.json", "", "").body
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	must(t, err)
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	must(t, compiler.AddResource("https://caio.example/openapi.json", document))
	schema := func(pointer string) *jsonschema.Schema {
		t.Helper()
		compiled, err := compiler.Compile("https://caio.example/openapi.json#" + pointer)
		must(t, err)
		return compiled
	}
	conforms := func(name string, s *jsonschema.Schema, body []byte) {
		t.Helper()
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
		must(t, err)
		if err := s.Validate(value); err != nil {
			t.Errorf("%s: %v\n%s", name, err, body)
		}
	}
	problem := schema("/components/schemas/Problem")
	checked := 0
	for _, e := range endpoints() {
		x := i.prepare("default", "own")
		token := i.token("default", auth.Operator)
		path := e.described()
		for _, query := range []string{"", "?detail=full", "?detail=none"} {
			call := e.at(x)
			if strings.Contains(call.path, "?") {
				query = strings.Replace(query, "?", "&", 1)
			}
			call.path += query
			r := i.send(call, token)
			if query != "" && r.status == 400 {
				continue // it has no such parameter
			}
			media, _, _ := strings.Cut(r.header.Get("Content-Type"), ";")
			if r.status == 204 {
				continue
			}
			if r.status == e.status && r.status >= 400 {
				conforms(e.method+" "+call.path, problem, r.body)
				continue
			}
			at := fmt.Sprintf("/paths/%s/%s/responses/%d/content/%s/schema", strings.ReplaceAll(path, "/", "~1"), strings.ToLower(e.method), r.status, strings.ReplaceAll(media, "/", "~1"))
			s := schema(at)
			if strings.HasSuffix(media, "json") {
				conforms(e.method+" "+call.path, s, r.body)
				checked++
			}
		}
		if e.roles != anyone {
			conforms(e.path+" without a token", problem, i.send(e.at(x), "").body)
		}
	}
	for _, w := range wrongs() {
		if r := i.call(w.method, w.path, i.token("default", auth.Operator), w.body, "Content-Type", w.media); r.status != 200 { // the problems of a batch stand inside its answer
			conforms(w.name, problem, r.body)
		}
	}
	if checked < 40 {
		t.Fatalf("only %d answers were checked", checked)
	}
	// And the schema is not satisfied by anything at all.
	if err := schema("/components/schemas/Answer").Validate(map[string]any{"decision_id": "x"}); err == nil {
		t.Error("the schema of an answer takes what is none")
	}
}

func TestDocs(t *testing.T) {
	i := start(t)
	r := i.call("GET", "/docs", "", "")
	page := string(r.body)
	for _, e := range endpoints() {
		path := e.described()
		if !strings.Contains(page, `<span class="method `+e.method+`">`+e.method+`</span> <code>`+path+`</code>`) {
			t.Errorf("%s %s is not on the page", e.method, path)
		}
	}
	for _, foreign := range []string{"<script", "src=", "https://", "@import"} {
		if at := strings.Index(strings.ReplaceAll(page, "https://json-schema.org", ""), foreign); at >= 0 && !strings.Contains(page[at:at+200], "github.com/smarthausgroup") {
			t.Errorf("the page reaches out: %s", page[at:at+100])
		}
	}
	if !strings.Contains(r.header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Error("the page has no content security policy")
	}
}

// The page begins with what most callers want, says which calls are the same, and shows no mark-up of comments.
func TestDocsAreReadable(t *testing.T) {
	i := start(t)
	page := string(i.call("GET", "/docs", "", "").body)
	calls, rest, _ := strings.Cut(page, "<h2>Schemas</h2>")
	if strings.Contains(calls, "`") || strings.Contains(page, "one of the roles operator") {
		t.Error("backticks, or one of one")
	}
	last := -1
	for _, call := range []string{"<code>/v1/decisions</code>", "<code>/orchestrate</code><br><span class=\"quiet\">The same as <code>/v1/orchestrate</code>. Decide. Execution", "<code>/v1/services/{id}</code>", "<code>/livez</code>"} {
		at := strings.Index(calls, call)
		if at <= last {
			t.Errorf("%s stands at %d, after %d", call, at, last)
		}
		last = at
	}
	if !strings.Contains(calls, "<td>the role operator</td>") || !strings.Contains(calls, "&#34;base_url&#34;: &#34;http://127.0.0.1:8081&#34;") || rest == "" {
		t.Error("roles or the example are not as expected")
	}
}

// The example of the description is a real answer to its request, but for what is drawn.
func TestTheExampleIsReal(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	i.register(token, contract("us", "us", ""))
	i.register(token, `schema: caio.contract/v1
id: bge-local
name: BGE-M3 on our own machines
version: 1.2.0
owner: ml-platform@example.com
placement: internal
capabilities: [{type: embeddings}]
guarantees: {latency: {max: 40}}
cost: {}
privacy: {locality: local, regions: [eu]}
api: {protocol: http, base_url: "http://127.0.0.1:8081", model: bge-m3}
`)
	var described struct {
		Paths map[string]struct {
			Post struct {
				RequestBody struct {
					Content map[string]struct{ Example json.RawMessage }
				}
				Responses map[string]struct {
					Content map[string]struct{ Example server.Answer }
				}
			}
		}
	}
	i.call("GET", "/openapi.json", "", "").into(t, &described)
	post := described.Paths["/v1/decisions"].Post
	want := post.Responses["200"].Content["application/json"].Example
	got := i.decide(token, string(post.RequestBody.Content["application/json"].Example))
	if !strings.HasPrefix(got.Statement, "eyJ") || got.Index == nil {
		t.Errorf("%+v", got)
	}
	got.Statement, got.Index = want.Statement, want.Index
	text, err := json.Marshal(got)
	must(t, err)
	example, err := json.Marshal(want)
	must(t, err)
	if text := strings.ReplaceAll(string(text), got.DecisionID, want.DecisionID); text != string(example) {
		t.Errorf("the answer is\n%s\nthe example\n%s", text, example)
	}
}

// The catalogue, under the policies that come with CAIO.
func TestCatalogueAndBaseline(t *testing.T) {
	baseline, diagnostics := rego.ReadFS("baseline", policies.FS)
	must(t, diagnostics.Err())
	i := start(t, func(i *installation) { i.config.Bundles = []*rego.Bundle{baseline} })
	token := i.token("default", auth.Operator)
	files, err := fs.Glob(catalog.FS, "*.yaml")
	must(t, err)
	if len(files) < 24 {
		t.Fatalf("%d contracts", len(files))
	}
	for _, file := range files {
		text, err := fs.ReadFile(catalog.FS, file)
		must(t, err)
		i.register(token, string(text))
	}
	a := i.decide(token, `{"intent": {"type": "embeddings"}, "data": {"labels": ["pii"]}, "purpose": "support"}`)
	trust, err := i.server.Trust(context.Background(), "default")
	must(t, err)
	checkEvidence(t, i, token, a, trust)
	var bundles server.BundleList
	i.call("GET", "/v1/bundles", token, "").into(t, &bundles)
	if len(bundles.Constraints) < 10 || bundles.Constraints[0].Remedy == "" {
		t.Errorf("%+v", bundles)
	}
}
