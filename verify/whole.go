package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/smarthausgroup/caio/verify/tlog"
)

// Options of [Check].
type Options struct {
	// Log is a copy of the decision's log, or the log where it is served; nil for none. With it the layer currency looks for what was put in force later than the document says, and for other decisions of the same id.
	Log tlog.Source
	// Progress is told how many entries of the log were read. May be nil.
	Progress func(done, size int64)
	// Follows is told of the log that the decision's log follows, where its first entry says so. May be nil.
	Follows func(Former)
	// Erased is told where the log holds the erasure that the evidence shows. May be nil.
	Erased func(index int64)
	// Held is told of the checkpoint under which Log was read to its end, and held. May be nil.
	Held func(tlog.Checkpoint)

	keys   *LogKeys // what Log says of its keys; nil for no log, and for one that could not be read so far
	unread error    // why not
}

// whole is what all of a log says of a decision.
type whole struct {
	size                             int64
	snapshot, attestations, settings Reference        // the last of their kind below base, without digests
	registry                         Registry         // the services below base
	bundles                          map[string]int64 // in force below base: the index of the entry, by name
	history                          *history         // the rows that scoring read
	outcomes                         []int64          // of the decision
	twins                            []int64          // other statements about a decision of its id
	erasure                          []byte           // the entry of an erasure that the evidence shows and that belongs into this log, nil for none
	erasedAt                         int64            // where the log holds it, -1 for nowhere
	disowned                         error            // why that entry is not to be believed, nil if it is
	follows                          *Former          // the log that was given up for this one, nil for none
	since                            since            // base
	disorder                         *Fault           // an entry whose time does not fit its place, nil for none
	stale                            *Fault           // what was in force before the decision was made, and base leaves out, nil for nothing
	rests                            map[rest]resting // what an entry put in force, or out of it, that is not to be believed
	broken, unreadable               error            // the log is not what its checkpoint says; it could not be read
	untold                           error            // what it says of its keys can't be told under the trust file
	older                            error            // the trust file knows more of it
}

// readWhole reads the log, which must hold what the receipt's checkpoint says.
func readWhole(ctx context.Context, d *Document, erasure []byte, at *proved, trust Trust, o Options) *whole {
	none := Reference{Index: -1}
	if claims(erasure, "log") != d.Log {
		erasure = nil // it stands in a log that follows
	}
	w := &whole{snapshot: none, attestations: none, settings: none, bundles: map[string]int64{}, rests: map[rest]resting{}, history: newHistory(d), erasure: erasure, erasedAt: -1}
	if w.unreadable = unusable(ctx, at, o.Log); w.unreadable != nil {
		return w
	}
	var bad error
	checked, err := tlog.CheckLog(ctx, o.Log, tlog.Options{
		Keys: at.keys, Earlier: []tlog.Checkpoint{at.proof.Checkpoint}, Progress: o.Progress,
		Leaf: func(index int64, leaf []byte) error {
			if err := w.follow(index, leaf, d, at, trust); err != nil && bad == nil {
				bad = fmt.Errorf("the log's entry at index %d: %w", index, err)
			}
			return nil
		},
	})
	w.size = checked.Checkpoint.Size
	switch {
	case errors.Is(err, tlog.ErrLog), errors.Is(err, tlog.ErrMalformed), errors.Is(err, tlog.ErrUntrusted), errors.Is(err, tlog.ErrSignature):
		w.broken = err
	case err != nil:
		w.unreadable = err
	case o.keys == nil: // a second reading may succeed where the first one, for its keys, did not
		w.unreadable = o.unread
	default:
		w.broken, w.untold, w.older = bad, o.keys.Untold(), o.keys.Older()
		if err := o.keys.Fault(); err != nil {
			w.broken = err
		}
		if w.broken == nil && o.Held != nil {
			o.Held(checked.Checkpoint)
		}
		if w.follows != nil && o.Follows != nil {
			o.Follows(*w.follows)
		}
		if w.broken == nil && w.erasedAt >= 0 && o.Erased != nil {
			o.Erased(w.erasedAt)
		}
	}
	return w
}

