package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/tlog"
)

const (
	killClients = 16
	killAfter   = 40 // answers of a round, at least
	killRounds  = 6  // an answer that comes before its commit is only noticed when the signal falls between the two
)

// house is a small bundle of policies: what is tested here is the store, not the packs.
var house = map[string]string{
	"house/.manifest": `{"roots": ["caio/policy/house"]}`,
	"house/house.rego": `package caio.policy.house

import rego.v2

# METADATA
# title: Personal data stays in the EU
# custom:
#   severity: critical
#   controls: [GDPR Art. 44]
#   remedy: Choose a service in the EU.
violation["GDPR-44"] contains msg if {
	"pii" in input.request.data.labels
	some region in input.service.privacy.regions
	region != "eu"
	msg := sprintf("%s keeps data in %s", [input.service.id, region])
}
`,
}

func houseContract(id, region string) string {
	return fmt.Sprintf(`{"schema": "caio.contract/v1", "id": %q, "name": %q, "version": "1.0.0", "owner": "a@example.com", "placement": "hybrid",
"capabilities": [{"type": "embeddings"}], "cost": {}, "privacy": {"locality": "private", "regions": [%q]}}`, id, id, region)
}

// TestKilledUnderLoad ends a server while clients ask it, again and again, with SIGKILL and the last time with SIGTERM: every decision that a client was given is there after that, as it was given, and its evidence verifies.
func TestKilledUnderLoad(t *testing.T) {
	dir := t.TempDir()
	layHouse(t, dir)
	p := startTestServer(t, dir)
	client := &options{server: p.url, token: p.token}
	for id, region := range map[string]string{"eu": "eu", "us": "us"} {
		if err := client.call(t.Context(), http.MethodPut, "/v1/services/"+id, "application/json", []byte(houseContract(id, region)), nil); err != nil {
			t.Fatal(err)
		}
	}
	var given []server.Answer
	for range killCount(t) {
		given = append(given, load(t, client, p.kill)...)
		p = startTestServer(t, dir)
		client.server = p.url
		inLog(t, client, given)
	}
	given = append(given, load(t, client, func() {
		if err := p.terminate(); err != nil {
			t.Errorf("after SIGTERM: %v", err)
		}
	})...)
	client.server = startTestServer(t, dir).url
	held(t, client, given)
}

