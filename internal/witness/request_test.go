package witness

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/verify/tlog"
	"pgregory.net/rapid"
)

// TestRequestKeepsItsForm: what is written is read as it was.
func TestRequestKeepsItsForm(t *testing.T) {
	log := newLog(500)
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(0, 500).Draw(t, "size")
		old := rapid.Int64Range(0, size).Draw(t, "old")
		r := Request{old, log.prove(t, old, size), log.at(t, size, rapid.SliceOfN(rapid.StringMatching(`[a-zé][ a-zé]{0,9}`), 0, 3).Draw(t, "extensions")...)}
		again, err := ParseRequest(r.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again.Encode(), r.Encode()) || again.Old != old || len(again.Proof) != len(r.Proof) || again.Checkpoint.Size != size {
			t.Fatalf("read %+v, written %+v", again, r)
		}
	})
}

// example is the request of the specification, without its signatures' truth.
func example(t testing.TB) []byte {
	log := newLog(149)
	return Request{20, log.prove(t, 20, 149), log.at(t, 149)}.Encode()
}

func TestMalformedRequests(t *testing.T) {
	good := string(example(t))
	hash := strings.Split(good, "\n")[1]
	for name, bad := range map[string]string{
		"empty":                     "",
		"no old line":               good[strings.Index(good, "\n")+1:],
		"old without a size":        strings.Replace(good, "old 20", "old", 1),
		"old with a leading zero":   strings.Replace(good, "old 20", "old 020", 1),
		"old with a plus":           strings.Replace(good, "old 20", "old +20", 1),
		"old below zero":            strings.Replace(good, "old 20", "old -1", 1),
		"old in hex":                strings.Replace(good, "old 20", "old 0x14", 1),
		"two spaces":                strings.Replace(good, "old 20", "old  20", 1),
		"old beyond what there can": strings.Replace(good, "old 20", "old 9007199254740992", 1),
		"old in 65 bits":            strings.Replace(good, "old 20", "old 36893488147419103232", 1),
		"Old":                       strings.Replace(good, "old 20", "Old 20", 1),
		"CRLF":                      strings.ReplaceAll(good, "\n", "\r\n"),
		"space behind a hash":       strings.Replace(good, hash, hash+" ", 1),
		"a short hash":              strings.Replace(good, hash, hash[4:], 1),
		"url-safe base64":           strings.Replace(good, hash, strings.Repeat("-", 43)+"=", 1),
		"hash without padding":      strings.Replace(good, hash, strings.TrimSuffix(hash, "="), 1),
		"hash with loose bits":      strings.Replace(good, hash, hash[:42]+string(next(hash[42]))+"=", 1),
		"64 hashes":                 strings.Replace(good, hash, strings.TrimSuffix(strings.Repeat(hash+"\n", 64), "\n"), 1),
		"no empty line":             strings.Replace(good, "\n\n"+origin, "\n"+origin, 1),
		"two empty lines":           strings.Replace(good, "\n\n"+origin, "\n\n\n"+origin, 1),
		"no checkpoint":             good[:strings.Index(good, "\n\n")+2],
		"no signature":              good[:strings.LastIndex(good, "\n\n")+2],
		"checkpoint: leading zero":  strings.Replace(good, "\n149\n", "\n0149\n", 1),
		"more behind":               good + "\n",
		"not ended":                 strings.TrimSuffix(good, "\n"),
		"too long":                  good + strings.Repeat("x", MaxRequestBytes),
	} {
		if bad == good {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := ParseRequest([]byte(bad)); !errors.Is(err, tlog.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// next is the digit of base64 after one.
func next(digit byte) byte {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	return digits[(strings.IndexByte(digits, digit)+1)%64]
}

// FuzzRequest: what is accepted is what would be written.
func FuzzRequest(f *testing.F) {
	log := newLog(70)
	f.Add(example(f))
	f.Add(Request{0, nil, log.at(f, 0)}.Encode())
	f.Add(Request{0, nil, log.at(f, 1, "an extension", "another")}.Encode())
	f.Add(Request{64, log.prove(f, 64, 70), log.at(f, 70)}.Encode())
	f.Add([]byte("old 0\n\n\n0\n\n\n— a b\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := ParseRequest(body)
		if err != nil {
			if !errors.Is(err, tlog.ErrMalformed) {
				t.Fatalf("%v", err)
			}
			return
		}
		if !bytes.Equal(r.Encode(), body) {
			t.Fatalf("%q is written %q", body, r.Encode())
		}
	})
}
