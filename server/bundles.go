package server

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
)

// BundleList is what is in force for the tenant, evaluated beside it, and handed in.
type BundleList struct {
	Tenant string `json:"tenant"`
	// Log is the origin of the tenant's log, which an approval names.
	Log     string          `json:"log"`
	Bundles []BundleSummary `json:"bundles"` // in force, in order of name
	Shadows []BundleSummary `json:"shadows"` // evaluated beside them, in order of name
	Pushed  []BundleSummary `json:"pushed"`  // handed in, the latest first
	// Constraints are those of the bundles in force, in order of id.
	Constraints []contracts.Constraint `json:"constraints"`
	// Faults say why nothing is decided, where the bundles and settings in force do not fit together.
	Faults []Fault `json:"faults,omitempty"`
	// Next is the cursor of the page of `pushed` that follows; absent at the end.
	Next string `json:"next,omitempty"`
}

// BundleSummary is a bundle in a list.
type BundleSummary struct {
	Name     string `json:"name"`
	Revision string `json:"revision,omitempty"` // of its manifest
	Digest   string `json:"digest"`
	// Key is the id of the key that signed it; absent where none did, which a server allows for development only.
	Key string `json:"key,omitempty"`
	// Scope is `tenant` for a bundle of the tenant's own people, absent for one of the installation's baseline.
	Scope string `json:"scope,omitempty"`
	// Author is who pushed it first; absent for the baseline.
	Author string `json:"author,omitempty"`
	// Index is that of the log's entry that put it where it is, and Time that entry's.
	Index int64  `json:"index"`
	Time  string `json:"time" jsonschema:"format=date-time"`
}

// BundlePushed is what became of a bundle that was handed in. It is not in force yet.
type BundlePushed struct {
	Name     string `json:"name"`
	Revision string `json:"revision"`
	Digest   string `json:"digest"`
	Key      string `json:"key,omitempty"`
	// Constraints are those of the bundle itself, in order of id.
	Constraints []contracts.Constraint `json:"constraints"`
	Tests       TestCounts             `json:"tests"`
	// Unchanged says that it had been pushed before: nothing was done.
	Unchanged bool   `json:"unchanged"`
	Index     *int64 `json:"index,omitempty"` // of the log's entry
}

// bundleName is a name that people give to a bundle: without a slash, so that positions in it can be told from those in others.
var bundleName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func summaryOf(b ledger.Bundle) BundleSummary {
	return BundleSummary{Name: b.Name, Digest: b.Digest, Key: b.Signer, Scope: b.Scope, Author: b.Author, Index: b.Index, Time: b.Time.UTC().Format(verify.TimeFormat)}
}

