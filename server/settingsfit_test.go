package server_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/server/auth"
)

// quota is a bundle of a tenant's own with one number among its settings, of which it takes no less than least.
func quota(least int) map[string]string {
	return map[string]string{
		".manifest":              `{"roots": ["caio/policy/quota", "caio/settings/quota", "policy/quota"]}`,
		"policy/quota/data.json": fmt.Sprintf(`{"micro_usd": %d}`, least),
		"schema.json": fmt.Sprintf(`{"type": "object", "required": ["caio"], "properties": {"caio": {"type": "object", "required": ["settings"], "properties": {"settings": {"type": "object", "required": ["quota"],
			"properties": {"quota": {"type": "object", "required": ["micro_usd"], "additionalProperties": false, "properties": {"micro_usd": {"type": "integer", "minimum": %d}}}}}}}}}`, least),
		"quota.rego": `package caio.policy.quota

import rego.v2

# METADATA
# title: Quota
# custom:
#   severity: low
#   controls: []
#   remedy: Ask for less.
violation["QUOTA"] contains "too dear" if input.estimate.cost_micro_usd > data.caio.settings.quota.micro_usd
`,
		"quota_test.rego": `package caio.policy.quota

import data.caio.testing
import rego.v2

test_dear if {
	count(violation["QUOTA"]) == 1 with input as testing.candidate({"estimate": {"cost_micro_usd": 8}}) with data.caio.settings.quota.micro_usd as 7
}
`,
	}
}

// Bundles and settings are held to one another, whichever comes second.
func TestSettingsAndBundlesFit(t *testing.T) {
	i := start(t)
	token := i.token("acme", auth.Operator)
	if r := i.call("PUT", "/v1/settings", token, settingsBody(`{"quota": {"micro_usd": 9}}`, "")); r.status != 400 || !strings.Contains(string(r.body), "unknown-setting") {
		t.Errorf("settings of no bundle: %d %s", r.status, r.body)
	}
	first := i.pushed(token, "quota", quota(1))
	// What waits can have its settings made ready.
	i.setSettings(token, `{"quota": {"micro_usd": 3}}`)
	i.activate(token, first, `{"reason": "x"}`)
	if got := i.settings(token, "").Effective["quota"]; fmt.Sprint(got) != "map[micro_usd:3]" {
		t.Errorf("%v", got)
	}
	if r := i.push(token, "quota", quota(5)); r.status != 422 || r.problem() != "bundle-unfit" || !strings.Contains(string(r.body), "/caio/settings/quota/micro_usd") {
		t.Errorf("a bundle that the settings in force don't satisfy: %d %s", r.status, r.body)
	}
	i.setSettings(token, `{"quota": {"micro_usd": 6}}`)
	second := i.pushed(token, "quota", quota(5))
	i.setSettings(token, `{"quota": {"micro_usd": 2}}`)
	if r := i.call("POST", "/v1/bundles/"+second+"/activate", token, `{"reason": "x"}`); r.status != 422 || r.problem() != "bundle-unfit" {
		t.Errorf("and at its activation: %d %s", r.status, r.body)
	}
	i.setSettings(token, `{"quota": {"micro_usd": 6}}`)
	i.activate(token, second, `{"reason": "x"}`)
	if r := i.call("PUT", "/v1/settings", token, settingsBody(`{"quota": {"micro_usd": 2}}`, "")); r.status != 400 || !strings.Contains(string(r.body), `"/settings/quota/micro_usd"`) {
		t.Errorf("settings that a bundle in force doesn't take: %d %s", r.status, r.body)
	}
	if r := i.call("POST", "/v1/settings/rollback", token, `{"revision": 2, "reason": "x"}`); r.status != 409 || r.problem() != "settings-unfit" {
		t.Errorf("%d %s", r.status, r.body)
	}
	if got := i.settings(token, "").Settings["quota"]; fmt.Sprint(got) != "map[micro_usd:6]" {
		t.Errorf("%v", got)
	}
}

// Whoever can write to the database puts no settings in force: a start holds the row to its entry, and the text to its digest.
func TestForgedSettings(t *testing.T) {
	for name, c := range map[string]struct{ statement, says string }{
		"nothing":           {"UPDATE logs SET size = size", ""},
		"another digest":    {"UPDATE events SET digest = (SELECT digest FROM events WHERE kind = 'settings' AND scope = '' AND tenant = 'default') WHERE kind = 'settings' AND scope = 'tenant'", "says something else than its entry"},
		"the configuration": {"UPDATE events SET scope = '' WHERE kind = 'settings' AND scope = 'tenant'", "says something else than its entry"},
		"another reason":    {"UPDATE events SET reason = 'x' WHERE kind = 'settings' AND scope = 'tenant'", "says something else than its entry"},
		"another text":      {`UPDATE blobs SET bytes = CAST('{"regional":{"allowed":["us"]}}' AS BLOB) WHERE kind = 'settings' AND tenant = 'default' AND bytes <> CAST('{}' AS BLOB)`, "not as caio left it"},
		"no text":           {"DELETE FROM blobs WHERE kind = 'settings' AND tenant = 'default' AND bytes <> CAST('{}' AS BLOB)", "not found"},
	} {
		t.Run(name, func(t *testing.T) {
			i := start(t, withRegional)
			i.setSettings(i.token("default", auth.Operator), onlyEU)
			i.stop()
			db, err := sql.Open("sqlite", i.path)
			must(t, err)
			result, err := db.Exec(c.statement)
			must(t, err)
			if n, err := result.RowsAffected(); n == 0 {
				t.Fatalf("nothing was changed: %v", err)
			}
			must(t, db.Close())
			switch err := i.reopen(i.path); {
			case c.says == "" && err != nil:
				t.Error(err)
			case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
				t.Errorf("got %v, want %s", err, c.says)
			}
		})
	}
}
