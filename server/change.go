package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine"
	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/verify"
)

// change collects the entries of one change of the registry: in the owner's log, and in that of every tenant that sees the service. All of them become durable, and take effect, together.
type change struct {
	s       *Server
	ctx     context.Context
	act     act
	entries []ledger.Entry
	after   map[*tenant]*ledger.State // what is in force after the entries so far
	err     error
}

func (ch *change) add(entry ledger.Entry, err error) {
	ch.entries, ch.err = append(ch.entries, entry), errors.Join(ch.err, err)
}

// commit makes the change durable and puts it in force.
func (ch *change) commit(services ...*engine.Service) ([]int64, error) {
	if ch.err != nil {
		return nil, ch.err
	}
	ready := &prepared{services: map[string]*engine.Service{}}
	for _, service := range services {
		ready.services[service.Digest] = service
	}
	indices, err := ch.s.commit(ch.ctx, ready, ch.entries...)
	if err != nil {
		return nil, notStored(err)
	}
	return indices, nil
}

// grantees are the tenants that see the owner's service, opened.
func (ch *change) grantees(owner, service string) []*tenant {
	grants, err := ch.s.ledger.Grants(ch.ctx, owner)
	ch.err = errors.Join(ch.err, err)
	var list []*tenant
	for _, g := range grants {
		if g.Service != service {
			continue
		}
		t, err := ch.s.open(ch.ctx, g.Tenant)
		if ch.err = errors.Join(ch.err, err); err == nil {
			list = append(list, t)
		}
	}
	return list
}

// share puts a contract in force for a tenant that sees the service: the contract, and what people recorded of it. Who its owner is stands in no entry, and so no actor either.
func (ch *change) share(owner string, grantee *tenant, actor string, service *engine.Service, level contracts.Attestation) {
	a := act{actor: actor, reason: ch.act.reason, at: ch.act.at}
	blob := ledger.Blob{Digest: service.Digest, Kind: blobContract, Bytes: service.Contract.Canonical()}
	ch.add(ch.grantEntry(grantee, a, store.Granted, owner, service.Contract.ID, service.Digest, blob))
	if level != contracts.SelfAttested {
		ch.add(ch.attestationEntry(grantee, a, service.Contract.ID, service.Digest, level))
	}
}

// register makes a contract the tenant's, new or in place of one of the same id. The same contract again is no event.
func (s *Server) register(ctx context.Context, t *tenant, a act, compiled *engine.Service, source []byte, again *repeat) (store.Answer, error) {
	defer s.alter(&a)()
	now, _, err := t.read(s.ledger)
	if err != nil {
		return store.Answer{}, err
	}
	id, digest := compiled.Contract.ID, compiled.Digest
	row, exists := now.service(id)
	if exists && !row.Owned {
		return store.Answer{}, newProblem(http.StatusConflict, "service-id-taken", "A service that was granted to the tenant has this id: choose another.")
	}
	level := row.level(digest)
	r := Registration{Service: id, Version: compiled.Contract.Version, Contract: digest, Attestation: level}
	if exists && (row.Pending == digest || row.Pending == "" && row.Contract == digest) {
		r.Unchanged, r.Pending = true, row.Pending == digest
		return registrationAnswer(http.StatusOK, r, row.Index)
	}
	// A contract that was let in once needs no second approval to come back.
	r.Pending = now.rules.approve && (!exists || row.Contract != digest)
	status := http.StatusOK
	if !exists {
		status = http.StatusCreated
	}
	answer, err := registrationAnswer(status, r, 0)
	if err != nil {
		return answer, err
	}
	sum := verify.Digest(source)
	ch := &change{s: s, ctx: ctx, act: a}
	entry, err := ch.contractEntry(t, a, store.Registered, id, digest, r.Pending, sum,
		ledger.Blob{Digest: digest, Kind: blobContract, Bytes: compiled.Contract.Canonical()}, ledger.Blob{Digest: sum, Kind: blobSource, Bytes: source})
	entry.Answer = again.answer(answer)
	ch.add(entry, err)
	if !r.Pending {
		for _, grantee := range ch.grantees(t.name, id) {
			ch.share(t.name, grantee, "", compiled, level)
		}
	}
	indices, err := ch.commit(compiled)
	if err != nil {
		return store.Answer{}, err
	}
	answer.Index = indices[0]
	return answer, nil
}

