package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/smarthausgroup/caio/verify/tlog"
)

// follow reads the log's entries on keys, for a trust file that is up to date with them. What else is wrong with the log is found where it is read again.
func (o *Options) follow(ctx context.Context, origin string, trust Trust) Trust {
	if o.Log == nil {
		return trust
	}
	o.Log = &steady{Source: o.Log}
	var err error
	if o.keys, err = trust.ReadKeys(ctx, o.Log, origin, o.Progress); err != nil {
		o.keys, o.unread = nil, err
		return trust
	}
	return o.keys.Trust()
}

// unknown is the layer signature of a statement whose key nobody knows, with how an honest one can come to that.
func (o *Options) unknown(ev *Evidence, trust Trust, policy tlog.Policy, err error) Verdict {
	switch {
	case !errors.Is(err, ErrUntrusted):
	case o.keys == nil:
		err = fmt.Errorf("%w. A stranger signed it, or the trust file is of another installation, or older than this key: then caio trust update takes it over, and caio verify --log reads it from the log", err)
	default:
		if index, ok := o.beyond(ev, trust, policy); ok {
			return Verdict{Layer: LayerSignature, Status: Inconclusive, Reason: fmt.Sprintf("it is signed by a key that the trust file does not hold; its receipt puts it at index %d of the log, and the log at hand ends before, with %d entries, so that the entry which let the key in may be missing: bring the copy up to date (caio log export)", index, o.keys.read)}
		}
		err = fmt.Errorf("%w, and none that it holds let this one into the log", err)
	}
	return Judge(LayerSignature, err)
}

// beyond is where the receipt puts the statement, if the log's key signed that, and the log at hand ends before. Whoever signed the statement, it is no forgery of a stranger's then: it stands in the log.
func (o *Options) beyond(ev *Evidence, trust Trust, policy tlog.Policy) (index int64, ok bool) {
	keys, reason := logKeys(o.keys.origin, trust, policy)
	if reason != "" || ev.Receipt == nil {
		return 0, false
	}
	proof, err := tlog.ParseProof(ev.Receipt)
	if err == nil {
		_, err = signedBy(proof.Checkpoint, o.keys.origin, keys)
	}
	if err == nil {
		err = proof.Verify(ev.Statement)
	}
	return proof.Index, err == nil && proof.Index >= o.keys.read
}

// steady is a log that may grow, as it was when its checkpoint was first asked for.
type steady struct {
	tlog.Source
	checkpoint []byte
}

// Read implements [tlog.Source].
func (s *steady) Read(ctx context.Context, path string, limit int64) ([]byte, error) {
	if path != tlog.CheckpointPath {
		return s.Source.Read(ctx, path, limit)
	}
	if s.checkpoint == nil {
		text, err := s.Source.Read(ctx, path, limit)
		if err != nil {
			return nil, err
		}
		s.checkpoint = text
	}
	return s.checkpoint, nil
}

// LogKeys brings a trust file up to date with what a log says of its own keys (spec/proof.md, "The statement and the signature"). It takes nobody's word but that of keys that the file pins: a key counts that one of them let in, or one that these let in, or the pinned root; it leaves where it was retired; and what the root has revoked is not believed, nor whom a revoked key let in.
type LogKeys struct {
	trust  Trust
	origin string
	chain  *KeyChain
	read   int64  // how many entries
	now    *Trust // nil where an entry was read since it was made
	fault  error
	untold error
	unseen error // why the quorum of the file's policy has not seen the log so
}

// Follow begins with the file, and the first entry of the log of that origin.
func (t Trust) Follow(origin string) *LogKeys {
	return &LogKeys{trust: t, origin: origin, chain: NewKeyChain("", origin, t.Root, t.FormerRoots...)}
}

// Take reads the next entry of the log. Those that say nothing of keys are passed over.
func (k *LogKeys) Take(index int64, typ string, leaf []byte) {
	k.read = index + 1
	if typ != TypKey && typ != TypRevocation || k.fault != nil || k.untold != nil {
		return
	}
	refused := func(what string, err error) error {
		return fmt.Errorf("the entry at index %d, %s: %w", index, what, err)
	}
	if typ == TypRevocation && k.trust.Root == nil {
		k.untold = fmt.Errorf("at index %d the log holds a revocation of the key %q, which only an offline root can sign, and the trust file pins none", index, claims(leaf, "kid"))
		return
	}
	switch err := k.chain.Follow(index, typ, leaf); {
	case len(k.chain.seen) > maxKeyEntries:
		k.fault = fmt.Errorf("the log has more than %d entries on keys", maxKeyEntries)
	case err == nil:
		k.now = nil
	case k.trust.Root == nil && errors.Is(err, ErrUntrusted):
		k.untold = refused("on a key, is of none that the log let in before, and the trust file pins no offline root that could have signed it", err)
	case errors.Is(err, ErrUntrusted):
		k.untold = refused("on a key, is of none that the log let in before, nor of the offline root that the trust file pins, which may have been changed since", err)
	default:
		k.fault = refused("on a key, can't stand there", err)
	}
}

