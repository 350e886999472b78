package ledger

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/smarthausgroup/caio/internal/store"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
	tileBytes  = tileWidth * tlog.HashSize
)

// tree is the right edge of a log's tree: what it takes to append to it and to know its root (RFC 6962, section 2.1).
type tree struct {
	size int64
	// peaks are the roots of the perfect trees that the leaves fill, by height: that of height h is good where size has the bit h.
	peaks [63]tlog.Hash
	// open are the tiles that aren't full, by level.
	open [][]byte

	tenant  string
	full    []store.Tile // filled since it was cloned
	touched []bool       // by level: whether the open tile has grown since
}

// clone is a tree to append to while this one stays as it is.
func (t *tree) clone() *tree {
	c := *t
	c.full, c.touched, c.open = nil, make([]bool, len(t.open)), make([][]byte, len(t.open))
	for level, hashes := range t.open {
		c.open[level] = append(make([]byte, 0, tileBytes), hashes...)
	}
	return &c
}

// append adds a leaf.
func (t *tree) append(leaf []byte) error { return t.appendHash(tlog.RecordHash(leaf)) }

func (t *tree) appendHash(leaf tlog.Hash) error {
	hashes, err := tlog.StoredHashesForRecordHash(t.size, leaf, tlog.HashReaderFunc(t.readPeaks))
	if err != nil {
		return err
	}
	for height := 0; height < len(hashes); height += tileHeight {
		t.put(height/tileHeight, hashes[height])
	}
	t.peaks[len(hashes)-1] = hashes[len(hashes)-1]
	t.size++
	return nil
}

// put adds a hash to the open tile of a level.
func (t *tree) put(level int, hash tlog.Hash) {
	if level == len(t.open) {
		t.open, t.touched = append(t.open, make([]byte, 0, tileBytes)), append(t.touched, false)
	}
	t.open[level] = append(t.open[level], hash[:]...)
	t.touched[level] = true
	if len(t.open[level]) == tileBytes {
		t.full = append(t.full, store.Tile{Tenant: t.tenant, Level: level, Index: t.size >> (tileHeight * (level + 1)), Hashes: t.open[level]})
		t.open[level], t.touched[level] = make([]byte, 0, tileBytes), false
	}
}

// readPeaks returns hashes by their number in the order of package tlog: while a leaf is added, and for the root, these are peaks.
func (t *tree) readPeaks(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		height, n := tlog.SplitStoredHashIndex(index)
		if t.size&(1<<height) == 0 || n != t.size>>height-1 {
			return nil, fmt.Errorf("ledger: no peak of a tree of %d leaves is at height %d, place %d", t.size, height, n)
		}
		hashes[i] = t.peaks[height]
	}
	return hashes, nil
}

func (t *tree) root() (tlog.Hash, error) {
	return tlog.TreeHash(t.size, tlog.HashReaderFunc(t.readPeaks))
}

// tiles are those to write for what was appended.
func (t *tree) tiles() []store.Tile {
	tiles := t.full
	for level, hashes := range t.open {
		if t.touched[level] {
			tiles = append(tiles, store.Tile{Tenant: t.tenant, Level: level, Index: t.size >> (tileHeight * (level + 1)), Hashes: hashes})
		}
	}
	return tiles
}

// openTree makes the right edge of a tree of that size from stored hashes.
func openTree(tenant string, size int64, r tlog.HashReader) (*tree, error) {
	t := &tree{tenant: tenant, size: size}
	var indexes []int64
	for height := range t.peaks {
		if size&(1<<height) != 0 {
			indexes = append(indexes, tlog.StoredHashIndex(height, size>>height-1))
		}
	}
	hashes, err := r.ReadHashes(indexes)
	if err != nil {
		return nil, err
	}
	for _, hash := range hashes {
		height, _ := tlog.SplitStoredHashIndex(indexes[0])
		t.peaks[height], indexes = hash, indexes[1:]
	}
	for level := 0; size>>(tileHeight*level) > 0; level++ {
		first := size >> (tileHeight * (level + 1)) << tileHeight
		indexes = indexes[:0]
		for n := first; n < size>>(tileHeight*level); n++ {
			indexes = append(indexes, tlog.StoredHashIndex(level*tileHeight, n))
		}
		if hashes, err = r.ReadHashes(indexes); err != nil {
			return nil, err
		}
		open := make([]byte, 0, tileBytes)
		for _, hash := range hashes {
			open = append(open, hash[:]...)
		}
		t.open, t.touched = append(t.open, open), append(t.touched, false)
	}
	return t, nil
}

// notary signs the checkpoints of every log with one key, each under the log's origin (C2SP tlog-checkpoint, signed-note).
type notary struct {
	key    crypto.Signer
	public ed25519.PublicKey
}

func newNotary(key crypto.Signer) (notary, error) {
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok || len(public) != ed25519.PublicKeySize {
		return notary{}, fmt.Errorf("ledger: a key that signs checkpoints is an Ed25519 key, not %T", key.Public())
	}
	return notary{key, public}, nil
}

// VKey is the verifier key of a log whose checkpoints the key signs: <origin>+<id in hex>+<base64 of algorithm and key>.
func VKey(origin string, public ed25519.PublicKey) string {
	return fmt.Sprintf("%s+%08x+%s", origin, keyID(origin, public), base64.StdEncoding.EncodeToString(notePublic(public)))
}

// ed25519Note is the number of the algorithm in a verifier key.
const ed25519Note = 1

func notePublic(public ed25519.PublicKey) []byte { return append([]byte{ed25519Note}, public...) }

func keyID(origin string, public ed25519.PublicKey) uint32 {
	sum := sha256.Sum256(slices.Concat([]byte(origin), []byte{'\n'}, notePublic(public)))
	return binary.BigEndian.Uint32(sum[:])
}

// signer is the notary in the role of one log.
type signer struct {
	notary
	origin string
}

var _ note.Signer = signer{}

func (s signer) Name() string    { return s.origin }
func (s signer) KeyHash() uint32 { return keyID(s.origin, s.public) }

func (s signer) Sign(text []byte) ([]byte, error) {
	signature, err := s.key.Sign(rand.Reader, text, crypto.Hash(0))
	if err != nil {
		return nil, fmt.Errorf("ledger: signing a checkpoint: %w", err)
	}
	// A key kept elsewhere can answer with anything.
	if _, local := s.key.(ed25519.PrivateKey); !local && !ed25519.Verify(s.public, text, signature) {
		return nil, errors.New("ledger: the key of the checkpoints made a signature that does not verify")
	}
	return signature, nil
}

// sign makes the checkpoint of a tree.
func (n notary) sign(origin string, t *tree) (store.Checkpoint, error) {
	root, err := t.root()
	if err != nil {
		return store.Checkpoint{}, err
	}
	text := fmt.Sprintf("%s\n%d\n%s\n", origin, t.size, root)
	signed, err := note.Sign(&note.Note{Text: text}, signer{n, origin})
	return store.Checkpoint{Tenant: t.tenant, Size: t.size, Note: signed}, err
}