func summariesOf(bundles map[string]ledger.Bundle) []BundleSummary {
	list := make([]BundleSummary, 0, len(bundles))
	for _, b := range bundles {
		list = append(list, summaryOf(b))
	}
	slices.SortFunc(list, func(a, b BundleSummary) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

func (s *Server) getBundles(c *call) error {
	t, err := s.named(c)
	if err != nil {
		return err
	}
	before, err := c.cursorIndex()
	if err != nil {
		return err
	}
	now, _, err := t.look(s.ledger)
	if err != nil {
		return err
	}
	list := BundleList{Tenant: t.name, Log: t.origin, Bundles: summariesOf(now.active), Shadows: summariesOf(now.shadows), Constraints: []contracts.Constraint{}}
	if now.rules.fault != nil {
		list.Faults = unfitFaults(now.rules.fault)
	} else {
		list.Constraints = append(list.Constraints, now.rules.policies.Constraints()...)
	}
	list.Pushed = summariesOf(now.pushed)
	slices.SortFunc(list.Pushed, func(a, b BundleSummary) int { return cmp.Compare(b.Index, a.Index) })
	list.Pushed = slices.DeleteFunc(list.Pushed, func(b BundleSummary) bool { return before > 0 && b.Index >= before })
	if limit := c.limit(); len(list.Pushed) > limit {
		list.Next = formatIndex(list.Pushed[limit-1].Index)
		list.Pushed = list.Pushed[:limit]
	}
	for _, b := range now.rules.bundles {
		s.revisions.Store(b.Digest, b.Revision)
	}
	for _, part := range [][]BundleSummary{list.Bundles, list.Shadows, list.Pushed} {
		for i := range part {
			if part[i].Revision, err = s.revision(c.ctx(), t, part[i]); err != nil {
				return err
			}
		}
	}
	return c.answer(http.StatusOK, list)
}

// revision is what the manifest of a bundle says, which no entry does. It is read once.
func (s *Server) revision(ctx context.Context, t *tenant, b BundleSummary) (string, error) {
	if known, ok := s.revisions.Load(b.Digest); ok {
		return known.(string), nil
	}
	read, err := s.storedBundle(ctx, t, verify.BundleReference{Name: b.Name, Digest: b.Digest, Key: b.Key})
	if err != nil {
		return "", err
	}
	s.revisions.Store(b.Digest, read.Revision)
	return read.Revision, nil
}

// unfitFaults are the reasons for which rules have a fault.
func unfitFaults(fault error) []Fault {
	var diagnostics contracts.Diagnostics
	if errors.As(fault, &diagnostics) {
		return bundleFaults("policies-unfit", "", diagnostics).Errors
	}
	if cause := errors.Unwrap(fault); cause != nil {
		fault = cause
	}
	return []Fault{{Code: "policies-unfit", Detail: fault.Error()}}
}

// BundleVersion is one thing that was done with a bundle.
type BundleVersion struct {
	Index  int64           `json:"index"`
	Kind   store.EventKind `json:"kind" jsonschema:"enum=pushed,enum=activated,enum=deactivated,enum=shadowed,enum=unshadowed"`
	Name   string          `json:"name"`
	Digest string          `json:"digest"`
	Key    string          `json:"key,omitempty"`
	Scope  string          `json:"scope,omitempty"`
	// Previous is the digest of the bundle of its name that it took the place of.
	Previous string `json:"previous,omitempty"`
	Author   string `json:"author,omitempty"`
	Actor    string `json:"actor"`
	Reason   string `json:"reason"`
	// Approval is what an approver signed with a key of their own, a compact JWS.
	Approval string `json:"approval,omitempty"`
	// Rollback says that the last change of the name was to be undone. Entries that were made before they stated it lack it.
	Rollback bool   `json:"rollback,omitempty"`
	Time     string `json:"time" jsonschema:"format=date-time"`
}

// BundleVersionList is a page of what was done with bundles, in the order of the log.
type BundleVersionList struct {
	Versions []BundleVersion `json:"versions"`
	// Next is the cursor of the page that follows; absent at the end.
	Next string `json:"next,omitempty"`
}

// getBundleVersions reads the log: what its entries say, and not only what is folded from them.
func (s *Server) getBundleVersions(c *call) error {
	t, err := s.named(c)
	if err != nil {
		return err
	}
	from, err := c.cursorIndex()
	if err != nil {
		return err
	}
	keys, err := s.publicKeys(c.ctx())
	if err != nil {
		return err
	}
	entries, err := s.ledger.EntriesOf(c.ctx(), t.name, verify.TypActivation)
	if err != nil {
		return err
	}
	list, limit := BundleVersionList{Versions: []BundleVersion{}}, c.limit()
	for i := range entries {
		if entries[i].Index < from {
			continue
		}
		var r verify.ActivationRecord
		if _, err := verify.Verify(verify.TypActivation, entries[i].Leaf, keys, &r); err != nil {
			return t.misplaced(entries[i].Index, "the entry does not hold", err)
		}
		if name := c.query.Get("name"); name != "" && name != r.Bundle {
			continue
		}
		if len(list.Versions) == limit {
			list.Next = formatIndex(entries[i].Index)
			break
		}
		list.Versions = append(list.Versions, versionOfBundle(entries[i].Index, &r))
	}
	return c.answer(http.StatusOK, list)
}

func versionOfBundle(index int64, r *verify.ActivationRecord) BundleVersion {
	return BundleVersion{
		Index: index, Kind: store.EventKind(r.Kind), Name: r.Bundle, Digest: r.Digest, Key: r.Key, Scope: r.Scope, Previous: r.Previous, Author: r.Author,
		Actor: r.Actor, Reason: r.Reason, Approval: r.Approval, Rollback: r.Rollback, Time: time.Unix(r.IAT, 0).UTC().Format(verify.TimeFormat),
	}
}

// getBundle gives the files of a bundle that is, or was, in force for the tenant, or that its people pushed, with the signature under which they did last.
func (s *Server) getBundle(c *call) error {
	t, err := s.named(c)
	if err != nil {
		return err
	}
	events, err := s.ledger.Events(c.ctx(), t.name, 0, math.MaxInt64)
	if err != nil {
		return err
	}
	digest := c.Param("digest")
	for _, e := range slices.Backward(events) {
		if e.Digest != digest || e.Kind != store.Pushed && e.Kind != store.Activated {
			continue
		}
		b, err := s.storedBundle(c.ctx(), t, verify.BundleReference{Name: e.Subject, Digest: digest, Key: e.Signer})
		if err != nil {
			return err
		}
		var packed bytes.Buffer
		if err := rego.WriteTarball(&packed, b); err != nil {
			return err
		}
		c.Response().Header().Set("Content-Disposition", `attachment; filename="`+digest+`.tar.gz"`)
		return c.Blob(http.StatusOK, mediaBundle[0], packed.Bytes())
	}
	return notFound()
}

// postBundle takes a bundle in, once it has passed the gate. It changes nothing that is in force.
func (s *Server) postBundle(c *call) error {
	t, err := s.named(c)
	if err != nil {
		return err
	}
	text, err := c.body(s.config.Limits.BundleBytes)
	if err != nil {
		return err
	}
	again, err := s.repeat(c, text)
	if err != nil {
		return err
	}
	if first, ok, err := s.first(c.ctx(), t, again); err != nil {
		return err
	} else if ok {
		return c.answerStored(first)
	}
	name := c.query.Get("name")
	if !bundleName.MatchString(name) {
		return newProblem(http.StatusBadRequest, "invalid-parameter", "Give the bundle a name, ?name=…, of the form [A-Za-z0-9][A-Za-z0-9._-]{0,63}. Versions of one bundle have the same name.")
	}
	b, diagnostics := rego.ReadTarball(name, bytes.NewReader(text))
	if diagnostics.HasErrors() {
		return bundleFaults("invalid-bundle", "Each fault is listed with its place; nothing was done. A bundle is a gzip-compressed tar, as `caio policy build` and `opa build` make it.", diagnostics)
	}
	answer, err := s.push(c.ctx(), t, act{actor: c.who.Principal.Subject}, b, again)
	if err != nil {
		return err
	}
	return c.answerStored(answer)
}

func (s *Server) push(ctx context.Context, t *tenant, a act, b *rego.Bundle, again *repeat) (store.Answer, error) {
	leave, err := s.gate.new.enter(ctx)
	if err != nil {
		return store.Answer{}, err
	}
	defer leave()
	if b, err = s.verified(b); err != nil {
		return store.Answer{}, err
	}
	now, _, err := t.look(s.ledger)
	if err != nil {
		return store.Answer{}, err
	}
	known, pushed := now.pushed[b.Digest]
	switch {
	case s.isBaseline(now, b.Name):
		return store.Answer{}, baselineProblem(b.Name)
	case pushed && known.Name != b.Name:
		return store.Answer{}, newProblem(http.StatusConflict, "bundle-name-taken", "The same files were pushed under the name "+known.Name+": use that name.")
	}
	r, tests, err := s.pass(ctx, now, b)
	if err != nil {
		return store.Answer{}, err
	}
	body := BundlePushed{Name: b.Name, Revision: b.Revision, Digest: b.Digest, Key: b.Key, Constraints: constraintsOf(r, b), Tests: tests}
	if pushed && known.Signer == b.Key {
		body.Unchanged = true
		return storedAnswer(http.StatusOK, body, known.Index)
	}
	answer, err := storedAnswer(http.StatusCreated, body, 0)
	if err != nil {
		return answer, err
	}
	blobs, err := bundleBlobs(b)
	if err != nil {
		return answer, err
	}
	defer s.alter(&a)()
	entry, err := s.activationEntry(t, a, activation{kind: store.Pushed, name: b.Name, digest: b.Digest, key: b.Key, scope: store.TenantScope}, blobs...)
	if err != nil {
		return answer, err
	}
	return s.commitAnswer(ctx, &prepared{}, answer, again, entry)
}

// commitAnswer makes a change durable together with what its caller is answered, whose index is that of the last entry.
func (s *Server) commitAnswer(ctx context.Context, ready *prepared, answer store.Answer, again *repeat, entries ...ledger.Entry) (store.Answer, error) {
	last := len(entries) - 1
	entries[last].Answer = again.answer(answer)
	indices, err := s.commit(ctx, ready, entries...)
	var repeated *ledger.Repeated
	switch {
	case errors.As(err, &repeated):
		return repeated.First, nil
	case err != nil:
		return answer, notStored(err)
	}
	answer.Index = indices[last]
	return answer, nil
}

func storedAnswer(status int, v any, index int64) (store.Answer, error) {
	body, err := json.Marshal(v)
	return store.Answer{Status: status, Body: body, Index: index}, err
}

// isBaseline reports whether a name is taken by a bundle of the installation's.
func (s *Server) isBaseline(now *inForce, name string) bool {
	b, active := now.active[name]
	return active && b.Scope == "" || slices.ContainsFunc(s.configured().Bundles, func(b *rego.Bundle) bool { return b.Name == name })
}

func baselineProblem(name string) error {
	return newProblem(http.StatusConflict, "baseline-bundle", "The bundle "+name+" is the installation's, and applies to every tenant: its configuration alone changes it. Choose another name for a bundle of the tenant's own.")
}

// constraintsOf are the constraints whose packages stand in the bundle's roots.
func constraintsOf(r *rules, b *rego.Bundle) []contracts.Constraint {
	list := []contracts.Constraint{}
	for _, k := range r.policies.Constraints() {
		at := strings.ReplaceAll(k.Package, ".", "/")
		if slices.ContainsFunc(b.Roots, func(root string) bool { return root == "" || at == root || strings.HasPrefix(at, root+"/") }) {
			list = append(list, k)
		}
	}
	return list
}

// changesOf are the events of the tenant's bundles, in the order of the log, up to and with what is in force.
func (s *Server) changesOf(ctx context.Context, t *tenant, now *inForce) ([]store.Event, error) {
	events, err := s.ledger.Events(ctx, t.name, 0, now.last+1)
	return slices.DeleteFunc(events, func(e store.Event) bool { return e.Kind != store.Activated && e.Kind != store.Deactivated }), err
}
