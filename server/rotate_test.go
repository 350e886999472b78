package server_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/smarthausgroup/caio/verify"
)

// elsewhere is a key that the process does not hold, as in a hardware module; before it signs it asks.
type elsewhere struct {
	key    ed25519.PrivateKey
	before func(message []byte)
}

func (e elsewhere) Public() crypto.PublicKey { return e.key.Public() }

func (e elsewhere) Sign(random io.Reader, message []byte, o crypto.SignerOpts) ([]byte, error) {
	if e.before != nil {
		e.before(message)
	}
	return e.key.Sign(random, message, o)
}

func signerElsewhere(t *testing.T, before func([]byte)) *verify.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	must(t, err)
	signer, err := verify.NewSigner(elsewhere{key, before})
	must(t, err)
	return signer
}

// headOf is the protected header of a leaf.
func headOf(t testing.TB, leaf []byte) (head struct{ Alg, Kid, Typ string }) {
	t.Helper()
	first, _, _ := bytes.Cut(leaf, []byte("."))
	text, err := base64.RawURLEncoding.DecodeString(string(first))
	must(t, err)
	must(t, json.Unmarshal(text, &head))
	return head
}

// inIntervals holds every entry of a tenant's log to the interval of its key, and returns how many each key signed.
func (i *installation) inIntervals(tenant string) map[string]int {
	i.t.Helper()
	trust, err := i.server.Trust(context.Background(), tenant)
	must(i.t, err)
	trust.Keys, err = verify.ParseJWKS(i.call("GET", "/.well-known/jwks.json", "", "").body)
	must(i.t, err)
	log, err := i.store.Log(context.Background(), tenant)
	must(i.t, err)
	signed := map[string]int{}
	for from := int64(0); from < log.Size; {
		entries, err := i.store.Entries(context.Background(), tenant, from, 500)
		must(i.t, err)
		for n := range entries {
			e := &entries[n]
			if typ, err := trust.CheckEntry(log.Origin, e.Index, e.Leaf); err != nil || typ != e.Type {
				i.t.Fatalf("%s at %d: %q, %v", e.Type, e.Index, typ, err)
			}
			signed[headOf(i.t, e.Leaf).Kid]++
		}
		from += int64(len(entries))
	}
	return signed
}

// Keys rotate while decisions go on: each answer is the leaf at its index, signed with the key that was in use there.
func TestRotationUnderLoad(t *testing.T) {
	i := start(t)
	tenants := []string{"acme", "beta"}
	tokens := map[string]string{}
	for _, tenant := range tenants {
		tokens[tenant] = i.token(tenant, auth.Operator)
		i.register(tokens[tenant], contract("a", "eu", ""))
	}
	type answered struct {
		tenant, statement string
		index             int64
	}
	var mu sync.Mutex
	var answers []answered
	var done atomic.Bool
	var all sync.WaitGroup
	for n := range 8 {
		tenant := tenants[n%2]
		all.Go(func() {
			for k := 0; !done.Load(); k++ {
				r, err := i.try("POST", "/v1/decisions", tokens[tenant], embed, "Idempotency-Key", fmt.Sprint(n, "-", k))
				var a struct {
					DecisionID string `json:"decision_id"`
					Statement  string
					Index      int64
				}
				if err != nil || r.status != http.StatusOK || json.Unmarshal(r.body, &a) != nil {
					t.Errorf("%d %s %v", r.status, r.body, err)
					return
				}
				mu.Lock()
				answers = append(answers, answered{tenant, a.Statement, a.Index})
				mu.Unlock()
				if r, err := i.try("POST", "/v1/decisions/"+a.DecisionID+"/outcome", tokens[tenant], `{"status": "succeeded", "latency_ms": 5}`); err != nil || r.status != http.StatusCreated {
					t.Errorf("%d %s %v", r.status, r.body, err)
				}
				if r, err := i.try("POST", "/v1/decisions/explain", tokens[tenant], embed); err != nil || r.status != http.StatusOK {
					t.Errorf("%d %s %v", r.status, r.body, err)
				}
			}
		})
	}
	enough := func(n int) bool {
		mu.Lock()
		defer mu.Unlock()
		return len(answers) >= n
	}
	const rotations = 12
	for n := range rotations {
		for !enough(10 * n) {
			if t.Failed() {
				break
			}
		}
		must(t, i.server.Rotate(t.Context(), signerElsewhere(t, nil), nil))
	}
	done.Store(true)
	all.Wait()
	if len(answers) < 10*rotations-10 {
		t.Fatalf("only %d decisions", len(answers))
	}
	for _, tenant := range tenants {
		if signed := i.inIntervals(tenant); len(signed) != rotations+1 {
			t.Errorf("%d keys signed: %v", len(signed), signed)
		}
	}
	for _, a := range answers {
		entries, err := i.store.Entries(t.Context(), a.tenant, a.index, 1)
		if err != nil || string(entries[0].Leaf) != a.statement {
			t.Errorf("the answer of %s at %d is not its leaf: %v", a.tenant, a.index, err)
		}
	}
	i.stop()
	i.config.Signer = signerElsewhere(t, nil)
	if err := i.reopen(i.path); err == nil || !strings.Contains(err.Error(), "outgoing") {
		t.Errorf("a key that nobody let in: %v", err)
	}
}

