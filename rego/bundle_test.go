package rego_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/rego"
	"pgregory.net/rapid"
)

// packed is a tarball of entries.
func packed(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var buffer bytes.Buffer
	zipped := gzip.NewWriter(&buffer)
	archive := tar.NewWriter(zipped)
	for _, h := range headers {
		text := h.PAXRecords["text"]
		h.PAXRecords, h.Size, h.Mode = nil, int64(len(text)), 0o600
		if h.Typeflag != tar.TypeReg && h.Typeflag != 0 {
			h.Size, text = 0, ""
		}
		if err := errors.Join(archive.WriteHeader(&h), write(archive, text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(archive.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

func write(archive *tar.Writer, text string) error {
	_, err := archive.Write([]byte(text))
	return err
}

func entry(name, text string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeReg, PAXRecords: map[string]string{"text": text}}
}

// TestDigest is the one of spec/proof.md, written out.
func TestDigest(t *testing.T) {
	sum := func(text string) string {
		digest := sha256.Sum256([]byte(text))
		return hex.EncodeToString(digest[:])
	}
	b := bundleOf(t, "b", map[string]string{"b/z.rego": "zz", "a.rego": "a", ".manifest": `{"revision": "7"}`, ".signatures.json": "{}"})
	want := sum(".manifest\t" + sum(`{"revision": "7"}`) + "\n" + "a.rego\t" + sum("a") + "\n" + "b/z.rego\t" + sum("zz") + "\n")
	if b.Digest != want || b.Revision != "7" || string(b.Signatures) != "{}" || len(b.Files) != 3 || b.Roots[0] != "" {
		t.Errorf("got %+v, want digest %s", b, want)
	}
}

// TestDigestHoweverPacked is the law that the digest is that of the files, and of nothing else.
func TestDigestHoweverPacked(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		files := rapid.MapOfN(rapid.StringMatching(`[a-z]{1,3}(/[a-z]{1,3}\.rego){1}`), rapid.String(), 1, 6).Draw(rt, "files")
		fsys := fstest.MapFS{}
		var headers []tar.Header
		prefix := rapid.SampledFrom([]string{"", "/", "./"}).Draw(rt, "prefix")
		for _, name := range rapid.Permutation(keys(files)).Draw(rt, "order") {
			fsys[name] = &fstest.MapFile{Data: []byte(files[name])}
			headers = append(headers, entry(prefix+name, files[name]))
		}
		fromFS, faults := rego.ReadFS("b", fsys)
		if faults.HasErrors() {
			rt.Fatal(faults)
		}
		fromTar, faults := rego.ReadTarball("b", bytes.NewReader(packed(t, append(headers, tar.Header{Name: "dir/", Typeflag: tar.TypeDir})...)))
		if faults.HasErrors() {
			rt.Fatal(faults)
		}
		if fromFS.Digest != fromTar.Digest || len(fromFS.Files) != len(files) {
			rt.Fatalf("%s from a directory, %s from a tarball", fromFS.Digest, fromTar.Digest)
		}
		// One byte, or one path, changes it.
		changed := rapid.SampledFrom(keys(files)).Draw(rt, "changed")
		fsys[changed].Data = append(fsys[changed].Data, 'x')
		if other, _ := rego.ReadFS("b", fsys); other.Digest == fromFS.Digest {
			rt.Fatal("another text, the same digest")
		}
	})
}

func keys(m map[string]string) []string {
	var list []string
	for key := range m {
		list = append(list, key)
	}
	return list
}

// TestReadTarballRefuses is what is not a bundle.
func TestReadTarballRefuses(t *testing.T) {
	link := tar.Header{Name: "a.rego", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}
	good := packed(t, entry("a.rego", "a"))
	many := make([]tar.Header, rego.MaxBundleFiles+1)
	for i := range many {
		many[i] = entry(strings.Repeat("a", 1+i%90)+fmt.Sprint(i)+".rego", "")
	}
	for name, c := range map[string]struct {
		text []byte
		want string
	}{
		"climbing":       {packed(t, entry("../a.rego", "a")), `the path "../a.rego" does not stay inside the bundle`},
		"climbing below": {packed(t, entry("a/../../a.rego", "a")), `does not stay inside the bundle`},
		"rooted twice":   {packed(t, entry("//a.rego", "a")), `does not stay inside the bundle`},
		"not shortest":   {packed(t, entry("a/./b.rego", "a")), `in its shortest form`},
		"backslash":      {packed(t, entry(`a\b.rego`, "a")), `has a backslash`},
		"line break":     {packed(t, entry("a\nb.rego", "a")), `has a control character`},
		"tab":            {packed(t, entry("a\tb.rego", "a")), `has a control character`},
		"not UTF-8":      {packed(t, tar.Header{Name: "a\xff.rego", Typeflag: tar.TypeReg, Format: tar.FormatGNU, PAXRecords: map[string]string{"text": "a"}}), `is not UTF-8`},
		"long":           {packed(t, entry(strings.Repeat("a/", 300)+"b.rego", "a")), `is longer than 512 bytes`},
		"twice":          {packed(t, entry("a.rego", "a"), entry("/a.rego", "b")), `b/a.rego: a.rego occurs twice`},
		"link":           {packed(t, link), `the entry "a.rego" is not a regular file`},
		"nothing":        {packed(t), `the bundle has no file`},
		"delta":          {packed(t, entry("patch.json", "{}")), `a delta bundle is not supported`},
		"too many":       {packed(t, many...), `at most 4096 files`},
		"too large":      {packed(t, entry("a.rego", strings.Repeat("a", rego.MaxBundleBytes+1))), `at most 33554432 bytes`},
		"manifest":       {packed(t, entry(".manifest", `{"rots": []}`)), `unknown field "rots"`},
		"manifest twice": {packed(t, entry(".manifest", `{}{}`)), `there is text after the manifest`},
		"wasm":           {packed(t, entry(".manifest", `{"wasm": [{}]}`)), `compiled policies (wasm) are not supported`},
		"roots":          {packed(t, entry(".manifest", `{"roots": ["a", "a/b"]}`)), `the roots "a" and "a/b" overlap`},
		"root path":      {packed(t, entry(".manifest", `{"roots": ["a/../b"]}`)), `the root "a/../b" is not a path`},
		"not gzip":       {[]byte("hello"), `the bundle can't be read`},
		"cut":            {good[:len(good)-6], `the bundle can't be read`},
		"text after":     {append(bytes.Clone(good), 'x'), `the bundle can't be read`},
	} {
		t.Run(name, func(t *testing.T) {
			b, faults := rego.ReadTarball("b", bytes.NewReader(c.text))
			if b != nil || !strings.Contains(faults.Error(), c.want) || !faults.HasErrors() {
				t.Errorf("got %v, %v, want %q", b, faults, c.want)
			}
		})
	}
}

// TestReadFSRefuses is what only a directory can hold.
func TestReadFSRefuses(t *testing.T) {
	folder := t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(folder, "a.rego"), []byte("a"), 0o600), os.Symlink("/etc/passwd", filepath.Join(folder, "b.rego"))); err != nil {
		t.Fatal(err)
	}
	if b, faults := rego.ReadFS("b", os.DirFS(folder)); b != nil || !strings.Contains(faults.Error(), "b/b.rego: b.rego is not a regular file") {
		t.Errorf("got %v, %v", b, faults)
	}
	if b, faults := rego.ReadFS("b", os.DirFS(filepath.Join(folder, "none"))); b != nil || !strings.Contains(faults.Error(), "can't be read") {
		t.Errorf("got %v, %v", b, faults)
	}
}

