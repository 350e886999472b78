package server_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/catalog"
	"github.com/smarthausgroup/caio/internal/seal"
	"github.com/smarthausgroup/caio/internal/store/sqlite"
	"github.com/smarthausgroup/caio/policies"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/smarthausgroup/caio/verify"
)

// BenchmarkHTTP measures a decision as a client sees it: authenticated, decided over 1,000 services of which 10 match under 50 constraints, proved, signed, durable, answered.
func BenchmarkHTTP(b *testing.B) {
	at := busy(b, 1_000, 10, 50)
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprintf("clients=%02d", clients), func(b *testing.B) {
			b.SetParallelism(max(1, clients/2)) // times GOMAXPROCS, two where this is usually run
			if clients == 1 {
				for b.Loop() {
					at.decide(b, at.address)
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					at.decide(b, at.address)
				}
			})
		})
	}
}

// BenchmarkShadow measures the same with 64 clients, alone and with a bundle evaluated beside what is in force, which agrees or doesn't; and tells how many decisions it did not keep up with.
func BenchmarkShadow(b *testing.B) {
	for _, c := range []struct{ name, region string }{{"alone", ""}, {"agreeing", "mars"}, {"diverging", "eu"}} {
		b.Run(c.name, func(b *testing.B) {
			at := busy(b, 1_000, 10, 50)
			if c.region != "" {
				text, digest := tarball(b, refusing(c.region))
				at.send(b, http.MethodPost, at.address+"/v1/bundles?name=regional", "application/gzip", text)
				at.send(b, http.MethodPost, at.address+"/v1/bundles/"+digest+"/shadow", "application/json", `{"reason": "to measure"}`)
				defer func() {
					var report server.ShadowReport
					if err := json.Unmarshal(at.send(b, http.MethodGet, at.address+"/v1/bundles/"+digest+"/shadow?limit=1", "", ""), &report); err != nil {
						b.Error(err)
					}
					b.ReportMetric(float64(report.Started.Dropped)/float64(b.N), "dropped/op")
				}()
			}
			b.ResetTimer()
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					at.decide(b, at.address)
				}
			})
		})
	}
}

// loaded is a real server on the loopback interface with a store on disk and a registry, and a client who may decide.
type loaded struct {
	server  *server.Server
	store   string // the path of the database
	client  *http.Client
	address string
	token   string
}

// decide asks for a decision of the API at an address.
func (l *loaded) decide(b *testing.B, address string) {
	answer := l.send(b, http.MethodPost, address+"/v1/decisions", "application/json", `{"intent": {"type": "embeddings", "text": "a few words about a thing"}, "data": {"labels": ["internal"]}}`)
	if !bytes.Contains(answer, []byte(`"outcome":"routed"`)) {
		b.Errorf("%.1000s", answer)
	}
}

func (l *loaded) send(b *testing.B, method, url, media, body string) []byte {
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		b.Error(err)
		return nil
	}
	request.Header.Set("Authorization", "Bearer "+l.token)
	request.Header.Set("Content-Type", media)
	response, err := l.client.Do(request)
	if err != nil {
		b.Error(err)
		return nil
	}
	defer response.Body.Close()
	var answer bytes.Buffer
	if _, err := io.Copy(&answer, response.Body); err != nil || response.StatusCode >= 300 {
		b.Error(response.Status, answer.String(), err)
	}
	return answer.Bytes()
}

// busy starts a server whose registry has so many services, of which some match what decide asks for, under so many constraints.
func busy(b *testing.B, services, matching, rules int, options ...func(*server.Config)) *loaded {
	b.Helper()
	at := serving(b, append([]func(*server.Config){func(c *server.Config) { c.Bundles = []*rego.Bundle{holding(b, rules)} }}, options...)...)
	for i := range services {
		capability := "search"
		if i < matching {
			capability = "embeddings"
		}
		at.register(b, fmt.Sprintf(`
schema: caio.contract/v1
id: service-%04d
name: Service %d
version: 1.0.0
description: Answers questions about numbers and letters.
owner: owner@example.com
placement: external
capabilities: [{type: %s}]
guarantees: {latency: {max: 300}, availability: {min: 0.99}}
cost: {per_call: 0.00%d}
privacy: {locality: cloud, regions: [eu], encryption: {in_transit: true, at_rest: true}}
`, i, i, capability, i%9+1))
	}
	return at
}

