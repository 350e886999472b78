package tlog

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/transparency-dev/merkle/compact"
)

// ErrLog is that a log is not what its checkpoint says: nothing about how it was read.
var ErrLog = errors.New("the log is not what its checkpoint says")

// CheckpointPath is where a log serves its newest checkpoint, beside the tiles ([Tile.Path]).
const CheckpointPath = "checkpoint"

// Source is a log somewhere: below a URL, or in a folder.
//
// Read returns what lies at a path, of what is longer than limit bytes the first limit ones: it MUST NOT read more. If there is nothing, the error MUST wrap [fs.ErrNotExist].
type Source interface {
	Read(ctx context.Context, path string, limit int64) ([]byte, error)
}

// Options of [CheckLog].
type Options struct {
	Keys     []Key                                 // of the log, and of witnesses; at least the log's
	Earlier  []Checkpoint                          // what the log is known to have said: it must still hold all of that
	Leaf     func(index int64, entry []byte) error // gets every entry, in order; entry is good until it returns. May be nil
	Progress func(done, size int64)                // after every tile of entries. May be nil
}

// Checked is what [CheckLog] found good.
type Checked struct {
	Checkpoint Checkpoint
	Verified   []Verified
	Unknown    []Signature
	Tiles      int64 // of hashes, that were compared
}

// CheckLog reads a whole log and derives it again: the newest checkpoint, every entry, from these every tile of hashes, which must be there byte for byte, and the root. It holds a few tiles in memory, however
// large the log. Where a tile that isn't full is gone, the full one that replaced it will do.
//
// The error wraps [ErrLog] if the log contradicts itself, lacks a part or has an entry too many, [ErrUntrusted], [ErrSignature] or [ErrMalformed] if its checkpoint or a tile is not good; otherwise it is
// that of reading, of ctx, or of opts.Leaf.
func CheckLog(ctx context.Context, source Source, opts Options) (Checked, error) {
	// Here and for tiles: a byte more than may be there shows that there are too many.
	text, err := source.Read(ctx, CheckpointPath, MaxCheckpointBytes+1)
	if err != nil {
		return Checked{}, unread(CheckpointPath, err)
	}
	c, err := ParseCheckpoint(text)
	if err != nil {
		return Checked{}, err
	}
	verified, unknown, err := c.Verify(opts.Keys...)
	if err != nil {
		return Checked{}, err
	}
	expected := append(slices.Clone(opts.Earlier), c)
	for _, e := range expected {
		switch {
		case e.Origin != c.Origin || e.Size < 0:
			return Checked{}, fmt.Errorf("%w: it is %s at size %d, and was %s at size %d before", ErrLog, c.Origin, c.Size, e.Origin, e.Size)
		case e.Size > c.Size:
			return Checked{}, fmt.Errorf("%w: it has %d entries, and had %d by a checkpoint that was kept: it lost some, or is a copy from before that checkpoint, to be brought up to date", ErrLog, c.Size, e.Size)
		}
	}
	slices.SortStableFunc(expected, func(a, b Checkpoint) int { return cmp.Compare(a.Size, b.Size) })
	d := derivation{source: source, opts: opts, size: c.Size, expected: expected, tree: ranges.NewEmptyRange(0)}
	if err := d.run(ctx); err != nil {
		return Checked{}, err
	}
	return Checked{c, verified, unknown, d.tiles}, nil
}

// derivation is how far a log is derived again.
type derivation struct {
	source   Source
	opts     Options
	size     int64
	expected []Checkpoint // those not reached yet, in order of size
	tree     *compact.Range
	levels   []openTile // by level
	tiles    int64
}

// openTile is the tile of a level that is being filled.
type openTile struct {
	index  int64
	hashes []byte
}

func (d *derivation) run(ctx context.Context) error {
	if err := d.compareRoots(); err != nil {
		return err
	}
	for index := int64(0); index*TileWidth < d.size; index++ {
		if err := d.entries(ctx, index); err != nil {
			return err
		}
		if d.opts.Progress != nil {
			d.opts.Progress(int64(d.tree.End()), d.size)
		}
	}
	// What is left is not full.
	for level, open := range d.levels {
		if len(open.hashes) > 0 {
			if err := d.compareTile(ctx, level); err != nil {
				return err
			}
		}
	}
	return nil
}

