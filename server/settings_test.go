package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/smarthausgroup/caio/verify"
)

// regional is a bundle whose one rule reads the regions that its settings allow.
func regional(t testing.TB) *rego.Bundle {
	t.Helper()
	b, diagnostics := rego.ReadFS("regional", fstest.MapFS{
		".manifest":                 {Data: []byte(`{"roots": ["caio/policy/regional", "caio/settings/regional", "policy/regional"]}`)},
		"policy/regional/data.json": {Data: []byte(`{"allowed": ["eu", "us"]}`)},
		"schema.json": {Data: []byte(`{"type": "object", "required": ["caio"], "properties": {"caio": {"type": "object", "required": ["settings"], "properties": {"settings": {"type": "object", "required": ["regional"],
			"properties": {"regional": {"type": "object", "required": ["allowed"], "additionalProperties": false, "properties": {"allowed": {"type": "array", "items": {"type": "string"}}}}}}}}}}`)},
		"policy/regional/regional.rego": {Data: []byte(`package caio.policy.regional

import rego.v2

# METADATA
# title: Regions
# custom:
#   severity: high
#   controls: []
#   remedy: Choose another service.
violation["REGION"] contains msg if {
	some region in input.service.privacy.regions
	not region in data.caio.settings.regional.allowed
	msg := sprintf("%s is in %s", [input.service.id, region])
}
`)},
	})
	must(t, diagnostics.Err())
	return b
}

func withRegional(i *installation) { i.config.Bundles = append(i.config.Bundles, regional(i.t)) }

// settingsBody is a request that puts settings in force.
func settingsBody(settings, more string) string {
	return `{"settings": ` + settings + `, "reason": "the board decided"` + more + `}`
}

const (
	onlyEU = `{"regional": {"allowed": ["eu"]}}`
	onlyUS = `{"regional": {"allowed": ["us"]}}`
)

func (i *installation) setSettings(token, settings string) server.SettingsChange {
	i.t.Helper()
	return i.settingsChanged(i.call("PUT", "/v1/settings", token, settingsBody(settings, "")))
}

func (i *installation) settingsChanged(r reply) (change server.SettingsChange) {
	i.t.Helper()
	if r.status != http.StatusOK {
		i.t.Fatalf("%d %s\n%s", r.status, r.body, i.logs)
	}
	r.into(i.t, &change)
	return change
}

func (i *installation) settings(token, query string) (answer server.SettingsAnswer) {
	i.t.Helper()
	i.call("GET", "/v1/settings"+query, token, "").into(i.t, &answer)
	return answer
}

func (i *installation) settingsVersions(token, query string) (list server.SettingsVersionList) {
	i.t.Helper()
	i.call("GET", "/v1/settings/versions"+query, token, "").into(i.t, &list)
	return list
}

func TestSettings(t *testing.T) {
	i := start(t, withRegional)
	token := i.token("default", auth.Operator)
	i.register(token, contract("us", "us", ""))
	if a := i.decide(token, embed); a.Outcome != "routed" {
		t.Fatalf("%+v", a)
	}
	before := i.settings(token, "")
	if before.Scope != "" || before.InForce.Revision != 1 || fmt.Sprint(before.Effective["regional"]) != "map[allowed:[eu us]]" || before.Schema["properties"].(map[string]any)["regional"] == nil {
		t.Errorf("%+v", before)
	}
	change := i.setSettings(token, onlyEU)
	if change.Revision != 2 || change.Previous != before.InForce.Digest || change.Unchanged || change.Index == nil {
		t.Errorf("%+v", change)
	}
	denied := i.decide(token, embed)
	if denied.Outcome != "denied" || denied.Denied.Violations[0].ID != "REGION" {
		t.Fatalf("%+v", denied)
	}
	after := i.settings(token, "")
	if after.Scope != "tenant" || after.InForce.Digest != change.Settings || after.InForce.Index != *change.Index || fmt.Sprint(after.Effective["regional"]) != "map[allowed:[eu]]" {
		t.Errorf("%+v", after)
	}
	if again := i.setSettings(token, onlyEU); !again.Unchanged || *again.Index != *change.Index || again.Revision != 2 {
		t.Errorf("the same again: %+v", again)
	}
	if moved := i.call("PUT", "/v1/settings", token, settingsBody(onlyUS, `, "previous": "`+before.InForce.Digest+`"`)); moved.status != 409 || moved.problem() != "settings-moved" {
		t.Errorf("%d %s", moved.status, moved.body)
	}
	i.settingsChanged(i.call("PUT", "/v1/settings", token, settingsBody(onlyUS, `, "previous": "`+change.Settings+`"`)))
	if a := i.decide(token, embed); a.Outcome != "routed" {
		t.Errorf("%+v", a)
	}
	back := i.settingsChanged(i.call("POST", "/v1/settings/rollback", token, `{"revision": 2, "reason": "it was right"}`))
	if back.Settings != change.Settings || back.Revision != 4 || i.decide(token, embed).Outcome != "denied" {
		t.Errorf("%+v", back)
	}
	reset := i.settingsChanged(i.call("POST", "/v1/settings/reset", token, `{"reason": "as configured"}`))
	if reset.Settings != before.InForce.Digest || i.settings(token, "").Scope != "" || i.decide(token, embed).Outcome != "routed" {
		t.Errorf("%+v", reset)
	}
	checkEvidence(t, i, token, denied, i.trust("default"))
}

