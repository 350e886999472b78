// Package storetest holds the tests that every [store.Store] must pass, and a store that fails on purpose.
package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/smarthausgroup/caio/internal/store"
)

// Opener opens the store at a place of its own choice inside the folder dir: the same one for the same dir, empty at first.
type Opener func(t *testing.T, dir string) store.Store

// Run runs every test against stores that open opens.
func Run(t *testing.T, open Opener) {
	tests := []struct {
		name string
		run  func(*testing.T, Opener)
	}{
		{"RoundTrip", testRoundTrip},
		{"Isolation", testIsolation},
		{"CompareAndSet", testCompareAndSet},
		{"AllOrNothing", testAllOrNothing},
		{"Keys", testKeys},
		{"Grants", testGrants},
		{"BlobsAgain", testBlobsAgain},
		{"TilesGrow", testTilesGrow},
		{"GivenUp", testGivenUp},
		{"EntriesPage", testEntriesPage},
		{"EntriesOf", testEntriesOf},
		{"LatestOf", testLatestOf},
		{"Check", testCheck},
		{"Search", testSearch},
		{"SearchRefuses", testSearchRefuses},
		{"Kept", testKept},
		{"KeptInBytes", testKeptInBytes},
		{"Erasures", testErasures},
		{"EraseOnlyTheirs", testEraseOnlyTheirs},
		{"Recent", testRecent},
		{"WholeBatches", testWholeBatches},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, open) })
	}
}

// epoch is the time of the fixtures.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// DecisionID is a UUIDv7 of the moment, with n for its random part.
func DecisionID(at time.Time, n int) string {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:], uint64(at.UnixMilli())<<16)
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	id[6] |= 0x70
	id[8] |= 0x80
	return id.String()
}

// SubjectID is the n-th opaque id of a subject.
func SubjectID(n int) string { return fmt.Sprintf("%032x", n) }

func newStore(t *testing.T, open Opener) store.Store {
	s := open(t, t.TempDir())
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return s
}

func commit(t *testing.T, s store.Store, b *store.Batch) {
	t.Helper()
	if err := s.Commit(context.Background(), b); err != nil {
		t.Fatal(err)
	}
}

func newLog(tenant string, size int64) []store.Advance {
	return []store.Advance{{Tenant: tenant, Origin: "origin of " + tenant, To: size, New: true}}
}

// everything is a batch with a row of each kind for the tenant, in its new log of five leaves.
func everything(tenant string) *store.Batch {
	id := DecisionID(epoch, 1)
	last := int64(4)
	b := &store.Batch{
		Logs: newLog(tenant, 5),
		Decisions: []store.NewDecision{{
			Decision:    store.Decision{Tenant: tenant, ID: id, Index: 0, Time: epoch, Outcome: "routed", Service: "s", Route: "internal", Intent: "chat", Retention: "standard"},
			Subjects:    []string{SubjectID(1), SubjectID(2)},
			Constraints: []string{"GDPR-44", "access.trust"},
			Document:    []byte("document of " + tenant), Disclosures: []byte("disclosures of " + tenant),
		}},
		Events: []store.Event{
			{Tenant: tenant, Index: 1, Kind: store.Registered, Subject: "s", Digest: "d", Pending: true, Actor: "a", Reason: "r", Time: epoch.Add(time.Millisecond)},
			{Tenant: tenant, Index: 2, Kind: store.Activated, Subject: "gdpr", Digest: "e", Level: "l", Signer: "k", Scope: store.TenantScope, Actor: "a", Reason: "r", Time: epoch},
		},
		Blobs: []store.Blob{{Tenant: tenant, Digest: "d", Kind: "contract", Bytes: []byte("contract of " + tenant)}, {Tenant: tenant, Digest: "empty", Kind: "source", Bytes: []byte{}}},
		Attempts: []store.Attempt{{
			Tenant: tenant, Index: 3, Decision: id, Service: "s", Intent: "chat", Time: epoch, Status: "ok", OK: true, LatencyMS: 12, CostMicroUSD: 34, SelfReported: true,
		}},
		Grants:  []store.Grant{{Owner: tenant, Service: "s", Tenant: tenant}},
		Answers: []store.Answer{{Tenant: tenant, Key: "k", Call: "POST /x", Request: "q", Status: 200, Body: []byte("answer to " + tenant), Index: 4}},
		APIKeys: []store.APIKey{{Tenant: tenant, ID: "key", Hash: sha256.Sum256([]byte(tenant)), Principal: []byte("{}"), Created: epoch}},
		SigningKeys: []store.SigningKey{
			{Tenant: tenant, KID: "kid", JWK: []byte("jwk"), First: 0}, {Tenant: tenant, KID: "old", JWK: []byte("old jwk"), First: 1, Last: &last},
		},
	}
	b.Tiles = []store.Tile{{Tenant: tenant, Level: 0, Index: 0, Hashes: bytes.Repeat([]byte(tenant+"-"), 80)}, {Tenant: tenant, Level: 1, Index: 3, Hashes: bytes.Repeat([]byte{7}, 8192)}}
	b.Checkpoints = []store.Checkpoint{{Tenant: tenant, Size: 5, Note: []byte("note of " + tenant)}}
	for i := range int64(5) {
		b.Entries = append(b.Entries, store.Entry{Tenant: tenant, Index: i, Type: "typ", Leaf: fmt.Appendf(nil, "leaf %d of %s", i, tenant)})
	}
	return b
}

