//go:build !js

package verify_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/verify"
)

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key.pem")
	key := must(verify.GenerateKeyFile(path, bytes.NewReader(bytes.Repeat([]byte{7}, 32))))(t)
	if info := must(os.Stat(path))(t); info.Mode().Perm() != 0o600 {
		t.Error(info.Mode())
	}
	if back := must(verify.ReadKeyFile(path))(t); !back.Equal(key) {
		t.Error("another key was read")
	}
	if _, err := verify.GenerateKeyFile(path, bytes.NewReader(bytes.Repeat([]byte{8}, 32))); err == nil {
		t.Error("a key was overwritten")
	}
	if _, err := verify.GenerateKeyFile(path+"2", bytes.NewReader(nil)); err == nil {
		t.Error("a key was made of nothing")
	}
	text := must(os.ReadFile(path))(t)
	for name, other := range map[string][]byte{"empty": nil, "twice": append(bytes.Clone(text), text...), "public": bytes.ReplaceAll(text, []byte("PRIVATE"), []byte("PUBLIC")), "not DER": []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")} {
		if err := os.WriteFile(path, other, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := verify.ReadKeyFile(path); err == nil {
			t.Errorf("%s was read", name)
		}
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o644} {
		if err := errors.Join(os.WriteFile(path, text, 0o600), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		if _, err := verify.ReadKeyFile(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %#o: %v", mode, err)
		}
	}
}
