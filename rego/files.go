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
