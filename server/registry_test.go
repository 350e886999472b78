package server_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/smarthausgroup/caio/verify"
)

func (i *installation) service(token, id string) server.ServiceSummary {
	i.t.Helper()
	var s server.ServiceSummary
	r := i.call("GET", "/v1/services/"+id, token, "")
	if r.status != 200 {
		i.t.Fatalf("%d %s", r.status, r.body)
	}
	r.into(i.t, &s)
	return s
}

func (i *installation) attest(token, id, query, digest string, level contracts.Attestation) reply {
	return i.call("PUT", "/v1/services/"+id+"/attestation"+query, token, `{"contract": "`+digest+`", "level": "`+string(level)+`", "reason": "looked at it"}`)
}

func TestRegistering(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	first := i.call("PUT", "/v1/services/a", token, contract("a", "eu", ""), "Content-Type", "application/yaml")
	var r server.Registration
	first.into(t, &r)
	if first.status != 201 || r.Unchanged || r.Pending || r.Attestation != contracts.SelfAttested || r.Index == nil {
		t.Fatalf("%d %s", first.status, first.body)
	}
	index := *r.Index
	if again := i.register(token, contract("a", "eu", "")); !again.Unchanged || *again.Index != index || again.Contract != r.Contract {
		t.Errorf("the same contract again: %+v", again)
	}
	if json := i.call("PUT", "/v1/services/a", token, `{"schema": "caio.contract/v1", "id": "b"}`); json.status != 400 || json.problem() != "invalid-contract" {
		t.Errorf("%d %s", json.status, json.body)
	}
	if other := i.call("PUT", "/v1/services/b", token, contract("a", "eu", ""), "Content-Type", "application/yaml"); other.problem() != "id-mismatch" {
		t.Errorf("%d %s", other.status, other.body)
	}
	changed := i.call("PUT", "/v1/services/a", token, contract("a", "us", ""), "Content-Type", "application/yaml")
	changed.into(t, &r)
	if changed.status != 200 || r.Unchanged || *r.Index == index {
		t.Errorf("%d %s", changed.status, changed.body)
	}
	for _, id := range []string{"b", "c", "d"} {
		i.register(token, contract(id, "eu", ""))
	}
	var seen []string
	for cursor := ""; ; {
		var page server.ServiceList
		i.call("GET", "/v1/services?limit=2"+cursor, token, "").into(t, &page)
		for _, s := range page.Services {
			seen = append(seen, s.ID)
		}
		if page.Next == "" {
			break
		}
		cursor = "&cursor=" + page.Next
	}
	if strings.Join(seen, " ") != "a b c d" {
		t.Errorf("pages: %v", seen)
	}
	var versions server.VersionList
	i.call("GET", "/v1/services/a/versions", token, "").into(t, &versions)
	if len(versions.Versions) != 2 || versions.Versions[0].Version != "1.0.0" || versions.Versions[0].Kind != "registered" {
		t.Errorf("%+v", versions)
	}
	if r := i.call("DELETE", "/v1/services/a", token, ""); r.status != http.StatusNoContent {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := i.call("GET", "/v1/services/a", token, ""); r.status != 404 {
		t.Errorf("%d %s", r.status, r.body)
	}
	i.call("GET", "/v1/services/a/versions", token, "").into(t, &versions)
	if len(versions.Versions) != 3 || versions.Versions[2].Kind != "removed" {
		t.Errorf("%+v", versions)
	}
}

func TestValidate(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Author)
	validate := func(text string) (v server.Validation) {
		i.call("POST", "/v1/contracts/validate", token, text, "Content-Type", "application/yaml").into(t, &v)
		return v
	}
	if v := validate(contract("a", "eu", "")); !v.Valid || v.Contract == "" || len(v.Predicates) == 0 {
		t.Errorf("%+v", v)
	}
	v := validate(contract("a", "eu", "predicates:\n  - id: small\n    expr: request.estimat.units < 3\n"))
	if v.Valid || len(v.Diagnostics) == 0 || v.Diagnostics[0].Pos.Line == 0 || v.Diagnostics[0].Pointer == "" {
		t.Errorf("%+v", v)
	}
	if r := i.call("GET", "/v1/services/a", i.token("default", auth.Operator), ""); r.status != 404 {
		t.Error("a contract that was checked was registered")
	}
}

