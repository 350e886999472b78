package rego

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/canonical"
)

// ReadFiles reads a bundle from its files by their paths, as [ReadFS] does from a directory.
func ReadFiles(name string, files map[string][]byte) (*Bundle, contracts.Diagnostics) {
	p := packing{bundle: name}
	var err error
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if err = p.add(path, bytes.NewReader(files[path])); err != nil {
			break
		}
	}
	return p.finish(err)
}

// Checked is what [ReadFiles] reads: the files by path, with the signatures only if a key was checked, since others have no place in a proof, and in their one form ([NormalSignatures]).
func (b *Bundle) Checked() map[string][]byte {
	files := make(map[string][]byte, len(b.Files)+1)
	for _, file := range b.Files {
		files[file.Path] = file.Text
	}
	if b.Signatures != nil && b.Key != "" {
		files[signaturesFile] = b.Signatures
		if normal, err := NormalSignatures(b.Signatures); err == nil {
			files[signaturesFile] = normal
		}
	}
	return files
}

// NormalSignatures is what a .signatures.json says, in one form: the digest of a bundle leaves the file out, so that nothing else fixes its bytes. The one token stands in it, in base64url that has no other form, and nothing besides.
func NormalSignatures(text []byte) ([]byte, error) {
	var signatures bundle.SignaturesConfig
	if err := json.Unmarshal(text, &signatures); err != nil {
		return nil, err
	}
	if len(signatures.Signatures) != 1 {
		return nil, errors.New("there must be exactly one signature")
	}
	for _, part := range strings.Split(signatures.Signatures[0], ".") {
		if raw, err := base64.RawURLEncoding.DecodeString(part); err != nil || base64.RawURLEncoding.EncodeToString(raw) != part {
			return nil, errors.New("the token is not in base64url, or has another form too")
		}
	}
	return canonical.Encode(map[string]any{"signatures": []any{signatures.Signatures[0]}})
}
