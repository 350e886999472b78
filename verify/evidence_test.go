package verify_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/verify"
	"pgregory.net/rapid"
)

func written(t rapid.TB, ev *verify.Evidence) []byte {
	var file bytes.Buffer
	if err := verify.WriteEvidence(&file, ev); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// packed is an evidence file with any archive in it, its hash right: what a forger who can write files would make.
func packed(archive []byte) []byte {
	var file bytes.Buffer
	z, _ := gzip.NewWriterLevel(&file, gzip.NoCompression)
	z.Write(archive)
	z.Close()
	return headed(file.Bytes()[10:])
}

func headed(body []byte) []byte {
	sum := sha256.Sum256(body)
	head := append([]byte("\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff\x24\x00C1\x20\x00"), sum[:]...)
	return append(head, body...)
}

func unpacked(t rapid.TB, file []byte) []byte {
	z := must(gzip.NewReader(bytes.NewReader(file)))(t)
	return must(io.ReadAll(z))(t)
}

func TestEvidenceRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := randomProof(t)
		file := written(t, p.evidence)
		if again := written(t, p.evidence); !bytes.Equal(again, file) {
			t.Fatal("two files of one evidence")
		}
		back := must(verify.ReadEvidence(file))(t)
		if again := written(t, back); !bytes.Equal(again, file) {
			t.Fatal("another file when written again")
		}
		for i, d := range back.Disclosures {
			back.Disclosures[i].Value = p.evidence.Disclosures[i].Value // a field comes back as what JSON says of it
			if d.Name != p.evidence.Disclosures[i].Name {
				t.Fatal(d.Name)
			}
		}
		if !reflect.DeepEqual(back, p.evidence) {
			t.Fatalf("got  %+v\nwant %+v", back, p.evidence)
		}
	})
}

// The names and their order are the format, and any tar reads it.
func TestEvidenceEntries(t *testing.T) {
	var names []string
	r := tar.NewReader(bytes.NewReader(unpacked(t, written(t, example(t).evidence))))
	for {
		header, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, fmt.Sprintf("%s %o %d %s", header.Format, header.Mode, header.ModTime.Unix(), header.Name))
	}
	golden(t, "entries.txt", []byte(strings.Join(names, "\n")+"\n"))
}

// One bit changed anywhere, and the file is refused.
func TestEvidenceRefusesEveryFlippedBit(t *testing.T) {
	file := written(t, example(t).evidence)
	if len(file) < 1000 {
		t.Fatal("hardly anything to flip")
	}
	for i := range file {
		for bit := range 8 {
			file[i] ^= 1 << bit
			if _, err := verify.ReadEvidence(file); err == nil {
				t.Fatalf("byte %d, bit %d: accepted", i, bit)
			}
			file[i] ^= 1 << bit
		}
	}
	for i := range file {
		if _, err := verify.ReadEvidence(file[:i]); err == nil {
			t.Fatalf("the first %d bytes were accepted", i)
		}
	}
	if _, err := verify.ReadEvidence(append(bytes.Clone(file), 0)); err == nil {
		t.Fatal("a byte at the end was accepted")
	}
}

// One bit changed in the archive and all packed again: what is still accepted says something else, and a layer has to tell. What is only the tar's own form is refused at once.
func TestArchiveHasOneForm(t *testing.T) {
	p := example(t)
	archive := unpacked(t, written(t, p.evidence))
	changed := 0
	for i := 0; i < len(archive); i += 7 { // headers stand 512 apart, 1 modulo 7: every byte of one is met in some entry
		archive[i] ^= 1
		if ev, err := verify.ReadEvidence(packed(archive)); err == nil {
			changed++
			if verify.ExitCode(verify.Check(context.Background(), ev, p.trust, verify.Options{})) != verify.ExitFailed && bytes.Equal(forReplay(t, ev), forReplay(t, p.evidence)) {
				t.Errorf("byte %d: no layer fails", i)
			}
		}
		archive[i] ^= 1
	}
	if changed == 0 {
		t.Error("nothing to tell")
	}
}

// forReplay is what only replay holds against something: disclosures, with which it opens the commitments, and signatures of bundles, which no digest covers.
func forReplay(t testing.TB, ev *verify.Evidence) []byte {
	var all []byte
	for _, d := range ev.Disclosures {
		all = append(all, must(d.Text())(t)...)
	}
	for _, b := range must(verify.DecodeDocument(example(t).evidence.Document))(t).Bundles {
		all = append(all, ev.Bundles[b.Digest][verify.SignaturesFile]...)
	}
	return all
}

type file struct{ name, text string }

func archiveOf(t testing.TB, files []file, edit func(*tar.Header)) []byte {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, f := range files {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Size: int64(len(f.text)), Mode: 0o644}
		if edit != nil {
			edit(header)
		}
		if err := w.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return archive.Bytes()
}

