package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/smarthausgroup/caio/verify"
)

// isErased reports whether the error is that something was erased.
func isErased(err error) bool {
	var p *Problem
	return errors.As(err, &p) && p.Status == http.StatusGone
}

// erasedEvidence is what is left of a decision whose document was erased: the statement, its receipt, what was cosigned around it, and the entry that says so.
func (s *Server) erasedEvidence(ctx context.Context, t *tenant, p *past) (*verify.Evidence, error) {
	ev := &verify.Evidence{Statement: p.statement}
	e, found, err := s.whyGoneOf(ctx, t, p.row, p.statement, true)
	if err != nil || !found {
		return nil, errors.Join(err, notFound())
	}
	ev.Erasure = e.leaf
	checkpoint, err := s.bracketed(ctx, t, p.row.Index, p.row.Index, ev)
	if err != nil {
		return nil, err
	}
	ev.Receipt, err = s.proofAt(ctx, t, p.row.Index, checkpoint)
	return ev, err
}

// explainErasure adds the entry by which the content of a decision was erased, where there is one and nothing is left of it.
func (s *Server) explainErasure(ctx context.Context, t *tenant, p *past, ev *verify.Evidence) error {
	if len(ev.Disclosures) > 0 {
		return nil
	}
	e, found, err := s.whyGoneOf(ctx, t, p.row, p.statement, false)
	if found {
		ev.Erasure = e.leaf
	}
	return err
}
