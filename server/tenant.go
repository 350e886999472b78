package server

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine"
	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/verify"
)

// tenant is one tenant's side of the server. What is in force stands in one immutable value behind a pointer: a decision reads it once, and a change is there whole or not at all.
type tenant struct {
	name   string
	origin string
	as     string      // under which the store keeps the log; see logName
	former []store.Log // that were given up before this one
	// before is what those say was erased, in no order.
	before []erasure
	now    atomic.Pointer[inForce]
	// keeping is what was erased, and what is held.
	keeping atomic.Pointer[keeping]
	// turns holds one for each decision of the tenant that is being evaluated.
	turns chan struct{}
	fold  *ledger.State // the ledger's writer alone moves it, once the tenant is open
}

// inForce is everything that a decision depends on besides the request, the principal, the history and the time, as of one event of the tenant's log. It is immutable.
type inForce struct {
	last     int64 // index of the last event that it holds, -1 for none
	snapshot *engine.Snapshot
	services []registered // in order of id; those that await approval too
	rules    *rules
	settings verify.Reference
	// settingsScope is store.TenantScope for settings that the tenant's people put in force, "" for those of the configuration.
	settingsScope string
	bundles       []verify.BundleReference
	// What is known of bundles besides: those in force and those evaluated beside them, by name, and those that were handed in, by digest. The maps are not changed.
	active, shadows, pushed map[string]ledger.Bundle

	snapshotMark ledger.Mark
	// attestations is a function since its digest is computed when first asked for.
	attestations func() (verify.Reference, error)
	// fault says why nothing can be decided: an event that this server can't carry out.
	fault error
}

// registered is a service of a tenant as the registry lists it.
type registered struct {
	id string
	ledger.Service
	compiled *engine.Service // of the contract in force; nil while the first awaits approval
	pending  *engine.Service // of the one that awaits approval; nil without
	// levels are what was recorded of the service's contracts, by digest. The map is not changed: a word more makes a new one.
	levels map[string]contracts.Attestation
}

// level is what was recorded of a contract; it survives that the contract was replaced for a while.
func (r registered) level(digest string) contracts.Attestation {
	if level, ok := r.levels[digest]; ok {
		return level
	}
	return contracts.SelfAttested
}

func (r *registered) attest(digest string, level contracts.Attestation) {
	levels := maps.Clone(r.levels)
	if levels == nil {
		levels = map[string]contracts.Attestation{}
	}
	levels[digest] = level
	r.levels = levels
}

func (s *inForce) service(id string) (registered, bool) {
	i, found := slices.BinarySearchFunc(s.services, id, func(r registered, id string) int { return cmp.Compare(r.id, id) })
	if !found {
		return registered{}, false
	}
	return s.services[i], true
}

// read returns what is in force and the size of the log as of which it is: every event below that index is in it. The size is read first, since the ledger shows events before it shows the size that covers them.
func (t *tenant) read(l *ledger.Ledger) (*inForce, int64, error) {
	now, base, err := t.look(l)
	if err == nil {
		err = now.rules.fault
	}
	return now, base, err
}

// look is read for those who mend what is in force: policies that don't fit together are no error.
func (t *tenant) look(l *ledger.Ledger) (*inForce, int64, error) {
	base := l.Size(t.name)
	now := t.now.Load()
	if now.fault != nil {
		return nil, 0, now.fault
	}
	return now, max(base, now.last+1), nil
}

func (s *inForce) snapshotReference() verify.Reference {
	return verify.Reference{Digest: s.snapshot.Digest(), Revision: s.snapshotMark.Revision, Index: s.snapshotMark.Index}
}

// prepared is what an event needs beyond its row: contracts compiled and rules made before the event is durable, so that carrying it out can't fail.
type prepared struct {
	services map[string]*engine.Service // by contract digest, self-attested
	rules    map[string]*rules          // by rulesKey
}

