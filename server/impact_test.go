package server_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine/impact"
	"github.com/smarthausgroup/caio/engine/impact/export"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/server/auth"
)

// trusting is a bundle that refuses services which nobody looked at.
func trusting() map[string]string {
	return map[string]string{
		".manifest": `{"revision": "1", "roots": ["caio/policy/trusting"]}`,
		"trusting.rego": `package caio.policy.trusting

import rego.v2

# METADATA
# title: Looked at
# custom: {severity: high, controls: [], remedy: Ask for an attestation.}
violation["LOOKED-AT"] contains sprintf("nobody looked at %s", [input.service.id]) if input.service.attestation == "self"
`,
		"trusting_test.rego": `package caio.policy.trusting

import data.caio.testing
import rego.v2

test_refused if count(violation["LOOKED-AT"]) == 1 with input as testing.given({}, {"attestation": "self"})

test_taken if count(violation["LOOKED-AT"]) == 0 with input as testing.given({}, {"attestation": "audited"})
`,
	}
}

// changing makes sixteen decisions while the registry changes: over eu alone; over eu, and us, which is dearer; over both, somebody having looked at eu; over another contract of eu, the dearest, which nobody has looked at.
func (i *installation) changing() {
	operator := i.token("default", auth.Operator)
	ask := func() {
		for _, body := range []string{
			embed, `{"intent": {"type": "embeddings", "text": "a question"}, "data": {"labels": ["pii"]}}`, `{"intent": {"type": "search"}}`, `{"intent": {"type": "embeddings"}, "exclude": ["eu"]}`,
		} {
			i.decide(operator, body)
		}
	}
	eu := i.register(operator, priced("eu", "0.001"))
	ask()
	i.register(operator, priced("us", "0.01"))
	ask()
	if r := i.attest(operator, "eu", "", eu.Contract, contracts.Audited); r.status != http.StatusOK {
		i.t.Fatalf("%d %s", r.status, r.body)
	}
	ask()
	i.register(operator, priced("eu", "0.5"))
	ask()
}

// priced is the contract of a service of a region, both of one name, at a price a call.
func priced(region, price string) string {
	return strings.Replace(contract(region, region, ""), "per_call: 0.001", "per_call: "+price, 1)
}

func (i *installation) impact(token, digest, body string) impact.Answer {
	i.t.Helper()
	r := i.call("POST", "/v1/bundles/"+digest+"/impact", token, body)
	if r.status != http.StatusOK {
		i.t.Fatalf("%d %s\n%s", r.status, r.body, i.logs)
	}
	var answer impact.Answer
	r.into(i.t, &answer)
	return answer
}

// TestImpact tries rules that read regions and attestations on decisions that were made while both changed.
func TestImpact(t *testing.T) {
	i := start(t)
	i.changing()
	operator := i.token("default", auth.Operator)
	before := strings.Count(i.leaves("default"), "\n")

	answer := i.impact(operator, i.pushed(operator, "regional", refusing("us")), `{"examples": 2}`)
	// us is lost where eu is excluded, and where eu was dearer; elsewhere it had not won, or was not there.
	if want := (impact.Counts{Total: 16, Changed: 4, RoutedToDenied: 3, AnotherService: 1, OtherConstraints: 5, Unchanged: 7}); answer.Counts != want || fmt.Sprint(answer.Services) != "[{us 4 0} {eu 0 1}]" {
		t.Errorf("%+v, not %+v: %v", answer.Counts, want, answer.Services)
	}
	if rules := answer.Rules[0]; len(answer.Rules) != 1 || len(rules.Candidate.Bundles) != len(rules.InForce.Bundles)+1 || rules.Candidate.Settings != rules.InForce.Settings {
		t.Errorf("%+v", answer.Rules)
	}
	e := answer.Examples[0]
	if e.Kind != impact.RoutedToDenied || e.Differences[0].Remedy != "Choose a service elsewhere." || e.After.Decision.Outcome != "denied" || len(answer.Examples) != 5 {
		t.Errorf("%+v", answer.Examples)
	}
	if r := i.call("GET", e.Before.Explanation, operator, ""); r.status != http.StatusOK || !bytes.Contains(r.body, []byte(e.DecisionID)) {
		t.Errorf("the stored explanation: %d %s", r.status, r.body)
	}

	answer = i.impact(operator, i.pushed(operator, "trusting", trusting()), `{}`)
	// Somebody had looked at eu in the third round alone.
	if want := (impact.Counts{Total: 16, Changed: 9, RoutedToDenied: 9, OtherConstraints: 2, Unchanged: 5}); answer.Counts != want {
		t.Errorf("%+v, not %+v", answer.Counts, want)
	}
	if after := strings.Count(i.leaves("default"), "\n"); after != before+2 {
		t.Errorf("besides the two bundles that were pushed %d entries were written", after-before-2)
	}
}