// entries takes in a tile of entries.
func (d *derivation) entries(ctx context.Context, index int64) error {
	t := Tile{Entries, index, int(min(TileWidth, d.size-index*TileWidth))}
	data, width, err := d.read(ctx, t, MaxBundleBytes+1)
	if err != nil {
		return err
	}
	entries, err := DecodeEntries(data, width)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrLog, t.Path(), err)
	}
	for i, entry := range entries[:t.Width] {
		if d.opts.Leaf != nil {
			if err := d.opts.Leaf(index*TileWidth+int64(i), entry); err != nil {
				return err
			}
		}
		if err := d.append(ctx, LeafHash(entry)); err != nil {
			return err
		}
	}
	return nil
}

// append adds a leaf to the tree, and compares what that completes.
func (d *derivation) append(ctx context.Context, leaf Hash) error {
	err := d.tree.Append(leaf[:], func(node compact.NodeID, hash []byte) {
		if node.Level%TileHeight != 0 {
			return
		}
		level := int(node.Level / TileHeight)
		if level == len(d.levels) {
			d.levels = append(d.levels, openTile{})
		}
		d.levels[level].hashes = append(d.levels[level].hashes, hash...)
	})
	if err != nil {
		return err
	}
	for level, open := range d.levels {
		if len(open.hashes) == TileWidth*sha256.Size {
			if err := d.compareTile(ctx, level); err != nil {
				return err
			}
			d.levels[level] = openTile{index: open.index + 1, hashes: open.hashes[:0]}
		}
	}
	return d.compareRoots()
}

// compareTile holds the open tile of a level against the one that the log has.
func (d *derivation) compareTile(ctx context.Context, level int) error {
	open := d.levels[level]
	t := Tile{level, open.index, len(open.hashes) / sha256.Size}
	data, width, err := d.read(ctx, t, TileWidth*sha256.Size+1)
	if err != nil {
		return err
	}
	if len(data) != width*sha256.Size {
		return fmt.Errorf("%w: %s is not of %d bytes", ErrLog, t.Path(), width*sha256.Size)
	}
	for i := 0; i < len(open.hashes); i += sha256.Size {
		if derived, there := open.hashes[i:i+sha256.Size], data[i:i+sha256.Size]; !bytes.Equal(derived, there) {
			return fmt.Errorf("%w: %s: hash %d is %x, by the entries it is %x", ErrLog, t.Path(), i/sha256.Size, there, derived)
		}
	}
	d.tiles++
	return nil
}

// compareRoots holds the tree against every checkpoint of its size.
func (d *derivation) compareRoots() error {
	for len(d.expected) > 0 && uint64(d.expected[0].Size) == d.tree.End() {
		if root := rootOf(d.tree); root != d.expected[0].Root {
			return fmt.Errorf("%w: the root at size %d is %x, by the entries it is %x", ErrLog, d.expected[0].Size, d.expected[0].Root, root)
		}
		d.expected = d.expected[1:]
	}
	return nil
}

// read returns a tile and its width: that of t, or full where only that is left.
func (d *derivation) read(ctx context.Context, t Tile, limit int64) ([]byte, int, error) {
	data, err := d.source.Read(ctx, t.Path(), limit)
	if errors.Is(err, fs.ErrNotExist) && t.Width < TileWidth {
		full := Tile{t.Level, t.Index, TileWidth}
		if data, err := d.source.Read(ctx, full.Path(), limit); err == nil {
			return data, TileWidth, nil
		}
	}
	if err != nil {
		return nil, 0, unread(t.Path(), err)
	}
	return data, t.Width, nil
}

// unread says that a part can't be read; one that isn't there is the log's fault.
func unread(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s is missing: %w", ErrLog, path, err)
	}
	return fmt.Errorf("reading %s: %w", path, err)
}

// Folder is a log in a folder, as a server of static files would serve it.
func Folder(folder fs.FS) Source { return folderSource{folder} }

type folderSource struct{ fs fs.FS }

func (s folderSource) Read(ctx context.Context, path string, limit int64) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	info, err := fs.Stat(s.fs, path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file: nothing may ever come out of it", path)
	}
	file, err := s.fs.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, limit))
}
