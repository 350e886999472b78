package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine"
	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/verify"
)

// What is in force is folded from rows, and rows are only as good as the database. So a start holds each of them to the signed entry that it stands beside: what somebody else wrote there must not come out in documents under this server's signature (spec/proof.md, "The log").
// The ledger holds the size of the log and its tree to what was published, and [Server.holdTypes] the kinds under which entries are listed to what was signed.

// eventTypes are the types of the entries that change what is in force; each has one event.
var eventTypes = []string{verify.TypContract, verify.TypAttestation, verify.TypGrant, verify.TypSettings, verify.TypActivation}

// registryTypes are those of them that change services or what was said of them.
var registryTypes = eventTypes[:3]

// outcomeTypes are the types of the entries that the history counts.
var outcomeTypes = []string{verify.TypOutcome}

// stated is what an entry that changes something says of its place, and, of the registry, of what is in force after it.
type stated struct {
	verify.RecordHead
	verify.RegistryMark
}

// misplaced is an error about one entry of the tenant's log.
func (t *tenant) misplaced(index int64, what string, cause error) error {
	if cause != nil {
		what += ": " + cause.Error()
	}
	return fmt.Errorf("the log %s of tenant %q, index %d: %s: %w", t.origin, t.name, index, what, store.ErrInconsistent)
}

// restore folds the tenant's events, once they hold, and compiles the contracts that they put in force.
func (s *Server) restore(ctx context.Context, t *tenant) (*inForce, error) {
	events, last, err := s.events(ctx, t)
	if err != nil {
		return nil, err
	}
	t.fold = ledger.Fold(events)
	if err := t.asMarked(last); err != nil {
		return nil, err
	}
	now := &inForce{last: t.fold.LastIndex}
	levels := levelsOf(events)
	compiled := make([]*engine.Service, 0, len(t.fold.Services))
	for id, state := range t.fold.Services {
		row := registered{id: id, levels: levels[id]}
		ready := &prepared{services: map[string]*engine.Service{}}
		for _, digest := range []string{state.Contract, state.Pending} {
			if digest == "" {
				continue
			}
			service, err := s.stored(ctx, t.name, digest)
			if err != nil {
				return nil, err
			}
			ready.services[digest] = service
		}
		if err := row.move(state, ready); err != nil {
			return nil, err
		}
		now.services = append(now.services, row)
		if row.compiled != nil {
			compiled = append(compiled, row.compiled)
		}
	}
	slices.SortFunc(now.services, func(a, b registered) int { return strings.Compare(a.id, b.id) })
	now.snapshot, err = engine.NewSnapshot(compiled...)
	return now, err
}

// levelsOf collects what was recorded of contracts, by service and digest, since the service was last registered.
func levelsOf(events []store.Event) map[string]map[string]contracts.Attestation {
	levels := map[string]map[string]contracts.Attestation{}
	for _, e := range events {
		switch e.Kind {
		case store.Removed, store.Revoked:
			delete(levels, e.Subject)
		case store.Attested:
			if levels[e.Subject] == nil {
				levels[e.Subject] = map[string]contracts.Attestation{}
			}
			levels[e.Subject][e.Digest] = contracts.Attestation(e.Level)
		}
	}
	return levels
}

// stored compiles a contract that the tenant has, by its digest.
func (s *Server) stored(ctx context.Context, tenant, digest string) (*engine.Service, error) {
	blob, err := s.ledger.Blob(ctx, tenant, digest)
	if err != nil {
		return nil, fmt.Errorf("contract %s: %w", digest, err)
	}
	contract, err := contracts.DecodeContract(blob.Bytes)
	if err != nil {
		return nil, fmt.Errorf("contract %s: %w", digest, err)
	}
	service, diagnostics := engine.NewService(contract, contracts.SelfAttested)
	return service, diagnostics.Err()
}

