package tlog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/smarthausgroup/caio/verify/tlog"
	sumdb "golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

func TestCheckLogOfTheWriter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.OneOf(rapid.Int64Range(0, maxSize), rapid.SampledFrom([]int64{0, 1, 255, 256, 257, 511, 512, 513})).Draw(t, "size")
		var seen, done int64
		checked, err := tlog.CheckLog(t.Context(), tlog.Folder(example().files(t, size)), tlog.Options{
			Keys: []tlog.Key{key(t, origin, tlog.Ed25519, 1)},
			Earlier: []tlog.Checkpoint{
				example().at(t, rapid.Int64Range(0, size).Draw(t, "earlier")),
				example().at(t, size),
				example().at(t, rapid.Int64Range(0, size).Draw(t, "earlier still")),
			},
			Leaf: func(index int64, entry []byte) error {
				if index != seen || !bytes.Equal(entry, example().entries[index]) {
					return fmt.Errorf("got entry %d, %s, after %d", index, entry, seen)
				}
				seen++
				return nil
			},
			Progress: func(n, of int64) {
				if n <= done || of != size {
					t.Errorf("%d of %d after %d", n, of, done)
				}
				done = n
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if want := example().at(t, size); checked.Checkpoint.Root != want.Root || len(checked.Verified) != 1 || checked.Unknown != nil {
			t.Errorf("got %+v, want %+v", checked, want)
		}
		if tiles := int64(len(sumdb.NewTiles(tlog.TileHeight, 0, size))); seen != size || done != size || checked.Tiles != tiles {
			t.Errorf("%d entries and %d tiles checked, %d reported, want %d and %d", seen, checked.Tiles, done, size, tiles)
		}
	})
}

// The example of C2SP tlog-tiles: a tree of size 70,000 in tiles of three levels. However long the log, a few tiles are held.
func TestCheckLogIsBounded(t *testing.T) {
	const size = 70_000
	large := write(size, func(i int) []byte { return fmt.Appendf(nil, "%0100d", i) })
	files := large.files(t, size)
	for _, path := range []string{"tile/0/272", "tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1"} {
		if files[path] == nil {
			t.Fatalf("the writer has no %s", path)
		}
	}
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var most uint64
	checked, err := tlog.CheckLog(t.Context(), tlog.Folder(files), tlog.Options{
		Keys: []tlog.Key{key(t, origin, tlog.Ed25519, 1)},
		Progress: func(done, _ int64) {
			if done%(40*tlog.TileWidth) == 0 {
				runtime.GC()
				runtime.ReadMemStats(&now)
				most = max(most, now.HeapAlloc)
			}
		},
	})
	if err != nil || checked.Tiles != 273+1+1+1+1 {
		t.Fatal(checked.Tiles, err)
	}
	if most == 0 || most > before.HeapAlloc+1<<20 {
		t.Errorf("%d bytes on the heap, %d before, for 7 MB of entries", most, before.HeapAlloc)
	}
	runtime.KeepAlive(files)
}

// checkFiles checks a log whose one signer is the example's.
func checkFiles(t rapid.TB, files fs.FS, earlier ...tlog.Checkpoint) error {
	t.Helper()
	_, err := tlog.CheckLog(context.Background(), tlog.Folder(files), tlog.Options{Keys: []tlog.Key{key(t, origin, tlog.Ed25519, 1)}, Earlier: earlier})
	return err
}

// blamed reports whether err says that the log is wrong, rather than that it could not be read.
func blamed(err error) bool {
	return errors.Is(err, tlog.ErrLog) || errors.Is(err, tlog.ErrMalformed) || errors.Is(err, tlog.ErrUntrusted) || errors.Is(err, tlog.ErrSignature)
}

func TestCheckLogMissesNoChange(t *testing.T) {
	const size = 600
	good := example().files(t, size)
	if err := checkFiles(t, good); err != nil {
		t.Fatal(err)
	}
	try := func(path, what string, data []byte) {
		t.Helper()
		bad := maps.Clone(good)
		if data == nil {
			delete(bad, path)
		} else {
			bad[path] = &fstest.MapFile{Data: data}
		}
		if err := checkFiles(t, bad); !blamed(err) {
			t.Errorf("%s, %s: %v", path, what, err)
		}
	}
	n := 0
	for _, path := range slices.Sorted(maps.Keys(good)) {
		data := good[path].Data
		// Every byte of what is small, and of the rest one in 13, which is prime to the sizes of hashes and entries.
		step := 1
		if len(data) > 1000 {
			step = 13
		}
		for i := n % step; i < len(data); i += step {
			bad := bytes.Clone(data)
			bad[i] ^= 1 << (n % 8)
			try(path, fmt.Sprintf("byte %d", i), bad)
			n++
		}
		try(path, "missing", nil)
		try(path, "empty", []byte{})
		try(path, "cut", data[:len(data)-1])
		try(path, "with more", append(bytes.Clone(data), 0))
		try(path, "twice", append(bytes.Clone(data), data...))
	}
	if n < 2000 {
		t.Errorf("only %d bytes tried", n)
	}
	swapped := slices.Clone(example().entries[512:600])
	swapped[3], swapped[4] = swapped[4], swapped[3]
	try("tile/entries/002.p/88", "two entries exchanged", must(tlog.EncodeEntries(swapped))(t))
}

