package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/canonical"
	"github.com/smarthausgroup/caio/contracts/source"
	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
)

// fitting refuses settings of another time that the bundles of now do not take.
func (s *Server) fitting(form *rego.SettingsForm, settings map[string]any) (map[string]any, error) {
	diagnostics := form.Check(settings)
	if !diagnostics.HasErrors() {
		return settings, nil
	}
	p := faults("settings-unfit", diagnostics)
	p.Status, p.Detail = http.StatusConflict, "The bundles in force do not take these settings; each fault is listed with its place in them, and nothing was done."
	return nil, p
}

// settingsChange is a change of a tenant's settings on its way.
type settingsChange struct {
	tenant           *tenant
	by               act
	installation     bool // asked for by the installation's people
	previous, reason string
	scope            string
	again            *repeat
	// choose returns the settings, which the form finds no fault in.
	choose func(t *tenant, form *rego.SettingsForm) (map[string]any, error)
}

// answerSettings makes a change whose body was read with the faults that were found.
func (s *Server) answerSettings(c *call, found found, change settingsChange) error {
	found.reason(change.reason)
	if change.previous != "" && !digestForm.MatchString(change.previous) {
		found.add("/previous", "invalid-value", "expected the digest of the settings that the change was made from: 64 hexadecimal digits")
	}
	if err := found.problem(); err != nil {
		return err
	}
	t, err := s.named(c)
	if err != nil {
		return err
	}
	change.tenant, change.installation = t, c.who.Principal.Tenant == s.config.Installation
	change.by = act{actor: c.who.Principal.Subject, tenant: c.who.Principal.Tenant, reason: change.reason}
	if first, ok, err := s.first(c.ctx(), t, change.again); err != nil {
		return err
	} else if ok {
		return c.answerStored(first)
	}
	answer, err := s.changeSettings(c.ctx(), &change)
	var repeated *ledger.Repeated
	if errors.As(err, &repeated) {
		answer, err = repeated.First, nil
	}
	if err != nil {
		return err
	}
	return c.answerStored(answer)
}

// changeSettings puts settings in force: all of them at once, once their entry is durable, and only if the bundles in force compile with them.
// They are compiled while others go on changing things; where what is in force is another thing afterwards, it begins again.
func (s *Server) changeSettings(ctx context.Context, change *settingsChange) (store.Answer, error) {
	for {
		if err := ctx.Err(); err != nil {
			return store.Answer{}, err
		}
		now, _, err := change.tenant.look(s.ledger)
		if err != nil {
			return store.Answer{}, err
		}
		next, err := s.settingsRules(ctx, change, now)
		if err != nil {
			return store.Answer{}, err
		}
		answer, moved, err := s.swapSettings(ctx, change, now, next)
		if err != nil || !moved {
			return answer, err
		}
	}
}

// settingsRules are those that will be in force, compiled; an error is why they can't be.
func (s *Server) settingsRules(ctx context.Context, change *settingsChange, now *inForce) (*rules, error) {
	if change.previous != "" && change.previous != now.settings.Digest {
		return nil, newProblem(http.StatusConflict, "settings-moved", "The settings in force have the digest "+now.settings.Digest+": read them again, and make the change from them.")
	}
	if err := s.displaced(now); err != nil {
		return nil, err
	}
	form, err := s.settingsForm(ctx, change.tenant, now)
	if err != nil {
		return nil, err
	}
	settings, err := change.choose(change.tenant, form)
	if err != nil {
		return nil, err
	}
	if err := s.unlocked(ctx, change, now.rules.settings, settings); err != nil {
		return nil, err
	}
	next, err := s.candidateRules(now, nil, settings)
	var diagnostics contracts.Diagnostics
	if errors.As(err, &diagnostics) {
		return nil, rulesFaults(diagnostics)
	}
	return next, err
}

// displaced is why no settings help a tenant one of whose bundles has the name of one of the installation's.
func (s *Server) displaced(now *inForce) error {
	for _, b := range s.configured().Bundles {
		if now.active[b.Name].Scope == store.TenantScope {
			return now.rules.fault
		}
	}
	return nil
}

// rulesFaults is the problem of settings with which rules do not compile, though the schemas take them.
func rulesFaults(diagnostics contracts.Diagnostics) error {
	told := slices.Clone(diagnostics)
	for i, d := range told {
		if at := d.Pos.String(); at != "" {
			told[i].Summary = at + ": " + d.Summary
		}
		told[i].Pos = contracts.Position{}
		pointer, inside := strings.CutPrefix(d.Pointer, "/caio/settings")
		if told[i].Pointer = ""; inside {
			told[i].Pointer = "/settings" + pointer
		}
	}
	p := faults("invalid-settings", told)
	p.Detail = "The policies in force do not compile with these settings; nothing was done."
	return p
}

