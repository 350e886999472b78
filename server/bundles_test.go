package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/smarthausgroup/caio/verify"
)

// refusing is a bundle of a tenant's own: it refuses services that keep data in a region. The region makes the version.
func refusing(region string) map[string]string {
	return map[string]string{
		".manifest": fmt.Sprintf(`{"revision": %q, "roots": ["caio/policy/regional"]}`, "not "+region),
		"regional.rego": fmt.Sprintf(`package caio.policy.regional

import rego.v2

# METADATA
# title: Not there
# custom:
#   severity: high
#   controls: []
#   remedy: Choose a service elsewhere.
violation["REGION"] contains msg if {
	some region in input.service.privacy.regions
	region == %q
	msg := sprintf("%%s keeps data in %%s", [input.service.id, region])
}
`, region),
		"regional_test.rego": fmt.Sprintf(`package caio.policy.regional

import data.caio.testing
import rego.v2

test_refused if count(violation["REGION"]) == 1 with input as testing.given({}, {"privacy": {"regions": [%q]}})

test_taken if count(violation["REGION"]) == 0 with input as testing.given({}, {"privacy": {"regions": ["elsewhere"]}})
`, region),
	}
}

// tarball packs files, signed if there is a key, and tells the digest.
func tarball(t testing.TB, files map[string]string, by ...policyKey) (text, digest string) {
	t.Helper()
	fs := fstest.MapFS{}
	for name, text := range files {
		fs[name] = &fstest.MapFile{Data: []byte(text)}
	}
	b, diagnostics := rego.ReadFS("bundle", fs)
	must(t, diagnostics.Err())
	for _, k := range by {
		var err error
		b, err = rego.Sign(b, "EdDSA", k.id, k.private)
		must(t, err)
	}
	var packed bytes.Buffer
	must(t, rego.WriteTarball(&packed, b))
	return packed.String(), b.Digest
}

func (i *installation) push(token, name string, files map[string]string, by ...policyKey) reply {
	i.t.Helper()
	text, _ := tarball(i.t, files, by...)
	return i.call("POST", "/v1/bundles?name="+name, token, text, "Content-Type", "application/gzip")
}

// pushed pushes a bundle that is taken, and returns its digest.
func (i *installation) pushed(token, name string, files map[string]string, by ...policyKey) string {
	i.t.Helper()
	r := i.push(token, name, files, by...)
	if r.status != http.StatusCreated && r.status != http.StatusOK {
		i.t.Fatalf("%d %s", r.status, r.body)
	}
	var p server.BundlePushed
	r.into(i.t, &p)
	return p.Digest
}

func (i *installation) bundles(token string) server.BundleList {
	i.t.Helper()
	var list server.BundleList
	r := i.call("GET", "/v1/bundles", token, "")
	if r.status != http.StatusOK {
		i.t.Fatalf("%d %s", r.status, r.body)
	}
	r.into(i.t, &list)
	return list
}

// inForce tells the digests of the bundles in force, by name.
func (i *installation) inForce(token string) map[string]string {
	i.t.Helper()
	digests := map[string]string{}
	for _, b := range i.bundles(token).Bundles {
		digests[b.Name] = b.Digest
	}
	return digests
}

// activeBundle sees to it that a bundle of the tenant's own is in force, and returns its digest.
func (i *installation) activeBundle(tenant string) string {
	i.t.Helper()
	token := i.token(tenant, auth.Operator)
	list := i.bundles(token)
	for _, b := range list.Bundles {
		if b.Scope == store.TenantScope {
			return b.Digest
		}
	}
	_, digest := tarball(i.t, refusing("mars of "+tenant))
	if !slices.ContainsFunc(list.Pushed, func(b server.BundleSummary) bool { return b.Digest == digest }) {
		i.pushed(token, "regional", refusing("mars of "+tenant))
	}
	i.activate(token, digest, `{"reason": "wanted"}`)
	return digest
}

