package verify

import (
	"crypto/ed25519"
	"strings"
	"testing"
)

// TestCheckEntry takes entries of every type at their place, and none elsewhere.
func TestCheckEntry(t *testing.T) {
	one, two := ed25519.NewKeyFromSeed(make([]byte, 32)), ed25519.NewKeyFromSeed([]byte(strings.Repeat("2", 32)))
	signer, err := NewSigner(one)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := NewSigner(two)
	if err != nil {
		t.Fatal(err)
	}
	last := int64(9)
	trust := Trust{Keys: Keys{{Public: signer.Public(), Intervals: map[string]Interval{"log": {NotBefore: 1, NotAfter: &last}}}}}
	type claims map[string]any
	good := claims{"v": int64(1), "log": "log", "base": int64(3), "list": []any{int64(1), claims{"n": int64(2)}}}
	for _, typ := range types {
		if typ == TypRecovery {
			continue // see below
		}
		leaf, err := signer.Sign(typ, good)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := trust.CheckEntry("log", 5, leaf); err != nil || got != typ {
			t.Errorf("%s: %q, %v", typ, got, err)
		}
	}
	for name, c := range map[string]struct {
		by     *Signer
		typ    string
		claims claims
		index  int64
		says   string
	}{
		"another type":     {signer, "caio-approval+jws", good, 5, "no entries of the type"},
		"another key":      {stranger, TypDecision, good, 5, "does not hold"},
		"another log":      {signer, TypDecision, claims{"log": "another", "base": int64(3)}, 5, "another log"},
		"no log":           {signer, TypDecision, claims{"base": int64(3)}, 5, "another log"},
		"before its base":  {signer, TypDecision, good, 2, "signed for the index 3"},
		"after the key":    {signer, TypDecision, good, 10, "was not in use"},
		"before the key":   {signer, TypDecision, claims{"log": "log", "base": int64(0)}, 0, "was not in use"},
		"a later recovery": {signer, TypRecovery, good, 5, "with its first entry"},
	} {
		leaf, err := c.by.Sign(c.typ, c.claims)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := trust.CheckEntry("log", c.index, leaf); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	first, err := signer.Sign(TypRecovery, claims{"log": "log", "base": int64(0)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trust.CheckEntry("log", 0, first); err != nil {
		t.Errorf("the first entry of a log that was begun anew: %v", err)
	}
}
