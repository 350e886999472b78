package tlog_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/verify/tlog"
	formatslog "github.com/transparency-dev/formats/log"
	formatsnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	sumdb "golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

// The example of C2SP tlog-cosignature.
const behindTheSofa = `example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
`

func TestParseCheckpointOfThePage(t *testing.T) {
	c := must(tlog.ParseCheckpoint([]byte(behindTheSofa)))(t)
	if c.Origin != "example.com/behind-the-sofa" || c.Size != 20852163 || len(c.Signatures) != 2 || c.Signatures[1].ID != 0x8d66cf3f || len(c.Signatures[1].Bytes) != 72 {
		t.Errorf("%+v", c)
	}
	if got := string(c.Encode()); got != behindTheSofa {
		t.Errorf("written again: %s", got)
	}
}

func TestCheckpointOfTheWriter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(0, maxSize).Draw(t, "size")
		text := example().signed(t, size)
		c := must(tlog.ParseCheckpoint(text))(t)
		if want := example().at(t, size); c.Origin != want.Origin || c.Size != want.Size || c.Root != want.Root {
			t.Fatalf("got %+v, want %+v", c, want)
		}
		if !bytes.Equal(c.Encode(), text) {
			t.Fatalf("written again: %s", c.Encode())
		}
		log := key(t, origin, tlog.Ed25519, 1)
		verified, unknown, err := c.Verify(log)
		if err != nil || len(unknown) != 0 || len(verified) != 1 || verified[0].Key.String() != log.String() || !verified[0].Time.IsZero() {
			t.Fatal(verified, unknown, err)
		}
	})
}

// What we cosign others verify, as we verify what they cosign.
func TestCosignaturesOfAnotherImplementation(t *testing.T) {
	const name = "witness.example/w"
	c := must(tlog.ParseCheckpoint(example().signed(t, 77)))(t)
	log, witness := key(t, origin, tlog.Ed25519, 1), key(t, name, tlog.CosignatureV1, 9)

	c.Signatures = append(c.Signatures, must(tlog.Cosign(c, name, private(9), cosignedAt))(t))
	theirs := must(formatsnote.NewVerifierForCosignatureV1(witness.String()))(t)
	read, _, n, err := formatslog.ParseCheckpoint(c.Encode(), origin, must(note.NewVerifier(log.String()))(t), theirs)
	if err != nil || read.Size != 77 || len(n.Sigs) != 2 {
		t.Fatal(read, n, err)
	}
	if at := must(formatsnote.CoSigV1Timestamp(n.Sigs[1]))(t); !at.Equal(cosignedAt) {
		t.Errorf("they read %s, not %s", at, cosignedAt)
	}

	before := time.Now().Truncate(time.Second)
	cosigner := must(formatsnote.NewSignerForCosignatureV1(secret(t, name, tlog.CosignatureV1, 9)))(t)
	text := must(note.Sign(&note.Note{Text: string(c.Body())}, signer(t, origin, 1), cosigner))(t)
	verified, unknown, err := must(tlog.ParseCheckpoint(text))(t).Verify(witness, log)
	if err != nil || len(unknown) != 0 || len(verified) != 2 || verified[1].Key.Name != name {
		t.Fatal(verified, unknown, err)
	}
	if at := verified[1].Time; at.Before(before) || at.After(time.Now()) {
		t.Errorf("cosigned at %s, before %s", at, before)
	}
}

