package verify

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/smarthausgroup/caio/verify/tlog"
)

// proved is a statement's place in the log, once its receipt holds.
type proved struct {
	index    int64
	iat      int64 // of the statement
	proof    tlog.Proof
	verified []tlog.Verified
	keys     []tlog.Key // of the log and of the policy's witnesses
}

// judgeReceipt is the layer receipt: the leaf is in the tree of a checkpoint that the pinned key of its log signed, at base or after. The place is nil where that is not so.
func judgeReceipt(ev *Evidence, s Statement, trust Trust, policy tlog.Policy) (*proved, Verdict) {
	if ev.Receipt == nil {
		return nil, Verdict{Layer: LayerReceipt, Status: Skipped, Reason: "the evidence holds no receipt"}
	}
	keys, reason := logKeys(s.Log, trust, policy)
	if reason != "" {
		return nil, Verdict{Layer: LayerReceipt, Status: Skipped, Reason: reason}
	}
	at := &proved{iat: s.IAT, keys: keys}
	var err error
	if at.proof, err = tlog.ParseProof(ev.Receipt); err != nil {
		return nil, Judge(LayerReceipt, err)
	}
	if at.verified, err = signedBy(at.proof.Checkpoint, s.Log, keys); err != nil {
		return nil, Judge(LayerReceipt, err)
	}
	if err := at.proof.Verify(ev.Statement); err != nil {
		return nil, Judge(LayerReceipt, err)
	}
	if at.index = at.proof.Index; at.index < s.Base {
		return nil, Verdict{LayerReceipt, Fail, "a claim of the statement says that the log was longer than that when the arguments were read", "/base", "at most " + strconv.FormatInt(at.index, 10), strconv.FormatInt(s.Base, 10)}
	}
	place := fmt.Sprintf("at index %d of %d entries", at.index, at.proof.Checkpoint.Size)
	if i := slices.IndexFunc(trust.Logs, func(l Log) bool { return l.Follows == s.Log }); i >= 0 {
		place += "; the log was given up since, and " + trust.Logs[i].Origin + " follows it"
	}
	return at, Verdict{Layer: LayerReceipt, Status: Pass, Reason: place}
}

// logKeys are the key of a log and those of the policy's witnesses, or why there are none.
func logKeys(origin string, trust Trust, policy tlog.Policy) (keys []tlog.Key, reason string) {
	log, known := trust.log(origin)
	if !known || log.Key == "" {
		return nil, "the trust file holds no key of the log " + origin
	}
	key, err := log.key()
	if err != nil {
		return nil, err.Error()
	}
	keys = append(keys, key)
	for _, w := range policy.Witnesses {
		keys = append(keys, w.Key)
	}
	return keys, ""
}

// signedBy holds a checkpoint to its log and the keys. A signature that none of them made vouches for nothing, and could be changed unseen: it is refused.
func signedBy(c tlog.Checkpoint, origin string, keys []tlog.Key) ([]tlog.Verified, error) {
	if c.Origin != origin {
		return nil, &Fault{Pointer: "/log", Reason: "the checkpoint is of another log", Want: origin, Got: c.Origin}
	}
	verified, unknown, err := c.Verify(keys...)
	if err != nil {
		return nil, err
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("the checkpoint carries a signature of %q, whose key neither the trust file nor the policy holds. If that is a witness which the operator took on later, caio trust export names it, and says what else changed", unknown[0].Name)
	}
	return verified, nil
}

// records reads the entries of the evidence, by index: each is a leaf under the same checkpoint as the decision, signed by a trusted key that was in use, and of the decision's log.
func (ev *Evidence) records(d *Document, at *proved, trust Trust) (map[int64]*record, error) {
	records := map[int64]*record{}
	for _, e := range ev.Entries {
		refuse := func(err error) error { return fmt.Errorf("the entry at index %d: %w", e.Index, err) }
		proof, err := tlog.ParseProof(e.Receipt)
		if err != nil {
			return nil, refuse(err)
		}
		if proof.Index != e.Index || !bytes.Equal(proof.Checkpoint.Encode(), at.proof.Checkpoint.Encode()) {
			return nil, refuse(fmt.Errorf("its receipt is of index %d, or under another checkpoint than the decision's", proof.Index))
		}
		if err := proof.Verify(e.JWS); err != nil {
			return nil, refuse(err)
		}
		r, err := readRecord(e, trust)
		if errors.Is(err, ErrRevoked) && r.typ == TypOutcome { // the decision does not rest on it
			r.unbelieved, err = err, nil
		}
		if err == nil {
			err = r.belongs(d)
		}
		if err != nil {
			return nil, refuse(err)
		}
		records[e.Index] = r
	}
	return records, nil
}