// A statement that was signed with the key before is signed anew, and the caller, and who repeats the call, gets the new one.
func TestStatementInFlightAtARotation(t *testing.T) {
	signing, rotated := make(chan struct{}), make(chan struct{})
	var once sync.Once
	slow := signerElsewhere(t, func(message []byte) {
		if head := headOf(t, message); head.Typ == verify.TypDecision {
			once.Do(func() { close(signing); <-rotated })
		}
	})
	i := start(t, func(i *installation) { i.config.Signer = slow })
	token := i.token("default", auth.Operator)
	i.register(token, contract("a", "eu", ""))
	next := newSigner(t)
	answer := make(chan reply)
	go func() {
		r, err := i.try("POST", "/v1/decisions", token, embed, "Idempotency-Key", "one")
		if err != nil {
			t.Error(err)
		}
		answer <- r
	}()
	<-signing
	must(t, i.server.Rotate(t.Context(), next, nil))
	close(rotated)
	first := <-answer
	var a struct {
		Statement string
		Index     int64
	}
	first.into(t, &a)
	if head := headOf(t, []byte(a.Statement)); first.status != http.StatusOK || head.Kid != next.KeyID() {
		t.Errorf("%d %s", first.status, first.body)
	}
	if again := i.call("POST", "/v1/decisions", token, embed, "Idempotency-Key", "one"); !bytes.Equal(again.body, first.body) {
		t.Errorf("repeated: %s", again.body)
	}
	if signed := i.inIntervals("default"); len(signed) != 2 {
		t.Errorf("%v", signed)
	}
}

// The log grows while the words on the keys are signed, each of which states its size.
func TestRotationWhileTheLogGrows(t *testing.T) {
	var grow func()
	i := start(t, func(i *installation) {
		i.config.Signer = signerElsewhere(t, func(message []byte) {
			if grow != nil && headOf(t, message).Typ == verify.TypKey {
				grow()
			}
		})
	})
	token := i.token("default", auth.Operator)
	i.register(token, contract("a", "eu", ""))
	grow = func() {
		for range 5 {
			i.decide(token, embed)
		}
	}
	must(t, i.server.Rotate(t.Context(), newSigner(t), nil))
	if signed := i.inIntervals("default"); len(signed) != 2 {
		t.Errorf("%v", signed)
	}
}