// Trust is the file as the entries so far bring it up to date. It knows the keys, too, that a revoked key let in, and that none of what they signed is to be believed; [Trust.Encode] leaves them out.
func (k *LogKeys) Trust() Trust {
	if len(k.chain.entered) == 0 && len(k.chain.revocations) == 0 && len(k.chain.elsewhere) == 0 {
		return k.trust
	}
	if k.now == nil {
		k.now = k.bring()
	}
	return *k.now
}

// Untold is what the entries say of keys that can't be read under the file: it pins no root, or not the one that signed them; nil for nothing.
func (k *LogKeys) Untold() error { return k.untold }

// Unseen is why the witnesses whom the file's policy asks have not cosigned the log as it was read by [Trust.ReadKeys]: it may be one that nobody else sees; nil if they have, or none is asked.
func (k *LogKeys) Unseen() error { return k.unseen }

// Older is that the file knows of later entries of the log than were read; nil if it does not. Of a log that was given up what is left may be less than there was.
func (k *LogKeys) Older() error {
	if slices.ContainsFunc(k.trust.Logs, func(l Log) bool { return l.Follows == k.origin }) {
		return nil
	}
	for _, key := range k.trust.Keys {
		in, pinned := key.Intervals[k.origin]
		if pinned && (in.NotBefore >= k.read || in.NotAfter != nil && *in.NotAfter >= k.read) {
			return fmt.Errorf("it has %d entries here, and is older than the trust file, which says that the key %s was in use %s", k.read, key.ID(), in)
		}
	}
	return nil
}

// Fault is why the log's entries on keys don't hold, or are not those of the log that the file is about, once all were read; nil if they are. A log that says nothing of keys has none.
func (k *LogKeys) Fault() error {
	if k.fault != nil || k.untold != nil || len(k.chain.entered) == 0 {
		return k.fault
	}
	if _, err := k.chain.Keys(); err != nil {
		return err
	}
	for _, key := range k.trust.Keys {
		in, pinned := key.Intervals[k.origin]
		used, known := k.chain.used[key.ID()]
		switch {
		case !pinned || !known && in.NotBefore >= k.read: // a copy may be older than the file
		case !known:
			return fmt.Errorf("the log never let the key %s in, which the trust file says was in use there %s", key.ID(), in)
		case k.contradicts(used, in):
			return fmt.Errorf("the log says that the key %s was in use %s, and the trust file %s", key.ID(), used, in)
		}
	}
	return nil
}

// contradicts reports whether what the log says of a key's time can't be so, if what the file says was. A log retires a key once: of what the file knows, a longer log can only add where it ends. In a log that was given up, the file ends it where that was.
func (k *LogKeys) contradicts(used, in Interval) bool {
	ended, given := used.NotAfter != nil, in.NotAfter != nil
	switch {
	case ended && *used.NotAfter < in.NotBefore, given && *in.NotAfter < used.NotBefore:
		return true
	case given && ended && *used.NotAfter < *in.NotAfter:
		return true
	case given && (!ended || *in.NotAfter < *used.NotAfter):
		return *in.NotAfter < k.read-1 && !slices.ContainsFunc(k.trust.Logs, func(l Log) bool { return l.Follows == k.origin })
	}
	return false
}

// maxKeyEntries bounds what is kept of a log, whatever it says: a change of keys every week for 26 years.
const maxKeyEntries = 1 << 12

// bring makes the file anew.
func (k *LogKeys) bring() *Trust {
	now := k.trust
	now.Revocations = k.revocations()
	now.outcasts = nil
	revoked := map[string]int64{}
	for _, r := range now.Revocations {
		if from, ok := revoked[r.KID]; r.Log == k.origin && (!ok || r.From < from) {
			revoked[r.KID] = r.From
		}
	}
	vouched, keys := map[string]bool{}, map[string]Key{}
	for _, key := range now.Keys {
		keys[key.ID()] = key
	}
	k.chain.judge(revoked, func(e entrance, sound bool) {
		_, offline := k.chain.root.Find(e.by)
		if vouched[e.kid] = vouched[e.kid] || vouched[e.by] || offline || k.pinned(e.kid); !vouched[e.kid] {
			return
		}
		if !sound {
			now.outcasts = append(now.outcasts, outcast{kid: e.kid, log: k.origin, by: e.by, from: e.index})
		}
		keys[e.kid] = k.key(e.kid)
	})
	now.Keys = nil
	for _, kid := range slices.Sorted(maps.Keys(keys)) {
		now.Keys = append(now.Keys, keys[kid])
	}
	return &now
}

