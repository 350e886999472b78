package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/smarthausgroup/caio/verify/tlog"
)

// served is a log as the API serves it.
type served struct {
	i             *installation
	token, origin string
}

func (s served) Read(_ context.Context, path string, limit int64) ([]byte, error) {
	r := s.i.call("GET", "/log/"+s.origin+"/"+path, s.token, "")
	switch r.status {
	case 200:
	case 404:
		return nil, fs.ErrNotExist
	default:
		return nil, fmt.Errorf("%d %s", r.status, r.body)
	}
	return r.body[:min(int64(len(r.body)), limit)], nil
}

// trustedKeys are the keys of the tenant's log by the trust file.
func (i *installation) trustedKeys(tenant string) (string, []tlog.Key) {
	i.t.Helper()
	trust, err := i.server.Trust(context.Background(), tenant)
	must(i.t, err)
	key, err := tlog.ParseKey(trust.Logs[0].Key)
	must(i.t, err)
	return trust.Logs[0].Origin, []tlog.Key{key}
}

// TestLogIsServed has the reader's side derive the log again from what is served, and hold receipts to it.
func TestLogIsServed(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	i.register(token, contract("eu", "eu", ""))
	var last server.Answer
	for range 300 {
		last = i.decide(token, embed)
	}
	origin, keys := i.trustedKeys("default")
	var statement []byte
	checked, err := tlog.CheckLog(context.Background(), served{i, token, origin}, tlog.Options{Keys: keys, Leaf: func(index int64, entry []byte) error {
		if index == *last.Index {
			statement = bytes.Clone(entry)
		}
		return nil
	}})
	must(t, err)
	if string(statement) != last.Statement || checked.Checkpoint.Size <= *last.Index {
		t.Fatalf("the log of %d entries has at index %d %q, and %q was answered", checked.Checkpoint.Size, *last.Index, statement, last.Statement)
	}
	r := i.call("GET", "/v1/decisions/"+last.DecisionID+"/receipt", token, "")
	proof, err := tlog.ParseProof(r.body)
	must(t, err)
	must(t, proof.Verify(statement))
	if _, unknown, err := proof.Checkpoint.Verify(keys...); err != nil || len(unknown) > 0 || proof.Index != *last.Index {
		t.Errorf("the receipt: %v, %v, index %d", err, unknown, proof.Index)
	}
	for path, control := range map[string]string{"checkpoint": "no-cache", "tile/0/000": "private, max-age=31536000, immutable", "tile/1/000.p/1": "private, max-age=31536000, immutable", "tile/entries/000": "private, max-age=31536000, immutable"} {
		if r := i.call("GET", "/log/"+origin+"/"+path, token, ""); r.status != 200 || r.header.Get("Cache-Control") != control {
			t.Errorf("%s: %d, Cache-Control %q", path, r.status, r.header.Get("Cache-Control"))
		}
	}
	for _, path := range []string{"tile/0/002", "tile/0/000.p/256", "tile/0/000.p/0", "tile/8/000.p/1", "tile/0/0", "tile/entries/001", "tile/x/000", "tile/", "tile/0/../../checkpoint", "tiles"} {
		if r := i.call("GET", "/log/"+origin+"/"+path, token, ""); r.status != 404 {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
	// What is another tenant's does not exist.
	other := i.token("beta", auth.Operator)
	for _, path := range []string{"/checkpoint", "/tile/0/000", "/tile/entries/000"} {
		if r := i.call("GET", "/log/"+origin+path, other, ""); r.status != 404 {
			t.Errorf("%s for another tenant: %d", path, r.status)
		}
	}
}

// TestOlderCopy starts over a copy of the store from before: refused, with the reason, and nothing is written; the newest copy is taken again.
func TestOlderCopy(t *testing.T) {
	folder := t.TempDir()
	pinned := func(i *installation) { i.config.CheckpointDir = folder }
	i := start(t, pinned)
	i.register(i.token("default", auth.Operator), contract("eu", "eu", ""))
	i.stop()
	older, err := os.ReadFile(i.path)
	must(t, err)
	i = startAt(t, i.path, i, pinned)
	i.decide(i.token("default", auth.Operator), embed)
	i.stop()
	newest, err := os.ReadFile(i.path)
	must(t, err)
	path := filepath.Join(t.TempDir(), "caio.db")
	must(t, os.WriteFile(path, older, 0o600))
	err = i.reopen(path)
	if !errors.Is(err, ledger.ErrBehind) || !strings.Contains(err.Error(), "caio log recover") {
		t.Errorf("an older copy: %v", err)
	}
	must(t, os.WriteFile(path, newest, 0o600))
	must(t, i.reopen(path))
}
