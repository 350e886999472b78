package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/server/auth"
)

// withBaseline puts other bundles of the installation in force.
func withBaseline(bundles ...*rego.Bundle) option {
	return func(i *installation) { i.config.Bundles = bundles }
}

// named is a bundle of the installation's with the files of a tenant's.
func named(t testing.TB, name string, files map[string]string) *rego.Bundle {
	t.Helper()
	fs := fstest.MapFS{}
	for path, text := range files {
		fs[path] = &fstest.MapFile{Data: []byte(text)}
	}
	b, diagnostics := rego.ReadFS(name, fs)
	must(t, diagnostics.Err())
	return b
}

// renamed is the same bundle in other packages.
func renamed(files map[string]string) map[string]string {
	other := map[string]string{}
	for path, text := range files {
		other[path] = strings.NewReplacer("caio/policy/regional", "caio/policy/other", "caio.policy.regional", "caio.policy.other", `"REGION"`, `"OTHER"`).Replace(text)
	}
	return other
}

// The baseline follows the configuration from start to start; what a tenant's people put in force stays.
func TestRestartWithAnotherBaseline(t *testing.T) {
	i := start(t)
	token := i.token("acme", auth.Operator)
	i.register(token, contract("us", "us", ""))
	digest := i.pushed(token, "regional", refusing("us"))
	i.activate(token, digest, `{"reason": "x"}`)
	before := i.bundles(token)
	for _, baseline := range [][]*rego.Bundle{{pack(t)}, {pack(t), named(t, "other", renamed(refusing("eu")))}, {named(t, "other", renamed(refusing("mars")))}, {pack(t)}} {
		i.stop()
		i = startAt(t, i.path, i, withBaseline(baseline...))
		got := i.inForce(token)
		if len(got) != len(baseline)+1 || got["regional"] != digest {
			t.Errorf("in force: %v", got)
		}
		for _, b := range baseline {
			if got[b.Name] != b.Digest {
				t.Errorf("the baseline is not in force: %v", got)
			}
		}
		a := i.decide(token, embed)
		if a.Outcome != "denied" {
			t.Errorf("the tenant's bundle does not act: %+v", a)
		}
		checkEvidence(t, i, token, a, i.trust("acme"))
	}
	after := i.bundles(token)
	if after.Bundles[len(after.Bundles)-1].Index != before.Bundles[len(before.Bundles)-1].Index {
		t.Errorf("the tenant's bundle was put in force again: %+v", after.Bundles)
	}
	i.chained(token, "baseline")
	i.chained(token, "other")
}

// A baseline that the tenant's own bundles don't fit stops that tenant alone, says why, and is mended over the API.
func TestBaselineThatATenantDoesNotFit(t *testing.T) {
	for name, test := range map[string]struct {
		baseline *rego.Bundle
		says     string
	}{
		"the same roots": {named(t, "theirs", refusing("eu")), "overlaps the root"},
		"the same name":  {named(t, "regional", renamed(refusing("eu"))), "bundles of the same name as the tenant's: regional"},
	} {
		t.Run(name, func(t *testing.T) {
			i := start(t)
			acme, beta := i.token("acme", auth.Operator), i.token("beta", auth.Operator)
			for _, token := range []string{acme, beta} {
				i.register(token, contract("us", "us", ""))
			}
			digest := i.pushed(acme, "regional", refusing("us"))
			i.activate(acme, digest, `{"reason": "x"}`)
			i.stop()
			i = startAt(t, i.path, i, withBaseline(pack(t), test.baseline))

			if r := i.call("POST", "/v1/decisions", acme, embed); r.status != 503 || r.problem() != "policies-unfit" || !strings.Contains(string(r.body), "regional") {
				t.Errorf("acme: %d %s", r.status, r.body)
			}
			if a := i.decide(beta, embed); a.Outcome != "routed" {
				t.Errorf("beta: %+v", a)
			}
			var health server.Health
			if r := i.call("GET", "/readyz", "", ""); r.status != 200 {
				t.Errorf("%d %s", r.status, r.body)
			} else if r.into(t, &health); health.Parts["policies"] != "those of 1 tenant do not fit together with the installation's" {
				t.Errorf("%+v", health)
			}
			list := i.bundles(acme)
			if text, err := json.Marshal(list.Faults); err != nil || len(list.Faults) == 0 || !strings.Contains(string(text), test.says) || len(list.Constraints) != 0 {
				t.Errorf("the list does not say why: %s", text)
			}
			// What doesn't mend it is refused, and a version that fits, or none, is taken.
			other := i.push(acme, "regional", refusing("mars"))
			if other.status != 409 && other.status != 422 {
				t.Errorf("another version in the same place: %d %s", other.status, other.body)
			}
			if r := i.call("POST", "/v1/bundles/"+digest+"/deactivate", acme, `{"reason": "it is the installation's now"}`); r.status != 200 {
				t.Fatalf("%d %s", r.status, r.body)
			}
			if got := i.inForce(acme); len(got) != 2 || got[test.baseline.Name] != test.baseline.Digest {
				t.Errorf("in force after it was mended: %v", got)
			}
			a := i.decide(acme, embed)
			if a.Outcome != "routed" {
				t.Errorf("acme, mended: %+v", a)
			}
			checkEvidence(t, i, acme, a, i.trust("acme"))
			i.stop()
			i = startAt(t, i.path, i, withBaseline(pack(t), test.baseline))
			i.decide(acme, embed)
		})
	}
}

