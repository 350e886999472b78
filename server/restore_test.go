package server_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/internal/seal"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/internal/store/sqlite"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/smarthausgroup/caio/verify"
)

// newSigner is a signer with a key of its own.
func newSigner(t *testing.T) *verify.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	signer, err := verify.NewSigner(key)
	must(t, err)
	return signer
}

// reopen starts a server over the store at the path, and stops it: what it says is what a start says.
func (i *installation) reopen(path string) error {
	i.t.Helper()
	opened, err := sqlite.Open(context.Background(), path)
	must(i.t, err)
	defer opened.Close()
	subjects, err := seal.Open(context.Background(), subjectsOf(path), rand.Reader)
	must(i.t, err)
	defer subjects.Close()
	config := i.config
	config.Store, config.Subjects = opened, subjects
	s, err := server.New(context.Background(), config)
	if err == nil {
		must(i.t, s.Shutdown())
	}
	return err
}

// forger is somebody who can write to the database, and has a key, though not the server's.
type forger struct {
	t       *testing.T
	db      *sql.DB
	signer  *verify.Signer
	origin  string
	leaf    map[string]string // by the service that it attests
	attests map[string]any    // the payload of an attestation
	kid     string            // of the server's key
	server  *verify.Signer    // whose key somebody may have
}

func (f *forger) do(statement string, args ...any) {
	f.t.Helper()
	result, err := f.db.Exec(statement, args...)
	must(f.t, err)
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		f.t.Fatalf("%s changed nothing: %v", statement, err)
	}
}

// fell takes the tree over the leaves away, as if it had not been made yet, so that what was forged doesn't show in it already: the ledger's tests see to that.
func (f *forger) fell() {
	f.t.Helper()
	f.do("DELETE FROM tiles")
	f.do("DELETE FROM checkpoints")
}

// leafOf is the entry of the tenant default at an index, an expression.
func (f *forger) leafOf(index string) (leaf string) {
	f.t.Helper()
	must(f.t, f.db.QueryRow("SELECT leaf FROM entries WHERE tenant = 'default' AND idx = "+index).Scan(&leaf))
	return leaf
}

func (f *forger) sign(typ string, payload map[string]any) []byte {
	f.t.Helper()
	leaf, err := f.signer.Sign(typ, payload)
	must(f.t, err)
	return leaf
}

// history is a store with every kind of event, and outcomes, of two tenants.
func history(t *testing.T) *installation {
	i := start(t)
	token := i.token("default", auth.Operator)
	a := i.register(token, contract("a", "eu", ""))
	b := i.register(token, contract("b", "eu", ""))
	i.attest(token, "a", "", a.Contract, contracts.Audited)
	i.attest(token, "b", "", b.Contract, contracts.Verified)
	i.attest(token, "b", "", b.Contract, contracts.SelfAttested)
	i.call("PUT", "/v1/services/a/grants", token, `{"tenants": ["beta"], "reason": "x"}`)
	decided := i.decide(token, embed)
	if r := i.call("POST", "/v1/decisions/"+decided.DecisionID+"/outcome", token, `{"status": "failed", "latency_ms": 5}`); r.status != 201 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	i.activeBundle("default")
	if r := i.call("PUT", "/v1/holds/all", token, `{"everything": true, "ground": "case 117", "reason": "counsel"}`); r.status != 200 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	i.stop()
	return i
}

