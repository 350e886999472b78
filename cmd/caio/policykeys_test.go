package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/smarthausgroup/caio/policies"
	"github.com/smarthausgroup/caio/rego"
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