// contents is what reads say of a tenant; with an error in its place where a read fails.
func contents(s store.Reader, tenant string) map[string]any {
	ctx, id := context.Background(), DecisionID(epoch, 1)
	found := map[string]any{}
	put := func(name string, value any, err error) {
		if err != nil {
			value = err
		}
		found[name] = value
	}
	log, err := s.Log(ctx, tenant)
	put("log", log, err)
	entries, err := s.Entries(ctx, tenant, 0, 100)
	put("entries", entries, err)
	tile, err := s.Tile(ctx, tenant, 0, 0)
	put("tile", tile, err)
	tile, err = s.Tile(ctx, tenant, 1, 3)
	put("full tile", tile, err)
	checkpoint, err := s.LastCheckpoint(ctx, tenant)
	put("checkpoint", checkpoint, err)
	decision, err := s.Decision(ctx, tenant, id)
	put("decision", decision, err)
	document, err := s.Document(ctx, tenant, id)
	put("document", string(document), err)
	statement, err := s.Statement(ctx, tenant, id)
	put("statement", string(statement), err)
	disclosures, err := s.Disclosures(ctx, tenant, id)
	put("disclosures", string(disclosures), err)
	page, err := s.Search(ctx, tenant, store.Query{Limit: 10})
	put("search", page, err)
	page, err = s.Search(ctx, tenant, store.Query{Limit: 10, Constraint: "GDPR-44"})
	put("search by constraint", page, err)
	page, err = s.Search(ctx, tenant, store.Query{Limit: 10, Subject: SubjectID(2)})
	put("search by subject", page, err)
	subjects, err := s.Subjects(ctx, tenant, id)
	put("subjects", subjects, err)
	events, err := s.Events(ctx, tenant, 0, math.MaxInt64)
	put("events", events, err)
	blob, err := s.Blob(ctx, tenant, "d")
	put("blob", blob, err)
	blob, err = s.Blob(ctx, tenant, "empty")
	put("empty blob", len(blob.Bytes), err)
	grants, err := s.Grants(ctx, tenant)
	put("grants", grants, err)
	about, err := s.Parties(ctx, tenant, "", 10)
	put("parties", about, err)
	about, err = s.Parties(ctx, tenant, id, 10)
	put("parties after the last", about, err)
	attempts, err := s.Attempts(ctx, tenant, id)
	put("attempts", attempts, err)
	attempts, err = s.AttemptsFrom(ctx, tenant, 0, 10)
	put("attempts from the first on", attempts, err)
	attempts, err = s.Recent(ctx, store.Window{Tenant: tenant, Intent: "chat", Service: "s"}, 10)
	put("recent", attempts, err)
	answer, err := s.Answer(ctx, tenant, "k", "POST /x")
	put("answer", answer, err)
	keys, err := s.APIKeys(ctx, tenant)
	put("API keys", keys, err)
	signing, err := s.SigningKeys(ctx, tenant)
	put("signing keys", signing, err)
	return found
}

// want is what contents finds of everything(tenant).
func want(tenant string) map[string]any {
	b := everything(tenant)
	decisions := store.Page{Decisions: []store.Decision{b.Decisions[0].Decision}}
	return map[string]any{
		"log": store.Log{Tenant: tenant, Origin: "origin of " + tenant, Size: 5}, "entries": b.Entries, "tile": b.Tiles[0], "full tile": b.Tiles[1], "checkpoint": b.Checkpoints[0],
		"decision": b.Decisions[0].Decision, "document": "document of " + tenant, "statement": "leaf 0 of " + tenant, "disclosures": "disclosures of " + tenant,
		"search": decisions, "search by constraint": decisions, "search by subject": decisions, "subjects": b.Decisions[0].Subjects, "parties": []store.Parties{{ID: b.Decisions[0].ID, Head: []byte("dis"), Subjects: 2}}, "parties after the last": []store.Parties(nil), "events": b.Events, "blob": b.Blobs[0], "empty blob": 0, "grants": b.Grants,
		"attempts": b.Attempts, "attempts from the first on": b.Attempts, "recent": b.Attempts, "answer": b.Answers[0], "API keys": b.APIKeys, "signing keys": b.SigningKeys,
	}
}

func compare(t *testing.T, got, want map[string]any) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d things were read, and %d are expected", len(got), len(want))
	}
	for name := range want {
		if !reflect.DeepEqual(got[name], want[name]) {
			t.Errorf("%s:\n got %#v\nwant %#v", name, got[name], want[name])
		}
	}
}

