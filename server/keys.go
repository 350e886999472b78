package server

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/verify"
)

// keyEntries hands the log over to the configured signer, where it is not the log's already: an entry of the key before, or, for the first key of a log, of that key itself.
func (s *Server) keyEntries(ctx context.Context, t *tenant, a act) ([]ledger.Entry, error) {
	keys, err := s.ledger.SigningKeys(ctx, t.name)
	if err != nil {
		return nil, err
	}
	var entries []ledger.Entry
	by := s.config.Signer
	for _, key := range keys {
		switch {
		case key.Last != nil:
		case key.KID == s.config.Signer.KeyID():
			return nil, nil
		case s.config.Outgoing == nil || s.config.Outgoing.KeyID() != key.KID:
			return nil, fmt.Errorf("server: the log of a tenant is signed by the key %s: give that as the outgoing key, so that it can hand over to %s", key.KID, by.KeyID())
		default:
			by = s.config.Outgoing
		}
	}
	add := func(by, subject *verify.Signer, kind string) {
		entry, failed := s.keyEntry(t, a, by, subject, kind)
		entries, err = append(entries, entry), errors.Join(err, failed)
	}
	add(by, s.config.Signer, verify.KeyActivated)
	if by != s.config.Signer {
		// The interval of the outgoing key ends with this entry, the last that it signs.
		add(by, by, verify.KeyRetired)
		add(s.config.Signer, by, verify.KeySucceeds)
	}
	return entries, err
}

// keyEntry is what one key says of another, or of itself. Being let in and being retired bound the interval in which a key was in use.
func (s *Server) keyEntry(t *tenant, a act, by, subject *verify.Signer, kind string) (ledger.Entry, error) {
	x := base64.RawURLEncoding.EncodeToString(subject.Public())
	leaf, err := by.Sign(verify.TypKey, verify.KeyRecord{RecordHead: t.head(s.ledger.Size(t.name), a.at), Kind: kind, KID: subject.KeyID(), X: x})
	if err != nil {
		return ledger.Entry{}, err
	}
	entry := ledger.Entry{Tenant: t.name, Type: verify.TypKey, Leaf: leaf}
	if kind != verify.KeySucceeds {
		jwk, err := json.Marshal(map[string]string{"kty": "OKP", "crv": "Ed25519", "alg": "Ed25519", "use": "sig", "kid": subject.KeyID(), "x": x})
		if err != nil {
			return entry, err
		}
		entry.Key = &ledger.KeyChange{KID: subject.KeyID(), JWK: jwk, Retired: kind == verify.KeyRetired}
	}
	return entry, nil
}

// signingKeys returns the keys that signed the tenant's log, as its key entries say, and holds the stored keys to them.
//
// The first key vouches for itself. Each one after it was let in by the one before, and says itself which one that was: since the last is the configured signer's (see keyEntries), nobody without that key can put another history before it.
func (s *Server) signingKeys(ctx context.Context, t *tenant) (verify.Keys, error) {
	rows, err := s.ledger.SigningKeys(ctx, t.name)
	if err != nil {
		return nil, err
	}
	entries, err := s.ledger.EntriesOf(ctx, t.name, verify.TypKey)
	if err != nil {
		return nil, err
	}
	stored := make(verify.Keys, len(rows))
	for i, row := range rows {
		if stored[i].Public, err = publicKey(row.KID, row.JWK); err != nil {
			return nil, t.misplaced(row.First, "a signing key", err)
		}
	}
	c := chain{t: t, used: map[string]verify.Interval{}}
	for i := range entries {
		if err := c.follow(&entries[i], stored); err != nil {
			return nil, t.misplaced(entries[i].Index, "a key entry that does not hold", err)
		}
	}
	if c.expected != "" {
		return nil, t.misplaced(c.used[c.last].NotBefore, "a key that took over without saying from which", nil)
	}
	for i, row := range rows {
		used, ok := c.used[row.KID]
		if !ok || used.NotBefore != row.First || (used.NotAfter == nil) != (row.Last == nil) || row.Last != nil && *used.NotAfter != *row.Last {
			return nil, t.misplaced(row.First, "the key "+row.KID+" was not in use as the store says", nil)
		}
		stored[i].Intervals = map[string]verify.Interval{t.origin: used}
	}
	if len(c.used) != len(rows) {
		return nil, t.misplaced(c.used[c.last].NotBefore, "a key that the store does not know", nil)
	}
	return stored, nil
}

// chain is the keys of a log, as far as its key entries were read.
type chain struct {
	t        *tenant
	used     map[string]verify.Interval
	last     string // the key that was let in last
	before   string // the one that let it in; "" for the first
	expected string // the key whose name the last one still has to say; "" for none
}

// follow reads the next key entry.
func (c *chain) follow(e *store.Entry, stored verify.Keys) error {
	var r verify.KeyRecord
	key, err := verify.Verify(verify.TypKey, e.Leaf, stored, &r)
	if err != nil {
		return err
	}
	by := key.ID()
	if r.V != 1 || r.Tenant != c.t.name || r.Log != c.t.origin {
		return errors.New("it was signed for another log")
	}
	if subject, err := base64.RawURLEncoding.DecodeString(r.X); err != nil || verify.KeyID(subject) != r.KID {
		return errors.New("its kid is not the thumbprint of its key")
	}
	interval, known := c.used[r.KID]
	switch {
	case r.Kind == verify.KeyActivated && c.expected == "" && c.last != r.KID && (by == c.last || c.last == "" && by == r.KID):
		c.last, c.before, c.expected = r.KID, c.last, c.last
		interval.NotAfter = nil
		if !known {
			interval.NotBefore = e.Index
		}
	case r.Kind == verify.KeyRetired && by == r.KID && by == c.before && interval.NotAfter == nil:
		interval.NotAfter = &e.Index
	case r.Kind == verify.KeySucceeds && by == c.last && r.KID == c.expected && interval.NotAfter != nil:
		c.expected = ""
	default:
		return fmt.Errorf("the key %s can't say at this place that %s is %s", by, r.KID, r.Kind)
	}
	c.used[r.KID] = interval
	return nil
}

// publicKey reads a stored JWK, whose kid is the key's thumbprint.
func publicKey(kid string, text []byte) ([]byte, error) {
	var jwk struct{ X string }
	if err := json.Unmarshal(text, &jwk); err != nil {
		return nil, fmt.Errorf("the stored key %s: %w", kid, err)
	}
	public, err := base64.RawURLEncoding.DecodeString(jwk.X)
	if err == nil && verify.KeyID(public) != kid {
		err = errors.New("its kid is not its thumbprint")
	}
	if err != nil {
		return nil, fmt.Errorf("the stored key %s: %w", kid, err)
	}
	return public, nil
}