func registrationAnswer(status int, r Registration, index int64) (store.Answer, error) {
	body, err := json.Marshal(r)
	return store.Answer{Status: status, Body: body, Index: index}, err
}

// remove takes a tenant's own service out, for everybody who sees it.
func (s *Server) remove(ctx context.Context, t *tenant, a act, id string) error {
	defer s.alter(&a)()
	now, _, err := t.read(s.ledger)
	if err != nil {
		return err
	}
	row, exists := now.service(id)
	if !exists {
		return notFound()
	}
	if !row.Owned {
		return newProblem(http.StatusConflict, "not-owned", "The service was granted to the tenant; only its owner removes it.")
	}
	ch := &change{s: s, ctx: ctx, act: a}
	ch.add(ch.contractEntry(t, a, store.Removed, id, row.shown().Digest, false, ""))
	for _, grantee := range ch.grantees(t.name, id) {
		ch.add(ch.grantEntry(grantee, act{at: a.at}, store.Revoked, t.name, id, row.Contract))
	}
	_, err = ch.commit()
	return err
}

// attest records an approver's word on a contract, by its digest, and lets in one that awaits approval.
func (s *Server) attest(ctx context.Context, t *tenant, a act, id, digest string, level contracts.Attestation) (*ServiceSummary, error) {
	defer s.alter(&a)()
	now, _, err := t.read(s.ledger)
	if err != nil {
		return nil, err
	}
	row, exists := now.service(id)
	if !exists {
		return nil, notFound()
	}
	if !row.Owned {
		return nil, newProblem(http.StatusConflict, "not-owned", "The service belongs to another tenant: attest it there.")
	}
	target := row.compiled
	if digest == row.Pending {
		target = row.pending
	}
	if target == nil || target.Digest != digest {
		return nil, newProblem(http.StatusConflict, "digest-mismatch", "Neither the contract in force nor the one that awaits approval has this digest: look at the service again.")
	}
	if target.Contract.Owner == a.actor {
		return nil, newProblem(http.StatusForbidden, "own-contract", "The contract names the caller as its owner, who has an interest in it: somebody else must look.")
	}
	before := row.level(digest)
	ch := &change{s: s, ctx: ctx, act: a}
	approves := digest == row.Pending
	if approves {
		ch.add(ch.contractEntry(t, a, store.Approved, id, digest, false, ""))
	}
	if level != before {
		ch.add(ch.attestationEntry(t, a, id, digest, level))
	}
	if len(ch.entries) > 0 {
		for _, grantee := range ch.grantees(t.name, id) {
			if approves {
				ch.share(t.name, grantee, a.actor, target, level)
			} else {
				ch.add(ch.attestationEntry(grantee, a, id, digest, level))
			}
		}
		if _, err := ch.commit(target); err != nil {
			return nil, err
		}
	}
	row, _ = t.now.Load().service(id)
	summary := row.summary()
	return &summary, nil
}

// grant sets which tenants see a service besides its owner.
func (s *Server) grant(ctx context.Context, t *tenant, a act, id string, to []string) error {
	defer s.alter(&a)()
	now, _, err := t.read(s.ledger)
	if err != nil {
		return err
	}
	row, exists := now.service(id)
	switch {
	case !exists:
		return notFound()
	case !row.Owned:
		return newProblem(http.StatusConflict, "not-owned", "The service belongs to another tenant: grant it there.")
	case row.compiled == nil:
		return newProblem(http.StatusConflict, "awaiting-approval", "Nobody can see the service before its contract is approved.")
	}
	ch := &change{s: s, ctx: ctx, act: a}
	had := map[string]bool{}
	for _, grantee := range ch.grantees(t.name, id) {
		had[grantee.name] = true
		if !slices.Contains(to, grantee.name) {
			ch.add(ch.grantEntry(grantee, a, store.Revoked, t.name, id, row.Contract))
		}
	}
	for _, name := range to {
		if had[name] {
			continue
		}
		grantee, err := s.open(ctx, name)
		if err != nil {
			return err
		}
		if _, taken := grantee.now.Load().service(id); taken {
			return newProblem(http.StatusConflict, "service-id-taken", "The tenant "+name+" has a service of this id.")
		}
		ch.share(t.name, grantee, a.actor, row.compiled, row.Attestation)
	}
	if ch.err == nil && len(ch.entries) == 0 {
		return nil
	}
	_, err = ch.commit(row.compiled)
	return err
}
