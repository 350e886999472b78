package server

import (
	"context"
	"errors"

	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/verify"
)

// signer is the key that signs entries now. It changes with [Server.Rotate], whose end is waited for.
func (s *Server) signer() *verify.Signer {
	s.rotating.RLock()
	defer s.rotating.RUnlock()
	return s.signing
}

// Rotate has another key sign from now on, in every log or, with an error, in none (spec/proof.md, "The statement and the signature"). The key in use lets it in, or the offline root, where authorizations hold its word for a log: caio-key+jws that the root signed.
// Decisions go on meanwhile. A statement that is signed with the key before, and comes to its log after the change, is signed anew before it is answered.
func (s *Server) Rotate(ctx context.Context, next *verify.Signer, authorizations [][]byte) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	current := s.signer()
	if current.KeyID() == next.KeyID() {
		return nil
	}
	a := act{actor: s.config.Issuer, reason: "configuration", at: s.config.Clock()}
	var entries []ledger.Entry
	for _, t := range s.openTenants() {
		more, err := s.keyEntries(ctx, t, a, succession{next, current, authorizations})
		if err != nil {
			return err
		}
		entries = append(entries, more...)
	}
	s.rotating.Lock()
	defer s.rotating.Unlock()
	if _, err := s.ledger.Append(ctx, entries...); err != nil {
		return notStored(err)
	}
	s.signing = next
	s.keys.Store(nil)
	return nil
}

// appendSigned appends the entries that sign makes, all or none, and returns their indices. Where the key of a log changes in between, they are signed anew, so that none stands outside of the interval of its key. What holds s.changing needs no such care.
func (s *Server) appendSigned(ctx context.Context, sign func() ([]ledger.Entry, error)) ([]int64, error) {
	for {
		entries, err := sign()
		if err != nil {
			return nil, err
		}
		indices, err := s.ledger.Append(ctx, entries...)
		if !errors.Is(err, ledger.ErrKeyMoved) {
			return indices, err
		}
	}
}
