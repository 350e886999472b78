package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/rego"
)

// ActivationRequest says why a bundle is put in force, or taken out.
type ActivationRequest struct {
	Reason string `json:"reason" jsonschema:"required,minLength=1,maxLength=1000"`
	// Previous is the digest of the bundle that the caller found in force under the name, "" for none. Where another is in force by now, nothing is changed. It may be left out.
	Previous *string `json:"previous,omitempty" jsonschema:"pattern=^([0-9a-f]{64})?$"`
	// Approval is what an approver signed with a key of their own: a compact JWS of typ caio-approval+jws.
	Approval string `json:"approval,omitempty"`
}

// DeactivationRequest says why a bundle is taken out of force.
type DeactivationRequest struct {
	Reason string `json:"reason" jsonschema:"required,minLength=1,maxLength=1000"`
}

// RollbackRequest names the bundle whose last change is undone.
type RollbackRequest struct {
	Name     string  `json:"name" jsonschema:"required"`
	Reason   string  `json:"reason" jsonschema:"required,minLength=1,maxLength=1000"`
	Previous *string `json:"previous,omitempty" jsonschema:"pattern=^([0-9a-f]{64})?$"`
	Approval string  `json:"approval,omitempty"`
}

// Activation is what became of a change of what is in force.
type Activation struct {
	Name string `json:"name"`
	// Digest is of the bundle that is in force under the name now, "" for none.
	Digest string `json:"digest"`
	Key    string `json:"key,omitempty"`
	// Previous is of the one that was in force before, "" for none.
	Previous string `json:"previous"`
	Author   string `json:"author,omitempty"` // who pushed it
	// Tests are those that the bundle passed; absent where none was put in force.
	Tests *TestCounts `json:"tests,omitempty"`
	// Unchanged says that it was in force already: nothing was done.
	Unchanged bool   `json:"unchanged"`
	Index     *int64 `json:"index,omitempty"` // of the log's entry
}

// proposal is a change of the bundles in force, made from what was in force when it was made.
type proposal struct {
	rules   *rules // that will be in force
	answer  Activation
	entries []activation
	blobs   [][]ledger.Blob
	index   int64 // of the entry that did it before, where the answer is Unchanged
}

func (s *Server) activateBundle(c *call) error {
	var r ActivationRequest
	body, found, err := s.changeForm(c, &r)
	if err != nil {
		return err
	}
	found.digest("/previous", r.Previous)
	return s.receiveChange(c, s.gate.new, body, found, r.Reason, func(t *tenant, now *inForce) (*proposal, error) {
		pushed, ok := now.pushed[c.Param("digest")]
		if !ok {
			return nil, notFound()
		}
		return s.activated(c, t, now, pushed, r)
	})
}

func (s *Server) deactivateBundle(c *call) error {
	var r DeactivationRequest
	body, found, err := s.changeForm(c, &r)
	if err != nil {
		return err
	}
	return s.receiveChange(c, s.gate.back, body, found, r.Reason, func(_ *tenant, now *inForce) (*proposal, error) {
		digest := c.Param("digest")
		for _, b := range now.active {
			if b.Digest == digest {
				return s.deactivated(now, b)
			}
		}
		if _, pushed := now.pushed[digest]; !pushed {
			return nil, notFound()
		}
		return nil, newProblem(http.StatusConflict, "bundle-not-in-force", "Nothing was done; /v1/bundles lists what is in force.")
	})
}

func (s *Server) rollBackBundle(c *call) error {
	var r RollbackRequest
	body, found, err := s.changeForm(c, &r)
	if err != nil {
		return err
	}
	found.digest("/previous", r.Previous)
	return s.receiveChange(c, s.gate.back, body, found, r.Reason, func(t *tenant, now *inForce) (*proposal, error) {
		p, err := s.rolledBack(c, t, now, r.Name, ActivationRequest{Reason: r.Reason, Previous: r.Previous, Approval: r.Approval})
		if err != nil {
			return nil, err
		}
		for i := range p.entries {
			p.entries[i].rollback = true
		}
		return p, nil
	})
}

