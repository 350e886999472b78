package keyfile

import (
	"bytes"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func constant(secret string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(secret), nil }
}

// example is a sealed file that opens fast, with the passphrase "secret".
func example(t testing.TB) (ed25519.PrivateKey, []byte) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	return key, must(seal(key, bytes.Repeat([]byte{8}, saltBytes), leastWork, []byte("secret")))(t)
}

func write(t testing.TB, text []byte) string {
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSealedKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key.pem")
	key := must(Generate(path, bytes.NewReader(bytes.Repeat([]byte{7}, 48)), []byte("secret")))(t)
	if info := must(os.Stat(path))(t); info.Mode().Perm() != 0o600 {
		t.Error(info.Mode())
	}
	if back := must(Read(path, constant("secret")))(t); !back.Equal(key) {
		t.Error("another key was read")
	}
	public, sealed, err := Public(path)
	if err != nil || !sealed || !public.Equal(key.Public()) {
		t.Errorf("%x %v %v", public, sealed, err)
	}
	for _, wrong := range []string{"Secret"} {
		if _, err := Read(path, constant(wrong)); !errors.Is(err, ErrPassphrase) || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	asked := errors.New("nobody is there")
	if _, err := Read(path, func() ([]byte, error) { return nil, asked }); !errors.Is(err, asked) {
		t.Error(err)
	}
	if _, err := Generate(path, bytes.NewReader(make([]byte, 48)), []byte("x")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a key was overwritten: %v", err)
	}
	if text := must(os.ReadFile(path))(t); bytes.Contains(text, key.Seed()) {
		t.Error("it is in the clear")
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path, constant("secret")); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Error(err)
	}
}

// Without a passphrase it is the form of other programs, and nobody is asked.
func TestClearKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key.pem")
	key := must(Generate(path, bytes.NewReader(bytes.Repeat([]byte{7}, 32)), nil))(t)
	back, err := Read(path, func() ([]byte, error) { t.Error("asked"); return nil, nil })
	if err != nil || !back.Equal(key) {
		t.Error(err)
	}
	if public, sealed, err := Public(path); err != nil || sealed || !public.Equal(key.Public()) {
		t.Error(err)
	}
}

// Every bit of a sealed file matters.
func TestSealedKeyChanged(t *testing.T) {
	_, text := example(t)
	block, _ := pem.Decode(text)
	s := must(parse(block.Bytes))(t)
	aead := must(s.aead([]byte("secret")))(t)
	for n := range s {
		for bit := range 8 {
			changed := *s
			changed[n] ^= 1 << bit
			if _, err := changed.unseal(aead); !errors.Is(err, ErrPassphrase) {
				t.Errorf("bit %d of byte %d changed: %v", bit, n, err)
			}
		}
	}
	// Salt and work are those of the key, too.
	for _, n := range []int{1, 2, 1 + saltBytes} {
		changed := *s
		changed[n]++
		if other := must(changed.aead([]byte("secret")))(t); bytes.Equal(other.Seal(nil, make([]byte, other.NonceSize()), nil, nil), aead.Seal(nil, make([]byte, aead.NonceSize()), nil, nil)) {
			t.Errorf("byte %d does not matter to the key", n)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	_, text := example(t)
	content := func(change func([]byte) []byte) []byte {
		block, _ := pem.Decode(text)
		return pem.EncodeToMemory(&pem.Block{Type: sealedType, Bytes: change(block.Bytes)})
	}
	for name, text := range map[string][]byte{
		"empty":        nil,
		"twice":        append(bytes.Clone(text), text...),
		"text before":  append([]byte("x\n"), text...),
		"a header":     bytes.Replace(text, []byte("KEY-----\n"), []byte("KEY-----\nA: b\n\n"), 1),
		"spaced":       bytes.Replace(text, []byte("\n"), []byte("\r\n"), 1),
		"another type": bytes.ReplaceAll(text, []byte("SEALED"), []byte("CLOSED")),
		"short":        content(func(b []byte) []byte { return b[:len(b)-1] }),
		"long":         content(func(b []byte) []byte { return append(b, 0) }),
		"version":      content(func(b []byte) []byte { b[0] = 2; return b }),
		"little work":  content(func(b []byte) []byte { b[1] = leastWork - 1; return b }),
		"much work":    content(func(b []byte) []byte { b[1] = mostWork + 1; return b }),
	} {
		path := write(t, text)
		if _, err := Read(path, constant("secret")); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := Public(path); err == nil {
			t.Errorf("%s: its public half was read", name)
		}
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none"), constant("")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// What is read as a sealed file is what would be written.
func FuzzDecode(f *testing.F) {
	_, text := example(f)
	f.Add(text)
	f.Add(bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")))
	f.Fuzz(func(t *testing.T, text []byte) {
		block, err := decode(text)
		if err != nil || block.Type != sealedType {
			return
		}
		s, err := parse(block.Bytes)
		if err != nil {
			return
		}
		if again := pem.EncodeToMemory(&pem.Block{Type: sealedType, Bytes: s[:]}); !bytes.Equal(again, text) {
			t.Fatalf("accepted %q, which is written %q", text, again)
		}
		if len(s.public()) != ed25519.PublicKeySize {
			t.Fatal("no public key")
		}
	})
}
