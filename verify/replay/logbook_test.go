package replay_test

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/replay"
	"github.com/smarthausgroup/caio/verify/tlog"
	"golang.org/x/mod/sumdb/note"
	sumdb "golang.org/x/mod/sumdb/tlog"
)

// The log's operator, and those around it.
const (
	logOrigin   = "caio.example.com/log"
	witnessName = "witness.example.com"
)

func private(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

// Keys by number.
const (
	issuerSeed byte = iota + 1
	strangerSeed
	logSeed
	witnessSeed
	approverSeed
	releaseSeed
	rootSeed
	secondSeed
)

func signerOf(t testing.TB, seed byte) *verify.Signer {
	t.Helper()
	s, err := verify.NewSigner(private(seed))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func vkey(t testing.TB, name string, algorithm tlog.Algorithm, seed byte) tlog.Key {
	t.Helper()
	key, err := tlog.NewKey(name, algorithm, private(seed).Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// logbook is a log as golang.org/x/mod writes it, whose operator signs whatever he likes.
type logbook struct {
	t      testing.TB
	leaves [][]byte
	hashes []sumdb.Hash
	at     time.Time // of the witness's clock
	now    time.Time // that entries besides decisions state
	cosign bool
	by     byte // whose key signs entries, the issuer's if 0
}

func (l *logbook) ReadHashes(indexes []int64) ([]sumdb.Hash, error) {
	list := make([]sumdb.Hash, len(indexes))
	for i, index := range indexes {
		list[i] = l.hashes[index]
	}
	return list, nil
}

func (l *logbook) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// add appends a leaf as it is.
func (l *logbook) add(leaf []byte) int64 {
	l.t.Helper()
	index := int64(len(l.leaves))
	hashes, err := sumdb.StoredHashes(index, leaf, l)
	l.must(err)
	l.leaves, l.hashes = append(l.leaves, leaf), append(l.hashes, hashes...)
	return index
}

// sign appends an entry under the key that is in use.
func (l *logbook) sign(typ string, payload any) int64 {
	l.t.Helper()
	return l.signBy(cmp.Or(l.by, issuerSeed), typ, payload)
}

// signBy appends an entry under any key.
func (l *logbook) signBy(seed byte, typ string, payload any) int64 {
	l.t.Helper()
	leaf, err := signerOf(l.t, seed).Sign(typ, payload)
	l.must(err)
	return l.add(leaf)
}

func (l *logbook) head() verify.RecordHead {
	return verify.RecordHead{V: 1, Tenant: "acme", Log: logOrigin, Base: int64(len(l.leaves)), IAT: l.now.Unix()}
}

// checkpoint is signed by the log, and by the witness if there is one.
func (l *logbook) checkpoint(size int64) tlog.Checkpoint {
	l.t.Helper()
	c := tlog.Checkpoint{Origin: logOrigin, Size: size}
	root, err := sumdb.TreeHash(size, l)
	l.must(err)
	c.Root = tlog.Hash(root)
	signer, err := note.NewSigner(fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", logOrigin, vkey(l.t, logOrigin, tlog.Ed25519, logSeed).ID(), base64.StdEncoding.EncodeToString(append([]byte{byte(tlog.Ed25519)}, private(logSeed).Seed()...))))
	l.must(err)
	text, err := note.Sign(&note.Note{Text: string(c.Body())}, signer)
	l.must(err)
	c, err = tlog.ParseCheckpoint(text)
	l.must(err)
	if l.cosign {
		cosignature, err := tlog.Cosign(c, witnessName, private(witnessSeed), l.at)
		l.must(err)
		c.Signatures = append(c.Signatures, cosignature)
	}
	return c
}

func (l *logbook) proof(index int64, c tlog.Checkpoint) []byte {
	l.t.Helper()
	hashes, err := sumdb.ProveRecord(c.Size, index, l)
	l.must(err)
	p := tlog.Proof{Index: index, Checkpoint: c}
	for _, hash := range hashes {
		p.Hashes = append(p.Hashes, tlog.Hash(hash))
	}
	return p.Encode()
}

func (l *logbook) consistency(from, to int64) (list []tlog.Hash) {
	l.t.Helper()
	hashes, err := sumdb.ProveTree(to, from, l)
	l.must(err)
	for _, hash := range hashes {
		list = append(list, tlog.Hash(hash))
	}
	return list
}

// source is the log as it is served.
func (l *logbook) source() tlog.Source {
	l.t.Helper()
	size := int64(len(l.leaves))
	files := fstest.MapFS{tlog.CheckpointPath: {Data: l.checkpoint(size).Encode()}}
	for _, tile := range sumdb.NewTiles(8, 0, size) {
		data, err := sumdb.ReadTileData(tile, l)
		l.must(err)
		files[strings.Replace(tile.Path(), "tile/8/", "tile/", 1)] = &fstest.MapFile{Data: data}
		if tile.L == 0 {
			entries, err := tlog.EncodeEntries(l.leaves[tile.N*256 : tile.N*256+int64(tile.W)])
			l.must(err)
			files[(tlog.Tile{Level: tlog.Entries, Index: tile.N, Width: tile.W}).Path()] = &fstest.MapFile{Data: entries}
		}
	}
	return tlog.Folder(files)
}

// part is a file of the archive.
type part struct {
	name string
	text []byte
}

func unpack(t testing.TB, file []byte) []part {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	var parts []part
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return parts
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part{h.Name, text})
	}
}

// pack makes a file that says what the parts say, with a checksum that fits: what somebody does who changes a part.
func pack(t testing.TB, parts []part) []byte {
	t.Helper()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, p := range parts {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: p.name, Size: int64(len(p.text)), Mode: 0o644, ModTime: time.Unix(0, 0)}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(p.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	// Stored blocks (RFC 1951, section 3.2.4): a compressor would take most of the time of tests that pack ten thousand times.
	var body []byte
	for rest := archive.Bytes(); ; {
		n := min(len(rest), 0xffff)
		last := byte(0)
		if n == len(rest) {
			last = 1
		}
		body = binary.LittleEndian.AppendUint16(append(body, last), uint16(n))
		body = append(binary.LittleEndian.AppendUint16(body, ^uint16(n)), rest[:n]...)
		if rest = rest[n:]; last == 1 {
			break
		}
	}
	body = binary.LittleEndian.AppendUint32(body, crc32.ChecksumIEEE(archive.Bytes()))
	body = binary.LittleEndian.AppendUint32(body, uint32(archive.Len()))
	sum := sha256.Sum256(body)
	file := append([]byte{0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 36, 0, 'C', '1', 32, 0}, sum[:]...)
	return append(file, body...)
}

var decided = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// world is a log with what was in force, in which a decision is made.
type world struct {
	*logbook
	arguments replay.Arguments
	header    verify.Header // that of an honest document
	trust     verify.Trust
	options   replay.Options
	registry  map[string]string
	attested  []verify.AttestationRecord
	// earlier and first are the checkpoints that were cosigned last without the decision, and first with it.
	earlier, first tlog.Checkpoint
	lead           time.Duration // by which the earlier one was cosigned before the decision was made
	// before are the same as they were earlier, for those who would rather have that.
	before struct {
		arguments replay.Arguments
		header    verify.Header
	}
}

func digestOf(t testing.TB) func(digest string, err error) string {
	return func(digest string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return digest
	}
}

func bundleOf(t testing.TB, text string) *rego.Bundle {
	t.Helper()
	b, faults := rego.ReadFiles("baseline", map[string][]byte{
		".manifest": []byte(`{"revision": "1", "roots": ["caio/policy/region"]}`), "schema.json": []byte(schema), "region.rego": []byte(text),
	})
	if faults.HasErrors() {
		t.Fatal(faults)
	}
	signed, err := rego.Sign(b, "EdDSA", "release", private(releaseSeed))
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func publicPEM(t testing.TB, seed byte) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(private(seed).Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// newWorld puts settings, a bundle, contracts and an attestation in force, and then others in their place.
func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldAfter(t, func(*world) {})
}

// newWorldAfter is the same, in a log that has entries before.
func newWorldAfter(t testing.TB, entries func(w *world)) *world {
	t.Helper()
	w := &world{lead: 30 * time.Second, logbook: &logbook{t: t, now: decided.AddDate(0, -1, 0), cosign: true}, registry: map[string]string{}, attested: []verify.AttestationRecord{}}
	w.trust = verify.Trust{
		Issuer: "caio.example.com", Logs: []verify.Log{{Origin: logOrigin, Key: vkey(t, logOrigin, tlog.Ed25519, logSeed).String()}}, Keys: verify.Keys{{Public: signerOf(t, issuerSeed).Public()}},
		Approvers: verify.Keys{{Public: signerOf(t, approverSeed).Public()}}, Policy: "witness w " + vkey(t, witnessName, tlog.CosignatureV1, witnessSeed).String() + "\nquorum w\n",
	}
	release := map[string]rego.Key{"release": {Algorithm: "EdDSA", PEM: publicPEM(t, releaseSeed)}}
	w.options = replay.Options{Build: build, VerifyBundle: func(b *rego.Bundle) (string, error) {
		verified, err := rego.Verify(b, release)
		if err != nil {
			return "", err
		}
		return verified.Key, nil
	}}
	w.arguments = replay.Arguments{
		Attestations: map[string]contracts.Attestation{}, History: map[string]contracts.History{"winner": {N: 30, OK: 30, P95: 50}}, Time: decided,
	}
	w.header = verify.Header{DecisionID: verify.NewDecisionID(decided, [10]byte{}), Issuer: "caio.example.com", Log: logOrigin, Engine: build, Time: decided}
	entries(w)
	w.firstKey()
	w.settings([]any{"eu", "us"})
	w.activate(bundleOf(t, strings.Replace(policy, "keeps data in", "has data in", 1)), "")
	for _, c := range contractsOf(t) {
		if c.ID == "winner" {
			w.before.arguments.Contracts, w.before.header.Snapshot = slices.Clone(w.arguments.Contracts), w.header.Snapshot
		}
		w.register(c)
	}
	w.before.arguments.Attestations, w.before.header.Attestations = map[string]contracts.Attestation{}, w.header.Attestations
	w.attest("winner", contracts.Audited)
	w.before.arguments.Settings, w.before.header.Settings = w.arguments.Settings, w.header.Settings
	w.settings([]any{"eu"})
	w.before.arguments.Bundles, w.before.header.Bundles = w.arguments.Bundles, w.header.Bundles
	w.activate(bundleOf(t, policy), w.before.header.Bundles[0].Digest)
	w.reported("winner", "embeddings", "failed", 50) // too old to count
	w.now = decided.AddDate(0, 0, -1)
	for range w.arguments.History["winner"].N {
		w.reported("winner", "embeddings", "succeeded", 50)
	}
	w.now = decided
	return w
}

// firstKey is the entry with which a log begins: the issuer's key lets itself in.
func (w *world) firstKey() {
	w.sign(verify.TypKey, w.keyRecord(verify.KeyActivated, issuerSeed))
}

// reported is the entries of some decision of before, and of what came of it.
func (w *world) reported(service, intent, status string, latency int64) {
	w.outcomeOf(w.decidedFor(service), service, intent, status, latency)
}

// decidedFor is the id of some decision of before.
func (w *world) decidedFor(service string) string {
	id := verify.NewDecisionID(w.now, [10]byte{8: byte(len(w.leaves)), 9: byte(len(w.leaves) >> 8)})
	h := w.head()
	w.sign(verify.TypDecision, verify.Statement{V: 1, ID: id, Tenant: h.Tenant, Log: h.Log, Base: h.Base, IAT: h.IAT, Outcome: verify.Routed, Service: service, Bundles: []string{}, Retention: verify.RetentionStandard})
	return id
}

func (w *world) outcomeOf(decision, service, intent, status string, latency int64) {
	w.sign(verify.TypOutcome, verify.OutcomeRecord{
		RecordHead: w.head(), Decision: decision, Document: strings.Repeat("0", 64), Service: service, Intent: intent, Status: status, LatencyMS: latency, Unmet: []string{}, Source: verify.SelfReported,
	})
}

func (w *world) keyRecord(kind string, subject byte) verify.KeyRecord {
	s := signerOf(w.t, subject)
	return verify.KeyRecord{RecordHead: w.head(), Kind: kind, KID: s.KeyID(), X: base64.RawURLEncoding.EncodeToString(s.Public())}
}

func (w *world) settings(permitted []any) {
	w.arguments.Settings = map[string]any{"region": map[string]any{"permitted": permitted}}
	digest := digestOf(w.t)(verify.SettingsDigest(w.arguments.Settings))
	index := w.sign(verify.TypSettings, verify.SettingsRecord{RecordHead: w.head(), Settings: digest})
	w.header.Settings = verify.Reference{Digest: digest, Revision: w.header.Settings.Revision + 1, Index: index}
}

func (w *world) activate(b *rego.Bundle, previous string) {
	record := verify.ActivationRecord{RecordHead: w.head(), Kind: verify.KindActivated, Bundle: b.Name, Digest: b.Digest, Key: "release", Previous: previous, Reason: "ticket 88"}
	approval, err := signerOf(w.t, approverSeed).Sign(verify.TypApproval, verify.Approval{V: 1, Tenant: "acme", Log: logOrigin, Bundle: b.Name, Digest: b.Digest, Previous: previous, Reason: "ticket 88"})
	w.must(err)
	record.Approval = string(approval)
	w.arguments.Bundles = []*rego.Bundle{b}
	w.header.Bundles = []verify.BundleReference{{Name: b.Name, Digest: b.Digest, Key: "release", Index: w.sign(verify.TypActivation, record)}}
}

func (w *world) mark() verify.RegistryMark {
	return verify.RegistryMark{Snapshot: verify.Digest(verify.SnapshotText(w.registry)), Attestations: digestOf(w.t)(verify.AttestationsDigest(w.attested))}
}

func (w *world) register(c *contracts.Contract) {
	w.registry[c.ID] = c.Digest()
	index := w.sign(verify.TypContract, verify.ContractRecord{RecordHead: w.head(), RegistryMark: w.mark(), Kind: verify.KindRegistered, Service: c.ID, Contract: c.Digest()})
	w.arguments.Contracts = append(w.arguments.Contracts, c)
	w.header.Snapshot = verify.Reference{Digest: w.mark().Snapshot, Revision: w.header.Snapshot.Revision + 1, Index: index}
	w.header.Attestations = verify.Reference{Digest: w.mark().Attestations, Revision: w.header.Attestations.Revision + 1, Index: index}
}

func (w *world) attest(service string, level contracts.Attestation) {
	w.attested = append(w.attested, verify.AttestationRecord{Service: service, Contract: w.registry[service], Level: level})
	w.arguments.Attestations[service] = level
	index := w.sign(verify.TypAttestation, verify.AttestationEntry{RecordHead: w.head(), RegistryMark: w.mark(), Service: service, Contract: w.registry[service], Level: level})
	w.header.Attestations = verify.Reference{Digest: w.mark().Attestations, Revision: w.header.Attestations.Revision + 1, Index: index}
}

const asked = "intent: {type: embeddings, text: embeddings for a winner}\ncontext: {text: embeddings}\n"

// decide makes a document with the arguments and the header, and the evidence of it, but for what the log says.
func (w *world) decide(request string) *proof {
	w.t.Helper()
	var faults contracts.Diagnostics
	if w.arguments.Request, faults = contracts.ParseRequest("request.yaml", []byte(request), contracts.Admission{Operator: true}); faults.HasErrors() {
		w.t.Fatal(faults)
	}
	if w.arguments.Principal, faults = contracts.ParsePrincipal("principal.yaml", []byte("{tenant: acme, subject: somebody}")); faults.HasErrors() {
		w.t.Fatal(faults)
	}
	decision, err := replay.Decide(context.Background(), w.arguments)
	w.must(err)
	commitments, disclosures, err := verify.Commit(w.arguments.Request, w.arguments.Principal.Subject, func(name string) []byte { return bytes.Repeat([]byte{byte(len(name))}, verify.SaltBytes) })
	w.must(err)
	ev := &verify.Evidence{Snapshot: map[string]string{}, Contracts: map[string][]byte{}, Settings: w.arguments.Settings, Disclosures: disclosures, Attestations: []verify.AttestationRecord{}, Bundles: map[string]map[string][]byte{}}
	for _, c := range w.arguments.Contracts {
		ev.Snapshot[c.ID], ev.Contracts[c.Digest()] = c.Digest(), c.Canonical()
		if level, ok := w.arguments.Attestations[c.ID]; ok {
			ev.Attestations = append(ev.Attestations, verify.AttestationRecord{Service: c.ID, Contract: c.Digest(), Level: level})
		}
	}
	for _, b := range w.arguments.Bundles {
		verified := *b
		verified.Key = "release"
		ev.Bundles[b.Digest] = verified.Checked()
	}
	header := w.header
	header.Base = int64(len(w.leaves))
	return &proof{ev, verify.NewDocument(header, w.arguments.Request, w.arguments.Principal, commitments, decision)}
}

// late is when an outcome is reported, after the decision.
const late = 20 * time.Minute

// publish signs the document, and puts the statement, and later an outcome, into the log.
func (w *world) publish(p *proof) *verify.Evidence {
	w.t.Helper()
	w.at = decided.Add(-w.lead)
	w.earlier = w.checkpoint(int64(len(w.leaves)))
	var err error
	p.evidence.Document, err = p.document.Canonical()
	w.must(err)
	statement, err := verify.NewStatement(p.document, verify.Digest(p.evidence.Document), verify.RetentionStandard)
	w.must(err)
	index := w.sign(verify.TypDecision, statement)
	p.evidence.Statement = w.leaves[index]
	w.at = decided.Add(5 * time.Second)
	w.first = w.checkpoint(int64(len(w.leaves)))
	entries := []int64{p.document.Snapshot.Index, p.document.Attestations.Index, p.document.Settings.Index}
	for _, b := range p.document.Bundles {
		entries = append(entries, b.Index)
	}
	if p.document.Outcome == verify.Routed {
		w.at, w.now = w.at.Add(late), w.now.Add(late)
		entries = append(entries, w.sign(verify.TypOutcome, verify.OutcomeRecord{
			RecordHead: w.head(), Decision: p.document.DecisionID, Document: verify.Digest(p.evidence.Document), Service: p.document.Choice.Service, Intent: p.document.Request.Intent.Type, Status: "succeeded", LatencyMS: 20, Unmet: []string{}, Source: verify.SelfReported,
		}))
	}
	w.receipts(p.evidence, index, entries)
	return p.evidence
}

// receipts adds what the log says.
func (w *world) receipts(ev *verify.Evidence, index int64, entries []int64) {
	w.t.Helper()
	c := w.checkpoint(int64(len(w.leaves)))
	ev.Receipt = w.proof(index, c)
	ev.Earlier, ev.First = w.extended(w.earlier, c.Size), nil
	if w.first.Size < c.Size {
		ev.First = w.extended(w.first, c.Size)
	}
	slices.Sort(entries)
	ev.Entries = nil
	for _, index := range slices.Compact(entries) {
		if index >= 0 {
			ev.Entries = append(ev.Entries, verify.LoggedEntry{Index: index, JWS: w.leaves[index], Receipt: w.proof(index, c)})
		}
	}
}

// extended is a checkpoint, with the proof that the log of that size extends it.
func (w *world) extended(c tlog.Checkpoint, size int64) []byte {
	w.t.Helper()
	return verify.Earlier{Hashes: w.consistency(c.Size, size), Checkpoint: c}.Encode()
}

func written(t testing.TB, ev *verify.Evidence) []byte {
	t.Helper()
	var file bytes.Buffer
	if err := verify.WriteEvidence(&file, ev); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// verdicts checks a file, with the whole log at hand or without.
func (w *world) verdicts(file []byte, whole bool) (int, []verify.Verdict) {
	o := w.options
	if whole {
		o.Log = w.source()
	}
	_, verdicts := replay.CheckFile(context.Background(), file, w.trust, o)
	return verify.ExitCode(verdicts), verdicts
}

func contractsOf(t testing.TB) []*contracts.Contract {
	return []*contracts.Contract{
		contract(t, "abroad", "us", ""),
		contract(t, "second", "eu", ""),
		contract(t, "unmatched", "eu", "predicates: [{id: never, expr: 'request.estimate.units > 5'}]\n"),
		contract(t, "winner", "eu", ""),
	}
}
