package tlog

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Algorithm is what a key signs, by its number in C2SP signed-note, "Signature types".
type Algorithm byte

// The algorithms that are read here.
const (
	Ed25519       Algorithm = 1 // a log signs a checkpoint
	CosignatureV1 Algorithm = 4 // a witness cosigns one, with the time
)

// maxName bounds the name of a key, and so an origin.
const maxName = 255

// Key verifies what a log or a witness signs (C2SP signed-note, "Verifier keys"). The name of a log's is the log's origin.
type Key struct {
	Name      string
	Algorithm Algorithm
	Public    ed25519.PublicKey
}

// NewKey checks the parts of a key. Errors wrap [ErrMalformed].
func NewKey(name string, algorithm Algorithm, public ed25519.PublicKey) (Key, error) {
	switch {
	case !isName(name):
		return Key{}, malformed("key", "the name %.80q: not empty, at most %d bytes, without spaces and plus signs", name, maxName)
	case algorithm != Ed25519 && algorithm != CosignatureV1:
		return Key{}, malformed("key", "of %s the algorithm is %d, not %d (a log's, Ed25519) or %d (a witness's, cosignature/v1)", name, algorithm, Ed25519, CosignatureV1)
	case len(public) != ed25519.PublicKeySize:
		return Key{}, malformed("key", "of %s there are %d bytes: an Ed25519 public key has %d", name, len(public), ed25519.PublicKeySize)
	case Weak(public):
		return Key{}, malformed("key", "%s has the public key %x, a point of small order, or not reduced: signatures under it prove nothing", name, public)
	}
	return Key{name, algorithm, public}, nil
}

// ID is the key id, which a signature line repeats.
func (k Key) ID() uint32 {
	sum := sha256.Sum256(slices.Concat([]byte(k.Name), []byte{'\n', byte(k.Algorithm)}, k.Public))
	return binary.BigEndian.Uint32(sum[:])
}

// String is the vkey: <name>+<key id in hex>+<base64 of algorithm and public key>.
func (k Key) String() string {
	return fmt.Sprintf("%s+%08x+%s", k.Name, k.ID(), encoding.EncodeToString(append([]byte{byte(k.Algorithm)}, k.Public...)))
}

// ParseKey reads what [Key.String] writes, and nothing else. Errors wrap [ErrMalformed].
func ParseKey(vkey string) (Key, error) {
	parts := strings.Split(vkey, "+")
	if len(parts) < 3 {
		return Key{}, malformed("key", "%.200q is not name+id+key", vkey)
	}
	// The base64 of the key may hold plus signs, the name may not.
	raw, err := encoding.DecodeString(strings.Join(parts[2:], "+"))
	if err != nil || len(raw) == 0 {
		return Key{}, malformed("key", "%.200q does not end in base64 of a key", vkey)
	}
	k, err := NewKey(parts[0], Algorithm(raw[0]), raw[1:])
	if err != nil {
		return Key{}, err
	}
	if k.String() != vkey {
		return Key{}, malformed("key", "%q is written %q: its id is the hash of name and key", vkey, k)
	}
	return k, nil
}

// isName reports whether name can stand in a signature line, and be shown: origins and names of keys are what programs print of a log that nobody vouches for.
func isName(name string) bool {
	return name != "" && len(name) <= maxName && isText([]byte(name)) && !strings.ContainsFunc(name, func(r rune) bool { return r == '+' || unicode.IsSpace(r) || unicode.In(r, unicode.Cc, unicode.Cf) })
}

// isText reports whether text may stand in a signed note: UTF-8 without control characters but the line feed.
func isText(text []byte) bool {
	return utf8.Valid(text) && !bytes.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\n' })
}

// The y coordinates, little endian, of the eight points of small order: 0, 1, -1, and the two of order 8.
var smallOrder = [...]string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
}

// Weak reports whether an Ed25519 public key is of small order, so that its holder can find signatures that verify for many messages, or has a second encoding, so that it has a second id.
func Weak(public ed25519.PublicKey) bool {
	y := slices.Clone(public)
	y[31] &= 0x7f // the sign of x
	if slices.Contains(smallOrder[:], hex.EncodeToString(y)) {
		return true
	}
	// p = 2^255 - 19 is ed ff .. ff 7f: y >= p.
	unreduced := y[0] >= 0xed && y[31] == 0x7f
	for _, b := range y[1:31] {
		unreduced = unreduced && b == 0xff
	}
	return unreduced
}
