package server

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/source"
	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
)

// SettingsAnswer are the operational settings in force, which policies read as data.caio.settings over the defaults of their bundles.
type SettingsAnswer struct {
	Settings map[string]any   `json:"settings"`
	InForce  verify.Reference `json:"in_force"`
	// Scope is `tenant` for settings that the tenant's people put in force, absent for those of the installation's configuration.
	Scope string `json:"scope,omitempty"`
	// Effective is what policies read: the settings over the defaults of the bundles.
	Effective map[string]any `json:"effective"`
	// Locked are the packs whose settings only the installation's people change.
	Locked []string `json:"locked"`
	// Schema is the JSON Schema of the settings: that of `core`, and of every pack, as their bundles have it.
	Schema map[string]any `json:"schema"`
}

// SettingsText is a map of settings as it was sent, with its places.
type SettingsText struct{ node *source.Node }

// DecodeNode takes the text as it is; what it holds is read under the schemas in force.
func (t *SettingsText) DecodeNode(n *source.Node, _ *contracts.Diagnostics) { t.node = n }

// SettingsRequest puts settings in force, whole: what it leaves out is as the bundles' defaults have it.
type SettingsRequest struct {
	Settings SettingsText `json:"settings" jsonschema:"required"`
	Reason   string       `json:"reason" jsonschema:"required,minLength=1,maxLength=1000"`
	// Previous is the digest of the settings that the change was made from. Where others are in force by now, nothing is changed.
	Previous string `json:"previous,omitempty" jsonschema:"pattern=^[0-9a-f]{64}$"`
}

// SettingsRollback puts the settings of an earlier revision in force again.
type SettingsRollback struct {
	Revision int64  `json:"revision" jsonschema:"required,minimum=1"`
	Reason   string `json:"reason" jsonschema:"required,minLength=1,maxLength=1000"`
	Previous string `json:"previous,omitempty" jsonschema:"pattern=^[0-9a-f]{64}$"`
}

// SettingsReset puts the settings of the installation's configuration in force again, which then follow it.
type SettingsReset struct {
	Reason   string `json:"reason" jsonschema:"required,minLength=1,maxLength=1000"`
	Previous string `json:"previous,omitempty" jsonschema:"pattern=^[0-9a-f]{64}$"`
}

// SettingsChange is what became of a change. Index is that of the log's entry that put the settings in force.
type SettingsChange struct {
	Settings string `json:"settings"` // digest of those in force
	Revision int64  `json:"revision"`
	Previous string `json:"previous"` // digest of those before
	// Unchanged says that they were in force already: nothing was done.
	Unchanged bool   `json:"unchanged"`
	Index     *int64 `json:"index,omitempty"`
}

// SettingsVersion is one of the settings that were, or are, in force.
type SettingsVersion struct {
	Revision int64  `json:"revision"` // counts from 1
	Digest   string `json:"digest"`
	// Scope is `tenant` for settings that the tenant's people put in force, absent for those of the installation's configuration.
	Scope  string `json:"scope,omitempty"`
	Actor  string `json:"actor"`
	Reason string `json:"reason"`
	Time   string `json:"time" jsonschema:"format=date-time"`
	Index  int64  `json:"index"`
}

// SettingsVersionList is a page of the history of settings, in the order of the log.
type SettingsVersionList struct {
	Versions []SettingsVersion `json:"versions"`
	// Next is the cursor of the page that follows; absent at the end.
	Next string `json:"next,omitempty"`
}

// SettingsRevision is one of them with what it says.
type SettingsRevision struct {
	SettingsVersion
	Content map[string]any `json:"settings"`
}

func (s *Server) getSettings(c *call) error {
	t, err := s.named(c)
	if err != nil {
		return err
	}
	now, _, err := t.look(s.ledger)
	if err != nil {
		return err
	}
	form, err := s.settingsForm(c.ctx(), t, now)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, SettingsAnswer{
		Settings: now.rules.settings, InForce: now.settings, Scope: now.settingsScope,
		Effective: form.InForce(now.rules.settings), Locked: append([]string{}, s.configured().LockedSettings...), Schema: form.Schema(),
	})
}

// settingsForm is what a tenant's bundles take as settings. Bundles that were handed in and are not in force yet can have theirs made ready.
func (s *Server) settingsForm(ctx context.Context, t *tenant, now *inForce) (*rego.SettingsForm, error) {
	latest := map[string]ledger.Bundle{}
	for _, b := range now.pushed {
		if b.Index >= latest[b.Name].Index {
			latest[b.Name] = b
		}
	}
	var waiting []*rego.Bundle
	for name, b := range latest {
		if now.active[name].Digest == b.Digest {
			continue
		}
		bundle, err := s.storedBundle(ctx, t, referenceTo(b))
		if err != nil {
			return nil, err
		}
		waiting = append(waiting, bundle)
	}
	form, diagnostics := rego.NewSettingsForm(now.rules.bundles, waiting)
	return form, diagnostics.Err()
}