// killCount is how often the server is killed: CAIO_TEST_KILLS times, where that is set.
func killCount(t *testing.T) int {
	t.Helper()
	text := os.Getenv("CAIO_TEST_KILLS")
	if text == "" {
		return killRounds
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// trustOf is the trust file that the server gives.
func trustOf(t *testing.T, client *options) verify.Trust {
	t.Helper()
	text, err := client.trust(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	trust, err := verify.ParseTrust(text)
	if err != nil {
		t.Fatal(err)
	}
	return trust
}

// inLog demands that the whole log holds, and has the statement of every answer at its index.
func inLog(t *testing.T, client *options, given []server.Answer) {
	t.Helper()
	trust := trustOf(t, client)
	source, err := client.logSource("", trust)
	if err != nil {
		t.Fatal(err)
	}
	keys, _, err := logKeys(trust)
	if err != nil {
		t.Fatal(err)
	}
	statements := map[int64]string{}
	for _, answer := range given {
		statements[*answer.Index] = answer.Statement
	}
	held := 0
	_, err = tlog.CheckLog(t.Context(), source, tlog.Options{Keys: keys, Leaf: func(index int64, entry []byte) error {
		if _, err := trust.CheckEntry(trust.Logs[0].Origin, index, entry); err != nil {
			return fmt.Errorf("index %d: %w", index, err)
		}
		if statement, answered := statements[index]; answered && statement == string(entry) {
			held++
		}
		return nil
	}})
	if err != nil || held != len(given) {
		t.Fatalf("of %d decisions that were answered, %d are in the log: %v", len(given), held, err)
	}
}

// layHouse writes the policies of the server.
func layHouse(t *testing.T, dir string) {
	t.Helper()
	for name, text := range house {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func startTestServer(t *testing.T, dir string) *process {
	t.Helper()
	p, err := startServer(dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}, "--policies", "house")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p
}

// load has clients ask all at once, ends the server in the middle, and returns what they were given.
func load(t *testing.T, client *options, end func()) []server.Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var count atomic.Int64
	after := killAfter + rand.Int64N(killAfter)
	answers := make([][]server.Answer, killClients)
	var clients, ending sync.WaitGroup
	for i := range answers {
		clients.Go(func() {
			for n := 0; ; n++ {
				label := []string{"pii", "internal"}[n%2]
				request := fmt.Sprintf(`{"intent": {"type": "embeddings", "text": "client %d, request %d"}, "data": {"labels": [%q]}}`, i, n, label)
				var answer server.Answer
				if err := client.call(ctx, http.MethodPost, "/v1/decisions", "application/json", []byte(request), &answer); err != nil {
					return // the server is gone
				}
				answers[i] = append(answers[i], answer)
				if count.Add(1) == after {
					ending.Go(end)
				}
			}
		})
	}
	clients.Wait()
	if ctx.Err() != nil {
		t.Fatalf("only %d answers in 20 s", count.Load())
	}
	ending.Wait()
	var given []server.Answer
	for _, list := range answers {
		given = append(given, list...)
	}
	if len(given) < killAfter {
		t.Fatalf("the server ended by itself after %d answers", len(given))
	}
	return given
}

// held demands that the server still says what clients were given, and proves it.
func held(t *testing.T, client *options, given []server.Answer) {
	t.Helper()
	trust := trustOf(t, client)
	indices := map[int64]string{}
	for _, answer := range given {
		if answer.Index == nil || answer.Statement == "" {
			t.Fatalf("%s was given without its statement and index", answer.DecisionID)
		}
		if other, taken := indices[*answer.Index]; taken {
			t.Errorf("%s and %s were both given the index %d", other, answer.DecisionID, *answer.Index)
		}
		indices[*answer.Index] = answer.DecisionID
		heldOne(t, client, answer, trust)
	}
	t.Logf("%d decisions were given and held", len(given))
}

func heldOne(t *testing.T, client *options, answer server.Answer, trust verify.Trust) {
	t.Helper()
	var now server.Answer
	path := "/v1/decisions/" + answer.DecisionID
	if err := client.call(t.Context(), http.MethodGet, path, "", nil, &now); err != nil {
		t.Fatalf("%s is lost: %v", answer.DecisionID, err)
	}
	if before, after := marshal(t, answer), marshal(t, now); before != after {
		t.Errorf("%s was given as\n%s\nand is now\n%s", answer.DecisionID, before, after)
	}
	evidence, err := client.fetch(t.Context(), http.MethodGet, path+"/evidence", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	result, err := check(t.Context(), evidence, trust, nil, replayTimeout, verify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	passed := map[string]bool{}
	for _, v := range result.Verdicts {
		passed[v.Layer] = v.Status == verify.Pass
	}
	for _, layer := range strings.Fields("signature document argmax completeness replay") {
		if !passed[layer] {
			t.Fatalf("%s: %s did not pass: %s", answer.DecisionID, layer, marshal(t, result.Verdicts))
		}
	}
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestSecondServerIsRefused on the same store, and the first goes on.
func TestSecondServerIsRefused(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	p, err := startServer(dir, []string{"PATH=" + os.Getenv("PATH")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	_, err = startServer(other, []string{"PATH=" + os.Getenv("PATH")}, "--store", "sqlite:"+filepath.Join(dir, "caio.db"))
	if err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("the second server: %v", err)
	}
	if _, err := os.Stat(filepath.Join(other, defaultKeys)); err == nil {
		t.Error("a server that was refused made keys")
	}
	client := &options{server: p.url, token: p.token}
	if err := client.call(t.Context(), http.MethodGet, "/v1/services", "", nil, nil); err != nil {
		t.Errorf("the first server: %v", err)
	}
	if err := p.terminate(); err != nil {
		t.Error(err)
	}
}