func TestVerify(t *testing.T) {
	c, keys := cosigned(t, 5)
	log, w0, w1 := keys[0], keys[1], keys[2]
	verified, unknown, err := c.Verify(keys...)
	if err != nil || len(unknown) != 0 || len(verified) != 3 || !verified[2].Time.Equal(cosignedAt.Add(time.Second)) {
		t.Error(verified, unknown, err)
	}
	verified, unknown, err = c.Verify(log, w1)
	if err != nil || len(unknown) != 1 || unknown[0].Name != w0.Name || len(verified) != 2 {
		t.Error(verified, unknown, err)
	}

	// other is the key of another log, which signed this one's checkpoint under its own name.
	other := key(t, "log.example/other", tlog.Ed25519, 1)
	foreign := must(tlog.ParseCheckpoint(must(note.Sign(&note.Note{Text: string(c.Body())}, signer(t, other.Name, 1)))(t)))(t)
	replaced := func(i int, s tlog.Signature) tlog.Checkpoint {
		changed := c
		changed.Signatures = append(append([]tlog.Signature{}, c.Signatures[:i]...), s)
		changed.Signatures = append(changed.Signatures, c.Signatures[i+1:]...)
		return changed
	}
	short := c.Signatures[1]
	short.Bytes = short.Bytes[:71]
	// stampedAt is signed rightly, at a time that isn't one.
	stampedAt := func(seconds uint64) tlog.Signature {
		message := fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", seconds, c.Body())
		return tlog.Signature{Name: w0.Name, ID: w0.ID(), Bytes: append(binary.BigEndian.AppendUint64(nil, seconds), ed25519.Sign(private(10), message)...)}
	}
	if verified, _, err := replaced(1, stampedAt(1)).Verify(keys...); err != nil || verified[1].Time.Unix() != 1 {
		t.Fatal(verified, err)
	}
	stamped := must(tlog.Cosign(c, w0.Name, private(10), cosignedAt.Add(time.Hour)))(t)
	copy(stamped.Bytes, c.Signatures[1].Bytes[:8])
	larger := c
	larger.Size++
	for name, bad := range map[string]struct {
		c    tlog.Checkpoint
		keys []tlog.Key
		want error
	}{
		"no key":                            {c, nil, tlog.ErrUntrusted},
		"witnesses only":                    {c, []tlog.Key{w0, w1}, tlog.ErrUntrusted},
		"another key of that name":          {c, []tlog.Key{key(t, origin, tlog.Ed25519, 2), w0}, tlog.ErrUntrusted},
		"another log's key":                 {foreign, []tlog.Key{other}, tlog.ErrUntrusted},
		"the log's key as a witness's":      {c, []tlog.Key{key(t, origin, tlog.CosignatureV1, 1)}, tlog.ErrUntrusted},
		"another size":                      {larger, []tlog.Key{log}, tlog.ErrSignature},
		"another size, cosigned":            {larger, []tlog.Key{w0}, tlog.ErrSignature},
		"a short cosignature":               {replaced(1, short), keys, tlog.ErrSignature},
		"a cosignature of 1970":             {replaced(1, stampedAt(0)), keys, tlog.ErrSignature},
		"a cosignature of the year 10000":   {replaced(1, stampedAt(253402300800)), keys, tlog.ErrSignature},
		"a cosignature before 1970":         {replaced(1, stampedAt(1<<64-1)), keys, tlog.ErrSignature},
		"a cosignature with another time":   {replaced(1, stamped), keys, tlog.ErrSignature},
		"a known key's signature is wrong":  {replaced(0, tlog.Signature{Name: origin, ID: log.ID(), Bytes: make([]byte, 64)}), keys, tlog.ErrSignature},
		"a cosignature with the log's name": {replaced(0, must(tlog.Cosign(c, origin, private(1), cosignedAt))(t)), keys, tlog.ErrUntrusted},
	} {
		if verified, _, err := bad.c.Verify(bad.keys...); !errors.Is(err, bad.want) || verified != nil {
			t.Errorf("%s: got %v, %v, want %v", name, verified, err, bad.want)
		}
	}
}

