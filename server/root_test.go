package server_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/smarthausgroup/caio/verify"
)

// The offline root is changed. What the one before said stays believed, up to its last word in each log, and nothing new is taken from it; the next one lets keys in and revokes them.
func TestRootChanges(t *testing.T) {
	before, now, unused := newSigner(t), newSigner(t), newSigner(t)
	i := start(t, func(i *installation) { i.config.Root = before.Public() })
	one, two, three := i.config.Signer, newSigner(t), newSigner(t)
	token := i.token("default", auth.Operator)
	i.register(token, contract("a", "eu", ""))
	i.register(i.token("acme", auth.Operator), contract("a", "eu", ""))
	logs := []string{i.origin("default"), i.origin("acme")}
	authorized := func(root, key *verify.Signer, from int64) (words [][]byte) {
		for _, log := range logs {
			words = append(words, authorization(t, root, key, log, from))
		}
		return words
	}
	must(t, i.server.Rotate(t.Context(), two, authorized(before, two, 0)))
	post := func(jws string) reply {
		return i.call("POST", "/v1/keys/revocations", token, fmt.Sprintf(`{"revocation": %q}`, jws))
	}
	if r := post(revocationOf(t, before, one.KeyID(), logs[0], 1<<40)); r.status != 201 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	i.stop()

	i.config.Signer, i.config.Root = two, now.Public()
	if err := i.reopen(i.path); !errors.Is(err, store.ErrInconsistent) || !strings.Contains(err.Error(), "former_root_keys") {
		t.Errorf("without the root before: %v", err)
	}
	for says, roots := range map[string][2][]ed25519.PublicKey{
		"is given twice":     {{now.Public()}, {now.Public()}},
		"the key that signs": {{now.Public()}, {two.Public()}},
		"no root in use":     {{nil}, {before.Public()}},
	} {
		i.config.Root, i.config.FormerRoots = roots[0][0], roots[1]
		if err := i.reopen(i.path); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	i = startAt(t, i.path, i, func(i *installation) {
		i.config.Signer, i.config.Root, i.config.FormerRoots = two, now.Public(), []ed25519.PublicKey{before.Public(), unused.Public()}
	})
	token = i.token("default", auth.Operator)
	if r := post(revocationOf(t, before, two.KeyID(), logs[0], 1<<40)); r.status != 422 || r.problem() != "revocation-invalid" {
		t.Errorf("a new word of the root before: %d %s", r.status, r.body)
	}
	if err := i.server.Rotate(t.Context(), three, authorized(before, three, 0)); err == nil || !strings.Contains(err.Error(), "authorizes no key") {
		t.Errorf("a key let in by the root before: %v", err)
	}
	must(t, i.server.Rotate(t.Context(), three, authorized(now, three, 0)))
	if r := post(revocationOf(t, now, two.KeyID(), logs[0], 1<<40)); r.status != 201 {
		t.Errorf("%d %s", r.status, r.body)
	}

	trust, err := i.server.Trust(t.Context(), "default")
	must(t, err)
	text, err := trust.Encode()
	must(t, err)
	read, err := verify.ParseTrust(text)
	must(t, err)
	if len(read.FormerRoots) != 1 || !read.FormerRoots[0].Public.Equal(before.Public()) || !read.Root.Equal(now.Public()) || len(read.Revocations) != 2 {
		t.Fatalf("the trust file is %s", text)
	}
	if strings.Contains(string(text), logs[1]) {
		t.Errorf("the trust file of one tenant names another's log: %s", text)
	}
	if in := read.FormerRoots[0].Intervals[logs[0]]; in.NotAfter == nil || *in.NotAfter <= in.NotBefore || *in.NotAfter >= i.everyEntry(read, logs[0], nil) {
		t.Fatalf("the root before is believed %s", in)
	}
	cut := *read.FormerRoots[0].Intervals[logs[0]].NotAfter - 1
	read.FormerRoots[0].Intervals[logs[0]] = verify.Interval{NotAfter: &cut}
	i.everyEntry(read, logs[0], map[int64]bool{cut + 1: true})
}

// everyEntry checks the entries of the installation's log under a trust file, of which those at the indices given, and no others, do not hold. It returns the size of the log.
func (i *installation) everyEntry(trust verify.Trust, log string, not map[int64]bool) int64 {
	i.t.Helper()
	entries, err := i.store.Entries(context.Background(), "default", 0, 500)
	must(i.t, err)
	for n := range entries {
		if _, err := trust.CheckEntry(log, entries[n].Index, entries[n].Leaf); (err != nil) != not[entries[n].Index] {
			i.t.Errorf("%s at %d: %v", entries[n].Type, entries[n].Index, err)
		}
	}
	return int64(len(entries))
}
