package verify

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/canonical"
)

// Evidence is one file with a proof and what is needed to check it (spec/proof.md, "Evidence").
//
// As a file it is a gzip-compressed tar, conventionally *.caio, which any tar reads:
//
//	document.json              canonical
//	statement.jws              compact JWS
//	receipt.txt                tlog-proof@v1 of the statement; absent where there is no log
//	earlier.txt                an [Earlier], from before the decision; absent where nobody cosigned
//	first.txt                  an [Earlier], the first cosigned one that holds the decision; absent where that is the receipt's checkpoint
//	erasure.jws                compact JWS of the entry by which content was erased; absent where none was
//	snapshot.tsv               service TAB contract digest LF, sorted
//	attestations.json          canonical
//	settings.json              canonical
//	disclosures.json           canonical, the texts of the disclosures in order of name
//	contracts/<digest>.json    canonical, in order of digest; all of the snapshot, or fewer
//	bundles/<digest>/<path>    in order of digest and path
//	entries/<index>.jws        in order of index: what put the rest in force, and what came of the decision
//	entries/<index>.receipt    tlog-proof@v1 of that entry
//
// Where the document was erased too, there is no more of it than statement, receipt, earlier and first checkpoint, and erasure.
type Evidence struct {
	Document     []byte // canonical bytes, as stored; nil where it was erased
	Statement    []byte // compact JWS
	Receipt      []byte // tlog-proof@v1 of the statement, nil for none
	Earlier      []byte // text of an [Earlier] without the decision, nil for none
	First        []byte // text of the first [Earlier] that holds the decision, nil for none, or where it is the checkpoint of Receipt
	Erasure      []byte // compact JWS of an [ErasureRecord], nil where nothing was erased
	Snapshot     map[string]string
	Contracts    map[string][]byte // canonical bytes by digest
	Attestations []AttestationRecord
	Settings     map[string]any               // values as contracts.Exact makes them
	Bundles      map[string]map[string][]byte // bytes by bundle digest and path; a path is relative, with slashes
	Disclosures  []Disclosure                 // those that the reader may see
	Entries      []LoggedEntry                // in order of index
}

// AttestationRecord is one entry of the list whose digest a document names: in order of service, of the services of the snapshot whose attestation is not `self`.
type AttestationRecord struct {
	Service  string                `json:"service"`
	Contract string                `json:"contract"` // digest
	Level    contracts.Attestation `json:"level"`
}

// Names of the entries of the archive, in their order. All but receipt, earlier and first checkpoint, and erasure are there wherever the document is.
const (
	entryDocument     = "document.json"
	entryStatement    = "statement.jws"
	entryReceipt      = "receipt.txt"
	entryEarlier      = "earlier.txt"
	entryFirst        = "first.txt"
	entryErasure      = "erasure.jws"
	entrySnapshot     = "snapshot.tsv"
	entryAttestations = "attestations.json"
	entrySettings     = "settings.json"
	entryDisclosures  = "disclosures.json"

	folderContracts = "contracts/"
	folderBundles   = "bundles/"
	folderEntries   = "entries/"

	suffixJWS     = ".jws"
	suffixReceipt = ".receipt"
)

// SignaturesFile is the one file of a bundle that its digest leaves out.
const SignaturesFile = ".signatures.json"

// WriteEvidence writes the file. The same evidence gives the same bytes from the same build.
func WriteEvidence(w io.Writer, ev *Evidence) error {
	entries, err := ev.entries()
	if err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	if err := pack(w, entries); err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	return nil
}

// ReadEvidence reads a file that [WriteEvidence] wrote, and nothing else: it writes what it read again, and compares. It says nothing yet of whether the parts fit together; that is for [Check].
func ReadEvidence(file []byte) (*Evidence, error) {
	ev, err := readEvidence(file)
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	return ev, nil
}

