package rego_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/smarthausgroup/caio/rego"
)

func public(t testing.TB, signer crypto.Signer, algorithm string) rego.Key {
	t.Helper()
	text, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	return rego.Key{Algorithm: algorithm, PEM: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: text}))}
}

func signers(t testing.TB) map[string]crypto.Signer {
	t.Helper()
	_, ed, err1 := ed25519.GenerateKey(rand.Reader)
	ec, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	rs, err3 := rsa.GenerateKey(rand.Reader, 2048)
	if err1 != nil || err2 != nil || err3 != nil {
		t.Fatal(err1, err2, err3)
	}
	return map[string]crypto.Signer{"EdDSA": ed, "ES256": ec, "RS256": rs}
}

func signable(t testing.TB) *rego.Bundle {
	return bundleOf(t, "b", map[string]string{
		"a.rego": policy("caio.policy.a", rule(`violation["A"] contains "x"`)), ".manifest": `{"roots": ["caio/policy/a", "caio/settings/a"]}`,
		"data.json": `{"caio": {"settings": {"a": {"n": 1.5}}}}`, "README.md": "text\n",
	})
}

// TestSign signs, packs, reads and verifies, here and with OPA's own reader.
func TestSign(t *testing.T) {
	for algorithm, signer := range signers(t) {
		t.Run(algorithm, func(t *testing.T) {
			signed, err := rego.Sign(signable(t), algorithm, "k1", signer)
			if err != nil {
				t.Fatal(err)
			}
			var packed, again bytes.Buffer
			if rego.WriteTarball(&packed, signed) != nil || rego.WriteTarball(&again, signed) != nil || !bytes.Equal(packed.Bytes(), again.Bytes()) {
				t.Fatal("packed twice, the bytes differ")
			}
			read, faults := rego.ReadTarball("b", bytes.NewReader(packed.Bytes()))
			if faults.HasErrors() {
				t.Fatal(faults)
			}
			key := public(t, signer, algorithm)
			verified, err := rego.Verify(read, map[string]rego.Key{"k0": {}, "k1": key})
			if err != nil || verified.Key != "k1" || verified.Digest != signable(t).Digest || read.Key != "" {
				t.Errorf("got %v, %+v", err, verified)
			}
			built := *read
			built.Signatures = bytes.Replace(read.Signatures, []byte("]"), []byte(`], "plugin": "_default"`), 1)
			if verified, err := rego.Verify(&built, map[string]rego.Key{"k1": key}); err != nil || verified.Key != "k1" {
				t.Errorf("as opa build writes it: %v", err)
			}
			config := bundle.NewVerificationConfig(map[string]*bundle.KeyConfig{"k1": {Key: key.PEM, Algorithm: algorithm}}, "", "", nil)
			if _, err := bundle.NewReader(bytes.NewReader(packed.Bytes())).WithBundleVerificationConfig(config).Read(); err != nil {
				t.Errorf("OPA: %v", err)
			}
		})
	}
}

