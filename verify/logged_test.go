package verify_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/tlog"
)

func exampleEarlier(t testing.TB) []byte {
	c := tlog.Checkpoint{Origin: "caio.example.com/a", Size: 3}
	cosignature := must(tlog.Cosign(c, "w", ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize)), fixedTime))(t)
	c.Signatures = []tlog.Signature{cosignature}
	return verify.Earlier{Hashes: []tlog.Hash{{1}, {2}}, Checkpoint: c}.Encode()
}

func TestEarlierHasOneForm(t *testing.T) {
	text := exampleEarlier(t)
	e := must(verify.ParseEarlier(text))(t)
	if len(e.Hashes) != 2 || e.Checkpoint.Size != 3 || !bytes.Equal(e.Encode(), text) {
		t.Errorf("%+v", e)
	}
	for at := range text {
		for bit := range 8 {
			changed := bytes.Clone(text)
			changed[at] ^= 1 << bit
			if e, err := verify.ParseEarlier(changed); err == nil && !bytes.Equal(e.Encode(), changed) {
				t.Errorf("byte %d, bit %d is read and written otherwise", at, bit)
			}
		}
	}
	for _, bad := range []string{"", "caio.earlier/v1\n", strings.Replace(string(text), "v1", "v2", 1), strings.Replace(string(text), "\n\n", "\n \n", 1), string(text) + "\n"} {
		if _, err := verify.ParseEarlier([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func FuzzParseEarlier(f *testing.F) {
	f.Add(exampleEarlier(f))
	f.Fuzz(func(t *testing.T, text []byte) {
		if e, err := verify.ParseEarlier(text); err == nil && !bytes.Equal(e.Encode(), text) {
			t.Fatalf("accepted %q, which is written %q", text, e.Encode())
		}
	})
}

// Entries come back as they were written, and other orders and names don't.
func TestEntriesInEvidence(t *testing.T) {
	p := example(t)
	p.evidence.Receipt, p.evidence.Earlier, p.evidence.First = []byte("receipt"), []byte("earlier"), []byte("first")
	p.evidence.Entries = []verify.LoggedEntry{{Index: 2, JWS: []byte("a"), Receipt: []byte("b")}, {Index: 10, JWS: []byte("c"), Receipt: []byte{}}}
	var file bytes.Buffer
	if err := verify.WriteEvidence(&file, p.evidence); err != nil {
		t.Fatal(err)
	}
	back := must(verify.ReadEvidence(file.Bytes()))(t)
	if len(back.Entries) != 2 || back.Entries[1].Index != 10 || string(back.Entries[0].Receipt) != "b" || string(back.Receipt) != "receipt" || string(back.Earlier) != "earlier" || string(back.First) != "first" {
		t.Errorf("%+v", back.Entries)
	}
	for name, entries := range map[string][]verify.LoggedEntry{
		"another order": {{Index: 10}, {Index: 2}}, "one twice": {{Index: 2}, {Index: 2}}, "a negative index": {{Index: -1}},
	} {
		p.evidence.Entries = entries
		file.Reset()
		if err := verify.WriteEvidence(&file, p.evidence); err != nil {
			t.Fatal(err)
		}
		if _, err := verify.ReadEvidence(file.Bytes()); err == nil {
			t.Errorf("%s was read", name)
		}
	}
	// What no receipt is fails, and is not passed over.
	p = example(t)
	p.evidence.Receipt = []byte("x")
	p.trust.Logs[0].Key = must(tlog.NewKey(p.trust.Logs[0].Origin, tlog.Ed25519, signer(t, 3).Public()))(t).String()
	if v := verdict(t, verify.Check(context.Background(), p.evidence, p.trust, verify.Options{}), verify.LayerReceipt); v.Status != verify.Fail {
		t.Errorf("%+v", v)
	}
}
