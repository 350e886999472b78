package ledger

import (
	"maps"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/internal/store"
)

// State is what is in force for a tenant after some of its events: a fold of its own log, and of nothing else (spec/contract.md, "What the owner can't say of itself"). It is not safe for concurrent use.
type State struct {
	Services     map[string]Service
	Bundles      map[string]Bundle // in force, by name
	Shadows      map[string]Bundle // evaluated beside them, by name
	Pushed       map[string]Bundle // handed in, by digest
	Snapshot     Mark              // the last event that changed the services; no digest
	Attestations Mark              // the last event that may have changed the list of attestations: one of those, or a word on a contract; no digest
	Settings     Mark
	LastIndex    int64 // of the last event; -1 before the first
}

// Mark says which event put something in force: its index, -1 when none has, and which of its kind it was, counted from 1.
type Mark struct {
	Digest   string
	Scope    string // of settings
	Revision int64
	Index    int64
}

// Service is a service as the tenant sees it.
type Service struct {
	Contract    string // digest of the contract in force; "" while the first awaits its approval: then the service is in no snapshot
	Pending     string // digest of the contract that awaits approval, or ""
	Attestation contracts.Attestation
	Owned       bool  // by this tenant; otherwise it was granted
	Index       int64 // of the event that put Contract in force, -1 when none has

	attested map[string]contracts.Attestation // by digest
}

// Bundle is a bundle, as the last event about it left it.
type Bundle struct {
	Name   string
	Digest string
	Signer string // "" when unsigned
	Scope  string // store.TenantScope, or "" for the installation's baseline
	Author string // who pushed this digest first; "" for the baseline
	Index  int64  // of the event
	Time   time.Time
}

// Fold returns the state after the events, which are one tenant's, in log order, from the first on.
func Fold(events []store.Event) *State {
	none := Mark{Index: -1}
	s := &State{Services: map[string]Service{}, Bundles: map[string]Bundle{}, Shadows: map[string]Bundle{}, Pushed: map[string]Bundle{}, Snapshot: none, Attestations: none, Settings: none, LastIndex: -1}
	for i := range events {
		s.Apply(&events[i])
	}
	return s
}

// Apply moves the state on by the next event. An event about something that isn't there (an approval of a contract that was replaced, a revocation of what the tenant owns) changes nothing but the marks.
func (s *State) Apply(e *store.Event) {
	s.LastIndex = e.Index
	switch e.Kind {
	case store.Settings:
		s.Settings.move(e)
		s.Settings.Digest, s.Settings.Scope = e.Digest, e.Scope
	case store.Activated:
		s.Bundles[e.Subject] = s.bundle(e)
		s.endShadow(e.Subject)
	case store.Deactivated:
		delete(s.Bundles, e.Subject)
	case store.Shadowed:
		s.Shadows[e.Subject] = s.bundle(e)
		s.endShadow(e.Subject)
	case store.Unshadowed:
		delete(s.Shadows, e.Subject)
	case store.Pushed:
		b := s.bundle(e)
		if b.Author == "" {
			b.Author = e.Actor
		}
		s.Pushed[e.Digest] = b
	case store.Attested:
		s.Attestations.move(e)
		s.attest(e)
	default:
		s.Snapshot.move(e)
		s.Attestations.move(e)
		s.applyService(e)
	}
}

func (s *State) bundle(e *store.Event) Bundle {
	return Bundle{Name: e.Subject, Digest: e.Digest, Signer: e.Signer, Scope: e.Scope, Author: s.Pushed[e.Digest].Author, Index: e.Index, Time: e.Time}
}

// endShadow takes a bundle out of those beside that is in force itself: there is nothing left to compare.
func (s *State) endShadow(name string) {
	if s.Shadows[name].Digest == s.Bundles[name].Digest {
		delete(s.Shadows, name)
	}
}

func (m *Mark) move(e *store.Event) {
	m.Revision++
	m.Index = e.Index
}

func (s *State) applyService(e *store.Event) {
	service, known := s.Services[e.Subject]
	if !known {
		service = Service{Index: -1, attested: map[string]contracts.Attestation{}}
	}
	switch {
	case e.Kind == store.Removed && service.Owned, e.Kind == store.Revoked && !service.Owned:
		delete(s.Services, e.Subject)
		return
	case known && service.Owned != (e.Kind == store.Registered || e.Kind == store.Approved):
		return // an id that is owned can't be granted, nor the other way round, until it is removed or revoked
	case e.Kind == store.Registered && e.Pending:
		service.Owned, service.Pending = true, e.Digest
	case e.Kind == store.Registered, e.Kind == store.Granted:
		service.Owned = e.Kind == store.Registered
		service.Contract, service.Pending, service.Index = e.Digest, "", e.Index
	case e.Kind == store.Approved && known && service.Pending == e.Digest:
		service.Contract, service.Pending, service.Index = e.Digest, "", e.Index
	default:
		return
	}
	s.put(e.Subject, service)
}

// attest records a word on a contract by its digest: of the one in force, or of the one that awaits approval.
func (s *State) attest(e *store.Event) {
	service, known := s.Services[e.Subject]
	if !known || e.Digest != service.Contract && e.Digest != service.Pending {
		return
	}
	service.attested = maps.Clone(service.attested) // a clone of s has the same map
	service.attested[e.Digest] = contracts.Attestation(e.Level)
	s.put(e.Subject, service)
}

// put stores the service with the attestation of its contract in force. A contract that was attested, replaced and put in force again has its attestation still: the word is about its bytes.
func (s *State) put(id string, service Service) {
	service.Attestation = service.attested[service.Contract]
	if service.Attestation == "" {
		service.Attestation = contracts.SelfAttested
	}
	s.Services[id] = service
}
