package tlog_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/verify/tlog"
	sumdb "golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

func TestTilePaths(t *testing.T) {
	for path, want := range map[string]tlog.Tile{
		"tile/0/000":                     {Level: 0, Index: 0, Width: 256},
		"tile/3/x001/x234/067":           {Level: 3, Index: 1234067, Width: 256},
		"tile/63/999.p/255":              {Level: 63, Index: 999, Width: 255},
		"tile/entries/x001/000.p/1":      {Level: tlog.Entries, Index: 1000, Width: 1},
		"tile/entries/x010/x000/000":     {Level: tlog.Entries, Index: 10_000_000, Width: 256},
		"tile/0/x035/x184/x372/x088/831": {Level: 0, Index: tlog.MaxSize / 256, Width: 256},
	} {
		if got := want.Path(); got != path {
			t.Errorf("got %s, want %s", got, path)
		}
		if got, err := tlog.ParseTile(path); err != nil || got != want {
			t.Errorf("%s: got %+v, %v", path, got, err)
		}
	}
	for _, path := range []string{
		"", "/", "tile", "tile/", "tile/0", "tile/0/", "tile/0/0", "tile/0/0000", "tile/0/x000/001", "tile/0/001/002", "tile/0/x001", "tile/0/x01/002", "tile/0/x1/x002/003", "tile/0/x001/x002",
		"tile/0/000/", "/tile/0/000", "tile/0/000.p", "tile/0/000.p/", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000.p/+1", "tile/0/000.p/1.p/1", "tile/0/000.p/1/", "tile/64/000", "tile/00/000",
		"tile/-1/000", "tile/+1/000", "tile/data/000", "tile/Entries/000", "tile/8/0/000", "tile/0/-01", "tile/0/0x1", "tile/0/x035/x184/x372/x088/832", "tile/0/" + strings.Repeat("x000/", 20) + "001", "tile/0/../000",
		"entries/000", "0/000", "tile/tile/0/000",
	} {
		if got, err := tlog.ParseTile(path); !errors.Is(err, tlog.ErrMalformed) {
			t.Errorf("%q: got %+v, %v", path, got, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		theirs := sumdb.Tile{H: 8, L: rapid.IntRange(-1, 63).Draw(t, "level"), N: rapid.Int64Range(0, tlog.MaxSize/256).Draw(t, "index"), W: rapid.IntRange(1, 256).Draw(t, "width")}
		ours := tlog.Tile{Level: theirs.L, Index: theirs.N, Width: theirs.W}
		if got, want := ours.Path(), pathOf(theirs); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got, err := tlog.ParseTile(ours.Path()); err != nil || got != ours {
			t.Errorf("got %+v, %v, want %+v", got, err, ours)
		}
	})
}

func TestHashesOfATile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tiles := sumdb.NewTiles(tlog.TileHeight, 0, rapid.Int64Range(1, maxSize).Draw(t, "size"))
		tile := rapid.SampledFrom(tiles).Draw(t, "tile")
		data := must(sumdb.ReadTileData(tile, example()))(t)
		hashes := must(tlog.DecodeHashes(data, tile.W))(t)
		if !bytes.Equal(tlog.EncodeHashes(hashes), data) {
			t.Fatal("written otherwise")
		}
		if tile.L == 0 {
			end := tile.N*tlog.TileWidth + int64(tile.W)
			if tile.N == 0 {
				if got, want := tlog.Root(hashes), must(sumdb.TreeHash(end, example()))(t); got != tlog.Hash(want) {
					t.Errorf("root %x, want %x", got, want)
				}
			}
			if tile.W == tlog.TileWidth {
				if got, want := tlog.Root(hashes), example().hashes[sumdb.StoredHashIndex(tlog.TileHeight, tile.N)]; got != tlog.Hash(want) {
					t.Errorf("the level above has %x, want %x", got, want)
				}
			}
		}
		for _, bad := range [][]byte{data[1:], append(bytes.Clone(data), 0), append(bytes.Clone(data), make([]byte, 32)...), nil} {
			if _, err := tlog.DecodeHashes(bad, tile.W); !errors.Is(err, tlog.ErrMalformed) {
				t.Errorf("%d bytes for %d hashes: %v", len(bad), tile.W, err)
			}
		}
	})
	for _, width := range []int{-1, 0, 257} {
		if _, err := tlog.DecodeHashes(make([]byte, max(0, width)*32), width); !errors.Is(err, tlog.ErrMalformed) {
			t.Errorf("%d: %v", width, err)
		}
	}
	if tlog.Root(nil) != tlog.EmptyRoot {
		t.Error("the root of nothing")
	}
}

func TestEntriesOfATile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 600), 1, 20).Draw(t, "entries")
		data := must(tlog.EncodeEntries(entries))(t)
		got := must(tlog.DecodeEntries(data, len(entries)))(t)
		for i := range entries {
			if !bytes.Equal(got[i], entries[i]) {
				t.Errorf("entry %d is %x, want %x", i, got[i], entries[i])
			}
		}
		for _, width := range []int{len(entries) - 1, len(entries) + 1} {
			if _, err := tlog.DecodeEntries(data, width); !errors.Is(err, tlog.ErrMalformed) {
				t.Errorf("read as %d entries: %v", width, err)
			}
		}
		// However it is changed, it is refused, or is other entries that are written like this.
		data[rapid.IntRange(0, len(data)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if other, err := tlog.DecodeEntries(data, len(entries)); err == nil && !bytes.Equal(must(tlog.EncodeEntries(other))(t), data) {
			t.Error("read what would be written otherwise")
		}
	})
	large := make([]byte, tlog.MaxEntryBytes)
	full := make([][]byte, tlog.TileWidth)
	for i := range full {
		full[i] = large
	}
	data := must(tlog.EncodeEntries(full))(t)
	if len(data) != tlog.MaxBundleBytes {
		t.Errorf("%d bytes", len(data))
	}
	if _, err := tlog.DecodeEntries(data, tlog.TileWidth); err != nil {
		t.Error(err)
	}
	for name, bad := range map[string][][]byte{"none": nil, "257": append(full, large), "an entry of 64 KiB": {make([]byte, 1<<16)}} {
		if _, err := tlog.EncodeEntries(bad); err == nil {
			t.Errorf("%s: written", name)
		}
	}
	for _, width := range []int{-1, 0, 257} {
		if _, err := tlog.DecodeEntries(make([]byte, 2*max(0, width)), width); !errors.Is(err, tlog.ErrMalformed) {
			t.Errorf("%d: %v", width, err)
		}
	}
}
