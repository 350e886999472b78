package ledger_test

import (
	"context"
	"encoding/binary"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
)

func TestInvalid(t *testing.T) {
	l := newLedger(t, ledger.Options{}, nil)
	with := func(change func(*ledger.Entry)) ledger.Entry {
		e := decision("a", epoch, 1)
		change(&e)
		return e
	}
	event := func(e store.Event) ledger.Entry { return with(func(x *ledger.Entry) { x.Decision, x.Event = nil, &e }) }
	attempt := func(a store.Attempt) ledger.Entry {
		return with(func(x *ledger.Entry) { x.Decision, x.Attempt = nil, &a })
	}
	v4 := "6b1f4f0e-8c5f-4c8e-9d3e-0d6f5b0f3a11"
	for name, e := range map[string]ledger.Entry{
		"no tenant":         with(func(e *ledger.Entry) { e.Tenant = "" }),
		"no type":           with(func(e *ledger.Entry) { e.Type = "" }),
		"no leaf":           with(func(e *ledger.Entry) { e.Leaf = nil }),
		"large leaf":        with(func(e *ledger.Entry) { e.Leaf = make([]byte, ledger.MaxLeaf+1) }),
		"id not a UUID":     with(func(e *ledger.Entry) { e.Decision.ID = "x" }),
		"id of version 4":   with(func(e *ledger.Entry) { e.Decision.ID = v4 }),
		"id in upper case":  with(func(e *ledger.Entry) { e.Decision.ID = strings.ToUpper(e.Decision.ID) }),
		"id as a URN":       with(func(e *ledger.Entry) { e.Decision.ID = "urn:uuid:" + e.Decision.ID }),
		"id of another ms":  with(func(e *ledger.Entry) { e.Decision.Time = epoch.Add(time.Millisecond) }),
		"no outcome":        with(func(e *ledger.Entry) { e.Decision.Outcome = "" }),
		"no intent":         with(func(e *ledger.Entry) { e.Decision.Intent = "" }),
		"blob":              with(func(e *ledger.Entry) { e.Blobs = []ledger.Blob{{Kind: "contract"}} }),
		"key":               with(func(e *ledger.Entry) { e.Key = &ledger.KeyChange{KID: "k"} }),
		"answer":            with(func(e *ledger.Entry) { e.Answer = &ledger.Answer{Key: "k", Call: "c"} }),
		"kind":              event(store.Event{Kind: "x", Subject: "s", Digest: "d"}),
		"no subject":        event(store.Event{Kind: store.Registered, Digest: "d"}),
		"settings of what":  event(store.Event{Kind: store.Settings, Subject: "s", Digest: "d"}),
		"unknown scope":     event(store.Event{Kind: store.Activated, Subject: "s", Digest: "d", Scope: "x"}),
		"scope of what":     event(store.Event{Kind: store.Registered, Subject: "s", Digest: "d", Scope: store.TenantScope}),
		"pushed nothing":    event(store.Event{Kind: store.Pushed, Subject: "s"}),
		"no digest":         event(store.Event{Kind: store.Approved, Subject: "s"}),
		"grant alone":       with(func(e *ledger.Entry) { e.Grant = &store.Grant{Owner: "b", Service: "s", Tenant: "a"} }),
		"attempt of what":   attempt(store.Attempt{Service: "s", Intent: "chat"}),
		"attempt too slow":  attempt(store.Attempt{Decision: v4, Service: "s", Intent: "chat", LatencyMS: 1e9 + 1}),
		"attempt too early": attempt(store.Attempt{Decision: v4, Service: "s", Intent: "chat", LatencyMS: -1}),
		"negative cost":     attempt(store.Attempt{Decision: v4, Service: "s", Intent: "chat", CostMicroUSD: -1}),
	} {
		if _, err := l.Append(context.Background(), entry("a", "good"), e); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, g := range map[string]store.Grant{
		"another's log": {Owner: "b", Service: "s", Tenant: "c"}, "another service": {Owner: "b", Service: "t", Tenant: "a"}, "to oneself": {Owner: "a", Service: "s", Tenant: "a"},
	} {
		e := event(store.Event{Kind: store.Granted, Subject: "s", Digest: "d"})
		e.Grant = &g
		if _, err := l.Append(context.Background(), e); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("grant, %s: %v", name, err)
		}
	}
	if n := len(leaves(t, l, "a")); n != 0 {
		t.Errorf("%d leaves were appended", n)
	}
	if indices, err := l.Append(context.Background()); indices != nil || err != nil {
		t.Errorf("nothing appended: %v, %v", indices, err)
	}
}

func TestKeys(t *testing.T) {
	l := newLedger(t, ledger.Options{}, nil)
	ctx := context.Background()
	key := store.APIKey{Tenant: "a", ID: "k", Principal: []byte("{}"), Created: epoch}
	binary.BigEndian.PutUint64(key.Hash[:], 42)
	if err := l.PutAPIKey(ctx, key); err != nil {
		t.Fatal(err)
	}
	if err := l.PutAPIKey(ctx, key); !errors.Is(err, store.ErrExists) {
		t.Errorf("the same API key again: %v", err)
	}
	if err := l.RevokeAPIKey(ctx, "b", "k", epoch); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another tenant revokes: %v", err)
	}
	if got, err := l.APIKey(ctx, key.Hash); err != nil || !reflect.DeepEqual(got, key) {
		t.Errorf("%v, %v", got, err)
	}
	if err := l.RevokeAPIKey(ctx, "a", "k", epoch.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got, err := l.APIKey(ctx, key.Hash); err != nil || !got.Revoked.Equal(epoch.Add(time.Hour)) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []store.APIKey{{ID: "k"}, {Tenant: "a"}, {Tenant: "a", ID: "l", Revoked: epoch}} {
		if err := l.PutAPIKey(ctx, bad); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%v: %v", bad, err)
		}
	}

	change := func(kid string, retired bool) ledger.Entry {
		e := entry("a", "key")
		e.Key = &ledger.KeyChange{KID: kid, JWK: []byte(kid), Retired: retired}
		return e
	}
	by := func(kid string) ledger.Entry {
		e := entry("a", "x")
		e.KID = kid
		return e
	}
	mustAppend(t, l, change("one", false), by("one"), change("two", false), change("one", true))
	three := int64(3)
	want := []store.SigningKey{{Tenant: "a", KID: "one", JWK: []byte("one"), First: 0, Last: &three}, {Tenant: "a", KID: "two", JWK: []byte("two"), First: 2}}
	if got, err := l.SigningKeys(ctx, "a"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	// What is signed with another key than that of the log at its place is refused, and leaves no gap.
	root := by("root")
	root.Root = true
	for name, entries := range map[string][]ledger.Entry{
		"with the key before":       {by("one")},
		"with none":                 {by("")},
		"with the next too early":   {by("three"), change("three", false)},
		"with the one before, late": {by("two"), change("three", false), by("two")},
	} {
		if _, err := l.Append(ctx, entries...); !errors.Is(err, ledger.ErrKeyMoved) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := mustAppend(t, l, by("two"), root, change("three", false), by("three"), change("two", true)); got[0] != 4 {
		t.Errorf("%v", got)
	}
	if got := mustAppend(t, l, by("three"), entry("b", "x")); got[0] != 9 {
		t.Errorf("%v", got)
	}
}