// A log whose tiles and entries agree with each other, but not with the checkpoint that it signed, or signed before.
func TestCheckLogAgainstWhatWasSigned(t *testing.T) {
	fork := write(600, func(i int) []byte { return fmt.Appendf(nil, "entry %d of another", i) })
	for name, c := range map[string]struct {
		files   fstest.MapFS
		earlier []tlog.Checkpoint
		ok      bool
	}{
		"what it signed at 300":  {example().files(t, 600), []tlog.Checkpoint{example().at(t, 300)}, true},
		"a fork at 300":          {fork.files(t, 600), []tlog.Checkpoint{example().at(t, 300)}, false},
		"a fork at its size":     {fork.files(t, 600), []tlog.Checkpoint{example().at(t, 600)}, false},
		"a fork between others":  {example().files(t, 600), []tlog.Checkpoint{example().at(t, 300), fork.at(t, 300), example().at(t, 300)}, false},
		"a fork after others":    {example().files(t, 600), []tlog.Checkpoint{example().at(t, 500), fork.at(t, 300)}, false},
		"an older copy":          {example().files(t, 600), []tlog.Checkpoint{example().at(t, 601)}, false},
		"an empty one":           {example().files(t, 0), []tlog.Checkpoint{{Origin: origin, Root: tlog.Hash{1}}}, false},
		"another log's":          {example().files(t, 600), []tlog.Checkpoint{{Origin: "log.example/other", Root: tlog.EmptyRoot}}, false},
		"nothing, of a negative": {example().files(t, 600), []tlog.Checkpoint{{Origin: origin, Size: -1}}, false},
	} {
		if err := checkFiles(t, c.files, c.earlier...); (err == nil) != c.ok || err != nil && !errors.Is(err, tlog.ErrLog) {
			t.Errorf("%s: %v", name, err)
		}
	}
	files := fork.files(t, 600)
	files[tlog.CheckpointPath] = &fstest.MapFile{Data: example().signed(t, 600)}
	if err := checkFiles(t, files); !errors.Is(err, tlog.ErrLog) || !strings.Contains(err.Error(), "the root at size 600") {
		t.Error(err)
	}
	if _, err := tlog.CheckLog(t.Context(), tlog.Folder(example().files(t, 600)), tlog.Options{Keys: []tlog.Key{key(t, origin, tlog.Ed25519, 2)}}); !errors.Is(err, tlog.ErrUntrusted) {
		t.Error(err)
	}
}

// A log that grew meanwhile may serve full tiles only (C2SP tlog-tiles, "Partial Tiles").
func TestCheckLogTakesFullTilesForPartialOnes(t *testing.T) {
	grown := example().files(t, 600)
	grown[tlog.CheckpointPath] = &fstest.MapFile{Data: example().signed(t, 300)}
	for path, file := range example().files(t, 300) {
		if strings.HasPrefix(path, "tile/1/") {
			grown[path] = file
		}
	}
	if err := checkFiles(t, grown); err != nil {
		t.Error(err)
	}
	for _, path := range []string{"tile/0/001", "tile/entries/001"} {
		bad := maps.Clone(grown)
		data := bytes.Clone(grown[path].Data)
		data[9] ^= 1
		bad[path] = &fstest.MapFile{Data: data}
		if err := checkFiles(t, bad); !errors.Is(err, tlog.ErrLog) {
			t.Errorf("%s changed: %v", path, err)
		}
		bad[path] = &fstest.MapFile{Data: grown[path].Data[:len(data)-1]}
		if err := checkFiles(t, bad); !errors.Is(err, tlog.ErrLog) {
			t.Errorf("%s cut: %v", path, err)
		}
	}
}

// broken is a log that can't be read at one path.
type broken struct {
	tlog.Source
	path string
	err  error
}

func (b broken) Read(ctx context.Context, path string, limit int64) ([]byte, error) {
	if path == b.path {
		return nil, b.err
	}
	return b.Source.Read(ctx, path, limit)
}

func TestCheckLogTellsFaultsOfReadingFromThoseOfTheLog(t *testing.T) {
	files := example().files(t, 600)
	away := errors.New("away")
	opts := tlog.Options{Keys: []tlog.Key{key(t, origin, tlog.Ed25519, 1)}}
	for path := range files {
		if _, err := tlog.CheckLog(t.Context(), broken{tlog.Folder(files), path, away}, opts); !errors.Is(err, away) || blamed(err) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
		if _, err := tlog.CheckLog(t.Context(), broken{tlog.Folder(files), path, fs.ErrNotExist}, opts); !errors.Is(err, tlog.ErrLog) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := opts
	stopped.Progress = func(int64, int64) { cancel() }
	if _, err := tlog.CheckLog(ctx, tlog.Folder(files), stopped); !errors.Is(err, context.Canceled) || blamed(err) {
		t.Error(err)
	}
	stopped = opts
	stopped.Leaf = func(index int64, _ []byte) error {
		if index == 300 {
			return away
		}
		return nil
	}
	if _, err := tlog.CheckLog(t.Context(), tlog.Folder(files), stopped); !errors.Is(err, away) || blamed(err) {
		t.Error(err)
	}
	files["tile/0/000"] = &fstest.MapFile{Data: make([]byte, 1<<20)}
	if err := checkFiles(t, files); !errors.Is(err, tlog.ErrLog) || !strings.Contains(err.Error(), "tile/0/000 is not of 8192 bytes") {
		t.Error(err)
	}
}