// unusable is why nothing can be told by a log. What the log's key did not sign says nothing against anybody, since anyone can serve it; nor does another log, or a copy that was made before the receipt.
func unusable(ctx context.Context, at *proved, log tlog.Source) error {
	text, err := log.Read(ctx, tlog.CheckpointPath, tlog.MaxCheckpointBytes+1)
	if err != nil {
		return err
	}
	c, err := tlog.ParseCheckpoint(text)
	if err != nil {
		return fmt.Errorf("what is there in place of its checkpoint is none: %w", err)
	}
	receipt := at.proof.Checkpoint
	if c.Origin != receipt.Origin {
		return fmt.Errorf("it is the log %s, and the decision stands in %s: give that one", plain(c.Origin), receipt.Origin)
	}
	if _, _, err = c.Verify(at.keys...); err != nil {
		return fmt.Errorf("what is there in place of its checkpoint is not signed as one: %w", err)
	}
	if c.Size < receipt.Size {
		return fmt.Errorf("it has %d entries, and had %d when the receipt was made: bring the copy up to date", c.Size, receipt.Size)
	}
	return nil
}

// follow takes in an entry. Those that change what is in force below base have to hold.
func (w *whole) follow(index int64, leaf []byte, d *Document, at *proved, trust Trust) error {
	typ, err := TypOf(leaf)
	if err != nil {
		return err
	}
	iat, own := ownTime(typ, leaf)
	if own && w.disorder == nil {
		w.disorder = at.outOfOrder(index, iat)
	}
	move := func(r *Reference) { r.Index, r.Revision = index, r.Revision+1 }
	below := index < d.Base
	if own && w.stale == nil && !below {
		w.stale = at.leftOut(index, d.Base, iat, typ, leaf)
	}
	if index == d.Base {
		w.history.settleAll()
	}
	switch {
	case index >= at.index:
	case typ == TypOutcome:
		err = w.history.take(index, leaf, d, at, trust)
	case typ == TypDecision:
		err = w.history.decided(leaf)
	}
	if err != nil {
		return err
	}
	if own {
		w.history.newest = max(w.history.newest, iat)
	}
	if own && w.disorder == nil && !below && index < at.index {
		w.disorder = w.since.take(index, iat)
	}
	switch {
	case typ == TypRecovery:
		w.follows, err = trust.Former(d.Log, index, leaf)
		if errors.Is(err, ErrRevoked) {
			return nil // nobody's word on a log before
		}
		return err
	case below && (typ == TypContract || typ == TypGrant || typ == TypAttestation):
		if typ != TypAttestation {
			move(&w.snapshot)
		}
		move(&w.attestations)
		return w.service(index, leaf, d, trust)
	case below && typ == TypSettings:
		move(&w.settings)
		r, believed, err := inForce(index, leaf, d, trust)
		if err == nil {
			w.rest(rest{what: theSettings}, r, believed)
		}
		return err
	case below && typ == TypActivation:
		r, believed, err := inForce(index, leaf, d, trust)
		if err != nil {
			return err
		}
		if r.activation.Kind == KindActivated || r.activation.Kind == KindDeactivated {
			w.rest(rest{what: aBundle, name: r.activation.Bundle}, r, believed)
		}
		switch a := r.activation; a.Kind {
		case KindActivated:
			w.bundles[a.Bundle] = index
		case KindDeactivated:
			delete(w.bundles, a.Bundle)
		}
	case typ == TypErasure && index > at.index && bytes.Equal(leaf, w.erasure):
		w.erasedAt = index
		if _, err = trust.CheckEntry(d.Log, index, leaf); errors.Is(err, ErrRevoked) {
			w.disowned, err = err, nil
		}
		return err
	case typ == TypOutcome && claims(leaf, "decision") == d.DecisionID:
		w.outcomes = append(w.outcomes, index)
	case typ == TypDecision && index != at.index && claims(leaf, "id") == d.DecisionID:
		w.twins = append(w.twins, index)
	}
	return nil
}

// inForce reads an entry of the log that changes what is in force, and holds it to its place. Under a key that is not to be believed there it is read too, since the server acted on it.
func inForce(index int64, leaf []byte, d *Document, trust Trust) (r *record, unbelieved, err error) {
	r, err = readRecord(LoggedEntry{Index: index, JWS: leaf}, trust)
	if errors.Is(err, ErrRevoked) {
		unbelieved, err = err, nil
	}
	if err == nil {
		err = r.belongs(d)
	}
	return r, unbelieved, err
}

// claims is a text that the payload of an entry holds under a key, unverified; "" for none.
func claims(leaf []byte, key string) string {
	var payload map[string]json.RawMessage
	var text string
	if Claims(leaf, &payload) != nil || json.Unmarshal(payload[key], &text) != nil {
		return ""
	}
	return text
}
