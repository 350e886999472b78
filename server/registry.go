package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/verify"
)

// tenantOf returns an open tenant, opening it at its first use.
func (s *Server) tenantOf(ctx context.Context, name string) (*tenant, error) {
	if t, ok := s.tenants.Load(name); ok {
		return t.(*tenant), nil
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	return s.open(ctx, name)
}

// open reads a tenant's events into what is in force, and brings its log up to date with the configuration: signing key, baseline bundles, settings. The caller holds s.changing.
func (s *Server) open(ctx context.Context, name string) (*tenant, error) {
	if t, ok := s.tenants.Load(name); ok {
		return t.(*tenant), nil
	}
	log, err := s.ledger.Log(ctx, name)
	if err != nil {
		return nil, notStored(err)
	}
	t := &tenant{name: name, origin: log.Origin, former: s.ledger.GivenUp(name), turns: make(chan struct{}, max(1, s.config.Limits.Evaluations/2))}
	now, err := s.restore(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("server: opening a tenant: %w", err)
	}
	if err := s.holdTypes(ctx, t); err != nil {
		return nil, fmt.Errorf("server: opening a tenant: %w", err)
	}
	if err := s.holdParties(ctx, t); err != nil {
		return nil, fmt.Errorf("server: opening a tenant: %w", err)
	}
	if err := s.readKeeping(ctx, t); err != nil {
		return nil, fmt.Errorf("server: opening a tenant: %w", err)
	}
	if err := s.lastTime(ctx, name); err != nil {
		return nil, fmt.Errorf("server: opening a tenant: %w", err)
	}
	t.now.Store(now)
	r, err := s.rulesToOpen(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("server: opening a tenant: %w", err)
	}
	entries, err := s.upToDate(ctx, t)
	if err != nil {
		return nil, err
	}
	ready := &prepared{rules: map[string]*rules{r.key: r}}
	s.opening = t
	_, err = s.commit(ctx, ready, entries...)
	s.opening = nil
	if err != nil {
		return nil, notStored(err)
	}
	if t.now.Load() == now {
		now.settle(t.fold, ready) // no event was missing
	}
	s.tenants.Store(name, t)
	s.keys.Store(nil)
	return t, nil
}

// commit makes a change durable, and with it in force: observe is called before it returns. The caller holds s.changing.
func (s *Server) commit(ctx context.Context, ready *prepared, entries ...ledger.Entry) ([]int64, error) {
	s.ready = ready
	return s.ledger.Append(ctx, entries...)
}

// observe carries out what became durable. The ledger calls it, in the order of the logs.
func (s *Server) observe(events []store.Event) {
	for len(events) > 0 {
		name, n := events[0].Tenant, 1
		for n < len(events) && events[n].Tenant == name {
			n++
		}
		if t, ok := s.tenants.Load(name); ok {
			t.(*tenant).apply(events[:n], s.ready)
		} else if s.opening != nil && s.opening.name == name {
			s.opening.apply(events[:n], s.ready)
		}
		events = events[n:]
	}
}

// upToDate lists the entries that a tenant's log lacks: the baseline and its settings are those of the configuration. What the tenant's own people put in force stays.
func (s *Server) upToDate(ctx context.Context, t *tenant) ([]ledger.Entry, error) {
	a := act{actor: s.config.Issuer, reason: "configuration", at: s.config.Clock()}
	entries, err := s.keyEntries(ctx, t, a, succession{s.signer(), s.config.Outgoing, s.config.Authorizations})
	if err != nil {
		return nil, err
	}
	add := func(entry ledger.Entry, failed error) {
		entries, err = append(entries, entry), errors.Join(err, failed)
	}
	baseline := map[string]bool{}
	for _, b := range s.configured().Bundles {
		baseline[b.Name] = true
		in, ok := t.fold.Bundles[b.Name]
		if ok && in.Scope != "" {
			continue // refused by open
		}
		if !ok || in.Digest != b.Digest || in.Signer != b.Key {
			blobs, failed := bundleBlobs(b)
			err = errors.Join(err, failed)
			add(s.activationEntry(t, a, activation{kind: store.Activated, name: b.Name, digest: b.Digest, key: b.Key, previous: in.Digest}, blobs...))
		}
	}
	for name, b := range t.fold.Bundles {
		if b.Scope == "" && !baseline[name] {
			add(s.activationEntry(t, a, activation{kind: store.Deactivated, name: name, digest: b.Digest, key: b.Signer}))
		}
	}
	if t.fold.Settings.Scope == "" {
		settings := s.settingsOf(t.name)
		digest, failed := verify.SettingsDigest(settings)
		err = errors.Join(err, failed)
		if t.fold.Settings.Digest != digest {
			add(s.settingsEntry(t, a, settings, digest, ""))
		}
	}
	return entries, err
}
