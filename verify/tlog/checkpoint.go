// Package tlog reads a transparency log: checkpoints and who signed them, inclusion and consistency, tiles and entries, and whole logs (spec/proof.md, "The log").
//
// It is the reader's side, written apart from the writer and on other libraries, so that two implementations must agree. It knows nothing of what the entries say. Each decoder accepts only what its encoder
// writes, byte for byte, and bounds what it looks at; a policy alone, which people write, may have comments and white space.
//
// The formats are those of c2sp.org: tlog-checkpoint, tlog-cosignature, tlog-proof, tlog-policy, tlog-tiles, signed-note. Hashing is RFC 6962 with SHA-256.
package tlog

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

// Hash is of a leaf or of a node of the tree.
type Hash = [sha256.Size]byte

// Bounds of what is read.
const (
	MaxCheckpointBytes = 64 << 10
	MaxSignatures      = 100
	MaxSize            = 1<<53 - 1 // entries of a log: documents hold indices as JSON numbers
)

// Reasons for which something is refused.
var (
	ErrMalformed = errors.New("not in the one form accepted here")
	ErrUntrusted = errors.New("no trusted key of the log signed")
	ErrSignature = errors.New("the signature does not verify")
	ErrProof     = errors.New("the proof does not hold")
)

// EmptyRoot is the root of a log without entries: the hash of nothing (RFC 6962, section 2.1).
var EmptyRoot = Hash(rfc6962.DefaultHasher.EmptyRoot())

// LeafHash is the hash of an entry as a leaf (RFC 6962, section 2.1).
func LeafHash(entry []byte) Hash { return Hash(rfc6962.DefaultHasher.HashLeaf(entry)) }

// Checkpoint is what a log says of itself at one size, and who signed that (C2SP tlog-checkpoint).
//
//	<origin>
//	<size>
//	<base64 of the root>
//	<extension lines: none, but see [ParseExtendedCheckpoint]>
//
//	— <name> <base64 of key id and signature>
type Checkpoint struct {
	Origin     string
	Size       int64
	Root       Hash
	Extensions []string
	Signatures []Signature
}

// Body is the text that is signed.
func (c Checkpoint) Body() []byte {
	body := fmt.Appendf(nil, "%s\n%d\n%s\n", c.Origin, c.Size, encoding.EncodeToString(c.Root[:]))
	for _, line := range c.Extensions {
		body = append(append(body, line...), '\n')
	}
	return body
}

// Encode is the signed note.
func (c Checkpoint) Encode() []byte {
	text := append(c.Body(), '\n')
	for _, s := range c.Signatures {
		text = append(text, s.Encode()...)
	}
	return text
}

// ParseCheckpoint reads what [Checkpoint.Encode] writes, with one signature or more and no extension lines. It verifies nothing: see [Checkpoint.Verify]. Errors wrap [ErrMalformed].
func ParseCheckpoint(text []byte) (Checkpoint, error) {
	c, err := ParseExtendedCheckpoint(text)
	if err == nil && len(c.Extensions) > 0 {
		return Checkpoint{}, malformed("checkpoint", "%d extension lines: nobody audits those", len(c.Extensions))
	}
	return c, err
}

// ParseExtendedCheckpoint is [ParseCheckpoint] for a log that isn't ours and may have extension lines.
func ParseExtendedCheckpoint(text []byte) (Checkpoint, error) {
	if len(text) > MaxCheckpointBytes {
		return Checkpoint{}, malformed("checkpoint", "%d bytes, at most %d", len(text), MaxCheckpointBytes)
	}
	if !isText(text) {
		return Checkpoint{}, malformed("checkpoint", "not UTF-8, or a control character")
	}
	split := bytes.LastIndex(text, []byte("\n\n"))
	if split < 0 {
		return Checkpoint{}, malformed("checkpoint", "no empty line before the signatures")
	}
	c, err := parseBody(string(text[:split]))
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Signatures, err = ParseSignatures(text[split+2:]); err != nil {
		return Checkpoint{}, err
	}
	if !bytes.Equal(c.Encode(), text) {
		return Checkpoint{}, malformed("checkpoint", "size or root has another form too")
	}
	return c, nil
}

