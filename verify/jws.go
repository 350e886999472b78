package verify

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/smarthausgroup/caio/contracts/canonical"
)

// MaxJWSBytes bounds what [Verify] looks at. Entries hold large things by digest.
const MaxJWSBytes = 256 << 10

// Reasons for which [Verify] refuses.
var (
	ErrMalformed = errors.New("not a compact JWS in the one form accepted here")
	ErrUntrusted = errors.New("signed by a key that the trust file does not hold")
	ErrSignature = errors.New("the signature does not verify")
)

// header is the whole JOSE header, in canonical order (RFC 7515; RFC 9864 for the name Ed25519). Nothing else may stand in it.
type header struct {
	Alg string `json:"alg"`
	Kid string `json:"kid"`
	Typ string `json:"typ"`
}

const algorithm = "Ed25519"

var (
	encoding = base64.RawURLEncoding
	standard = base64.StdEncoding // of signed notes
)

// signingInput is what is signed. Signer and verifier both make it here and nowhere else: a JWS is accepted if it is, byte for byte, what would have been written.
func signingInput(typ, kid string, payload []byte) ([]byte, error) {
	head, err := canonical.Encode(header{algorithm, kid, typ})
	if err != nil {
		return nil, err
	}
	input := encoding.AppendEncode(nil, head)
	return encoding.AppendEncode(append(input, '.'), payload), nil
}

func appendSignature(input, signature []byte) []byte {
	return encoding.AppendEncode(append(input[:len(input):len(input)], '.'), signature)
}

// Signer signs entries of the log with one Ed25519 key, which may live outside the process. It is safe for concurrent use if the key is.
type Signer struct {
	key    crypto.Signer
	public ed25519.PublicKey
	id     string
}

// NewSigner takes an Ed25519 key, or anything that signs with one.
func NewSigner(key crypto.Signer) (*Signer, error) {
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok || len(public) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("a key that signs proofs is an Ed25519 key, not %T", key.Public())
	}
	return &Signer{key, public, KeyID(public)}, nil
}

// KeyID is the `kid` of what s signs.
func (s *Signer) KeyID() string { return s.id }

// Public is the key that verifies what s signs.
func (s *Signer) Public() ed25519.PublicKey { return s.public }

// Sign returns the compact JWS over the canonical bytes of payload. Ed25519 is deterministic: the same payload gives the same bytes.
func (s *Signer) Sign(typ string, payload any) ([]byte, error) {
	text, err := canonical.Encode(payload)
	if err != nil {
		return nil, err
	}
	input, err := signingInput(typ, s.id, text)
	if err != nil {
		return nil, err
	}
	signature, err := s.key.Sign(rand.Reader, input, crypto.Hash(0))
	if err != nil {
		return nil, fmt.Errorf("signing with key %s: %w", s.id, err)
	}
	// A key kept elsewhere can answer with anything: what would not verify is not let out.
	if _, local := s.key.(ed25519.PrivateKey); !local && !ed25519.Verify(s.public, input, signature) {
		return nil, fmt.Errorf("key %s made a signature that does not verify", s.id)
	}
	return appendSignature(input, signature), nil
}

// Verify checks that compact is an entry of kind typ, signed by one of keys, and decodes its payload, which must be canonical, into the value that payload points to.
// It returns the key; whether that was in use at the entry's index is for the caller to say. Errors wrap [ErrMalformed], [ErrUntrusted] or [ErrSignature].
func Verify(typ string, compact []byte, keys Keys, payload any) (Key, error) {
	parts, err := splitJWS(compact)
	if err != nil {
		return Key{}, err
	}
	var head header
	if err := canonical.Decode(parts[0], &head); err != nil {
		return Key{}, fmt.Errorf("%w: header: %w", ErrMalformed, err)
	}
	if head.Alg != algorithm {
		return Key{}, fmt.Errorf("%w: alg is %q, not %q", ErrMalformed, head.Alg, algorithm)
	}
	if head.Typ != typ {
		return Key{}, fmt.Errorf("%w: typ is %q, not %q", ErrMalformed, head.Typ, typ)
	}
	input, err := signingInput(typ, head.Kid, parts[1])
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if !bytes.Equal(appendSignature(input, parts[2]), compact) {
		return Key{}, fmt.Errorf("%w: its base64url has another form too", ErrMalformed)
	}
	key, ok := keys.Find(head.Kid)
	if !ok {
		return Key{}, fmt.Errorf("%w: %q", ErrUntrusted, head.Kid)
	}
	if len(parts[2]) != ed25519.SignatureSize || !ed25519.Verify(key.Public, input, parts[2]) {
		return Key{}, fmt.Errorf("%w under key %s", ErrSignature, head.Kid)
	}
	if err := canonical.Decode(parts[1], payload); err != nil {
		return Key{}, fmt.Errorf("%w: payload: %w", ErrMalformed, err)
	}
	return key, nil
}

// kidOf is the key that a compact JWS names, unverified; "" for none.
func kidOf(compact []byte) string {
	var head header
	if parts, err := splitJWS(compact); err != nil || json.Unmarshal(parts[0], &head) != nil {
		return ""
	}
	return head.Kid
}

// Claims reads the payload of a compact JWS into payload, with nothing of it verified: for those who look for something in a log whose entries are verified where they count.
func Claims(compact []byte, payload any) error {
	parts, err := splitJWS(compact)
	if err != nil {
		return err
	}
	return json.Unmarshal(parts[1], payload)
}

// splitJWS returns header, payload and signature, decoded.
func splitJWS(compact []byte) ([][]byte, error) {
	if len(compact) > MaxJWSBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrMalformed, len(compact), MaxJWSBytes)
	}
	parts := bytes.Split(compact, []byte("."))
	if len(parts) != 3 {
		return nil, fmt.Errorf("%w: %d parts, not three", ErrMalformed, len(parts))
	}
	for i, part := range parts {
		decoded, err := encoding.AppendDecode(nil, part)
		if err != nil {
			return nil, fmt.Errorf("%w: part %d: %w", ErrMalformed, i+1, err)
		}
		parts[i] = decoded
	}
	return parts, nil
}