func TestAttesting(t *testing.T) {
	i := start(t)
	token, approver := i.token("default", auth.Author), i.token("default", auth.Approver)
	r := i.register(token, contract("a", "eu", ""))
	wrong := strings.Repeat("0", 64)
	if p := i.attest(approver, "a", "", wrong, contracts.Audited); p.status != 409 || p.problem() != "digest-mismatch" {
		t.Errorf("%d %s", p.status, p.body)
	}
	owner := i.tokenOf(contracts.Principal{Tenant: "default", Subject: "owner@example.com", Roles: []string{"approver"}})
	if p := i.attest(owner, "a", "", r.Contract, contracts.Verified); p.status != 403 || p.problem() != "own-contract" {
		t.Errorf("the owner's own word: %d %s", p.status, p.body)
	}
	if ok := i.attest(approver, "a", "", r.Contract, contracts.Audited); ok.status != 200 {
		t.Fatalf("%d %s", ok.status, ok.body)
	}
	if s := i.service(approver, "a"); s.Attestation != contracts.Audited {
		t.Errorf("%+v", s)
	}
	if changed := i.register(token, contract("a", "us", "")); changed.Attestation != contracts.SelfAttested {
		t.Errorf("a changed contract is %s", changed.Attestation)
	}
	if back := i.register(token, contract("a", "eu", "")); back.Attestation != contracts.Audited || i.service(approver, "a").Attestation != contracts.Audited {
		t.Errorf("the contract that was looked at is %s", back.Attestation)
	}
	for _, body := range []string{`{}`, `{"contract": "x", "level": "best", "reason": " "}`, `{"contract": "` + r.Contract + `", "level": "audited", "reason": "x", "by": "me"}`} {
		if p := i.call("PUT", "/v1/services/a/attestation", approver, body); p.status != 400 {
			t.Errorf("%s: %d %s", body, p.status, p.body)
		}
	}
}

func TestApproval(t *testing.T) {
	i := start(t, withSettings(map[string]any{"core": map[string]any{"approve_contracts": true}}))
	author, approver, app := i.token("default", auth.Author), i.token("default", auth.Approver), i.token("default", auth.App)
	r := i.register(author, contract("a", "eu", ""))
	if !r.Pending {
		t.Fatalf("%+v", r)
	}
	if a := i.decide(app, embed); a.Outcome != verify.Denied {
		t.Error("a contract that nobody approved takes part")
	}
	if again := i.register(author, contract("a", "eu", "")); !again.Unchanged || !again.Pending {
		t.Errorf("%+v", again)
	}
	if s := i.service(author, "a"); s.Pending != r.Contract || s.Index != -1 {
		t.Errorf("%+v", s)
	}
	if p := i.call("PUT", "/v1/services/a/grants", approver, `{"tenants": ["beta"], "reason": "x"}`); p.problem() != "awaiting-approval" {
		t.Errorf("%d %s", p.status, p.body)
	}
	if ok := i.attest(approver, "a", "", r.Contract, contracts.SelfAttested); ok.status != 200 {
		t.Fatalf("%d %s", ok.status, ok.body)
	}
	if a := i.decide(app, embed); a.Outcome != verify.Routed {
		t.Error("an approved contract takes no part")
	}
	changed := i.register(author, contract("a", "us", ""))
	if s := i.service(author, "a"); !changed.Pending || s.Contract != r.Contract || s.Pending != changed.Contract {
		t.Errorf("%+v", s)
	}
	var pending server.ServiceDetail
	i.call("GET", "/v1/services/a", approver, "").into(t, &pending)
	if pending.Definition.Privacy.Regions[0] != "eu" || pending.PendingDefinition == nil || pending.PendingDefinition.Digest() != changed.Contract || len(pending.PendingPredicates) == 0 {
		t.Errorf("an approver can't read what awaits approval: %+v", pending)
	}
	if ok := i.attest(approver, "a", "", changed.Contract, contracts.Verified); ok.status != 200 {
		t.Fatalf("%d %s", ok.status, ok.body)
	}
	if s := i.service(author, "a"); s.Contract != changed.Contract || s.Attestation != contracts.Verified || s.Pending != "" {
		t.Errorf("%+v", s)
	}
	trust, err := i.server.Trust(context.Background(), "default")
	must(t, err)
	checkEvidence(t, i, i.token("default", auth.Operator), i.decide(app, embed), trust)
}

