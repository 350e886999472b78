package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/bundle"
)

// TestBuiltBundlesAreReadByOPA builds the packs, and a copy of them with other times, and has OPA verify what comes out.
func TestBuiltBundlesAreReadByOPA(t *testing.T) {
	dir := t.TempDir()
	policies, key := filepath.Join(dir, "copy"), filepath.Join(dir, "release.pem")
	if err := os.CopyFS(policies, os.DirFS("../../policies")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Join(policies, "README.md"), time.Time{}, time.Unix(1e9, 0)); err != nil {
		t.Fatal(err)
	}
	mustRun(t, "key", "generate", key)
	var texts [][]byte
	for _, source := range []string{"../../policies", policies} {
		out := filepath.Join(dir, "bundle.tar.gz")
		mustRun(t, "policy", "build", source, "-o", out, "--signing-key", key, "--key-id", "release")
		text, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text)
	}
	if !bytes.Equal(texts[0], texts[1]) {
		t.Error("the same sources gave different bytes")
	}
	public := mustRun(t, "key", "public", key)
	keys := func(public string) *bundle.VerificationConfig {
		return bundle.NewVerificationConfig(map[string]*bundle.KeyConfig{"release": {Key: public, Algorithm: "EdDSA"}}, "", "", nil)
	}
	read, err := bundle.NewReader(bytes.NewReader(texts[0])).WithBundleVerificationConfig(keys(public)).Read()
	if err != nil || len(read.Modules) == 0 {
		t.Fatalf("OPA read %d modules: %v", len(read.Modules), err)
	}
	other := filepath.Join(dir, "other.pem")
	mustRun(t, "key", "generate", other)
	if _, err := bundle.NewReader(bytes.NewReader(texts[0])).WithBundleVerificationConfig(keys(mustRun(t, "key", "public", other))).Read(); err == nil {
		t.Error("OPA took the signature for that of another key")
	}
}

// mustRun runs a command, and gives what it printed.
func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	if code := run(args, &out, io.Discard); code != 0 {
		t.Fatalf("%q: exit code %d", args, code)
	}
	return out.String()
}