// changeForm reads the body of a change as a form, and as it is.
func (s *Server) changeForm(c *call, into any) ([]byte, found, error) {
	limit := s.config.Limits.RequestBytes
	body, err := c.body(limit)
	if err != nil {
		return nil, nil, err
	}
	found, err := decode(body, limit, into)
	return body, found, err
}

// receiveChange takes a change of the bundles in force from its request to its answer. It is proposed from what is in force, tested, and carried out if that is in force still; otherwise it is proposed again.
func (s *Server) receiveChange(c *call, lane lane, body []byte, found found, reason string, propose func(*tenant, *inForce) (*proposal, error)) error {
	t, err := s.named(c)
	if err != nil {
		return err
	}
	found.reason(reason)
	if err := found.problem(); err != nil {
		return err
	}
	again, err := s.repeat(c, body)
	if err != nil {
		return err
	}
	if first, ok, err := s.first(c.ctx(), t, again); err != nil {
		return err
	} else if ok {
		return c.answerStored(first)
	}
	leave, err := lane.enter(c.ctx())
	if err != nil {
		return err
	}
	defer leave()
	for {
		now, _, err := t.look(s.ledger)
		if err != nil {
			return err
		}
		p, err := propose(t, now)
		if err != nil {
			return err
		}
		answer, err := s.carryOut(c.ctx(), t, now, p, act{actor: c.who.Principal.Subject, reason: reason}, again)
		switch {
		case errors.Is(err, errMoved):
		case err != nil:
			return err
		default:
			return c.answerStored(answer)
		}
	}
}

// errMoved says that something else is in force than a proposal was made from.
var errMoved = errors.New("server: what is in force has moved")

// carryOut makes a proposal durable, and puts it in force. With errMoved nothing was done.
func (s *Server) carryOut(ctx context.Context, t *tenant, from *inForce, p *proposal, a act, again *repeat) (store.Answer, error) {
	answer, err := storedAnswer(http.StatusOK, p.answer, p.index)
	if err != nil || p.answer.Unchanged {
		return answer, err
	}
	defer s.alter(&a)()
	if t.now.Load().rules.key != from.rules.key {
		return answer, errMoved
	}
	entries := make([]ledger.Entry, len(p.entries))
	for i := range p.entries {
		if err := s.unused(ctx, t, a, p.entries[i]); err != nil {
			return answer, err
		}
		if entries[i], err = s.activationEntry(t, a, p.entries[i], p.blobs[i]...); err != nil {
			return answer, err
		}
	}
	return s.commitAnswer(ctx, &prepared{rules: map[string]*rules{p.rules.key: p.rules}}, answer, again, entries...)
}

// activated proposes to put a pushed bundle in force, in place of the one of its name.
func (s *Server) activated(c *call, t *tenant, now *inForce, pushed ledger.Bundle, r ActivationRequest) (*proposal, error) {
	active, replaces := now.active[pushed.Name]
	if s.isBaseline(now, pushed.Name) {
		return nil, baselineProblem(pushed.Name)
	}
	b, err := s.bundle(c.ctx(), t, pushed.Digest)
	if err != nil {
		return nil, err
	}
	if b, err = s.verifiedAnew(b); err != nil {
		return nil, err
	}
	p := &proposal{answer: Activation{Name: b.Name, Digest: b.Digest, Key: b.Key, Previous: active.Digest, Author: pushed.Author}}
	if replaces && active.Digest == b.Digest && active.Signer == b.Key {
		p.answer.Unchanged, p.index, p.rules = true, active.Index, now.rules
		return p, s.approved(t, r.Approval, b.Name, b.Digest, nil, r.Reason)
	}
	if err := moved(active.Digest, r.Previous); err != nil {
		return nil, err
	}
	if now.rules.separate && pushed.Author == c.who.Principal.Subject {
		return nil, newProblem(http.StatusForbidden, "own-bundle", "The settings want somebody else than its author to put a bundle in force (core.separate_approval): the caller pushed it.")
	}
	if err := s.approved(t, r.Approval, b.Name, b.Digest, &active.Digest, r.Reason); err != nil {
		return nil, err
	}
	next, tests, err := s.pass(c.ctx(), now, b)
	if err != nil {
		return nil, err
	}
	blobs, err := bundleBlobs(b)
	if err != nil {
		return nil, err
	}
	p.rules, p.answer.Tests = next, &tests
	p.add(activation{kind: store.Activated, name: b.Name, digest: b.Digest, key: b.Key, scope: store.TenantScope, previous: active.Digest, author: pushed.Author, approval: r.Approval}, blobs)
	return p, nil
}

