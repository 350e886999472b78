package main

import (
	"crypto/ed25519"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/verify/tlog"
)

// A copy keeps the checkpoint that witnesses cosigned, where the log serves the same one without them.
func TestCopyKeepsCosignatures(t *testing.T) {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	checkpoint := func(size int64, witnesses ...string) []byte {
		c := tlog.Checkpoint{Origin: "log", Size: size}
		for _, name := range append([]string{"log"}, witnesses...) {
			s, err := tlog.Cosign(c, name, private, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			c.Signatures = append(c.Signatures, s)
		}
		return c.Encode()
	}
	for name, test := range map[string]struct {
		held, served []byte
		keep         bool
	}{
		"as before":            {checkpoint(3, "w"), checkpoint(3, "w"), false},
		"without the witness":  {checkpoint(3, "w"), checkpoint(3), true},
		"with another":         {checkpoint(3, "w"), checkpoint(3, "w", "x"), false},
		"grown, nobody did so": {checkpoint(3, "w"), checkpoint(4), false},
		"a first copy":         {nil, checkpoint(4), false},
	} {
		s := &copySource{folder: t.TempDir(), fresh: t.TempDir(), checkpoint: test.served}
		path := filepath.Join(s.folder, tlog.CheckpointPath)
		if test.held != nil {
			if err := writeBelow(s.folder, tlog.CheckpointPath, test.held); err != nil {
				t.Fatal(err)
			}
		}
		if err := writeBelow(s.fresh, tlog.CheckpointPath, test.served); err != nil {
			t.Fatal(err)
		}
		if err := s.finish(); err != nil {
			t.Fatal(err)
		}
		want := test.served
		if test.keep {
			want = test.held
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != string(want) {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
}