// FuzzReadTarball checks that whatever the bytes are, what is accepted is a bundle: its paths stay inside, its digest is that of its files, and it compiles or says why not.
func FuzzReadTarball(f *testing.F) {
	f.Add(packed(f, entry("a.rego", policy("caio.policy.a", rule(`violation["A"] contains "x"`))), entry(".manifest", `{"roots": ["caio/policy/a"]}`), entry("data.json", `{}`), entry("schema.json", `{}`)))
	f.Add(packed(f, entry("../a", "x"), entry("a\n", "y"), entry("a", "z"), entry("a", "z")))
	f.Add([]byte("x"))
	f.Fuzz(func(t *testing.T, text []byte) {
		b, faults := rego.ReadTarball("b", bytes.NewReader(text))
		if (b == nil) != faults.HasErrors() {
			t.Fatal("neither a bundle nor a fault")
		}
		if b == nil {
			return
		}
		files := map[string]string{}
		for _, file := range b.Files {
			if !fs.ValidPath(file.Path) || strings.ContainsAny(file.Path, "\t\n\\") || files[file.Path] != "" {
				t.Fatalf("the path %q was accepted", file.Path)
			}
			files[file.Path] = string(file.Text) + "."
		}
		var headers []tar.Header
		for _, file := range b.Files {
			headers = append(headers, entry(file.Path, string(file.Text)))
		}
		rand.New(rand.NewSource(1)).Shuffle(len(headers), func(i, j int) { headers[i], headers[j] = headers[j], headers[i] })
		if len(headers) > 0 {
			if again, faults := rego.ReadTarball("b", bytes.NewReader(packed(t, headers...))); again == nil || again.Digest != b.Digest {
				t.Fatalf("read again: %v", faults)
			}
		}
		if p, faults := rego.Compile([]*rego.Bundle{b}, rego.Options{}); (p == nil) != faults.HasErrors() {
			t.Fatal("neither policies nor a fault")
		}
	})
}

// FuzzCompile checks that no text of a policy makes the compiler or the checks panic, that every fault has a place and an explanation, and that what compiles can be evaluated.
func FuzzCompile(f *testing.F) {
	f.Add(policy("caio.policy.a", rule(`violation["A"] contains "x" if time.date(input.time)[0] == 1`)))
	f.Add("package caio.policy.a\nimport rego.v2\nimport data.caio as c\nx := c.y[input.route] with input.time as data.z\n")
	seeds, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(seeds) == 0 {
		f.Fatalf("no seed was found: %v", err)
	}
	for _, seed := range seeds {
		archive, err := txtar.ParseFile(seed)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			if strings.HasSuffix(file.Name, ".rego") {
				f.Add(string(file.Data))
			}
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, faults := rego.ReadFS("b", fstest.MapFS{"a.rego": {Data: []byte(text)}, "b_test.rego": {Data: []byte(strings.Replace(text, "package caio.policy", "package caio.policy.tests", 1))}})
		if faults.HasErrors() {
			return
		}
		p, faults := rego.Check([]*rego.Bundle{b}, rego.Options{})
		if (p == nil) != faults.HasErrors() {
			t.Fatal("neither policies nor a fault")
		}
		for _, d := range faults {
			if _, ok := rego.Explain(d.Code); !ok || d.Pos.File == "" {
				t.Fatalf("no explanation or no place: %s: %v", d.Code, d)
			}
		}
		if p == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		found, err := p.Evaluate(ctx, contracts.StagePolicy, input("service", contracts.Internal, 1))
		if errors.Is(err, context.DeadlineExceeded) {
			return
		}
		constraints := 0
		for _, c := range p.Constraints() {
			if c.Family == contracts.StagePolicy {
				constraints++
			}
		}
		if err != nil || len(found.Violations)+len(found.Satisfied) != constraints {
			t.Fatalf("%d constraints, %v, %v", constraints, found, err)
		}
	})
}