// events reads the tenant's events, each held to its entry, and each entry to its event, and what the last change of the registry says of what is in force after it.
func (s *Server) events(ctx context.Context, t *tenant) ([]store.Event, verify.RegistryMark, error) {
	last := verify.RegistryMark{}
	keys, err := s.signingKeys(ctx, t)
	if err != nil {
		return nil, last, err
	}
	events, err := s.ledger.Events(ctx, t.name, 0, math.MaxInt64)
	if err != nil {
		return nil, last, err
	}
	entries, err := s.ledger.EntriesOf(ctx, t.name, eventTypes...)
	if err != nil {
		return nil, last, err
	}
	for i := range max(len(events), len(entries)) {
		switch {
		case i == len(entries) || i < len(events) && events[i].Index < entries[i].Index:
			return nil, last, t.misplaced(events[i].Index, "an event whose entry is of another kind", nil)
		case i == len(events) || events[i].Index > entries[i].Index:
			return nil, last, t.misplaced(entries[i].Index, "an entry whose event is missing", nil)
		}
	}
	heads, faults := make([]stated, len(events)), make([]error, len(events))
	var workers sync.WaitGroup
	count := runtime.GOMAXPROCS(0)
	for w := range count {
		workers.Go(func() {
			for i := w; i < len(events); i += count {
				heads[i], faults[i] = t.hold(&events[i], &entries[i], keys)
			}
		})
	}
	workers.Wait()
	for i := range heads {
		if slices.Contains(registryTypes, entries[i].Type) {
			last = heads[i].RegistryMark
		}
	}
	return events, last, errors.Join(firstOf(faults), t.inOrder(heads, entries))
}

// asMarked holds what the events put in force to what the last of their entries says: so none can have been taken away before it. The earlier ones are held to it where evidence names them, since all of them here would take the square of their number.
func (t *tenant) asMarked(last verify.RegistryMark) error {
	if last == (verify.RegistryMark{}) {
		return nil // none, or one of before entries said it
	}
	is, err := t.fold.Registry().Mark()
	if err != nil {
		return err
	}
	if is != last {
		return t.misplaced(t.fold.Attestations.Index, fmt.Sprintf("the entry says that the snapshot %s and the attestations %s are in force after it, and the events before it make %s and %s", last.Snapshot, last.Attestations, is.Snapshot, is.Attestations), nil)
	}
	return nil
}

func firstOf(faults []error) error {
	for _, err := range faults {
		if err != nil {
			return err
		}
	}
	return nil
}

// inOrder refuses signed entries in places that are not theirs. A record states the size of the log before it was made, and events are made one after the other.
func (t *tenant) inOrder(heads []stated, entries []store.Entry) error {
	seen := make(map[string]bool, len(entries))
	base := int64(0)
	for i := range entries {
		e := &entries[i]
		if heads[i].Base < base || heads[i].Base > e.Index || seen[string(e.Leaf)] {
			return t.misplaced(e.Index, "a signed entry that belongs elsewhere in the log", nil)
		}
		base, seen[string(e.Leaf)] = heads[i].Base, true
	}
	return nil
}

// hold compares an event with what its entry says under a key that was in use.
func (t *tenant) hold(row *store.Event, entry *store.Entry, keys verify.Keys) (stated, error) {
	head, said, key, err := readEvent(entry, keys)
	if err == nil {
		err = t.belongs(head.RecordHead, entry.Index, key)
	}
	if err != nil {
		return head, t.misplaced(entry.Index, "the entry does not hold", err)
	}
	// The payload states whole seconds.
	if row.Time.Unix() != head.IAT {
		return head, t.misplaced(entry.Index, "the event is of another time than its entry", nil)
	}
	said.Tenant, said.Index, said.Time = t.name, entry.Index, row.Time
	if *row != said {
		return head, t.misplaced(entry.Index, fmt.Sprintf("the event says something else than its entry: %s %s", row.Kind, row.Subject), nil)
	}
	return head, nil
}

// belongs refuses what was signed for another log, and by a key that was not in use.
func (t *tenant) belongs(head verify.RecordHead, index int64, key verify.Key) error {
	if head.V != 1 || head.Tenant != t.name || head.Log != t.origin {
		return errors.New("it was signed for another log")
	}
	used, ok := key.Intervals[t.origin]
	if !ok || index < used.NotBefore || used.NotAfter != nil && index > *used.NotAfter {
		return fmt.Errorf("the key %s was not in use then", key.ID())
	}
	return nil
}

