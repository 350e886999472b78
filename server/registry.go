package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/canonical"
	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/rego"
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
	t := &tenant{name: name, origin: log.Origin}
	now, err := s.restore(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("server: opening a tenant: %w", err)
	}
	t.now.Store(now)
	r, err := s.rulesOf(s.settingsOf(name))
	if err != nil {
		return nil, err
	}
	entries, err := s.upToDate(ctx, t, r)
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

// upToDate lists the entries that a tenant's log lacks.
func (s *Server) upToDate(ctx context.Context, t *tenant, r *rules) ([]ledger.Entry, error) {
	a := act{actor: s.config.Issuer, reason: "configuration", at: s.config.Clock()}
	entries, err := s.keyEntries(ctx, t, a)
	if err != nil {
		return nil, err
	}
	add := func(entry ledger.Entry, failed error) {
		entries, err = append(entries, entry), errors.Join(err, failed)
	}
	baseline := map[string]bool{}
	for _, b := range r.bundles {
		baseline[b.Name] = true
		if in, ok := t.fold.Bundles[b.Name]; !ok || in.Digest != b.Digest || in.Signer != b.Key {
			blob, failed := bundleBlob(b)
			err = errors.Join(err, failed)
			add(s.activationEntry(t, a, store.Activated, b.Name, b.Digest, b.Key, blob))
		}
	}
	for name, b := range t.fold.Bundles {
		if !baseline[name] {
			add(s.activationEntry(t, a, store.Deactivated, name, b.Digest, b.Signer))
		}
	}
	if t.fold.Settings.Digest != r.digest {
		text, failed := canonical.Encode(r.settings)
		err = errors.Join(err, failed)
		payload := settingsRecord{t.head(s.ledger.Size(t.name), a.at), r.digest, a.actor, a.reason}
		add(s.eventEntry(t, a, verify.TypSettings, payload, store.Event{Kind: store.Settings, Digest: r.digest}, ledger.Blob{Digest: r.digest, Kind: blobSettings, Bytes: text}))
	}
	return entries, err
}

// bundleBlob packs a bundle for the store, as OPA packs it: a compressed tar.
func bundleBlob(b *rego.Bundle) (ledger.Blob, error) {
	var packed bytes.Buffer
	err := rego.WriteTarball(&packed, b)
	return ledger.Blob{Digest: b.Digest, Kind: blobBundle, Bytes: packed.Bytes()}, err
}

func (s *Server) settingsOf(tenant string) map[string]any {
	if own, ok := s.config.TenantSettings[tenant]; ok {
		return own
	}
	return s.config.Settings
}

// rulesKey names bundles and settings in force together.
func rulesKey(bundles []string, settings string) string {
	sorted := slices.Sorted(slices.Values(bundles))
	return strings.Join(append(sorted, settings), " ")
}

// rulesOf compiles the configured bundles with settings, or finds them compiled.
func (s *Server) rulesOf(settings map[string]any) (*rules, error) {
	return s.compileRules(s.config.Bundles, settings)
}

const maxCompiledRules = 64

// compileRules remembers what it compiled: tenants with the same bundles and settings share the result, and old decisions are read under the rules of their time.
func (s *Server) compileRules(bundles []*rego.Bundle, settings map[string]any) (*rules, error) {
	if settings == nil {
		settings = map[string]any{}
	}
	digest, err := verify.SettingsDigest(settings)
	if err != nil {
		return nil, fmt.Errorf("server: settings: %w", err)
	}
	digests := make([]string, len(bundles))
	for i, b := range bundles {
		digests[i] = b.Digest
	}
	r := &rules{key: rulesKey(digests, digest), bundles: bundles, settings: settings, digest: digest, constraints: map[string]contracts.Constraint{}}
	s.compiling.Lock()
	defer s.compiling.Unlock()
	if known, ok := s.compiled[r.key]; ok {
		return known, nil
	}
	policies, diagnostics := rego.Compile(bundles, rego.Options{Settings: settings})
	if err := diagnostics.Err(); err != nil {
		return nil, fmt.Errorf("server: the policies in force do not compile:\n%w", err)
	}
	r.policies = policies
	for _, c := range policies.Constraints() {
		r.constraints[c.ID] = c
	}
	if err := r.core(); err != nil {
		return nil, err
	}
	if len(s.compiled) >= maxCompiledRules {
		clear(s.compiled)
	}
	s.compiled[r.key] = r
	return r, nil
}

// core reads the settings that are the server's own: settings.core.
func (r *rules) core() error {
	core, ok := r.settings["core"]
	if !ok {
		return nil
	}
	text, err := json.Marshal(core)
	if err != nil {
		return fmt.Errorf("server: settings.core: %w", err)
	}
	var read struct {
		Labels   []string `json:"labels"`
		Require  bool     `json:"require_label"`
		Approval bool     `json:"approve_contracts"`
	}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&read); err != nil {
		return fmt.Errorf("server: settings.core holds labels, require_label and approve_contracts: %w", err)
	}
	r.admission = contracts.Admission{Labels: read.Labels, RequireLabel: read.Require}
	r.approve = read.Approval
	return nil
}
