package server_test

import (
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/smarthausgroup/caio/verify"
)

func (i *installation) reload(change func(*installation)) error {
	i.t.Helper()
	other := *i
	change(&other)
	return i.server.Reload(i.t.Context(), other.config)
}

// A running server takes over another baseline and other settings for all tenants at once, and the tenants' own bundles stay.
func TestReload(t *testing.T) {
	i := start(t)
	acme, beta := i.token("acme", auth.Operator), i.token("beta", auth.Operator)
	for _, token := range []string{acme, beta} {
		i.register(token, contract("us", "us", ""))
		i.register(token, contract("eu", "eu", ""))
	}
	digest := i.pushed(acme, "regional", refusing("mars"))
	i.activate(acme, digest, `{"reason": "x"}`)
	i.setSettings(beta, `{"core": {"labels": ["own"]}}`)

	baselines := [][]*rego.Bundle{{pack(t), named(t, "other", renamed(refusing("us")))}, {pack(t), named(t, "other", renamed(refusing("eu")))}, {pack(t)}}
	left := []string{"eu", "us", ""}
	var done atomic.Bool
	var all sync.WaitGroup
	all.Go(func() {
		for !done.Load() {
			r, err := i.try("POST", "/v1/decisions?detail=full", acme, embed)
			var a struct{ Document json.RawMessage }
			if err != nil || r.status != http.StatusOK || json.Unmarshal(r.body, &a) != nil {
				t.Errorf("%d %s %v", r.status, r.body, err)
				return
			}
			d, err := verify.DecodeDocument(a.Document)
			if err != nil {
				t.Error(err)
				return
			}
			for n, baseline := range baselines[:2] {
				for _, b := range d.Bundles {
					if b.Digest == baseline[1].Digest && d.Choice.Service != left[n] {
						t.Errorf("under %v it was routed to %s", d.Bundles, d.Choice.Service)
					}
				}
			}
		}
	})
	for range 3 {
		for n, baseline := range baselines {
			must(t, i.reload(func(i *installation) {
				i.config.Bundles, i.config.Settings = baseline, map[string]any{"core": map[string]any{"labels": []any{"telemetry"}}}
			}))
			for _, token := range []string{acme, beta} {
				got := i.inForce(token)
				if want := len(baseline) + map[bool]int{true: 1}[token == acme]; len(got) != want || token == acme && got["regional"] != digest {
					t.Errorf("in force: %v", got)
				}
				a := i.decide(token, embed)
				if left[n] != "" && a.Service.ID != left[n] {
					t.Errorf("routed to %s", a.Service.ID)
				}
			}
		}
	}
	done.Store(true)
	all.Wait()
	if i.settings(acme, "").Scope != "" || len(i.settings(acme, "").Settings) != 1 || i.settings(beta, "").Scope != "tenant" {
		t.Errorf("settings: %+v, %+v", i.settings(acme, ""), i.settings(beta, ""))
	}
	i.chained(acme, "other")
	checkEvidence(t, i, acme, i.decide(acme, embed), i.trust("acme"))
}

// What one tenant's own bundles don't fit, and what is faulty, is taken over for none.
func TestReloadRefused(t *testing.T) {
	i := start(t)
	acme, beta := i.token("acme", auth.Operator), i.token("beta", auth.Operator)
	for _, token := range []string{acme, beta} {
		i.register(token, contract("us", "us", ""))
	}
	digest := i.pushed(acme, "regional", refusing("mars"))
	i.activate(acme, digest, `{"reason": "x"}`)
	before := i.everything("acme") + i.everything("beta")
	for name, change := range map[string]func(*installation){
		"the same roots":     withBaseline(pack(t), named(t, "theirs", refusing("eu"))),
		"the same name":      withBaseline(pack(t), named(t, "regional", renamed(refusing("eu")))),
		"two of one name":    withBaseline(pack(t), pack(t)),
		"not signed":         func(i *installation) { i.config.AllowUnsigned = false },
		"settings of nobody": withSettings(map[string]any{"nothing": map[string]any{}}),
	} {
		if err := i.reload(change); err == nil {
			t.Errorf("%s was taken over", name)
		}
	}
	if after := i.everything("acme") + i.everything("beta"); after != before {
		t.Errorf("something was done:\n%s\n%s", before, after)
	}
	if i.decide(acme, embed).Outcome != "routed" || i.inForce(acme)["regional"] != digest {
		t.Error("something else is in force")
	}
	// One that was at fault since the start is mended by a configuration that takes the name back.
	i.stop()
	i = startAt(t, i.path, i, withBaseline(pack(t), named(t, "regional", renamed(refusing("us")))))
	if r := i.call("POST", "/v1/decisions", acme, embed); r.status != 503 || r.problem() != "policies-unfit" {
		t.Errorf("%d %s", r.status, r.body)
	}
	must(t, i.reload(withBaseline(pack(t))))
	if i.decide(acme, embed).Outcome != "routed" || i.inForce(acme)["regional"] != digest {
		t.Error("it was not mended")
	}
}
