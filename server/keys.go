package server

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/verify"
)

// keyTypes are the types of the entries that say which keys signed a log.
var keyTypes = []string{verify.TypKey, verify.TypRevocation}

// succession is who signs from now on, and who lets that one in: the key before, or the offline root.
type succession struct {
	signer         *verify.Signer
	outgoing       *verify.Signer // nil where it is not at hand
	authorizations [][]byte       // of the signer by the root, one for each log; where there are any, the outgoing one is not asked
}

// keyEntries hands the log over to the signer, where it is not the log's already. The first key of a log lets itself in.
func (s *Server) keyEntries(ctx context.Context, t *tenant, a act, next succession) ([]ledger.Entry, error) {
	chain, err := s.chain(ctx, t)
	if err != nil {
		return nil, err
	}
	var entries []ledger.Entry
	size := s.ledger.Size(t.name)
	authorization := authorized(next.authorizations, s.config.Root, t.origin, next.signer.KeyID())
	switch last := chain.Last(); {
	case last == next.signer.KeyID():
		return nil, sound(t, chain, size)
	case last == "":
		entries, err = s.firstKey(t, a, next.signer)
	case chain.Signed(next.signer.KeyID()):
		return nil, fmt.Errorf("server: the key %s signed the log %s before, and was retired: it does not come back, not even by the root's word, since its one interval would hold what the keys in between signed, and whoever kept a copy of it could sign there. The key %s signs now: put that back, or rotate from it to a new one (caio key rotate)", next.signer.KeyID(), t.origin, last)
	case authorization != nil:
		entries, err = s.letInByRoot(t, a, chain, next.signer, authorization)
	case len(next.authorizations) > 0:
		return nil, fmt.Errorf("server: the root authorizes no key %s for the log %s, though it does for others: have it do so for every log (caio key authorize)", next.signer.KeyID(), t.origin)
	case next.outgoing != nil && next.outgoing.KeyID() == last:
		entries, err = s.letInByOutgoing(t, a, next)
	default:
		return nil, fmt.Errorf("server: the log of a tenant is signed by the key %s: give that as the outgoing key, so that it can hand over to %s, or have the offline root authorize it (caio key authorize)", last, next.signer.KeyID())
	}
	if err != nil {
		return nil, err
	}
	size = s.ledger.Size(t.name) // it has grown meanwhile, and the entries state it
	for i := range entries {
		if err := chain.Follow(size+int64(i), entries[i].Type, entries[i].Leaf); err != nil {
			return nil, fmt.Errorf("server: the key %s can't take over the log %s: %w", next.signer.KeyID(), t.origin, err)
		}
	}
	return entries, sound(t, chain, size)
}

func (s *Server) firstKey(t *tenant, a act, signer *verify.Signer) ([]ledger.Entry, error) {
	entry, err := s.keyEntry(t, a, signer, signer.Public(), verify.KeyActivated)
	return []ledger.Entry{entry}, err
}

// letInByOutgoing has the outgoing key let the next one in and retire itself, and the next one say which it succeeds. The interval of the outgoing key ends with the last entry that it signs.
func (s *Server) letInByOutgoing(t *tenant, a act, next succession) ([]ledger.Entry, error) {
	in, err := s.keyEntry(t, a, next.outgoing, next.signer.Public(), verify.KeyActivated)
	out, failed := s.keyEntry(t, a, next.outgoing, next.outgoing.Public(), verify.KeyRetired)
	from, late := s.keyEntry(t, a, next.signer, next.outgoing.Public(), verify.KeySucceeds)
	from.Key = nil
	return []ledger.Entry{in, out, from}, errors.Join(err, failed, late)
}

// letInByRoot records what the root signed. The key before is not asked: its interval ends where the next one says that it succeeds it.
func (s *Server) letInByRoot(t *tenant, a act, chain *verify.KeyChain, signer *verify.Signer, authorization []byte) ([]ledger.Entry, error) {
	keys, err := chain.Keys()
	if err != nil {
		return nil, err
	}
	before, _ := keys.Find(chain.Last())
	in := ledger.Entry{Tenant: t.name, Type: verify.TypKey, Leaf: authorization, KID: verify.KeyID(s.config.Root), Root: true}
	in.Key, err = keyChange(signer.Public(), false)
	from, failed := s.keyEntry(t, a, signer, before.Public, verify.KeySucceeds)
	return []ledger.Entry{in, from}, errors.Join(err, failed)
}

// authorized finds the root's word that lets the key into the log.
func authorized(authorizations [][]byte, root []byte, log, kid string) []byte {
	for _, compact := range authorizations {
		var r verify.KeyRecord
		if _, err := verify.Verify(verify.TypKey, compact, verify.Keys{{Public: root}}, &r); err == nil && r.Log == log && r.KID == kid && r.Kind == verify.KeyActivated {
			return compact
		}
	}
	return nil
}

