// Package seal makes the salts with which content is committed to in documents (spec/proof.md, "Commitments and erasure").
//
// A commitment hides its content only as long as its salt is unknown: salts are derived from a record key that is random, so that no two decisions share one, and they are stored with the disclosures, apart from the documents.
// The key itself is not kept: what opens a commitment is its disclosure, and nothing else is left to find.
package seal

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"io"
)

// SaltSize is the length of a salt in bytes: 128 bits.
const SaltSize = 16

const keySize = 32

// domain separates these salts from all else that may be derived of a record key.
const domain = "caio.salt/v1"

// Record derives the salts of one decision. It is safe for concurrent use.
type Record struct {
	key      []byte
	decision string
}

// NewRecord draws the record key of a decision from random, which must be a cryptographic source.
func NewRecord(random io.Reader, decision string) (*Record, error) {
	if decision == "" {
		return nil, fmt.Errorf("seal: a record needs the id of its decision")
	}
	key := make([]byte, keySize)
	if _, err := io.ReadFull(random, key); err != nil {
		return nil, fmt.Errorf("seal: drawing a record key: %w", err)
	}
	return &Record{key: key, decision: decision}, nil
}

// Salt returns the [SaltSize] bytes for one name ("intent.text"): HKDF-SHA256 of the record key, the decision's id as salt, and the domain and name as info. The same name gives the same salt.
func (r *Record) Salt(name string) []byte {
	salt, err := hkdf.Key(sha256.New, r.key, []byte(r.decision), domain+"\x00"+name, SaltSize)
	if err != nil {
		// hkdf.Key fails only for a length beyond 255 hashes, and, in FIPS mode, for keys that are too short: neither depends on the input.
		panic(err)
	}
	return salt
}