// unlocked refuses a change by the tenant's people of what only the installation's may change. What they set themselves before it was locked they may give up for what the configuration says.
func (s *Server) unlocked(ctx context.Context, change *settingsChange, before, after map[string]any) error {
	if change.installation {
		return nil
	}
	p := newProblem(http.StatusForbidden, "settings-locked", "Only people of the installation's own tenant, "+s.config.Installation+", change the settings of these packs; nothing was done.")
	for _, pack := range s.configured().LockedSettings {
		free, err := sameSetting(before[pack], after[pack])
		if err == nil && !free && change.scope == "" {
			free, err = s.ownSetting(ctx, change.tenant, pack, before[pack])
		}
		if err != nil {
			return err
		}
		if !free {
			p.Errors = append(p.Errors, Fault{Pointer: "/settings/" + source.Escape(pack), Code: "locked", Detail: "the settings of " + pack + " are others than those in force"})
		}
	}
	if len(p.Errors) == 0 {
		return nil
	}
	return p
}

// ownSetting reports whether it was the tenant's own people who first set a pack to what it has been set to since.
func (s *Server) ownSetting(ctx context.Context, t *tenant, pack string, value any) (own bool, err error) {
	keys, err := s.publicKeys(ctx)
	if err != nil {
		return false, err
	}
	entries, err := s.ledger.EntriesOf(ctx, t.name, verify.TypSettings)
	if err != nil {
		return false, err
	}
	for _, entry := range slices.Backward(entries) {
		var r verify.SettingsRecord
		if _, err := verify.Verify(verify.TypSettings, entry.Leaf, keys, &r); err != nil {
			return false, t.misplaced(entry.Index, "the entry does not hold", err)
		}
		settings, err := s.storedSettings(ctx, t, r.Settings)
		if err != nil {
			return false, err
		}
		if same, err := sameSetting(settings[pack], value); err != nil || !same {
			return own, err
		}
		own = r.ActorTenant == t.name
	}
	return own, nil
}

func sameSetting(a, b any) (bool, error) {
	first, err := canonical.Encode(a)
	if err != nil {
		return false, err
	}
	second, err := canonical.Encode(b)
	return bytes.Equal(first, second), err
}

// swapSettings makes the change durable and puts it in force, unless what is in force has moved on since it was looked at.
func (s *Server) swapSettings(ctx context.Context, change *settingsChange, seen *inForce, next *rules) (answer store.Answer, moved bool, err error) {
	t := change.tenant
	defer s.alter(&change.by)()
	now, _, err := t.look(s.ledger)
	if err != nil {
		return answer, false, err
	}
	if now.rules != seen.rules || now.settings != seen.settings {
		return answer, true, nil
	}
	done := SettingsChange{Settings: next.digest, Revision: now.settings.Revision, Previous: now.settings.Digest}
	if now.settings.Digest == next.digest && now.settingsScope == change.scope {
		done.Unchanged = true
		answer, err = settingsAnswer(done, now.settings.Index)
		return answer, false, err
	}
	done.Revision++
	if answer, err = settingsAnswer(done, 0); err != nil {
		return answer, false, err
	}
	entry, err := s.settingsEntry(t, change.by, next.settings, next.digest, change.scope)
	if err != nil {
		return answer, false, err
	}
	entry.Answer = change.again.answer(answer)
	indices, err := s.commit(ctx, &prepared{rules: map[string]*rules{next.key: next}}, entry)
	if err != nil {
		return answer, false, notStored(err)
	}
	answer.Index = indices[0]
	return answer, false, nil
}

func settingsAnswer(done SettingsChange, index int64) (store.Answer, error) {
	body, err := json.Marshal(done)
	return store.Answer{Status: http.StatusOK, Body: body, Index: index}, err
}

// checkConfigured holds the settings of the configuration to the baseline's bundles.
func (s *Server) checkConfigured() error {
	form, diagnostics := rego.NewSettingsForm(s.configured().Bundles, nil)
	if err := diagnostics.Err(); err != nil {
		return fmt.Errorf("server: the configured policies:\n%w", err)
	}
	var faults contracts.Diagnostics
	add := func(at string, found contracts.Diagnostics) {
		for _, d := range found {
			d.Pointer = at + d.Pointer
			faults = append(faults, d)
		}
	}
	add("/settings", form.Check(s.configured().Settings))
	tenants := slices.Sorted(maps.Keys(s.configured().TenantSettings))
	for _, tenant := range tenants {
		add("/tenant_settings/"+source.Escape(tenant), form.Check(s.configured().TenantSettings[tenant]))
	}
	for _, pack := range s.configured().LockedSettings {
		add("/locked_settings", form.Known(pack))
	}
	if err := faults.Err(); err != nil {
		return fmt.Errorf("server: the configured settings:\n%w", err)
	}
	for _, tenant := range append(tenants, "") {
		r, err := s.rulesOf(s.settingsOf(tenant))
		if err != nil {
			return err
		}
		s.metrics.names.configure(maps.Keys(r.constraints))
	}
	return nil
}