func (i *installation) activate(token, digest, body string) server.Activation {
	i.t.Helper()
	r := i.call("POST", "/v1/bundles/"+digest+"/activate", token, body)
	if r.status != http.StatusOK {
		i.t.Fatalf("%d %s", r.status, r.body)
	}
	var a server.Activation
	r.into(i.t, &a)
	return a
}

// versions tells what was done with bundles: kind, name, the beginning of the digest and of the one before.
func (i *installation) versions(token, query string) []string {
	i.t.Helper()
	var list server.BundleVersionList
	r := i.call("GET", "/v1/bundles/versions"+query, token, "")
	if r.status != http.StatusOK {
		i.t.Fatalf("%d %s", r.status, r.body)
	}
	r.into(i.t, &list)
	var told []string
	for _, v := range list.Versions {
		kind := string(v.Kind)
		if v.Rollback {
			kind = "rollback, " + kind
		}
		told = append(told, fmt.Sprintf("%s %s %.8s<%.8s by %s: %s", kind, v.Name, v.Digest, v.Previous, v.Actor, v.Reason))
	}
	return told
}

// The life of a bundle: pushed, which changes nothing; put in force; replaced; rolled back, forth, and back to none. Who, why, and what was there before stand in the log, and every decision names what it was made under.
func TestBundleLife(t *testing.T) {
	i := start(t)
	author, approver, app := i.token("acme", auth.Author), i.token("acme", auth.Approver), i.token("acme", auth.App)
	i.register(author, contract("us", "us", ""))
	i.register(author, contract("eu", "eu", ""))
	first := i.pushed(author, "regional", refusing("us"))
	if list := i.bundles(author); len(list.Bundles) != 1 || len(list.Pushed) != 1 || list.Pushed[0].Digest != first || list.Pushed[0].Author != "someone@acme.example" {
		t.Fatalf("after a push: %+v", list)
	}
	violates := func(id string) bool {
		var d struct{ Document json.RawMessage }
		i.call("POST", "/v1/decisions?detail=full", app, embed).into(t, &d)
		return strings.Contains(string(d.Document), id)
	}
	if violates("keeps data in us") {
		t.Error("a bundle that was only pushed acts")
	}
	a := i.activate(approver, first, `{"reason": "no data in the US", "previous": ""}`)
	if a.Name != "regional" || a.Digest != first || a.Previous != "" || a.Tests == nil || a.Tests.Pass != 2 || a.Index == nil || a.Unchanged {
		t.Errorf("activated: %+v", a)
	}
	if !violates("keeps data in us") {
		t.Error("a bundle in force does not act")
	}
	if again := i.activate(approver, first, `{"reason": "no data in the US"}`); !again.Unchanged || *again.Index != *a.Index {
		t.Errorf("the same again: %+v", again)
	}
	second := i.pushed(author, "regional", refusing("eu"))
	if r := i.call("POST", "/v1/bundles/"+second+"/activate", approver, `{"reason": "x", "previous": ""}`); r.status != 409 || r.problem() != "bundle-moved" || !strings.Contains(string(r.body), first) {
		t.Errorf("another is in force than the caller found: %d %s", r.status, r.body)
	}
	if b := i.activate(approver, second, `{"reason": "the other way", "previous": "`+first+`"}`); b.Previous != first {
		t.Errorf("replaced: %+v", b)
	}
	rollback := func(want string) {
		t.Helper()
		r := i.call("POST", "/v1/bundles/rollback", approver, `{"name": "regional", "reason": "it denied too much"}`)
		if got := i.inForce(author)["regional"]; r.status != 200 || got != want {
			t.Errorf("rolled back: %d %s: in force is %.8s, want %.8s", r.status, r.body, got, want)
		}
	}
	rollback(first)
	rollback(second)
	if r := i.call("POST", "/v1/bundles/"+first+"/deactivate", approver, `{"reason": "x"}`); r.status != 409 || r.problem() != "bundle-not-in-force" {
		t.Errorf("taken out what is not in force: %d %s", r.status, r.body)
	}
	if r := i.call("POST", "/v1/bundles/"+second+"/deactivate", approver, `{"reason": "done with"}`); r.status != 200 || i.inForce(author)["regional"] != "" {
		t.Errorf("taken out: %d %s", r.status, r.body)
	}
	rollback(second)
	const by = " by someone@acme.example: "
	want := []string{
		fmt.Sprintf("pushed regional %.8s<", first) + by, fmt.Sprintf("activated regional %.8s<", first) + by + "no data in the US", fmt.Sprintf("pushed regional %.8s<", second) + by,
		fmt.Sprintf("activated regional %.8s<%.8s", second, first) + by + "the other way",
		fmt.Sprintf("rollback, activated regional %.8s<%.8s", first, second) + by + "it denied too much", fmt.Sprintf("rollback, activated regional %.8s<%.8s", second, first) + by + "it denied too much",
		fmt.Sprintf("deactivated regional %.8s<", second) + by + "done with", fmt.Sprintf("rollback, activated regional %.8s<", second) + by + "it denied too much",
	}
	if got := i.versions(author, "?name=regional"); !slices.Equal(got, want) {
		t.Errorf("the history is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	checkEvidence(t, i, i.token("acme", auth.Auditor), i.decide(app, embed), i.trust("acme"))
}

// Every reason for which a bundle is not taken in, or not put in force: nothing was done then.
func TestBundlesRefused(t *testing.T) {
	i := start(t)
	author, approver := i.token("acme", auth.Author), i.token("acme", auth.Approver)
	with := func(name, text string) map[string]string {
		files := refusing("us")
		files[name] = text
		return files
	}
	without := func(name string) map[string]string {
		files := refusing("us")
		delete(files, name)
		return files
	}
	policy := refusing("us")["regional.rego"]
	scenario := `name: routed
time: "2026-11-22T12:00:00Z"
principal: {tenant: acme}
contracts: [us.yaml]
request: {intent: {type: embeddings}}
expect: {outcome: %s}
`
	for name, test := range map[string]struct {
		bundle string
		files  map[string]string
		status int
		code   string
		says   string
	}{
		"the baseline's name":   {"baseline", refusing("us"), 409, "baseline-bundle", "its configuration alone changes it"},
		"no name":               {"", refusing("us"), 400, "invalid-parameter", "1 to 128 bytes"},
		"a name with a slash":   {"a%2Fb", refusing("us"), 400, "invalid-parameter", "Versions of one bundle"},
		"the baseline's roots":  {"regional", with(".manifest", `{"roots": ["caio/policy/house", "caio/policy/regional"]}`), 422, "bundle-unfit", `overlaps the root \"caio/policy/house\" of the bundle baseline`},
		"an id of the baseline": {"regional", with("regional.rego", strings.ReplaceAll(policy, "REGION", "GDPR-44")), 422, "bundle-unfit", "GDPR-44"},
		"an unknown field":      {"regional", with("regional.rego", strings.ReplaceAll(policy, "service.privacy.regions", "service.privacy.region")), 422, "bundle-unfit", `"file":"regional/regional.rego","line":12`},
		"no manifest":           {"regional", without(".manifest"), 422, "bundle-unfit", "name them in a .manifest"},
		"no test":               {"regional", without("regional_test.rego"), 422, "bundle-tests", "no test of its own"},
		"a test that fails":     {"regional", with("regional_test.rego", strings.ReplaceAll(refusing("us")["regional_test.rego"], "== 1", "== 2")), 422, "bundle-tests", "data.caio.policy.regional.test_refused"},
		"a test of an error":    {"regional", with("more_test.rego", "package caio.policy.regional\n\nimport rego.v2\n\ntest_error if 1 / 0 == 1\n"), 422, "bundle-tests", "divide by zero"},
		"a scenario that fails": {"regional", with("us.scenario.yaml", fmt.Sprintf(scenario, "routed")), 422, "bundle-tests", "us.scenario.yaml"},
		"a faulty scenario":     {"regional", with("us.scenario.yaml", "name: x"), 422, "bundle-unfit", "us.scenario.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			test.files["us.yaml"] = contract("us", "us", "")
			r := i.push(author, test.bundle, test.files)
			if r.status != test.status || r.problem() != test.code || !strings.Contains(string(r.body), test.says) {
				t.Errorf("%d %s, want %d %s, %s", r.status, r.body, test.status, test.code, test.says)
			}
		})
	}
	for name, text := range map[string]string{"no tarball": "not a tarball", "half a tarball": func() string { text, _ := tarball(t, refusing("us")); return text[:len(text)/2] }()} {
		if r := i.call("POST", "/v1/bundles?name=regional", author, text, "Content-Type", "application/gzip"); r.status != 422 || r.problem() != "invalid-bundle" {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	if list := i.bundles(author); len(list.Pushed) != 0 || len(list.Bundles) != 1 {
		t.Errorf("something was done: %+v", list)
	}
	files := with("us.scenario.yaml", fmt.Sprintf(scenario, "denied"))
	files["us.yaml"] = contract("us", "us", "")
	digest := i.pushed(author, "regional", files)
	if r := i.push(author, "other", files); r.status != 409 || r.problem() != "bundle-name-taken" {
		t.Errorf("the same files under another name: %d %s", r.status, r.body)
	}
	baseline := i.bundles(author).Bundles[0].Digest
	for name, test := range map[string]struct {
		path, body string
		status     int
		code       string
	}{
		"no reason":                    {digest + "/activate", `{"reason": " "}`, 400, "invalid-request"},
		"a previous that is none":      {digest + "/activate", `{"reason": "x", "previous": "abc"}`, 400, "invalid-request"},
		"one that was never pushed":    {strings.Repeat("0", 64) + "/activate", `{"reason": "x"}`, 404, "not-found"},
		"not a digest":                 {"regional/activate", `{"reason": "x"}`, 404, "not-found"},
		"the baseline put in force":    {baseline + "/activate", `{"reason": "x"}`, 404, "not-found"},
		"the baseline taken out":       {baseline + "/deactivate", `{"reason": "x"}`, 409, "baseline-bundle"},
		"the baseline rolled back":     {"rollback", `{"name": "baseline", "reason": "x"}`, 409, "baseline-bundle"},
		"nothing to roll back":         {"rollback", `{"name": "regional", "reason": "x"}`, 409, "nothing-to-roll-back"},
		"taken out before it was in":   {digest + "/deactivate", `{"reason": "x"}`, 409, "bundle-not-in-force"},
		"an approval that is no JWS":   {digest + "/activate", `{"reason": "x", "approval": "abc"}`, 422, "approval-invalid"},
		"another than found, rollback": {"rollback", `{"name": "regional", "reason": "x", "previous": "` + digest + `"}`, 409, "bundle-moved"},
	} {
		if r := i.call("POST", "/v1/bundles/"+test.path, approver, test.body); r.status != test.status || r.problem() != test.code {
			t.Errorf("%s: %d %s, want %d %s", name, r.status, r.body, test.status, test.code)
		}
	}
	if got := i.inForce(author); len(got) != 1 || got["baseline"] != baseline {
		t.Errorf("something is in force: %v", got)
	}
}

// A call that is repeated with its key does nothing twice: not even a rollback.
func TestRepeatedBundleCalls(t *testing.T) {
	i := start(t)
	token := i.token("acme", auth.Operator)
	text, first := tarball(t, refusing("us"))
	send := func(key, path, body, media string) reply {
		t.Helper()
		return i.call("POST", path, token, body, "Content-Type", media, "Idempotency-Key", key)
	}
	for _, call := range []struct{ key, path, body, media string }{
		{"1", "/v1/bundles?name=regional", text, "application/gzip"},
		{"2", "/v1/bundles/" + first + "/activate", `{"reason": "x"}`, "application/json"},
		{"3", "/v1/bundles/rollback", `{"name": "regional", "reason": "x"}`, "application/json"},
	} {
		one, two := send(call.key, call.path, call.body, call.media), send(call.key, call.path, call.body, call.media)
		if one.status >= 300 || one.status != two.status || string(one.body) != string(two.body) {
			t.Errorf("%s: %d %s, then %d %s", call.path, one.status, one.body, two.status, two.body)
		}
	}
	if got := i.inForce(token); got["regional"] != "" {
		t.Errorf("the rollback was done twice: %v", got)
	}
	if n := len(i.versions(token, "?name=regional")); n != 3 {
		t.Errorf("%d entries", n)
	}
}

// INV-CAIO-SEC-0004: a bundle of one tenant is nothing to another, who neither sees it, nor is decided under it, nor can do anything with it.
func TestBundlesOfTenants(t *testing.T) {
	i := start(t)
	acme, beta := i.token("acme", auth.Operator), i.token("beta", auth.Operator)
	i.register(beta, contract("us", "us", ""))
	digest := i.pushed(acme, "regional", refusing("us"))
	i.activate(acme, digest, `{"reason": "x"}`)
	if list := i.bundles(beta); len(list.Pushed) != 0 || len(list.Bundles) != 1 || len(i.versions(beta, "?name=regional")) != 0 {
		t.Errorf("beta sees %+v", list)
	}
	for _, path := range []string{"/activate", "/deactivate"} {
		other, none := i.call("POST", "/v1/bundles/"+digest+path, beta, `{"reason": "x"}`), i.call("POST", "/v1/bundles/"+strings.Repeat("0", 64)+path, beta, `{"reason": "x"}`)
		if other.status != 404 || string(other.body) != string(none.body) {
			t.Errorf("%s: another's %d %s, none %d %s", path, other.status, other.body, none.status, none.body)
		}
	}
	if r := i.call("GET", "/v1/bundles?tenant=acme", beta, ""); r.status != 403 {
		t.Errorf("another's by name: %d %s", r.status, r.body)
	}
	if a := i.decide(beta, embed); a.Outcome != verify.Routed {
		t.Errorf("beta is decided under acme's bundle: %+v", a)
	}
	// The same bundle under another name is beta's own, and the two don't share a name.
	i.activate(beta, i.pushed(beta, "geography", refusing("us")), `{"reason": "x"}`)
	if got := i.inForce(acme); got["regional"] != digest || got["geography"] != "" {
		t.Errorf("acme: %v", got)
	}
	if got := i.inForce(beta); got["geography"] != digest || got["regional"] != "" {
		t.Errorf("beta: %v", got)
	}
	for _, k := range i.bundles(beta).Constraints {
		if k.ID == "REGION" && k.Pos.File != "geography/regional.rego" {
			t.Errorf("beta is told of %s", k.Pos.File)
		}
	}
	// The installation's approvers act for a tenant by name; those of others don't.
	ours := i.token("default", auth.Approver)
	if r := i.call("POST", "/v1/bundles/"+digest+"/deactivate?tenant=acme", ours, `{"reason": "x"}`); r.status != 200 || i.inForce(acme)["regional"] != "" || i.inForce(beta)["geography"] == "" {
		t.Errorf("by the installation: %d %s", r.status, r.body)
	}
}

// A bundle whose tests do not end is refused when its time is over, and others wait no longer than that.
func TestTestsThatDoNotEnd(t *testing.T) {
	i := start(t, func(i *installation) { i.config.Limits.Gate = time.Second })
	token := i.token("acme", auth.Operator)
	files := refusing("us")
	files["endless_test.rego"] = "package caio.policy.regional\n\nimport rego.v2\n\ntest_endless if count([1 | some a in numbers.range(1, 30000); some b in numbers.range(1, 30000); a == b + 40000]) == 1\n"
	if r := i.push(token, "endless", files); r.status != 422 || r.problem() != "bundle-tests" {
		t.Errorf("%d %s", r.status, r.body)
	}
	i.pushed(token, "regional", refusing("us"))
}

// The tests of a bundle can't be allowed more time than a request has.
func TestGateLongerThanARequest(t *testing.T) {
	i := start(t)
	config := i.config
	config.Limits.Gate = 2 * server.DefaultLimits().Write
	if _, err := server.New(t.Context(), config); err == nil || !strings.Contains(err.Error(), "allow them less") {
		t.Errorf("%v", err)
	}
}
