package storetest

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/smarthausgroup/caio/internal/store"
)

// testTilesGrow writes a tile and a checkpoint again, in place of what was there, and nothing where the commit fails.
func testTilesGrow(t *testing.T, open Opener) {
	ctx, s := context.Background(), newStore(t, open)
	commit(t, s, everything("a"))
	tile := store.Tile{Tenant: "a", Level: 0, Index: 0, Hashes: bytes.Repeat([]byte("a-"), 160)}
	checkpoint := store.Checkpoint{Tenant: "a", Size: 6, Note: []byte("another")}
	grown := &store.Batch{
		Logs:    []store.Advance{{Tenant: "a", Origin: "origin of a", From: 5, To: 6}},
		Entries: []store.Entry{{Tenant: "a", Index: 6, Type: "typ", Leaf: []byte("leaf")}, {Tenant: "a", Index: 0, Type: "typ", Leaf: []byte("leaf")}},
		Tiles:   []store.Tile{tile}, Checkpoints: []store.Checkpoint{checkpoint},
	}
	if err := s.Commit(ctx, grown); !errors.Is(err, store.ErrExists) {
		t.Fatal(err)
	}
	compare(t, contents(s, "a"), want("a"))
	grown.Entries = []store.Entry{{Tenant: "a", Index: 5, Type: "typ", Leaf: []byte("leaf")}}
	commit(t, s, grown)
	gotTile, err := s.Tile(ctx, "a", 0, 0)
	if err != nil || !reflect.DeepEqual(gotTile, tile) {
		t.Errorf("the tile is %v, %v", gotTile, err)
	}
	got, err := s.LastCheckpoint(ctx, "a")
	if err != nil || !reflect.DeepEqual(got, checkpoint) {
		t.Errorf("the checkpoint is %v, %v", got, err)
	}
	for _, hashes := range [][]byte{nil, make([]byte, 31), make([]byte, 8224)} {
		if err := s.Commit(ctx, &store.Batch{Tiles: []store.Tile{{Tenant: "a", Level: 2, Hashes: hashes}}}); err == nil {
			t.Errorf("a tile of %d bytes was taken", len(hashes))
		}
	}
}

// testGivenUp puts a log aside: all that stood in it is there under the new name, API keys and the list of grants stay, and the new log begins empty.
func testGivenUp(t *testing.T, open Opener) {
	ctx, s := context.Background(), newStore(t, open)
	commit(t, s, everything("a"))
	commit(t, s, everything("b"))
	if err := s.Commit(ctx, &store.Batch{GivenUp: []store.GivenUp{{Tenant: "c", As: "c, given up"}}}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a log that isn't there: %v", err)
	}
	before, keys := contents(s, "a"), contents(s, "a")["API keys"]
	first := store.Entry{Tenant: "a", Index: 0, Type: "first", Leaf: []byte("first")}
	commit(t, s, &store.Batch{
		GivenUp: []store.GivenUp{{Tenant: "a", As: "a, given up"}},
		Logs:    []store.Advance{{Tenant: "a", Origin: "another", To: 1, New: true}}, Entries: []store.Entry{first},
	})
	entries, err := s.Entries(ctx, "a", 0, 10)
	if err != nil || !reflect.DeepEqual(entries, []store.Entry{first}) {
		t.Errorf("the new log has %v, %v", entries, err)
	}
	now, aside := contents(s, "a"), contents(s, "a, given up")
	if !reflect.DeepEqual(now["API keys"], keys) || !reflect.DeepEqual(now["grants"], before["grants"]) {
		t.Errorf("API keys and grants did not stay: %v, %v", now["API keys"], now["grants"])
	}
	if now["decision"] == nil || !errors.Is(now["decision"].(error), store.ErrNotFound) {
		t.Errorf("a decision of the log before is in the new one: %v", now["decision"])
	}
	for name := range before {
		if renamed := name != "API keys" && name != "grants"; renamed && !reflect.DeepEqual(withTenant(aside[name], "a"), withTenant(before[name], "a")) {
			t.Errorf("%s of the log that was given up:\n got %v\nwant %v", name, aside[name], before[name])
		}
	}
	logs, err := s.Logs(ctx)
	want := []store.Log{{Tenant: "a", Origin: "another", Size: 1}, {Tenant: "a, given up", Origin: "origin of a", Size: 5, Was: "a"}, {Tenant: "b", Origin: "origin of b", Size: 5}}
	if err != nil || !reflect.DeepEqual(logs, want) {
		t.Errorf("logs: %v, %v", logs, err)
	}
	if err := s.Check(ctx); err != nil {
		t.Error(err)
	}
	if err := s.Commit(ctx, &store.Batch{GivenUp: []store.GivenUp{{Tenant: "a, given up", As: "again"}}}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a log that was given up: %v", err)
	}
	compare(t, contents(s, "b"), contentsOf("b"))
}

func contentsOf(tenant string) map[string]any { return want(tenant) }

// withTenant is a value with the tenant and Was of its rows set, so that rows of two tenants can be compared.
func withTenant(value any, tenant string) any {
	v := reflect.New(reflect.TypeOf(value)).Elem()
	v.Set(reflect.ValueOf(value))
	rename(v, tenant)
	return v.Interface()
}

func rename(v reflect.Value, tenant string) {
	switch v.Kind() {
	case reflect.Slice:
		clone := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(clone, v)
		v.Set(clone)
		for i := range v.Len() {
			rename(v.Index(i), tenant)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			switch f := v.Field(i); {
			case v.Type().Field(i).Name == "Tenant":
				f.SetString(tenant)
			case v.Type().Field(i).Name == "Was":
				f.SetString("")
			case f.CanSet():
				rename(f, tenant)
			}
		}
	}
}
