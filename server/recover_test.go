package server_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
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
	return i.recoveredFrom(server.FormerLogKey{}, tenant)
}

// recoveredFrom does the same, where another key than the configuration's signed the log.
func (i *installation) recoveredFrom(former server.FormerLogKey, tenant string) (server.Recovery, error) {
	i.t.Helper()
	opened, err := sqlite.Open(context.Background(), i.path)
	must(i.t, err)
	defer opened.Close()
	subjects, err := seal.Open(context.Background(), subjectsOf(i.path), rand.Reader)
	must(i.t, err)
	defer subjects.Close()
	config := i.config
	config.Store, config.Subjects = opened, subjects
	return server.Recover(context.Background(), config, former, tenant, "ann@example.com", "the disk was lost")
}

// wholeLog reads the log of a tenant as it is served, each entry held to the trust file.
func (i *installation) wholeLog(tenant, origin string) (entries [][]byte, types []string) {
	i.t.Helper()
	trust, err := i.server.Trust(context.Background(), tenant)
	must(i.t, err)
	at := slices.IndexFunc(trust.Logs, func(l verify.Log) bool { return l.Origin == origin })
	if at < 0 {
		i.t.Fatalf("the trust file names the logs %+v, and not %s", trust.Logs, origin)
	}
	key, err := tlog.ParseKey(trust.Logs[at].Key)
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

// TestReplaceLogKey gives the checkpoints another key. The server refuses to go on with the logs of before; each goes on as a new one, which commits to the head as the key before signed it, and what was proved before is still proved, under the trust file of afterwards.
func TestReplaceLogKey(t *testing.T) {
	folder := t.TempDir()
	pinned := func(i *installation) { i.config.CheckpointDir = folder }
	another := func(seed byte) option {
		return func(i *installation) {
			pinned(i)
			i.config.LogSigner = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
		}
	}
	i := start(t, pinned)
	token := i.token("default", auth.Operator)
	i.register(token, contract("eu", "eu", ""))
	i.register(i.token("beta", auth.Operator), contract("eu", "eu", ""))
	decision := i.decide(token, embed)
	evidence := i.call("GET", "/v1/decisions/"+decision.DecisionID+"/evidence", token, "").body
	origin := i.origin("default")
	head := i.call("GET", "/log/"+origin+"/checkpoint", token, "").body
	trusted, err := i.server.Trust(context.Background(), "default")
	must(t, err)
	for n, former := range []ed25519.PublicKey{logKey.Public().(ed25519.PublicKey), ed25519.NewKeyFromSeed(bytes.Repeat([]byte{21}, ed25519.SeedSize)).Public().(ed25519.PublicKey)} {
		i.stop()
		next := another(byte(21 + n))
		next(i)
		if err := i.reopen(i.path); !errors.Is(err, ledger.ErrOtherKey) || !strings.Contains(err.Error(), "caio log recover --all --old-key") {
			t.Fatal(err)
		}
		if _, err := i.recovered("default"); !errors.Is(err, server.ErrFormerKey) {
			t.Fatalf("without the key of before: %v", err)
		}
		for _, tenant := range []string{"default", "beta"} {
			done, err := i.recoveredFrom(server.FormerLogKey{Public: former}, tenant)
			must(t, err)
			if !strings.Contains(done.Why, "was replaced") {
				t.Errorf("given up because of %s", done.Why)
			}
		}
		i = startAt(t, i.path, i, next)
		i.decide(i.token("default", auth.Operator), embed)
	}
	entries, _ := i.wholeLog("default", i.origin("default"))
	var record verify.RecoveryRecord
	_, err = verify.Verify(verify.TypRecovery, entries[0], verify.Keys{{Public: i.config.Signer.Public()}}, &record)
	must(t, err)
	if !strings.HasPrefix(record.Key, record.Lost+"+") || record.Lost == origin {
		t.Errorf("the last log follows %+v", record)
	}
	now, err := i.server.Trust(context.Background(), "default")
	must(t, err)
	if len(now.Logs) != 3 || !slices.ContainsFunc(now.Logs, func(l verify.Log) bool { return l.Origin == origin && l.Key == trusted.Logs[0].Key && l.Follows == "" }) {
		t.Errorf("the trust file names the logs %+v", now.Logs)
	}
	if last, ok := now.Current(); !ok || last.Origin != i.origin("default") || last.Follows != record.Lost {
		t.Errorf("the log in use is %+v", last)
	}
	if _, err := now.Encode(); err != nil {
		t.Error(err)
	}
	for name, trust := range map[string]verify.Trust{"before": trusted, "now": now} {
		_, verdicts := verify.CheckFile(context.Background(), evidence, trust, verify.Options{})
		for _, v := range verdicts {
			if v.Status == verify.Fail || v.Status != verify.Pass && slices.Contains([]string{verify.LayerSignature, verify.LayerDocument, verify.LayerReceipt}, v.Layer) {
				t.Errorf("under the trust file of %s: %+v", name, v)
			}
			if v.Layer == verify.LayerReceipt && strings.Contains(v.Reason, "the log was given up since") != (name == "now") {
				t.Errorf("under the trust file of %s, the receipt: %s", name, v.Reason)
			}
		}
	}
	// The first log is served as it was, and appended to no more.
	token = i.token("default", auth.Operator)
	if r := i.call("GET", "/log/"+origin+"/checkpoint", token, ""); r.status != 200 || !bytes.Equal(r.body, head) {
		t.Errorf("the first log is served under %q, and was under %q", r.body, head)
	}
	if r := i.call("GET", "/log/"+origin+"/checkpoint", i.token("beta", auth.Operator), ""); r.status != 404 {
		t.Errorf("for another tenant: %d", r.status)
	}
}

// TestReplaceLogKeyThatNobodyHas: the log is given up only where that is said, and then the new one names no key for it.
func TestReplaceLogKeyThatNobodyHas(t *testing.T) {
	i := start(t)
	i.register(i.token("default", auth.Operator), contract("eu", "eu", ""))
	origin := i.origin("default")
	i.stop()
	other := func(i *installation) {
		i.config.LogSigner = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{21}, ed25519.SeedSize))
	}
	other(i)
	if _, err := i.recoveredFrom(server.FormerLogKey{Public: rootKey.Public().(ed25519.PublicKey)}, "default"); err == nil || !strings.Contains(err.Error(), "did not sign its checkpoint either") {
		t.Errorf("with a key that was never the log's: %v", err)
	}
	_, err := i.recoveredFrom(server.FormerLogKey{Unknown: true}, "default")
	must(t, err)
	i = startAt(t, i.path, i, other)
	trust, err := i.server.Trust(context.Background(), "default")
	must(t, err)
	if !slices.ContainsFunc(trust.Logs, func(l verify.Log) bool { return l.Origin == origin && l.Key == "" }) {
		t.Errorf("the trust file names the logs %+v", trust.Logs)
	}
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
