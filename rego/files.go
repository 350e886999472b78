package rego

import (
	"bytes"
	"maps"
	"slices"

	"github.com/smarthausgroup/caio/contracts"
)

// ReadFiles reads a bundle from its files by their paths, as [ReadFS] does from a directory.
func ReadFiles(name string, files map[string][]byte) (*Bundle, contracts.Diagnostics) {
	p := packing{bundle: name}
	var err error
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if err = p.add(path, bytes.NewReader(files[path])); err != nil {
			break
		}
	}
	return p.finish(err)
}

// Checked is what [ReadFiles] reads: the files by path, with the signatures only if a key was checked, since others have no place in a proof.
func (b *Bundle) Checked() map[string][]byte {
	files := make(map[string][]byte, len(b.Files)+1)
	for _, file := range b.Files {
		files[file.Path] = file.Text
	}
	if b.Signatures != nil && b.Key != "" {
		files[signaturesFile] = b.Signatures
	}
	return files
}
