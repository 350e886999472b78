package rego

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"path"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/util"
	"github.com/smarthausgroup/caio/contracts/source"
)

// Key is a public key that bundles are verified with. Its algorithm is pinned: what a signature says of itself is not asked.
type Key struct {
	Algorithm string // EdDSA, ES256 or RS256
	PEM       string // a block PUBLIC KEY (PKIX)
}

// UnknownKeyError is that a bundle names a key that is none of those it was held to.
type UnknownKeyError struct{ ID string }

// Error names the key.
func (e *UnknownKeyError) Error() string { return fmt.Sprintf("the key %q is not configured", e.ID) }

// WrongKeyError is that a bundle's signature does not hold under the key of the id that it names.
type WrongKeyError struct {
	ID  string
	Err error
}

// Error names the key.
func (e *WrongKeyError) Error() string {
	return fmt.Sprintf("it does not hold under the key %q: %v", e.ID, e.Err)
}

// Unwrap is why not.
func (e *WrongKeyError) Unwrap() error { return e.Err }

// The algorithms of signatures and of the digests in them.
var (
	signatureAlgorithms = map[string]jwa.SignatureAlgorithm{"EdDSA": jwa.EdDSA(), "ES256": jwa.ES256(), "RS256": jwa.RS256()}
	digestAlgorithms    = []string{bundle.SHA256.String(), bundle.SHA384.String(), bundle.SHA512.String()}
)

// Verify holds a bundle to its .signatures.json, in OPA's format: exactly the files of the bundle, signed by one of the keys. Of data files it is the meaning that is signed, and not white space. keys are by id. The result is the bundle with the id of that key. Where it names another, the error is an [*UnknownKeyError], and a [*WrongKeyError] where it was signed with another than it names.
func Verify(b *Bundle, keys map[string]Key) (*Bundle, error) {
	if b.Signatures == nil {
		return nil, fmt.Errorf("the bundle %s is not signed: it has no %s", b.Name, signaturesFile)
	}
	kid, err := verifySignature(b, keys)
	if err != nil {
		return nil, fmt.Errorf("the signature of the bundle %s: %w", b.Name, err)
	}
	verified := *b
	verified.Key = kid
	return &verified, nil
}

func verifySignature(b *Bundle, keys map[string]Key) (kid string, err error) {
	var signatures bundle.SignaturesConfig
	decoder := json.NewDecoder(bytes.NewReader(b.Signatures))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&signatures); err != nil {
		return "", err
	}
	// `opa sign` names no plugin, and `opa build` OPA's own.
	if len(signatures.Signatures) != 1 || signatures.Plugin != "" && signatures.Plugin != "_default" {
		return "", errors.New("there must be exactly one, in OPA's own format")
	}
	if kid, err = keyID(signatures.Signatures[0]); err != nil {
		return "", err
	}
	key, ok := keys[kid]
	if !ok {
		return "", &UnknownKeyError{kid}
	}
	if err := key.check(); err != nil {
		return "", fmt.Errorf("the key %q: %w", kid, err)
	}
	config := bundle.NewVerificationConfig(map[string]*bundle.KeyConfig{kid: {Key: key.PEM, Algorithm: key.Algorithm}}, kid, "", nil)
	files, err := (&bundle.DefaultVerifier{}).VerifyBundleSignature(signatures, config)
	if err != nil {
		return "", &WrongKeyError{kid, err}
	}
	for _, file := range b.Files {
		if signed, ok := files[file.Path]; ok && !slices.Contains(digestAlgorithms, signed.Algorithm) {
			return "", fmt.Errorf("%s is signed by its %s, which is none of %s", file.Path, signed.Algorithm, strings.Join(digestAlgorithms, ", "))
		}
		if err := bundle.VerifyBundleFile(file.Path, *bytes.NewBuffer(file.Text), files); err != nil {
			return "", err
		}
		if err := readAlike(file); err != nil {
			return "", err
		}
	}
	if len(files) > 0 {
		return "", fmt.Errorf("files that were signed are missing: %s", strings.Join(sortedKeys(files), ", "))
	}
	return kid, nil
}

