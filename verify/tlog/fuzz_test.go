package tlog_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/smarthausgroup/caio/verify/tlog"
)

func FuzzCheckpoint(f *testing.F) {
	c, _ := cosigned(f, 300)
	f.Add(c.Encode())
	f.Add([]byte(behindTheSofa))
	c.Extensions = []string{"more"}
	f.Add(c.Encode())
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := tlog.ParseExtendedCheckpoint(text)
		if err != nil {
			return
		}
		if !bytes.Equal(c.Encode(), text) {
			t.Fatalf("accepted %q, which is written %q", text, c.Encode())
		}
		if strict, err := tlog.ParseCheckpoint(text); (err == nil) != (len(c.Extensions) == 0) || err == nil && !reflect.DeepEqual(strict, c) {
			t.Fatalf("%+v and %+v, %v", c, strict, err)
		}
	})
}

// Signatures by known keys that verify are those that were made: whatever is under a checkpoint, nothing else verifies.
func FuzzSignatures(f *testing.F) {
	c, keys := cosigned(f, 300)
	var lines []byte
	for _, s := range c.Signatures {
		lines = append(lines, s.Encode()...)
		f.Add(s.Encode())
	}
	f.Add(lines)
	made := c.Signatures
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := tlog.ParseSignatures(text)
		if err != nil {
			return
		}
		var again []byte
		for _, s := range list {
			again = append(again, s.Encode()...)
		}
		if !bytes.Equal(again, text) {
			t.Fatalf("accepted %q, which is written %q", text, again)
		}
		c.Signatures = list
		verified, unknown, err := c.Verify(keys...)
		if err != nil {
			return
		}
		n := 0
		for _, s := range list {
			for _, m := range made {
				if reflect.DeepEqual(s, m) {
					n++
				}
			}
		}
		if len(verified) != n || len(unknown) != len(list)-n {
			t.Fatalf("%d verify, of which %d were made: %q", len(verified), n, text)
		}
	})
}

func FuzzKey(f *testing.F) {
	f.Add(vkeyOfThePage)
	f.Add(witnessKey(f, 0).String())
	f.Fuzz(func(t *testing.T, vkey string) {
		if k, err := tlog.ParseKey(vkey); err == nil && k.String() != vkey {
			t.Fatalf("accepted %q, which is written %q", vkey, k)
		}
	})
}

func FuzzProof(f *testing.F) {
	c, _ := cosigned(f, 300)
	for _, index := range []int64{0, 260, 299} {
		f.Add(proofOf(f, c, index).Encode())
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := tlog.ParseProof(text)
		if err != nil {
			return
		}
		if !bytes.Equal(p.Encode(), text) {
			t.Fatalf("accepted %q, which is written %q", text, p.Encode())
		}
		// With any index, size and hashes it ends, one way or the other.
		if err := p.Verify(text); err == nil {
			t.Fatalf("%q is in its own proof", text)
		}
	})
}

func FuzzTile(f *testing.F) {
	for _, tile := range []tlog.Tile{{Level: 0, Index: 0, Width: 256}, {Level: tlog.Entries, Index: 1234067, Width: 7}, {Level: 63, Index: tlog.MaxSize / 256, Width: 255}} {
		f.Add(tile.Path())
	}
	f.Fuzz(func(t *testing.T, path string) {
		if tile, err := tlog.ParseTile(path); err == nil && tile.Path() != path {
			t.Fatalf("accepted %q, which is written %q", path, tile.Path())
		}
	})
}

func FuzzHashes(f *testing.F) {
	f.Add(make([]byte, 32), 1)
	f.Add(bytes.Repeat([]byte{7}, 8192), 256)
	f.Fuzz(func(t *testing.T, data []byte, width int) {
		hashes, err := tlog.DecodeHashes(data, width)
		if err != nil {
			return
		}
		if again := tlog.EncodeHashes(hashes); len(hashes) != width || !bytes.Equal(again, data) {
			t.Fatalf("accepted %x, which is written %x", data, again)
		}
	})
}

func FuzzEntries(f *testing.F) {
	f.Add(must(tlog.EncodeEntries(example().entries[:3]))(f), 3)
	f.Add([]byte{0, 0}, 1)
	f.Add(must(tlog.EncodeEntries(example().entries[:256]))(f), 256)
	f.Fuzz(func(t *testing.T, data []byte, width int) {
		entries, err := tlog.DecodeEntries(data, width)
		if err != nil {
			return
		}
		if again := must(tlog.EncodeEntries(entries))(t); len(entries) != width || !bytes.Equal(again, data) {
			t.Fatalf("accepted %x, which is written %x", data, again)
		}
	})
}

// A policy is written by people: what it says is kept, its comments and white space are not.
func FuzzPolicy(f *testing.F) {
	f.Add([]byte(policyText(f, policyOfThePage)))
	f.Add([]byte(policyText(f, "# a comment\n\tlog <L> https://log.example/\nwitness a <W0>\nquorum a")))
	f.Add([]byte("quorum none\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := tlog.ParsePolicy(text)
		if err != nil {
			return
		}
		again, err := tlog.ParsePolicy(p.Encode())
		if err != nil || !reflect.DeepEqual(again, p) {
			t.Fatalf("%q is written %q, which is read as %+v, %v", text, p.Encode(), again, err)
		}
		if _, err := p.Satisfied(nil); err == nil && (len(p.Logs) > 0 || p.Quorum != tlog.None) {
			t.Fatalf("%q asks for nothing", text)
		}
	})
}