// revocations are those of the file and those of the log, each once.
func (k *LogKeys) revocations() []Revocation {
	list := slices.Clone(k.trust.Revocations)
	for _, r := range slices.Concat(k.chain.Revocations(), k.chain.Elsewhere()) {
		if !slices.ContainsFunc(list, func(other Revocation) bool { return other.JWS == r.JWS }) {
			list = append(list, r)
		}
	}
	return list
}

// pinned reports whether the file itself holds the key for the log.
func (k *LogKeys) pinned(kid string) bool {
	key, ok := k.trust.Keys.Find(kid)
	_, named := key.Intervals[k.origin]
	return ok && (key.Intervals == nil || named)
}

// key is one that the log let in, with what both the log and the file say of when it was in use there.
func (k *LogKeys) key(kid string) Key {
	key, known := k.trust.Keys.Find(kid)
	if !known {
		key, _ = k.chain.keys.Find(kid)
	}
	intervals := map[string]Interval{}
	if known && key.Intervals == nil { // good everywhere
		for _, log := range k.trust.Logs {
			intervals[log.Origin] = Interval{}
		}
	}
	maps.Copy(intervals, key.Intervals)
	used := k.chain.used[kid]
	if in, ok := intervals[k.origin]; ok {
		used.NotBefore = max(used.NotBefore, in.NotBefore)
		if in.NotAfter != nil && (used.NotAfter == nil || *in.NotAfter < *used.NotAfter) {
			used.NotAfter = in.NotAfter
		}
	}
	intervals[k.origin] = used
	return Key{key.Public, intervals}
}

// outcast is a key that a revoked key let into a log, or one that came in so itself: nothing that it signed from its entry on is to be believed.
type outcast struct {
	kid, log, by string
	from         int64
}

// ErrRevoked is that a key signed an entry, and is not to be believed there: the root has revoked it, or the one that let it in.
var ErrRevoked = errors.New("not to be believed")

// Unbelieved is an entry that holds, but whose key is not to be believed at its place. It wraps [ErrRevoked].
type Unbelieved struct {
	KID   string
	From  int64 // from which index of the log on nothing that the key signed is
	Index int64 // of the entry
	Why   string
}

// Error names the place and why.
func (u *Unbelieved) Error() string { return fmt.Sprintf("%v: %s", ErrRevoked, u.Why) }

// Unwrap is [ErrRevoked].
func (u *Unbelieved) Unwrap() error { return ErrRevoked }

// disbelief is from which index of the log on the key is not to be believed, and why.
func (t Trust) disbelief(kid, log string) (from int64, why string, found bool) {
	for _, r := range t.Revocations {
		if r.KID == kid && r.Log == log && (!found || r.From < from) {
			from, found = r.From, true
			why = fmt.Sprintf("the root has revoked the key %s from index %d on: %s", kid, from, plain(r.Reason))
		}
	}
	for _, o := range t.outcasts {
		if o.kid == kid && o.log == log && (!found || o.from < from) {
			from, found = o.from, true
			why = fmt.Sprintf("the key %s was let in at index %d by the key %s, which the root has revoked, or the one that let that in", kid, o.from, o.by)
		}
	}
	return from, why, found
}

// maxStated bounds how many headers are remembered, whatever a log holds.
const maxStated = 1 << 10

// ReadKeys reads a whole log, under the key that the file pins of it, for what it says of the keys that sign it. The errors are those of [tlog.CheckLog], and that the file holds no key of the log.
func (t Trust) ReadKeys(ctx context.Context, log tlog.Source, origin string, progress func(done, size int64)) (*LogKeys, error) {
	policy, err := t.policy()
	if err != nil {
		return nil, err
	}
	keys, reason := logKeys(origin, t, policy)
	if reason != "" {
		return nil, errors.New(reason)
	}
	k := t.Follow(origin)
	stated := map[string]string{} // types, by header, of which there is one for each key and type
	checked, err := tlog.CheckLog(ctx, log, tlog.Options{Keys: keys, Progress: progress, Leaf: func(index int64, leaf []byte) error {
		header, _, _ := bytes.Cut(leaf, []byte("."))
		typ := stated[string(header)]
		if typ == "" {
			typ, _ = TypOf(leaf) // what has none is for those who check entries
			if len(stated) < maxStated {
				stated[string(header)] = typ
			}
		}
		k.Take(index, typ, leaf)
		return nil
	}})
	if err == nil {
		_, k.unseen = policy.Satisfied(checked.Verified)
	}
	return k, err
}
