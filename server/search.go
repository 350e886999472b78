package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine"
	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/smarthausgroup/caio/verify"
)

// DecisionSummary is a decision in a list.
type DecisionSummary struct {
	DecisionID string `json:"decision_id" jsonschema:"format=uuid"`
	Time       string `json:"time" jsonschema:"format=date-time"`
	Intent     string `json:"intent"`
	Outcome    string `json:"outcome" jsonschema:"enum=routed,enum=denied"`
	Service    string `json:"service,omitempty"`
	Route      string `json:"route,omitempty"`
	Index      int64  `json:"index"`
}

// DecisionList is a page of decisions, the newest first.
type DecisionList struct {
	Decisions []DecisionSummary `json:"decisions"`
	// Next is the cursor of the page that follows; absent at the end.
	Next string `json:"next,omitempty"`
}

func (s *Server) searchDecisions(c *call) error {
	q := c.query
	subject := ""
	if who := q.Get("subject"); who != "" {
		id, known, err := s.config.Subjects.Find(c.ctx(), c.tenant.name, who)
		if err != nil {
			return err
		}
		if !known {
			return c.answer(http.StatusOK, DecisionList{Decisions: []DecisionSummary{}})
		}
		subject = id
	}
	page, err := s.ledger.Search(c.ctx(), c.tenant.name, store.Query{
		From: c.instant("from"), To: c.instant("to"), Service: q.Get("service"), Outcome: q.Get("outcome"),
		Constraint: q.Get("constraint"), Intent: q.Get("intent"), Subject: subject, Cursor: q.Get("cursor"), Limit: c.limit(),
	})
	if err != nil {
		return err
	}
	keys, err := s.publicKeys(c.ctx())
	if err != nil {
		return err
	}
	list := DecisionList{Decisions: []DecisionSummary{}, Next: page.Next}
	for _, d := range page.Decisions {
		summary, err := s.listed(c.ctx(), c.tenant, d, q.Get("constraint"), keys)
		if err != nil {
			return err
		}
		list.Decisions = append(list.Decisions, summary)
	}
	return c.answer(http.StatusOK, list)
}

// decisionID is the one of the address. What is no id at all names nothing.
func (c *call) decisionID() (string, error) {
	id, err := uuid.Parse(c.Param("id"))
	if err != nil || id.String() != c.Param("id") {
		return "", notFound()
	}
	return id.String(), nil
}

// getDecision gives the answer that the caller of a decision was given. The document comes along for auditors alone.
func (s *Server) getDecision(c *call) error {
	id, err := c.decisionID()
	if err != nil {
		return err
	}
	if c.detail() == detailFull && !c.who.Has(auth.Auditor, auth.Operator) {
		return newProblem(http.StatusForbidden, "forbidden", "The document needs one of the roles auditor, operator.")
	}
	t, err := s.withLogOf(c.ctx(), c.tenant, id)
	if err != nil {
		return err
	}
	past, err := s.past(c.ctx(), t, id)
	if err != nil {
		return err
	}
	words, err := s.readerOfPast(c.ctx(), t, past)
	if err != nil {
		return err
	}
	answer, err := words.read(past.document, past.statement, c.detail())
	if err != nil {
		return err
	}
	answer.Index = &past.row.Index
	return c.answer(http.StatusOK, answer)
}

func (s *Server) getDocument(c *call) error {
	id, err := c.decisionID()
	if err != nil {
		return err
	}
	t, err := s.withLogOf(c.ctx(), c.tenant, id)
	if err != nil {
		return err
	}
	past, err := s.past(c.ctx(), t, id)
	if err != nil {
		return err
	}
	return c.Blob(http.StatusOK, verify.MediaType, past.text)
}

func (s *Server) getStatement(c *call) error {
	id, err := c.decisionID()
	if err != nil {
		return err
	}
	t, err := s.withLogOf(c.ctx(), c.tenant, id)
	if err != nil {
		return err
	}
	text, err := s.ledger.Statement(c.ctx(), t.logName(), id)
	if err != nil {
		return err
	}
	return c.Blob(http.StatusOK, "application/jose", text)
}

// past is a decision as it is stored.
type past struct {
	row       store.Decision
	text      []byte // of the document
	document  *verify.Document
	statement []byte
}