func TestReadEvidenceRefuses(t *testing.T) {
	least := []file{{"document.json", "{}"}, {"statement.jws", "."}, {"snapshot.tsv", "a\tb\n"}, {"attestations.json", "[]"}, {"settings.json", "{}"}, {"disclosures.json", "[]"}}
	contract := file{"contracts/" + verify.Digest([]byte("{}")) + ".json", "{}"}
	if _, err := verify.ReadEvidence(packed(archiveOf(t, append(least, contract, file{"bundles/d/p/q.rego", ""}), nil))); err != nil {
		t.Fatal(err)
	}
	with := func(i int, f file) []file {
		list := append([]file{}, least...)
		list[i] = f
		return list
	}
	for name, files := range map[string][]file{
		"nothing":               {},
		"missing":               least[:5],
		"unknown":               append(least, file{"receipt", "x"}),
		"twice":                 append(least, least[0]),
		"another order":         append(with(0, least[1])[:1], append([]file{least[0]}, least[2:]...)...),
		"contract misnamed":     append(least, file{contract.name, "[]"}),
		"contract without name": append(least, file{strings.TrimSuffix(contract.name, ".json"), "{}"}),
		"contract twice":        append(least, contract, contract),
		"bundles before":        append(least, file{"bundles/d/p", ""}, contract),
		"bundle unsorted":       append(least, file{"bundles/d/q", ""}, file{"bundles/d/p", ""}),
		"bundle without path":   append(least, file{"bundles/d", ""}),
		"climbing":              append(least, file{"bundles/d/../../x", ""}),
		"absolute":              append(least, file{"bundles/d//etc/passwd", ""}),
		"control character":     append(least, file{"bundles/d/a\nb", ""}),
		"not UTF-8":             append(least, file{"bundles/d/\xff", ""}),
		"snapshot unsorted":     with(2, file{"snapshot.tsv", "b\tb\na\ta\n"}),
		"snapshot twice":        with(2, file{"snapshot.tsv", "a\ta\na\ta\n"}),
		"snapshot unended":      with(2, file{"snapshot.tsv", "a\tb"}),
		"snapshot blank":        with(2, file{"snapshot.tsv", "\n"}),
		"attestations spaced":   with(3, file{"attestations.json", "[ ]"}),
		"attestations unknown":  with(3, file{"attestations.json", `[{"a":1}]`}),
		"settings a float":      with(4, file{"settings.json", `{"a":1.5}`}),
		"settings null":         with(4, file{"settings.json", `null`}),
		"disclosures unread":    with(5, file{"disclosures.json", `["e30"]`}),
	} {
		if _, err := verify.ReadEvidence(packed(archiveOf(t, files, nil))); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	for name, edit := range map[string]func(*tar.Header){
		"mode":  func(h *tar.Header) { h.Mode = 0o600 },
		"owner": func(h *tar.Header) { h.Uid = 1 },
		"group": func(h *tar.Header) { h.Gname = "root" },
		"time":  func(h *tar.Header) { h.ModTime = fixedTime.Truncate(1e9) },
		"GNU":   func(h *tar.Header) { h.Format = tar.FormatGNU },
		"PAX": func(h *tar.Header) {
			h.Format, h.PAXRecords = tar.FormatPAX, map[string]string{"CAIO.x": "y"}
		},
	} {
		// Of other formats nothing is read at all: they know sparse files, as do other records of this one.
		_, err := verify.ReadEvidence(packed(archiveOf(t, least, edit)))
		if err == nil || strings.Contains(err.Error(), "plain") != (name == "GNU" || name == "PAX") {
			t.Errorf("a header with another %s: %v", name, err)
		}
	}
	good := archiveOf(t, least, nil)
	for name, archive := range map[string][]byte{"more blocks at the end": append(bytes.Clone(good), make([]byte, 512)...), "fewer": good[:len(good)-512], "more files after the end": append(bytes.Clone(good), good...)} {
		if _, err := verify.ReadEvidence(packed(archive)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	body := packed(good)[48:]
	for name, file := range map[string][]byte{
		"bytes after the end": headed(append(bytes.Clone(body), 'x')),
		"a second member":     headed(append(bytes.Clone(body), packed(good)...)),
		"an empty member":     headed(append(bytes.Clone(body), packed(nil)...)),
		"a plain gzip":        append([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"), body...),
		"a plain tar":         good,
		"nothing":             {},
	} {
		if _, err := verify.ReadEvidence(file); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// squeezed is like packed, made small: what a forger sends to fill memories.
func squeezed(archive ...[]byte) []byte {
	var file bytes.Buffer
	z, _ := gzip.NewWriterLevel(&file, gzip.BestSpeed)
	for _, part := range archive {
		z.Write(part)
	}
	z.Close()
	return headed(file.Bytes()[10:])
}

// A few kilobytes may not fill a memory: an entry that is too large is not read at all, and what is read is held once.
func TestReadEvidenceIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("decompresses 256 MiB")
	}
	header := func(name string, size int64) []byte {
		var archive bytes.Buffer
		if err := tar.NewWriter(&archive).WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		return archive.Bytes()
	}
	zeros := make([]byte, 16<<20)
	many := func(n int, first ...[]byte) [][]byte {
		for range n {
			first = append(first, zeros)
		}
		return first
	}
	var files [][]byte
	for i := range 17 {
		files = append(files, header(fmt.Sprintf("bundles/d/%d", i), int64(len(zeros))), zeros)
	}
	for name, test := range map[string]struct {
		file  []byte
		most  uint64 // bytes allocated
		wants string
	}{
		"a document":          {squeezed(many(15, header("document.json", 240<<20))...), 4 << 20, "document.json has 251658240 bytes"},
		"a file of a bundle":  {squeezed(many(15, header("bundles/d/f", 240<<20))...), 4 << 20, "bundles/d/f has"},
		"an unknown file":     {squeezed(header("x", 1)), 4 << 20, "no such entry"},
		"nothing but zeros":   {squeezed(many(17)...), 4 << 20, "more than"},
		"many files":          {squeezed(files...), verify.MaxArchiveBytes + 20<<20, "more than"},
		"a file that is long": {make([]byte, verify.MaxEvidenceBytes+1), 4 << 20, "at most"},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := verify.ReadEvidence(test.file)
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), test.wants) {
			t.Errorf("%s: %v", name, err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > test.most {
			t.Errorf("%s: %d bytes", name, took)
		}
	}
}

func TestWhatIsSaidOfAFileThatIsNone(t *testing.T) {
	file := written(t, example(t).evidence)
	changed := bytes.Clone(file)
	changed[len(changed)/2]++
	for name, test := range map[string]struct {
		file []byte
		want string
	}{
		"changed":       {changed, "the file was changed or cut off: its checksum does not fit"},
		"cut off":       {file[:len(file)-1], "the file was changed or cut off: its checksum does not fit"},
		"all cut off":   {file[:20], "not an evidence file"},
		"of other kind": {bytes.Repeat([]byte("x"), 100), "not an evidence file"},
	} {
		_, verdicts := verify.CheckFile(context.Background(), test.file, verify.Trust{}, verify.Options{})
		if v := verdict(t, verdicts, verify.LayerEvidence); v.Reason != test.want {
			t.Errorf("%s: %+v", name, v)
		}
		if _, err := verify.ReadEvidence(test.file); err == nil || err.Error() != "evidence: "+test.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWriteEvidenceRefusesAPathThatClimbs(t *testing.T) {
	ev := example(t).evidence
	ev.Bundles["d"] = map[string][]byte{"../x": {}}
	if err := verify.WriteEvidence(io.Discard, ev); err == nil {
		t.Error("it was written")
	}
}

// Whatever path a bundle may have, its evidence can be written and read.
func TestEvidenceOfLongPaths(t *testing.T) {
	for _, path := range []string{strings.Repeat("x", 101), strings.Repeat("x/", 255) + "y", strings.Repeat("größe/", 60) + "z", "a b%20=c"} {
		ev := example(t).evidence
		ev.Bundles["d"] = map[string][]byte{path: []byte("text")}
		back := must(verify.ReadEvidence(written(t, ev)))(t)
		if string(back.Bundles["d"][path]) != "text" {
			t.Errorf("%s was not read back", path)
		}
	}
}

func TestBundleDigest(t *testing.T) {
	files := map[string][]byte{"b": []byte("2"), "a/z": []byte("1"), verify.SignaturesFile: []byte("x")}
	lines := "a/z\t" + verify.Digest([]byte("1")) + "\nb\t" + verify.Digest([]byte("2")) + "\n"
	if got := must(verify.BundleDigest(files))(t); got != verify.Digest([]byte(lines)) {
		t.Error(got)
	}
	for _, path := range []string{"", ".", "/a", "a/", "a//b", "a/../b", "a\nb", "a\tb", "\xff"} {
		if _, err := verify.BundleDigest(map[string][]byte{path: nil}); err == nil {
			t.Errorf("%q was accepted", path)
		}
	}
}

func FuzzReadEvidence(f *testing.F) {
	f.Add(unpacked(f, written(f, example(f).evidence)))
	logged := example(f).evidence
	logged.Receipt, logged.Earlier, logged.First, logged.Erasure = []byte("c2sp.org/tlog-proof@v1\n"), exampleEarlier(f), exampleEarlier(f), []byte("a.b.c")
	logged.Entries = []verify.LoggedEntry{{Index: 2, JWS: []byte("a.b.c"), Receipt: []byte("c2sp.org/tlog-proof@v1\n")}}
	f.Add(unpacked(f, written(f, logged)))
	f.Fuzz(func(t *testing.T, archive []byte) {
		ev, err := verify.ReadEvidence(packed(archive))
		if err != nil {
			return
		}
		if again := unpacked(t, written(t, ev)); !bytes.Equal(again, archive) {
			t.Fatal("accepted an archive that is written otherwise")
		}
		verify.Check(context.Background(), ev, verify.Trust{}, verify.Options{})
	})
}
