package rego

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/smarthausgroup/caio/contracts"
)

// Sizes that bound a bundle, unpacked.
const (
	MaxBundleFiles = 4096
	MaxBundleBytes = 32 << 20
	maxPathBytes   = 512
)

// Names of OPA's bundle format that have a meaning at the bundle's root.
const (
	manifestFile   = ".manifest"
	signaturesFile = ".signatures.json"
	schemaFile     = "schema.json"
)

// File is a file of a bundle. Path is relative and separated by slashes.
type File struct {
	Path string
	Text []byte
}

// Bundle is policies and data in OPA's format (spec/policy.md, "Bundles"). [ReadFS] and [ReadTarball] make valid ones.
type Bundle struct {
	Name       string
	Revision   string
	Roots      []string // of the manifest, separated by slashes; [""], which is everything, without one
	Files      []File   // in order of path, without .signatures.json
	Digest     string   // spec/proof.md, "Digests"
	Key        string   // id of the key that signed it; "" for a bundle that was not verified
	Signatures []byte   // .signatures.json, nil without one
}

// ReadFS reads a bundle from a directory, every regular file of it but for what lives beside a bundle in a repository: hidden folders and files, and Go sources, which may embed it. Symbolic links and the like are refused.
func ReadFS(name string, fsys fs.FS) (*Bundle, contracts.Diagnostics) {
	p := packing{bundle: name}
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(name) == ".go" || beside(name):
			return nil
		}
		if !entry.Type().IsRegular() {
			p.refuse(name, "bundle-file", "%s is not a regular file", name)
			return nil
		}
		file, err := fsys.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		return p.add(name, file)
	})
	return p.finish(err)
}

// beside reports whether a file is the repository's, as .gitignore is: hidden, and neither a policy nor one of the names of OPA's format, nor nearly one.
func beside(name string) bool {
	base := path.Base(name)
	mistaken, _ := stray(name)
	return strings.HasPrefix(base, ".") && base != manifestFile && base != signaturesFile && path.Ext(base) != ".rego" && mistaken == ""
}

// packing collects the files of one bundle. Whatever is at fault is collected too.
type packing struct {
	bundle string
	files  []File
	seen   map[string]bool
	bytes  int64
	faults contracts.Diagnostics
}

func (p *packing) refuse(file, code, format string, args ...any) {
	p.faults.Errorf(code, "", contracts.Position{File: place(p.bundle, file)}, format, args...)
}

// place is how positions name a file of a bundle.
func place(bundle, file string) string { return path.Join(bundle, file) }

// add reads one file; an error ends the reading.
func (p *packing) add(name string, r io.Reader) error {
	if len(p.files) == MaxBundleFiles {
		return fmt.Errorf("a bundle has at most %d files", MaxBundleFiles)
	}
	text, err := io.ReadAll(io.LimitReader(r, MaxBundleBytes-p.bytes+1))
	if err != nil {
		return err
	}
	p.bytes += int64(len(text))
	if p.bytes > MaxBundleBytes {
		return fmt.Errorf("a bundle has at most %d bytes", MaxBundleBytes)
	}
	// OPA writes absolute paths, tar relative ones with a dot.
	name = strings.TrimPrefix(strings.TrimPrefix(name, "./"), "/")
	if reason := badPath(name); reason != "" {
		p.faults.Errorf("bundle-path", "", contracts.Position{File: p.bundle}, "the path %.80q %s", name, reason)
		return nil
	}
	if p.seen[name] {
		p.refuse(name, "bundle-path", "%s occurs twice", name)
		return nil
	}
	if p.seen == nil {
		p.seen = map[string]bool{}
	}
	p.seen[name] = true
	p.files = append(p.files, File{Path: name, Text: text})
	return nil
}