func (s *Server) past(ctx context.Context, t *tenant, id string) (*past, error) {
	row, err := s.ledger.Decision(ctx, t.logName(), id)
	if err != nil {
		return nil, err
	}
	p := &past{row: row}
	if p.statement, err = s.ledger.Statement(ctx, t.logName(), id); err != nil {
		return nil, err
	}
	p.text, err = s.ledger.Document(ctx, t.logName(), id)
	if errors.Is(err, store.ErrNotFound) {
		return p, s.erasedDocument(ctx, t, row, p.statement)
	}
	if err != nil {
		return nil, err
	}
	keys, err := s.publicKeys(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := t.holdDocument(row, p.statement, p.text, keys); err != nil {
		return nil, err
	}
	if p.document, err = verify.DecodeDocument(p.text); err != nil {
		return nil, err
	}
	return p, t.holdListed(row, p.document)
}

// holdDocument holds a stored document, where there is one, to the statement that was signed of it, and that to the decision under whose id it is listed, and to what that is listed as.
func (t *tenant) holdDocument(d store.Decision, statement, document []byte, keys verify.Keys) (claims verify.Statement, err error) {
	if _, err := verify.Verify(verify.TypDecision, statement, keys, &claims); err != nil {
		return claims, t.misplaced(d.Index, "the statement does not hold", err)
	}
	if claims.ID != d.ID || claims.Tenant != t.name || claims.Log != t.origin {
		return claims, t.misplaced(d.Index, fmt.Sprintf("the statement is of the decision %s, and listed as that of %s", claims.ID, d.ID), nil)
	}
	if digest := verify.Digest(document); document != nil && digest != claims.Doc {
		return claims, t.misplaced(d.Index, fmt.Sprintf("the stored document of decision %s has the digest %s, and its statement says %s", d.ID, digest, claims.Doc), nil)
	}
	return claims, t.holdRow(d, claims)
}

// readerOfPast puts a decision into words with the contracts and rules of its time, which may not be those in force.
func (s *Server) readerOfPast(ctx context.Context, t *tenant, p *past) (reader, error) {
	r, err := s.rulesAt(ctx, t, p.document)
	if err != nil {
		return reader{}, err
	}
	var state *ledger.State
	service := func(id, digest string) (*engine.Service, error) {
		if digest == "" {
			// Documents name no contract of a service that did not match: the log knows.
			if state == nil {
				events, err := s.ledger.Events(ctx, t.logName(), 0, p.document.Base)
				if err != nil {
					return nil, err
				}
				state = ledger.Fold(events)
			}
			digest = state.Services[id].Contract
		}
		if row, ok := t.now.Load().snapshot.Service(id); ok && row.Digest == digest {
			return row, nil
		}
		return s.stored(ctx, t.logName(), digest)
	}
	return reader{service: service, constraint: r.constraints}, nil
}

// rulesAt are the rules that a document names by digest.
func (s *Server) rulesAt(ctx context.Context, t *tenant, d *verify.Document) (*rules, error) {
	if known, ok := s.knownRules(rulesKey(d.Bundles, d.Settings.Digest)); ok {
		return known, nil
	}
	var bundles []*rego.Bundle
	for _, b := range d.Bundles {
		bundle, err := s.storedBundle(ctx, t, b)
		if err != nil {
			return nil, err
		}
		bundles = append(bundles, bundle)
	}
	settings, err := s.storedSettings(ctx, t, d.Settings.Digest)
	if err != nil {
		return nil, err
	}
	return s.compileRules(bundles, settings)
}

// storedBundle reads a bundle that is, or was, in force for the tenant or pushed by its people. It is held to its digest, and not to its signature, whose key may have been withdrawn since.
func (s *Server) storedBundle(ctx context.Context, t *tenant, b verify.BundleReference) (*rego.Bundle, error) {
	blob, err := s.ledger.Blob(ctx, t.logName(), b.Digest)
	if err != nil {
		return nil, fmt.Errorf("bundle %s: %w", b.Digest, err)
	}
	bundle, diagnostics := rego.ReadTarball(b.Name, bytes.NewReader(blob.Bytes))
	if err := diagnostics.Err(); err != nil {
		return nil, err
	}
	if bundle.Digest != b.Digest {
		return nil, fmt.Errorf("what is stored as the bundle %s has the digest %s: %w", b.Digest, bundle.Digest, store.ErrInconsistent)
	}
	bundle.Key = b.Key
	if b.Key == "" {
		return bundle, nil
	}
	// The digest leaves the signature out: the same files may have been signed by one key after the other.
	signatures, err := s.ledger.Blob(ctx, t.logName(), signaturesName(b.Digest, b.Key))
	if errors.Is(err, store.ErrNotFound) {
		return bundle, nil // of a release that kept only the first
	}
	bundle.Signatures = signatures.Bytes
	return bundle, err
}

func (s *Server) storedSettings(ctx context.Context, t *tenant, digest string) (map[string]any, error) {
	blob, err := s.ledger.Blob(ctx, t.logName(), digest)
	if err != nil {
		return nil, fmt.Errorf("settings %s: %w", digest, err)
	}
	var value contracts.Value
	if err := value.UnmarshalJSON(blob.Bytes); err != nil {
		return nil, fmt.Errorf("settings %s: %w", digest, err)
	}
	settings, ok := value.V.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("settings %s are not a map", digest)
	}
	if stored, err := verify.SettingsDigest(settings); err != nil || stored != digest {
		return nil, fmt.Errorf("what is stored as the settings %s has the digest %s: %w", digest, stored, errors.Join(err, store.ErrInconsistent))
	}
	return settings, nil
}
