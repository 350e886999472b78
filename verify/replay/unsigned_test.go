package replay_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/replay"
	"github.com/smarthausgroup/caio/verify/tlog"
)

// served is a log of which somebody changes the checkpoint, the n-th time that it is asked for and from then on.
type served struct {
	tlog.Source
	from   int
	change func([]byte) []byte
	asked  int
}

func (s *served) Read(ctx context.Context, path string, limit int64) ([]byte, error) {
	text, err := s.Source.Read(ctx, path, limit)
	if path != tlog.CheckpointPath || err != nil {
		return text, err
	}
	if s.asked++; s.asked <= s.from {
		return text, nil
	}
	text = s.change(slices.Clone(text))
	return text[:min(int64(len(text)), limit)], nil
}

// TestUnsignedPageInPlaceOfTheLog: what the log's key did not sign says nothing against a proof that is genuine. It is no whole log either.
func TestUnsignedPageInPlaceOfTheLog(t *testing.T) {
	w := newWorld(t)
	file := written(t, w.publish(w.decide(asked)))
	if code, verdicts := w.verdicts(file, true); code != verify.ExitVerified {
		t.Fatal(code, verdicts)
	}
	for name, change := range map[string]func([]byte) []byte{
		"rubbish":           func([]byte) []byte { return []byte("<html>504</html>") },
		"endless":           func([]byte) []byte { return bytes.Repeat([]byte("x"), 1<<20) },
		"nothing":           func([]byte) []byte { return nil },
		"another root":      func(text []byte) []byte { return flip(text, bytes.Index(text, []byte("\n\n"))-20) },
		"a false signature": func(text []byte) []byte { return flip(text, len(text)-20) },
		"no signature that counts": func(text []byte) []byte {
			return bytes.ReplaceAll(text, []byte("\u2014 "), []byte("\u2014 x"))
		},
	} {
		for from := range 3 {
			o := w.options
			o.Log = &served{Source: w.source(), from: from, change: change}
			_, verdicts := replay.CheckFile(t.Context(), file, w.trust, o)
			code := verify.ExitCode(verdicts)
			if code == verify.ExitFailed || from == 0 && code != verify.ExitUntold {
				t.Errorf("%s, from time %d: exit %d", name, from, code)
			}
			for _, v := range verdicts {
				if v.Layer == verify.LayerCurrency && from == 0 && (v.Status != verify.Inconclusive || !strings.Contains(v.Reason, "could not be read")) {
					t.Errorf("%s: %s %s", name, v.Status, v.Reason)
				}
			}
		}
	}
}

// flip changes a byte to another of the alphabet of base64.
func flip(text []byte, at int) []byte {
	if text[at] == 'A' {
		text[at] = 'B'
	} else {
		text[at] = 'A'
	}
	return text
}
