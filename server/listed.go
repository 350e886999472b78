package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/smarthausgroup/caio/internal/seal"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/verify"
)

// The rows by which decisions are found are signed by nobody, and what is read of them is served, or decides what is erased. So they are held to the statements and documents, which are.

// mislisted is that a decision is listed as something else than was signed.
func (t *tenant) mislisted(d store.Decision, what, listed, signed string) error {
	return t.misplaced(d.Index, fmt.Sprintf("the decision %s is listed with the %s %q, and was signed with %q", d.ID, what, listed, signed), nil)
}

// holdRow holds what a decision is listed as to its statement.
func (t *tenant) holdRow(d store.Decision, claims verify.Statement) error {
	if d.Time.Unix() != claims.IAT {
		return t.mislisted(d, "time", d.Time.UTC().Format(verify.TimeFormat), time.Unix(claims.IAT, 0).UTC().Format(verify.TimeFormat))
	}
	for _, of := range []struct{ what, listed, signed string }{
		{"outcome", d.Outcome, claims.Outcome}, {"service", d.Service, claims.Service}, {"retention", d.Retention, claims.Retention},
	} {
		if of.listed != of.signed {
			return t.mislisted(d, of.what, of.listed, of.signed)
		}
	}
	return nil
}

// holdListed holds it to its document, which is held to the statement.
func (t *tenant) holdListed(d store.Decision, document *verify.Document) error {
	for _, of := range []struct{ what, listed, signed string }{
		{"time", d.Time.UTC().Format(verify.TimeFormat), document.Time}, {"intent", d.Intent, document.Request.Intent.Type}, {"route", d.Route, string(document.Choice.Route)},
	} {
		if of.listed != of.signed {
			return t.mislisted(d, of.what, of.listed, of.signed)
		}
	}
	return nil
}

// listed is what a list says of a decision that a search found, by what it violated where that was asked.
func (s *Server) listed(ctx context.Context, t *tenant, d store.Decision, violated string, keys verify.Keys) (summary DecisionSummary, err error) {
	statement, err := s.ledger.Statement(ctx, t.name, d.ID)
	if err != nil {
		return summary, err
	}
	text, err := s.ledger.Document(ctx, t.name, d.ID)
	erased := errors.Is(err, store.ErrNotFound)
	if err != nil && !erased {
		return summary, err
	}
	if _, err := t.holdDocument(d, statement, text, keys); err != nil {
		return summary, err
	}
	summary = DecisionSummary{
		DecisionID: d.ID, Time: d.Time.UTC().Format(verify.TimeFormat), Intent: d.Intent, Outcome: d.Outcome, Service: d.Service, Route: d.Route, Index: d.Index,
	}
	if erased {
		// As it was found it may be listed with what went with its document since.
		summary.Intent, summary.Route = "", ""
		return summary, nil
	}
	document, err := verify.DecodeDocument(text)
	if err == nil {
		err = t.holdListed(d, document)
	}
	if err != nil || violated == "" {
		return summary, err
	}
	if ids := violatedIDs(&document.Decision); !slices.Contains(ids, violated) {
		return summary, t.mislisted(d, "violation", violated, strings.Join(ids, ", "))
	}
	return summary, nil
}

// holdSpan holds every decision of a span to its statement. What a row of a log that was given up says is believed: that log may be damaged.
func (s *Server) holdSpan(ctx context.Context, t *tenant, span store.Span) error {
	keys, err := s.publicKeys(ctx)
	if err != nil {
		return err
	}
	for k, err := range s.kept(ctx, t, span) {
		if err == nil {
			_, err = t.holdDocument(k.Decision, k.Statement, nil, keys)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// holdParties holds the number of those for whom each decision of the tenant's log is listed to the number of keys with which its content was sealed: whoever is missing there is missed by holds, and by an erasure. About 2 s for each million decisions.
func (s *Server) holdParties(ctx context.Context, t *tenant) error {
	for after := ""; ; {
		page, err := s.ledger.Parties(ctx, t.name, after, entriesAtOnce)
		if err != nil {
			return err
		}
		for _, p := range page {
			if n, err := seal.Parties(p.Head); err != nil || n != p.Subjects {
				return fmt.Errorf("the log %s of tenant %q: the content of the decision %s was sealed for %d and is listed for %d: %w", t.origin, t.name, p.ID, n, p.Subjects, errors.Join(err, store.ErrInconsistent))
			}
		}
		if len(page) < entriesAtOnce {
			return nil
		}
		after = page[len(page)-1].ID
	}
}
