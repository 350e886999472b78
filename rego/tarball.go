package rego

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io"

	"github.com/smarthausgroup/caio/contracts"
)

// ReadTarball reads a bundle from a gzip-compressed tar, as `opa build` and `caio policy build` make it. Entries are regular files and directories; a path that leaves the bundle, a repeated one, and more than
// [MaxBundleFiles] or [MaxBundleBytes] are refused.
func ReadTarball(name string, r io.Reader) (*Bundle, contracts.Diagnostics) {
	p := packing{bundle: name}
	return p.finish(p.unpack(r))
}

func (p *packing) unpack(r io.Reader) error {
	unzipped, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	// Headers count too: a bundle of nothing but them has an end as well.
	limited := &io.LimitedReader{R: unzipped, N: 2*MaxBundleBytes + 1}
	archive := tar.NewReader(limited)
	for entries := 0; ; entries++ {
		header, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if entries > 2*MaxBundleFiles {
			return fmt.Errorf("a bundle has at most %d files", MaxBundleFiles)
		}
		switch header.Typeflag {
		case tar.TypeDir:
		case tar.TypeReg:
			if err := p.add(header.Name, archive); err != nil {
				return err
			}
		default:
			p.faults.Errorf("bundle-file", "", contracts.Position{File: p.bundle}, "the entry %.80q is not a regular file", header.Name)
		}
	}
	// The checksum of the compression stands at the end.
	if _, err := io.Copy(io.Discard, limited); err != nil {
		return err
	}
	if limited.N == 0 {
		return fmt.Errorf("a bundle has at most %d bytes", MaxBundleBytes)
	}
	return nil
}