func (p *proposal) add(v activation, blobs []ledger.Blob) {
	p.entries, p.blobs = append(p.entries, v), append(p.blobs, blobs)
}

// verifiedAnew holds a bundle to the keys of now: the one that it was pushed under may have been withdrawn.
func (s *Server) verifiedAnew(b *rego.Bundle) (*rego.Bundle, error) {
	unverified := *b
	unverified.Key = ""
	return s.verified(&unverified)
}

// moved is the problem of a caller who found another bundle in force than there is by now. Who says nothing of what they found takes it as it comes.
func moved(inForce string, expected *string) error {
	if expected == nil || *expected == inForce {
		return nil
	}
	other := "No bundle is in force under this name"
	if inForce != "" {
		other = "The bundle " + inForce + " is in force under this name"
	}
	return newProblem(http.StatusConflict, "bundle-moved", other+". Nothing was done: look at it, and decide anew.")
}

// deactivated proposes to take one of the tenant's own bundles out. Where the installation has got one of the same name, that one takes its place.
func (s *Server) deactivated(now *inForce, b ledger.Bundle) (*proposal, error) {
	if b.Scope != store.TenantScope {
		return nil, baselineProblem(b.Name)
	}
	bundles := now.rules.without(b.Name)
	p := &proposal{answer: Activation{Name: b.Name, Previous: b.Digest}}
	p.add(activation{kind: store.Deactivated, name: b.Name, digest: b.Digest, key: b.Signer, scope: store.TenantScope}, nil)
	for _, base := range s.configured().Bundles {
		if base.Name != b.Name {
			continue
		}
		blobs, err := bundleBlobs(base)
		if err != nil {
			return nil, err
		}
		bundles = append(bundles, base)
		p.answer.Digest, p.answer.Key = base.Digest, base.Key
		p.add(activation{kind: store.Activated, name: base.Name, digest: base.Digest, key: base.Key, previous: b.Digest}, blobs)
	}
	var err error
	if p.rules, err = s.compileRules(bundles, now.rules.settings); err != nil {
		return nil, unfitBundle(err)
	}
	return p, nil
}

// rolledBack proposes to undo the last change of what is in force under a name: the version before comes back, or none.
func (s *Server) rolledBack(c *call, t *tenant, now *inForce, name string, r ActivationRequest) (*proposal, error) {
	active := now.active[name]
	if s.isBaseline(now, name) {
		return nil, baselineProblem(name)
	}
	if err := moved(active.Digest, r.Previous); err != nil {
		return nil, err
	}
	changes, err := s.changesOf(c.ctx(), t, now)
	if err != nil {
		return nil, err
	}
	before, changed := versionBefore(changes, name)
	target, pushed := now.pushed[before]
	switch {
	case !changed:
		return nil, newProblem(http.StatusConflict, "nothing-to-roll-back", "No bundle has been in force under this name.")
	case before == "":
		return s.deactivated(now, active)
	case !pushed || target.Name != name:
		return nil, newProblem(http.StatusConflict, "nothing-to-roll-back", "The version before was the installation's own, and comes back only by its configuration.")
	}
	return s.activated(c, t, now, target, r)
}

// versionBefore is the digest that was in force under a name before the one that is, "" for none. Putting the same one in force again, under another key, is no change.
func versionBefore(changes []store.Event, name string) (digest string, changed bool) {
	current, before := "", ""
	for _, e := range changes {
		if e.Subject != name {
			continue
		}
		next := ""
		if e.Kind == store.Activated {
			next = e.Digest
		}
		if next != current {
			before, current, changed = current, next, true
		}
	}
	return before, changed
}
