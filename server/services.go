package server

import (
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine"
	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/verify"
)

// Registration is what became of a contract that was sent.
type Registration struct {
	Service string `json:"service"`
	Version string `json:"version"`
	// Contract is the digest of the contract, by which people attest it.
	Contract string `json:"contract"`
	// Pending says that the contract awaits an approver; until then what was in force stays in force.
	Pending     bool                  `json:"pending"`
	Attestation contracts.Attestation `json:"attestation" jsonschema:"enum=self,enum=audited,enum=verified"`
	// Unchanged says that the same contract was there already: nothing was done.
	Unchanged bool `json:"unchanged"`
	// Index is that of the log's entry that put the contract in force, or announced it; absent while the first contract was not yet approved and is sent again.
	Index *int64 `json:"index,omitempty"`
}

// ServiceSummary is a service in a list.
type ServiceSummary struct {
	ID           string                `json:"id"`
	Name         string                `json:"name"`
	Version      string                `json:"version"`
	Placement    contracts.Placement   `json:"placement" jsonschema:"enum=internal,enum=hybrid,enum=external"`
	Capabilities []string              `json:"capabilities"`
	Contract     string                `json:"contract"` // digest
	Attestation  contracts.Attestation `json:"attestation" jsonschema:"enum=self,enum=audited,enum=verified"`
	// Pending is the digest of a contract that awaits an approver. Where it is Contract itself, the service takes no part in decisions yet.
	Pending string `json:"pending,omitempty"`
	// Owned is false for a service that was granted to the tenant.
	Owned bool `json:"owned"`
	// Index is that of the log's entry that put the contract in force; -1 when none has yet.
	Index int64 `json:"index"`
}

// ServiceDetail is one service with its contract and what that compiles into.
type ServiceDetail struct {
	ServiceSummary
	Definition *contracts.Contract `json:"definition"` // of the digest in `contract`
	Predicates []PredicateText     `json:"predicates"`
	// PendingDefinition is the contract that awaits approval in place of the one in force, for an approver to read; PendingPredicates are what it compiles into.
	PendingDefinition *contracts.Contract `json:"pending_definition,omitempty"`
	PendingPredicates []PredicateText     `json:"pending_predicates,omitempty"`
}

// PredicateText is a predicate as it can be quoted.
type PredicateText struct {
	ID      string          `json:"id"`
	Stage   contracts.Stage `json:"stage"`
	Expr    string          `json:"expr"`
	Message string          `json:"message,omitempty"`
}

// ServiceList is a page of services, in order of id.
type ServiceList struct {
	Services []ServiceSummary `json:"services"`
	// Next is the cursor of the page that follows; absent at the end.
	Next string `json:"next,omitempty"`
}

func (s *Server) putService(c *call) error      { return s.receiveContract(c, c.Param("id")) }
func (s *Server) registerService(c *call) error { return s.receiveContract(c, "") }

// receiveContract registers a contract, under the id of the address where there is one.
func (s *Server) receiveContract(c *call, id string) error {
	text, err := c.body(contracts.MaxContractBytes)
	if err != nil {
		return err
	}
	compiled, diagnostics := engine.ReadService(c.fileName("contract"), text)
	if diagnostics.HasErrors() {
		return faults("invalid-contract", diagnostics)
	}
	if id != "" && id != compiled.Contract.ID {
		return newProblem(http.StatusBadRequest, "id-mismatch", "Send the contract to the address of its own id.")
	}
	var again *repeat
	if c.route.creates {
		if again, err = s.repeat(c, text); err != nil {
			return err
		}
		if first, ok, err := s.first(c.ctx(), c.tenant, again); err != nil {
			return err
		} else if ok {
			return c.answerStored(first)
		}
	}
	answer, err := s.register(c.ctx(), c.tenant, act{actor: c.who.Principal.Subject}, compiled, text, again)
	var repeated *ledger.Repeated
	if errors.As(err, &repeated) {
		answer, err = repeated.First, nil
	}
	if err != nil {
		return err
	}
	return c.answerStored(answer)
}

// fileName lets a body's media type say in which language it is.
func (c *call) fileName(stem string) string {
	if strings.Contains(c.Request().Header.Get("Content-Type"), "json") {
		return stem + ".json"
	}
	return stem + ".yaml"
}

// summary describes the contract in force, or the first one while it awaits its approval.
func (r registered) summary() ServiceSummary {
	shown := r.shown()
	c := shown.Contract
	types := make([]string, len(c.Capabilities))
	for i := range c.Capabilities {
		types[i] = c.Capabilities[i].Type
	}
	return ServiceSummary{
		ID: r.id, Name: c.Name, Version: c.Version, Placement: c.Placement, Capabilities: types,
		Contract: shown.Digest, Attestation: r.Attestation, Pending: r.Pending, Owned: r.Owned, Index: r.Index,
	}
}