func TestParseCheckpointRefuses(t *testing.T) {
	good := string(example().signed(t, 77))
	if _, err := tlog.ParseCheckpoint([]byte(good)); err != nil {
		t.Fatal(err)
	}
	body, signature, _ := strings.Cut(good, "\n\n")
	lines := strings.Split(body, "\n")
	with := func(i int, line string) string {
		changed := append([]string{}, lines...)
		changed[i] = line
		return strings.Join(changed, "\n") + "\n\n" + signature
	}
	// ends is the last of those letters of base64 whose bits don't all count, and the same bits with one more.
	ends := strings.Replace(lines[2], lines[2][42:], string(lines[2][42]+1)+"=", 1)
	for name, text := range map[string]string{
		"empty":                  "",
		"no signature":           body + "\n\n",
		"no empty line":          body + "\n" + signature,
		"no last line feed":      strings.TrimSuffix(good, "\n"),
		"two lines":              lines[0] + "\n" + lines[1] + "\n\n" + signature,
		"extension":              body + "\nmore\n\n" + signature,
		"empty extension":        body + "\n\n\n" + signature,
		"no origin":              with(0, ""),
		"origin with a space":    with(0, "log example"),
		"origin that drives":     with(0, "evil\u009b2J"),
		"origin that turns":      with(0, "evil\u202e"),
		"origin with U+00A0":     with(0, "log\u00a0example"),
		"origin with a plus":     with(0, "log+example"),
		"origin too long":        with(0, strings.Repeat("a", 256)),
		"origin not UTF-8":       with(0, "log\xff"),
		"leading zero":           with(1, "077"),
		"plus":                   with(1, "+77"),
		"minus":                  with(1, "-77"),
		"minus zero":             with(1, "-0"),
		"space":                  with(1, "77 "),
		"underscore":             with(1, "7_7"),
		"no size":                with(1, ""),
		"size of 2^53":           with(1, "9007199254740992"),
		"size of 2^64+77":        with(1, "18446744073709551693"),
		"root without padding":   with(2, strings.TrimSuffix(lines[2], "=")),
		"root with spare bits":   with(2, ends),
		"root of 31 bytes":       with(2, base64.StdEncoding.EncodeToString(make([]byte, 31))),
		"root of 33 bytes":       with(2, base64.StdEncoding.EncodeToString(make([]byte, 33))),
		"root in URL's alphabet": with(2, strings.Repeat("_", 43)+"="),
		"carriage return":        strings.ReplaceAll(good, "\n", "\r\n"),
		"tab":                    with(0, "log\texample"),
		"null":                   with(0, "log\x00example"),
		"hyphen for dash":        strings.Replace(good, "— ", "- ", 1),
		"no name":                strings.Replace(good, "— "+origin, "— ", 1),
		"two spaces":             strings.Replace(good, "— "+origin, "— "+origin+" ", 1),
		"no bytes":               body + "\n\n— " + origin + " " + base64.StdEncoding.EncodeToString([]byte("1234")) + "\n",
		"the same key twice":     good + signature,
		"too many":               body + "\n\n" + many(101),
		"too large":              with(0, strings.Repeat("a", tlog.MaxCheckpointBytes)),
		"text after it":          good + "\n",
	} {
		if c, err := tlog.ParseCheckpoint([]byte(text)); !errors.Is(err, tlog.ErrMalformed) {
			t.Errorf("%s: got %+v, %v", name, c, err)
		}
	}
	extended := body + "\nmore\nand — more\n\n" + signature
	c := must(tlog.ParseExtendedCheckpoint([]byte(extended)))(t)
	if len(c.Extensions) != 2 || string(c.Encode()) != extended || !strings.HasSuffix(string(c.Body()), "=\nmore\nand — more\n") {
		t.Errorf("%+v", c)
	}
	for _, more := range []string{"\nmore", "a\tb", "\x01", "\xff"} {
		if _, err := tlog.ParseExtendedCheckpoint([]byte(body + "\n" + more + "\n\n" + signature)); !errors.Is(err, tlog.ErrMalformed) {
			t.Errorf("extension %q: %v", more, err)
		}
	}
	if c, err := tlog.ParseCheckpoint([]byte(body + "\n\n" + many(tlog.MaxSignatures))); err != nil || len(c.Signatures) != tlog.MaxSignatures {
		t.Error(err)
	}
}