// TestImpactComesTrue activates what was tried, and decides the same again: it comes out as the report said.
func TestImpactComesTrue(t *testing.T) {
	i := start(t)
	operator := i.token("default", auth.Operator)
	i.register(operator, contract("eu", "eu", ""))
	i.register(operator, contract("us", "us", ""))
	bodies := []string{embed, `{"intent": {"type": "embeddings"}, "data": {"labels": ["pii"]}}`, `{"intent": {"type": "embeddings"}, "exclude": ["us"]}`, `{"intent": {"type": "weapons"}, "requirements": {"capabilities": ["embeddings"]}}`}
	outcome := func(a server.Answer) string {
		if a.Service == nil {
			return "denied"
		}
		return a.Service.ID
	}
	before := map[string]string{}
	var ids []string
	for _, body := range bodies {
		a := i.decide(operator, body)
		ids, before[a.DecisionID] = append(ids, a.DecisionID), outcome(a)
	}
	digest := i.pushed(operator, "regional", refusing("eu"))
	said := map[string]string{}
	for _, e := range i.impact(operator, digest, `{}`).Examples {
		said[e.DecisionID] = e.After.Service
		if e.After.Outcome == "denied" {
			said[e.DecisionID] = "denied"
		}
	}
	i.activate(operator, digest, `{"reason": "tried"}`)
	changed := 0
	for n, body := range bodies {
		want, ok := said[ids[n]]
		if !ok {
			want = before[ids[n]]
		}
		if got := outcome(i.decide(operator, body)); got != want {
			t.Errorf("%s: %s, and the report said %s", body, got, want)
		}
		if want != before[ids[n]] {
			changed++
		}
	}
	if changed == 0 {
		t.Error("nothing changed")
	}
	// Now the rules in force give the candidate's result for what was decided before.
	answer := i.impact(operator, digest, `{}`)
	if answer.Changed != int64(changed) || answer.Already != answer.Changed || answer.OtherRules != int64(len(bodies)) || answer.Total != int64(2*len(bodies)) {
		t.Errorf("%+v", answer.Report)
	}
}

// somewhere is a bundle that lets services in by their regions, which are settings.
func somewhere(i *installation) {
	b, faults := rego.ReadFiles("somewhere", map[string][]byte{
		".manifest":                  []byte(`{"roots": ["caio/policy/somewhere", "caio/settings/somewhere", "policy/somewhere"]}`),
		"policy/somewhere/data.json": []byte(`{"regions": ["eu", "us"]}`),
		"policy/somewhere/s.rego":    []byte("package caio.policy.somewhere\n\nimport rego.v2\n\n# METADATA\n# title: Somewhere\n# custom: {severity: low, controls: [], remedy: Elsewhere.}\nviolation[\"SOMEWHERE\"] contains \"not there\" if {\n\tsome region in input.service.privacy.regions\n\tnot region in data.caio.settings.somewhere.regions\n}\n"),
		"schema.json": []byte(`{"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "required": ["caio"], "properties": {"caio": {"type": "object", "required": ["settings"], "properties": {"settings": {"type": "object", "required": ["somewhere"],
			"properties": {"somewhere": {"type": "object", "additionalProperties": false, "required": ["regions"], "properties": {"regions": {"type": "array", "items": {"type": "string"}}}}}}}}}}`),
	})
	must(i.t, faults.Err())
	i.config.Bundles = append(i.config.Bundles, b)
}