// readEvent verifies an entry and returns the event that it states, without place and time.
func readEvent(entry *store.Entry, keys verify.Keys) (head stated, e store.Event, key verify.Key, err error) {
	switch entry.Type {
	case verify.TypContract:
		var r verify.ContractRecord
		key, err = verify.Verify(entry.Type, entry.Leaf, keys, &r)
		return stated{r.RecordHead, r.RegistryMark}, store.Event{Kind: store.EventKind(r.Kind), Subject: r.Service, Digest: r.Contract, Pending: r.Pending, Actor: r.Actor, Reason: r.Reason}, key, err
	case verify.TypAttestation:
		var r verify.AttestationEntry
		key, err = verify.Verify(entry.Type, entry.Leaf, keys, &r)
		return stated{r.RecordHead, r.RegistryMark}, store.Event{Kind: store.Attested, Subject: r.Service, Digest: r.Contract, Level: string(r.Level), Actor: r.Actor, Reason: r.Reason}, key, err
	case verify.TypGrant:
		var r verify.GrantRecord
		key, err = verify.Verify(entry.Type, entry.Leaf, keys, &r)
		return stated{r.RecordHead, r.RegistryMark}, store.Event{Kind: store.EventKind(r.Kind), Subject: r.Service, Digest: r.Contract, Actor: r.Actor, Reason: r.Reason}, key, err
	case verify.TypSettings:
		var r verify.SettingsRecord
		key, err = verify.Verify(entry.Type, entry.Leaf, keys, &r)
		return stated{RecordHead: r.RecordHead}, store.Event{Kind: store.Settings, Digest: r.Settings, Scope: r.Scope, Actor: r.Actor, Reason: r.Reason}, key, err
	case verify.TypActivation:
		var r verify.ActivationRecord
		key, err = verify.Verify(entry.Type, entry.Leaf, keys, &r)
		return stated{RecordHead: r.RecordHead}, store.Event{Kind: store.EventKind(r.Kind), Subject: r.Bundle, Digest: r.Digest, Signer: r.Key, Scope: r.Scope, Actor: r.Actor, Reason: r.Reason}, key, err
	}
	return head, e, key, fmt.Errorf("an entry of the type %s states no event", entry.Type)
}

// checkGrants holds the owners' lists, which stand in no log, to what the logs say: a service is on a list exactly where its owner has it and the other tenant sees the same contract.
func (s *Server) checkGrants(ctx context.Context, logs []store.Log) error {
	type sight struct{ tenant, service string }
	listed := map[sight]bool{}
	for _, log := range logs {
		grants, err := s.ledger.Grants(ctx, log.Tenant)
		if err != nil {
			return err
		}
		for _, g := range grants {
			own, seen := s.serviceOf(g.Owner, g.Service), s.serviceOf(g.Tenant, g.Service)
			if !own.Owned || seen.Owned || seen.Contract == "" || seen.Contract != own.Contract {
				return fmt.Errorf("server: the store lists a grant of the service %s from tenant %q to tenant %q, and their logs don't: %w", g.Service, g.Owner, g.Tenant, store.ErrInconsistent)
			}
			listed[sight{g.Tenant, g.Service}] = true
		}
	}
	for _, log := range logs {
		t, _ := s.tenants.Load(log.Tenant)
		for _, row := range t.(*tenant).now.Load().services {
			if !row.Owned && !listed[sight{log.Tenant, row.id}] {
				return fmt.Errorf("server: the log of tenant %q says that the service %s was granted to it, and the store lists no such grant: %w", log.Tenant, row.id, store.ErrInconsistent)
			}
		}
	}
	return nil
}

// serviceOf is the zero service where there is none.
func (s *Server) serviceOf(name, id string) ledger.Service {
	t, ok := s.tenants.Load(name)
	if !ok {
		return ledger.Service{}
	}
	row, _ := t.(*tenant).now.Load().service(id)
	return row.Service
}
