package server

import (
	"bytes"
	"context"
	"fmt"
	"net/http"

	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/verify"
)

// evidenceType is the media type of a .caio file.
const evidenceType = "application/vnd.caio.evidence"

// getEvidence gives one file with a proof and everything needed to check it (spec/proof.md, "Evidence"). Who may read it may read the content of the tenant's requests: auditors and operators. The parameter leaves it out of a file that is handed on.
func (s *Server) getEvidence(c *call) error {
	id, err := c.decisionID()
	if err != nil {
		return err
	}
	t, err := s.withLogOf(c.ctx(), c.tenant, id)
	if err != nil {
		return err
	}
	past, err := s.past(c.ctx(), t, id)
	if isErased(err) {
		left, err := s.erasedEvidence(c.ctx(), t, past)
		if err != nil {
			return err
		}
		return c.answerEvidence(id, left)
	}
	if err != nil {
		return err
	}
	evidence, err := s.evidence(c.ctx(), t, past)
	if err != nil {
		return err
	}
	if evidence.Disclosures, err = s.disclosures(c.ctx(), t, id); err != nil {
		return err
	}
	if err := s.explainErasure(c.ctx(), t, past, evidence); err != nil {
		return err
	}
	if err := s.logged(c.ctx(), t, past, evidence); err != nil {
		return err
	}
	if err := evidence.Bound(past.document); err != nil {
		return fmt.Errorf("server: the store no longer holds what the document names: %w", err)
	}
	if err := c.reduce(evidence, past.document); err != nil {
		return err
	}
	return c.answerEvidence(id, evidence)
}

func (c *call) answerEvidence(id string, ev *verify.Evidence) error {
	var file bytes.Buffer
	if err := verify.WriteEvidence(&file, ev); err != nil {
		return err
	}
	c.Response().Header().Set("Content-Disposition", `attachment; filename="`+id+`.caio"`)
	return c.Blob(http.StatusOK, evidenceType, file.Bytes())
}

// reduce leaves out what the caller wants left out.
func (c *call) reduce(ev *verify.Evidence, d *verify.Document) error {
	if subject := c.query.Get("for_subject"); subject != "" {
		if err := forSubject(ev, d, subject); err != nil {
			return err
		}
	}
	if c.query.Get("contracts") == contractsOfCandidates {
		slim(ev, d)
	}
	if c.query.Get("disclosures") == "none" {
		ev.Disclosures = nil
	}
	return nil
}

// evidence puts together the arguments of a decision as the log had them below the decision's base.
func (s *Server) evidence(ctx context.Context, t *tenant, p *past) (*verify.Evidence, error) {
	events, err := s.ledger.Events(ctx, t.logName(), 0, p.document.Base)
	if err != nil {
		return nil, err
	}
	ev := &verify.Evidence{
		Document: p.text, Statement: p.statement,
		Snapshot: map[string]string{}, Contracts: map[string][]byte{}, Attestations: []verify.AttestationRecord{}, Bundles: map[string]map[string][]byte{},
	}
	if err := s.registryAt(ctx, t, ledger.Fold(events), ev); err != nil {
		return nil, err
	}
	if ev.Settings, err = s.storedSettings(ctx, t, p.document.Settings.Digest); err != nil {
		return nil, err
	}
	for _, b := range p.document.Bundles {
		bundle, err := s.storedBundle(ctx, t, b)
		if err != nil {
			return nil, err
		}
		ev.Bundles[b.Digest] = bundle.Checked()
	}
	return ev, nil
}

// registryAt adds the snapshot, its contracts and their attestations.
func (s *Server) registryAt(ctx context.Context, t *tenant, state *ledger.State, ev *verify.Evidence) error {
	registry := state.Registry()
	ev.Snapshot, ev.Attestations = registry.Snapshot, registry.Attestations
	for _, digest := range registry.Snapshot {
		blob, err := s.ledger.Blob(ctx, t.logName(), digest)
		if err != nil {
			return fmt.Errorf("contract %s: %w", digest, err)
		}
		ev.Contracts[digest] = blob.Bytes
	}
	return nil
}