func (s *Server) putSettings(c *call) error {
	var request SettingsRequest
	found, err := c.form(s.config.Limits.RequestBytes, &request)
	if err != nil {
		return err
	}
	return s.answerSettings(c, found, settingsChange{
		previous: request.Previous, reason: request.Reason, scope: store.TenantScope,
		choose: func(_ *tenant, form *rego.SettingsForm) (map[string]any, error) {
			settings, diagnostics := form.Read(request.Settings.node)
			if diagnostics.HasErrors() {
				return nil, faults("invalid-settings", diagnostics)
			}
			return settings, nil
		},
	})
}

func (s *Server) rollbackSettings(c *call) error {
	body, err := c.body(s.config.Limits.RequestBytes)
	if err != nil {
		return err
	}
	var request SettingsRollback
	found, err := decode(body, s.config.Limits.RequestBytes, &request)
	if err != nil {
		return err
	}
	change := settingsChange{previous: request.Previous, reason: request.Reason, scope: store.TenantScope}
	change.choose = func(t *tenant, form *rego.SettingsForm) (map[string]any, error) {
		version, err := s.settingsAt(c.ctx(), t, request.Revision)
		if err != nil {
			return nil, err
		}
		return s.fitting(form, version.Content)
	}
	if change.again, err = s.repeat(c, body); err != nil {
		return err
	}
	return s.answerSettings(c, found, change)
}

func (s *Server) resetSettings(c *call) error {
	body, err := c.body(s.config.Limits.RequestBytes)
	if err != nil {
		return err
	}
	var request SettingsReset
	found, err := decode(body, s.config.Limits.RequestBytes, &request)
	if err != nil {
		return err
	}
	change := settingsChange{previous: request.Previous, reason: request.Reason}
	change.choose = func(t *tenant, form *rego.SettingsForm) (map[string]any, error) {
		return s.fitting(form, s.settingsOf(t.name))
	}
	if change.again, err = s.repeat(c, body); err != nil {
		return err
	}
	return s.answerSettings(c, found, change)
}

// settingsVersions are those of the tenant, in the order of the log.
func (s *Server) settingsVersions(ctx context.Context, t *tenant) ([]SettingsVersion, error) {
	events, err := s.ledger.Events(ctx, t.name, 0, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	versions := []SettingsVersion{}
	for _, e := range events {
		if e.Kind == store.Settings {
			versions = append(versions, SettingsVersion{
				Revision: int64(len(versions)) + 1, Digest: e.Digest, Scope: e.Scope, Actor: e.Actor, Reason: e.Reason, Time: e.Time.UTC().Format(verify.TimeFormat), Index: e.Index,
			})
		}
	}
	return versions, nil
}

func (s *Server) getSettingsVersions(c *call) error {
	t, err := s.named(c)
	if err != nil {
		return err
	}
	from, err := c.cursorIndex()
	if err != nil {
		return err
	}
	versions, err := s.settingsVersions(c.ctx(), t)
	if err != nil {
		return err
	}
	first, _ := slices.BinarySearchFunc(versions, from, func(v SettingsVersion, index int64) int { return cmp.Compare(v.Index, index) })
	list := SettingsVersionList{Versions: versions[first:]}
	if limit := c.limit(); len(list.Versions) > limit {
		list.Next = formatIndex(list.Versions[limit].Index)
		list.Versions = list.Versions[:limit]
	}
	return c.answer(http.StatusOK, list)
}

func (s *Server) getSettingsVersion(c *call) error {
	t, err := s.named(c)
	if err != nil {
		return err
	}
	revision, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err != nil {
		return notFound()
	}
	version, err := s.settingsAt(c.ctx(), t, revision)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, version)
}

// settingsAt are the settings of a revision; a problem, not-found, where the tenant never had so many.
func (s *Server) settingsAt(ctx context.Context, t *tenant, revision int64) (SettingsRevision, error) {
	versions, err := s.settingsVersions(ctx, t)
	if err != nil {
		return SettingsRevision{}, err
	}
	if revision < 1 || revision > int64(len(versions)) {
		return SettingsRevision{}, newProblem(http.StatusNotFound, "not-found", fmt.Sprintf("There is no revision %d of the settings: there are %d.", revision, len(versions)))
	}
	found := SettingsRevision{SettingsVersion: versions[revision-1]}
	found.Content, err = s.storedSettings(ctx, t, found.Digest)
	return found, err
}