func (r registered) shown() *engine.Service {
	if r.compiled != nil {
		return r.compiled
	}
	return r.pending
}

func (s *Server) listServices(c *call) error {
	t, err := s.named(c)
	if err != nil {
		return err
	}
	now, _, err := t.read(s.ledger)
	if err != nil {
		return err
	}
	limit := c.limit()
	list := ServiceList{Services: []ServiceSummary{}}
	after, _ := slices.BinarySearchFunc(now.services, c.query.Get("cursor")+"\x00", func(r registered, id string) int { return strings.Compare(r.id, id) })
	if c.query.Get("cursor") == "" {
		after = 0
	}
	for _, row := range now.services[after:] {
		if len(list.Services) == limit {
			list.Next = list.Services[limit-1].ID
			break
		}
		list.Services = append(list.Services, row.summary())
	}
	return c.answer(http.StatusOK, list)
}

func (s *Server) getService(c *call) error {
	t, err := s.named(c)
	if err != nil {
		return err
	}
	now, _, err := t.read(s.ledger)
	if err != nil {
		return err
	}
	row, ok := now.service(c.Param("id"))
	if !ok {
		return notFound()
	}
	detail := ServiceDetail{ServiceSummary: row.summary(), Definition: row.shown().Contract, Predicates: predicatesOf(row.shown())}
	if row.pending != nil && row.pending != row.shown() {
		detail.PendingDefinition, detail.PendingPredicates = row.pending.Contract, predicatesOf(row.pending)
	}
	return c.answer(http.StatusOK, detail)
}

func (s *Server) deleteService(c *call) error {
	if err := s.remove(c.ctx(), c.tenant, act{actor: c.who.Principal.Subject}, c.Param("id")); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// Version is one event in the life of a service, as the tenant saw it.
type Version struct {
	Index    int64           `json:"index"`
	Kind     store.EventKind `json:"kind" jsonschema:"enum=registered,enum=approved,enum=removed,enum=attested,enum=granted,enum=revoked"`
	Contract string          `json:"contract"` // digest
	Version  string          `json:"version,omitempty"`
	Level    string          `json:"level,omitempty"`
	Pending  bool            `json:"pending"`
	// Actor and Reason are absent for a service that was granted to the tenant: they are its owner's.
	Actor  string `json:"actor,omitempty"`
	Reason string `json:"reason,omitempty"`
	Time   string `json:"time" jsonschema:"format=date-time"`
}

// VersionList is a page of a service's history, in the order of the log.
type VersionList struct {
	Versions []Version `json:"versions"`
	// Next is the cursor of the page that follows; absent at the end.
	Next string `json:"next,omitempty"`
}

// getVersions tells the whole story of a service, removed ones included.
func (s *Server) getVersions(c *call) error {
	from, err := c.cursorIndex()
	if err != nil {
		return err
	}
	events, err := s.ledger.Events(c.ctx(), c.tenant.name, 0, math.MaxInt64)
	if err != nil {
		return err
	}
	limit := c.limit()
	list := VersionList{Versions: []Version{}}
	owned := false
	for _, e := range events {
		if e.Subject != c.Param("id") || !aboutService(e.Kind) {
			continue
		}
		if owned = ownedAfter(e.Kind, owned); !owned {
			e.Actor, e.Reason = "", ""
		}
		if e.Index < from {
			continue
		}
		if len(list.Versions) == limit {
			list.Next = formatIndex(e.Index)
			break
		}
		version, err := s.versionOf(c.ctx(), c.tenant.name, e.Digest)
		if err != nil {
			return err
		}
		list.Versions = append(list.Versions, Version{
			Index: e.Index, Kind: e.Kind, Contract: e.Digest, Version: version, Level: e.Level, Pending: e.Pending,
			Actor: e.Actor, Reason: e.Reason, Time: e.Time.UTC().Format(verify.TimeFormat),
		})
	}
	if len(list.Versions) == 0 && c.query.Get("cursor") == "" {
		return notFound()
	}
	return c.answer(http.StatusOK, list)
}

func aboutService(kind store.EventKind) bool {
	switch kind {
	case store.Registered, store.Approved, store.Removed, store.Attested, store.Granted, store.Revoked:
		return true
	}
	return false
}

// ownedAfter tells whether a service is the tenant's own after an event: an attestation leaves that as it was.
func ownedAfter(kind store.EventKind, owned bool) bool {
	switch kind {
	case store.Granted, store.Revoked:
		return false
	case store.Attested:
		return owned
	default:
		return true
	}
}

func (s *Server) versionOf(ctx context.Context, tenant, digest string) (string, error) {
	blob, err := s.ledger.Blob(ctx, tenant, digest)
	if err != nil {
		return "", err
	}
	contract, err := contracts.DecodeContract(blob.Bytes)
	if err != nil {
		return "", err
	}
	return contract.Version, nil
}
