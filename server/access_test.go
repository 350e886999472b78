package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/smarthausgroup/caio/verify"
)

// endpoint is a call of the API with an address and a body that make it succeed for whom it is open to.
type endpoint struct {
	method, path string
	body         string
	media        string
	status       int // of success
	roles        string
}

const (
	anyone = ""
	known  = "app author auditor approver operator"
)

// endpoints are all there are, written down a second time: what a role may do is a promise, not an accident of the routes.
// {service}, {digest} and {decision} stand for ids of the tenant that is asked about.
func endpoints() []endpoint {
	return []endpoint{
		{"POST", "/v1/decisions", embed, "", 200, "app operator"},
		{"POST", "/v1/orchestrate", embed, "", 200, "app operator"},
		{"POST", "/orchestrate", embed, "", 200, "app operator"},
		{"POST", "/v1/decisions/batch", `{"requests": [` + embed + `]}`, "", 200, "app operator"},
		{"POST", "/v1/decisions/explain", embed, "", 200, "author auditor operator"},
		{"GET", "/v1/decisions", "", "", 200, "app auditor operator"},
		{"GET", "/v1/decisions/export", "", "", 200, "auditor operator"},
		{"GET", "/v1/decisions/{decision}", "", "", 200, "app auditor operator"},
		{"GET", "/trace/{decision}", "", "", 200, "app auditor operator"},
		{"GET", "/v1/decisions/{decision}/document", "", "", 200, "auditor operator"},
		{"GET", "/v1/decisions/{decision}/statement", "", "", 200, "app auditor operator"},
		{"GET", "/v1/decisions/{decision}/evidence", "", "", 200, "auditor operator"},
		{"POST", "/v1/decisions/{decision}/outcome", `{"status": "succeeded", "latency_ms": 5}`, "", 201, "app operator"},
		{"POST", "/v1/erasures", `{"subject": "of {service}", "reason": "x"}`, "", 201, "approver operator"},
		{"GET", "/v1/erasures", "", "", 200, "auditor approver operator"},
		{"PUT", "/v1/holds/{decision}", `{"decision": "{decision}", "ground": "x", "reason": "x"}`, "", 200, "approver operator"},
		{"GET", "/v1/holds", "", "", 200, "auditor approver operator"},
		{"DELETE", "/v1/holds/{hold}?reason=x", "", "", 200, "approver operator"},
		{"PUT", "/v1/services/{service}", contract("{service}", "eu", ""), "application/yaml", 200, "author operator"},
		{"POST", "/register-service", contract("{service}", "eu", ""), "application/yaml", 200, "author operator"},
		{"GET", "/v1/services", "", "", 200, "author auditor approver operator"},
		{"GET", "/services", "", "", 200, "author auditor approver operator"},
		{"GET", "/v1/services/{service}", "", "", 200, "author auditor approver operator"},
		{"DELETE", "/v1/services/{service}", "", "", 204, "author operator"},
		{"GET", "/v1/services/{service}/versions", "", "", 200, "author auditor approver operator"},
		{"PUT", "/v1/services/{service}/attestation", `{"contract": "{digest}", "level": "audited", "reason": "looked"}`, "", 200, "approver operator"},
		{"PUT", "/v1/services/{service}/grants", `{"tenants": ["beta"], "reason": "shared"}`, "", 200, "approver operator"},
		{"POST", "/v1/contracts/validate", contract("x", "eu", ""), "application/yaml", 200, "author operator"},
		{"GET", "/v1/contracts/schema", "", "", 200, known},
		{"GET", "/v1/bundles", "", "", 200, "author auditor approver operator"},
		{"GET", "/v1/bundles/versions", "", "", 200, "author auditor approver operator"},
		{"GET", "/v1/bundles/{bundle}", "", "", 200, "author auditor approver operator"},
		{"POST", "/v1/bundles?name=regional", "{tarball}", "application/gzip", 200, "author operator"},
		{"POST", "/v1/bundles/{bundle}/activate", `{"reason": "x"}`, "", 200, "approver operator"},
		{"POST", "/v1/bundles/{shadow}/shadow", `{"reason": "x"}`, "", 200, "approver operator"},
		{"GET", "/v1/bundles/{shadow}/shadow", "", "", 200, "author auditor approver operator"},
		{"DELETE", "/v1/bundles/{shadow}/shadow?reason=x", "", "", 200, "approver operator"},
		{"POST", "/v1/bundles/{bundle}/deactivate", `{"reason": "x"}`, "", 200, "approver operator"},
		{"POST", "/v1/bundles/{bundle}/impact", `{"since": "1h"}`, "", 200, "author auditor approver operator"},
		{"POST", "/v1/bundles/rollback", `{"name": "regional", "reason": "x"}`, "", 200, "approver operator"},
		{"GET", "/v1/settings", "", "", 200, "author auditor approver operator"},
		{"PUT", "/v1/settings", `{"settings": {"core": {"labels": ["telemetry"]}}, "reason": "x"}`, "", 200, "approver operator"},
		{"GET", "/v1/settings/versions", "", "", 200, "author auditor approver operator"},
		{"GET", "/v1/settings/versions/{revision}", "", "", 200, "author auditor approver operator"},
		{"POST", "/v1/settings/rollback", `{"revision": 1, "reason": "x"}`, "", 200, "approver operator"},
		{"POST", "/v1/settings/impact", `{"settings": {}}`, "", 200, "author auditor approver operator"},
		{"POST", "/v1/settings/reset", `{"reason": "x"}`, "", 200, "approver operator"},
		{"POST", "/v1/api-keys", `{"subject": "ci", "roles": ["app"]}`, "", 201, "operator"},
		{"GET", "/v1/api-keys", "", "", 200, "operator"},
		{"DELETE", "/v1/api-keys/{key}", "", "", 204, "operator"},
		{"POST", "/v1/keys/revocations", `{"revocation": "{revocation}"}`, "", 201, "operator"},
		{"GET", "/v1/trust", "", "", 200, "auditor operator"},
		{"GET", "/v1/decisions/{decision}/receipt", "", "", 200, "app auditor operator"},
		{"GET", "/log/{origin}/checkpoint", "", "", 200, "auditor operator"},
		{"GET", "/log/{origin}/cosigned", "", "", 404, "auditor operator"},
		{"GET", "/log/{origin}/tile/entries/000.p/1", "", "", 200, "auditor operator"},
		{"GET", "/metrics", "", "", 200, "operator"},
		{"GET", "/.well-known/jwks.json", "", "", 200, anyone},
		{"GET", "/livez", "", "", 200, anyone},
		{"GET", "/readyz", "", "", 200, anyone},
		{"GET", "/health", "", "", 200, anyone},
		{"GET", "/openapi.json", "", "", 200, anyone},
		{"GET", "/docs", "", "", 200, anyone},
	}
}

