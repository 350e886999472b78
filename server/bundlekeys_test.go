package server_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"slices"
	"testing"

	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/replay"
)

// policyKey signs bundles.
type policyKey struct {
	id      string
	private ed25519.PrivateKey
}

func newPolicyKey(t testing.TB, id string) policyKey {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	return policyKey{id, private}
}

func (k policyKey) public(t testing.TB) rego.Key {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(k.private.Public())
	must(t, err)
	return rego.Key{Algorithm: "EdDSA", PEM: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}
}

// Bundles must be signed by a key that is configured at the moment when they are pushed, and again when they are put in force.
func TestBundleSignatures(t *testing.T) {
	old, young, stranger := newPolicyKey(t, "old"), newPolicyKey(t, "young"), newPolicyKey(t, "old")
	keys := func(keys ...policyKey) option {
		return func(i *installation) {
			i.config.PolicyKeys = map[string]rego.Key{}
			for _, k := range keys {
				i.config.PolicyKeys[k.id] = k.public(t)
			}
			signed, err := rego.Sign(pack(t), "EdDSA", keys[0].id, keys[0].private)
			must(t, err)
			i.config.Bundles, i.config.AllowUnsigned = []*rego.Bundle{signed}, false
		}
	}
	i := start(t, keys(old), func(i *installation) {
		other, err := rego.Sign(named(t, "baseline", renamed(refusing("mars"))), "EdDSA", old.id, old.private)
		must(t, err)
		i.config.Bundles = []*rego.Bundle{other}
	})
	token := i.token("acme", auth.Operator)
	for name, by := range map[string][]policyKey{"nobody": nil, "a key that is not configured": {young}, "another key of the same id": {stranger}} {
		if r := i.push(token, "regional", refusing("us"), by...); r.status != 422 || r.problem() != "bundle-signature" {
			t.Errorf("signed by %s: %d %s", name, r.status, r.body)
		}
	}
	digest, before := i.pushed(token, "regional", refusing("us"), old), i.inForce(token)["baseline"]
	i.stop()

	i = startAt(t, i.path, i, keys(young))
	token = i.token("acme", auth.Operator)
	i.register(token, contract("eu", "eu", ""))
	if r := i.call("POST", "/v1/bundles/"+digest+"/activate", token, `{"reason": "x"}`); r.status != 422 || r.problem() != "bundle-signature" {
		t.Errorf("under a key that was withdrawn: %d %s", r.status, r.body)
	}
	if again := i.pushed(token, "regional", refusing("us"), young); again != digest {
		t.Fatalf("the digest depends on the signature: %s, %s", again, digest)
	}
	if a := i.activate(token, digest, `{"reason": "x"}`); a.Key != "young" {
		t.Errorf("activated: %+v", a)
	}
	// What is handed out is what was pushed, signed as it was last; and so with the baseline, also with one that is in force no more.
	for digest, want := range map[string]struct {
		by    policyKey
		files map[string]string
	}{digest: {young, refusing("us")}, before: {old, nil}, i.inForce(token)["baseline"]: {young, nil}} {
		r := i.call("GET", "/v1/bundles/"+digest, token, "")
		if r.status != 200 || r.header.Get("Content-Type") != "application/gzip" {
			t.Fatalf("%s: %d %s", digest, r.status, r.body)
		}
		b, diagnostics := rego.ReadTarball("back", bytes.NewReader(r.body))
		must(t, diagnostics.Err())
		if verified, err := rego.Verify(b, map[string]rego.Key{want.by.id: want.by.public(t)}); err != nil || verified.Digest != digest {
			t.Errorf("%s: it is %s: %v", digest, b.Digest, err)
		}
		for name, text := range want.files {
			if !slices.ContainsFunc(b.Files, func(f rego.File) bool { return f.Path == name && string(f.Text) == text }) {
				t.Errorf("%s of %s is not what was pushed", name, digest)
			}
		}
	}
	// The proof names the key that signed what was in force, and holds that signature.
	i.replaysUnder(token, i.decide(token, embed), i.config.PolicyKeys)
}