// INV-CAIO-SEC: somebody who can write to the database, and has no key, makes nothing that the server then acts on: it does not start.
func TestForgedRows(t *testing.T) {
	const again = " SELECT tenant, %s, kind, subject, digest, %s, pending, signer, actor, reason, time, scope FROM events WHERE tenant = 'default' AND kind = 'attested' AND level = 'audited'"
	copied := func(index, level string) string { return "INSERT INTO events" + fmt.Sprintf(again, index, level) }
	const attested = " WHERE tenant = 'default' AND kind = 'attested' AND level = 'audited'"
	const last = "(SELECT max(idx) FROM entries WHERE tenant = 'default')"
	tests := map[string]struct {
		forge func(f *forger)
		says  string
	}{
		"nothing":                        {func(*forger) {}, ""},
		"an event beyond the log":        {func(f *forger) { f.do(copied("100000", "'verified'")) }, "index 100000: an event without an entry"},
		"an event beside a decision":     {func(f *forger) { f.do(copied("(SELECT idx FROM decisions)", "'verified'")) }, "an event whose entry is of another kind"},
		"another level":                  {func(f *forger) { f.do("UPDATE events SET level = 'verified'" + attested) }, "says something else than its entry"},
		"another digest":                 {func(f *forger) { f.do("UPDATE events SET digest = 'x'" + attested) }, "says something else than its entry"},
		"another service":                {func(f *forger) { f.do("UPDATE events SET subject = 'b'" + attested) }, "says something else than its entry"},
		"another actor":                  {func(f *forger) { f.do("UPDATE events SET actor = 'x'" + attested) }, "says something else than its entry"},
		"another reason":                 {func(f *forger) { f.do("UPDATE events SET reason = 'it is good'" + attested) }, "says something else than its entry"},
		"another kind":                   {func(f *forger) { f.do("UPDATE events SET kind = 'approved'" + attested) }, "says something else than its entry"},
		"another time":                   {func(f *forger) { f.do("UPDATE events SET time = time + 5000" + attested) }, "another time"},
		"no longer pending":              {func(f *forger) { f.do("UPDATE events SET pending = 1 WHERE kind = 'registered'") }, "says something else"},
		"the signer of a bundle":         {func(f *forger) { f.do("UPDATE events SET signer = 'x' WHERE kind = 'activated'") }, "says something else"},
		"the scope of a bundle":          {func(f *forger) { f.do("UPDATE events SET scope = 'tenant' WHERE kind = 'activated'") }, "says something else"},
		"the scope of settings":          {func(f *forger) { f.do("UPDATE events SET scope = 'tenant' WHERE kind = 'settings'") }, "says something else"},
		"who pushed a bundle":            {func(f *forger) { f.do("UPDATE events SET actor = 'x' WHERE kind = 'pushed'") }, "says something else"},
		"a bundle in force by a push":    {func(f *forger) { f.do("UPDATE events SET kind = 'activated' WHERE kind = 'pushed'") }, "says something else"},
		"a bundle in force as a shadow":  {func(f *forger) { f.do("UPDATE events SET kind = 'shadowed' WHERE kind = 'activated'") }, "says something else"},
		"a bundle under another name":    {func(f *forger) { f.do("UPDATE events SET subject = 'x' WHERE kind = 'activated' AND scope = 'tenant'") }, "says something else"},
		"another version of a bundle":    {func(f *forger) { f.do("UPDATE events SET digest = 'x' WHERE kind = 'activated' AND scope = 'tenant'") }, "says something else"},
		"a bundle that nobody took out":  {func(f *forger) { f.do("DELETE FROM events WHERE kind = 'activated' AND scope = 'tenant'") }, "an entry whose event is missing"},
		"a bundle as the installation's": {func(f *forger) { f.do("UPDATE events SET scope = '' WHERE kind = 'activated' AND scope = 'tenant'") }, "says something else"},
		"other settings":                 {func(f *forger) { f.do("UPDATE events SET digest = 'x' WHERE kind = 'settings'") }, "says something else"},
		"a grant's contract":             {func(f *forger) { f.do("UPDATE events SET digest = 'x' WHERE kind = 'granted'") }, `tenant "beta"`},
		"an event taken away":            {func(f *forger) { f.do("DELETE FROM events WHERE kind = 'attested' AND level = 'self'") }, "an entry whose event is missing"},
		"the last event taken away":      {func(f *forger) { f.do("DELETE FROM events WHERE tenant = 'beta' AND kind = 'attested'") }, "an entry whose event is missing"},
		"a hold listed as another entry": {func(f *forger) { f.do("UPDATE entries SET type = 'caio-explanation+jws' WHERE type = 'caio-hold+jws'") }, "listed as caio-explanation+jws, which was signed as caio-hold+jws"},
		"a hold listed as a decision":    {func(f *forger) { f.do("UPDATE entries SET type = 'caio-decision+jws' WHERE type = 'caio-hold+jws'") }, "listed as caio-decision+jws, which was signed as caio-hold+jws"},
		"a size raised":                  {func(f *forger) { f.do("UPDATE logs SET size = size + 1") }, "its size is"},
		"the last entry taken away":      {func(f *forger) { f.do("DELETE FROM entries WHERE idx = " + last) }, "its size is"},
		"an entry taken out":             {func(f *forger) { f.do("DELETE FROM entries WHERE idx = 3") }, "its size is"},
		"an outcome taken away":          {func(f *forger) { f.do("DELETE FROM attempts") }, "an outcome without its attempt"},
		"one more whom content is about": {func(f *forger) {
			f.do("INSERT INTO decision_subjects SELECT tenant, randomblob(16), decision FROM decision_subjects")
		}, "was sealed for 1 and is listed for 2"},
		"whom content is about":          {func(f *forger) { f.do("DELETE FROM decision_subjects") }, "content that is listed for nobody"},
		"an outcome changed":             {func(f *forger) { f.do("UPDATE attempts SET ok = 1 - ok") }, "the attempt says something else than its entry"},
		"an outcome of another latency":  {func(f *forger) { f.do("UPDATE attempts SET latency_ms = 1") }, "the attempt says something else than its entry"},
		"an outcome of another intent":   {func(f *forger) { f.do("UPDATE attempts SET intent = 'chat'") }, "the attempt says something else than its entry"},
		"an outcome of another time":     {func(f *forger) { f.do("UPDATE attempts SET time = time + 1000") }, "the attempt says something else than its entry"},
		"an outcome beside another":      {func(f *forger) { f.do("UPDATE attempts SET idx = 1") }, "an attempt whose entry says something else"},
		"a grant that nobody made":       {func(f *forger) { f.do("INSERT INTO grants VALUES ('default', 'b', 'beta')") }, "lists a grant of the service b"},
		"a grant taken away":             {func(f *forger) { f.do("DELETE FROM grants") }, "lists no such grant"},
		"another origin":                 {func(f *forger) { f.do("UPDATE logs SET origin = 'x' WHERE tenant = 'default'") }, "signed for another log"},
		"a key that begins later":        {func(f *forger) { f.do("UPDATE signing_keys SET first_idx = 2") }, "not in use as the store says"},
		"no key":                         {func(f *forger) { f.do("DELETE FROM signing_keys") }, "a key that the store does not know"},
		"another key under the same kid": {func(f *forger) { f.do("UPDATE signing_keys SET jwk = ?", f.jwk()) }, "thumbprint"},
		"signed by another key": {func(f *forger) {
			f.attests["level"] = "verified"
			f.do("UPDATE entries SET leaf = ? WHERE tenant = 'default' AND leaf = ?", f.sign(verify.TypAttestation, f.attests), []byte(f.leaf["a"]))
			f.do("UPDATE events SET level = 'verified'" + attested)
		}, "signed by a key that the trust file does not hold"},
		"signed by another key that is known": {func(f *forger) {
			f.attests["level"] = "verified"
			f.do("UPDATE entries SET leaf = ? WHERE tenant = 'default' AND leaf = ?", f.sign(verify.TypAttestation, f.attests), []byte(f.leaf["a"]))
			f.do("UPDATE events SET level = 'verified'" + attested)
			f.do("INSERT INTO signing_keys VALUES ('default', ?, ?, 0, 100000)", f.signer.KeyID(), f.jwk())
		}, "not in use as the store says"},
		"a signed entry again": {func(f *forger) {
			const from = "(SELECT idx FROM events WHERE tenant = 'default' AND subject = 'b' AND level = 'verified')"
			const to = "(SELECT idx FROM events WHERE tenant = 'default' AND subject = 'b' AND level = 'self')"
			f.do("UPDATE entries SET leaf = (SELECT leaf FROM entries WHERE tenant = 'default' AND idx = " + from + ") WHERE tenant = 'default' AND idx = " + to)
			f.do("UPDATE events SET level = 'verified', reason = (SELECT reason FROM events WHERE tenant = 'default' AND idx = " + from + "), time = (SELECT time FROM events WHERE tenant = 'default' AND idx = " + from + ") WHERE tenant = 'default' AND idx = " + to)
		}, "belongs elsewhere"},
		"two signed entries in each other's place": {func(f *forger) {
			const where = " WHERE tenant = 'default' AND subject = 'b' AND kind = 'attested'"
			_, err := f.db.Exec("CREATE TABLE swapped AS SELECT v.*, e.leaf, (SELECT sum(idx) FROM events" + where + ") - v.idx AS other FROM events v JOIN entries e USING (tenant, idx)" + where)
			must(f.t, err)
			f.do("UPDATE entries SET leaf = s.leaf FROM swapped s WHERE entries.tenant = s.tenant AND entries.idx = s.other")
			f.do("UPDATE events SET level = s.level, reason = s.reason, time = s.time FROM swapped s WHERE events.tenant = s.tenant AND events.idx = s.other")
		}, "belongs elsewhere"},
		"a signed entry at a later place": {func(f *forger) {
			const to = "tenant = 'default' AND subject = 'b' AND level = 'self'"
			f.do("UPDATE entries SET leaf = ? WHERE tenant = 'default' AND idx = (SELECT idx FROM events WHERE "+to+")", []byte(f.leaf["a"]))
			f.do("UPDATE events SET subject = s.subject, digest = s.digest, level = s.level, reason = s.reason, time = s.time FROM (SELECT * FROM events" + attested + ") s WHERE events.idx = (SELECT idx FROM events WHERE " + to + ") AND events.tenant = 'default'")
			f.do("UPDATE entries SET type = ? WHERE tenant = 'default' AND idx = (SELECT min(idx) FROM events"+attested+")", verify.TypFailure)
			f.do("DELETE FROM events" + attested + " AND idx = (SELECT min(idx) FROM events" + attested + ")")
		}, "belongs elsewhere"},
		"an entry of another log": {func(f *forger) {
			const theirs = "tenant = 'beta' AND kind = 'attested'"
			f.do("UPDATE entries SET leaf = (SELECT leaf FROM entries JOIN events USING (tenant, idx) WHERE " + theirs + ") WHERE tenant = 'default' AND idx = (SELECT idx FROM events" + attested + ")")
			f.do("UPDATE events SET reason = s.reason, time = s.time FROM (SELECT reason, time FROM events WHERE " + theirs + ") s" + attested)
		}, "signed for another log"},
		"a change that says what is not in force after it": {func(f *forger) {
			f.signer = f.server
			last := payload(f.t, f.leafOf("(SELECT max(idx) FROM events WHERE tenant = 'default' AND kind = 'attested')"))
			last["snapshot"] = strings.Repeat("0", 64)
			f.do("UPDATE entries SET leaf = ? WHERE tenant = 'default' AND idx = (SELECT max(idx) FROM events WHERE tenant = 'default' AND kind = 'attested')", f.sign(verify.TypAttestation, last))
		}, "are in force after it"},
		"a change taken away under the server's own key": {func(f *forger) {
			f.signer = f.server
			const where = "(SELECT min(idx) FROM events WHERE tenant = 'default' AND kind = 'attested')"
			failure := payload(f.t, f.leafOf(where))
			for _, key := range []string{"service", "contract", "level", "actor", "reason", "snapshot", "attestations"} {
				delete(failure, key)
			}
			failure["id"], failure["code"] = "x", "x"
			f.do("UPDATE entries SET type = ?, leaf = ? WHERE tenant = 'default' AND idx = "+where, verify.TypFailure, f.sign(verify.TypFailure, failure))
			f.do("DELETE FROM events WHERE tenant = 'default' AND idx = " + where)
		}, "are in force after it"},
		"a history before the key, with a word for it": {func(f *forger) {
			f.rewrite()
			f.key("succeeds", f.signer)
		}, "can't say at this place"},
		"a history before the key": {(*forger).rewrite, "took over without saying from which"},
	}
	original := history(t)
	text, err := os.ReadFile(original.path)
	must(t, err)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "caio.db")
			must(t, os.WriteFile(path, text, 0o600))
			original.t = t
			f := newForger(t, path)
			f.server = original.config.Signer
			test.forge(f)
			f.fell()
			err := original.reopen(path)
			if test.says == "" && err != nil || test.says != "" && (!errors.Is(err, store.ErrInconsistent) || !strings.Contains(err.Error(), test.says)) {
				t.Errorf("%v, want %q", err, test.says)
			}
		})
	}
}