// A tenant that does not fit is mended by a version that does, as well; by two people, where the settings want it.
func TestVersionThatFitsAgain(t *testing.T) {
	apart := withSettings(map[string]any{"core": map[string]any{"separate_approval": true}})
	i := start(t, apart)
	ann := principal("acme", auth.Operator)
	ann.Subject = "ann@acme.example"
	token, author := i.token("acme", auth.Operator), i.tokenOf(ann)
	i.register(token, contract("us", "us", ""))
	i.activate(token, i.pushed(author, "regional", refusing("us")), `{"reason": "x"}`)
	i.stop()
	i = startAt(t, i.path, i, apart, withBaseline(pack(t), named(t, "theirs", refusing("eu"))))
	digest := i.pushed(author, "regional", renamed(refusing("us")))
	if r := i.call("POST", "/v1/bundles/"+digest+"/activate", author, `{"reason": "made room"}`); r.status != 403 || r.problem() != "own-bundle" {
		t.Errorf("by its author: %d %s", r.status, r.body)
	}
	i.activate(token, digest, `{"reason": "made room"}`)
	if a := i.decide(token, embed); a.Outcome != "denied" {
		t.Errorf("%+v", a)
	}
}

// INV-CAIO-SEC-0005: bytes that somebody else put in the place of a bundle in force are not compiled.
func TestForgedBundle(t *testing.T) {
	i := start(t)
	token := i.token("acme", auth.Operator)
	digest := i.pushed(token, "regional", refusing("us"))
	i.activate(token, digest, `{"reason": "x"}`)
	i.stop()
	text, _ := tarball(t, refusing("mars"))
	for name, forged := range map[string]string{"another bundle": text, "no bundle": "x"} {
		t.Run(name, func(t *testing.T) {
			all, err := os.ReadFile(i.path)
			must(t, err)
			path := filepath.Join(t.TempDir(), "caio.db")
			must(t, os.WriteFile(path, all, 0o600))
			f := newForgerOf(t, path)
			f.do("UPDATE blobs SET bytes = ? WHERE digest = ?", []byte(forged), digest)
			i.t = t
			if err := i.reopen(path); err == nil || forged == text && !errors.Is(err, store.ErrInconsistent) {
				t.Errorf("%v", err)
			}
		})
	}
}

// A change that can't be stored is none: nothing is in force that the log doesn't hold.
func TestActivationThatIsNotStored(t *testing.T) {
	f := &failing{}
	i := start(t, withStore(func(s store.Store) store.Store { f.Store = s; return f }))
	token := i.token("acme", auth.Operator)
	i.register(token, contract("us", "us", ""))
	digest := i.pushed(token, "regional", refusing("us"))
	f.count.Store(1 << 40)
	if r := i.call("POST", "/v1/bundles/"+digest+"/activate", token, `{"reason": "x"}`); r.status != 503 || r.problem() != "not-stored" {
		t.Errorf("%d %s", r.status, r.body)
	}
	f.count.Store(0)
	if got := i.inForce(token); got["regional"] != "" {
		t.Errorf("in force: %v", got)
	}
	if a := i.decide(token, embed); a.Outcome != "routed" {
		t.Errorf("%+v", a)
	}
	if events, err := i.store.Events(context.Background(), "acme", 0, 1<<40); err != nil || events[len(events)-1].Kind != store.Pushed {
		t.Errorf("%v, %v", events, err)
	}
}
