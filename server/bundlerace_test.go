package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/smarthausgroup/caio/verify"
)

// changes are the entries that put a bundle of a name in force, or took it out, in the order of the log.
func (i *installation) changes(token, name string) []server.BundleVersion {
	i.t.Helper()
	var list server.BundleVersionList
	i.call("GET", "/v1/bundles/versions?limit=1000&name="+name, token, "").into(i.t, &list)
	if list.Next != "" {
		i.t.Fatal("there are more")
	}
	return slices.DeleteFunc(list.Versions, func(v server.BundleVersion) bool {
		return v.Kind != store.Activated && v.Kind != store.Deactivated
	})
}

// chained demands that every change says what was in force before it.
func (i *installation) chained(token, name string) []server.BundleVersion {
	i.t.Helper()
	changes, current := i.changes(token, name), ""
	for _, v := range changes {
		if v.Kind == store.Activated && v.Previous != current || v.Kind == store.Deactivated && v.Digest != current {
			i.t.Errorf("entry %d: %s %.8s in place of %.8s, and %.8s was in force", v.Index, v.Kind, v.Digest, v.Previous, current)
		}
		current = v.Digest
		if v.Kind == store.Deactivated {
			current = ""
		}
	}
	if got := i.inForce(token)[name]; got != current {
		i.t.Errorf("%.8s is in force, and the log says %.8s", got, current)
	}
	return changes
}

// All at once, from the same thing in force: one of those who say what they found is taken, and the others are told. Of those who don't say it each is taken, one after the other.
func TestRacingActivations(t *testing.T) {
	const rivals = 8
	i := start(t)
	token := i.token("acme", auth.Operator)
	digests := make([]string, rivals)
	for n := range digests {
		digests[n] = i.pushed(token, "regional", refusing(fmt.Sprintf("region %d", n)))
	}
	race := func(body string) (won []string, statuses map[int]int) {
		var mu sync.Mutex
		var all sync.WaitGroup
		statuses = map[int]int{}
		for _, digest := range digests {
			all.Go(func() {
				r, err := i.try("POST", "/v1/bundles/"+digest+"/activate", token, body)
				mu.Lock()
				defer mu.Unlock()
				if statuses[r.status]++; err == nil && r.status == http.StatusOK {
					won = append(won, digest)
				}
			})
		}
		all.Wait()
		return won, statuses
	}
	previous := ""
	for range 5 {
		won, statuses := race(`{"reason": "race", "previous": "` + previous + `"}`)
		// The one that is in force already is not put in force: it is unchanged, whoever wins.
		won = slices.DeleteFunc(won, func(digest string) bool { return digest == previous })
		if len(won) != 1 || statuses[200]+statuses[409] != rivals {
			t.Fatalf("%d were put in force in place of one: %v", len(won), statuses)
		}
		if previous = i.inForce(token)["regional"]; previous != won[0] {
			t.Errorf("%.8s was answered, and %.8s is in force", won[0], previous)
		}
	}
	if n := len(i.chained(token, "regional")); n != 5 {
		t.Errorf("%d entries of 5 races", n)
	}
	if _, statuses := race(`{"reason": "race"}`); statuses[200] != rivals {
		t.Errorf("without a word on what was found: %v", statuses)
	}
	i.chained(token, "regional")
}