// newForgerOf can write to the database at a path.
func newForgerOf(t *testing.T, path string) *forger {
	db, err := sql.Open("sqlite", path)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	return &forger{t: t, db: db, signer: newSigner(t), leaf: map[string]string{}}
}

func newForger(t *testing.T, path string) *forger {
	f := newForgerOf(t, path)
	db := f.db
	must(t, db.QueryRow("SELECT origin FROM logs WHERE tenant = 'default'").Scan(&f.origin))
	must(t, db.QueryRow("SELECT kid FROM signing_keys WHERE tenant = 'default'").Scan(&f.kid))
	var leaf string
	must(t, db.QueryRow("SELECT e.leaf FROM entries e JOIN events v USING (tenant, idx) WHERE tenant = 'default' AND v.level = 'audited'").Scan(&leaf))
	f.leaf["a"], f.attests = leaf, payload(t, leaf)
	return f
}

// payload is what a leaf says; its numbers are whole.
func payload(t *testing.T, leaf string) map[string]any {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(leaf, ".")[1])
	must(t, err)
	var v map[string]any
	must(t, json.Unmarshal(text, &v))
	for name, value := range v {
		if number, ok := value.(float64); ok {
			v[name] = int64(number)
		}
	}
	return v
}

func (f *forger) jwk() []byte { return jwkOf(f.signer) }