func (i *installation) settingsImpact(token, body string) impact.Answer {
	i.t.Helper()
	r := i.call("POST", "/v1/settings/impact", token, body)
	if r.status != http.StatusOK {
		i.t.Fatalf("%d %s", r.status, r.body)
	}
	var answer impact.Answer
	r.into(i.t, &answer)
	return answer
}

// TestImpactWithoutContent erases what was asked: who wins is known as long as everybody who survives was scored when it was decided, or is alone.
func TestImpactWithoutContent(t *testing.T) {
	i := start(t, somewhere)
	operator := i.token("default", auth.Operator)
	i.register(operator, priced("eu", "0.001"))
	i.register(operator, priced("us", "0.01"))
	i.register(operator, priced("ap", "0.02"))
	i.decide(operator, `{"intent": {"type": "embeddings", "text": "secret words"}}`)
	i.decide(operator, `{"intent": {"type": "search", "text": "others"}}`)
	db, err := sql.Open("sqlite", "file:"+i.path)
	must(t, err)
	erased, err := db.Exec("DELETE FROM disclosures")
	must(t, err)
	if n, err := erased.RowsAffected(); n != 2 || err != nil {
		t.Fatalf("%d were erased, %v", n, err)
	}
	must(t, db.Close())
	for regions, want := range map[string]impact.Counts{
		`"eu"`:             {Total: 2, Unchanged: 1, OtherConstraints: 1},
		`"us"`:             {Total: 2, Unchanged: 1, Changed: 1, AnotherService: 1},
		`"ap"`:             {Total: 2, Unchanged: 1, Changed: 1, AnotherService: 1},
		`"eu", "us", "ap"`: {Total: 2, Unchanged: 1, WinnerUnknown: 1},
		``:                 {Total: 2, Unchanged: 1, Changed: 1, RoutedToDenied: 1},
	} {
		answer := i.settingsImpact(operator, `{"settings": {"somewhere": {"regions": [`+regions+`]}}}`)
		if answer.Counts != want {
			t.Errorf("%s: %+v, not %+v", regions, answer.Counts, want)
		}
		if want.WinnerUnknown > 0 && (!answer.Examples[0].After.WinnerUnknown || answer.Examples[0].After.Service != "") {
			t.Errorf("%+v", answer.Examples)
		}
	}
}

// TestImpactHoldsDocuments: a document that decodes, and is not the one that was signed, is not decided again and not exported; one that was erased is counted apart, and left out of an export.
func TestImpactHoldsDocuments(t *testing.T) {
	i := start(t, somewhere)
	operator := i.token("default", auth.Operator)
	i.register(operator, priced("eu", "0.001"))
	for n := range 4 {
		i.decide(operator, about("a", fmt.Sprintf("person-%d", n)))
	}
	const candidate = `{"settings": {"somewhere": {"regions": ["us"]}}}`
	if r := i.erase(operator, "person-3", true); r.status != 201 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if answer, want := i.settingsImpact(operator, candidate), (impact.Counts{Total: 4, Changed: 3, RoutedToDenied: 3, Erased: 1}); answer.Counts != want || len(answer.Failures) != 0 {
		t.Errorf("%+v, not %+v: %+v", answer.Counts, want, answer.Failures)
	}
	if n, err := decisionsIn(i.call("GET", "/v1/decisions/export", operator, "").body); n != 3 || err != nil {
		t.Errorf("%d were exported, %v", n, err)
	}
	i.edit(
		"UPDATE entries SET document = CAST(replace(CAST(document AS TEXT), '\"trust\"', '\"truss\"') AS BLOB) WHERE idx = (SELECT idx FROM decisions ORDER BY id LIMIT 1)",
		"UPDATE entries SET document = (SELECT e.document FROM entries e JOIN decisions d ON d.idx = e.idx ORDER BY d.id LIMIT 1 OFFSET 2) WHERE idx = (SELECT idx FROM decisions ORDER BY id LIMIT 1 OFFSET 1)",
	)
	answer := i.settingsImpact(operator, candidate)
	if want := (impact.Counts{Total: 4, Changed: 1, RoutedToDenied: 1, Erased: 1, Errors: 2}); answer.Counts != want || len(answer.Failures) != 2 {
		t.Errorf("%+v, not %+v: %+v", answer.Counts, want, answer.Failures)
	}
	for _, failure := range answer.Failures {
		if !strings.Contains(failure.Error, "and its statement says") {
			t.Errorf("%+v", failure)
		}
	}
	if n, err := decisionsIn(i.call("GET", "/v1/decisions/export", operator, "").body); err == nil {
		t.Errorf("an export of changed documents was taken for a whole one of %d", n)
	}
}

