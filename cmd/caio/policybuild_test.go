package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/loader"
	oparego "github.com/open-policy-agent/opa/v1/rego"
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

// TestOPAEvaluatesPlainBundles has OPA verify and load the packs without their tests, as it does with `opa run --bundle`, and find what they find here.
func TestOPAEvaluatesPlainBundles(t *testing.T) {
	dir := t.TempDir()
	key, out := filepath.Join(dir, "release.pem"), filepath.Join(dir, "plain.tar.gz")
	mustRun(t, "key", "generate", key)
	mustRun(t, "policy", "build", "../../policies", "-o", out, "--without-tests", "--signing-key", key, "--key-id", "release")
	public := mustRun(t, "key", "public", key)
	config := bundle.NewVerificationConfig(map[string]*bundle.KeyConfig{"release": {Key: public, Algorithm: "EdDSA"}}, "", "", nil)
	loaded, err := loader.NewFileLoader().WithBundleVerificationConfig(config).AsBundle(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, module := range loaded.Modules {
		if strings.HasSuffix(module.Path, "_test.rego") {
			t.Errorf("%s is a test", module.Path)
		}
	}
	input := map[string]any{
		"request": map[string]any{"data": map[string]any{"labels": []any{"pii"}}},
		"service": map[string]any{"id": "far", "privacy": map[string]any{"regions": []any{"us"}}},
	}
	result, err := oparego.New(oparego.ParsedBundle("plain", loaded), oparego.Query(`data.caio.policy.gdpr.violation["GDPR-44"]`), oparego.Input(input)).Eval(t.Context())
	if err != nil || len(result) != 1 || !strings.Contains(fmt.Sprint(result[0].Expressions[0].Value), "far") {
		t.Errorf("OPA finds %v, %v", result, err)
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

// Into a pipe, or a device, it is written: that is not replaced by a file of its name.
func TestReplaceFileWritesIntoPipes(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(pipe, os.O_RDWR, 0) // which neither end waits for
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := replaceFile(pipe, []byte("through"), 0o644); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(pipe); err != nil || info.Mode().Type() != os.ModeNamedPipe {
		t.Fatalf("the pipe became %v (%v)", info.Mode(), err)
	}
	text := make([]byte, len("through"))
	if _, err := io.ReadFull(reader, text); err != nil || string(text) != "through" {
		t.Errorf("%q %v", text, err)
	}
	key := filepath.Join(filepath.Dir(pipe), "key.pem")
	mustRun(t, "key", "generate", key)
	mustRun(t, "trust", "export", "--key", key, "-o", pipe) // which holds no trust file to be compared
	if err := json.NewDecoder(reader).Decode(&struct{}{}); err != nil {
		t.Error(err)
	}
}
