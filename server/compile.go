package server

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
)

// rules are the policies and settings in force together. Tenants with the same ones share them.
type rules struct {
	key         string         // rulesKey of bundles and settings
	policies    *rego.Policies // nil where there is a fault
	constraints map[string]contracts.Constraint
	bundles     []*rego.Bundle // in order of name
	settings    map[string]any
	digest      string // of the settings
	admission   contracts.Admission
	approve     bool // a new or changed contract awaits approval
	separate    bool // who wrote a bundle can't put it in force
	// fault says why nothing can be decided under them: a baseline that was changed while the server was stopped, and what the tenant's people put in force, may not fit together.
	fault error
}

// settingsOf are those that the configuration has for a tenant.
func (s *Server) settingsOf(tenant string) map[string]any {
	settings, ok := s.configured().TenantSettings[tenant]
	if !ok {
		settings = s.configured().Settings
	}
	if settings == nil {
		settings = map[string]any{}
	}
	return settings
}

// rulesKey names bundles and settings in force together. The names of bundles belong to it: positions are told with them.
func rulesKey(bundles []verify.BundleReference, settings string) string {
	parts := make([]string, len(bundles), len(bundles)+1)
	for i, b := range bundles {
		parts[i] = fmt.Sprintf("%q %s", b.Name, b.Digest)
	}
	slices.Sort(parts)
	return strings.Join(append(parts, settings), "\n")
}

// rulesOf compiles the configured bundles with settings, or finds them compiled.
func (s *Server) rulesOf(settings map[string]any) (*rules, error) {
	return s.compileRules(s.configured().Bundles, settings)
}

// newRules are rules that are not compiled yet.
func newRules(bundles []*rego.Bundle, settings map[string]any) (*rules, error) {
	if settings == nil {
		settings = map[string]any{}
	}
	digest, err := verify.SettingsDigest(settings)
	if err != nil {
		return nil, fmt.Errorf("server: settings: %w", err)
	}
	bundles = slices.SortedFunc(slices.Values(bundles), func(a, b *rego.Bundle) int { return cmp.Compare(a.Name, b.Name) })
	references := make([]verify.BundleReference, len(bundles))
	for i, b := range bundles {
		references[i] = verify.BundleReference{Name: b.Name, Digest: b.Digest}
	}
	return &rules{key: rulesKey(references, digest), bundles: bundles, settings: settings, digest: digest, constraints: map[string]contracts.Constraint{}}, nil
}

const maxCompiledRules = 64

// compileRules remembers what it compiled: tenants with the same bundles and settings share the result, and old decisions are read under the rules of their time.
// Where they don't compile together, the error holds contracts.Diagnostics.
func (s *Server) compileRules(bundles []*rego.Bundle, settings map[string]any) (*rules, error) {
	r, err := newRules(bundles, settings)
	if err != nil {
		return nil, err
	}
	if known, ok := s.knownRules(r.key); ok {
		return known, nil
	}
	policies, diagnostics := rego.Compile(r.bundles, rego.Options{Settings: r.settings})
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
	s.compiling.Lock()
	defer s.compiling.Unlock()
	if len(s.compiled) >= maxCompiledRules {
		clear(s.compiled)
	}
	s.compiled[r.key] = r
	return r, nil
}

func (s *Server) knownRules(key string) (*rules, bool) {
	s.compiling.Lock()
	defer s.compiling.Unlock()
	known, ok := s.compiled[key]
	return known, ok
}

// core reads the settings that are the server's own: settings.core.
func (r *rules) core() error {
	core, err := rego.ReadCoreSettings(r.settings)
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	r.admission = contracts.Admission{Labels: core.Labels, RequireLabel: core.RequireLabel}
	r.approve, r.separate = core.ApproveContracts, core.SeparateApproval
	return nil
}

// with are the bundles with one put in, in place of the one of its name.
func (r *rules) with(b *rego.Bundle) []*rego.Bundle { return append(r.without(b.Name), b) }

// without are the bundles but the one of a name.
func (r *rules) without(name string) []*rego.Bundle {
	return slices.DeleteFunc(slices.Clone(r.bundles), func(b *rego.Bundle) bool { return b.Name == name })
}