func jwkOf(s *verify.Signer) []byte {
	return fmt.Appendf(nil, `{"kty":"OKP","crv":"Ed25519","kid":%q,"x":%q}`, s.KeyID(), xOf(s))
}

func xOf(s *verify.Signer) string { return base64.RawURLEncoding.EncodeToString(s.Public()) }

// rewrite signs the whole log anew with the forger's key, with an attestation that nobody gave, and lets that key hand over to the server's.
func (f *forger) rewrite() {
	f.do("UPDATE events SET level = 'verified' WHERE tenant = 'default' AND level = 'audited'")
	rows, err := f.db.Query("SELECT idx, type, leaf FROM entries WHERE tenant = 'default' ORDER BY idx")
	must(f.t, err)
	type row struct {
		index     int64
		typ, leaf string
	}
	var all []row
	for rows.Next() {
		var r row
		must(f.t, rows.Scan(&r.index, &r.typ, &r.leaf))
		all = append(all, r)
	}
	must(f.t, rows.Close())
	key := map[string]any{}
	for _, r := range all {
		p := payload(f.t, r.leaf)
		if r.typ == verify.TypDecision {
			continue
		}
		if p["level"] == "audited" {
			p["level"] = "verified"
		}
		if r.typ == verify.TypKey {
			for name, value := range p {
				key[name] = value
			}
			p["kid"], p["x"] = f.signer.KeyID(), xOf(f.signer)
		}
		f.do("UPDATE entries SET leaf = ? WHERE tenant = 'default' AND idx = ?", f.sign(r.typ, p), r.index)
	}
	n := f.append(verify.TypKey, key)
	f.key("retired", f.signer)
	f.do("UPDATE signing_keys SET first_idx = ? WHERE tenant = 'default'", n)
	f.do("INSERT INTO signing_keys VALUES ('default', ?, ?, 0, ?)", f.signer.KeyID(), f.jwk(), n+1)
}

