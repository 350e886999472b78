// Package seal keeps content apart from proofs: it makes the salts with which content is committed to in documents, seals the disclosures that open them, and keeps the keys of the people whom the content is about (spec/proof.md, "Commitments and erasure").
//
// Everything of a decision's content follows from the keys of its subjects and its id. They stand in a store of their own, [Subjects], and nowhere else; there is no key above them. Where one of them is destroyed, salts and disclosures are gone, in every copy of everything else.
//
// It knows neither what content is nor where sealed bytes are kept: the first is package verify's, the second the store's.
package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
)

// SaltSize is the length of a salt in bytes: 128 bits.
const SaltSize = 16

const (
	keySize   = 32
	idSize    = 16
	nonceSize = 12
	version   = 1
)

// What is derived of a record's secret, each under a name of its own.
const (
	domainRecord = "caio.record/v1"
	domainSalt   = "caio.salt/v1"
	domainSeal   = "caio.seal/v1"
	domainNonce  = "caio.nonce/v1"
	domainSecret = "caio.secret/v1" // and of a subject's key of its own
)

// ErrGone says that a key is not there: it was destroyed, or the store of subjects is not the one under which the record was sealed.
var ErrGone = errors.New("seal: the key of a subject is gone")

// ErrDamaged says that bytes are not what was sealed for this tenant and decision.
var ErrDamaged = errors.New("seal: the sealed bytes were changed, or belong to another decision")

// key is a subject's key for one class of retention and month; that of no class is for what has no age.
type key struct {
	id      [idSize]byte
	subject [idSize]byte
	secret  [keySize]byte
}

// Record derives what one decision needs: salts, and the sealing of its disclosures. It is for one goroutine at a time. [Record.Done] ends it.
type Record struct {
	prf      hash.Hash // HMAC-SHA256 under the record's secret
	header   []byte    // of what is sealed: see Seal
	bound    []byte
	subjects []string
	done     func()
}

// newRecord derives a record's secret: HKDF-Extract (RFC 5869) with SHA-256 of the keys one after the other, in order of their ids, and the tenant and the decision as salt.
func newRecord(tenant, decision string, keys []key) (*Record, error) {
	if tenant == "" || decision == "" || len(keys) == 0 || strings.Contains(tenant+decision, "\x00") {
		return nil, errors.New("seal: a record needs a tenant, a decision and the key of at least one subject")
	}
	if len(keys) > 1<<16-1 {
		return nil, fmt.Errorf("seal: a record has at most %d subjects", 1<<16-1)
	}
	keys = slices.SortedFunc(slices.Values(keys), func(a, b key) int { return bytes.Compare(a.id[:], b.id[:]) })
	r := &Record{header: binary.BigEndian.AppendUint16([]byte{version}, uint16(len(keys)))}
	material := make([]byte, 0, keySize*len(keys))
	for i := range keys {
		material = append(material, keys[i].secret[:]...)
		r.header = append(r.header, keys[i].id[:]...)
		r.subjects = append(r.subjects, hex.EncodeToString(keys[i].subject[:]))
	}
	slices.Sort(r.subjects)
	r.bound = []byte(tenant + "\x00" + decision)
	secret, err := hkdf.Extract(sha256.New, material, append([]byte(domainRecord+"\x00"), r.bound...))
	clear(material)
	r.prf = hmac.New(sha256.New, secret)
	return r, err
}

// derive is HKDF-Expand with the domain and a name as info, of at most one block: so the state of the HMAC is made once for all that a record derives.
func (r *Record) derive(domain, name string, size int) []byte {
	r.prf.Reset()
	r.prf.Write([]byte(domain + "\x00" + name + "\x01"))
	return r.prf.Sum(nil)[:size]
}

// Salt returns the [SaltSize] bytes for one name ("intent.text"). The same keys, decision and name give the same salt.
func (r *Record) Salt(name string) []byte { return r.derive(domainSalt, name, SaltSize) }

// Subjects are the opaque ids of the record's subjects, sorted: what the decision is found by when one of them is erased.
func (r *Record) Subjects() []string { return r.subjects }

// Done lets the keys of the record be destroyed. Until then they are not, so that what is sealed with them is stored before or not at all.
func (r *Record) Done() {
	if r.done != nil {
		r.done()
		r.done = nil
	}
}

// Seal seals what belongs to the record under a name ("disclosures"):
//
//	01 | number of keys, 2 bytes | the id of each key, 16 bytes, ascending | nonce, 12 bytes | AES-256-GCM
//
// All that stands before the nonce is authenticated, and so are tenant, decision and name. The key is the record's alone, and the nonce follows from the text: the same text gives the same bytes, another one another nonce.
func (r *Record) Seal(name string, text []byte) ([]byte, error) {
	aead, err := r.aead(name)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, r.derive(domainNonce, name, keySize))
	mac.Write(text)
	nonce := mac.Sum(nil)[:nonceSize]
	sealed := append(slices.Grow(slices.Clone(r.header), nonceSize+len(text)+aead.Overhead()), nonce...)
	return aead.Seal(sealed, nonce, text, r.additional(name)), nil
}

// unseal is the inverse of Seal.
func (r *Record) unseal(name string, sealed []byte) ([]byte, error) {
	rest, ok := bytes.CutPrefix(sealed, r.header)
	if !ok || len(rest) < nonceSize {
		return nil, ErrDamaged
	}
	aead, err := r.aead(name)
	if err != nil {
		return nil, err
	}
	text, err := aead.Open(nil, rest[:nonceSize], rest[nonceSize:], r.additional(name))
	if err != nil {
		return nil, ErrDamaged
	}
	return text, nil
}

func (r *Record) aead(name string) (cipher.AEAD, error) {
	block, err := aes.NewCipher(r.derive(domainSeal, name, keySize))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func (r *Record) additional(name string) []byte {
	return slices.Concat([]byte(domainSeal+"\x00"+name+"\x00"), r.bound, []byte{0}, r.header)
}

// Parties is with how many keys something was sealed, which is how many subjects it has, by its first 3 bytes or more.
func Parties(head []byte) (int, error) {
	if len(head) < 3 || head[0] != version {
		return 0, ErrDamaged
	}
	return int(binary.BigEndian.Uint16(head[1:])), nil
}

// keyIDs reads the ids of the keys with which something was sealed.
func keyIDs(sealed []byte) ([][idSize]byte, error) {
	n, err := Parties(sealed)
	if err != nil {
		return nil, err
	}
	rest := sealed[3:]
	if n == 0 || len(rest) < n*idSize {
		return nil, ErrDamaged
	}
	ids := make([][idSize]byte, n)
	for i := range ids {
		copy(ids[i][:], rest[i*idSize:])
		if i > 0 && bytes.Compare(ids[i-1][:], ids[i][:]) >= 0 {
			return nil, ErrDamaged
		}
	}
	return ids, nil
}

// NewRecord is the record of a decision that is made without a server and hides nothing: its salts follow from the seed, of 32 bytes or more, and nothing is sealed with it that is kept.
func NewRecord(tenant, decision string, seed []byte) (*Record, error) {
	var k key
	if copy(k.secret[:], seed) < keySize {
		return nil, fmt.Errorf("seal: a seed has at least %d bytes", keySize)
	}
	return newRecord(tenant, decision, []key{k})
}
