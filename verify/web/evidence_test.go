package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/tlog"
	"golang.org/x/mod/sumdb/note"
	sumdb "golang.org/x/mod/sumdb/tlog"
)

const logOrigin = "caio.example.com/0f3a"

// markup is what a text must not become: it would run a script.
const markup = `<img src=x onerror="window.ran=1"><script>window.ran=1</script>`

var when = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// maker makes the evidence of one decision: of two services that could have done it the one with the better objective won, and a policy rejected a third.
type maker struct {
	t      testing.TB
	issuer string
	reason string // of the policy
	file   string // of the policy's bundle
	worse  bool   // the worse one is said to have won
	seed   byte   // of the key that signs; the auditor trusts that of seed 1
	leaves [][]byte
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func private(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

// sign appends an entry to the log.
func (m *maker) sign(typ string, payload any) []byte {
	m.t.Helper()
	leaf := must(must(verify.NewSigner(private(m.seed)))(m.t).Sign(typ, payload))(m.t)
	m.leaves = append(m.leaves, leaf)
	return leaf
}

func (m *maker) head() verify.RecordHead {
	return verify.RecordHead{V: 1, Tenant: "acme", Log: logOrigin, Base: int64(len(m.leaves)), IAT: when.Unix()}
}

func (m *maker) evidence() *verify.Evidence {
	m.t.Helper()
	ev := &verify.Evidence{
		Snapshot: map[string]string{}, Contracts: map[string][]byte{}, Attestations: []verify.AttestationRecord{}, Settings: map[string]any{"gdpr": map[string]any{"regions": []any{"eu"}}},
		Bundles: map[string]map[string][]byte{},
	}
	d := m.decision(ev)
	files := map[string][]byte{m.file: []byte("package caio.policy.gdpr"), "data.json": []byte("{}")}
	bundle := must(verify.BundleDigest(files))(m.t)
	ev.Bundles[bundle] = files
	settings := must(verify.SettingsDigest(ev.Settings))(m.t)
	mark := verify.RegistryMark{Snapshot: verify.Digest(verify.SnapshotText(ev.Snapshot)), Attestations: must(verify.AttestationsDigest(ev.Attestations))(m.t)}
	m.sign(verify.TypContract, verify.ContractRecord{RecordHead: m.head(), RegistryMark: mark, Kind: verify.KindRegistered, Service: "bge-local", Contract: ev.Snapshot["bge-local"], Actor: "ops"})
	m.sign(verify.TypSettings, verify.SettingsRecord{RecordHead: m.head(), Settings: settings, Actor: "ops"})
	m.sign(verify.TypActivation, verify.ActivationRecord{RecordHead: m.head(), Kind: verify.KindActivated, Bundle: "gdpr", Digest: bundle, Actor: "ops"})
	request, principal := request()
	commitments, disclosures, err := verify.Commit(request, principal.Subject, func(name string) []byte {
		sum := sha256.Sum256([]byte(name))
		return sum[:verify.SaltBytes]
	})
	if err != nil {
		m.t.Fatal(err)
	}
	ev.Disclosures = disclosures
	document := verify.NewDocument(verify.Header{
		DecisionID: verify.NewDecisionID(when, [10]byte{1}), Issuer: m.issuer, Log: logOrigin, Base: 3, Time: when,
		Engine:   verify.Build{Version: "v1", Digest: verify.Digest(nil), Go: "go1.26.0", Arch: "amd64", OPA: "1", CEL: "2", Capabilities: verify.Digest(nil)},
		Snapshot: verify.Reference{Digest: mark.Snapshot, Revision: 1}, Attestations: verify.Reference{Digest: mark.Attestations, Revision: 1}, Settings: verify.Reference{Digest: settings, Revision: 1, Index: 1},
		Bundles: []verify.BundleReference{{Name: "gdpr", Digest: bundle, Index: 2}},
	}, request, principal, commitments, d)
	ev.Document = must(document.Canonical())(m.t)
	ev.Statement = m.sign(verify.TypDecision, must(verify.NewStatement(document, verify.Digest(ev.Document), verify.RetentionStandard))(m.t))
	m.receipts(ev)
	return ev
}

func (m *maker) decision(ev *verify.Evidence) verify.Decision {
	candidate := func(service string) verify.Candidate {
		text := []byte(`{"id":"` + service + `"}`)
		ev.Snapshot[service] = verify.Digest(text)
		ev.Contracts[ev.Snapshot[service]] = text
		return verify.Candidate{Service: service, Contract: ev.Snapshot[service], Route: contracts.Internal}
	}
	coefficients, _ := verify.ProfileCoefficients(contracts.Balanced)
	d := verify.Decision{Outcome: verify.Routed, Candidates: []verify.Candidate{candidate("bge-local"), candidate("gte-local"), candidate("openai-embed")}}
	for i, cost := range []int64{100_000, 150_000} {
		terms := verify.Terms{Learned: 700_000, Cost: cost}
		d.Candidates[i].Score = &verify.Score{Terms: terms, Estimate: verify.Estimate{CostMicroUSD: 10}, Objective: coefficients.Objective(terms)}
	}
	d.Candidates[2].Eliminated = &verify.Elimination{Stage: contracts.StagePolicy, Violations: []contracts.Violation{{Kind: contracts.KindRego, ID: "GDPR-44", Value: 1, Reason: m.reason}}}
	first, second := d.Candidates[0], d.Candidates[1]
	if m.worse {
		first, second = second, first
	}
	d.Choice = verify.Choice{Service: first.Service, Contract: first.Contract, Route: first.Route, Objective: &first.Score.Objective,
		RunnerUp: &verify.RunnerUp{Service: second.Service, Margin: first.Score.Objective - second.Score.Objective}}
	return d
}

func request() (*contracts.Request, contracts.Principal) {
	sources := map[string]contracts.Source{"seed": contracts.SourceServer, "data.findings": contracts.SourceOperator, "estimate.defaulted": contracts.SourceServer, "estimate.payload_bytes": contracts.SourceServer}
	for _, key := range []string{"context.shareable", "data.labels", "data.regions", "exclude", "purpose", "profile", "requirements.attributes", "requirements.capabilities", "requirements.capability_parameters", "requirements.guarantees", "traits.confidential"} {
		sources[key] = contracts.SourceDefault
	}
	for _, key := range []string{"estimate.input_tokens", "estimate.output_tokens", "estimate.units", "intent.type", "traits.conservative", "traits.risk_tolerance"} {
		sources[key] = contracts.SourceCaller
	}
	return &contracts.Request{Intent: contracts.Intent{Type: "embeddings", Text: "hello"}, Requirements: contracts.Requirements{Capabilities: []string{"embeddings"}},
			Estimate: contracts.Estimate{InputTokens: 5, Units: 1}, Profile: contracts.Balanced, Sources: sources},
		contracts.Principal{Tenant: "acme", Subject: "alice@example.com", Roles: []string{"app"}, Trust: contracts.Micro, Method: "jwt", Issuer: "https://login.example.com"}
}

// hashes are those that the log stores.
type hashes []sumdb.Hash

func (h hashes) ReadHashes(indexes []int64) ([]sumdb.Hash, error) {
	list := make([]sumdb.Hash, len(indexes))
	for i, index := range indexes {
		list[i] = h[index]
	}
	return list, nil
}

// receipts proves every entry under one checkpoint.
func (m *maker) receipts(ev *verify.Evidence) {
	var stored hashes
	for i, leaf := range m.leaves {
		stored = append(stored, must(sumdb.StoredHashes(int64(i), leaf, stored))(m.t)...)
	}
	size := int64(len(m.leaves))
	c := tlog.Checkpoint{Origin: logOrigin, Size: size, Root: tlog.Hash(must(sumdb.TreeHash(size, stored))(m.t))}
	key := logKey(m.t)
	c.Signatures = []tlog.Signature{{Name: logOrigin, ID: key.ID(), Bytes: ed25519.Sign(private(3), c.Body())}}
	if _, err := note.Open(c.Encode(), note.VerifierList(must(note.NewVerifier(key.String()))(m.t))); err != nil {
		m.t.Fatal(err)
	}
	for i := range m.leaves {
		p := tlog.Proof{Index: int64(i), Checkpoint: c}
		for _, hash := range must(sumdb.ProveRecord(size, int64(i), stored))(m.t) {
			p.Hashes = append(p.Hashes, tlog.Hash(hash))
		}
		if int64(i) == size-1 {
			ev.Receipt = p.Encode()
			return
		}
		ev.Entries = append(ev.Entries, verify.LoggedEntry{Index: int64(i), JWS: m.leaves[i], Receipt: p.Encode()})
	}
}

func logKey(t testing.TB) tlog.Key {
	return must(tlog.NewKey(logOrigin, tlog.Ed25519, private(3).Public().(ed25519.PublicKey)))(t)
}

// trust is the file of an auditor who trusts that issuer.
func trust(t testing.TB, issuer string) []byte { return trustWith(t, issuer, "") }

// trustWith is one who also asks for the cosignatures of a policy.
func trustWith(t testing.TB, issuer, policy string) []byte {
	signer := must(verify.NewSigner(private(1)))(t)
	return must(verify.Trust{Issuer: issuer, Logs: []verify.Log{{Origin: logOrigin, Key: logKey(t).String()}}, Keys: verify.Keys{{Public: signer.Public()}}, Policy: policy}.Encode())(t)
}

// policyOf asks for the cosignature of a witness.
func policyOf(t testing.TB) string {
	return "witness w " + must(tlog.NewKey("witness.example.com", tlog.CosignatureV1, private(4).Public().(ed25519.PublicKey)))(t).String() + "\nquorum w\n"
}

// written makes the evidence a file.
func (m maker) written(t testing.TB) []byte {
	t.Helper()
	m.t = t
	if m.issuer == "" {
		m.issuer = honest
	}
	if m.seed == 0 {
		m.seed = 1
	}
	if m.reason == "" {
		m.reason = "openai-embed keeps data in [us]"
	}
	if m.file == "" {
		m.file = "policy/gdpr.rego"
	}
	var file bytes.Buffer
	if err := verify.WriteEvidence(&file, m.evidence()); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

const honest = "https://caio.example.com"

// changed is a file with one bit of its middle turned.
func changed(file []byte) []byte {
	file = bytes.Clone(file)
	file[len(file)/2] ^= 1
	return file
}

// long is a text that takes a page apart unless it is broken.
var long = strings.Repeat("W", 3000)