// An approver who signs, signs for one activation in one log; and where the settings want it, nobody puts their own bundle in force.
func TestApprovalOfActivation(t *testing.T) {
	signer, stranger := newSigner(t), newSigner(t)
	i := start(t, withSettings(map[string]any{"core": map[string]any{"separate_approval": true}}), func(i *installation) {
		i.config.ApproverKeys = verify.Keys{{Public: signer.Public()}}
	})
	ann, eve := principal("acme", auth.Author, auth.Approver), principal("acme", auth.Author, auth.Approver)
	ann.Subject, eve.Subject = "ann@acme.example", "eve@acme.example"
	author, approver := i.tokenOf(ann), i.tokenOf(eve)
	digest := i.pushed(author, "regional", refusing("us"))
	i.pushed(approver, "regional", refusing("us")) // to push it again makes nobody its author
	if r := i.call("POST", "/v1/bundles/"+digest+"/activate", author, `{"reason": "x"}`); r.status != 403 || r.problem() != "own-bundle" {
		t.Errorf("by its author: %d %s", r.status, r.body)
	}
	list := i.bundles(approver)
	good := map[string]any{"v": int64(1), "tenant": "acme", "log": list.Log, "bundle": "regional", "digest": digest, "previous": "", "reason": "ticket 88"}
	sign := func(by *verify.Signer, typ string, claims map[string]any) string {
		t.Helper()
		compact, err := by.Sign(typ, claims)
		must(t, err)
		return string(compact)
	}
	but := func(claim string, value any) map[string]any {
		claims := map[string]any{}
		for k, v := range good {
			claims[k] = v
		}
		claims[claim] = value
		return claims
	}
	activate := func(approval string) reply {
		body, err := json.Marshal(map[string]string{"reason": "ticket 88", "approval": approval})
		must(t, err)
		return i.call("POST", "/v1/bundles/"+digest+"/activate", approver, string(body))
	}
	for name, approval := range map[string]string{
		"by a stranger": sign(stranger, verify.TypApproval, good), "of another typ": sign(signer, verify.TypActivation, good), "of another tenant": sign(signer, verify.TypApproval, but("tenant", "beta")),
		"of another log": sign(signer, verify.TypApproval, but("log", "x")), "of another bundle": sign(signer, verify.TypApproval, but("bundle", "x")), "of another digest": sign(signer, verify.TypApproval, but("digest", "x")),
		"of another one before": sign(signer, verify.TypApproval, but("previous", digest)), "for another reason": sign(signer, verify.TypApproval, but("reason", "x")), "of another version": sign(signer, verify.TypApproval, but("v", int64(2))),
		"with something else": sign(signer, verify.TypApproval, but("more", "x")),
	} {
		if r := activate(approval); r.status != 422 || r.problem() != "approval-invalid" {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	approval := sign(signer, verify.TypApproval, good)
	if r := activate(approval); r.status != 200 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	var versions server.BundleVersionList
	i.call("GET", "/v1/bundles/versions?name=regional&limit=10", approver, "").into(t, &versions)
	last := versions.Versions[len(versions.Versions)-1]
	if last.Approval != approval || last.Author != ann.Subject || last.Actor != eve.Subject {
		t.Errorf("recorded: %+v", last)
	}
	if r := activate(approval); r.status != 200 {
		t.Errorf("again, which changes nothing: %d %s", r.status, r.body)
	}
	if r := activate(sign(stranger, verify.TypApproval, good)); r.status != 422 {
		t.Errorf("by a stranger, where nothing changes: %d %s", r.status, r.body)
	}
	if r := i.call("POST", "/v1/bundles/rollback", approver, `{"name": "regional", "reason": "it refuses too much"}`); r.status != 200 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if r := activate(approval); r.status != 422 || r.problem() != "approval-invalid" {
		t.Errorf("once more after a rollback: %d %s", r.status, r.body)
	}
	var said verify.Approval
	if _, err := verify.Verify(verify.TypApproval, []byte(last.Approval), i.config.ApproverKeys, &said); err != nil || said.Digest != digest {
		t.Errorf("the recorded approval: %v, %+v", err, said)
	}
	if trust := i.trust("acme"); len(trust.Approvers) != 1 || trust.Approvers[0].ID() != signer.KeyID() || trust.PolicyKeys != nil {
		t.Errorf("the trust file has the approvers %v, and keys of policies though bundles may be unsigned: %v", trust.Approvers, trust.PolicyKeys)
	}
}

// replaysUnder demands that a decision's evidence replays, and that its bundles verify under the keys.
func (i *installation) replaysUnder(token string, a server.Answer, keys map[string]rego.Key) {
	i.t.Helper()
	ev, err := verify.ReadEvidence(i.call("GET", a.Links.Evidence, token, "").body)
	must(i.t, err)
	verdicts := replay.Check(context.Background(), ev, replay.Options{VerifyBundle: func(b *rego.Bundle) (string, error) {
		verified, err := rego.Verify(b, keys)
		if err != nil {
			return "", err
		}
		return verified.Key, nil
	}})
	for _, v := range verdicts {
		if v.Status != verify.Pass {
			i.t.Errorf("%+v", v)
		}
	}
}