// shipped starts a server with the contracts and the policies that come with CAIO.
func shipped(b *testing.B, options ...func(*server.Config)) *loaded {
	b.Helper()
	bundle, diagnostics := rego.ReadFS("baseline", policies.FS)
	must(b, diagnostics.Err())
	at := serving(b, append([]func(*server.Config){func(c *server.Config) { c.Bundles = []*rego.Bundle{bundle} }}, options...)...)
	files, err := fs.Glob(catalog.FS, "*.yaml")
	must(b, err)
	for _, file := range files {
		text, err := catalog.FS.ReadFile(file)
		must(b, err)
		at.register(b, string(text))
	}
	return at
}

func (l *loaded) register(b *testing.B, contract string) {
	l.send(b, http.MethodPost, l.address+"/register-service", "application/yaml", contract)
}

// serving starts a server with nothing in its registry.
func serving(b *testing.B, options ...func(*server.Config)) *loaded {
	b.Helper()
	at := &loaded{store: filepath.Join(b.TempDir(), "caio.db"), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 128}}}
	opened, err := sqlite.Open(context.Background(), at.store)
	must(b, err)
	subjects, err := seal.Open(context.Background(), subjectsOf(at.store), rand.Reader)
	must(b, err)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(b, err)
	signer, err := verify.NewSigner(key)
	must(b, err)
	issuer, _, err := auth.OpenDevelopment(b.TempDir(), rand.Reader)
	must(b, err)
	config := server.Config{
		Store: opened, Subjects: subjects, Clock: time.Now, Rand: rand.Reader, Signer: signer, LogSigner: logKey, CheckpointDir: b.TempDir(), AllowUnsigned: true,
		Auth: auth.Config{Issuers: []auth.Issuer{issuer.Issuer()}}, Limits: server.Limits{Decision: 50 * time.Second}, // however slow the machine is
	}
	for _, o := range options {
		o(&config)
	}
	at.server, err = server.New(context.Background(), config)
	must(b, err)
	listener := httptest.NewServer(at.server.Handler())
	b.Cleanup(func() {
		listener.Close()
		must(b, errors.Join(at.server.Shutdown(), subjects.Close(), opened.Close()))
	})
	at.address = listener.URL
	at.token, err = issuer.Token(contracts.Principal{Tenant: "acme", Subject: "bench", Roles: []string{"app", "author", "approver"}, Permissions: []string{"ai.chat", "ai.embed", "ai.search"}, Trust: 10_000_000}, time.Now(), time.Hour)
	must(b, err)
	return at
}

// holding is a bundle of n constraints that each read a few fields and hold.
func holding(b *testing.B, n int) *rego.Bundle {
	b.Helper()
	var module strings.Builder
	module.WriteString("package caio.policy.rules\n\nimport rego.v2\n")
	for i := range n {
		fmt.Fprintf(&module, `
# METADATA
# title: Rule %d
# custom:
#   severity: low
#   controls: []
#   remedy: none
violation["RULE-%03d"] contains msg if {
	"label-%d" in input.request.data.labels
	not "eu" in input.service.privacy.regions
	msg := sprintf("%%s is not in the EU", [input.service.id])
}
`, i, i, i)
	}
	bundle, diagnostics := rego.ReadFS("rules", fstest.MapFS{".manifest": {Data: []byte(`{"roots": ["caio/policy/rules"]}`)}, "rules.rego": {Data: []byte(module.String())}})
	if err := diagnostics.Err(); err != nil {
		b.Fatal(err)
	}
	return bundle
}
