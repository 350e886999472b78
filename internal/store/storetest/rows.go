package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/internal/store"
)

func testKeys(t *testing.T, open Opener) {
	ctx, s := context.Background(), newStore(t, open)
	key := store.APIKey{Tenant: "a", ID: "k", Hash: sha256.Sum256([]byte("secret")), Principal: []byte(`{"roles":[]}`), Created: epoch}
	commit(t, s, &store.Batch{APIKeys: []store.APIKey{key}})
	if _, err := s.APIKey(ctx, sha256.Sum256([]byte("another"))); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a key that isn't there: %v", err)
	}
	for _, again := range []time.Time{epoch.Add(time.Hour), epoch.Add(2 * time.Hour)} {
		commit(t, s, &store.Batch{APIKeys: []store.APIKey{{Tenant: "a", ID: "k", Revoked: again}}})
		revoked := key
		revoked.Revoked = epoch.Add(time.Hour) // the first stays
		if got, err := s.APIKey(ctx, key.Hash); err != nil || !reflect.DeepEqual(got, revoked) {
			t.Errorf("a revoked key: %v, %v", got, err)
		}
	}
	commit(t, s, &store.Batch{APIKeys: []store.APIKey{{Tenant: "b", ID: "k", Revoked: epoch}}})
	if keys, err := s.APIKeys(ctx, "b"); err != nil || len(keys) > 0 {
		t.Errorf("revoking another's id made %v, %v", keys, err)
	}

	last := int64(7)
	commit(t, s, &store.Batch{Logs: newLog("a", 0), SigningKeys: []store.SigningKey{{Tenant: "a", KID: "one", JWK: []byte("jwk 1"), First: 3}, {Tenant: "a", KID: "two", JWK: []byte("jwk 2"), First: 1}}})
	commit(t, s, &store.Batch{SigningKeys: []store.SigningKey{{Tenant: "a", KID: "two", JWK: []byte("else"), First: 9, Last: &last}}})
	got, err := s.SigningKeys(ctx, "a")
	if want := []store.SigningKey{{Tenant: "a", KID: "two", JWK: []byte("jwk 2"), First: 1, Last: &last}, {Tenant: "a", KID: "one", JWK: []byte("jwk 1"), First: 3}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("signing keys: %v, %v", got, err)
	}
}

func testGrants(t *testing.T, open Opener) {
	s := newStore(t, open)
	grants := []store.Grant{{Owner: "a", Service: "s", Tenant: "b"}, {Owner: "a", Service: "s", Tenant: "c"}, {Owner: "a", Service: "t", Tenant: "b"}}
	heads := append(newLog("b", 0), newLog("c", 0)...)
	commit(t, s, &store.Batch{Logs: heads, Grants: []store.Grant{grants[2], grants[0], grants[1], grants[0]}})
	if got, err := s.Grants(context.Background(), "a"); err != nil || !reflect.DeepEqual(got, grants) {
		t.Errorf("grants: %v, %v", got, err)
	}
	commit(t, s, &store.Batch{Revocations: []store.Grant{grants[1], grants[1], {Owner: "b", Service: "s", Tenant: "b"}}})
	if got, err := s.Grants(context.Background(), "a"); err != nil || !reflect.DeepEqual(got, []store.Grant{grants[0], grants[2]}) {
		t.Errorf("after a revocation: %v, %v", got, err)
	}
}

func testBlobsAgain(t *testing.T, open Opener) {
	s := newStore(t, open)
	blob := store.Blob{Tenant: "a", Digest: "d", Kind: "contract", Bytes: []byte("one")}
	other := store.Blob{Tenant: "a", Digest: "d", Kind: "bundle", Bytes: []byte("two")}
	commit(t, s, &store.Batch{Logs: newLog("a", 0), Blobs: []store.Blob{blob, other}})
	commit(t, s, &store.Batch{Blobs: []store.Blob{other}})
	if got, err := s.Blob(context.Background(), "a", "d"); err != nil || !reflect.DeepEqual(got, blob) {
		t.Errorf("the blob: %v, %v", got, err)
	}
}

func testEntriesPage(t *testing.T, open Opener) {
	s := newStore(t, open)
	commit(t, s, everything("a"))
	commit(t, s, everything("b"))
	for from := range int64(7) {
		for limit := range 7 {
			got, err := s.Entries(context.Background(), "a", from, limit)
			want := everything("a").Entries[min(from, 5):min(from+int64(limit), 5)]
			if err != nil || len(got) != len(want) || len(got) > 0 && !reflect.DeepEqual(got, want) {
				t.Errorf("%d entries from %d on: %v, %v", limit, from, got, err)
			}
		}
	}
	for from := range int64(4) {
		for to := range int64(4) {
			got, err := s.Events(context.Background(), "a", from, to)
			var want []store.Event
			for _, e := range everything("a").Events {
				if from <= e.Index && e.Index < to {
					want = append(want, e)
				}
			}
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("events from %d to %d: %v, %v", from, to, got, err)
			}
		}
	}
}

