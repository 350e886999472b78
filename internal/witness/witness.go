// Package witness is both sides of the C2SP tlog-witness protocol: a witness, which cosigns the checkpoints of logs that it has seen to be append-only, and what a log needs to have its own cosigned (spec/proof.md, "The log").
//
// A witness keeps one thing of each log: size and root of the latest checkpoint that it cosigned. It cosigns the next one if a consistency proof shows that it holds all of that, and writes it down, durably, before the cosignature leaves. So it never vouches for two logs under one name.
// It knows nothing of what the entries say, and whether a decision was right.
//
// The formats are those of c2sp.org: tlog-witness, tlog-cosignature, tlog-checkpoint. Subtrees are not cosigned.
package witness

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/smarthausgroup/caio/verify/tlog"
)

// Why a witness does not cosign. Those of package tlog come besides: ErrMalformed, ErrUntrusted and ErrSignature, and ErrProof where the checkpoint does not extend the latest one.
var (
	// ErrUnknownLog says that the origin is none of the logs that the witness was told of.
	ErrUnknownLog = errors.New("no log of this origin is known here")
	// ErrClock says that the clock stands before the time of an earlier cosignature: one of the two would be untrue.
	ErrClock = errors.New("the clock was set back")
)

// SizeError says that the checkpoint was to extend another size than that of the latest one that the witness cosigned, which is Size; 0 where it cosigned none.
type SizeError struct{ Size int64 }

// Error names the size.
func (e *SizeError) Error() string {
	return fmt.Sprintf("the latest checkpoint that the witness cosigned has size %d", e.Size)
}

// Witness cosigns. Make one with [Open]; it is safe for concurrent use.
type Witness struct {
	key   tlog.Key
	sign  crypto.Signer
	clock func() time.Time
	state *state
	logs  atomic.Pointer[map[string][]tlog.Key] // by origin
}

// Config says of what a witness is made. All is required.
type Config struct {
	// Name of the key, a URL without its scheme; Key is Ed25519, and no other witness may have it: a cosignature does not say its signer's name.
	Name string
	Key  crypto.Signer
	// State is the file of what was cosigned, made when there is none. One that is taken from a backup lets the witness cosign a fork of what came since.
	State string
	Clock func() time.Time
}

// Open opens the state. The witness knows no log before [Witness.Know]; the caller closes it.
func Open(ctx context.Context, c Config) (*Witness, error) {
	public, ok := c.Key.Public().(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("witness: the key is an Ed25519 key, not %T", c.Key.Public())
	}
	key, err := tlog.NewKey(c.Name, tlog.CosignatureV1, public)
	if err != nil {
		return nil, fmt.Errorf("witness: %w", err)
	}
	w := &Witness{key: key, sign: c.Key, clock: c.Clock}
	w.logs.Store(&map[string][]tlog.Key{})
	w.state, err = openState(ctx, c.State)
	return w, err
}

// Close closes the state.
func (w *Witness) Close() error { return w.state.file.Close() }

// Key verifies what the witness signs.
func (w *Witness) Key() tlog.Key { return w.key }

// Know replaces the logs that are cosigned by those that these keys sign; an origin may have several. What was cosigned of a log that is left out stays known, for its return.
func (w *Witness) Know(keys ...tlog.Key) error {
	logs := map[string][]tlog.Key{}
	for _, key := range keys {
		if key.Algorithm != tlog.Ed25519 {
			return fmt.Errorf("witness: %s is not the key of a log", key)
		}
		if !slices.ContainsFunc(logs[key.Name], func(other tlog.Key) bool { return other.String() == key.String() }) {
			logs[key.Name] = append(logs[key.Name], key)
		}
	}
	w.logs.Store(&logs)
	return nil
}

// Add cosigns the checkpoint of a request, after it has made it durable as the latest of its log (C2SP tlog-witness, "add-checkpoint").
//
// Errors, in the order in which they are looked for: [ErrUnknownLog]; tlog.ErrUntrusted and tlog.ErrSignature; tlog.ErrMalformed for one that is smaller than what it is to extend; [*SizeError]; tlog.ErrProof; [ErrClock]; others are the system's, and what was cosigned is as it was or as it was to be.
func (w *Witness) Add(ctx context.Context, r Request) (tlog.Signature, error) {
	c := r.Checkpoint
	keys, known := (*w.logs.Load())[c.Origin]
	if !known {
		return tlog.Signature{}, ErrUnknownLog
	}
	verified, unknown, err := c.Verify(keys...)
	if err != nil {
		return tlog.Signature{}, err
	}
	if r.Old > c.Size {
		return tlog.Signature{}, fmt.Errorf("%w: a checkpoint of size %d does not extend one of size %d", tlog.ErrMalformed, c.Size, r.Old)
	}
	if len(verified) < len(c.Signatures) {
		c.Signatures = slices.DeleteFunc(slices.Clone(c.Signatures), func(s tlog.Signature) bool {
			return slices.ContainsFunc(unknown, func(u tlog.Signature) bool { return u.Name == s.Name && u.ID == s.ID })
		})
	}
	var cosignature tlog.Signature
	err = w.state.advance(ctx, c.Origin, func(latest record) (record, error) {
		if latest.size != r.Old {
			return record{}, &SizeError{latest.size}
		}
		if err := c.Extends(tlog.Checkpoint{Origin: c.Origin, Size: latest.size, Root: latest.root}, r.Proof); err != nil {
			return record{}, err
		}
		at := w.clock()
		if at.Unix() < latest.at {
			return record{}, fmt.Errorf("%w: it says %s, and the latest cosignature is of %s", ErrClock, at.UTC().Format(time.RFC3339), time.Unix(latest.at, 0).UTC().Format(time.RFC3339))
		}
		if cosignature, err = tlog.Cosign(c, w.key.Name, w.sign, at); err != nil {
			return record{}, err
		}
		c.Signatures = append(slices.Clip(c.Signatures), cosignature)
		return record{c.Size, c.Root, at.Unix(), c.Encode()}, nil
	})
	return cosignature, err
}

// Latest is the latest checkpoint of a log that the witness cosigned, as text, with the signatures of the log that it verified and its own; nil where it cosigned none.
func (w *Witness) Latest(ctx context.Context, origin string) ([]byte, error) {
	if _, known := (*w.logs.Load())[origin]; !known {
		return nil, ErrUnknownLog
	}
	latest, err := w.state.latest(ctx, origin)
	return latest.note, err
}
