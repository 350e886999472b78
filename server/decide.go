package server

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/canonical"
	"github.com/smarthausgroup/caio/engine"
	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/seal"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/smarthausgroup/caio/verify"
)

// ask is one request for a decision.
type ask struct {
	tenant *tenant
	who    auth.Identity
	read   func(contracts.Admission) (contracts.Submission, contracts.Diagnostics)
	detail string
	repeat *repeat // nil without an idempotency key
}

// admitted is a request that was normalised, with what the decision will depend on, read together.
type admitted struct {
	id      string
	time    time.Time
	base    int64
	inForce *inForce
	request *contracts.Request
}

// decide takes a request along its path: normalise, engine.Decide, verify.NewDocument, ledger.Append, answer. The answer it returns is stored; without that there is none. What was admitted leaves a trace whatever happens, a panic too.
func (s *Server) decide(ctx context.Context, a ask) (_ store.Answer, err error) {
	var in *admitted
	defer func() {
		if value := recover(); value != nil {
			if err = s.panicked(value); in != nil {
				err = s.failed(ctx, a.tenant, in, err)
			}
		}
	}()
	if first, ok, err := s.first(ctx, a.tenant, a.repeat); ok || err != nil {
		return first, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Limits.Decision)
	defer cancel()
	if in, err = s.normalise(a); err != nil {
		return store.Answer{}, err
	}
	start := time.Now()
	answer, outcome, err := s.decided(ctx, a, in)
	var repeated *ledger.Repeated
	switch {
	case errors.As(err, &repeated):
		return repeated.First, nil
	case errors.Is(err, ledger.ErrKeyReused):
		// Somebody was quicker under the same key; whether with the same request, the ledger can't tell.
		first, _, err := s.first(ctx, a.tenant, a.repeat)
		return first, err
	case err != nil:
		return store.Answer{}, s.failed(ctx, a.tenant, in, err)
	}
	s.metrics.decided(outcome, time.Since(start))
	return answer, nil
}

// decided is the path from an admitted request to a stored answer.
func (s *Server) decided(ctx context.Context, a ask, in *admitted) (answer store.Answer, outcome *verify.Decision, err error) {
	arguments := s.arguments(a.who, in)
	decision, err := s.evaluate(ctx, a.tenant, arguments)
	if err != nil {
		return answer, nil, err
	}
	record, err := s.recordOf(ctx, a, in)
	if err != nil {
		return answer, nil, notStored(err)
	}
	defer record.Done()
	var document []byte
	indices, err := s.appendSigned(ctx, func() ([]ledger.Entry, error) {
		entry, err := s.answered(a, in, decision, record, &answer)
		if err == nil {
			document = entry.Decision.Document
		}
		return []ledger.Entry{entry}, err
	})
	if err != nil {
		return answer, nil, notStored(err)
	}
	answer.Index = indices[0]
	s.shadowing.offer(decidedCase{a.tenant, in.inForce, in.id, verify.Digest(document), arguments, &decision})
	return answer, &decision, nil
}

// answered makes the entry of a decision, and the answer, which holds its statement. A request that is too old is not answered any more: the machine stood still meanwhile, and the statement would be dated back.
func (s *Server) answered(a ask, in *admitted, d engine.Decision, record *seal.Record, answer *store.Answer) (ledger.Entry, error) {
	if s.now().Sub(in.time) > promise {
		return ledger.Entry{}, context.DeadlineExceeded
	}
	document, entry, err := s.prove(a, in, d, record)
	if err != nil {
		return entry, err
	}
	body, err := s.readerOf(in.inForce).read(document, entry.Leaf, a.detail)
	if err != nil {
		return entry, err
	}
	answer.Status = http.StatusOK
	answer.Body, err = json.Marshal(body)
	if err != nil {
		return entry, err
	}
	entry.Answer, err = a.repeat.decided(in.id, record, *answer)
	return entry, err
}

// normalise reads the request as the tenant's settings admit it, together with what is in force.
func (s *Server) normalise(a ask) (*admitted, error) {
	now := s.now()
	inForce, base, err := a.tenant.read(s.ledger)
	if err != nil {
		return nil, err
	}
	var random struct {
		ID   [10]byte
		Seed uint64
	}
	if err := binary.Read(s.config.Rand, binary.BigEndian, &random); err != nil {
		return nil, fmt.Errorf("server: drawing an id: %w", err)
	}
	admission := inForce.rules.admission
	admission.MaySeed = slices.Contains(a.who.Principal.Permissions, auth.PermissionSeed)
	admission.Seed = int64(random.Seed & canonical.MaxInteger)
	submission, diagnostics := a.read(admission)
	if diagnostics.HasErrors() {
		return nil, faults("invalid-request", diagnostics)
	}
	if submission.Execute {
		return nil, newProblem(http.StatusNotImplemented, "execution-unavailable", "It decides and does not execute: leave `execute` out, call the service that the answer names, and report the outcome.")
	}
	return &admitted{id: verify.NewDecisionID(now, random.ID), time: now, base: base, inForce: inForce, request: submission.Request}, nil
}

