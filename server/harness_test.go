package server_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/internal/seal"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/internal/store/sqlite"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/smarthausgroup/caio/verify"
)

// installation is a real server over a real store, with what tests need around it.
type installation struct {
	t        *testing.T
	path     string
	config   server.Config
	server   *server.Server
	store    store.Store
	subjects *seal.Subjects
	http     *httptest.Server
	issuer   *auth.Development
	logs     *buffer
}

// option changes the configuration before the server is made.
type option func(*installation)

func withSettings(settings map[string]any) option {
	return func(i *installation) { i.config.Settings = settings }
}

func withStore(wrap func(store.Store) store.Store) option {
	return func(i *installation) { i.config.Store = wrap(i.store) }
}

// withKeysOf draws the keys of subjects of a source of the test's choice.
func withKeysOf(random io.Reader) option {
	return func(i *installation) {
		must(i.t, i.subjects.Close())
		var err error
		i.subjects, err = seal.Open(context.Background(), subjectsOf(i.path), random)
		must(i.t, err)
		i.config.Subjects = i.subjects
	}
}

// pack is a small bundle: one rule about personal data, one that a test can make fire at will, one that warns.
func pack(t testing.TB) *rego.Bundle {
	t.Helper()
	b, diagnostics := rego.ReadFS("baseline", fstest.MapFS{
		".manifest": {Data: []byte(`{"revision": "7", "roots": ["caio/policy/house", "caio/safety/house"]}`)},
		"house.rego": {Data: []byte(`package caio.policy.house

import rego.v2

# METADATA
# title: Personal data stays in the EU
# custom:
#   severity: critical
#   controls: [GDPR Art. 44]
#   remedy: Choose a service in the EU.
violation["GDPR-44"] contains msg if {
	"pii" in input.request.data.labels
	some region in input.service.privacy.regions
	region != "eu"
	msg := sprintf("%s keeps data in %s", [input.service.id, region])
}

warn["NO-REGION"] contains "the service does not say where it keeps data" if count(input.service.privacy.regions) == 0
`)},
		"safety.rego": {Data: []byte(`package caio.safety.house

import rego.v2

# METADATA
# title: No weapons
# custom:
#   severity: critical
#   controls: []
#   remedy: Do something else.
violation["WEAPONS"] contains "weapons are not routed" if input.request.intent.type == "weapons"
`)},
	})
	if err := diagnostics.Err(); err != nil {
		t.Fatal(err)
	}
	return b
}

// logKey signs the checkpoints of every test.
var logKey = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

// rootKey is the offline root of every test.
var rootKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, ed25519.SeedSize))

func start(t *testing.T, options ...option) *installation {
	t.Helper()
	return startAt(t, filepath.Join(t.TempDir(), "caio.db"), nil, options...)
}

// startAt starts a server over the store at a path; before is the installation whose keys it goes on with.
func startAt(t *testing.T, path string, before *installation, options ...option) *installation {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	signer, err := verify.NewSigner(key)
	must(t, err)
	issuer, _, err := auth.OpenDevelopment(t.TempDir(), rand.Reader)
	must(t, err)
	if before != nil {
		signer, issuer = before.config.Signer, before.issuer
	}
	opened, err := sqlite.Open(context.Background(), path)
	must(t, err)
	subjects, err := seal.Open(context.Background(), subjectsOf(path), rand.Reader)
	must(t, err)
	i := &installation{t: t, path: path, store: opened, subjects: subjects, issuer: issuer, logs: &buffer{}}
	i.config = server.Config{
		Store: opened, Subjects: subjects, Clock: time.Now, Rand: rand.Reader, Signer: signer, LogSigner: logKey, Root: rootKey.Public().(ed25519.PublicKey), Bundles: []*rego.Bundle{pack(t)}, AllowUnsigned: true,
		Auth: auth.Config{Issuers: []auth.Issuer{issuer.Issuer()}}, Logger: slog.New(slog.NewJSONHandler(i.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, o := range options {
		o(i)
	}
	i.server, err = server.New(context.Background(), i.config)
	must(t, err)
	i.http = httptest.NewServer(i.server.Handler())
	t.Cleanup(i.stop)
	return i
}

// stop shuts down, as often as it is called.
func (i *installation) stop() {
	if i.http == nil {
		return
	}
	i.http.Close()
	i.http = nil
	must(i.t, i.server.Shutdown())
	must(i.t, i.subjects.Close())
	must(i.t, i.store.Close())
}

// subjectsOf is the store of subjects beside a store.
func subjectsOf(path string) string { return strings.TrimSuffix(path, ".db") + "-subjects.db" }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// buffer is a log that goroutines write together.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// token is one for a person of a tenant with roles.
func (i *installation) token(tenant string, roles ...auth.Role) string {
	i.t.Helper()
	return i.tokenOf(principal(tenant, roles...))
}

func principal(tenant string, roles ...auth.Role) contracts.Principal {
	p := contracts.Principal{Tenant: tenant, Subject: "someone@" + tenant + ".example", Permissions: []string{"ai.embed"}, Trust: 5_000_000}
	for _, r := range roles {
		p.Roles = append(p.Roles, string(r))
	}
	return p
}

func (i *installation) tokenOf(p contracts.Principal) string {
	i.t.Helper()
	token, err := i.issuer.Token(p, time.Now().Add(-time.Second), time.Hour)
	must(i.t, err)
	return token
}

// reply is an answer, read.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// problem is the code of a problem, "" for any other answer.
func (r reply) problem() string {
	if r.header.Get("Content-Type") != "application/problem+json" {
		return ""
	}
	var p server.Problem
	if json.Unmarshal(r.body, &p) != nil {
		return "unreadable"
	}
	return p.Code
}

func (r reply) into(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(r.body, v); err != nil {
		t.Fatalf("%v: %s", err, r.body)
	}
}

// call sends a request. Header holds names and values in turn.
func (i *installation) call(method, path, token, body string, header ...string) reply {
	i.t.Helper()
	r, err := i.try(method, path, token, body, header...)
	must(i.t, err)
	return r
}

func (i *installation) try(method, path, token, body string, header ...string) (reply, error) {
	request, err := http.NewRequest(method, i.http.URL+path, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for n := 0; n+1 < len(header); n += 2 {
		request.Header.Set(header[n], header[n+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, text}, err
}

// contract is a small one, in YAML; more is appended.
func contract(id, region, more string) string {
	return fmt.Sprintf(`schema: caio.contract/v1
id: %s
name: Service %s
version: 1.0.0
owner: owner@example.com
placement: external
capabilities:
  - type: embeddings
cost:
  per_call: 0.001
privacy:
  locality: cloud
  regions: [%s]
  encryption: {in_transit: true, at_rest: true}
api: {protocol: http, base_url: "https://%s.example"}
%s`, id, id, region, id, more)
}

// register puts a contract in force and returns what the server says of it.
func (i *installation) register(token, text string) server.Registration {
	i.t.Helper()
	r := i.call("POST", "/register-service", token, text, "Content-Type", "application/yaml")
	if r.status != http.StatusCreated && r.status != http.StatusOK {
		i.t.Fatalf("%d %s", r.status, r.body)
	}
	var registration server.Registration
	r.into(i.t, &registration)
	return registration
}

func (i *installation) decide(token, body string) server.Answer {
	i.t.Helper()
	r := i.call("POST", "/v1/decisions", token, body)
	if r.status != http.StatusOK {
		i.t.Fatalf("%d %s\n%s", r.status, r.body, i.logs)
	}
	var answer server.Answer
	r.into(i.t, &answer)
	return answer
}

const embed = `{"intent": {"type": "embeddings"}}`
