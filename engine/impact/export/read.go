package export

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/canonical"
	"github.com/smarthausgroup/caio/verify"
)

// Bounds of what is read.
const (
	maxLine = 64 << 20
	maxHeld = 512 << 20 // contracts, attestations, settings and bundles together
)

// Bundle is one that was in force when the export was written.
type Bundle struct {
	verify.BundleReference
	Files map[string][]byte // by path, .signatures.json included
}

// Reader reads an export, strictly: what it accepts, a [Writer] writes again line by line. Next is for one goroutine; what it has read can be asked for by any.
type Reader struct {
	Head     Head
	Settings map[string]any
	Bundles  []Bundle // in order of name

	lines     *bufio.Reader
	finish    func() error // what has to hold behind the last line
	sum       hash.Hash
	number    int // of the line, from 1
	held      int
	decisions int64
	ended     bool

	contracts    sync.Map // digest -> canonical bytes
	attestations sync.Map // digest -> []verify.AttestationRecord
}

// Decision is one that is still to be decoded.
type Decision struct {
	Line        int
	reader      *Reader
	document    []byte
	disclosures []string
}

// NewReader reads up to the first decision.
func NewReader(r io.Reader) (*Reader, error) {
	source := bufio.NewReader(r)
	zip, err := gzip.NewReader(source)
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	zip.Multistream(false)
	return newReader(zip, func() error {
		if _, err := source.ReadByte(); err != io.EOF {
			return errors.New("something follows the end")
		}
		return nil
	})
}

func newReader(lines io.Reader, finish func() error) (*Reader, error) {
	r := &Reader{lines: bufio.NewReaderSize(lines, 1<<16), finish: finish, sum: sha256.New()}
	if err := r.begin(); err != nil {
		return nil, r.misread(err)
	}
	return r, nil
}

func (r *Reader) misread(err error) error { return fmt.Errorf("export: line %d: %w", r.number, err) }

// begin reads what was in force: head, settings, and the bundles in their order.
func (r *Reader) begin() error {
	if err := r.expect(kindHead, func(value []byte) error { return canonical.Decode(value, &r.Head) }); err != nil {
		return err
	}
	if err := r.expect(kindSettings, r.readSettings); err != nil {
		return err
	}
	for i, b := range r.Head.Bundles {
		if i > 0 && b.Name <= r.Head.Bundles[i-1].Name {
			return errors.New("the bundles in force are not in order of name")
		}
		if err := r.expect(kindBundle, func(value []byte) error { return r.readBundle(b, value) }); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reader) expect(kind string, read func(value []byte) error) error {
	got, value, err := r.line()
	if err != nil {
		return err
	}
	if got != kind {
		return fmt.Errorf("expected %q, found %.40q", kind, got)
	}
	if r.held += len(value); r.held > maxHeld {
		return fmt.Errorf("contracts, attestations, settings and bundles come to more than %d bytes", maxHeld)
	}
	return read(value)
}

// line reads one line and gives its kind and value.
func (r *Reader) line() (kind string, value []byte, err error) {
	r.number++
	var text []byte
	for more := true; more; {
		var part []byte
		part, err = r.lines.ReadSlice('\n')
		text, more = append(text, part...), errors.Is(err, bufio.ErrBufferFull)
		if len(text) > maxLine {
			return "", nil, fmt.Errorf("the line has more than %d bytes", maxLine)
		}
	}
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return "", nil, errors.New("the file is truncated: its end is missing")
	case err != nil:
		return "", nil, err
	}
	for _, kind := range []string{kindDecision, kindContract, kindAttestations, kindEnd, kindHead, kindSettings, kindBundle} {
		if value, ok := bytes.CutPrefix(text, []byte(`{"`+kind+`":`)); ok && bytes.HasSuffix(value, []byte("}\n")) {
			if kind != kindEnd {
				r.sum.Write(text)
			}
			return kind, value[:len(value)-2], nil
		}
	}
	return "", nil, fmt.Errorf("not a line of an export: %.40q", text)
}

func (r *Reader) readSettings(value []byte) error {
	settings, err := verify.ParseSettings(value)
	if err != nil {
		return err
	}
	if digest := verify.Digest(value); digest != r.Head.Settings {
		return fmt.Errorf("the settings have the digest %s, and %s are in force", digest, r.Head.Settings)
	}
	r.Settings = settings
	return nil
}

func (r *Reader) readBundle(want verify.BundleReference, value []byte) error {
	var packed bundle
	if err := canonical.Decode(value, &packed); err != nil {
		return err
	}
	if packed.Name != want.Name || packed.Digest != want.Digest || packed.Key != want.Key {
		return fmt.Errorf("expected the bundle %s, %s", want.Name, want.Digest)
	}
	b := Bundle{want, make(map[string][]byte, len(packed.Files))}
	for path, text := range packed.Files {
		raw, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil || base64.StdEncoding.EncodeToString(raw) != text {
			return fmt.Errorf("the file %s of the bundle %s is not base64", path, want.Name)
		}
		b.Files[path] = raw
	}
	digest, err := verify.BundleDigest(b.Files)
	if err != nil {
		return err
	}
	if digest != want.Digest {
		return fmt.Errorf("the bundle %s has the digest %s, not %s", want.Name, digest, want.Digest)
	}
	r.Bundles = append(r.Bundles, b)
	return nil
}

