package verify

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/smarthausgroup/caio/contracts/canonical"
	"github.com/smarthausgroup/caio/verify/tlog"
)

// Key is a public key with the places in the logs where it was in use. With nil Intervals it is good in every log at every index; otherwise only in the logs that they name, by origin.
type Key struct {
	Public    ed25519.PublicKey
	Intervals map[string]Interval
}

// Interval is the log indices between which a key was in use, both ends included; NotAfter is nil while it still is.
type Interval struct {
	NotBefore int64  `json:"not_before"`
	NotAfter  *int64 `json:"not_after,omitempty"`
}

// String is "from 3 to 9", or "from 3" while the key is in use.
func (i Interval) String() string {
	if i.NotAfter == nil {
		return fmt.Sprintf("from %d", i.NotBefore)
	}
	return fmt.Sprintf("from %d to %d", i.NotBefore, *i.NotAfter)
}

// ended is what changes are told in: an interval says of itself where it ends, or that nothing is known of that.
func (i Interval) ended() string {
	if i.NotAfter == nil {
		return i.String() + " on, without an end"
	}
	return i.String()
}

func (i Interval) holds(index int64) bool {
	return index >= i.NotBefore && (i.NotAfter == nil || index <= *i.NotAfter)
}

// ID is the key's id.
func (k Key) ID() string { return KeyID(k.Public) }

// Keys are public keys in order of id, as [ParseTrust] and [ParseJWKS] make them.
type Keys []Key

// Find returns the key with that id.
func (ks Keys) Find(kid string) (Key, bool) {
	for _, k := range ks {
		if k.ID() == kid {
			return k, true
		}
	}
	return Key{}, false
}

// In are the keys with the intervals of those logs alone, without the keys that were in use in none of them. A key without intervals stays as it is.
func (ks Keys) In(logs ...string) (list Keys) {
	for _, key := range ks {
		if key.Intervals != nil {
			intervals := map[string]Interval{}
			for _, log := range logs {
				if in, used := key.Intervals[log]; used {
					intervals[log] = in
				}
			}
			if key.Intervals = intervals; len(intervals) == 0 {
				continue
			}
		}
		list = append(list, key)
	}
	return list
}

// KeyID is the thumbprint of a public key: base64url of SHA-256 of its required JWK members (RFC 7638, RFC 8037 appendix A.3).
func KeyID(public ed25519.PublicKey) string {
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + encoding.EncodeToString(public) + `"}`))
	return encoding.EncodeToString(sum[:])
}

// jwk is a public key as a JSON Web Key (RFC 7517, RFC 8037). `intervals` is ours; other readers ignore it. It is a pointer so that none are told from an empty set of them, which is refused.
type jwk struct {
	Alg       string               `json:"alg"`
	Crv       string               `json:"crv"`
	Intervals *map[string]Interval `json:"intervals,omitempty"`
	Kid       string               `json:"kid"`
	Kty       string               `json:"kty"`
	Use       string               `json:"use"`
	X         string               `json:"x"`
}

type jwks struct {
	Keys []jwk `json:"keys"`
}

// EncodeJWKS writes keys as a canonical JWK Set, in order of id (spec/proof.md, "The statement and the signature").
func EncodeJWKS(keys Keys) ([]byte, error) {
	list, err := keys.encode()
	if err != nil {
		return nil, err
	}
	return canonical.Encode(jwks{list})
}

// ParseJWKS reads what [EncodeJWKS] writes, white space aside, and nothing else.
func ParseJWKS(text []byte) (Keys, error) {
	var set jwks
	if err := decodeSpaced(text, &set); err != nil {
		return nil, fmt.Errorf("JWK set: %w", err)
	}
	return decodeKeys(set.Keys)
}

// decodeSpaced reads canonical JSON that may have been indented for people.
func decodeSpaced(text []byte, v any) error {
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return errors.New("it is not JSON: it is another kind of file, or was cut")
	}
	return canonical.Decode(compact.Bytes(), v)
}

func (ks Keys) encode() ([]jwk, error) {
	list := make([]jwk, len(ks))
	for i, k := range ks {
		if err := k.check(); err != nil {
			return nil, err
		}
		list[i] = jwk{Alg: algorithm, Crv: "Ed25519", Kid: k.ID(), Kty: "OKP", Use: "sig", X: encoding.EncodeToString(k.Public)}
		if k.Intervals != nil {
			list[i].Intervals = &k.Intervals
		}
	}
	slices.SortFunc(list, func(a, b jwk) int { return cmp.Compare(a.Kid, b.Kid) })
	return list, ascending(list, func(k jwk) string { return k.Kid })
}

func decodeKeys(list []jwk) (Keys, error) {
	keys := make(Keys, len(list))
	for i, j := range list {
		public, err := encoding.DecodeString(j.X)
		if err != nil || encoding.EncodeToString(public) != j.X {
			return nil, fmt.Errorf("keys[%d]: x is not base64url of a public key", i)
		}
		keys[i] = Key{Public: public}
		if j.Intervals != nil {
			keys[i].Intervals = *j.Intervals
		}
		if err := keys[i].check(); err != nil {
			return nil, fmt.Errorf("keys[%d]: %w", i, err)
		}
		if want := (jwk{algorithm, "Ed25519", nil, keys[i].ID(), "OKP", "sig", j.X}); !j.same(want) {
			return nil, fmt.Errorf("keys[%d]: a key has alg %s, crv %s, kty %s, use %s, and as its kid its thumbprint, %s", i, want.Alg, want.Crv, want.Kty, want.Use, want.Kid)
		}
	}
	if err := ascending(list, func(k jwk) string { return k.Kid }); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return keys, nil
}

func (j jwk) same(want jwk) bool {
	return j.Alg == want.Alg && j.Crv == want.Crv && j.Kid == want.Kid && j.Kty == want.Kty && j.Use == want.Use
}

func (k Key) check() error {
	if len(k.Public) != ed25519.PublicKeySize {
		return fmt.Errorf("an Ed25519 public key has %d bytes, not %d", ed25519.PublicKeySize, len(k.Public))
	}
	if tlog.Weak(k.Public) {
		return fmt.Errorf("the public key %x is a point of small order, or not reduced: signatures under it prove nothing", k.Public)
	}
	if k.Intervals != nil && len(k.Intervals) == 0 {
		return fmt.Errorf("the key %s has intervals, and there is none among them: it was never in use, so leave it out. Without `intervals` it would be accepted everywhere", k.ID())
	}
	for origin, interval := range k.Intervals {
		if err := interval.check(origin); err != nil {
			return fmt.Errorf("the key %s: %w", k.ID(), err)
		}
	}
	return nil
}

// check says what is wrong with an interval that holds no index, or is of no log.
func (i Interval) check(origin string) error {
	switch {
	case origin == "":
		return errors.New("an interval is of a log, by its origin, and one names none")
	case i.NotBefore < 0:
		return fmt.Errorf("its interval in the log %s begins at %d, and indices begin at 0", origin, i.NotBefore)
	case i.NotAfter != nil && *i.NotAfter < i.NotBefore:
		return fmt.Errorf("its interval in the log %s is empty: not_before is %d, and not_after %d. Leave the interval out, and the key too where it has no other", origin, i.NotBefore, *i.NotAfter)
	}
	return nil
}