func badPath(name string) string {
	switch {
	case len(name) > maxPathBytes:
		return fmt.Sprintf("is longer than %d bytes", maxPathBytes)
	case !utf8.ValidString(name):
		return "is not UTF-8"
	case strings.ContainsFunc(name, unicode.IsControl):
		return "has a control character"
	case strings.Contains(name, `\`):
		return "has a backslash"
	case !fs.ValidPath(name) || name == ".":
		return "does not stay inside the bundle, or is not in its shortest form"
	}
	return ""
}

// finish makes the bundle of the files.
func (p *packing) finish(err error) (*Bundle, contracts.Diagnostics) {
	if err != nil {
		p.faults.Errorf("bundle-read", "", contracts.Position{File: p.bundle}, "the bundle can't be read: %v", err)
	} else if len(p.files) == 0 {
		p.faults.Errorf("bundle-empty", "", contracts.Position{File: p.bundle}, "the bundle has no file")
	}
	slices.SortFunc(p.files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	b := &Bundle{Name: p.bundle, Roots: []string{""}}
	for _, file := range p.files {
		switch file.Path {
		case signaturesFile:
			b.Signatures = file.Text
			continue
		case manifestFile:
			p.readManifest(b, file)
		case "patch.json":
			p.refuse(file.Path, "bundle-file", "a delta bundle is not supported; build a whole one")
		}
		b.Files = append(b.Files, file)
	}
	b.Digest = digest(b.Files)
	if p.faults.HasErrors() {
		return nil, p.faults
	}
	return b, p.faults
}

// digest is that of spec/proof.md, "Digests", over files in order of path, which is that of the lines: no path has a character below the tab. However they were packed, it is the same.
func digest(files []File) string {
	hash := sha256.New()
	for _, file := range files {
		fmt.Fprintf(hash, "%s\t%x\n", file.Path, sha256.Sum256(file.Text))
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// manifest is OPA's, of which the revision and the roots are used.
type manifest struct {
	Revision         string            `json:"revision"`
	Roots            *[]string         `json:"roots"`
	RegoVersion      *int              `json:"rego_version"`
	FileRegoVersions map[string]int    `json:"file_rego_versions"`
	Wasm             []json.RawMessage `json:"wasm"`
	Metadata         map[string]any    `json:"metadata"`
}

func (p *packing) readManifest(b *Bundle, file File) {
	var m manifest
	decoder := json.NewDecoder(bytes.NewReader(file.Text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&m); err != nil {
		p.refuse(manifestFile, "manifest", "the manifest can't be read: %v", err)
		return
	}
	if _, err := decoder.Token(); err != io.EOF {
		p.refuse(manifestFile, "manifest", "there is text after the manifest")
	}
	if len(m.Wasm) > 0 {
		p.refuse(manifestFile, "manifest", "compiled policies (wasm) are not supported; put the Rego in the bundle")
	}
	b.Revision = m.Revision
	if m.Roots == nil {
		return
	}
	b.Roots = nil
	for _, root := range *m.Roots {
		root = strings.Trim(root, "/")
		if root != "" && !fs.ValidPath(root) || root == "." {
			p.refuse(manifestFile, "manifest-root", "the root %q is not a path", root)
		}
		for _, other := range b.Roots {
			if overlap(root, other) {
				p.refuse(manifestFile, "manifest-root", "the roots %q and %q overlap", other, root)
			}
		}
		b.Roots = append(b.Roots, root)
	}
	slices.Sort(b.Roots)
}

// overlap reports whether one root is, or is inside, the other.
func overlap(a, b string) bool { return within(a, b) || within(b, a) }

// within reports whether a path is a root or inside it.
func within(path, root string) bool {
	return root == "" || path == root || strings.HasPrefix(path, root+"/")
}

// Overlaps reports whether the bundles lay claim to the same place, so that they can't be in force together.
func (b *Bundle) Overlaps(other *Bundle) bool {
	return slices.ContainsFunc(b.Roots, func(root string) bool {
		return slices.ContainsFunc(other.Roots, func(taken string) bool { return overlap(root, taken) })
	})
}

// owns reports whether one of the bundle's roots holds the path.
func (b *Bundle) owns(path string) bool {
	return slices.ContainsFunc(b.Roots, func(root string) bool { return within(path, root) })
}
