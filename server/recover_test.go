package server_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/seal"
	"github.com/smarthausgroup/caio/internal/store/sqlite"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/tlog"
)

// recovered runs Recover over the store at the installation's path.
func (i *installation) recovered(tenant string) (server.Recovery, error) {
	i.t.Helper()
	opened, err := sqlite.Open(context.Background(), i.path)
	must(i.t, err)
	defer opened.Close()
	subjects, err := seal.Open(context.Background(), subjectsOf(i.path), rand.Reader)
	must(i.t, err)
	defer subjects.Close()
	config := i.config
	config.Store, config.Subjects = opened, subjects
	return server.Recover(context.Background(), config, tenant, "ann@example.com", "the disk was lost")
}

// wholeLog reads the log of a tenant as it is served, each entry held to the trust file.
func (i *installation) wholeLog(tenant, origin string) (entries [][]byte, types []string) {
	i.t.Helper()
	trust, err := i.server.Trust(context.Background(), tenant)
	must(i.t, err)
	key, err := tlog.ParseKey(ledger.VKey(origin, logKey.Public().(ed25519.PublicKey)))
	must(i.t, err)
	_, err = tlog.CheckLog(context.Background(), served{i, i.token(tenant, auth.Operator), origin}, tlog.Options{Keys: []tlog.Key{key}, Leaf: func(index int64, entry []byte) error {
		typ, err := trust.CheckEntry(origin, index, entry)
		entries, types = append(entries, append([]byte(nil), entry...)), append(types, typ)
		return err
	}})
	must(i.t, err)
	return entries, types
}

// TestRecover begins the log of a tenant anew whose store is an older copy: what was in force is in force, the new log commits to the lost head, the old one is served as far as it is there, and the other tenants go on.
func TestRecover(t *testing.T) {
	folder := t.TempDir()
	pinned := func(i *installation) { i.config.CheckpointDir = folder }
	i := start(t, pinned)
	token, other := i.token("default", auth.Operator), i.token("beta", auth.Operator)
	a := i.register(token, contract("a", "eu", ""))
	i.register(other, contract("theirs", "eu", ""))
	i.attest(token, "a", "", a.Contract, contracts.Audited)
	i.call("PUT", "/v1/services/a/grants", token, `{"tenants": ["beta"], "reason": "x"}`)
	if r := i.call("PUT", "/v1/services/theirs/grants?tenant=beta", token, `{"tenants": ["default"], "reason": "x"}`); r.status != 200 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if r := i.call("PUT", "/v1/settings", token, `{"settings": {"core": {"labels": ["telemetry"]}}, "reason": "x"}`); r.status != 200 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	bundle := i.activeBundle("default")
	before := i.decide(token, embed)
	origin, theirs := i.origin("default"), i.origin("beta")
	i.stop()
	older, err := os.ReadFile(i.path)
	must(t, err)
	if _, err := i.recovered("default"); !errors.Is(err, ledger.ErrSound) {
		t.Fatalf("a sound log: %v", err)
	}
	i = startAt(t, i.path, i, pinned)
	i.decide(i.token("default", auth.Operator), embed)
	i.stop()
	lost, err := os.ReadFile(filepath.Join(folder, origin))
	must(t, err)
	must(t, os.WriteFile(i.path, older, 0o600))
	if err := i.reopen(i.path); !errors.Is(err, ledger.ErrBehind) {
		t.Fatal(err)
	}
	done, err := i.recovered("default")
	must(t, err)

	i = startAt(t, i.path, i, pinned)
	token = i.token("default", auth.Operator)
	if now := i.origin("default"); now != done.Origin || now == origin || done.Lost != origin || i.origin("beta") != theirs {
		t.Errorf("the new log is %s, by its word %+v", now, done)
	}
	entries, types := i.wholeLog("default", done.Origin)
	var record verify.RecoveryRecord
	_, err = verify.Verify(verify.TypRecovery, entries[0], verify.Keys{{Public: i.config.Signer.Public()}}, &record)
	if err != nil || record.Lost != origin || record.Checkpoint != string(lost) || record.Reason != "the disk was lost" || record.Kept == 0 || record.Log != done.Origin {
		t.Errorf("the first entry says %+v, %v", record, err)
	}
	if types[1] != verify.TypKey {
		t.Errorf("the entries are %v", types)
	}
	if s := i.service(token, "a"); s.Contract != a.Contract || s.Attestation != contracts.Audited {
		t.Errorf("the tenant's service is %+v", s)
	}
	for _, path := range []string{"/v1/services/theirs", "/v1/bundles", "/v1/settings"} {
		if r := i.call("GET", path, token, ""); r.status != 200 || path == "/v1/bundles" && !strings.Contains(string(r.body), bundle) || path == "/v1/settings" && !strings.Contains(string(r.body), "telemetry") {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
	after := i.decide(token, embed)
	if r := i.call("GET", "/v1/decisions/"+after.DecisionID+"/receipt", token, ""); r.status != 200 || !strings.Contains(string(r.body), done.Origin) {
		t.Errorf("the receipt of a decision: %d %s", r.status, r.body)
	}
	// The log that was given up is served as far as it is there, to its tenant alone, and is appended to no more.
	found := false
	old, _ := i.wholeLog("default", origin)
	for _, entry := range old {
		found = found || string(entry) == before.Statement
	}
	if int64(len(old)) != done.Kept || !found {
		t.Errorf("of the log before there are %d entries, and %d were kept", len(old), done.Kept)
	}
	if r := i.call("GET", "/log/"+origin+"/checkpoint", i.token("beta", auth.Operator), ""); r.status != 404 {
		t.Errorf("the log before, for another tenant: %d", r.status)
	}
	i.decide(i.token("beta", auth.Operator), embed)
	i.stop()
	i = startAt(t, i.path, i, pinned)
	i.decide(i.token("default", auth.Operator), embed)
}

// TestErasedBeforeRecovery: a log that was given up says who was erased, also to a store of subjects of before the erasure.
func TestErasedBeforeRecovery(t *testing.T) {
	pinned := func(i *installation) { i.config.CheckpointDir = filepath.Dir(i.path) }
	i := start(t, pinned)
	token := i.token("default", auth.Operator)
	i.register(token, contract("eu", "eu", ""))
	i.decide(token, about("a", "ann"))
	i.stop()
	subjects := filepath.Join(t.TempDir(), "subjects.db")
	copyFile(t, subjectsOf(i.path), subjects)
	i = startAt(t, i.path, i, pinned)
	if r := i.erase(token, "ann", true); r.status != 201 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	i.stop()
	db, err := sql.Open("sqlite", i.path)
	must(t, err)
	_, err = db.Exec("DELETE FROM tiles")
	must(t, errors.Join(err, db.Close()))
	_, err = i.recovered("default")
	must(t, err)
	copyFile(t, subjects, subjectsOf(i.path))
	i = startAt(t, i.path, i, pinned)
	var erasures server.ErasureList
	i.call("GET", "/v1/erasures", token, "").into(t, &erasures)
	if len(erasures.Erasures) != 1 {
		t.Errorf("the new log says of erasures: %+v", erasures)
	}
	i.stop()
	opened, err := seal.Open(context.Background(), subjectsOf(i.path), rand.Reader)
	must(t, err)
	defer opened.Close()
	if _, known, err := opened.Find(context.Background(), "default", "ann"); err != nil || known {
		t.Errorf("who was erased is there after the start, %v", err)
	}
}