// many are that many signatures by as many keys.
func many(n int) string {
	var lines []byte
	for i := range n {
		lines = append(lines, tlog.Signature{Name: "a", ID: uint32(i), Bytes: []byte{1}}.Encode()...)
	}
	return string(lines)
}

func TestParseSignaturesRefuses(t *testing.T) {
	good := tlog.Signature{Name: "a", ID: 7, Bytes: []byte{1}}.Encode()
	if list, err := tlog.ParseSignatures(good); err != nil || len(list) != 1 || list[0].ID != 7 {
		t.Fatal(list, err)
	}
	for _, text := range []string{
		"", "\n", string(good[:len(good)-1]), string(good) + "\n", "\n" + string(good), string(good) + string(good), strings.Replace(string(good), "\n", "\r\n", 1), strings.Replace(string(good), "w", "\rw", 1),
		strings.Replace(string(good), "E=", "F=", 1), strings.Replace(string(good), "=", "", 1), " " + string(good), strings.Repeat("x", tlog.MaxCheckpointBytes+1), many(tlog.MaxSignatures + 1),
	} {
		if list, err := tlog.ParseSignatures([]byte(text)); !errors.Is(err, tlog.ErrMalformed) {
			t.Errorf("%.80q: got %+v, %v", text, list, err)
		}
	}
}

func TestCheckpointIsNotMalleable(t *testing.T) {
	c, keys := cosigned(t, 300)
	checkEveryBit(t, c.Encode(), func(text []byte) bool {
		c, err := tlog.ParseCheckpoint(text)
		if err != nil {
			return true
		}
		_, unknown, err := c.Verify(keys...)
		// Signatures as a whole may be left out: whoever wants them asks for a quorum.
		return err != nil || len(unknown) > 0 || len(c.Signatures) < len(keys)
	})
}

func TestSignaturesOfAWitness(t *testing.T) {
	c, keys := cosigned(t, 300)
	var answer []byte
	for _, s := range c.Signatures[1:] {
		answer = append(answer, s.Encode()...)
	}
	list := must(tlog.ParseSignatures(answer))(t)
	again := c
	again.Signatures = append(c.Signatures[:1:1], list...)
	if verified, _, err := again.Verify(keys...); err != nil || len(verified) != 3 {
		t.Error(verified, err)
	}
}

// remote is a key kept elsewhere, which answers with whatever it likes.
type remote struct {
	public crypto.PublicKey
	sign   func(message []byte) ([]byte, error)
}

func (r remote) Public() crypto.PublicKey { return r.public }
func (r remote) Sign(_ io.Reader, message []byte, _ crypto.SignerOpts) ([]byte, error) {
	return r.sign(message)
}