// keyEntry is what one key says of another, or of itself. Being let in and being retired bound the interval in which a key was in use.
func (s *Server) keyEntry(t *tenant, a act, by *verify.Signer, subject []byte, kind string) (ledger.Entry, error) {
	record := verify.KeyRecord{RecordHead: t.head(s.ledger.Size(t.name), a.at), Kind: kind, KID: verify.KeyID(subject), X: base64.RawURLEncoding.EncodeToString(subject)}
	leaf, err := by.Sign(verify.TypKey, record)
	if err != nil {
		return ledger.Entry{}, err
	}
	entry := ledger.Entry{Tenant: t.name, Type: verify.TypKey, Leaf: leaf, KID: by.KeyID()}
	entry.Key, err = keyChange(subject, kind != verify.KeyActivated)
	return entry, err
}

func keyChange(public []byte, retired bool) (*ledger.KeyChange, error) {
	kid := verify.KeyID(public)
	jwk, err := json.Marshal(map[string]string{"kty": "OKP", "crv": "Ed25519", "alg": "Ed25519", "use": "sig", "kid": kid, "x": base64.RawURLEncoding.EncodeToString(public)})
	return &ledger.KeyChange{KID: kid, JWK: jwk, Retired: retired}, err
}

// chain follows the keys of the tenant's log, as its entries say.
func (s *Server) chain(ctx context.Context, t *tenant) (*verify.KeyChain, error) {
	return s.chainOf(ctx, store.Log{Tenant: t.name, Origin: t.origin})
}

// chainOf does the same for any log, also one that was given up.
func (s *Server) chainOf(ctx context.Context, log store.Log) (*verify.KeyChain, error) {
	t := holder(log)
	entries, err := s.ledger.EntriesOf(ctx, log.Tenant, keyTypes...)
	if err != nil {
		return nil, err
	}
	chain := verify.NewKeyChain(t.name, t.origin, s.config.Root, formerRoots(s.config.FormerRoots)...)
	for i := range entries {
		err := chain.Follow(entries[i].Index, entries[i].Type, entries[i].Leaf)
		if errors.Is(err, verify.ErrUntrusted) {
			err = fmt.Errorf("%w. If that is an offline root of before, name it among the former ones (former_root_keys)", err)
		}
		if err != nil {
			return nil, t.misplaced(entries[i].Index, "a key entry that does not hold", err)
		}
	}
	for _, r := range chain.Elsewhere() {
		if before, ok := s.ledger.Origin(r.Log); !ok || before.Was != t.name {
			return nil, t.misplaced(entries[len(entries)-1].Index, "or before it, a revocation of another log, "+r.Log+", which this one does not follow", nil)
		}
	}
	if _, err := chain.Keys(); err != nil {
		return nil, t.misplaced(entries[len(entries)-1].Index, "the last word on a key", err)
	}
	return chain, nil
}

// formerRoots are believed wherever they stand in a log: what they say there was taken while they were in use.
func formerRoots(roots []ed25519.PublicKey) verify.Keys {
	keys := make(verify.Keys, len(roots))
	for i, root := range roots {
		keys[i].Public = root
	}
	return keys
}

// holder is the tenant for whom the entries of a log were signed; one that was given up stands under another name in the store.
func holder(log store.Log) *tenant {
	return &tenant{name: cmp.Or(log.Was, log.Tenant), origin: log.Origin}
}

// sound refuses to sign with a key that the root's revocations leave no word at the index.
func sound(t *tenant, chain *verify.KeyChain, index int64) error {
	keys, err := chain.Sound()
	if err != nil {
		return err
	}
	if key, ok := keys.Find(chain.Last()); ok {
		used, ok := verify.Trust{Revocations: chain.Revocations()}.Used(key, t.origin)
		if ok && (used.NotAfter == nil || index <= *used.NotAfter) {
			return nil
		}
	}
	return fmt.Errorf("server: the root has revoked the key %s, which signs the log %s, or one that let it in: have the root authorize another (caio key authorize) and rotate to that", chain.Last(), t.origin)
}

// signingKeys returns the keys that signed the tenant's log, as its key entries say, and holds the stored keys to them.
//
// What was recorded before the root revoked its key stays in force: that is for the operator to look through. Nothing after it is taken.
func (s *Server) signingKeys(ctx context.Context, t *tenant) (verify.Keys, error) {
	rows, err := s.ledger.SigningKeys(ctx, t.name)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		if _, err := publicKey(row.KID, row.JWK); err != nil {
			return nil, t.misplaced(row.First, "a signing key", err)
		}
	}
	chain, err := s.chain(ctx, t)
	if err != nil {
		return nil, err
	}
	keys, err := chain.Keys()
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		key, _ := keys.Find(row.KID)
		used, ok := key.Intervals[t.origin]
		if !ok || used.NotBefore != row.First || (used.NotAfter == nil) != (row.Last == nil) || row.Last != nil && *used.NotAfter != *row.Last {
			return nil, t.misplaced(row.First, "the key "+row.KID+" was not in use as the store says", nil)
		}
	}
	if len(keys) != len(rows) {
		return nil, t.misplaced(keys[len(keys)-1].Intervals[t.origin].NotBefore, "a key that the store does not know", nil)
	}
	return keys, nil
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
