package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/canonical"
	"github.com/smarthausgroup/caio/engine"
	"github.com/smarthausgroup/caio/engine/scenario"
	"github.com/smarthausgroup/caio/internal/seal"
	"github.com/smarthausgroup/caio/policies"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/verify"
	"github.com/spf13/cobra"
)

// offline is the issuer and the log of a proof that no server made.
const offline = "offline"

// offlineProof is the document of a decision that no server made.
type offlineProof struct {
	document *verify.Document
	text     []byte // canonical
	evidence *verify.Evidence
}

// newOfflineProof documents a decision. Id and salts follow from the arguments, so the same arguments give the same bytes.
func newOfflineProof(s *scenario.Scenario, a engine.Arguments, bundles []*rego.Bundle, d verify.Decision) (*offlineProof, error) {
	build, err := server.ReadBuild()
	if err != nil {
		return nil, err
	}
	p := &offlineProof{evidence: &verify.Evidence{
		Snapshot: map[string]string{}, Contracts: map[string][]byte{}, Settings: s.Settings, Bundles: map[string]map[string][]byte{},
	}}
	references := p.collect(a, bundles)
	attestations, err := verify.AttestationsDigest(p.evidence.Attestations)
	if err != nil {
		return nil, err
	}
	settings, err := verify.SettingsDigest(s.Settings)
	if err != nil {
		return nil, err
	}
	none := func(digest string) verify.Reference { return verify.Reference{Digest: digest, Index: -1} }
	header := verify.Header{
		Issuer: offline, Log: offline, Engine: build, Time: a.Time,
		Snapshot: none(a.Snapshot.Digest()), Attestations: none(attestations), Settings: none(settings), Bundles: references,
	}
	seed, err := argumentsSeed(header, a, d)
	if err != nil {
		return nil, err
	}
	header.DecisionID = verify.NewDecisionID(a.Time, [10]byte(seed[:10]))
	record, err := seal.NewRecord(a.Principal.Tenant, header.DecisionID, seed)
	if err != nil {
		return nil, err
	}
	commitments, disclosures, err := verify.Commit(a.Request, a.Principal.Subject, record.Salt)
	if err != nil {
		return nil, err
	}
	p.evidence.Disclosures = disclosures
	p.document = verify.NewDocument(header, a.Request, a.Principal, commitments, d)
	if p.text, err = p.document.Canonical(); err != nil {
		return nil, err
	}
	p.evidence.Document = p.text
	return p, nil
}

// collect puts services and bundles into the evidence, and names the bundles.
func (p *offlineProof) collect(a engine.Arguments, bundles []*rego.Bundle) []verify.BundleReference {
	for _, service := range a.Snapshot.Services() {
		p.evidence.Snapshot[service.Contract.ID] = service.Digest
		p.evidence.Contracts[service.Digest] = service.Contract.Canonical()
	}
	p.evidence.Attestations = a.Snapshot.Attestations()
	references := []verify.BundleReference{}
	for _, bundle := range bundles {
		p.evidence.Bundles[bundle.Digest] = bundle.Checked()
		references = append(references, verify.BundleReference{Name: bundle.Name, Digest: bundle.Digest, Key: bundle.Key, Index: -1})
	}
	return references
}

// argumentsSeed is 32 bytes that follow from the arguments.
func argumentsSeed(h verify.Header, a engine.Arguments, d verify.Decision) ([]byte, error) {
	h.Engine = verify.Build{}
	text, err := canonical.Encode([]any{h.Snapshot, h.Attestations, h.Settings, h.Bundles, a.Request.View(), a.Request.Intent.Text, a.Request.Context.Text, a.Principal.View(), a.Principal.Subject, d})
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	return sum[:], nil
}

// write signs the statement with the key in keyFile and writes the evidence.
func (p *offlineProof) write(file, keyFile string) error {
	private, err := readKey(keyFile, "")
	if err != nil {
		return err
	}
	signer, err := verify.NewSigner(private)
	if err != nil {
		return err
	}
	statement, err := verify.NewStatement(p.document, verify.Digest(p.text), verify.RetentionStandard)
	if err != nil {
		return err
	}
	if p.evidence.Statement, err = signer.Sign(verify.TypDecision, statement); err != nil {
		return err
	}
	var packed bytes.Buffer
	if err := verify.WriteEvidence(&packed, p.evidence); err != nil {
		return err
	}
	return os.WriteFile(file, packed.Bytes(), 0o644)
}

// bundles reads the folders and tarballs that are named; without any, the packs that come with caio.
func (o *options) bundles(cmd *cobra.Command, paths []string) ([]*rego.Bundle, error) {
	if len(paths) == 0 {
		bundle, diagnostics := rego.ReadFS("baseline", policies.FS)
		if o.diagnose(cmd, diagnostics) {
			return nil, no()
		}
		return []*rego.Bundle{bundle}, nil
	}
	var bundles []*rego.Bundle
	var all contracts.Diagnostics
	for _, path := range paths {
		bundle, diagnostics, err := readBundle(path)
		if err != nil {
			return nil, err
		}
		bundles, all = append(bundles, bundle), append(all, diagnostics...)
	}
	if o.diagnose(cmd, all) {
		return nil, no()
	}
	return bundles, nil
}

// readBundle reads a folder or a tarball; its path names it.
func readBundle(path string) (*rego.Bundle, contracts.Diagnostics, error) {
	info, err := statPolicies(path)
	if err != nil {
		return nil, nil, err
	}
	if info.IsDir() {
		bundle, diagnostics := rego.ReadFS(path, os.DirFS(path))
		return bundle, diagnostics, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	bundle, diagnostics := rego.ReadTarball(path, file)
	return bundle, diagnostics, nil
}

// statPolicies refuses what is neither a folder nor a file: a pipe or a device may never come to an end.
func statPolicies(path string) (fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() && !info.Mode().IsRegular() {
		err = misused("%s is neither a folder nor a file", path)
	}
	return info, err
}

// maxInput bounds what is read from standard input.
const maxInput = 16 << 20

func readAll(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxInput+1))
	if err == nil && len(text) > maxInput {
		err = fmt.Errorf("more than %d bytes on standard input", maxInput)
	}
	return text, err
}