// ids of something that a tenant has.
type ids struct{ service, digest, decision, key, bundle, tarball, shadow, origin string }

// described is the endpoint's path as /openapi.json has it.
func (e endpoint) described() string {
	path, _, _ := strings.Cut(e.path, "?")
	return strings.NewReplacer("{service}", "{id}", "{decision}", "{id}", "{key}", "{id}", "{revision}", "{id}", "{hold}", "{id}", "{bundle}", "{digest}", "{shadow}", "{digest}", "tile/entries/000.p/1", "tile/{path}").Replace(path)
}

func (e endpoint) at(x ids) endpoint {
	r := strings.NewReplacer("{service}", x.service, "{digest}", x.digest, "{decision}", x.decision, "{key}", x.key, "{bundle}", x.bundle, "{tarball}", x.tarball, "{shadow}", x.shadow, "{origin}", x.origin, "{revision}", "1", "{hold}", "of-"+x.decision, "{revocation}", revocationIn(x.origin))
	e.path, e.body = r.Replace(e.path), r.Replace(e.body)
	return e
}

// revocationIn is the root's word on a key that never was in a log.
func revocationIn(log string) string {
	root, err := verify.NewSigner(rootKey)
	if err != nil {
		panic(err)
	}
	word, err := root.Sign(verify.TypRevocation, verify.RevocationRecord{V: 1, Log: log, KID: "nobody", Reason: "x"})
	if err != nil {
		panic(err)
	}
	return string(word)
}

func (i *installation) send(e endpoint, token string) reply {
	media := e.media
	if media == "" {
		media = "application/json"
	}
	return i.call(e.method, e.path, token, e.body, "Content-Type", media)
}

