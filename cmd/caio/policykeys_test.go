package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/smarthausgroup/caio/policies"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
)

// TestSignedPolicies runs a bundle through what serve and verify do with keys.
func TestSignedPolicies(t *testing.T) {
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "release.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o644); err != nil {
		t.Fatal(err)
	}
	keys, err := readPolicyKeys([]string{"release=EdDSA:" + file})
	if err != nil {
		t.Fatal(err)
	}
	if same, err := readPolicyKeys([]string{"release=Ed25519:" + file}); err != nil || same["release"] != keys["release"] {
		t.Errorf("by the other name of the algorithm: %v %v", same, err)
	}
	unsigned, faults := rego.ReadFS("baseline", policies.FS)
	if faults.HasErrors() {
		t.Fatal(faults)
	}
	signed, err := rego.Sign(unsigned, "EdDSA", "release", private)
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	if err := rego.WriteTarball(&packed, signed); err != nil {
		t.Fatal(err)
	}
	read, faults := rego.ReadTarball("baseline", &packed)
	if faults.HasErrors() {
		t.Fatal(faults)
	}
	bundles := []*rego.Bundle{read}
	if err := verifyBundles(bundles, keys); err != nil || bundles[0].Key != "release" || bundles[0].Digest != unsigned.Digest {
		t.Fatalf("key %q, digest %s: %v", bundles[0].Key, bundles[0].Digest, err)
	}
	forged := *read
	forged.Files = append([]rego.File{}, read.Files...)
	forged.Files[0].Text = append(bytes.Clone(forged.Files[0].Text), ' ', 'x')
	if err := verifyBundles([]*rego.Bundle{&forged}, keys); err == nil {
		t.Error("a changed bundle was accepted")
	}
	for _, wrong := range []string{"release", "release=EdDSA", "=EdDSA:" + file} {
		if _, err := readPolicyKeys([]string{wrong}); err == nil {
			t.Errorf("%q was accepted", wrong)
		}
	}
}

// Approvers' keys are one JWK Set, or a folder of them; a folder without any is a mistake.
func TestReadApproverKeys(t *testing.T) {
	dir, empty := t.TempDir(), t.TempDir()
	var files []string
	for _, name := range []string{"ann", "eve"} {
		private, err := verify.GenerateKeyFile(filepath.Join(dir, name+".pem"), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		text, err := verify.EncodeJWKS(verify.Keys{{Public: publicOf(private)}})
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, filepath.Join(dir, name+".json"))
		if err := os.WriteFile(files[len(files)-1], text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	broken := filepath.Join(empty, "broken.pem")
	if err := os.WriteFile(broken, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"": 0, dir: 2, files[0]: 1, empty: -1, broken: -1, filepath.Join(dir, "nobody.json"): -1, filepath.Join(dir, "ann.pem"): -1} {
		keys, err := readApproverKeys(path)
		if (err != nil) != (want < 0) || err == nil && len(keys) != want {
			t.Errorf("%s: %d keys, %v", path, len(keys), err)
		}
	}
}