// append puts an entry that the forger signs at the end of the log.
func (f *forger) append(typ string, payload map[string]any) int64 {
	var n int64
	must(f.t, f.db.QueryRow("SELECT size FROM logs WHERE tenant = 'default'").Scan(&n))
	payload["base"] = n
	f.do("INSERT INTO entries (tenant, idx, type, leaf) VALUES ('default', ?, ?, ?)", n, typ, f.sign(typ, payload))
	f.do("UPDATE logs SET size = size + 1 WHERE tenant = 'default'")
	return n
}

// key puts a word on a key at the end of the log.
func (f *forger) key(kind string, subject *verify.Signer) int64 {
	return f.append(verify.TypKey, map[string]any{
		"v": int64(1), "tenant": "default", "log": f.origin, "iat": int64(1), "kind": kind, "kid": subject.KeyID(), "x": xOf(subject),
	})
}

// A key that was retired, since somebody else had it, signs nothing that the server takes.
func TestRetiredKey(t *testing.T) {
	i := history(t)
	one, two, three := i.config.Signer, newSigner(t), newSigner(t)
	i = startAt(t, i.path, i, func(i *installation) { i.config.Signer, i.config.Outgoing = two, one })
	token := i.token("default", auth.Operator)
	i.attest(token, "b", "", i.service(token, "b").Contract, contracts.Audited)
	i.stop()
	const gone = "UPDATE signing_keys SET last_idx = NULL WHERE tenant = 'default' AND kid = ?"
	for name, test := range map[string]struct {
		forge func(f *forger)
		says  string
	}{
		"nothing": {func(*forger) {}, ""},
		"an event": {func(f *forger) {
			f.attests["service"], f.attests["level"] = "b", "verified"
			f.do("INSERT INTO events SELECT tenant, ?, kind, 'b', digest, 'verified', pending, signer, actor, reason, time, scope FROM events WHERE tenant = 'default' AND subject = 'a' AND level = 'audited'", f.append(verify.TypAttestation, f.attests))
		}, "was not in use then"},
		"another key": {func(f *forger) { f.key("activated", three) }, "can't say"},
		"another key that is stored": {func(f *forger) {
			f.do("INSERT INTO signing_keys VALUES ('default', ?, ?, ?, NULL)", three.KeyID(), jwkOf(three), f.key("activated", three))
		}, "can't say"},
		"the end of the key after it": {func(f *forger) {
			f.do("UPDATE signing_keys SET last_idx = ? WHERE tenant = 'default' AND kid = ?", f.key("retired", two), two.KeyID())
		}, "can't say"},
		"its own return": {func(f *forger) { f.key("activated", one); f.do(gone, one.KeyID()) }, "can't say"},
		"no retirement": {func(f *forger) {
			f.do("UPDATE entries SET type = ? WHERE tenant = 'default' AND idx = (SELECT last_idx FROM signing_keys WHERE tenant = 'default' AND kid = ?)", verify.TypFailure, one.KeyID())
			f.do(gone, one.KeyID())
		}, "can't say"},
		"a longer time": {func(f *forger) { f.do("UPDATE signing_keys SET last_idx = last_idx + 9 WHERE last_idx IS NOT NULL") }, "not in use as the store says"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(i.path)
			must(t, err)
			path := filepath.Join(t.TempDir(), "caio.db")
			must(t, os.WriteFile(path, text, 0o600))
			i.t = t
			f := newForger(t, path)
			f.signer = one
			test.forge(f)
			f.fell()
			err = i.reopen(path)
			if test.says == "" && err != nil || test.says != "" && (!errors.Is(err, store.ErrInconsistent) || !strings.Contains(err.Error(), test.says)) {
				t.Errorf("%v, want %q", err, test.says)
			}
		})
	}
}