// prepare gives a tenant a service of its own and a decision for it.
func (i *installation) prepare(tenant, service string) ids {
	token := i.token(tenant, auth.Operator)
	r := i.register(token, contract(service, "eu", ""))
	a := i.decide(token, embed)
	i.decide(token, about("a text", "of "+service))
	if r := i.call("PUT", "/v1/holds/of-"+a.DecisionID, token, fmt.Sprintf(`{"decision": %q, "ground": "x", "reason": "x"}`, a.DecisionID)); r.status != http.StatusOK {
		i.t.Fatalf("%d %s", r.status, r.body)
	}
	var issued server.APIKeyIssued
	i.call("POST", "/v1/api-keys", token, `{"subject": "ci", "roles": ["app"]}`).into(i.t, &issued)
	text, _ := tarball(i.t, refusing("mars of "+tenant))
	return ids{service, r.Contract, a.DecisionID, issued.ID, i.activeBundle(tenant), text, i.shadowedBundle(tenant), i.origin(tenant)}
}

// origin is that of a tenant's log.
func (i *installation) origin(tenant string) string {
	i.t.Helper()
	trust, err := i.server.Trust(context.Background(), tenant)
	must(i.t, err)
	return trust.Logs[0].Origin
}

func TestEveryRouteIsInTheTable(t *testing.T) {
	i := start(t)
	var document struct {
		Paths map[string]map[string]struct {
			Roles []string `json:"x-caio-roles"`
		}
	}
	i.call("GET", "/openapi.json", "", "").into(t, &document)
	described := map[string][]string{}
	for path, methods := range document.Paths {
		for method, o := range methods {
			described[strings.ToUpper(method)+" "+path] = o.Roles
		}
	}
	for _, e := range endpoints() {
		name := e.method + " " + e.described()
		roles, ok := described[name]
		if !ok {
			t.Errorf("%s is not described", name)
		}
		want := strings.Fields(e.roles)
		slices.Sort(want)
		slices.Sort(roles)
		if !slices.Equal(roles, want) {
			t.Errorf("%s: described for %v, expected for %v", name, roles, want)
		}
		delete(described, name)
	}
	for name := range described {
		t.Errorf("%s is in no test", name)
	}
}

// INV-CAIO-SEC-0002: all roles by all endpoints.
func TestRoles(t *testing.T) {
	i := start(t)
	i.register(i.token("default", auth.Operator), contract("eu", "eu", ""))
	tried := 0
	for _, e := range endpoints() {
		for _, role := range auth.Roles() {
			x := i.prepare("default", "s-"+string(role)) // anew, since calls change things
			e := e.at(x)
			r := i.send(e, i.token("default", role))
			allowed := e.roles == anyone || slices.Contains(strings.Fields(e.roles), string(role))
			switch {
			case allowed && r.status != e.status:
				t.Errorf("%s %s as %s: %d %s", e.method, e.path, role, r.status, r.body)
			case !allowed && (r.status != http.StatusForbidden || r.problem() != "forbidden"):
				t.Errorf("%s %s as %s: %d, must be forbidden", e.method, e.path, role, r.status)
			}
			tried++
		}
		if e.roles == anyone {
			continue
		}
		e := e.at(ids{"s-app", strings.Repeat("0", 64), "01a20368-453e-7f21-aad0-9018e60ae18f", "none", strings.Repeat("0", 64), "none", strings.Repeat("0", 64), "none"})
		if r := i.send(e, ""); r.status != http.StatusUnauthorized || r.header.Get("WWW-Authenticate") == "" || r.problem() != "unauthenticated" {
			t.Errorf("%s %s without a token: %d %s", e.method, e.path, r.status, r.body)
		}
		for _, roles := range [][]auth.Role{nil, {"stranger"}, {"Operator"}} {
			if r := i.send(e, i.token("default", roles...)); r.status != http.StatusForbidden {
				t.Errorf("%s %s as %v: %d", e.method, e.path, roles, r.status)
			}
		}
	}
	if tried < 150 {
		t.Fatalf("only %d combinations were tried", tried)
	}
}