// apply carries out durable events on the tenant. It is called by the ledger's writer alone, and while the tenant is opened.
func (t *tenant) apply(events []store.Event, ready *prepared) {
	previous := t.now.Load()
	next := *previous
	for i := range events {
		t.fold.Apply(&events[i])
		if err := next.follow(&events[i], t.fold, ready); err != nil && next.fault == nil {
			next.fault = fmt.Errorf("server: event %d of a log can't be carried out: %w", events[i].Index, err)
		}
	}
	next.settle(t.fold, ready)
	t.now.Store(&next)
}

// follow brings the service of one event up to date.
func (s *inForce) follow(e *store.Event, fold *ledger.State, ready *prepared) error {
	switch e.Kind {
	case store.Settings, store.Activated, store.Deactivated, store.Pushed, store.Shadowed, store.Unshadowed:
		return nil
	}
	at, found := slices.BinarySearchFunc(s.services, e.Subject, func(r registered, id string) int { return cmp.Compare(r.id, id) })
	state, stays := fold.Services[e.Subject]
	s.services = slices.Clone(s.services)
	if !stays {
		if found {
			s.services = slices.Delete(s.services, at, at+1)
			s.snapshot = s.snapshot.Without(e.Subject)
		}
		return nil
	}
	row := registered{id: e.Subject}
	if found {
		row = s.services[at]
	}
	if err := row.move(state, ready); err != nil {
		return err
	}
	if e.Kind == store.Attested {
		row.attest(e.Digest, contracts.Attestation(e.Level))
	}
	if found {
		s.services[at] = row
	} else {
		s.services = slices.Insert(s.services, at, row)
	}
	if row.compiled != nil {
		s.snapshot = s.snapshot.With(row.compiled)
	}
	return nil
}

// move gives the row another state, taking compiled contracts from itself or from what was prepared.
func (r *registered) move(state ledger.Service, ready *prepared) error {
	find := func(digest string) (*engine.Service, error) {
		for _, known := range []*engine.Service{r.compiled, r.pending, ready.services[digest]} {
			if digest != "" && known != nil && known.Digest == digest {
				return known, nil
			}
		}
		if digest == "" {
			return nil, nil
		}
		return nil, fmt.Errorf("the contract %s of service %s was not prepared", digest, r.id)
	}
	compiled, err := find(state.Contract)
	if err != nil {
		return err
	}
	pending, err := find(state.Pending)
	if err != nil {
		return err
	}
	if compiled != nil && compiled.Attestation != state.Attestation {
		compiled = compiled.Attested(state.Attestation)
	}
	r.Service, r.compiled, r.pending = state, compiled, pending
	return nil
}

// settle brings the rest up to date, once for a group of events.
func (s *inForce) settle(fold *ledger.State, ready *prepared) {
	s.last, s.snapshotMark = fold.LastIndex, fold.Snapshot
	s.active, s.shadows, s.pushed = maps.Clone(fold.Bundles), maps.Clone(fold.Shadows), maps.Clone(fold.Pushed)
	s.bundles = make([]verify.BundleReference, 0, len(fold.Bundles))
	for _, b := range fold.Bundles {
		s.bundles = append(s.bundles, referenceTo(b))
	}
	slices.SortFunc(s.bundles, func(a, b verify.BundleReference) int { return cmp.Compare(a.Name, b.Name) })
	s.settings = verify.Reference{Digest: fold.Settings.Digest, Revision: fold.Settings.Revision, Index: fold.Settings.Index}
	s.settingsScope = fold.Settings.Scope
	if key := rulesKey(s.bundles, s.settings.Digest); s.rules == nil || s.rules.key != key {
		s.rules = ready.rules[key]
		if s.rules == nil && s.fault == nil {
			s.fault = errors.New("server: the bundles and settings in force were not prepared")
		}
	}
	snapshot, mark := s.snapshot, fold.Attestations
	s.attestations = sync.OnceValues(func() (verify.Reference, error) {
		digest, err := verify.AttestationsDigest(snapshot.Attestations())
		return verify.Reference{Digest: digest, Revision: mark.Revision, Index: mark.Index}, err
	})
}