func testRoundTrip(t *testing.T, open Opener) {
	dir := t.TempDir()
	s := open(t, dir)
	commit(t, s, everything("a"))
	compare(t, contents(s, "a"), want("a"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	compare(t, contents(s, "a"), want("a"))
	key, err := s.APIKey(context.Background(), sha256.Sum256([]byte("a")))
	if err != nil || !reflect.DeepEqual(key, everything("a").APIKeys[0]) {
		t.Errorf("the API key by its hash: %v, %v", key, err)
	}
	public, err := s.PublicKeys(context.Background())
	if err != nil || !reflect.DeepEqual(public, []store.PublicKey{{KID: "kid", JWK: []byte("jwk")}, {KID: "old", JWK: []byte("old jwk")}}) {
		t.Errorf("public keys: %v, %v", public, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// testIsolation reads every thing of one tenant, by the same ids, as another, and finds nothing or the other's own.
func testIsolation(t *testing.T, open Opener) {
	s := newStore(t, open)
	nothing := contents(s, "b")
	for name, value := range nothing {
		if err, failed := value.(error); failed && !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s of an empty store: %v", name, err)
		}
	}
	commit(t, s, everything("a"))
	for _, tenant := range []string{"b", "", "A", "a%", "a'", "a\x00"} {
		compare(t, contents(s, tenant), nothing)
	}
	commit(t, s, everything("b"))
	compare(t, contents(s, "a"), want("a"))
	compare(t, contents(s, "b"), want("b"))
	logs, err := s.Logs(context.Background())
	if err != nil || !reflect.DeepEqual(logs, []store.Log{{Tenant: "a", Origin: "origin of a", Size: 5}, {Tenant: "b", Origin: "origin of b", Size: 5}}) {
		t.Errorf("logs: %v, %v", logs, err)
	}
	windows, err := s.Windows(context.Background())
	if err != nil || !reflect.DeepEqual(windows, []store.Window{{Tenant: "a", Intent: "chat", Service: "s"}, {Tenant: "b", Intent: "chat", Service: "s"}}) {
		t.Errorf("windows: %v, %v", windows, err)
	}
}

func testCompareAndSet(t *testing.T, open Opener) {
	s := newStore(t, open)
	commit(t, s, everything("a"))
	other := store.Entry{Tenant: "a", Index: 5, Type: "typ", Leaf: []byte("leaf")}
	for name, head := range map[string]store.Advance{
		"a size before":    {Tenant: "a", Origin: "origin of a", From: 4, To: 6},
		"a size to come":   {Tenant: "a", Origin: "origin of a", From: 6, To: 7},
		"another origin":   {Tenant: "a", Origin: "origin of b", From: 5, To: 6},
		"a log not there":  {Tenant: "b", Origin: "origin of b", From: 0, To: 1},
		"a log made twice": {Tenant: "a", Origin: "origin of a", From: 0, To: 6, New: true},
	} {
		err := s.Commit(context.Background(), &store.Batch{Logs: []store.Advance{head}, Entries: []store.Entry{other}})
		if !errors.Is(err, store.ErrConflict) {
			t.Errorf("%s: %v", name, err)
		}
	}
	compare(t, contents(s, "a"), want("a"))
	commit(t, s, &store.Batch{Logs: []store.Advance{{Tenant: "a", Origin: "origin of a", From: 5, To: 6}}, Entries: []store.Entry{other}})
	entries, err := s.Entries(context.Background(), "a", 5, 10)
	if err != nil || !reflect.DeepEqual(entries, []store.Entry{other}) {
		t.Errorf("after the right head: %v, %v", entries, err)
	}
}

// testAllOrNothing writes batches of which the last row of some kind is there already.
func testAllOrNothing(t *testing.T, open Opener) {
	first := everything("a")
	for name, spoil := range map[string]func(*store.Batch){
		"entry":        func(b *store.Batch) { b.Entries = append(b.Entries, first.Entries[0]) },
		"decision":     func(b *store.Batch) { d := first.Decisions[0]; d.Index = 5; b.Decisions = append(b.Decisions, d) },
		"event":        func(b *store.Batch) { b.Events = append(b.Events, first.Events[0]) },
		"attempt":      func(b *store.Batch) { b.Attempts = append(b.Attempts, first.Attempts[0]) },
		"answer":       func(b *store.Batch) { b.Answers = append(b.Answers, first.Answers[0]) },
		"API key":      func(b *store.Batch) { b.APIKeys = append(b.APIKeys, first.APIKeys[0]) },
		"API key hash": func(b *store.Batch) { k := first.APIKeys[0]; k.ID = "new"; b.APIKeys = append(b.APIKeys, k) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, open)
			commit(t, s, first)
			nothing := contents(s, "b")
			b := everything("b")
			b.Logs = append(b.Logs, store.Advance{Tenant: "a", Origin: "origin of a", From: 5, To: 6})
			b.Entries = append(b.Entries, store.Entry{Tenant: "a", Index: 5, Type: "typ", Leaf: []byte("leaf")})
			spoil(b)
			if err := s.Commit(context.Background(), b); !errors.Is(err, store.ErrExists) {
				t.Fatalf("%v, want ErrExists", err)
			}
			compare(t, contents(s, "a"), want("a"))
			compare(t, contents(s, "b"), nothing)
			commit(t, s, everything("b"))
			compare(t, contents(s, "b"), want("b"))
		})
	}
}