// TestVerifyRefuses is what must not pass for signed.
func TestVerifyRefuses(t *testing.T) {
	all := signers(t)
	signed, err := rego.Sign(signable(t), "EdDSA", "k1", all["EdDSA"])
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]rego.Key{"k1": public(t, all["EdDSA"], "EdDSA"), "k2": public(t, all["ES256"], "ES256")}
	token := func(header, payload string) []byte {
		encode := base64.RawURLEncoding.EncodeToString
		text, _ := json.Marshal(map[string]any{"signatures": []string{encode([]byte(header)) + "." + encode([]byte(payload)) + ".AAAA"}})
		return text
	}
	for name, c := range map[string]struct {
		change func(b *rego.Bundle)
		keys   map[string]rego.Key
		want   string
	}{
		"not signed":       {func(b *rego.Bundle) { b.Signatures = nil }, keys, "is not signed"},
		"changed text":     {func(b *rego.Bundle) { b.Files[2].Text = append(b.Files[2].Text, ' ') }, keys, "digest mismatch"},
		"changed data":     {func(b *rego.Bundle) { b.Files[3].Text = []byte(`{"caio": {"settings": {"a": {"n": 2}}}}`) }, keys, "digest mismatch"},
		"changed path":     {func(b *rego.Bundle) { b.Files[2].Path = "b.rego" }, keys, "not included in bundle signature"},
		"another file":     {func(b *rego.Bundle) { b.Files = append(b.Files, rego.File{Path: "z.rego"}) }, keys, "z.rego not included"},
		"file missing":     {func(b *rego.Bundle) { b.Files = b.Files[1:] }, keys, "missing: .manifest"},
		"no keys":          {func(b *rego.Bundle) {}, nil, `the key "k1" is not configured`},
		"another's key":    {func(b *rego.Bundle) {}, map[string]rego.Key{"k1": keys["k2"]}, "failed to verify"},
		"shared secret":    {func(b *rego.Bundle) {}, map[string]rego.Key{"k1": {Algorithm: "HS256", PEM: "secret"}}, `the algorithm "HS256" is none of ES256, EdDSA, RS256`},
		"no algorithm":     {func(b *rego.Bundle) {}, map[string]rego.Key{"k1": {Algorithm: "none", PEM: keys["k1"].PEM}}, `the algorithm "none" is none`},
		"other algorithm":  {func(b *rego.Bundle) {}, map[string]rego.Key{"k1": {Algorithm: "ES256", PEM: keys["k1"].PEM}}, "failed to verify"},
		"not a key":        {func(b *rego.Bundle) {}, map[string]rego.Key{"k1": {Algorithm: "EdDSA", PEM: "x"}}, "not a PEM block PUBLIC KEY"},
		"two signatures":   {func(b *rego.Bundle) { b.Signatures = []byte(`{"signatures": ["a", "b"]}`) }, keys, "exactly one"},
		"plugin":           {func(b *rego.Bundle) { b.Signatures = []byte(`{"signatures": ["a"], "plugin": "x"}`) }, keys, "exactly one"},
		"no kid":           {func(b *rego.Bundle) { b.Signatures = token(`{"alg":"none"}`, `{"files":[]}`) }, map[string]rego.Key{"": keys["k1"]}, "names no key"},
		"forged":           {func(b *rego.Bundle) { b.Signatures = token(`{"alg":"none","kid":"k1"}`, `{"files":[]}`) }, keys, "failed to verify"},
		"changed token":    {func(b *rego.Bundle) { b.Signatures = bytes.Replace(b.Signatures, []byte("."), []byte(".e"), 1) }, keys, ""},
		"not a token":      {func(b *rego.Bundle) { b.Signatures = []byte(`{"signatures": ["x"]}`) }, keys, "three parts"},
		"not a JSON":       {func(b *rego.Bundle) { b.Signatures = []byte(`x`) }, keys, "invalid character"},
		"unknown keys too": {func(b *rego.Bundle) { b.Signatures = []byte(`{"signature": []}`) }, keys, "unknown field"},
	} {
		t.Run(name, func(t *testing.T) {
			b := *signed
			b.Files = slices.Clone(b.Files)
			for i := range b.Files {
				b.Files[i].Text = bytes.Clone(b.Files[i].Text)
			}
			c.change(&b)
			if verified, err := rego.Verify(&b, c.keys); err == nil || verified != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	two, err := rego.Sign(bundleOf(t, "b", map[string]string{"data.yaml": "x: 8\n"}), "EdDSA", "k1", all["EdDSA"])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rego.Verify(two, keys); err != nil {
		t.Error(err)
	}
	two.Files[0].Text = []byte("x: 010\n") // which is 8 to OPA
	if _, err := rego.Verify(two, keys); err == nil {
		t.Error("data that reads in two ways was accepted")
	}
	if _, err := rego.Sign(signable(t), "HS256", "k", all["EdDSA"]); err == nil {
		t.Error("HS256 was accepted")
	}
	if _, err := rego.Sign(signable(t), "RS256", "k", all["EdDSA"]); err == nil {
		t.Error("an Ed25519 key made a signature with RSA")
	}
}