func (i *installation) trust(tenant string) verify.Trust {
	i.t.Helper()
	trust, err := i.server.Trust(i.t.Context(), tenant)
	must(i.t, err)
	return trust
}

// Whatever is wrong is told at its place, and changes nothing.
func TestSettingsRefused(t *testing.T) {
	i := start(t, withRegional)
	token := i.token("default", auth.Approver)
	for name, c := range map[string]struct {
		body, code, says string
	}{
		"another type":    {settingsBody(`{"regional": {"allowed": "eu"}}`, ""), "invalid-settings", `"pointer":"/settings/regional/allowed"`},
		"an element":      {settingsBody(`{"regional": {"allowed": ["eu", 5]}}`, ""), "invalid-settings", `"pointer":"/settings/regional/allowed/1"`},
		"misspelt":        {settingsBody(`{"regional": {"alowed": []}}`, ""), "invalid-settings", `did you mean \"allowed\"?`},
		"pack misspelt":   {settingsBody(`{"regoinal": {}}`, ""), "invalid-settings", `did you mean \"regional\"?`},
		"a coefficient":   {settingsBody(`{"calculus": {"balanced": {"alpha": 900}}}`, ""), "invalid-settings", `replayable by anybody from the published equation`},
		"its code":        {settingsBody(`{"lambda": 1}`, ""), "invalid-settings", `"code":"coefficients-fixed"`},
		"core":            {settingsBody(`{"core": {"require_labels": true}}`, ""), "invalid-settings", `did you mean \"require_label\"?`},
		"a null":          {settingsBody(`{"regional": null}`, ""), "invalid-settings", `"pointer":"/settings/regional"`},
		"no map":          {settingsBody(`["regional"]`, ""), "invalid-settings", `"pointer":"/settings"`},
		"twice":           {settingsBody(`{"regional": {}, "regional": {}}`, ""), "invalid-request", "/settings/regional"},
		"no settings":     {`{"reason": "x"}`, "invalid-request", "/settings"},
		"no reason":       {`{"settings": {}, "reason": " "}`, "invalid-request", "/reason"},
		"another key":     {settingsBody(`{}`, `, "force": true`), "invalid-request", "/force"},
		"no digest":       {settingsBody(`{}`, `, "previous": "latest"`), "invalid-request", "/previous"},
		"a great number":  {settingsBody(`{"regional": {"allowed": [1e400]}}`, ""), "invalid-settings", "/settings/regional/allowed/0"},
		"of the calculus": {settingsBody(`{"regional": {"weights": {}}}`, ""), "invalid-settings", `"code":"coefficients-fixed"`},
	} {
		if r := i.call("PUT", "/v1/settings", token, c.body); r.status != 400 || r.problem() != c.code || !strings.Contains(string(r.body), c.says) {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	for _, body := range []string{`{"revision": 2, "reason": "x"}`, `{"revision": 0, "reason": "x"}`} {
		if r := i.call("POST", "/v1/settings/rollback", token, body); r.status != 404 {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
	if versions := i.settingsVersions(token, ""); len(versions.Versions) != 1 {
		t.Errorf("%+v", versions)
	}
}

func TestSettingsHistory(t *testing.T) {
	i := start(t, withRegional)
	token := i.token("acme", auth.Approver)
	var want []string
	for _, allowed := range []string{"eu", "us", "eu", "ch"} {
		want = append(want, i.setSettings(token, `{"regional": {"allowed": ["`+allowed+`"]}}`).Settings)
	}
	var got []string
	for query := "?limit=2"; ; {
		page := i.settingsVersions(token, query)
		for _, v := range page.Versions {
			got = append(got, v.Digest)
			if int64(len(got)) != v.Revision || (v.Scope == "tenant") != (v.Revision > 1) || v.Revision > 1 && (v.Actor != "someone@acme.example" || v.Reason != "the board decided" || v.Time == "") {
				t.Errorf("%+v", v)
			}
		}
		if page.Next == "" {
			break
		}
		query = "?limit=2&cursor=" + page.Next
	}
	if !slices.Equal(got[1:], want) || want[0] != want[2] {
		t.Errorf("got %v, want %v", got, want)
	}
	var third server.SettingsRevision
	i.call("GET", "/v1/settings/versions/3", token, "").into(t, &third)
	if third.Digest != want[1] || fmt.Sprint(third.Content) != "map[regional:map[allowed:[us]]]" {
		t.Errorf("%+v", third)
	}
	for _, no := range []string{"0", "6", "-1", "x", "99999999999999999999"} {
		if r := i.call("GET", "/v1/settings/versions/"+no, token, ""); r.status != 404 {
			t.Errorf("%s: %d %s", no, r.status, r.body)
		}
	}
	// A repeated key gives the first answer, and one entry.
	first := i.call("POST", "/v1/settings/rollback", token, `{"revision": 2, "reason": "x"}`, "Idempotency-Key", "k")
	i.setSettings(token, onlyUS)
	second := i.call("POST", "/v1/settings/rollback", token, `{"revision": 2, "reason": "x"}`, "Idempotency-Key", "k")
	if first.status != 200 || !bytes.Equal(first.body, second.body) || len(i.settingsVersions(token, "").Versions) != 7 {
		t.Errorf("%s\n%s", first.body, second.body)
	}
}

// What a tenant's people put in force stays over a restart, whatever the configuration says by then; until they do, the configuration is followed.
func TestSettingsOverRestarts(t *testing.T) {
	configured := func(settings map[string]any) option {
		return func(i *installation) { i.config.Settings = settings }
	}
	regions := func(names ...any) map[string]any {
		return map[string]any{"regional": map[string]any{"allowed": names}}
	}
	i := start(t, withRegional, configured(regions("eu")))
	own, follows := i.token("own", auth.Operator), i.token("follows", auth.Operator)
	i.register(own, contract("a", "us", ""))
	i.register(follows, contract("a", "us", ""))
	change := i.setSettings(own, onlyUS)
	i.stop()
	i = startAt(t, i.path, i, withRegional, configured(regions("ch")))
	if got := i.settings(own, ""); got.InForce.Digest != change.Settings || got.InForce.Revision != 2 || i.decide(own, embed).Outcome != "routed" {
		t.Errorf("%+v", got)
	}
	if got := i.settings(follows, ""); got.Scope != "" || got.InForce.Revision != 2 || fmt.Sprint(got.Settings) != "map[regional:map[allowed:[ch]]]" || i.decide(follows, embed).Outcome != "denied" {
		t.Errorf("%+v", got)
	}
	i.settingsChanged(i.call("POST", "/v1/settings/reset", own, `{"reason": "as all"}`))
	i.stop()
	i = startAt(t, i.path, i, withRegional, configured(regions("us")))
	if got := i.settings(own, ""); got.Scope != "" || fmt.Sprint(got.Settings) != "map[regional:map[allowed:[us]]]" {
		t.Errorf("%+v", got)
	}
}

// The baseline that comes with a restart may not take a tenant's settings: then that tenant alone stands still, and other settings mend it.
func TestSettingsThatNoLongerFit(t *testing.T) {
	i := start(t, withRegional)
	own, other := i.token("own", auth.Operator), i.token("default", auth.Operator)
	i.register(own, contract("a", "us", ""))
	i.register(other, contract("a", "us", ""))
	i.setSettings(own, onlyUS)
	i.stop()
	stricter := func(i *installation) {
		b := regional(i.t)
		files := map[string][]byte{}
		for _, f := range b.Files {
			files[f.Path] = bytes.Replace(f.Text, []byte(`"items": {"type": "string"}`), []byte(`"items": {"enum": ["eu", "ch"]}`), 1)
			files[f.Path] = bytes.Replace(files[f.Path], []byte(`["eu", "us"]`), []byte(`["eu", "ch"]`), 1)
		}
		changed, diagnostics := rego.ReadFiles("regional", files)
		must(i.t, diagnostics.Err())
		i.config.Bundles = append(i.config.Bundles, changed)
	}
	i = startAt(t, i.path, i, stricter)
	if r := i.call("POST", "/v1/decisions", own, embed); r.status != 503 || r.problem() != "policies-unfit" {
		t.Errorf("%d %s", r.status, r.body)
	}
	if a := i.decide(other, embed); a.Outcome != "denied" {
		t.Errorf("%+v", a)
	}
	if got := i.settings(own, ""); fmt.Sprint(got.Settings) != "map[regional:map[allowed:[us]]]" {
		t.Errorf("%+v", got)
	}
	if r := i.call("POST", "/v1/settings/rollback", own, `{"revision": 2, "reason": "x"}`); r.status != 409 || r.problem() != "settings-unfit" {
		t.Errorf("%d %s", r.status, r.body)
	}
	i.setSettings(own, onlyEU)
	if a := i.decide(own, embed); a.Outcome != "denied" {
		t.Errorf("%+v", a)
	}
}

func TestLockedSettings(t *testing.T) {
	i := start(t, withRegional, func(i *installation) { i.config.LockedSettings = []string{"regional"} })
	tenants, installations := i.token("acme", auth.Approver), i.token("default", auth.Approver)
	refused := i.call("PUT", "/v1/settings", tenants, settingsBody(onlyEU, ""))
	if refused.status != 403 || refused.problem() != "settings-locked" || !strings.Contains(string(refused.body), `"/settings/regional"`) {
		t.Errorf("%d %s", refused.status, refused.body)
	}
	i.setSettings(tenants, `{"core": {"labels": ["telemetry"]}}`)
	if r := i.call("PUT", "/v1/settings?tenant=acme", tenants, settingsBody(onlyEU, "")); r.status != 403 {
		t.Errorf("%d %s", r.status, r.body)
	}
	// Naming oneself is no way around.
	if r := i.call("PUT", "/v1/settings?tenant=default", tenants, settingsBody(onlyEU, "")); r.status != 403 || r.problem() != "forbidden" {
		t.Errorf("%d %s", r.status, r.body)
	}
	i.settingsChanged(i.call("PUT", "/v1/settings?tenant=acme", installations, settingsBody(onlyEU, "")))
	if got := i.settings(tenants, ""); fmt.Sprint(got.Settings) != "map[regional:map[allowed:[eu]]]" || !slices.Equal(got.Locked, []string{"regional"}) {
		t.Errorf("%+v", got)
	}
	for call, body := range map[string]string{"rollback": `{"revision": 2, "reason": "x"}`, "reset": `{"reason": "x"}`} {
		if r := i.call("POST", "/v1/settings/"+call, tenants, body); r.status != 403 || r.problem() != "settings-locked" {
			t.Errorf("%s: %d %s", call, r.status, r.body)
		}
	}
	i.setSettings(tenants, `{"regional": {"allowed": ["eu"]}, "core": {"labels": ["telemetry"]}}`)
	if last := i.settingsVersions(tenants, "").Versions; last[len(last)-2].Actor != "someone@default.example" {
		t.Errorf("%+v", last)
	}
}

// Where a pack is locked later, a tenant may give up what its own people set there, and not what the installation's did.
func TestSettingsLockedLater(t *testing.T) {
	i := start(t, withRegional)
	tenants, installations := i.token("acme", auth.Approver), i.token("default", auth.Approver)
	reset := func() reply {
		t.Helper()
		return i.call("POST", "/v1/settings/reset", tenants, `{"reason": "as configured"}`)
	}
	core := `{"core": {"labels": ["telemetry"]}}`
	i.setSettings(tenants, core)
	i.setSettings(tenants, `{"regional": {"allowed": ["eu"]}, "core": {"labels": ["telemetry"]}}`)
	i.stop()
	locked := func(i *installation) { i.config.LockedSettings = []string{"core"} }
	i = startAt(t, i.path, i, withRegional, locked)
	if r := i.call("PUT", "/v1/settings", tenants, settingsBody(onlyEU, "")); r.status != 403 || r.problem() != "settings-locked" {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := reset(); r.status != 200 || i.settings(tenants, "").Scope != "" {
		t.Errorf("what the tenant's own people set: %d %s", r.status, r.body)
	}
	i.settingsChanged(i.call("PUT", "/v1/settings?tenant=acme", installations, settingsBody(core, "")))
	i.setSettings(tenants, `{"regional": {"allowed": ["us"]}, "core": {"labels": ["telemetry"]}}`)
	if r := reset(); r.status != 403 || r.problem() != "settings-locked" {
		t.Errorf("what the installation's people set: %d %s", r.status, r.body)
	}
	i.settingsChanged(i.call("POST", "/v1/settings/reset?tenant=acme", installations, `{"reason": "as configured"}`))
	if got := i.settings(tenants, ""); got.Scope != "" || len(got.Settings) != 0 {
		t.Errorf("%+v", got)
	}
}

// The settings of one tenant are not those of another, nor is their history.
func TestSettingsOfTenants(t *testing.T) {
	i := start(t, withRegional)
	acme, beta := i.token("acme", auth.Operator), i.token("beta", auth.Operator)
	before := i.settings(beta, "")
	i.setSettings(acme, onlyEU)
	if after := i.settings(beta, ""); after.InForce != before.InForce || len(i.settingsVersions(beta, "").Versions) != 1 {
		t.Errorf("%+v", after)
	}
	for _, call := range []string{"GET /v1/settings", "GET /v1/settings/versions", "GET /v1/settings/versions/2"} {
		method, path, _ := strings.Cut(call, " ")
		if r := i.call(method, path+"?tenant=acme", beta, ""); r.status != 403 {
			t.Errorf("%s: %d %s", call, r.status, r.body)
		}
	}
	if got := i.settings(i.token("default", auth.Approver), "?tenant=acme"); fmt.Sprint(got.Settings) != "map[regional:map[allowed:[eu]]]" {
		t.Errorf("%+v", got)
	}
}

// Of two changes made from the same settings one is made, and the other told so.
func TestSettingsRace(t *testing.T) {
	i := start(t, withRegional)
	token := i.token("default", auth.Operator)
	for round := range 5 {
		previous := i.settings(token, "").InForce
		statuses := make([]int, 8)
		var people sync.WaitGroup
		for n := range statuses {
			people.Go(func() {
				r, err := i.try("PUT", "/v1/settings", token, settingsBody(fmt.Sprintf(`{"regional": {"allowed": ["r%d-%d"]}}`, round, n), `, "previous": "`+previous.Digest+`"`))
				if err == nil {
					statuses[n] = r.status
				}
			})
		}
		people.Wait()
		slices.Sort(statuses)
		if !slices.Equal(statuses, []int{200, 409, 409, 409, 409, 409, 409, 409}) {
			t.Fatalf("%v", statuses)
		}
		if now := i.settings(token, "").InForce; now.Revision != previous.Revision+1 {
			t.Errorf("%+v after %+v", now, previous)
		}
	}
	// Without it the last one stands, and each is there whole.
	var people sync.WaitGroup
	for n := range 8 {
		people.Go(func() {
			if r, err := i.try("PUT", "/v1/settings", token, settingsBody(fmt.Sprintf(`{"regional": {"allowed": ["s%d"]}}`, n), "")); err != nil || r.status != 200 {
				t.Errorf("%v %d %s", err, r.status, r.body)
			}
		})
	}
	people.Wait()
	if versions := i.settingsVersions(token, "").Versions; len(versions) != 14 {
		t.Errorf("%d versions", len(versions))
	}
}

// While settings change, every decision names one version of them, and follows from it.
func TestSettingsUnderLoad(t *testing.T) {
	i := start(t, withRegional)
	token := i.token("default", auth.Operator)
	i.register(token, contract("eu", "eu", ""))
	i.register(token, contract("us", "us", ""))
	done := make(chan struct{})
	var answers [4][]server.Answer
	var deciders sync.WaitGroup
	for n := range answers {
		deciders.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				r, err := i.try("POST", "/v1/decisions", token, embed)
				if err != nil || r.status != 200 {
					t.Errorf("%v %d %s", err, r.status, r.body)
					return
				}
				var a server.Answer
				if err := json.Unmarshal(r.body, &a); err != nil {
					t.Error(err)
				}
				answers[n] = append(answers[n], a)
			}
		})
	}
	for range 10 {
		i.setSettings(token, onlyEU)
		i.setSettings(token, onlyUS)
	}
	close(done)
	deciders.Wait()
	trust, seen := i.trust("default"), map[string]int{}
	for _, a := range slices.Concat(answers[:]...) {
		var document struct{ Settings verify.Reference }
		i.call("GET", "/v1/decisions/"+a.DecisionID+"/document", token, "").into(t, &document)
		if seen[document.Settings.Digest]++; seen[document.Settings.Digest] > 20 {
			continue
		}
		allowed := i.revision(token, document.Settings.Revision)
		if want := `map[regional:map[allowed:[` + a.Service.ID + `]]]`; document.Settings.Revision > 1 && allowed != want {
			t.Errorf("%s was routed to %s under %s", a.DecisionID, a.Service.ID, allowed)
		}
		checkEvidence(t, i, token, a, trust)
	}
	if len(seen) < 2 {
		t.Errorf("decisions were made under %d settings only", len(seen))
	}
}

// revision is what the settings of a revision say.
func (i *installation) revision(token string, n int64) string {
	i.t.Helper()
	var r server.SettingsRevision
	i.call("GET", fmt.Sprint("/v1/settings/versions/", n), token, "").into(i.t, &r)
	return fmt.Sprint(r.Content)
}
