package tlog

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
)

// Sizes of tiles (C2SP tlog-tiles).
const (
	TileHeight = 8
	TileWidth  = 1 << TileHeight
)

// Entries is the level of a tile that holds entries, not hashes.
const Entries = -1

// MaxEntryBytes bounds an entry: its length is written in 16 bits.
const MaxEntryBytes = math.MaxUint16

// MaxBundleBytes bounds a tile of entries.
const MaxBundleBytes = TileWidth * (2 + MaxEntryBytes)

const (
	maxTileLevel = 63
	maxTilePath  = 64
)

// Tile names a tile: at a level of hashes, the nodes of the tree at height 8*Level from Index*256 on, as many as Width says; at the level [Entries], entries.
type Tile struct {
	Level int
	Index int64
	Width int // 1 to 256. A tile that is not full is named for the size of the tree that it belongs to
}

// Path is where a log serves the tile: "tile/<level>/<index>", for entries "tile/entries/<index>", and ".p/<width>" if it isn't full. 1234067 is written x001/x234/067.
func (t Tile) Path() string {
	path := "tile/entries"
	if t.Level != Entries {
		path = "tile/" + strconv.Itoa(t.Level)
	}
	groups := fmt.Sprintf("/%03d", t.Index%1000)
	for n := t.Index / 1000; n > 0; n /= 1000 {
		groups = fmt.Sprintf("/x%03d", n%1000) + groups
	}
	if t.Width == TileWidth {
		return path + groups
	}
	return path + groups + ".p/" + strconv.Itoa(t.Width)
}

var digits = strings.NewReplacer("/", "", "x", "")

// ParseTile reads what [Tile.Path] writes, and nothing else. Errors wrap [ErrMalformed].
func ParseTile(path string) (Tile, error) {
	refused := malformed("tile", "%.80q is not the path of one", path)
	if len(path) > maxTilePath {
		return Tile{}, refused
	}
	level, rest, _ := strings.Cut(strings.TrimPrefix(path, "tile/"), "/")
	groups, width, partial := strings.Cut(rest, ".p/")
	t := Tile{Level: Entries, Width: TileWidth}
	var err error
	if level != "entries" {
		if t.Level, err = strconv.Atoi(level); err != nil || t.Level < 0 || t.Level > maxTileLevel {
			return Tile{}, refused
		}
	}
	if t.Index, err = strconv.ParseInt(digits.Replace(groups), 10, 64); err != nil {
		return Tile{}, refused
	}
	if partial {
		if t.Width, err = strconv.Atoi(width); err != nil || t.Width < 1 || t.Width >= TileWidth {
			return Tile{}, refused
		}
	}
	if t.Index < 0 || t.Index > MaxSize/TileWidth || t.Path() != path {
		return Tile{}, refused
	}
	return t, nil
}

// EncodeHashes writes a tile of hashes.
func EncodeHashes(hashes []Hash) []byte {
	data := make([]byte, 0, len(hashes)*sha256.Size)
	for _, hash := range hashes {
		data = append(data, hash[:]...)
	}
	return data
}

// DecodeHashes reads a tile of that many hashes. Errors wrap [ErrMalformed].
func DecodeHashes(data []byte, width int) ([]Hash, error) {
	if width < 1 || width > TileWidth || len(data) != width*sha256.Size {
		return nil, malformed("tile", "%d bytes for %d hashes: a tile has 1 to %d of %d bytes each", len(data), width, TileWidth, sha256.Size)
	}
	hashes := make([]Hash, width)
	for i := range hashes {
		hashes[i] = Hash(data[i*sha256.Size:])
	}
	return hashes, nil
}

// EncodeEntries writes a tile of entries, each after its length in two bytes, high one first. The error says which entry is too large, or how many there are.
func EncodeEntries(entries [][]byte) ([]byte, error) {
	if len(entries) < 1 || len(entries) > TileWidth {
		return nil, fmt.Errorf("%d entries: a tile has 1 to %d", len(entries), TileWidth)
	}
	var data []byte
	for i, entry := range entries {
		if len(entry) > MaxEntryBytes {
			return nil, fmt.Errorf("entry %d of the tile has %d bytes, at most %d", i, len(entry), MaxEntryBytes)
		}
		data = append(binary.BigEndian.AppendUint16(data, uint16(len(entry))), entry...)
	}
	return data, nil
}

// DecodeEntries reads a tile of that many entries, which are slices of data. Errors wrap [ErrMalformed].
func DecodeEntries(data []byte, width int) ([][]byte, error) {
	if width < 1 || width > TileWidth {
		return nil, malformed("tile of entries", "%d: a tile has 1 to %d", width, TileWidth)
	}
	entries := make([][]byte, width)
	for i := range entries {
		if len(data) < 2 || len(data)-2 < int(binary.BigEndian.Uint16(data)) {
			return nil, malformed("tile of entries", "it ends within entry %d of %d", i, width)
		}
		end := 2 + int(binary.BigEndian.Uint16(data))
		entries[i], data = data[2:end:end], data[end:]
	}
	if len(data) > 0 {
		return nil, malformed("tile of entries", "%d bytes after entry %d", len(data), width-1)
	}
	return entries, nil
}

var ranges = compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}

// Root is that of the tree with these leaves; of a full tile's hashes also the one hash that the level above has for it.
func Root(leaves []Hash) Hash {
	tree := ranges.NewEmptyRange(0)
	for _, leaf := range leaves {
		if err := tree.Append(leaf[:], nil); err != nil {
			panic(err) // it fails only on ranges that were tampered with in memory
		}
	}
	return rootOf(tree)
}

// rootOf is the root of the tree that a range from 0 spans.
func rootOf(tree *compact.Range) Hash {
	if tree.End() == 0 {
		return EmptyRoot
	}
	root, err := tree.GetRootHash(nil)
	if err != nil {
		panic(err) // it fails only on ranges that don't begin at 0
	}
	return Hash(root)
}
