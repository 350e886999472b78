package verify

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"github.com/smarthausgroup/caio/contracts/canonical"
)

// TypRevocation is the `typ` of a [RevocationRecord].
const TypRevocation = "caio-revocation+jws"

// RevocationRecord is what the offline root alone can say: that nothing which the key signed at the index From of the log, or after it, is to be believed (spec/proof.md, "The statement and the signature"). The server records it as an entry of that log, and auditors keep it in their trust file.
type RevocationRecord struct {
	V      int64  `json:"v"`   // 1
	Log    string `json:"log"` // its origin
	KID    string `json:"kid"`
	From   int64  `json:"from"` // index
	IAT    int64  `json:"iat"`  // NumericDate
	Reason string `json:"reason"`
}

// Revocation is a record with the root's signature.
type Revocation struct {
	RevocationRecord
	JWS string // compact, of typ TypRevocation
}

// ParseRevocation checks that the root signed it.
func ParseRevocation(root ed25519.PublicKey, compact string) (Revocation, error) {
	r, _, err := parseRevocation(rootKeys(root), compact)
	return r, err
}

// parseRevocation does the same for one of several roots, and returns which.
func parseRevocation(roots Keys, compact string) (r Revocation, by Key, err error) {
	r.JWS = compact
	if by, err = Verify(TypRevocation, []byte(compact), roots, &r.RevocationRecord); err != nil {
		return r, by, fmt.Errorf("a revocation, which the root alone can sign: %w", err)
	}
	if r.V != 1 || r.Log == "" || r.From < 0 || r.KID == "" {
		return r, by, errors.New("a revocation names a log, a key in it, and an index that is at least 0")
	}
	return r, by, nil
}

// rootKeys is the root as a key, or none.
func rootKeys(root ed25519.PublicKey) Keys {
	if root == nil {
		return nil
	}
	return Keys{{Public: root}}
}

// KeyChain is the signing keys of one log, as far as its key entries and revocations were read (spec/proof.md, "The statement and the signature").
//
// The first key vouches for itself. Each one after it was let in by the one before, or by the offline root, and says itself which one it succeeds: so nobody without the last key can put another history before it.
// A key that the root has revoked lets nobody in from that index on, and does not come back. No server lets one come back either that was retired; where one of before did, its interval goes from its first index to its last, over those of the keys in between.
type KeyChain struct {
	tenant, log string
	root        Keys                // and those before it
	words       map[string]Interval // of the roots, by key
	keys        Keys                // in the order in which they came first
	used        map[string]Interval
	seen        map[string]bool // leaves

	last     string // the key that was let in last
	before   string // the one that it succeeds; "" for the first
	expected string // the key whose name the last one still has to say; "" for none
	byRoot   bool   // the last one was let in by the root

	entered     []entrance
	revoked     map[string]int64 // from which index
	revocations []Revocation
	elsewhere   []Revocation // of keys in other logs
}

// entrance is a key that was let in.
type entrance struct {
	kid, by string
	index   int64
}

// NewKeyChain begins the chain of a tenant's log; for a reader of the log, "" is the tenant whom its first key entry names. Root is nil where no root is pinned: then what a root signed is refused.
// What former roots signed counts where their intervals let it, and everywhere where they have none.
func NewKeyChain(tenant, log string, root ed25519.PublicKey, former ...Key) *KeyChain {
	return &KeyChain{tenant: tenant, log: log, root: slices.Concat(rootKeys(root), former), words: map[string]Interval{}, used: map[string]Interval{}, seen: map[string]bool{}, revoked: map[string]int64{}}
}

// Follow reads the next entry of typ [TypKey] or [TypRevocation], in the order of the log.
func (c *KeyChain) Follow(index int64, typ string, leaf []byte) error {
	if c.seen[string(leaf)] {
		return errors.New("it stands in the log twice")
	}
	c.seen[string(leaf)] = true
	if typ == TypRevocation {
		return c.revoke(index, leaf)
	}
	var r KeyRecord
	key, err := Verify(TypKey, leaf, c.known(leaf), &r)
	if err != nil {
		return err
	}
	by := key.ID()
	_, offline := c.root.Find(by)
	if offline {
		if err := c.mayStillSay(key, index); err != nil {
			return err
		}
	}
	if c.tenant == "" && len(c.entered) == 0 {
		c.tenant = r.Tenant
	}
	if r.V != 1 || r.Log != c.log || r.Tenant != c.tenant && (!offline || r.Tenant != "") {
		return errors.New("it was signed for another log")
	}
	if r.Base > index {
		return fmt.Errorf("it was signed for the index %d and those after it", r.Base)
	}
	public, err := encoding.DecodeString(r.X)
	if err != nil || KeyID(public) != r.KID {
		return errors.New("its kid is not the thumbprint of its key")
	}
	subject := Key{Public: public}
	if err := subject.check(); err != nil {
		return err
	}
	return c.apply(index, &r, subject, by, offline)
}

// known are the keys that may sign the leaf: those let in, the root, and, before there is any, the one that the leaf names.
func (c *KeyChain) known(leaf []byte) Keys {
	if c.last != "" {
		return slices.Concat(c.keys, c.root)
	}
	var r KeyRecord
	parts, err := splitJWS(leaf)
	if err != nil || canonical.Decode(parts[1], &r) != nil {
		return nil
	}
	public, err := encoding.DecodeString(r.X)
	if err != nil || len(public) != ed25519.PublicKeySize {
		return nil
	}
	return Keys{{Public: public}}
}