func readEvidence(file []byte) (*Evidence, error) {
	entries, digest, err := unpack(file)
	if err != nil {
		return nil, err
	}
	ev, err := parseEntries(entries)
	if err != nil {
		return nil, err
	}
	if entries, err = ev.entries(); err != nil {
		return nil, err
	}
	again := sha256.New()
	if err := writeArchive(again, entries); err != nil {
		return nil, err
	}
	if !bytes.Equal(again.Sum(nil), digest[:]) {
		return nil, errors.New("the archive is not in its one form: order, names or headers of its entries differ")
	}
	return ev, nil
}

// entry is a file of the archive.
type entry struct {
	name string
	text []byte
}

// entries are the files of the archive, in their order.
func (ev *Evidence) entries() ([]entry, error) {
	attestations, err := canonical.Encode(ev.Attestations)
	if err != nil {
		return nil, err
	}
	settings, err := canonical.Encode(ev.Settings)
	if err != nil {
		return nil, err
	}
	disclosures, err := encodeDisclosures(ev.Disclosures)
	if err != nil {
		return nil, err
	}
	var entries []entry
	for _, e := range []entry{{entryDocument, ev.Document}, {entryStatement, ev.Statement}, {entryReceipt, ev.Receipt}, {entryEarlier, ev.Earlier}, {entryFirst, ev.First}, {entryErasure, ev.Erasure}} {
		if e.text != nil || e.name == entryStatement {
			entries = append(entries, e)
		}
	}
	if ev.Document == nil {
		return entries, nil
	}
	entries = append(entries, []entry{
		{entrySnapshot, SnapshotText(ev.Snapshot)},
		{entryAttestations, attestations},
		{entrySettings, settings},
		{entryDisclosures, disclosures},
	}...)
	for _, digest := range slices.Sorted(maps.Keys(ev.Contracts)) {
		entries = append(entries, entry{folderContracts + digest + ".json", ev.Contracts[digest]})
	}
	for _, digest := range slices.Sorted(maps.Keys(ev.Bundles)) {
		for _, path := range slices.Sorted(maps.Keys(ev.Bundles[digest])) {
			if err := checkPath(path); err != nil {
				return nil, err
			}
			entries = append(entries, entry{folderBundles + digest + "/" + path, ev.Bundles[digest][path]})
		}
	}
	return append(entries, ev.files()...), nil
}

func parseEntries(entries []entry) (*Evidence, error) {
	ev := &Evidence{Contracts: map[string][]byte{}, Bundles: map[string]map[string][]byte{}}
	seen := map[string]bool{}
	for _, e := range entries {
		if seen[e.name] {
			return nil, fmt.Errorf("%s stands in it twice", e.name)
		}
		seen[e.name] = true
		if err := ev.parse(e); err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, err)
		}
	}
	required := []string{entryDocument, entryStatement, entrySnapshot, entryAttestations, entrySettings, entryDisclosures}
	if seen[entryErasure] && !seen[entryDocument] {
		required = []string{entryStatement}
	}
	for _, name := range required {
		if !seen[name] {
			return nil, fmt.Errorf("%s is missing", name)
		}
	}
	return ev, nil
}

func (ev *Evidence) parse(e entry) (err error) {
	switch e.name {
	case entryDocument:
		ev.Document = e.text
		return nil
	case entryStatement:
		ev.Statement = e.text
		return nil
	case entryReceipt:
		ev.Receipt = e.text
		return nil
	case entryEarlier:
		ev.Earlier = e.text
		return nil
	case entryFirst:
		ev.First = e.text
		return nil
	case entryErasure:
		ev.Erasure = e.text
		return nil
	case entrySnapshot:
		ev.Snapshot, err = parseSnapshot(e.text)
		return err
	case entryAttestations:
		return canonical.Decode(e.text, &ev.Attestations)
	case entrySettings:
		ev.Settings, err = ParseSettings(e.text)
		return err
	case entryDisclosures:
		ev.Disclosures, err = parseDisclosures(e.text)
		return err
	}
	if file, ok := strings.CutPrefix(e.name, folderContracts); ok {
		digest, ok := strings.CutSuffix(file, ".json")
		if !ok || Digest(e.text) != digest {
			return errors.New("it is not named by its digest")
		}
		ev.Contracts[digest] = e.text
		return nil
	}
	if file, ok := strings.CutPrefix(e.name, folderBundles); ok {
		digest, path, _ := strings.Cut(file, "/")
		if err := checkPath(path); err != nil {
			return err
		}
		if ev.Bundles[digest] == nil {
			ev.Bundles[digest] = map[string][]byte{}
		}
		ev.Bundles[digest][path] = e.text
		return nil
	}
	if file, ok := strings.CutPrefix(e.name, folderEntries); ok {
		return ev.parseLogged(file, e.text)
	}
	return errors.New("evidence has no such entry")
}