func TestCosignRefuses(t *testing.T) {
	c := example().at(t, 9)
	away := errors.New("away")
	ed := private(9)
	good := must(tlog.Cosign(c, "w", remote{ed.Public(), func(m []byte) ([]byte, error) { return ed25519.Sign(ed, m), nil }}, cosignedAt))(t)
	if want := must(tlog.Cosign(c, "w", ed, cosignedAt))(t); !bytes.Equal(good.Bytes, want.Bytes) {
		t.Errorf("got %x, want %x", good.Bytes, want.Bytes)
	}
	for name, bad := range map[string]struct {
		name string
		key  crypto.Signer
		at   time.Time
	}{
		"name":          {"w w", ed, cosignedAt},
		"RSA":           {"w", must(rsa.GenerateKey(rand.Reader, 2048))(t), cosignedAt},
		"no time":       {"w", ed, time.Time{}},
		"1970":          {"w", ed, time.Unix(0, 0)},
		"10000":         {"w", ed, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
		"away":          {"w", remote{ed.Public(), func([]byte) ([]byte, error) { return nil, away }}, cosignedAt},
		"signs nothing": {"w", remote{ed.Public(), func([]byte) ([]byte, error) { return make([]byte, 64), nil }}, cosignedAt},
	} {
		if s, err := tlog.Cosign(c, bad.name, bad.key, bad.at); err == nil {
			t.Errorf("%s: let out %+v", name, s)
		}
	}
}

func TestInclusion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, maxSize).Draw(t, "size")
		index := rapid.Int64Range(0, size-1).Draw(t, "index")
		c := example().at(t, size)
		leaf := tlog.LeafHash(example().entries[index])
		if want := sumdb.RecordHash(example().entries[index]); leaf != tlog.Hash(want) {
			t.Fatalf("leaf hash %x, want %x", leaf, want)
		}
		proof := hashesOf(must(sumdb.ProveRecord(size, index, example()))(t))
		if err := c.Includes(leaf, index, proof); err != nil {
			t.Fatal(err)
		}
		other := rapid.Int64Range(-1, maxSize).Filter(func(i int64) bool { return i != index }).Draw(t, "other index")
		if err := c.Includes(leaf, other, proof); !errors.Is(err, tlog.ErrProof) {
			t.Errorf("at %d too: %v", other, err)
		}
		refuseChanged(t, proof, func(changed []tlog.Hash) error { return c.Includes(leaf, index, changed) })
		c.Root[rapid.IntRange(0, 31).Draw(t, "byte")] ^= 1
		if err := c.Includes(leaf, index, proof); !errors.Is(err, tlog.ErrProof) {
			t.Errorf("under another root too: %v", err)
		}
	})
}

func TestConsistency(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(0, maxSize).Draw(t, "size")
		before := rapid.Int64Range(0, size).Draw(t, "before")
		c, older := example().at(t, size), example().at(t, before)
		var proof []tlog.Hash
		if before > 0 {
			proof = hashesOf(must(sumdb.ProveTree(size, before, example()))(t))
		}
		if err := c.Extends(older, proof); err != nil {
			t.Fatal(err)
		}
		refuseChanged(t, proof, func(changed []tlog.Hash) error { return c.Extends(older, changed) })
		if size != before {
			if err := older.Extends(c, proof); !errors.Is(err, tlog.ErrProof) {
				t.Errorf("backwards too: %v", err)
			}
		}
		fork := older
		fork.Root[rapid.IntRange(0, 31).Draw(t, "byte")] ^= 1
		if err := c.Extends(fork, proof); !errors.Is(err, tlog.ErrProof) {
			t.Errorf("of another root too: %v", err)
		}
		fork = older
		fork.Origin += "x"
		if err := c.Extends(fork, proof); !errors.Is(err, tlog.ErrProof) {
			t.Errorf("of another log too: %v", err)
		}
	})
}

// refuseChanged tries a proof with a hash less, one more, and one changed.
func refuseChanged(t *rapid.T, proof []tlog.Hash, check func([]tlog.Hash) error) {
	t.Helper()
	at := rapid.IntRange(0, len(proof)).Draw(t, "hash")
	changes := map[string][]tlog.Hash{"more": append(append(proof[:at:at], tlog.Hash{7}), proof[at:]...)}
	if at < len(proof) {
		changes["less"] = append(proof[:at:at], proof[at+1:]...)
		changed := append([]tlog.Hash{}, proof...)
		changed[at][rapid.IntRange(0, 31).Draw(t, "byte of it")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		changes["changed"] = changed
	}
	for name, changed := range changes {
		if err := check(changed); !errors.Is(err, tlog.ErrProof) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEmptyLog(t *testing.T) {
	if want := must(sumdb.TreeHash(0, example()))(t); tlog.EmptyRoot != tlog.Hash(want) {
		t.Errorf("got %x, want %x", tlog.EmptyRoot, want)
	}
	odd := tlog.Checkpoint{Origin: origin, Root: tlog.Hash{1}}
	if err := odd.Extends(odd, nil); !errors.Is(err, tlog.ErrProof) {
		t.Errorf("an empty log with another root: %v", err)
	}
}
