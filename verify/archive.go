package verify

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/verify/tlog"
)

// Bounds of an evidence file. Reading one holds its archive in memory once, and the compressed file.
const (
	MaxEvidenceBytes = 64 << 20  // compressed
	MaxArchiveBytes  = 256 << 20 // not
	MaxEntries       = 100_000
)

// Bounds of single entries, those of JSON smaller: what it takes to decode them is many times their size.
const (
	maxListBytes       = 16 << 20 // snapshot, attestations, disclosures
	maxSettingsBytes   = 4 << 20
	maxBundleFileBytes = 32 << 20
)

// maxEntry is the most bytes that an entry of that name may have; false if evidence has no such entry.
func maxEntry(name string) (int64, bool) {
	switch name {
	case entryDocument:
		return MaxDocumentBytes, true
	case entryStatement, entryErasure:
		return MaxJWSBytes, true
	case entryReceipt:
		return tlog.MaxProofBytes, true
	case entryEarlier, entryFirst:
		return MaxEarlierBytes, true
	case entrySnapshot, entryAttestations, entryDisclosures:
		return maxListBytes, true
	case entrySettings:
		return maxSettingsBytes, true
	}
	switch {
	case strings.HasPrefix(name, folderContracts):
		return contracts.MaxCanonicalBytes, true
	case strings.HasPrefix(name, folderBundles):
		return maxBundleFileBytes, true
	case strings.HasPrefix(name, folderEntries):
		return max(tlog.MaxProofBytes, tlog.MaxEntryBytes), true
	}
	return 0, false
}

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

// pack writes the entries as a file.
func pack(w io.Writer, entries []entry) error {
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return err
	}
	written := &counted{w: z}
	if err := writeArchive(written, entries); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	// The writer's own header, without an extra field, has ten bytes.
	body := packed.Bytes()[10:]
	if size := gzipHeaderBytes + len(body); size > MaxEvidenceBytes || written.n > MaxArchiveBytes {
		return fmt.Errorf("%d bytes, and %d unpacked: at most %d and %d", size, written.n, MaxEvidenceBytes, MaxArchiveBytes)
	}
	if _, err := w.Write(gzipHeader(body)); err != nil {
		return err
	}
	_, err = w.Write(body)
	return err
}

// counted counts what is written.
type counted struct {
	w io.Writer
	n int64
}

func (c *counted) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return c.w.Write(p)
}

// unpack reads the entries of a file, and the digest of the archive that they stood in. No entry is read that is larger than one of its name may be.
func unpack(file []byte) ([]entry, [sha256.Size]byte, error) {
	none := [sha256.Size]byte{}
	if len(file) > MaxEvidenceBytes {
		return nil, none, TooLarge(int64(len(file)))
	}
	if err := checkHeader(file); err != nil {
		return nil, none, err
	}
	rest := bytes.NewReader(file)
	z, err := gzip.NewReader(rest)
	if err != nil {
		return nil, none, err
	}
	z.Multistream(false)
	digest := sha256.New()
	archive := io.TeeReader(&bounded{z, MaxArchiveBytes}, digest)
	entries, err := readArchive(archive)
	if err == nil {
		_, err = io.Copy(io.Discard, archive) // to the end, for the digest and for gzip's own check
	}
	if err != nil {
		return nil, none, err
	}
	if rest.Len() > 0 {
		return nil, none, fmt.Errorf("%d bytes after its end", rest.Len())
	}
	return entries, [sha256.Size]byte(digest.Sum(nil)), nil
}

// TooLarge says that a file of so many bytes is no evidence, unread.
func TooLarge(size int64) error {
	return fmt.Errorf("the file has %d bytes, and evidence at most %d", size, MaxEvidenceBytes)
}

func checkHeader(file []byte) error {
	if len(file) < gzipHeaderBytes {
		return errors.New("not an evidence file")
	}
	want := gzipHeader(file[gzipHeaderBytes:])
	switch {
	case bytes.Equal(want, file[:gzipHeaderBytes]):
		return nil
	case bytes.Equal(want[:gzipHeaderBytes-sha256.Size], file[:gzipHeaderBytes-sha256.Size]):
		return errors.New("the file was changed or cut off: its checksum does not fit")
	}
	return errors.New("not an evidence file")
}

// bounded is a reader that fails after left bytes, where io.LimitedReader would end.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("its archive has more than %d bytes", MaxArchiveBytes)
	}
	return n, err
}

// writeArchive is the one form of an archive: regular files, mode 0644, owner and time 0, in USTAR but for a name that is too long for it or not ASCII, which goes before it as the `path` of a PAX header.
func writeArchive(to io.Writer, entries []entry) error {
	if len(entries) > MaxEntries {
		return fmt.Errorf("%d entries, at most %d", len(entries), MaxEntries)
	}
	w := tar.NewWriter(to)
	for _, e := range entries {
		if most, known := maxEntry(e.name); !known || int64(len(e.text)) > most {
			return fmt.Errorf("%s has %d bytes, at most %d", e.name, len(e.text), most)
		}
		header := &tar.Header{Typeflag: tar.TypeReg, Name: e.name, Size: int64(len(e.text)), Mode: 0o644, ModTime: time.Unix(0, 0)}
		if err := w.WriteHeader(header); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
		if _, err := w.Write(e.text); err != nil {
			return err
		}
	}
	return w.Close()
}

func readArchive(archive io.Reader) ([]entry, error) {
	var entries []entry
	r := tar.NewReader(archive)
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
		most, known := maxEntry(header.Name)
		if !known {
			return nil, fmt.Errorf("%s: evidence has no such entry", header.Name)
		}
		if header.Size < 0 || header.Size > most {
			return nil, fmt.Errorf("%s has %d bytes, at most %d", header.Name, header.Size, most)
		}
		text := make([]byte, header.Size)
		if _, err := io.ReadFull(r, text); err != nil {
			return nil, err
		}
		entries = append(entries, entry{header.Name, text})
	}
}