// apply is what a key entry that verifies does, if it may stand at this place.
func (c *KeyChain) apply(index int64, r *KeyRecord, subject Key, by string, offline bool) error {
	used, known := c.used[r.KID]
	switch {
	case r.Kind == KeyActivated && c.expected == "" && c.last != r.KID && !c.Revoked(r.KID, index) && c.mayLetIn(by, r.KID, index, offline):
		c.last, c.before, c.expected, c.byRoot = r.KID, c.last, c.last, offline
		c.entered = append(c.entered, entrance{r.KID, by, index})
		used.NotAfter = nil
		if !known {
			used.NotBefore, c.keys = index, append(c.keys, subject)
		}
	case r.Kind == KeyRetired && by == r.KID && by == c.before && used.NotAfter == nil && !c.byRoot:
		used.NotAfter = &index
	case r.Kind == KeySucceeds && by == c.last && r.KID == c.expected && (used.NotAfter != nil || c.byRoot):
		c.expected = ""
		if c.byRoot { // the outgoing key is not asked
			used.NotAfter = &index
		}
	default:
		return fmt.Errorf("the key %s can't say at this place that %s is %s", by, r.KID, r.Kind)
	}
	c.used[r.KID] = used
	if offline {
		c.word(by, index)
	}
	return nil
}

// mayStillSay refuses what a former root signed beyond its last word.
func (c *KeyChain) mayStillSay(root Key, index int64) error {
	if in, ok := root.Intervals[c.log]; root.Intervals != nil && (!ok || !in.holds(index)) {
		return fmt.Errorf("the root %s is a former one, and had said here what it was believed for", root.ID())
	}
	return nil
}

// word notes where a root said something.
func (c *KeyChain) word(root string, index int64) {
	in, said := c.words[root]
	if !said {
		in.NotBefore = index
	}
	in.NotAfter = &index
	c.words[root] = in
}

// Words are the intervals of the log in which roots said something, by key: from the first word of each to its last.
func (c *KeyChain) Words() map[string]Interval { return c.words }

func (c *KeyChain) mayLetIn(by, kid string, index int64, offline bool) bool {
	if c.last == "" {
		return by == kid
	}
	return offline || by == c.last && !c.Revoked(by, index)
}

func (c *KeyChain) revoke(index int64, leaf []byte) error {
	if len(c.root) == 0 {
		return errors.New("a revocation, and no root is known that could have signed it")
	}
	r, by, err := parseRevocation(c.root, string(leaf))
	if err == nil {
		err = c.mayStillSay(by, index)
	}
	if err != nil {
		return err
	}
	c.word(by.ID(), index)
	if r.Log != c.log { // of one that was given up, and takes no entries
		c.elsewhere = append(c.elsewhere, r)
		return nil
	}
	c.Revoke(r)
	return nil
}

// Revoke takes in what the root said of a key of this log somewhere else: in the log that follows it, or to the auditor.
func (c *KeyChain) Revoke(r Revocation) {
	c.revocations = append(c.revocations, r)
	if from, ok := c.revoked[r.KID]; !ok || r.From < from {
		c.revoked[r.KID] = r.From
	}
}

// Revoked reports whether the root has revoked the key from the index on, or from before it.
func (c *KeyChain) Revoked(kid string, index int64) bool {
	from, ok := c.revoked[kid]
	return ok && from <= index
}

// Signed reports whether the key was let into the log, now or once.
func (c *KeyChain) Signed(kid string) bool {
	_, known := c.used[kid]
	return known
}

// Last is the id of the key in use, "" where there is none yet.
func (c *KeyChain) Last() string { return c.last }

// Revocations are those that the log holds, in its order.
func (c *KeyChain) Revocations() []Revocation { return c.revocations }

// Elsewhere are the revocations that the log holds of keys in other logs, in its order: in such as were given up, and take no entries any more.
func (c *KeyChain) Elsewhere() []Revocation { return c.elsewhere }

// Keys are the keys with the intervals in which they were in use, whether they were revoked later or not. It is an error where the last key has not said which one it succeeds.
func (c *KeyChain) Keys() (Keys, error) {
	if c.expected != "" {
		return nil, fmt.Errorf("the key %s took over without saying from which", c.last)
	}
	keys := slices.Clone(c.keys)
	for i := range keys {
		keys[i].Intervals = map[string]Interval{c.log: c.used[keys[i].ID()]}
	}
	return keys, nil
}

// Sound are the keys that the root's revocations leave: without those that a revoked key let in. What they leave of an interval is for [Trust.Used] to say.
func (c *KeyChain) Sound() (Keys, error) {
	keys, err := c.Keys()
	if err != nil {
		return nil, err
	}
	first := map[string]int64{}
	c.judge(c.revoked, func(e entrance, sound bool) {
		if _, ok := first[e.kid]; sound && !ok {
			first[e.kid] = e.index
		}
	})
	left := keys[:0]
	for _, key := range keys {
		kid := key.ID()
		if _, ok := first[kid]; !ok {
			continue
		}
		used := c.used[kid]
		used.NotBefore = max(used.NotBefore, first[kid])
		key.Intervals[c.log] = used
		left = append(left, key)
	}
	return left, nil
}

// judge tells of each key that was let in whether that holds under revocations, from which index for each key: it does not where a revoked key let it in, or one that itself came in so.
func (c *KeyChain) judge(revoked map[string]int64, tell func(e entrance, sound bool)) {
	sound := map[string]bool{}
	for n, e := range c.entered {
		from, late := revoked[e.by]
		_, offline := c.root.Find(e.by)
		sound[e.kid] = n == 0 || offline || sound[e.by] && (!late || e.index < from)
		tell(e, sound[e.kid])
	}
}
