package server

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/smarthausgroup/caio/internal/ledger"
)

// configured is the configuration of which policies, their keys and settings are read: they change with [Server.Reload]. Everything else stands in s.config.
func (s *Server) configured() *Config { return s.current.Load() }

// Reload takes over the bundles, keys of policies and of approvers, settings and locked settings of another configuration (spec/interface.md, "Configuration"), for every tenant or, with an error, for none: a baseline that some tenant's own bundles don't fit is refused.
// Like all else it is in the logs before it takes effect. What else the configuration says is not looked at.
func (s *Server) Reload(ctx context.Context, config Config) error {
	config, err := config.filled()
	if err != nil {
		return err
	}
	for _, lane := range []lane{s.gate.new, s.gate.back} { // no bundle is proposed under the configuration before
		leave, err := lane.enter(ctx)
		if err != nil {
			return err
		}
		defer leave()
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	before := s.current.Swap(&config)
	if err := s.reload(ctx); err != nil {
		s.current.Store(before)
		return err
	}
	return nil
}

// reload brings every open tenant up to date with the configuration, in one transaction. The caller holds s.changing, without which no fold moves.
func (s *Server) reload(ctx context.Context) error {
	if err := s.checkConfigured(); err != nil {
		return err
	}
	ready := &prepared{rules: map[string]*rules{}}
	var entries []ledger.Entry
	tenants := s.openTenants()
	next := make([]*rules, len(tenants))
	for i, t := range tenants {
		r, err := s.rulesToOpen(ctx, t)
		if err != nil {
			return err
		}
		if r.fault != nil && t.now.Load().rules.fault == nil {
			return fmt.Errorf("server: what tenant %q has in force does not fit the new configuration: %w", t.name, cmp.Or(asProblem(r.fault).cause, r.fault))
		}
		next[i], ready.rules[r.key] = r, r
	}
	for _, t := range tenants { // once everything is compiled: entries say when they were made
		missing, err := s.upToDate(ctx, t)
		if err != nil {
			return err
		}
		entries = append(entries, missing...)
	}
	if _, err := s.commit(ctx, ready, entries...); err != nil {
		return notStored(err)
	}
	for i, t := range tenants {
		// What stands in a tenant's way need not be in its log: a name that the configuration no longer takes.
		if now := *t.now.Load(); now.rules.fault != nil {
			now.rules = next[i]
			t.now.Store(&now)
		}
	}
	return nil
}

// openTenants are in order of name.
func (s *Server) openTenants() []*tenant {
	var list []*tenant
	s.tenants.Range(func(_, t any) bool {
		list = append(list, t.(*tenant))
		return true
	})
	slices.SortFunc(list, func(a, b *tenant) int { return cmp.Compare(a.name, b.name) })
	return list
}
