package rego

import (
	"io"
	"io/fs"

	"github.com/smarthausgroup/caio/contracts"
)

// File is a file of a bundle. Path is relative and separated by slashes.
type File struct {
	Path string
	Text []byte
}

// Bundle is policies and data in OPA's format (spec/policy.md, "Bundles").
type Bundle struct {
	Name     string
	Revision string
	Roots    []string // of the manifest; [""] without one
	Files    []File   // in order of path, without .signatures.json
	Digest   string   // spec/proof.md, "Digests"
	Key      string   // id of the key that signed it; "" for an unsigned bundle
}

// ReadFS reads a bundle from a directory.
func ReadFS(name string, fsys fs.FS) (*Bundle, contracts.Diagnostics) {
	return &Bundle{Name: name}, nil
}

// ReadTarball reads a bundle from a compressed tar, as `opa build` makes it.
func ReadTarball(name string, r io.Reader) (*Bundle, contracts.Diagnostics) {
	return &Bundle{Name: name}, nil
}