// testWholeBatches reads while batches of 3 entries are written: what is seen is always a whole number of them, and never less than what was committed before the read.
func testWholeBatches(t *testing.T, open Opener) {
	const batches = 60
	ctx, s := context.Background(), newStore(t, open)
	commit(t, s, &store.Batch{Logs: newLog("a", 0)})
	var readers sync.WaitGroup
	done := make(chan struct{})
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				log, err := s.Log(ctx, "a")
				if err != nil {
					t.Errorf("reading while it is written: %v", err)
					return
				}
				entries, err := s.Entries(ctx, "a", 0, 10*batches)
				if err != nil || len(entries)%3 != 0 || int64(len(entries)) < log.Size {
					t.Errorf("%d entries were seen, in batches of 3, after a head of %d: %v", len(entries), log.Size, err)
					return
				}
			}
		})
	}
	for i := range int64(batches) {
		b := &store.Batch{Logs: []store.Advance{{Tenant: "a", Origin: "origin of a", From: 3 * i, To: 3*i + 3}}}
		for j := range int64(3) {
			b.Entries = append(b.Entries, store.Entry{Tenant: "a", Index: 3*i + j, Type: "typ", Leaf: []byte("leaf")})
		}
		if err := s.Commit(ctx, b); err != nil {
			t.Error(err)
			break
		}
	}
	close(done)
	readers.Wait()
}

func testEntriesOf(t *testing.T, open Opener) {
	s := newStore(t, open)
	for _, tenant := range []string{"a", "b"} {
		b := everything(tenant)
		for i, typ := range []string{"caio-decision+jws", "y", "x", "z", "x"} {
			b.Entries[i].Type = typ
		}
		commit(t, s, b)
	}
	for want, types := range map[string][]string{"[2 4]": {"x"}, "[1 2 4]": {"x", "y", "caio-decision+jws"}, "[]": nil, "[3]": {"none", "z"}} {
		entries, err := s.EntriesOf(context.Background(), "a", types...)
		found := []int64{}
		for _, e := range entries {
			if string(e.Leaf) != fmt.Sprintf("leaf %d of a", e.Index) {
				t.Errorf("%+v", e)
			}
			found = append(found, e.Index)
		}
		if err != nil || fmt.Sprint(found) != want {
			t.Errorf("%v: %v, %v; want %s", types, found, err, want)
		}
	}
}

func testLatestOf(t *testing.T, open Opener) {
	s := newStore(t, open)
	for _, tenant := range []string{"a", "b"} {
		b := everything(tenant)
		for i, typ := range []string{"caio-decision+jws", "x", "x", "z", "x"} {
			b.Entries[i].Type = typ
		}
		commit(t, s, b)
	}
	for _, c := range []struct {
		typ    string
		before int64
		limit  int
		want   string
	}{{"x", 100, 10, "[4 2 1]"}, {"x", 100, 2, "[4 2]"}, {"x", 2, 2, "[1]"}, {"x", 1, 2, "[]"}, {"y", 100, 2, "[]"}, {"x", 100, 0, "[]"}, {"caio-decision+jws", 100, 9, "[]"}} {
		entries, err := s.LatestOf(context.Background(), "a", c.typ, c.before, c.limit)
		found := []int64{}
		for _, e := range entries {
			if e.Tenant != "a" || e.Type != c.typ || string(e.Leaf) != fmt.Sprintf("leaf %d of a", e.Index) {
				t.Errorf("%+v", e)
			}
			found = append(found, e.Index)
		}
		if err != nil || fmt.Sprint(found) != c.want {
			t.Errorf("%+v: %v, %v", c, found, err)
		}
	}
}

// testCheck finds nothing wrong with what a ledger writes, and a log whose size goes beyond its entries. What can't be written through a store is for its own tests.
func testCheck(t *testing.T, open Opener) {
	s := newStore(t, open)
	b := everything("a")
	b.Entries[3].Type = "outcome"
	commit(t, s, b)
	if err := s.Check(context.Background(), "outcome"); err != nil {
		t.Error(err)
	}
	if err := s.Check(context.Background(), "typ"); !errors.Is(err, store.ErrInconsistent) {
		t.Errorf("an attempt beside an entry of another type: %v", err)
	}
	commit(t, s, &store.Batch{Logs: []store.Advance{{Tenant: "a", Origin: "origin of a", From: 5, To: 6}}})
	if err := s.Check(context.Background()); !errors.Is(err, store.ErrInconsistent) {
		t.Errorf("a size beyond the entries: %v", err)
	}
}