// TestImpactCountsErrors: a document that is gone or damaged is an error, not left out.
func TestImpactCountsErrors(t *testing.T) {
	i := start(t, somewhere)
	operator := i.token("default", auth.Operator)
	i.register(operator, priced("eu", "0.001"))
	for range 4 {
		i.decide(operator, embed)
	}
	db, err := sql.Open("sqlite", "file:"+i.path)
	must(t, err)
	for n, change := range []string{"document = NULL", "document = x'7b7d'"} {
		_, err = db.Exec("UPDATE entries SET "+change+" WHERE idx = (SELECT idx FROM decisions ORDER BY id LIMIT 1 OFFSET ?)", n+1)
		must(t, err)
	}
	answer := i.settingsImpact(operator, `{"settings": {"somewhere": {"regions": ["us"]}}}`)
	if want := (impact.Counts{Total: 4, Changed: 2, RoutedToDenied: 2, Errors: 2}); answer.Counts != want || len(answer.Failures) != 2 || !strings.Contains(answer.Failures[0].Error, "no entry says that it was erased") {
		t.Errorf("%+v, not %+v: %+v", answer.Counts, want, answer.Failures)
	}
	// An export of them has no end.
	r := i.call("GET", "/v1/decisions/export", operator, "")
	if n, err := decisionsIn(r.body); err == nil {
		t.Errorf("an export of damaged decisions was taken for a whole one of %d", n)
	}
	// Where the log says of another contract that it was in force, nothing is decided on this one.
	_, err = db.Exec("UPDATE events SET digest = ? WHERE subject = 'eu'", strings.Repeat("0", 64))
	must(t, err)
	must(t, db.Close())
	if answer := i.settingsImpact(operator, `{"settings": {}}`); answer.Errors != 4 {
		t.Errorf("%+v: %+v", answer.Counts, answer.Failures)
	}
}