// A key that was retired does not sign again: in none of the logs, and by nobody's word.
func TestRetiredKeyComesBack(t *testing.T) {
	root, one, two := newSigner(t), newSigner(t), newSigner(t)
	i := start(t, func(i *installation) { i.config.Signer, i.config.Root = one, root.Public() })
	i.register(i.token("acme", auth.Operator), contract("a", "eu", ""))
	must(t, i.server.Rotate(t.Context(), two, nil))
	i.register(i.token("beta", auth.Operator), contract("a", "eu", ""))
	before := i.everything("acme") + i.everything("beta")
	words := [][]byte{authorization(t, root, one, i.origin("acme"), 0), authorization(t, root, one, i.origin("beta"), 0)}
	for name, words := range map[string][][]byte{"by the one before": nil, "by the root": words} {
		if err := i.server.Rotate(t.Context(), one, words); err == nil || !strings.Contains(err.Error(), "signed the log "+i.origin("acme")+" before, and was retired") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if i.everything("acme")+i.everything("beta") != before {
		t.Error("something was done")
	}
	i.stop()
	i.config.Signer, i.config.Outgoing = one, two
	if err := i.reopen(i.path); err == nil || !strings.Contains(err.Error(), "was retired") {
		t.Errorf("at a start: %v", err)
	}
}

// A rotation that can't be stored changes nothing, in no log.
func TestRotationThatFails(t *testing.T) {
	var failing atomic.Bool
	i := start(t, withStore(func(s store.Store) store.Store { return &refusingStore{s, &failing} }))
	acme, beta := i.token("acme", auth.Operator), i.token("beta", auth.Operator)
	for _, token := range []string{acme, beta} {
		i.register(token, contract("a", "eu", ""))
	}
	failing.Store(true)
	if err := i.server.Rotate(t.Context(), newSigner(t), nil); err == nil {
		t.Error("it was stored")
	}
	failing.Store(false)
	for _, token := range []string{acme, beta} {
		if a := i.decide(token, embed); headOf(t, []byte(a.Statement)).Kid != i.config.Signer.KeyID() {
			t.Error("another key signs")
		}
	}
	next := newSigner(t)
	must(t, i.server.Rotate(t.Context(), next, nil))
	must(t, i.server.Rotate(t.Context(), next, nil)) // nothing
	for _, tenant := range []string{"acme", "beta"} {
		if signed := i.inIntervals(tenant); len(signed) != 2 {
			t.Errorf("%v", signed)
		}
	}
}

// refusingStore fails commits on demand.
type refusingStore struct {
	store.Store
	failing *atomic.Bool
}

func (s *refusingStore) Commit(ctx context.Context, b *store.Batch) error {
	if s.failing.Load() {
		return errors.New("no space left")
	}
	return s.Store.Commit(ctx, b)
}

// authorization is the root's word that lets a key into a log at an index.
func authorization(t *testing.T, root, key *verify.Signer, log string, from int64) []byte {
	t.Helper()
	word, err := root.Sign(verify.TypKey, verify.KeyRecord{RecordHead: verify.RecordHead{V: 1, Log: log, Base: from}, Kind: verify.KeyActivated, KID: key.KeyID(), X: xOf(key)})
	must(t, err)
	return word
}

func revocationOf(t *testing.T, root *verify.Signer, kid, log string, from int64) string {
	t.Helper()
	word, err := root.Sign(verify.TypRevocation, verify.RevocationRecord{V: 1, Log: log, KID: kid, From: from, IAT: 1, Reason: "stolen"})
	must(t, err)
	return string(word)
}

// A key was stolen: the root lets another in, which is rotated to, and revokes the stolen one from an index on.
func TestStolenKey(t *testing.T) {
	root := newSigner(t)
	i := start(t, func(i *installation) { i.config.Root = root.Public() })
	token := i.token("default", auth.Operator)
	i.register(token, contract("a", "eu", ""))
	early, late := i.decide(token, embed), i.decide(token, embed)
	stolen, log := i.config.Signer.KeyID(), i.origin("default")

	post := func(jws string) reply {
		return i.call("POST", "/v1/keys/revocations", token, fmt.Sprintf(`{"revocation": %q}`, jws))
	}
	word := revocationOf(t, root, stolen, log, *late.Index)
	if r := post(word); r.status != 409 || r.problem() != "key-in-use" {
		t.Errorf("of the key in use: %d %s", r.status, r.body)
	}
	next := newSigner(t)
	for name, words := range map[string][][]byte{
		"not of the root":   {authorization(t, newSigner(t), next, log, 0)},
		"of another log":    {authorization(t, root, next, "x", 0)},
		"of another key":    {authorization(t, root, newSigner(t), log, 0)},
		"at a later index":  {authorization(t, root, next, log, 1000)},
		"a revocation":      {[]byte(word)},
		"nothing of a form": {[]byte("x")},
	} {
		before := i.everything("default")
		i.config.Outgoing = nil
		if name == "at a later index" {
			if err := i.server.Rotate(t.Context(), next, words); err == nil || !strings.Contains(err.Error(), "the index 1000") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if i.everything("default") != before {
			t.Errorf("%s: something was done", name)
		}
	}
	must(t, i.server.Rotate(t.Context(), next, [][]byte{authorization(t, root, next, log, *late.Index)}))
	after := i.decide(token, embed)
	if r := post(word); r.status != 201 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if r := post(word); r.status != 200 || !strings.Contains(string(r.body), `"unchanged":true`) {
		t.Errorf("again: %d %s", r.status, r.body)
	}
	for name, r := range map[string]reply{
		"signed by the stolen key": post(revocationOf(t, i.config.Signer, stolen, log, 0)),
		"signed by the next key":   post(revocationOf(t, next, stolen, log, 0)),
		"of another form":          post("x"),
	} {
		if r.status != 422 || r.problem() != "revocation-invalid" {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	if r := post(revocationOf(t, root, stolen, "x", 0)); r.status != 404 {
		t.Errorf("of another log: %d %s", r.status, r.body)
	}
	if r := i.call("POST", "/v1/keys/revocations", i.token("acme", auth.Operator), fmt.Sprintf(`{"revocation": %q}`, word)); r.status != 403 {
		t.Errorf("of another tenant's operator: %d %s", r.status, r.body)
	}

	check := func() {
		t.Helper()
		trust, err := i.server.Trust(t.Context(), "default")
		must(t, err)
		text, err := trust.Encode()
		must(t, err)
		if trust, err = verify.ParseTrust(text); err != nil || len(trust.Revocations) != 1 || !trust.Root.Equal(root.Public()) {
			t.Fatalf("%v: %s", err, text)
		}
		for _, c := range []struct {
			statement string
			index     int64
			holds     bool
		}{{early.Statement, *early.Index, true}, {late.Statement, *late.Index, false}, {after.Statement, *after.Index, true}} {
			key, err := verify.Verify(verify.TypDecision, []byte(c.statement), trust.Keys, new(verify.Statement))
			must(t, err)
			used, ok := trust.Used(key, log)
			if holds := ok && c.index >= used.NotBefore && (used.NotAfter == nil || c.index <= *used.NotAfter); holds != c.holds {
				t.Errorf("at %d: %v, interval %+v", c.index, holds, used)
			}
		}
	}
	check()
	i.stop()
	// A start finds it all in order, without the key before, and needs the root.
	i = startAt(t, i.path, i, func(i *installation) { i.config.Signer, i.config.Root = next, root.Public() })
	check()
	i.stop()
	i.config.Outgoing = nil
	for name, other := range map[string]ed25519.PublicKey{"no root": nil, "another root": newSigner(t).Public()} {
		i.config.Root = other
		if err := i.reopen(i.path); !errors.Is(err, store.ErrInconsistent) {
			t.Errorf("%s: %v", name, err)
		}
	}
	i.config.Root = next.Public()
	if err := i.reopen(i.path); err == nil || !strings.Contains(err.Error(), "the key that signs") {
		t.Errorf("the root signs: %v", err)
	}
}

func TestRevocationWithoutARoot(t *testing.T) {
	i := start(t, func(i *installation) { i.config.Root = nil })
	token := i.token("default", auth.Operator)
	i.register(token, contract("a", "eu", ""))
	if r := i.call("POST", "/v1/keys/revocations", token, fmt.Sprintf(`{"revocation": %q}`, revocationIn(i.origin("default")))); r.status != 409 || r.problem() != "no-root" {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// Who can write to the database, and has a stolen key but not the root's, brings in no key and revokes none.
func TestForgedWordsOnKeys(t *testing.T) {
	root := newSigner(t)
	i := start(t, func(i *installation) { i.config.Root = root.Public() })
	i.register(i.token("default", auth.Operator), contract("a", "eu", ""))
	one, two, three := i.config.Signer, newSigner(t), newSigner(t)
	log := i.origin("default")
	word := authorization(t, root, two, log, 0)
	must(t, i.server.Rotate(t.Context(), two, [][]byte{word}))
	i.stop()
	i.config.Signer = two
	text, err := os.ReadFile(i.path)
	must(t, err)
	for name, test := range map[string]struct {
		leaf func() (typ string, leaf []byte)
		says string
	}{
		"a key by the stolen one":   {func() (string, []byte) { return verify.TypKey, signKey(t, one, three, log, "activated") }, "can't say"},
		"a key by itself":           {func() (string, []byte) { return verify.TypKey, signKey(t, three, three, log, "activated") }, "does not hold"},
		"the root's word once more": {func() (string, []byte) { return verify.TypKey, word }, "twice"},
		"a revocation by the stolen one": {func() (string, []byte) {
			return verify.TypRevocation, []byte(revocationOf(t, one, two.KeyID(), log, 0))
		}, "the root alone"},
		"a revocation by somebody": {func() (string, []byte) {
			return verify.TypRevocation, []byte(revocationOf(t, three, two.KeyID(), log, 0))
		}, "the root alone"},
		"a revocation of another log": {func() (string, []byte) {
			return verify.TypRevocation, []byte(revocationOf(t, root, one.KeyID(), "x", 0))
		}, "another log"},
		"a key that the next lets in alone": {func() (string, []byte) { return verify.TypKey, signKey(t, two, three, log, "activated") }, "without saying from which"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "caio.db")
			must(t, os.WriteFile(path, text, 0o600))
			i.t = t
			f := newForgerOf(t, path)
			typ, leaf := test.leaf()
			var n int64
			must(t, f.db.QueryRow("SELECT size FROM logs WHERE tenant = 'default'").Scan(&n))
			f.do("INSERT INTO entries (tenant, idx, type, leaf) VALUES ('default', ?, ?, ?)", n, typ, leaf)
			f.do("UPDATE logs SET size = size + 1 WHERE tenant = 'default'")
			f.fell()
			if err := i.reopen(path); !errors.Is(err, store.ErrInconsistent) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v, want %q", err, test.says)
			}
		})
	}
}

func signKey(t *testing.T, by, subject *verify.Signer, log, kind string) []byte {
	t.Helper()
	leaf, err := by.Sign(verify.TypKey, verify.KeyRecord{RecordHead: verify.RecordHead{V: 1, Tenant: "default", Log: log, Base: 1}, Kind: kind, KID: subject.KeyID(), X: xOf(subject)})
	must(t, err)
	return leaf
}
