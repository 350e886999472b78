package server

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"

	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/verify"
)

// KeyRevocationRequest hands in what the offline root signed: caio key revoke makes it.
type KeyRevocationRequest struct {
	// Revocation is a compact JWS of typ caio-revocation+jws.
	Revocation string `json:"revocation" jsonschema:"required,minLength=1"`
}

// KeyRevocationAnswer is a revocation as it stands in the log.
type KeyRevocationAnswer struct {
	KID  string `json:"kid"`
	Log  string `json:"log"`
	From int64  `json:"from"` // nothing that the key signed at this index of the log or after it is to be believed
	// Unchanged says that the log held it, or more, before: nothing was done.
	Unchanged bool   `json:"unchanged"`
	Index     *int64 `json:"index,omitempty"` // of the log's entry
}

// postRevocation records what the root signed as an entry of the log that it names, or, where that was given up, of the one that follows it (spec/proof.md, "The statement and the signature"). Its authority is the root's signature; that operators hand it in keeps others from filling the log.
func (s *Server) postRevocation(c *call) error {
	if c.who.Principal.Tenant != s.config.Installation {
		return newProblem(http.StatusForbidden, "forbidden", "The keys are those of all tenants: only operators of the installation's own tenant, "+s.config.Installation+", hand revocations in.")
	}
	var request KeyRevocationRequest
	found, err := c.form(s.config.Limits.RequestBytes, &request)
	if err != nil {
		return err
	}
	if err := found.problem(); err != nil {
		return err
	}
	if s.config.Root == nil {
		return newProblem(http.StatusConflict, "no-root", "No offline root is configured, under which a revocation could be read: give its public half as root_key.")
	}
	revocation, err := verify.ParseRevocation(s.config.Root, request.Revocation)
	if err != nil {
		return newProblem(http.StatusUnprocessableEntity, "revocation-invalid", fmt.Sprintf("%v.", err))
	}
	answer, err := s.revoke(c.ctx(), revocation)
	if err != nil {
		return err
	}
	status := http.StatusCreated
	if answer.Unchanged {
		status = http.StatusOK
	}
	return c.answer(status, answer)
}

func (s *Server) revoke(ctx context.Context, r verify.Revocation) (KeyRevocationAnswer, error) {
	answer := KeyRevocationAnswer{KID: r.KID, Log: r.Log, From: r.From}
	s.changing.Lock()
	defer s.changing.Unlock()
	t := s.tenantOfLog(r.Log)
	if t == nil {
		return answer, newProblem(http.StatusNotFound, "not-found", "There is no log "+r.Log+" here.")
	}
	chain, err := s.chain(ctx, t)
	if err != nil {
		return answer, err
	}
	known := chain.Revocations()
	if r.Log != t.origin {
		known = chain.Elsewhere()
	}
	if slices.ContainsFunc(known, func(k verify.Revocation) bool { return k.Log == r.Log && k.KID == r.KID && k.From <= r.From }) {
		answer.Unchanged = true
		return answer, nil
	}
	if err := chain.Follow(s.ledger.Size(t.name), verify.TypRevocation, []byte(r.JWS)); err != nil {
		return answer, err
	}
	if err := sound(t, chain, math.MaxInt64); err != nil {
		return answer, newProblem(http.StatusConflict, "key-in-use", "The key signs now, or let the one in that does: have the root authorize another, rotate to that, and hand this in again.").because(err)
	}
	indices, err := s.ledger.Append(ctx, ledger.Entry{Tenant: t.name, Type: verify.TypRevocation, Leaf: []byte(r.JWS), KID: verify.KeyID(s.config.Root), Root: true})
	if err != nil {
		return answer, notStored(err)
	}
	answer.Index = &indices[0]
	return answer, nil
}

// tenantOfLog is whose log that is, or was before it was given up.
func (s *Server) tenantOfLog(origin string) *tenant {
	for _, t := range s.openTenants() {
		if t.origin == origin || slices.ContainsFunc(t.former, func(log store.Log) bool { return log.Origin == origin }) {
			return t
		}
	}
	return nil
}

// checkRoots refuses a root that signs as well, and one that is in use and a former one.
func (c *Config) checkRoots() error {
	if c.Root == nil && len(c.FormerRoots) > 0 {
		return errors.New("server: there are former roots, and no root in use")
	}
	for i, root := range append(c.FormerRoots[:len(c.FormerRoots):len(c.FormerRoots)], c.Root) {
		switch {
		case root == nil && i == len(c.FormerRoots):
		case len(root) != ed25519.PublicKeySize:
			return fmt.Errorf("server: the root is an Ed25519 key of %d bytes, not %d", ed25519.PublicKeySize, len(root))
		case root.Equal(c.Signer.Public()):
			return errors.New("server: the root is the key that signs: the root's key is no other's, and never on the server")
		case slices.ContainsFunc(c.FormerRoots[:i], func(other ed25519.PublicKey) bool { return root.Equal(other) }):
			return fmt.Errorf("server: the root %s is given twice: a former root is not the one in use", verify.KeyID(root))
		}
	}
	return nil
}