func TestFullDetailOfAPastDecisionIsForAuditors(t *testing.T) {
	i := start(t)
	x := i.prepare("default", "eu")
	for role, status := range map[auth.Role]int{auth.App: 403, auth.Auditor: 200} {
		if r := i.call("GET", "/v1/decisions/"+x.decision+"?detail=full", i.token("default", role), ""); r.status != status {
			t.Errorf("%s: %d %s", role, r.status, r.body)
		}
	}
}

// INV-CAIO-SEC-0004: every endpoint, every id of another tenant. What is another's is answered exactly like what is not there.
func TestTenants(t *testing.T) {
	i := start(t)
	mine, absent := i.prepare("acme", "ours"), ids{"nothing", strings.Repeat("0", 64), "01a20368-453e-7f21-aad0-9018e60ae18f", "none", strings.Repeat("0", 64), "none", strings.Repeat("0", 64), "none"}
	i.prepare("beta", "theirs")
	before := i.everything("acme")
	beta := i.token("beta", auth.Roles()...)
	tried := 0
	for _, e := range endpoints() {
		if !strings.Contains(e.path, "{") {
			continue
		}
		if e.method == "PUT" && e.media != "" || strings.Contains(e.path, "{revision}") {
			continue // an id of one's own choice, or a number of one's own
		}
		other, none := i.send(e.at(mine), beta), i.send(e.at(absent), beta)
		want := http.StatusNotFound
		if strings.HasSuffix(e.path, "/attestation") || strings.HasSuffix(e.path, "/grants") {
			want = http.StatusForbidden // beta's people are not the installation's
		}
		if other.status != want || none.status != want || string(other.body) != string(none.body) {
			t.Errorf("%s %s: another's %d %s, absent %d %s", e.method, e.path, other.status, other.body, none.status, none.body)
		}
		tried++
	}
	if tried < 10 {
		t.Fatalf("only %d endpoints were tried", tried)
	}
	for _, path := range []string{"/v1/services", "/services", "/v1/decisions", "/v1/decisions?service=ours", "/v1/bundles", "/v1/settings", "/v1/api-keys"} {
		if r := i.call("GET", path, beta, ""); r.status != 200 || strings.Contains(string(r.body), "ours") || strings.Contains(string(r.body), mine.decision) || strings.Contains(string(r.body), mine.key) || strings.Contains(string(r.body), "acme") {
			t.Errorf("%s shows another tenant's: %s", path, r.body)
		}
	}
	var a server.Answer
	i.call("POST", "/v1/decisions?detail=full", beta, embed).into(t, &a)
	if a.Service == nil || a.Service.ID != "theirs" || strings.Contains(string(a.Document), "ours") || strings.Contains(string(a.Document), "acme") {
		t.Errorf("another's service takes part: %s", a.Document)
	}
	// The same id in both tenants is two services.
	i.register(beta, contract("ours", "us", "tags: [beta]\n"))
	if after := i.everything("acme"); after != before {
		t.Errorf("another tenant changed something:\nbefore %s\nafter  %s", before, after)
	}
}

// everything that the store holds of a tenant, in short.
func (i *installation) everything(tenant string) string {
	ctx := context.Background()
	entries, err := i.store.Entries(ctx, tenant, 0, 1000)
	must(i.t, err)
	events, err := i.store.Events(ctx, tenant, 0, 1<<40)
	must(i.t, err)
	page, err := i.store.Search(ctx, tenant, store.Query{Limit: 100})
	must(i.t, err)
	keys, err := i.store.APIKeys(ctx, tenant)
	must(i.t, err)
	text, err := json.Marshal([]any{entries, events, page, keys})
	must(i.t, err)
	return string(text)
}