// candidateRules are what is in force with a bundle put in, in place of the one of its name, and with other settings; what is nil changes nothing.
// Where they don't compile together, the error holds contracts.Diagnostics.
func (s *Server) candidateRules(now *inForce, put *rego.Bundle, settings map[string]any) (*rules, error) {
	bundles := now.rules.bundles
	if put != nil {
		bundles = now.rules.with(put)
	}
	if settings == nil {
		settings = now.rules.settings
	}
	return s.compileRules(bundles, settings)
}

// bundle is one that the tenant's people pushed, whether it is in force or not; a problem, not-found, for any other digest.
func (s *Server) bundle(ctx context.Context, t *tenant, digest string) (*rego.Bundle, error) {
	pushed, ok := t.now.Load().pushed[digest]
	if !ok {
		return nil, notFound()
	}
	return s.storedBundle(ctx, t, verify.BundleReference{Name: pushed.Name, Digest: digest, Key: pushed.Signer})
}

// rulesToOpen are what will be in force for a tenant once its log is up to date with the configuration: the baseline, and what its own people put there. Where these don't fit together, the rules have a fault, and the tenant alone stands still.
func (s *Server) rulesToOpen(ctx context.Context, t *tenant) (*rules, error) {
	settings := s.settingsOf(t.name)
	if t.fold.Settings.Scope == store.TenantScope {
		var err error
		if settings, err = s.storedSettings(ctx, t, t.fold.Settings.Digest); err != nil {
			return nil, err
		}
	}
	bundles, own, err := s.bundlesToOpen(ctx, t)
	if err != nil {
		return nil, err
	}
	r, err := s.compileRules(bundles, settings)
	if err == nil && len(bundles) == len(s.configured().Bundles)+len(own) {
		return r, nil
	}
	unfit, failed := newRules(bundles, settings)
	if failed != nil {
		return nil, failed
	}
	if unfit.core() != nil {
		unfit.separate = true // whoever mends it is held to the stricter rule
	}
	unfit.fault = s.unfit(own, err)
	return unfit, nil
}

// bundlesToOpen are the baseline and the tenant's own bundles, whose names are listed too. Where the baseline has got a bundle of the same name, the tenant's stays.
func (s *Server) bundlesToOpen(ctx context.Context, t *tenant) (bundles []*rego.Bundle, own []string, err error) {
	for _, name := range slices.Sorted(maps.Keys(t.fold.Bundles)) {
		if b := t.fold.Bundles[name]; b.Scope == store.TenantScope {
			bundle, err := s.storedBundle(ctx, t, referenceTo(b))
			if err != nil {
				return nil, nil, err
			}
			bundles, own = append(bundles, bundle), append(own, name)
		}
	}
	for _, b := range s.configured().Bundles {
		if !slices.Contains(own, b.Name) {
			bundles = append(bundles, b)
		}
	}
	return bundles, own, nil
}

func referenceTo(b ledger.Bundle) verify.BundleReference {
	return verify.BundleReference{Name: b.Name, Digest: b.Digest, Key: b.Signer, Index: b.Index}
}

// unfit is what a tenant is told whose policies don't fit those of the installation.
func (s *Server) unfit(own []string, cause error) error {
	baseline := make([]string, len(s.configured().Bundles))
	for i, b := range s.configured().Bundles {
		baseline[i] = b.Name
	}
	detail := fmt.Sprintf("The installation's bundles (%s) and the tenant's own (%s), with the settings in force, do not fit together, so nothing is decided. "+
		"Activate another version of a bundle of the tenant's, deactivate it, or change the settings; /v1/bundles says what is wrong.", strings.Join(baseline, ", "), cmp.Or(strings.Join(own, ", "), "none"))
	if cause == nil {
		cause = fmt.Errorf("the installation has bundles of the same name as the tenant's: %s", strings.Join(slices.DeleteFunc(own, func(name string) bool { return !slices.Contains(baseline, name) }), ", "))
	}
	return newProblem(http.StatusServiceUnavailable, "policies-unfit", detail).because(cause)
}