// Keys change hands, and every start in between finds the log in order. None comes back that was retired.
func TestKeysThereAndNotBack(t *testing.T) {
	i := history(t)
	one, two, three, four := i.config.Signer, newSigner(t), newSigner(t), newSigner(t)
	for n, change := range []struct{ signer, outgoing *verify.Signer }{{one, nil}, {two, one}, {two, one}, {two, nil}, {three, two}, {four, three}, {four, nil}} {
		i.config.Signer, i.config.Outgoing = change.signer, change.outgoing
		if err := i.reopen(i.path); err != nil {
			t.Fatalf("start %d: %v", n, err)
		}
	}
	for says, signer := range map[string]*verify.Signer{"was retired": two, "outgoing": newSigner(t)} {
		i.config.Signer = signer
		if err := i.reopen(i.path); err == nil || errors.Is(err, store.ErrInconsistent) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}

// A stored document that is not the one of the signed statement is not served, and nothing is listed by it.
func TestForgedDocument(t *testing.T) {
	i := history(t)
	f := newForger(t, i.path)
	f.do("UPDATE entries SET document = CAST(replace(CAST(document AS TEXT), 'embeddings', 'embeddingz') AS BLOB) WHERE CAST(document AS TEXT) LIKE '%embeddings%'")
	must(t, f.db.Close())
	i = startAt(t, i.path, i)
	token := i.token("default", auth.Operator)
	page, err := i.store.Search(context.Background(), "default", store.Query{Limit: 1})
	must(t, err)
	for _, path := range []string{"?limit=1", "/" + page.Decisions[0].ID, "/" + page.Decisions[0].ID + "/document"} {
		if r := i.call("GET", "/v1/decisions"+path, token, ""); r.status != 500 || r.problem() != "internal" {
			t.Errorf("%q: %d %s", path, r.status, r.body)
		}
	}
	if !strings.Contains(i.logs.String(), "and its statement says") {
		t.Errorf("the operator is told %s", i.logs)
	}
}
