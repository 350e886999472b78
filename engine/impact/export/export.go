// Package export writes and reads stored decisions as one file, so that what a change of policies would do to them can be told without the server that made them (spec/policy.md, `caio policy impact`).
//
// A file is gzip-compressed lines of canonical JSON, each a map of one key, which says what stands on the line. Contracts, attestations, settings and bundles stand once, before the first decision that names them by digest:
//
//	{"caio.decisions/v1":{"bundles":[{digest,index,key,name}…],"from","log","settings","tenant","to"}}    first; bundles and settings are those in force when it was written
//	{"settings":{…}}                                                        the map in force
//	{"bundle":{"digest","files":{path:base64…},"key","name"}}               for each bundle in force
//	{"contract":{…}}                                                        a candidate's; its digest is over the value
//	{"attestations":[{contract,level,service}…]}                            those of a snapshot; its digest is over the value
//	{"decision":{"disclosures":["…"…],"document":{…}}}                      in order of time; the document's bytes are those that its statement signs
//	{"end":{"decisions":n,"lines":SHA-256}}                                 last; over every line before, LF included
//
// A file without its end is truncated. It is no evidence: nothing in it is signed.
package export

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/smarthausgroup/caio/contracts/canonical"
	"github.com/smarthausgroup/caio/verify"
)

// MediaType of an export.
const MediaType = "application/vnd.caio.decisions+gzip"

// What stands on a line.
const (
	kindHead         = "caio.decisions/v1"
	kindSettings     = "settings"
	kindBundle       = "bundle"
	kindContract     = "contract"
	kindAttestations = "attestations"
	kindDecision     = "decision"
	kindEnd          = "end"
)

// Head says what the decisions are, and what was in force when they were exported. Times are as in a document; From is included, To is not.
type Head struct {
	Bundles  []verify.BundleReference `json:"bundles"` // in order of name
	From     string                   `json:"from"`    // "" for the beginning
	Log      string                   `json:"log"`
	Settings string                   `json:"settings"` // digest
	Tenant   string                   `json:"tenant"`
	To       string                   `json:"to"`
}

// bundle is one with the bytes of its files.
type bundle struct {
	Digest string            `json:"digest"`
	Files  map[string]string `json:"files"` // base64, by path; .signatures.json included
	Key    string            `json:"key"`
	Name   string            `json:"name"`
}

type end struct {
	Decisions int64  `json:"decisions"`
	Lines     string `json:"lines"`
}

// Writer writes an export. Memory is bounded by the number of contracts and attestations, not of decisions. It is not safe for concurrent use.
type Writer struct {
	zip       *gzip.Writer
	lines     hash.Hash
	written   map[string]bool // contracts and attestations, by digest
	decisions int64
}

// NewWriter begins a file.
func NewWriter(w io.Writer, h Head) (*Writer, error) {
	e := &Writer{zip: gzip.NewWriter(w), lines: sha256.New(), written: map[string]bool{}}
	return e, e.value(kindHead, h)
}

func (w *Writer) value(kind string, v any) error {
	text, err := canonical.Encode(v)
	if err != nil {
		return err
	}
	return w.line(kind, text)
}

func (w *Writer) line(kind string, value ...[]byte) error {
	out := io.MultiWriter(w.zip, w.lines)
	if _, err := fmt.Fprintf(out, "{%q:", kind); err != nil {
		return err
	}
	for _, part := range value {
		if _, err := out.Write(part); err != nil {
			return err
		}
	}
	_, err := out.Write([]byte("}\n"))
	return err
}

// Settings writes the settings in force.
func (w *Writer) Settings(settings map[string]any) error { return w.value(kindSettings, settings) }

// Bundle writes a bundle in force, with the bytes of its files by path.
func (w *Writer) Bundle(b verify.BundleReference, files map[string][]byte) error {
	packed := bundle{Digest: b.Digest, Files: make(map[string]string, len(files)), Key: b.Key, Name: b.Name}
	for path, text := range files {
		packed.Files[path] = base64.StdEncoding.EncodeToString(text)
	}
	return w.value(kindBundle, packed)
}

// Contract writes the canonical bytes that read gives, unless a contract of this digest was written.
func (w *Writer) Contract(digest string, read func() ([]byte, error)) error {
	if w.written[digest] {
		return nil
	}
	text, err := read()
	if err != nil {
		return err
	}
	if verify.Digest(text) != digest {
		return fmt.Errorf("export: the contract %s has other bytes", digest)
	}
	w.written[digest] = true
	return w.line(kindContract, text)
}

// Attestations writes a list, unless it was written.
func (w *Writer) Attestations(list []verify.AttestationRecord) error {
	text, err := canonical.Encode(list)
	if err != nil {
		return err
	}
	if digest := verify.Digest(text); !w.written[digest] {
		w.written[digest] = true
		return w.line(kindAttestations, text)
	}
	return nil
}

// Decision writes a document and the texts of its disclosures, as they are stored. What the document names must have been written.
func (w *Writer) Decision(document []byte, disclosures []string) error {
	texts, err := canonical.Encode(disclosures)
	if err != nil {
		return err
	}
	w.decisions++
	return w.line(kindDecision, []byte(beforeDisclosures), texts, []byte(beforeDocument), document, []byte("}"))
}

// The parts of a decision's value around the texts of its disclosures, which hold no bracket, and the document.
const (
	beforeDisclosures = `{"disclosures":`
	beforeDocument    = `,"document":`
)

// Flush hands on what was written so far.
func (w *Writer) Flush() error { return w.zip.Flush() }

// Close writes the end. A file that is not closed is refused by whoever reads it.
func (w *Writer) Close() error {
	err := w.value(kindEnd, end{w.decisions, hex.EncodeToString(w.lines.Sum(nil))})
	return errors.Join(err, w.zip.Close())
}
