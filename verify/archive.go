package verify

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"
)

// Bounds of an evidence file. Reading one holds its archive in memory three times.
const (
	MaxEvidenceBytes = 64 << 20  // compressed
	MaxArchiveBytes  = 256 << 20 // not
	MaxEntries       = 100_000
)

// gzipHeader is RFC 1952: no name, no time, no system, and one extra field "C1" with the SHA-256 of everything after the header. So the file can be checked to the last bit, by any version of any
// compressor, before a byte is decompressed.
//
//	1f 8b 08 04  00000000 00 ff  24 00  'C' '1' 20 00  <32 bytes>
func gzipHeader(body []byte) []byte {
	header := []byte{0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 36, 0, 'C', '1', 32, 0}
	sum := sha256.Sum256(body)
	return append(header, sum[:]...)
}

const gzipHeaderBytes = 16 + sha256.Size

func compress(w io.Writer, archive []byte) error {
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(archive); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	// The writer's own header, without an extra field, has ten bytes.
	body := packed.Bytes()[10:]
	if size := gzipHeaderBytes + len(body); size > MaxEvidenceBytes {
		return fmt.Errorf("evidence: %d bytes, at most %d", size, MaxEvidenceBytes)
	}
	if _, err := w.Write(gzipHeader(body)); err != nil {
		return err
	}
	_, err = w.Write(body)
	return err
}

func decompress(file []byte) ([]byte, error) {
	if len(file) > MaxEvidenceBytes {
		return nil, fmt.Errorf("%d bytes, at most %d", len(file), MaxEvidenceBytes)
	}
	if len(file) < gzipHeaderBytes || !bytes.Equal(gzipHeader(file[gzipHeaderBytes:]), file[:gzipHeaderBytes]) {
		return nil, errors.New("not an evidence file, or changed after it was written: its header does not hold the hash of the rest")
	}
	rest := bytes.NewReader(file)
	z, err := gzip.NewReader(rest)
	if err != nil {
		return nil, err
	}
	z.Multistream(false)
	archive, err := io.ReadAll(io.LimitReader(z, MaxArchiveBytes+1))
	if err != nil {
		return nil, err
	}
	if len(archive) > MaxArchiveBytes {
		return nil, fmt.Errorf("its archive has more than %d bytes", MaxArchiveBytes)
	}
	if rest.Len() > 0 {
		return nil, fmt.Errorf("%d bytes after its end", rest.Len())
	}
	return archive, nil
}

// writeArchive is the one form of an archive: regular files, mode 0644, owner and time 0, in USTAR but for a name that is too long for it or not ASCII, which goes before it as the `path` of a PAX header.
func writeArchive(entries []entry) ([]byte, error) {
	if len(entries) > MaxEntries {
		return nil, fmt.Errorf("%d entries, at most %d", len(entries), MaxEntries)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, e := range entries {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: e.name, Size: int64(len(e.text)), Mode: 0o644, ModTime: time.Unix(0, 0)}
		if err := w.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, err)
		}
		if _, err := w.Write(e.text); err != nil {
			return nil, err
		}
		if archive.Len() > MaxArchiveBytes {
			return nil, fmt.Errorf("more than %d bytes", MaxArchiveBytes)
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return archive.Bytes(), nil
}

func readArchive(archive []byte) ([]entry, error) {
	var entries []entry
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			return nil, err
		}
		// A sparse file, a few bytes of which are gigabytes, needs more records, or another format.
		_, long := header.PAXRecords["path"]
		if header.Typeflag != tar.TypeReg || header.Format != tar.FormatUSTAR && !(header.Format == tar.FormatPAX && long && len(header.PAXRecords) == 1) {
			return nil, fmt.Errorf("%s is not a regular file of a plain archive", header.Name)
		}
		if len(entries) == MaxEntries {
			return nil, fmt.Errorf("more than %d entries", MaxEntries)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry{header.Name, text})
	}
}