// readAlike refuses a data file that OPA, whose reading is what was signed, reads otherwise than [Compile] does.
func readAlike(file File) error {
	if !slices.Contains(dataFiles, path.Base(file.Path)) {
		return nil
	}
	node, faults := source.Parse(file.Path, file.Text, MaxBundleBytes)
	if node == nil {
		return faults
	}
	var value any
	if err := util.Unmarshal(file.Text, &value); err != nil {
		return err
	}
	if !reflect.DeepEqual(value, node.Any()) {
		return fmt.Errorf("%s can be read in two ways; write it as JSON", file.Path)
	}
	return nil
}

// check refuses what is no public key: a secret that is shared would let everyone who verifies sign.
func (k Key) check() error {
	if _, ok := signatureAlgorithms[k.Algorithm]; !ok {
		return fmt.Errorf("the algorithm %q is none of %s", k.Algorithm, strings.Join(sortedKeys(signatureAlgorithms), ", "))
	}
	block, _ := pem.Decode([]byte(k.PEM))
	if block == nil || block.Type != "PUBLIC KEY" {
		return errors.New("it is not a PEM block PUBLIC KEY")
	}
	_, err := x509.ParsePKIXPublicKey(block.Bytes)
	return err
}

// keyID is the id of the key in a token's header, or, as older ones have it, in its payload.
func keyID(token string) (string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", errors.New("it is not a JWS of three parts")
	}
	var named struct {
		Header  string `json:"kid"`
		Payload string `json:"keyid"`
	}
	for _, part := range parts[:2] {
		text, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			return "", err
		}
		if err := json.Unmarshal(text, &named); err != nil {
			return "", err
		}
		if named.Header != "" || named.Payload != "" {
			return named.Header + named.Payload, nil
		}
	}
	return "", errors.New("it names no key")
}

// Sign makes the bundle's .signatures.json, which `opa` verifies too. The algorithm is that of the signer's key: EdDSA, ES256 or RS256.
func Sign(b *Bundle, algorithm, kid string, signer crypto.Signer) (*Bundle, error) {
	alg, ok := signatureAlgorithms[algorithm]
	if !ok || kid == "" {
		return nil, fmt.Errorf("a bundle is signed with one of %s, and a key that has an id", strings.Join(sortedKeys(signatureAlgorithms), ", "))
	}
	hasher, err := bundle.NewSignatureHasher(bundle.SHA256)
	if err != nil {
		return nil, err
	}
	var payload struct {
		Files []bundle.FileInfo `json:"files"`
	}
	for _, file := range b.Files {
		var value any = file.Text
		if bundle.IsStructuredDoc(file.Path) {
			if err := util.Unmarshal(file.Text, &value); err != nil {
				return nil, fmt.Errorf("%s: %w", place(b.Name, file.Path), err)
			}
		}
		sum, err := hasher.HashFile(value)
		if err != nil {
			return nil, err
		}
		payload.Files = append(payload.Files, bundle.NewFile(file.Path, hex.EncodeToString(sum), bundle.SHA256.String()))
	}
	text, err := json.Marshal(payload)
	if err != nil {
		return nil, err
	}
	headers := jws.NewHeaders()
	if err := headers.Set(jws.KeyIDKey, kid); err != nil {
		return nil, err
	}
	token, err := jws.Sign(text, jws.WithKey(alg, signer, jws.WithProtectedHeaders(headers)))
	if err != nil {
		return nil, fmt.Errorf("the bundle %s can't be signed: %w", b.Name, err)
	}
	signed := *b
	signed.Key = kid
	signed.Signatures, err = json.Marshal(bundle.SignaturesConfig{Signatures: []string{string(token)}})
	return &signed, err
}

// WriteTarball packs a bundle in the form that [ReadTarball] and `opa` read. The same files give the same bytes.
func WriteTarball(w io.Writer, b *Bundle) error {
	files := b.Files
	if b.Signatures != nil {
		files = append(slices.Clip(files), File{Path: signaturesFile, Text: b.Signatures})
	}
	zipped := gzip.NewWriter(w)
	archive := tar.NewWriter(zipped)
	for _, file := range files {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: path.Join("/", file.Path), Size: int64(len(file.Text)), Mode: 0o644, ModTime: time.Unix(0, 0).UTC(), Format: tar.FormatPAX}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(file.Text); err != nil {
			return err
		}
	}
	return errors.Join(archive.Close(), zipped.Close())
}