func decisionsIn(file []byte) (n int, err error) {
	r, err := export.NewReader(bytes.NewReader(file))
	for err == nil {
		if _, err = r.Next(); err == nil {
			n++
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// tokenAt is a token of the operator of a tenant at some time.
func (i *installation) tokenAt(at time.Time, tenant string) string {
	i.t.Helper()
	token, err := i.issuer.Token(principal(tenant, auth.Operator), at.Add(-time.Second), time.Hour)
	must(i.t, err)
	return token
}

func TestImpactOfATime(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	clock := now.Add(-40 * 24 * time.Hour)
	i := start(t, somewhere, func(i *installation) { i.config.Clock = func() time.Time { return clock } })
	operator := i.tokenAt(clock, "default")
	i.register(operator, priced("eu", "0.001"))
	for _, ago := range []time.Duration{40 * 24 * time.Hour, 7*24*time.Hour + time.Millisecond, 7 * 24 * time.Hour, 12 * time.Hour, time.Minute} {
		clock = now.Add(-ago)
		i.decide(i.tokenAt(clock, "default"), embed)
	}
	clock = now
	operator = i.tokenAt(clock, "default")
	for span, want := range map[string]int64{
		``: 5, `"since": "7d",`: 3, `"since": "1w",`: 3, `"since": "12h",`: 2, `"since": "9999w",`: 5,
		`"from": "2026-11-15T12:00:00Z",`: 3, `"to": "2026-11-15T12:00:00Z",`: 2, `"from": "2026-11-15T12:00:00Z", "to": "2026-11-22T00:00:00Z",`: 1, `"from": "2026-11-23T00:00:00Z",`: 0,
	} {
		answer := i.settingsImpact(operator, `{`+span+` "settings": {"somewhere": {"regions": ["us"]}}}`)
		if answer.Total != want || answer.Changed != want {
			t.Errorf("%s: %+v, not %d", span, answer.Counts, want)
		}
	}
}

func TestImpactRefused(t *testing.T) {
	i := start(t, somewhere)
	operator, other := i.token("default", auth.Operator), i.token("acme", auth.Operator)
	digest := i.pushed(operator, "regional", refusing("us"))
	bundle := "/v1/bundles/" + digest + "/impact"
	for name, c := range map[string]struct {
		token, path, body string
		status            int
		code, detail      string
	}{
		"no bundle of this digest":   {operator, "/v1/bundles/" + strings.Repeat("0", 64) + "/impact", `{}`, 404, "not-found", ""},
		"another tenant's bundle":    {other, bundle, `{}`, 404, "not-found", ""},
		"a since of no unit":         {operator, bundle, `{"since": "7"}`, 400, "invalid-request", "/since"},
		"since and from":             {operator, bundle, `{"since": "7d", "from": "2026-01-01T00:00:00Z"}`, 400, "invalid-request", "/since"},
		"no time":                    {operator, bundle, `{"from": "yesterday"}`, 400, "invalid-request", "/from"},
		"too many examples":          {operator, bundle, `{"examples": 101}`, 400, "invalid-request", "/examples"},
		"unknown key":                {operator, bundle, `{"sinse": "7d"}`, 400, "invalid-request", "/sinse"},
		"no settings":                {operator, "/v1/settings/impact", `{}`, 400, "invalid-request", "/settings"},
		"settings that do not fit":   {operator, "/v1/settings/impact", `{"settings": {"somewhere": {"regions": "eu"}}}`, 400, "invalid-settings", "/settings/somewhere/regions"},
		"settings nobody reads":      {operator, bundle, `{"settings": {"somewher": {}}}`, 400, "invalid-settings", "/settings/somewher"},
		"a coefficient":              {operator, "/v1/settings/impact", `{"settings": {"alpha": 3}}`, 400, "invalid-settings", "/settings/alpha"},
		"a tenant that is not there": {operator, bundle, `{"tenants": ["nobody"]}`, 404, "not-found", ""},
		"another's tenant":           {other, "/v1/settings/impact", `{"tenants": ["default"], "settings": {}}`, 403, "forbidden", ""},
	} {
		r := i.call("POST", c.path, c.token, c.body)
		if r.status != c.status || r.problem() != c.code || !strings.Contains(string(r.body), c.detail) {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
}

// TestImpactOfTenants: people of the installation try a bundle on others' decisions too, each under what that tenant has in force.
func TestImpactOfTenants(t *testing.T) {
	i := start(t)
	operator := i.token("default", auth.Operator)
	for _, tenant := range []string{"default", "acme"} {
		token := i.token(tenant, auth.Operator)
		i.register(token, priced("us", "0.01"))
		i.decide(token, embed)
		i.decide(token, embed)
	}
	acme := i.token("acme", auth.Operator)
	i.activate(acme, i.pushed(acme, "trusting", trusting()), `{"reason": "careful"}`)
	i.decide(acme, embed)
	digest := i.pushed(operator, "regional", refusing("us"))
	answer := i.impact(operator, digest, `{"tenants": ["default", "acme", "acme"]}`)
	if want := (impact.Counts{Total: 5, Changed: 4, RoutedToDenied: 4, OtherConstraints: 1}); answer.Counts != want || len(answer.Rules) != 2 {
		t.Errorf("%+v, %+v", answer.Counts, answer.Rules)
	}
	// acme's first two were made before it put trusting in force, which denies them too.
	if answer.Already != 2 || answer.OtherRules != 2 || answer.Tenants[0].Name != "acme" || answer.Tenants[0].Total != 3 || answer.Tenants[1].Changed != 2 {
		t.Errorf("%+v", answer.Report)
	}
	if one := i.impact(operator, digest, `{}`); one.Total != 2 {
		t.Errorf("of the caller's own tenant %d decisions", one.Total)
	}
}
