package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/smarthausgroup/caio/engine/impact"
	"github.com/smarthausgroup/caio/engine/impact/export"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/verify"
)

// exportDecisions streams the decisions of a time as one file, from which can be told without this server what a change of policies would do to them. Who may read it may read the content of the tenant's requests; the parameter leaves that out.
func (s *Server) exportDecisions(c *call) error {
	t, err := s.named(c)
	if err != nil {
		return err
	}
	base := s.ledger.Size(t.name)
	now, _, err := t.look(s.ledger)
	if err != nil {
		return err
	}
	var found found
	span := spanOf(s.now(), c.query.Get("since"), c.query.Get("from"), c.query.Get("to"), &found)
	if err := found.problem(); err != nil {
		return err
	}
	span.Below = max(base, 1)
	cases, err := s.casesOf(c.ctx(), t, base)
	if err != nil {
		return err
	}
	// From here on an error can't be answered any more: the file has no end, which its reader notices.
	header := c.Response().Header()
	header.Set("Content-Type", export.MediaType)
	header.Set("Content-Disposition", `attachment; filename="decisions.jsonl.gz"`)
	c.prolong(s.config.Limits.Write)
	c.Response().WriteHeader(http.StatusOK)
	e := &decisionsExport{server: s, call: c, cases: cases, content: c.query.Get("disclosures") != "none", attested: map[string]bool{}}
	if e.Writer, err = export.NewWriter(c.Response(), exportHead(t, now, span)); err != nil {
		return err
	}
	return e.write(c.ctx(), t, now, span)
}

func exportHead(t *tenant, now *inForce, span store.Span) export.Head {
	text := func(at time.Time) string {
		if at.IsZero() {
			return ""
		}
		return at.UTC().Format(verify.TimeFormat)
	}
	return export.Head{Bundles: now.bundles, From: text(span.From), Log: t.origin, Settings: now.rules.digest, Tenant: t.name, To: text(span.To)}
}

// decisionsExport is one on its way.
type decisionsExport struct {
	*export.Writer
	server   *Server
	call     *call
	cases    *cases
	content  bool
	attested map[string]bool // lists of attestations that were written, by digest
}

func (e *decisionsExport) write(ctx context.Context, t *tenant, now *inForce, span store.Span) error {
	if err := e.Settings(now.rules.settings); err != nil {
		return err
	}
	for _, reference := range now.bundles {
		bundle, err := e.server.storedBundle(ctx, t, reference)
		if err != nil {
			return err
		}
		if err := e.Bundle(reference, bundle.Checked()); err != nil {
			return err
		}
	}
	var flushed time.Time
	for k, err := range e.server.kept(ctx, t, span) {
		if err != nil {
			return err
		}
		if err := e.decision(ctx, t, k); errors.Is(err, impact.ErrErased) {
			continue
		} else if err != nil {
			return fmt.Errorf("the decision %s can't be exported: %w", k.ID, err)
		}
		if time.Since(flushed) > progressEvery {
			flushed = time.Now()
			e.call.prolong(e.server.config.Limits.Write)
			if err := e.Flush(); err != nil {
				return err
			}
			e.call.Response().Flush()
		}
	}
	return e.Close()
}

// decision writes one, after what it names.
func (e *decisionsExport) decision(ctx context.Context, t *tenant, k *store.Kept) error {
	document, disclosures, err := e.cases.decoded(ctx, k)
	if err != nil {
		return err
	}
	if digest := document.Attestations.Digest; !e.attested[digest] {
		list := e.cases.timeline.attestations(document.Base)
		if got, err := verify.AttestationsDigest(list); err != nil || got != digest {
			return fmt.Errorf("the log had the attestations %s, and the document names %s: %w", got, digest, store.ErrInconsistent)
		}
		if err := e.Attestations(list); err != nil {
			return err
		}
		e.attested[digest] = true
	}
	for i := range document.Candidates {
		digest := document.Candidates[i].Contract
		if err := e.Contract(digest, func() ([]byte, error) {
			blob, err := e.server.ledger.Blob(ctx, t.name, digest)
			return blob.Bytes, err
		}); err != nil {
			return err
		}
	}
	texts := []string{}
	for _, d := range disclosures {
		text, err := d.Text()
		if err != nil {
			return err
		}
		if e.content {
			texts = append(texts, text)
		}
	}
	return e.Decision(k.Document, texts)
}