// The installation's approvers find what they attest: in the list, and whole, of whichever tenant.
func TestApproversSeeWhatAwaitsThem(t *testing.T) {
	i := start(t, withSettings(map[string]any{"core": map[string]any{"approve_contracts": true}}))
	r := i.register(i.token("acme", auth.Author), contract("a", "eu", ""))
	approver := i.token("default", auth.Approver)
	var list server.ServiceList
	i.call("GET", "/v1/services?tenant=acme", approver, "").into(t, &list)
	if len(list.Services) != 1 || list.Services[0].Pending != r.Contract {
		t.Fatalf("%+v", list)
	}
	var one server.ServiceDetail
	i.call("GET", "/v1/services/a?tenant=acme", approver, "").into(t, &one)
	if one.Pending != r.Contract || one.Definition.Digest() != r.Contract || one.PendingDefinition != nil {
		t.Errorf("%+v", one)
	}
	if ok := i.attest(approver, "a", "?tenant=acme", one.Pending, contracts.Audited); ok.status != 200 {
		t.Errorf("%d %s", ok.status, ok.body)
	}
	for _, path := range []string{"/v1/services", "/v1/services/a"} {
		if p := i.call("GET", path+"?tenant=nobody", approver, ""); p.status != 404 {
			t.Errorf("%s of nobody: %d %s", path, p.status, p.body)
		}
		if p := i.call("GET", path+"?tenant=acme", i.token("acme", auth.Author), ""); p.status != 200 {
			t.Errorf("%s of one's own tenant, by name: %d %s", path, p.status, p.body)
		}
		for _, stranger := range []string{i.token("default", auth.Author, auth.Auditor), i.token("beta", auth.Roles()...)} {
			if p := i.call("GET", path+"?tenant=acme", stranger, ""); p.status != 403 {
				t.Errorf("%s of another tenant: %d %s", path, p.status, p.body)
			}
		}
	}
}

