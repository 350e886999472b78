package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/verify"
)

const (
	activatingRounds = 8
	flips            = 4 // answered activations of a round, at least
)

// regional writes a bundle of the tenant's own that refuses a region, with a test, and returns it packed.
func regional(t *testing.T, region string) []byte {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "regional")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		".manifest": `{"roots": ["caio/policy/regional"]}`,
		"regional.rego": fmt.Sprintf(`package caio.policy.regional

import rego.v2

# METADATA
# title: Not there
# custom: {severity: high, controls: [], remedy: Choose a service elsewhere.}
violation["REGION"] contains "not there" if %q in input.service.privacy.regions
`, region),
		"regional_test.rego": fmt.Sprintf(`package caio.policy.regional

import data.caio.testing
import rego.v2

test_refused if count(violation["REGION"]) == 1 with input as testing.given({}, {"privacy": {"regions": [%q]}})
`, region),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := (&policyPush{}).packFolder("regional", dir)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestKilledWhileActivating ends a server with SIGKILL while one bundle takes the place of another again and again, and clients ask for decisions. After each restart what is in force is what the log says; an activation that was answered is in it, at its place;
// and every decision that was given names the one bundle that was in force below its base, and replays.
func TestKilledWhileActivating(t *testing.T) {
	dir := t.TempDir()
	layHouse(t, dir)
	p := startTestServer(t, dir)
	client := &options{server: p.url, token: p.token}
	for id, region := range map[string]string{"eu": "eu", "us": "us"} {
		if err := client.call(t.Context(), http.MethodPut, "/v1/services/"+id, "application/json", []byte(houseContract(id, region)), nil); err != nil {
			t.Fatal(err)
		}
	}
	var digests []string
	for _, region := range []string{"eu", "us"} {
		var pushed server.BundlePushed
		if err := client.call(t.Context(), http.MethodPost, "/v1/bundles?name=regional", "application/gzip", regional(t, region), &pushed); err != nil {
			t.Fatal(err)
		}
		digests = append(digests, pushed.Digest)
	}
	var given []server.Answer
	activated := map[int64]server.Activation{} // by the index that was answered
	for range activatingRounds {
		var flipping sync.WaitGroup
		enough := make(chan struct{})
		flipping.Go(func() { flip(t, client, digests, activated, enough) })
		given = append(given, load(t, client, func() {
			<-enough
			time.Sleep(rand.N(20 * time.Millisecond)) // anywhere in the next one
			p.kill()
		})...)
		flipping.Wait()
		p = startTestServer(t, dir)
		client.server = p.url
		history := bundleHistory(t, client)
		for index, a := range activated {
			if v, there := history[index]; !there || v.Digest != a.Digest || v.Previous != a.Previous {
				t.Fatalf("entry %d was answered as %+v, and is %+v", index, a, v)
			}
		}
	}
	if len(activated) < activatingRounds*flips {
		t.Fatalf("only %d activations were answered", len(activated))
	}
	var some []server.Answer // to replay all would take long, and the documents of all are looked at
	for i := 0; i < len(given); i += 8 {
		some = append(some, given[i])
	}
	held(t, client, some)
	history := bundleHistory(t, client)
	for _, a := range given {
		underOne(t, client, a, history)
	}
	t.Logf("%d activations answered, %d in the log, %d decisions", len(activated), len(history), len(given))
}

// flip puts one bundle in force after the other until the server is gone, keeps what it was answered, and closes enough once it was often enough.
func flip(t *testing.T, client *options, digests []string, activated map[int64]server.Activation, enough chan<- struct{}) {
	body, once := []byte(`{"reason": "flip"}`), sync.OnceFunc(func() { close(enough) })
	defer once()
	for n, done := 0, 0; ; n++ {
		var a server.Activation
		if err := client.call(t.Context(), http.MethodPost, "/v1/bundles/"+digests[n%2]+"/activate", "application/json", body, &a); err != nil {
			return
		}
		if !a.Unchanged {
			activated[*a.Index] = a
			if done++; done == flips {
				once()
			}
		}
	}
}

// bundleHistory are the activations in the log, by index. Each says what was in force before it, and the last is in force.
func bundleHistory(t *testing.T, client *options) map[int64]server.BundleVersion {
	t.Helper()
	history, current := map[int64]server.BundleVersion{}, ""
	for next := "0"; next != ""; {
		var page server.BundleVersionList
		if err := client.call(t.Context(), http.MethodGet, "/v1/bundles/versions?name=regional&limit=1000&cursor="+next, "", nil, &page); err != nil {
			t.Fatal(err)
		}
		next = page.Next
		for _, v := range page.Versions {
			if v.Kind != store.Activated {
				continue
			}
			if v.Previous != current {
				t.Fatalf("entry %d took the place of %.8s, and %.8s was in force", v.Index, v.Previous, current)
			}
			history[v.Index], current = v, v.Digest
		}
	}
	list, err := client.bundlesOfServer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range list.Bundles {
		if b.Name == "regional" && b.Digest == current {
			return history
		}
	}
	t.Fatalf("the log says that %.8s is in force, and the server %+v", current, list.Bundles)
	return nil
}

// underOne demands that a decision names the bundle that the log says was in force below its base, and no other of its name.
func underOne(t *testing.T, client *options, a server.Answer, history map[int64]server.BundleVersion) {
	t.Helper()
	text, err := client.fetch(t.Context(), http.MethodGet, "/v1/decisions/"+a.DecisionID+"/document", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	d, err := verify.DecodeDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	last := server.BundleVersion{Index: -1}
	for index, v := range history {
		if index < d.Base && index > last.Index {
			last = v
		}
	}
	var named []verify.BundleReference
	for _, b := range d.Bundles {
		if b.Name == "regional" {
			named = append(named, b)
		}
	}
	if one := len(named) == 1 && named[0].Digest == last.Digest && named[0].Index == last.Index; !one && (len(named) > 0 || last.Index >= 0) {
		told, _ := json.Marshal(named)
		t.Fatalf("%s was decided at %d under %s, and the log says %.8s from %d", a.DecisionID, d.Base, told, last.Digest, last.Index)
	}
}