// SnapshotText is the sorted lines `service TAB contract digest LF`, whose [Digest] is the snapshot's (spec/proof.md, "Digests").
func SnapshotText(snapshot map[string]string) []byte {
	var text []byte
	for _, service := range slices.Sorted(maps.Keys(snapshot)) {
		text = append(text, service+"\t"+snapshot[service]+"\n"...)
	}
	return text
}

func parseSnapshot(text []byte) (map[string]string, error) {
	snapshot := map[string]string{}
	for line := range strings.Lines(string(text)) {
		service, rest, _ := strings.Cut(line, "\t")
		digest, _ := strings.CutSuffix(rest, "\n")
		snapshot[service] = digest
	}
	if !bytes.Equal(SnapshotText(snapshot), text) {
		return nil, errors.New("not sorted lines of service TAB contract digest LF")
	}
	return snapshot, nil
}

// AttestationsDigest is the digest that a document names.
func AttestationsDigest(list []AttestationRecord) (string, error) { return canonical.Digest(list) }

// SettingsDigest is the digest that a document names.
func SettingsDigest(settings map[string]any) (string, error) { return canonical.Digest(settings) }

// ParseSettings reads canonical settings, strictly. Values are as contracts.Exact makes them.
func ParseSettings(text []byte) (map[string]any, error) {
	var values map[string]contracts.Value
	if err := canonical.Decode(text, &values); err != nil {
		return nil, err
	}
	settings := make(map[string]any, len(values))
	for key, value := range values {
		settings[key] = value.V
	}
	return settings, nil
}

func encodeDisclosures(list []Disclosure) ([]byte, error) {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b Disclosure) int { return cmp.Compare(a.Name, b.Name) })
	lines := make([]string, len(list))
	for i, d := range list {
		text, err := d.Text()
		if err != nil {
			return nil, err
		}
		lines[i] = text
	}
	return canonical.Encode(lines)
}

func parseDisclosures(text []byte) ([]Disclosure, error) {
	var lines []string
	if err := canonical.Decode(text, &lines); err != nil {
		return nil, err
	}
	list := make([]Disclosure, len(lines))
	for i, line := range lines {
		d, err := ParseDisclosure(line)
		if err != nil {
			return nil, err
		}
		list[i] = d
	}
	return list, ascending(list, func(d Disclosure) string { return d.Name })
}

// BundleDigest is the digest of a bundle with these files: over the sorted lines `path TAB digest of the file's bytes LF`, however it was packed, without [SignaturesFile] (spec/proof.md, "Digests").
func BundleDigest(files map[string][]byte) (string, error) {
	var lines []byte
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if err := checkPath(path); err != nil {
			return "", err
		}
		if path != SignaturesFile {
			lines = append(lines, path+"\t"+Digest(files[path])+"\n"...)
		}
	}
	return Digest(lines), nil
}

// checkPath wants a path that stays inside its folder, in its one form, without control characters.
func checkPath(path string) error {
	if path == "." || !fs.ValidPath(path) || strings.ContainsFunc(path, unicode.IsControl) {
		return fmt.Errorf("the path %q of a bundle's file is not relative and plain, or holds a control character", path)
	}
	return nil
}

