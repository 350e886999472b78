package rego_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/bundle"
	opacompile "github.com/open-policy-agent/opa/v1/compile"
	oparego "github.com/open-policy-agent/opa/v1/rego"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/rego"
)

const (
	minesRules  = `violation["MINE"] contains sprintf("%s is outside", [input.service.id]) if not input.route in data.caio.settings.mine.routes`
	minesSchema = `{"type": "object", "required": ["caio"], "properties": {"caio": {"type": "object", "required": ["settings"], "properties": {"settings": {"type": "object", "required": ["mine"], "properties": {"mine": {"type": "object", "additionalProperties": false, "required": ["routes"], "properties": {"routes": {"type": "array", "items": {"enum": ["external", "hybrid", "internal"]}}}}}}}}}}`
)

// mine is a bundle with settings, and tests. Its schema is where OPA's tools keep it, or in a file of its own.
func mine(schemaInManifest bool) map[string]string {
	manifest := `{"revision": "1", "roots": ["caio/policy/mine", "caio/policy/mine_test", "caio/settings/mine", "policy/mine"]}`
	files := map[string]string{
		"policy/mine/mine.rego":      policy("caio.policy.mine", rule(minesRules)),
		"policy/mine/data.yaml":      "routes: [internal]\n",
		"policy/mine/mine_test.rego": "package caio.policy.mine_test\n\nimport data.caio.policy.mine\nimport data.caio.testing\nimport rego.v2\n\ntest_inside if mine.violation.MINE == set() with input as testing.given({}, {})\n",
		"kept.scenario.yaml":         "name: kept\n",
	}
	if schemaInManifest {
		manifest = strings.TrimSuffix(manifest, "}") + `, "metadata": {"team": "legal", "schema": ` + minesSchema + `}}`
	} else {
		files["schema.json"] = minesSchema
	}
	files[".manifest"] = manifest
	return files
}

// builtByOPA is what `opa build --bundle --signing-key` makes of a folder, without its tests.
func builtByOPA(t *testing.T, files map[string]string, signer crypto.Signer) []byte {
	t.Helper()
	dir := t.TempDir()
	der, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	files["../release.pem"] = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	files["../claims.json"] = `{"keyid": "release"}`
	for name, text := range files {
		file := filepath.Join(dir, "mine", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	err = opacompile.New().
		WithPaths(filepath.Join(dir, "mine")).WithAsBundle(true).WithOutput(&out).
		WithFilter(func(path string, _ fs.FileInfo, _ int) bool { return strings.HasSuffix(path, "_test.rego") }).
		WithBundleSigningConfig(bundle.NewSigningConfig(filepath.Join(dir, "release.pem"), "EdDSA", filepath.Join(dir, "claims.json"))).
		Build(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// outside is what the bundle says of a service outside.
func outside(t *testing.T, b *rego.Bundle) string {
	t.Helper()
	found, err := compiled(t, rego.Options{}, b).Evaluate(context.Background(), contracts.StagePolicy, input("service", contracts.External, 0))
	if err != nil {
		t.Fatal(err)
	}
	return show(found)
}

// TestBundlesOfOPA reads, verifies and evaluates what OPA itself built.
func TestBundlesOfOPA(t *testing.T) {
	signer := signers(t)["EdDSA"]
	keys := map[string]rego.Key{"release": public(t, signer, "EdDSA")}
	read := func(files map[string]string) *rego.Bundle {
		b, faults := rego.ReadTarball("b", bytes.NewReader(builtByOPA(t, files, signer)))
		if faults.HasErrors() {
			t.Fatal(faults)
		}
		verified, err := rego.Verify(b, keys)
		if err != nil || verified.Key != "release" {
			t.Fatalf("the signature that OPA made: %v", err)
		}
		return verified
	}
	if got, want := outside(t, read(mine(true))), outside(t, bundleOf(t, "b", mine(false))); got != want || want != "rego:MINE=1 service is outside" {
		t.Errorf("got %s, want %s", got, want)
	}
	_, faults := rego.Compile([]*rego.Bundle{read(mine(false))}, rego.Options{})
	if !strings.Contains(faults.Error(), "data.caio.settings.mine.routes is covered by no schema") || !strings.Contains(faults.Error(), "metadata.schema") {
		t.Errorf("without schema.json, which OPA leaves out: %v", faults)
	}
}

// TestTwoSchemas refuses a second one, of which nobody could say which is in force.
func TestTwoSchemas(t *testing.T) {
	files := mine(true)
	files["schema.json"] = minesSchema
	_, faults := rego.Compile([]*rego.Bundle{bundleOf(t, "b", files)}, rego.Options{})
	if !strings.Contains(faults.Error(), "b/schema.json:1:1: the bundle has a schema in b/.manifest too") {
		t.Errorf("got %v", faults)
	}
}

// TestWithoutTests has OPA verify the stripped bundle, load it as it is, and find what is found here.
func TestWithoutTests(t *testing.T) {
	signer := signers(t)["EdDSA"]
	whole := bundleOf(t, "b", mine(false))
	stripped, faults := rego.WithoutTests(whole)
	if faults.HasErrors() {
		t.Fatal(faults)
	}
	if again, _ := rego.WithoutTests(stripped); again.Digest != stripped.Digest || stripped.Digest == whole.Digest {
		t.Errorf("digests: whole %s, stripped %s, twice %s", whole.Digest, stripped.Digest, again.Digest)
	}
	var names []string
	for _, file := range stripped.Files {
		names = append(names, file.Path)
	}
	if got := strings.Join(names, " "); got != ".manifest data.json policy/mine/mine.rego schema.json" {
		t.Errorf("files: %s", got)
	}
	if got, want := outside(t, stripped), outside(t, whole); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	signed, err := rego.Sign(stripped, "EdDSA", "release", signer)
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	if err := rego.WriteTarball(&packed, signed); err != nil {
		t.Fatal(err)
	}
	config := bundle.NewVerificationConfig(map[string]*bundle.KeyConfig{"release": {Key: public(t, signer, "EdDSA").PEM, Algorithm: "EdDSA"}}, "", "", nil)
	read, err := bundle.NewReader(&packed).WithBundleVerificationConfig(config).Read()
	if err != nil {
		t.Fatal(err)
	}
	result, err := oparego.New(oparego.ParsedBundle("b", &read), oparego.Query(`data.caio.policy.mine.violation["MINE"]`),
		oparego.Input(map[string]any{"route": "external", "service": map[string]any{"id": "service"}})).Eval(context.Background())
	if err != nil || len(result) != 1 || fmt.Sprint(result[0].Expressions[0].Value) != "[service is outside]" {
		t.Errorf("OPA: %v, %v", result, err)
	}
}
