package seal_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/smarthausgroup/caio/internal/seal"
	"pgregory.net/rapid"
)

// TestSaltIsHKDF holds the salt against RFC 5869 written out: extract, then one block of expand.
func TestSaltIsHKDF(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key")
		decision := rapid.StringN(1, 40, -1).Draw(t, "decision")
		name := rapid.String().Draw(t, "name")
		record, err := seal.NewRecord(bytes.NewReader(key), decision)
		if err != nil {
			t.Fatal(err)
		}
		extract := mac([]byte(decision), key)
		want := mac(extract, append([]byte("caio.salt/v1\x00"+name), 1))[:seal.SaltSize]
		if got := record.Salt(name); !bytes.Equal(got, want) {
			t.Fatalf("salt of %q: %x, want %x", name, got, want)
		}
	})
}

func mac(key, text []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(text)
	return h.Sum(nil)
}

func TestSaltsDiffer(t *testing.T) {
	seen := map[string]string{}
	for _, decision := range []string{"a", "b"} {
		for _, key := range []byte{1, 2} {
			record, err := seal.NewRecord(bytes.NewReader(bytes.Repeat([]byte{key}, 32)), decision)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"", "intent.text", "context.text", "principal.subject"} {
				salt, from := string(record.Salt(name)), decision+string('0'+rune(key))+name
				if other, ok := seen[salt]; ok {
					t.Errorf("%s and %s have one salt", other, from)
				}
				seen[salt] = from
			}
		}
	}
}

func TestNewRecordErrors(t *testing.T) {
	if _, err := seal.NewRecord(bytes.NewReader(make([]byte, 31)), "d"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a source that ends early: %v", err)
	}
	if _, err := seal.NewRecord(iotest.ErrReader(io.ErrClosedPipe), "d"); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a source that fails: %v", err)
	}
	if _, err := seal.NewRecord(bytes.NewReader(make([]byte, 32)), ""); err == nil {
		t.Error("a record without a decision was made")
	}
}
