package scenario_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/smarthausgroup/caio/engine"
	"github.com/smarthausgroup/caio/engine/scenario"
	"github.com/smarthausgroup/caio/verify"
)

var update = flag.Bool("update", false, "write the golden files")

const bytesFile = "testdata/documents.sha256"

// document is what the decision on a scenario is written down as, with fixed salts.
func document(t *testing.T, s *scenario.Scenario, a engine.Arguments) []byte {
	t.Helper()
	decider, err := engine.New(engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	decision, err := decider.Decide(context.Background(), a)
	if err != nil {
		t.Fatal(err)
	}
	commitments, _, err := verify.Commit(s.Request, s.Principal.Subject, func(string) []byte { return make([]byte, 16) })
	if err != nil {
		t.Fatal(err)
	}
	header := verify.Header{
		DecisionID: verify.NewDecisionID(s.Time, [10]byte{}), Issuer: "test", Log: "test", Time: s.Time,
		Snapshot: verify.Reference{Digest: a.Snapshot.Digest(), Index: -1},
	}
	text, err := verify.NewDocument(header, s.Request, s.Principal, commitments, decision).Canonical()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestBytesOnEveryPlatform holds the bytes of every vector's document to a golden digest: run it with GOAMD64=v1 and v3, and on other architectures.
func TestBytesOnEveryPlatform(t *testing.T) {
	scenarios, bundles := readVectors(t)
	sum := sha256.New()
	for i := range scenarios {
		arguments, err := scenarios[i].Arguments(bundles)
		if err != nil {
			t.Fatal(err)
		}
		sum.Write(document(t, &scenarios[i], arguments))
	}
	got := hex.EncodeToString(sum.Sum(nil))
	if *update {
		if err := os.WriteFile(bytesFile, []byte(got+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(bytesFile)
	if err != nil {
		t.Fatal(err)
	}
	if got != strings.TrimSpace(string(want)) {
		t.Errorf("the documents have the digest %s, not %s", got, want)
	}
}

// TestSameBytesAThousandTimes decides on the same arguments from parallel callers, the services registered in another order each time.
func TestSameBytesAThousandTimes(t *testing.T) {
	scenarios, bundles := readVectors(t)
	const cases, callers, runs = 10, 10, 10
	for i := range cases {
		s := &scenarios[i*len(scenarios)/cases]
		arguments, err := s.Arguments(bundles)
		if err != nil {
			t.Fatal(err)
		}
		want := document(t, s, arguments)
		var wg sync.WaitGroup
		for caller := range callers {
			random := rand.New(rand.NewPCG(uint64(i), uint64(caller)))
			wg.Go(func() {
				for range runs {
					if got := document(t, s, shuffled(t, arguments, random)); !bytes.Equal(got, want) {
						t.Errorf("%s: other bytes:\n%s\n%s", s.Name, got, want)
						return
					}
				}
			})
		}
		wg.Wait()
	}
}

// shuffled registers the services one by one in a random order.
func shuffled(t *testing.T, a engine.Arguments, random *rand.Rand) engine.Arguments {
	snapshot, err := engine.NewSnapshot()
	if err != nil {
		t.Error(err)
	}
	registry := engine.NewRegistry(snapshot)
	services := a.Snapshot.Services()
	for _, i := range random.Perm(len(services)) {
		registry.Put(services[i])
	}
	a.Snapshot = registry.Snapshot()
	return a
}