func TestGrants(t *testing.T) {
	i := start(t)
	ours, theirs := i.token("acme", auth.Author), i.token("beta", auth.Operator)
	root := i.token("default", auth.Approver)
	r := i.register(ours, contract("shared", "eu", ""))
	i.attest(root, "shared", "?tenant=acme", r.Contract, contracts.Audited)
	grant := func(tenants string) reply {
		return i.call("PUT", "/v1/services/shared/grants?tenant=acme", root, `{"tenants": [`+tenants+`], "reason": "for all"}`)
	}
	if p := i.call("PUT", "/v1/services/shared/grants?tenant=nobody", root, `{"tenants": [], "reason": "x"}`); p.status != 404 {
		t.Errorf("%d %s", p.status, p.body)
	}
	if p := grant(`"acme"`); p.status != 400 {
		t.Errorf("to its owner: %d %s", p.status, p.body)
	}
	if ok := grant(`"beta"`); ok.status != 200 {
		t.Fatalf("%d %s", ok.status, ok.body)
	}
	s := i.service(theirs, "shared")
	if s.Owned || s.Attestation != contracts.Audited || s.Contract != r.Contract {
		t.Errorf("%+v", s)
	}
	if a := i.decide(theirs, embed); a.Service == nil || a.Service.ID != "shared" {
		t.Errorf("%+v", a)
	}
	for _, refused := range []reply{
		i.call("DELETE", "/v1/services/shared", theirs, ""),
		i.call("PUT", "/v1/services/shared", theirs, contract("shared", "us", ""), "Content-Type", "application/yaml"),
	} {
		if refused.status != 409 {
			t.Errorf("%d %s", refused.status, refused.body)
		}
	}
	changed := i.register(ours, contract("shared", "us", ""))
	if s := i.service(theirs, "shared"); s.Contract != changed.Contract || s.Attestation != contracts.SelfAttested {
		t.Errorf("after a change: %+v", s)
	}
	i.attest(root, "shared", "?tenant=acme", changed.Contract, contracts.Verified)
	if s := i.service(theirs, "shared"); s.Attestation != contracts.Verified {
		t.Errorf("after an attestation: %+v", s)
	}
	// Who speaks for the installation, and why, is for the owner.
	for token, told := range map[string]bool{i.token("acme", auth.Operator): true, theirs: false} {
		var list server.VersionList
		i.call("GET", "/v1/services/shared/versions", token, "").into(t, &list)
		for _, v := range list.Versions {
			if v.Kind == store.Attested && told != (v.Actor != "" && v.Reason != "") || !told && v.Actor+v.Reason != "" {
				t.Errorf("told %t: %+v", told, v)
			}
		}
		if len(list.Versions) < 4 {
			t.Errorf("told %t: %+v", told, list)
		}
		var page server.VersionList
		i.call("GET", fmt.Sprintf("/v1/services/shared/versions?limit=1&cursor=%d", list.Versions[3].Index), token, "").into(t, &page)
		if len(page.Versions) != 1 || page.Versions[0] != list.Versions[3] {
			t.Errorf("told %t: %+v", told, page)
		}
	}
	trust, err := i.server.Trust(context.Background(), "beta")
	must(t, err)
	a := i.decide(theirs, embed)
	checkEvidence(t, i, theirs, a, trust)
	if log := i.everything("beta"); strings.Contains(log, "acme") {
		t.Errorf("the grantee's log names the owner: %s", log)
	}
	if ok := grant(``); ok.status != 200 {
		t.Fatalf("%d %s", ok.status, ok.body)
	}
	if p := i.call("GET", "/v1/services/shared", theirs, ""); p.status != 404 {
		t.Errorf("after the grant was taken back: %d", p.status)
	}
	checkEvidence(t, i, theirs, a, trust)
	i.register(theirs, contract("shared", "eu", ""))
	if p := grant(`"beta"`); p.problem() != "service-id-taken" {
		t.Errorf("%d %s", p.status, p.body)
	}
	if ok := grant(`"gamma", "delta"`); ok.status != 200 {
		t.Fatalf("%d %s", ok.status, ok.body)
	}
	i.call("DELETE", "/v1/services/shared", ours, "")
	if p := i.call("GET", "/v1/services/shared", i.token("gamma", auth.Operator), ""); p.status != 404 {
		t.Errorf("a service that its owner removed: %d", p.status)
	}
	i.register(ours, contract("shared", "eu", ""))
	if ok := grant(`"gamma"`); ok.status != 200 {
		t.Fatalf("%d %s", ok.status, ok.body)
	}
	i.stop()
	i = startAt(t, i.path, i)
	if s := i.service(i.token("gamma", auth.Operator), "shared"); s.Owned {
		t.Errorf("after a restart: %+v", s)
	}
}