// Bound checks that what the evidence holds is what d names by digest: snapshot, attestations, settings, bundles, and the contracts of the candidates. The error is a [*Fault].
func (ev *Evidence) Bound(d *Document) error {
	var f findings
	attestations, err := AttestationsDigest(ev.Attestations)
	if err != nil {
		return err
	}
	settings, err := SettingsDigest(ev.Settings)
	if err != nil {
		return err
	}
	const reason = "the evidence holds something else than what the document names"
	equal(&f, "/snapshot/digest", reason, d.Snapshot.Digest, Digest(SnapshotText(ev.Snapshot)))
	equal(&f, "/attestations/digest", reason, d.Attestations.Digest, attestations)
	equal(&f, "/settings/digest", reason, d.Settings.Digest, settings)
	ev.boundAttestations(&f)
	ev.boundBundles(&f, d)
	named := map[string]bool{}
	for service, digest := range ev.Snapshot {
		f.require(isName(service), "/snapshot/digest", fmt.Sprintf("%q is not the id of a service", service))
		named[digest] = true
	}
	for i, c := range d.Candidates {
		equal(&f, pointer("candidates", i, "contract"), "the contract is not the one of the snapshot", ev.Snapshot[c.Service], c.Contract)
		f.require(ev.Contracts[c.Contract] != nil, pointer("candidates", i, "contract"), "the evidence lacks the contract")
	}
	for i, u := range d.Unmatched {
		f.require(ev.Snapshot[u.Service] != "", pointer("unmatched", i, "service"), "the service is not in the snapshot")
	}
	for _, digest := range slices.Sorted(maps.Keys(ev.Contracts)) {
		f.require(named[digest], "/snapshot/digest", "the evidence holds a contract that is not in the snapshot: "+digest)
	}
	return f.err()
}

// boundAttestations checks that the list is what it should be of this snapshot: in order of service, of contracts that are in it, and only of those that somebody looked at.
func (ev *Evidence) boundAttestations(f *findings) {
	const at = "/attestations/digest"
	for i, record := range ev.Attestations {
		if i > 0 && ev.Attestations[i-1].Service >= record.Service {
			f.fault(at, "the list of attestations is sorted by service and repeats none", "more than "+ev.Attestations[i-1].Service, record.Service)
		}
		contract, ok := ev.Snapshot[record.Service]
		f.require(ok, at, fmt.Sprintf("the list attests the service %q, which is not in the snapshot", record.Service))
		equal(f, at, "the list attests another contract of service "+record.Service+" than the snapshot's", contract, record.Contract)
		f.require(record.Level == contracts.Audited || record.Level == contracts.Verified, at, fmt.Sprintf("the list attests %s as %q, which is neither audited nor verified", record.Service, record.Level))
	}
}

func (ev *Evidence) boundBundles(f *findings, d *Document) {
	named := map[string]bool{}
	for i, b := range d.Bundles {
		named[b.Digest] = true
		files, ok := ev.Bundles[b.Digest]
		f.require(ok, pointer("bundles", i, "digest"), "the evidence lacks the bundle "+b.Name)
		if !ok {
			continue
		}
		if _, signed := files[SignaturesFile]; signed && b.Key == "" {
			f.fault(pointer("bundles", i, "key"), "the document says that the bundle is unsigned, and the evidence holds signatures of it", "", "")
		}
		digest, err := BundleDigest(files)
		if err != nil {
			f.fault(pointer("bundles", i, "digest"), err.Error(), "", "")
			continue
		}
		equal(f, pointer("bundles", i, "digest"), "the evidence holds another bundle than the document names", b.Digest, digest)
	}
	for _, digest := range slices.Sorted(maps.Keys(ev.Bundles)) {
		f.require(named[digest], "/bundles", "the evidence holds a bundle that the document does not name: "+digest)
	}
}