// parseBody reads a body without its last line feed. Whether it is in the one form is for the caller to say.
func parseBody(body string) (Checkpoint, error) {
	lines := strings.Split(body, "\n")
	if len(lines) < 3 {
		return Checkpoint{}, malformed("checkpoint", "%d lines before the signatures, at least three", len(lines))
	}
	if !isName(lines[0]) {
		return Checkpoint{}, malformed("checkpoint", "the origin %.80q is not the name of a key: not empty, at most %d bytes, without spaces and plus signs", lines[0], maxName)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || size > MaxSize {
		return Checkpoint{}, malformed("checkpoint", "the size %.80q is not a number between 0 and %d", lines[1], int64(MaxSize))
	}
	root, err := decodeHash(lines[2])
	if err != nil {
		return Checkpoint{}, malformed("checkpoint", "the root: %v", err)
	}
	c := Checkpoint{Origin: lines[0], Size: size, Root: root}
	for _, line := range lines[3:] {
		if line == "" {
			return Checkpoint{}, malformed("checkpoint", "an empty line before the last one")
		}
		c.Extensions = append(c.Extensions, line)
	}
	return c, nil
}

// Verified is a signature that a known key made.
type Verified struct {
	Key  Key
	Time time.Time // of a cosignature: when the witness had seen nothing larger. Zero for the log's own
}

// Verify checks the signatures of c under keys: those of the log, whose name is the origin, and those of witnesses.
//
// verified are in the order of c.Signatures. unknown are those that none of keys made: whoever takes c for evidence must refuse them, since anybody can change them; a witness ignores them.
// The error wraps [ErrSignature] where a signature names one of keys and does not verify, and [ErrUntrusted] where no key of the log is among those that signed.
func (c Checkpoint) Verify(keys ...Key) (verified []Verified, unknown []Signature, err error) {
	body, signed := c.Body(), false
	for _, s := range c.Signatures {
		key, at, err := s.verify(c.Origin, body, keys)
		switch {
		case err != nil:
			return nil, nil, err
		case key == nil:
			unknown = append(unknown, s)
		default:
			verified = append(verified, Verified{*key, at})
			signed = signed || key.Algorithm == Ed25519
		}
	}
	if !signed {
		return nil, nil, fmt.Errorf("checkpoint of %s at size %d: %w", c.Origin, c.Size, ErrUntrusted)
	}
	return verified, unknown, nil
}

// Includes checks that the leaf with that hash is the one at index, by an inclusion proof, sibling first. The signatures are [Checkpoint.Verify]'s matter. Errors wrap [ErrProof].
func (c Checkpoint) Includes(leaf Hash, index int64, hashes []Hash) error {
	if index < 0 || index >= c.Size {
		return fmt.Errorf("%w: index %d in a log of size %d", ErrProof, index, c.Size)
	}
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(index), uint64(c.Size), leaf[:], slicesOf(hashes), c.Root[:]); err != nil {
		return notIn(err, fmt.Sprintf("the leaf is not at index %d of %s at size %d", index, c.Origin, c.Size))
	}
	return nil
}

// Extends checks that c holds all that older held, by a consistency proof (RFC 6962, section 2.1.2). Errors wrap [ErrProof].
func (c Checkpoint) Extends(older Checkpoint, hashes []Hash) error {
	if c.Origin != older.Origin {
		return fmt.Errorf("%w: of two logs, %s and %s", ErrProof, older.Origin, c.Origin)
	}
	for _, each := range []Checkpoint{older, c} {
		if each.Size == 0 && each.Root != EmptyRoot {
			return fmt.Errorf("%w: the root of an empty log is the hash of nothing, not %x", ErrProof, each.Root)
		}
	}
	if older.Size < 0 || older.Size > c.Size {
		return fmt.Errorf("%w: from size %d to %d", ErrProof, older.Size, c.Size)
	}
	if err := proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(older.Size), uint64(c.Size), slicesOf(hashes), older.Root[:], c.Root[:]); err != nil {
		return notIn(err, fmt.Sprintf("%s at size %d does not extend itself at size %d", c.Origin, c.Size, older.Size))
	}
	return nil
}

// notIn says what failed. The library's own text of a mismatch is two lists of bytes.
func notIn(err error, what string) error {
	if mismatch := (proof.RootMismatchError{}); errors.As(err, &mismatch) {
		return fmt.Errorf("%w: %s: the root is %x, by the proof it would be %x", ErrProof, what, mismatch.ExpectedRoot, mismatch.CalculatedRoot)
	}
	return fmt.Errorf("%w: %s: %w", ErrProof, what, err)
}

func slicesOf(hashes []Hash) [][]byte {
	list := make([][]byte, len(hashes))
	for i := range hashes {
		list[i] = hashes[i][:]
	}
	return list
}

var encoding = base64.StdEncoding

// decodeHash reads a line of base64. Whether that is its one form is for the caller to say, by writing it again.
func decodeHash(line string) (Hash, error) {
	raw, err := encoding.DecodeString(line)
	if err != nil || len(raw) != sha256.Size {
		return Hash{}, fmt.Errorf("%.80q is not base64 of %d bytes", line, sha256.Size)
	}
	return Hash(raw), nil
}

func malformed(what, format string, args ...any) error {
	return fmt.Errorf("%s: %w: %s", what, ErrMalformed, fmt.Sprintf(format, args...))
}