// What was durable is there after a restart, and decisions go on under it.
func TestRestart(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	r := i.register(token, contract("a", "eu", ""))
	i.register(token, contract("b", "us", ""))
	i.register(token, contract("b", "eu", ""))
	i.attest(token, "a", "", r.Contract, contracts.Verified)
	i.call("PUT", "/v1/services/a/grants", token, `{"tenants": ["beta"], "reason": "x"}`)
	old := i.decide(token, embed)
	var before, after server.ServiceList
	i.call("GET", "/v1/services", token, "").into(t, &before)
	i.stop()
	i = startAt(t, i.path, i)
	if r := i.call("GET", "/v1/services", token, ""); r.status == 200 {
		r.into(t, &after)
	}
	if len(after.Services) != 2 || len(before.Services) != 2 || after.Services[0].Attestation != contracts.Verified || before.Services[1].Index != after.Services[1].Index {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
	if s := i.service(i.token("beta", auth.Operator), "a"); s.Attestation != contracts.Verified || s.Owned {
		t.Errorf("%+v", s)
	}
	trust, err := i.server.Trust(context.Background(), "default")
	must(t, err)
	checkEvidence(t, i, token, old, trust)
	checkEvidence(t, i, token, i.decide(token, embed), trust)
	size := i.everything("default")
	i.stop()
	if i = startAt(t, i.path, i); i.everything("default") != size {
		t.Error("a restart without a change wrote to the log")
	}
}

// Other settings and bundles are put in force by a restart, in the log; old decisions stay readable and verifiable under theirs.
func TestChangedConfiguration(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	i.register(token, contract("us", "us", ""))
	old := i.decide(token, `{"intent": {"type": "embeddings"}, "data": {"labels": ["pii"]}}`)
	i.stop()
	i = startAt(t, i.path, i, withSettings(map[string]any{"core": map[string]any{"require_label": true}}), func(i *installation) { i.config.Bundles = nil })
	var bundles server.BundleList
	i.call("GET", "/v1/bundles", token, "").into(t, &bundles)
	if len(bundles.Bundles) != 0 || len(bundles.Constraints) != 0 {
		t.Errorf("%+v", bundles)
	}
	if r := i.call("POST", "/v1/decisions", token, embed); r.status != 400 {
		t.Errorf("settings require a label: %d %s", r.status, r.body)
	}
	a := i.decide(token, `{"intent": {"type": "embeddings"}, "data": {"labels": ["pii"]}}`)
	if a.Outcome != verify.Routed {
		t.Errorf("without the bundle: %+v", a)
	}
	var read server.Answer
	i.call("GET", "/trace/"+old.DecisionID, token, "").into(t, &read)
	if read.Denied == nil || read.Denied.Violations[0].Remedy != "Choose a service in the EU." {
		t.Errorf("%+v", read)
	}
	trust, err := i.server.Trust(context.Background(), "default")
	must(t, err)
	checkEvidence(t, i, token, old, trust)
	checkEvidence(t, i, token, a, trust)
}

func TestKeyRotation(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	i.register(token, contract("a", "eu", ""))
	old := i.decide(token, embed)
	outgoing := i.config.Signer
	i.stop()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	signer, err := verify.NewSigner(key)
	must(t, err)
	i = startAt(t, i.path, i, func(i *installation) { i.config.Signer, i.config.Outgoing = signer, outgoing })
	trust, err := i.server.Trust(context.Background(), "default")
	must(t, err)
	if len(trust.Keys) != 2 {
		t.Fatalf("%d keys", len(trust.Keys))
	}
	text := i.call("GET", "/.well-known/jwks.json", "", "")
	keys, err := verify.ParseJWKS(text.body)
	must(t, err)
	retired, ok := keys.Find(outgoing.KeyID())
	if !ok || retired.Intervals[trust.Logs[0].Origin].NotAfter == nil {
		t.Errorf("%s", text.body)
	}
	checkEvidence(t, i, token, old, trust)
	checkEvidence(t, i, token, i.decide(token, embed), trust)
}