// INV-CAIO-0003, and the race: while bundles are put in force, replaced, rolled back and taken out, every decision was made under exactly the one that the log says was in force below its base, and replays.
func TestDecisionsWhileBundlesChange(t *testing.T) {
	const deciders, changes = 4, 24
	i := start(t)
	token := i.token("acme", auth.Operator)
	i.register(token, contract("eu", "eu", ""))
	i.register(token, contract("us", "us", ""))
	digests := []string{i.pushed(token, "regional", refusing("eu")), i.pushed(token, "regional", refusing("us"))}
	left := map[string]string{digests[0]: "us", digests[1]: "eu"} // the service that the bundle leaves

	var done atomic.Bool
	var all sync.WaitGroup
	answers := make([][]server.Answer, deciders)
	for n := range answers {
		all.Go(func() {
			for !done.Load() {
				r, err := i.try("POST", "/v1/decisions?detail=full", token, embed)
				var a server.Answer
				if err != nil || r.status != http.StatusOK || json.Unmarshal(r.body, &a) != nil {
					t.Errorf("%d %s %v", r.status, r.body, err)
					return
				}
				answers[n] = append(answers[n], a)
			}
		})
	}
	for n := range changes {
		path, body := "/v1/bundles/"+digests[n%2]+"/activate", `{"reason": "x"}`
		switch n % 6 {
		case 3:
			path, body = "/v1/bundles/rollback", `{"name": "regional", "reason": "x"}`
		case 5:
			path = "/v1/bundles/" + i.inForce(token)["regional"] + "/deactivate"
		}
		if r := i.call("POST", path, token, body); r.status != http.StatusOK {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
	done.Store(true)
	all.Wait()

	history := i.chained(token, "regional")
	under, trust := map[string]int{}, i.trust("acme")
	for _, a := range slices.Concat(answers...) {
		d, err := verify.DecodeDocument([]byte(a.Document))
		must(t, err)
		last := bundleAt(history, d.Base)
		var named []verify.BundleReference
		for _, b := range d.Bundles {
			if b.Name == "regional" {
				named = append(named, b)
			}
		}
		switch {
		case last.Digest == "" && len(named) != 0, last.Digest != "" && (len(named) != 1 || named[0].Digest != last.Digest || named[0].Index != last.Index):
			t.Fatalf("decided at %d under %v, and the log says %+v", d.Base, named, last)
		case last.Digest != "" && d.Choice.Service != left[last.Digest]:
			t.Fatalf("under %.8s it was routed to %s", last.Digest, d.Choice.Service)
		}
		under[last.Digest]++
		if under[last.Digest]%10 == 1 {
			checkEvidence(t, i, token, a, trust)
		}
	}
	if len(under) < 3 {
		t.Errorf("the decisions were made under %v: not under all that was in force", under)
	}
	t.Logf("decisions under each: %v", under)
}

// Settings that change while a bundle is tested: it is tested again, under those that are in force when it is put there.
func TestSettingsChangeWhileABundleIsTested(t *testing.T) {
	i := start(t)
	token := i.token("acme", auth.Operator)
	i.register(token, contract("us", "us", ""))
	files := refusing("us")
	files["slow_test.rego"] = "package caio.policy.regional\n\nimport rego.v2\n\ntest_slow if count([1 | some a in numbers.range(1, 300); some b in numbers.range(1, 300); a == b]) == 300\n"
	digest := i.pushed(token, "regional", files)
	answered := make(chan reply)
	go func() {
		r, err := i.try("POST", "/v1/bundles/"+digest+"/activate", token, `{"reason": "x"}`)
		if err != nil {
			t.Error(err)
		}
		answered <- r
	}()
	changes := 0
	for n := 0; ; n++ {
		select {
		case r := <-answered:
			if got := i.inForce(token)["regional"]; r.status != http.StatusOK || got != digest || changes == 0 {
				t.Errorf("%d %s after %d changes: %.8s is in force", r.status, r.body, changes, got)
			}
			if a := i.decide(token, embed); a.Outcome != verify.Denied {
				t.Errorf("%+v", a)
			}
			return
		default:
			if changes < 10 {
				i.setSettings(token, fmt.Sprintf(`{"core": {"labels": ["label-%d"]}}`, n))
				changes++
			}
		}
	}
}

// bundleAt is the last change below an index; the zero one where none was in force.
func bundleAt(history []server.BundleVersion, base int64) (last server.BundleVersion) {
	for _, v := range history {
		if v.Index < base {
			if last = v; v.Kind == store.Deactivated {
				last = server.BundleVersion{}
			}
		}
	}
	return last
}
