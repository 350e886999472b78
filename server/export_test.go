package server

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/verify"
)

// InForce reads what a decision of the tenant would be made under: the index of the last event in it, and the base that its document would state.
func (s *Server) InForce(name string) (last, base int64, err error) {
	t, _ := s.tenants.Load(name)
	now, base, err := t.(*tenant).read(s.ledger)
	if err != nil {
		return 0, 0, err
	}
	return now.last, base, nil
}

// HoldGate keeps everything that is new from being tested.
func (s *Server) HoldGate() (leave func()) {
	s.gate.new <- struct{}{}
	return func() { <-s.gate.new }
}

// HoldTurns takes every place for evaluations that a tenant can get.
func (s *Server) HoldTurns(ctx context.Context, name string) (taken int) {
	t, _ := s.tenants.Load(name)
	for {
		if _, err := s.turn(ctx, t.(*tenant)); err != nil {
			return taken
		}
		taken++
	}
}

// Partly is the API with decisions that go only part of their way, so that the rest can be measured: to the answer without a proof, or with proved to document, seal and statement too, of which nothing is kept. Everything before is what [Server.Handler] does.
func (s *Server) Partly(proved bool) http.Handler {
	routes := s.routes()
	for i := range routes {
		if routes[i].method == http.MethodPost && routes[i].path == "/v1/decisions" {
			routes[i].handler = func(c *call) error { return s.decidePartly(c, proved) }
		}
	}
	return s.router(routes)
}

func (s *Server) decidePartly(c *call, proved bool) error {
	body, err := c.body(s.config.Limits.RequestBytes)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.ctx(), s.config.Limits.Decision)
	defer cancel()
	a := ask{tenant: c.tenant, who: c.who, detail: c.detail(), read: func(a contracts.Admission) (contracts.Submission, contracts.Diagnostics) {
		request, diagnostics := contracts.ParseRequest("", body, a)
		return contracts.Submission{Request: request}, diagnostics
	}}
	in, err := s.normalise(a)
	if err != nil {
		return err
	}
	decision, err := s.evaluate(ctx, a.tenant, s.arguments(a.who, in))
	if err != nil {
		return err
	}
	answer := store.Answer{Status: http.StatusOK}
	if proved {
		record, err := s.recordOf(ctx, a, in)
		if err != nil {
			return err
		}
		defer record.Done()
		if _, err := s.answered(a, in, decision, record, &answer); err != nil {
			return err
		}
		return c.answerStored(answer)
	}
	document := verify.NewDocument(verify.Header{DecisionID: in.id, Log: a.tenant.origin, Base: in.base, Time: in.time}, in.request, a.who.Principal, verify.Commitments{}, decision)
	words, err := s.readerOf(in.inForce).read(document, nil, a.detail)
	if err != nil {
		return err
	}
	if answer.Body, err = json.Marshal(words); err != nil {
		return err
	}
	return c.answerStored(answer)
}

// Changing reports whether somebody changes what is in force just now.
func (s *Server) Changing() bool {
	if s.changing.TryLock() {
		s.changing.Unlock()
		return false
	}
	return true
}
