package tlog_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/verify/tlog"
	formatsnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"pgregory.net/rapid"
)

// The example of C2SP signed-note.
const vkeyOfThePage = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"

func TestKeys(t *testing.T) {
	k := must(tlog.ParseKey(vkeyOfThePage))(t)
	if k.Name != "example.com/foo" || k.Algorithm != tlog.Ed25519 || k.ID() != 0x530d903a || k.String() != vkeyOfThePage {
		t.Errorf("%+v", k)
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-zäöü日0-9./-]{1,40}`).Draw(t, "name")
		seed := rapid.Byte().Draw(t, "seed")
		log, witness := key(t, name, tlog.Ed25519, seed), key(t, name, tlog.CosignatureV1, seed)
		if theirs := must(note.NewEd25519VerifierKey(name, log.Public))(t); log.String() != theirs {
			t.Errorf("got %s, want %s", log, theirs)
		}
		if theirs := must(formatsnote.VKeyToCosignatureV1(log.String()))(t); witness.String() != theirs {
			t.Errorf("got %s, want %s", witness, theirs)
		}
		for _, want := range []tlog.Key{log, witness} {
			if got := must(tlog.ParseKey(want.String()))(t); got.String() != want.String() {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	})
}

func TestParseKeyRefuses(t *testing.T) {
	name, rest, _ := strings.Cut(vkeyOfThePage, "+")
	id, b64, _ := strings.Cut(rest, "+")
	public := must(tlog.ParseKey(vkeyOfThePage))(t).Public
	with := func(algorithm byte, public []byte) string {
		return name + "+" + id + "+" + base64.StdEncoding.EncodeToString(append([]byte{algorithm}, public...))
	}
	for what, vkey := range map[string]string{
		"empty":           "",
		"two parts":       name + "+" + id,
		"no name":         "+" + id + "+" + b64,
		"another name":    "x" + vkeyOfThePage,
		"another id":      name + "+530d903b+" + b64,
		"upper case":      name + "+530D903A+" + b64,
		"short id":        name + "+30d903a+" + b64,
		"no key":          name + "+" + id + "+",
		"ML-DSA":          with(6, make([]byte, 1312)),
		"a witness's id":  with(4, public),
		"31 bytes":        with(1, public[:31]),
		"33 bytes":        with(1, append(bytes.Clone(public), 0)),
		"line feed":       vkeyOfThePage + "\n",
		"line feed in it": vkeyOfThePage[:40] + "\n" + vkeyOfThePage[40:],
		"space":           " " + vkeyOfThePage,
		"small order":     with(1, make([]byte, 32)),
	} {
		if k, err := tlog.ParseKey(vkey); !errors.Is(err, tlog.ErrMalformed) {
			t.Errorf("%s: got %v, %v", what, k, err)
		}
	}
	for _, name := range []string{"", "a b", "a+b", "a\x01", "a\xff", "a\n", "a\u2003b", "a\u009b2J", "a\x7f", "a\u202eb", strings.Repeat("a", 256)} {
		if k, err := tlog.NewKey(name, tlog.Ed25519, public); !errors.Is(err, tlog.ErrMalformed) {
			t.Errorf("%q: got %v, %v", name, k, err)
		}
	}
	checkEveryBit(t, []byte(vkeyOfThePage), func(text []byte) bool {
		_, err := tlog.ParseKey(string(text))
		return err != nil
	})
}

// Under a key of small order one signature serves many messages; and a key that isn't reduced has a twin that is.
func TestWeakKeys(t *testing.T) {
	weak := 0
	for _, text := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	} {
		public := must(hex.DecodeString(text))(t)
		if _, err := tlog.NewKey("a", tlog.Ed25519, public); !errors.Is(err, tlog.ErrMalformed) {
			t.Errorf("%s: %v", text, err)
		}
		// R is the point whose y is 1, the neutral one, and S is 0.
		signature := append(append([]byte{1}, make([]byte, 31)...), make([]byte, 32)...)
		for i := range 100 {
			if ed25519.Verify(public, fmt.Appendf(nil, "message %d", i), signature) {
				weak++
				break
			}
		}
	}
	if weak < 8 {
		t.Errorf("only %d of the keys are weak in fact", weak)
	}
	for seed := range byte(200) {
		if tlog.Weak(private(seed).Public().(ed25519.PublicKey)) {
			t.Errorf("%d is none", seed)
		}
	}
}