// Next reads on to the next decision. The error is io.EOF behind the last one, once the end was found to be the right one.
func (r *Reader) Next() (*Decision, error) {
	for !r.ended {
		kind, value, err := r.line()
		if err != nil {
			return nil, r.misread(err)
		}
		if kind == kindDecision {
			d, err := r.decision(value)
			if err != nil {
				return nil, r.misread(err)
			}
			return d, nil
		}
		if err := r.other(kind, value); err != nil {
			return nil, r.misread(err)
		}
	}
	return nil, io.EOF
}

func (r *Reader) decision(value []byte) (*Decision, error) {
	r.decisions++
	d := &Decision{Line: r.number, reader: r}
	rest, begins := bytes.CutPrefix(value, []byte(beforeDisclosures))
	texts, rest, divided := bytes.Cut(rest, []byte(beforeDocument))
	document, ends := bytes.CutSuffix(rest, []byte("}"))
	if !begins || !divided || !ends {
		return nil, errors.New("a decision has disclosures and a document, in this order")
	}
	d.document = document
	if err := canonical.Decode(texts, &d.disclosures); err != nil {
		return nil, fmt.Errorf("disclosures: %w", err)
	}
	return d, nil
}

// other reads what stands between decisions.
func (r *Reader) other(kind string, value []byte) error {
	switch kind {
	case kindContract:
		return r.hold(&r.contracts, value, func() (any, error) { return value, nil })
	case kindAttestations:
		return r.hold(&r.attestations, value, func() (any, error) {
			var list []verify.AttestationRecord
			err := canonical.Decode(value, &list)
			return list, err
		})
	case kindEnd:
		return r.end(value)
	}
	return fmt.Errorf("%q stands at the beginning only", kind)
}

// hold keeps what decisions name by digest; it stands once.
func (r *Reader) hold(in *sync.Map, value []byte, read func() (any, error)) error {
	if r.held += len(value); r.held > maxHeld {
		return fmt.Errorf("contracts, attestations, settings and bundles come to more than %d bytes", maxHeld)
	}
	v, err := read()
	if err != nil {
		return err
	}
	digest := verify.Digest(value)
	if _, twice := in.LoadOrStore(digest, v); twice {
		return fmt.Errorf("%s stands here again", digest)
	}
	return nil
}

func (r *Reader) end(value []byte) error {
	var e end
	if err := canonical.Decode(value, &e); err != nil {
		return err
	}
	if sum := hex.EncodeToString(r.sum.Sum(nil)); e.Lines != sum || e.Decisions != r.decisions {
		return fmt.Errorf("the file has %d decisions and the digest %s, and its end says %d and %s", r.decisions, sum, e.Decisions, e.Lines)
	}
	if _, err := r.lines.ReadByte(); err != io.EOF {
		return errors.New("something follows the end")
	}
	r.ended = true
	return r.finish()
}

// Decode gives the document and its disclosures, strictly. It may be called by any goroutine.
func (d *Decision) Decode() (*verify.Document, []verify.Disclosure, error) {
	document, err := verify.DecodeDocument(d.document)
	if err != nil {
		return nil, nil, err
	}
	if document.Tenant != d.reader.Head.Tenant || document.Log != d.reader.Head.Log {
		return nil, nil, errors.New("the decision is of another tenant or log than the file")
	}
	disclosures := make([]verify.Disclosure, len(d.disclosures))
	for i, text := range d.disclosures {
		if disclosures[i], err = verify.ParseDisclosure(text); err != nil {
			return nil, nil, err
		}
	}
	return document, disclosures, nil
}

// Contract is the canonical bytes of a contract that stands before the decisions that were read.
func (r *Reader) Contract(digest string) ([]byte, error) {
	text, ok := r.contracts.Load(digest)
	if !ok {
		return nil, fmt.Errorf("export: the contract %s is missing", digest)
	}
	return text.([]byte), nil
}

// Level is what was recorded of a service's contract, by the digest of the list of attestations that a document names.
func (r *Reader) Level(list, service, contract string) (contracts.Attestation, error) {
	held, ok := r.attestations.Load(list)
	if !ok {
		return "", fmt.Errorf("export: the attestations %s are missing", list)
	}
	for _, a := range held.([]verify.AttestationRecord) {
		if a.Service == service && a.Contract == contract {
			return a.Level, nil
		}
	}
	return contracts.SelfAttested, nil
}
