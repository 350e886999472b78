package tlog

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// maxHashes is the length of the longest proof.
const maxHashes = 63

// MaxProofBytes bounds what [ParseProof] looks at.
const MaxProofBytes = MaxCheckpointBytes + 64*(maxHashes+2)

const proofHeader = "c2sp.org/tlog-proof@v1"

// Proof is that an entry is in a log: its index, the hashes from its sibling up, and the checkpoint under whose root they lead (C2SP tlog-proof).
//
//	c2sp.org/tlog-proof@v1
//	index <index>
//	<base64 of a hash>, as many as there are
//
//	<the checkpoint>
//
// The format's `extra` line isn't accepted: nothing vouches for what stands there.
type Proof struct {
	Index      int64
	Hashes     []Hash
	Checkpoint Checkpoint
}

// Encode writes the proof.
func (p Proof) Encode() []byte {
	text := fmt.Appendf(nil, "%s\nindex %d\n", proofHeader, p.Index)
	for _, hash := range p.Hashes {
		text = append(encoding.AppendEncode(text, hash[:]), '\n')
	}
	return append(append(text, '\n'), p.Checkpoint.Encode()...)
}

// ParseProof reads what [Proof.Encode] writes, and nothing else. It verifies nothing: see [Proof.Verify]. Errors wrap [ErrMalformed].
func ParseProof(text []byte) (Proof, error) {
	if len(text) > MaxProofBytes {
		return Proof{}, malformed("proof", "%d bytes, at most %d", len(text), MaxProofBytes)
	}
	head, rest, found := bytes.Cut(text, []byte("\n\n"))
	if !found {
		return Proof{}, malformed("proof", "no empty line before the checkpoint")
	}
	lines := strings.Split(string(head), "\n")
	if lines[0] != proofHeader || len(lines) < 2 || len(lines) > 2+maxHashes {
		return Proof{}, malformed("proof", "it begins with %q, an index and at most %d hashes", proofHeader, maxHashes)
	}
	number, found := strings.CutPrefix(lines[1], "index ")
	index, err := strconv.ParseInt(number, 10, 64)
	if !found || err != nil || index < 0 || index >= MaxSize {
		return Proof{}, malformed("proof", "line 2 is %.80q, not an index", lines[1])
	}
	p := Proof{Index: index}
	for i, line := range lines[2:] {
		hash, err := decodeHash(line)
		if err != nil {
			return Proof{}, malformed("proof", "line %d: %v", i+3, err)
		}
		p.Hashes = append(p.Hashes, hash)
	}
	if p.Checkpoint, err = ParseCheckpoint(rest); err != nil {
		return Proof{}, fmt.Errorf("proof: %w", err)
	}
	if !bytes.Equal(p.Encode(), text) {
		return Proof{}, malformed("proof", "index or a hash has another form too")
	}
	return p, nil
}

// Verify checks that entry is the leaf at p.Index under p.Checkpoint, whose signatures are [Checkpoint.Verify]'s matter. Errors wrap [ErrProof].
func (p Proof) Verify(entry []byte) error {
	return p.Checkpoint.Includes(LeafHash(entry), p.Index, p.Hashes)
}