// turn waits until few enough others are evaluated, so that many requests at once take their time one after the other rather than all together. Where there are several tenants, one has half of the places at most: its policies may be slow, and the others' decisions don't wait for that. The caller calls done.
func (s *Server) turn(ctx context.Context, t *tenant) (done func(), err error) {
	own := func() {}
	if s.severalTenants() {
		select {
		case t.turns <- struct{}{}:
			own = func() { <-t.turns }
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	select {
	case s.evaluations <- struct{}{}:
		return func() { <-s.evaluations; own() }, nil
	case <-ctx.Done():
		own()
		return nil, ctx.Err()
	}
}

func (s *Server) severalTenants() bool {
	count := 0
	s.tenants.Range(func(_, _ any) bool {
		count++
		return count < 2
	})
	return count > 1
}

func (s *Server) evaluate(ctx context.Context, t *tenant, arguments engine.Arguments) (engine.Decision, error) {
	done, err := s.turn(ctx, t)
	if err != nil {
		return engine.Decision{}, err
	}
	defer done()
	return s.engine.Decide(ctx, arguments)
}

func (s *Server) arguments(who auth.Identity, in *admitted) engine.Arguments {
	p := who.Principal
	return engine.Arguments{
		Request: in.request, Principal: p, Snapshot: in.inForce.snapshot, Policies: in.inForce.rules.policies,
		History: s.ledger.HistoryAt(p.Tenant, in.request.Intent.Type, in.time), Time: in.time,
	}
}

// prove makes the document and its statement, and the entry that holds both.
func (s *Server) prove(a ask, in *admitted, d engine.Decision, record *seal.Record) (*verify.Document, ledger.Entry, error) {
	attestations, err := in.inForce.attestations()
	if err != nil {
		return nil, ledger.Entry{}, err
	}
	commitments, disclosures, err := verify.Commit(in.request, a.who.Principal.Subject, record.Salt)
	if err != nil {
		return nil, ledger.Entry{}, err
	}
	document := verify.NewDocument(verify.Header{
		DecisionID: in.id, Issuer: s.config.Issuer, Log: a.tenant.origin, Base: in.base, Engine: s.config.Build, Time: in.time,
		Snapshot: in.inForce.snapshotReference(), Attestations: attestations, Settings: in.inForce.settings, Bundles: in.inForce.bundles,
	}, in.request, a.who.Principal, commitments, d)
	text, err := document.Canonical()
	if err != nil {
		return nil, ledger.Entry{}, err
	}
	statement, err := verify.NewStatement(document, verify.Digest(text), s.config.Retention.class(a.tenant.name))
	if err != nil {
		return nil, ledger.Entry{}, err
	}
	entry, err := s.entry(a.tenant, verify.TypDecision, statement)
	if err != nil {
		return nil, ledger.Entry{}, err
	}
	packed, err := packDisclosures(disclosures)
	if err != nil {
		return nil, ledger.Entry{}, err
	}
	sealed, err := record.Seal(sealedDisclosures, packed)
	entry.Decision = &ledger.Decision{
		ID: in.id, Time: in.time, Outcome: d.Outcome, Service: d.Choice.Service, Route: string(d.Choice.Route), Intent: in.request.Intent.Type,
		Constraints: violatedIDs(&d), Document: text, Disclosures: sealed, Subjects: record.Subjects(), Retention: statement.Retention,
	}
	return document, entry, err
}

// violatedIDs are the ids of what candidates violated, each once, by which a decision can be found.
func violatedIDs(d *engine.Decision) []string {
	var ids []string
	for i := range d.Candidates {
		if fallen := d.Candidates[i].Eliminated; fallen != nil {
			for _, v := range fallen.Violations {
				ids = append(ids, v.ID)
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// notStored marks an error of the store, but for those that say something else of the request.
func notStored(err error) error {
	var repeated *ledger.Repeated
	if errors.As(err, &repeated) || errors.Is(err, ledger.ErrKeyReused) || errors.Is(err, ledger.ErrClosed) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ledger.ErrInvalid) {
		return err
	}
	return newProblem(http.StatusServiceUnavailable, "not-stored", "Send the request again.").because(err)
}

// promise bounds how old a request may be whose statement is signed: that has to be in the log within a minute of its time, and those who verify it allow for no more (spec/proof.md, "The statement and the signature").
const promise = 50 * time.Second

// failureTime bounds how long a failure may take to record: the caller is waiting.
const failureTime = 2 * time.Second

// failed records that an admitted request ended without a decision, where the store can still be written, and returns the problem that names the record (spec/proof.md, "The statement and the signature").
func (s *Server) failed(ctx context.Context, t *tenant, in *admitted, cause error) error {
	problem := *asProblem(cause)
	s.metrics.failures.WithLabelValues(problem.Code).Inc()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), failureTime)
	defer cancel()
	_, err := s.appendSigned(ctx, func() ([]ledger.Entry, error) {
		entry, err := s.entry(t, verify.TypFailure, verify.FailureRecord{RecordHead: t.head(in.base, s.now()), ID: in.id, Code: problem.Code})
		return []ledger.Entry{entry}, err
	})
	if err != nil {
		s.config.Logger.Error("a failure could not be recorded", "code", problem.Code, "error", err)
		return &problem
	}
	problem.DecisionID = in.id
	return &problem
}

// readerOf puts decisions under what is in force into words.
func (s *Server) readerOf(now *inForce) reader {
	return reader{constraint: now.rules.constraints, service: func(id, _ string) (*engine.Service, error) {
		service, ok := now.snapshot.Service(id)
		if !ok {
			return nil, fmt.Errorf("server: service %s is not in the snapshot", id)
		}
		return service, nil
	}}
}