// INV-CAIO-SEC-0001: no decision without a valid token or key. The forgeries themselves are package auth's to test.
func TestTokensOverHTTP(t *testing.T) {
	i := start(t)
	good := i.token("default", auth.Operator)
	stranger := start(t).token("default", auth.Operator) // signed by another installation, under the same issuer's name
	expired, err := i.issuer.Token(contracts.Principal{Tenant: "default", Subject: "x", Roles: []string{"operator"}}, time.Now().Add(-time.Hour), time.Minute)
	must(t, err)
	parts := strings.Split(good, ".")
	for name, token := range map[string]string{
		"none": parts[0] + "." + parts[1] + ".", "stranger": stranger, "expired": expired, "truncated": good[:len(good)-10], "rubbish": "rubbish",
		"unknown key": auth.APIKeyPrefix + strings.Repeat("A", 43), "huge": strings.Repeat("A", auth.MaxTokenBytes+1),
	} {
		r := i.call("POST", "/v1/decisions", token, embed)
		if r.status != http.StatusUnauthorized || r.problem() != "unauthenticated" || !strings.HasPrefix(r.header.Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
		var p server.Problem
		if r.into(t, &p); p.Detail == "" || p.Detail[:1] != strings.ToUpper(p.Detail[:1]) || !strings.HasSuffix(p.Detail, ".") {
			t.Errorf("%s: %q is no sentence", name, p.Detail)
		}
		if name == "stranger" && !strings.Contains(p.Detail, "caio token issue --keys") {
			t.Errorf("%q does not say what to do", p.Detail)
		}
		if strings.Contains(string(r.body), token) || strings.Contains(i.logs.String(), token) {
			t.Errorf("%s: the token is repeated", name)
		}
	}
	if logs, err := i.store.Logs(context.Background()); err != nil || len(logs) != 0 {
		t.Errorf("callers who are not known left a trace: %v %v", logs, err)
	}
	if r := i.call("POST", "/v1/decisions", good, embed); r.status != 200 {
		t.Errorf("good: %d %s", r.status, r.body)
	}
}

func TestAPIKeysOfTheStore(t *testing.T) {
	var key string
	i := start(t, withStore(func(s store.Store) store.Store {
		var hash [32]byte
		var err error
		key, hash, err = auth.NewAPIKey(strings.NewReader(strings.Repeat("k", 32)))
		must(t, err)
		bearer, err := auth.EncodeBearer(contracts.Principal{Tenant: "acme", Subject: "ci", Roles: []string{"app"}}, time.Time{})
		must(t, err)
		must(t, s.Commit(context.Background(), &store.Batch{APIKeys: []store.APIKey{{Tenant: "acme", ID: "ci", Hash: hash, Principal: bearer, Created: time.Now()}}}))
		return s
	}))
	r := i.call("POST", "/v1/decisions?detail=full", key, embed)
	var a struct {
		Document struct {
			Tenant    string
			Principal struct{ Method, Issuer string }
		}
	}
	r.into(t, &a)
	if r.status != 200 || a.Document.Tenant != "acme" || a.Document.Principal.Method != auth.MethodAPIKey || a.Document.Principal.Issuer != "caio" {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := i.call("GET", "/v1/services", key, ""); r.status != 403 {
		t.Errorf("beyond its roles: %d", r.status)
	}
}

// A key is had once, serves at once, and is refused from the moment on at which it was revoked, whatever the cache holds.
func TestAPIKeysOverHTTP(t *testing.T) {
	i := start(t)
	operator := i.token("acme", auth.Operator)
	issue := func(query, token string) server.APIKeyIssued {
		t.Helper()
		r := i.call("POST", "/v1/api-keys"+query, token, `{"subject": "ci", "roles": ["author", "app", "app"], "permissions": ["ai.embed"], "trust": 2.5, "expires": "2999-01-01T01:00:00+01:00"}`)
		if r.status != 201 {
			t.Fatalf("%d %s", r.status, r.body)
		}
		var issued server.APIKeyIssued
		r.into(t, &issued)
		return issued
	}
	k := issue("", operator)
	if k.Tenant != "acme" || k.Subject != "ci" || !slices.Equal(k.Roles, []string{"app", "author"}) || k.Trust != 2_500_000 || k.Expires != "2999-01-01T00:00:00.000Z" || k.Revoked != "" {
		t.Errorf("%+v", k)
	}
	i.register(k.Key, contract("a", "eu", ""))
	if a := i.decide(k.Key, embed); a.Outcome != "routed" {
		t.Errorf("%+v", a)
	}
	list := func(token, query string) (l server.APIKeyList) {
		t.Helper()
		r := i.call("GET", "/v1/api-keys"+query, token, "")
		if strings.Contains(string(r.body), k.Key) {
			t.Error("the list holds the key")
		}
		r.into(t, &l)
		return l
	}
	root := i.token("default", auth.Operator)
	other := issue("?tenant=acme", root)
	first := list(operator, "?limit=1")
	if len(first.Keys) != 1 || first.Keys[0].ID != k.ID || first.Next == "" {
		t.Errorf("%+v", first)
	}
	if l := list(operator, "?cursor="+first.Next); len(l.Keys) != 1 || l.Keys[0].ID != other.ID || l.Next != "" {
		t.Errorf("%+v", l)
	}
	if l := list(root, "?tenant=acme"); len(l.Keys) != 2 {
		t.Errorf("%+v", l)
	}
	for method, path := range map[string]string{"POST": "/v1/api-keys?tenant=default", "GET": "/v1/api-keys?tenant=default", "DELETE": "/v1/api-keys/" + k.ID + "?tenant=default"} {
		if r := i.call(method, path, operator, `{"subject": "x", "roles": ["operator"]}`); r.status != 403 {
			t.Errorf("%s of another tenant: %d %s", method, r.status, r.body)
		}
	}
	for range 2 {
		if r := i.call("DELETE", "/v1/api-keys/"+k.ID, operator, ""); r.status != 204 {
			t.Errorf("%d %s", r.status, r.body)
		}
		if r := i.call("POST", "/v1/decisions", k.Key, embed); r.status != 401 || r.problem() != "unauthenticated" {
			t.Errorf("revoked: %d %s", r.status, r.body)
		}
	}
	if l := list(operator, ""); len(l.Keys) != 2 || l.Keys[0].Revoked == "" || l.Keys[1].Revoked != "" {
		t.Errorf("%+v", l)
	}
	i.decide(other.Key, embed)
	if r := i.call("POST", "/v1/api-keys", operator, `{"subject": "x", "roles": ["app"]}`, "Idempotency-Key", "a"); r.problem() != "idempotency-key-invalid" {
		t.Errorf("%d %s", r.status, r.body)
	}
	if strings.Contains(i.logs.String(), k.Key) || strings.Contains(i.everything("acme"), k.Key) {
		t.Error("the key is kept")
	}
}

// A caller who means another tenant than the token's is told so; without the header nothing is different.
func TestTenantHeader(t *testing.T) {
	i := start(t)
	token := i.token("acme", auth.Operator)
	for named, status := range map[string]int{"acme": 200, "beta": 403, "Acme": 403, "": 403} {
		r := i.call("GET", "/v1/services", token, "", "Caio-Tenant", named)
		if r.status != status || status == 403 && r.problem() != "wrong-tenant" {
			t.Errorf("%q: %d %s", named, r.status, r.body)
		}
	}
}

func TestDiagnosticListener(t *testing.T) {
	i := start(t)
	i.decide(i.token("default", auth.App), embed)
	for path, want := range map[string]string{"/metrics": `caio_decisions_total{outcome="denied",stage="match"} 1`, "/health": `"status":"ok"`, "/livez": `"status":"ok"`} {
		w := newRecorder()
		r, err := http.NewRequest("GET", path, nil)
		must(t, err)
		i.server.DiagnosticHandler().ServeHTTP(w, r)
		if w.status != 200 || !strings.Contains(w.text.String(), want) {
			t.Errorf("%s: %d %s", path, w.status, w.text.String())
		}
	}
	w := newRecorder()
	r, err := http.NewRequest("GET", "/v1/decisions", nil)
	must(t, err)
	if i.server.DiagnosticHandler().ServeHTTP(w, r); w.status != 404 {
		t.Errorf("the API is on the diagnostic listener: %d", w.status)
	}
}

// What the metrics count is the whole installation's.
func TestMetricsAreTheInstallations(t *testing.T) {
	i := start(t)
	if r := i.call("GET", "/metrics", i.token("acme", auth.Operator), ""); r.status != 403 || r.problem() != "forbidden" {
		t.Errorf("an operator of another tenant: %d %.200s", r.status, r.body)
	}
	if r := i.call("GET", "/metrics", i.token("default", auth.Operator), ""); r.status != 200 {
		t.Errorf("an operator of the installation: %d %s", r.status, r.body)
	}
}

type recorder struct {
	header http.Header
	status int
	text   strings.Builder
}

func newRecorder() *recorder                    { return &recorder{header: http.Header{}, status: 200} }
func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.text.Write(p) }
func (r *recorder) String() string              { return fmt.Sprint(r.status, r.text.String()) }
