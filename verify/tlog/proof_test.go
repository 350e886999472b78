package tlog_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/verify/tlog"
	formats "github.com/transparency-dev/formats/proof"
	sumdb "golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

func proofOf(t rapid.TB, c tlog.Checkpoint, index int64) tlog.Proof {
	t.Helper()
	return tlog.Proof{Index: index, Hashes: hashesOf(must(sumdb.ProveRecord(c.Size, index, example()))(t)), Checkpoint: c}
}

// What we write another implementation reads, and the other way round.
func TestProofsOfAnotherImplementation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, maxSize).Draw(t, "size")
		index := rapid.Int64Range(0, size-1).Draw(t, "index")
		c := must(tlog.ParseCheckpoint(example().signed(t, size)))(t)
		p := proofOf(t, c, index)
		var theirs formats.TLogProof
		if err := theirs.Unmarshal(p.Encode()); err != nil {
			t.Fatal(err)
		}
		if theirs.Index != uint64(index) || len(theirs.Hashes) != len(p.Hashes) || !bytes.Equal(theirs.Checkpoint, c.Encode()) {
			t.Fatalf("they read %+v", theirs)
		}
		again := must(tlog.ParseProof(theirs.Marshal()))(t)
		if !bytes.Equal(again.Encode(), p.Encode()) {
			t.Fatalf("got %s, want %s", again.Encode(), p.Encode())
		}
		if err := again.Verify(example().entries[index]); err != nil {
			t.Fatal(err)
		}
		if err := again.Verify(example().entries[(index+1)%maxSize]); !errors.Is(err, tlog.ErrProof) {
			t.Errorf("another entry too: %v", err)
		}
	})
}

func TestProofIsNotMalleable(t *testing.T) {
	c, keys := cosigned(t, 300)
	checkEveryBit(t, proofOf(t, c, 260).Encode(), func(text []byte) bool {
		p, err := tlog.ParseProof(text)
		if err != nil {
			return true
		}
		_, unknown, err := p.Checkpoint.Verify(keys...)
		return err != nil || len(unknown) > 0 || len(p.Checkpoint.Signatures) < len(keys) || p.Verify(example().entries[260]) != nil
	})
}

func TestParseProofRefuses(t *testing.T) {
	c := must(tlog.ParseCheckpoint(example().signed(t, 300)))(t)
	good := string(proofOf(t, c, 260).Encode())
	hash := strings.Split(good, "\n")[2]
	for name, text := range map[string]string{
		"empty":                  "",
		"no checkpoint":          good[:strings.Index(good, "\n\n")+2],
		"another version":        strings.Replace(good, "@v1", "@v2", 1),
		"extra":                  strings.Replace(good, "index", "extra AAAA\nindex", 1),
		"extra after the index":  strings.Replace(good, "index 260\n", "index 260\nextra AAAA\n", 1),
		"no index":               strings.Replace(good, "index 260\n", "", 1),
		"index with a zero":      strings.Replace(good, "index 260", "index 0260", 1),
		"index with a plus":      strings.Replace(good, "index 260", "index +260", 1),
		"negative index":         strings.Replace(good, "index 260", "index -260", 1),
		"two spaces":             strings.Replace(good, "index 260", "index  260", 1),
		"huge index":             strings.Replace(good, "index 260", "index 9007199254740991", 1),
		"hash cut":               strings.Replace(good, hash, hash[4:], 1),
		"hash in two lines":      strings.Replace(good, hash, hash[:20]+"\n"+hash[20:], 1),
		"space after a hash":     strings.Replace(good, hash, hash+" ", 1),
		"carriage return":        strings.Replace(good, hash, hash+"\r", 1),
		"64 hashes":              strings.Replace(good, hash, strings.TrimSuffix(strings.Repeat(hash+"\n", 64), "\n"), 1),
		"extension":              strings.Replace(good, "\n\n— ", "\nmore\n\n— ", 1),
		"two empty lines":        strings.Replace(good, "\n\n", "\n\n\n", 1),
		"something before it":    " " + good,
		"something after it":     good + " ",
		"more than can be right": good + strings.Repeat("\n", tlog.MaxProofBytes),
	} {
		if p, err := tlog.ParseProof([]byte(text)); !errors.Is(err, tlog.ErrMalformed) {
			t.Errorf("%s: got %+v, %v", name, p, err)
		}
	}
	if _, err := tlog.ParseProof([]byte(good)); err != nil {
		t.Error(err)
	}
}
