package verify

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"github.com/smarthausgroup/caio/verify/tlog"
)

// proved is a statement's place in the log, once its receipt holds.
type proved struct {
	index    int64
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
	at := &proved{keys: keys}
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
	return at, Verdict{Layer: LayerReceipt, Status: Pass, Reason: fmt.Sprintf("at index %d of %d entries", at.index, at.proof.Checkpoint.Size)}
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
		return nil, fmt.Errorf("the checkpoint carries a signature of %q, whose key neither the trust file nor the policy holds", unknown[0].Name)
	}
	return verified, nil
}

// slack is for how long a statement may be on its way into the log (spec/proof.md, "The statement and the signature"), and clocks may disagree.
const slack = time.Minute

// judgeWitnesses is the layer witnesses: the policy's quorum cosigned the receipt's checkpoint, and an earlier one that did not hold the decision yet, and the decision's time lies between.
func judgeWitnesses(ev *Evidence, d *Document, at *proved, policy tlog.Policy) Verdict {
	skipped := func(reason string) Verdict {
		return Verdict{Layer: LayerWitnesses, Status: Skipped, Reason: reason}
	}
	// Whether anybody asks for its cosignatures or not: what stands in evidence holds.
	if ev.Earlier != nil {
		_, err := ParseEarlier(ev.Earlier)
		if err == nil && at != nil {
			_, err = ev.signedEarlier(at.proof.Checkpoint.Origin, at)
		}
		if err != nil {
			return Judge(LayerWitnesses, err)
		}
	}
	switch {
	case policy.Quorum == "" || policy.Quorum == tlog.None:
		return skipped("unwitnessed: no policy asks for a cosignature; time asserted")
	case at == nil || d == nil:
		return skipped("unwitnessed: there is no checkpoint that holds the decision; time asserted")
	}
	decided, err := time.Parse(TimeFormat, d.Time)
	if err != nil {
		return Judge(LayerWitnesses, err)
	}
	quorum, err := policy.Satisfied(at.verified)
	if err != nil {
		return Judge(LayerWitnesses, fmt.Errorf("%w: the evidence of a young decision has to be fetched again once they have seen it", err))
	}
	if decided.After(quorum.By.Add(slack)) {
		return Verdict{LayerWitnesses, Fail, "the decision says that it was made after witnesses saw it in the log", "/time", "at most " + quorum.By.UTC().Format(TimeFormat), d.Time}
	}
	if ev.Earlier == nil {
		// Anybody could leave it out, so this is no lesser fault than a time that is wrong.
		return Verdict{Layer: LayerWitnesses, Status: Fail, Reason: "cosigned by " + quorum.By.UTC().Format(time.RFC3339) + ", and no earlier cosigned checkpoint bounds the decision's time from below; time asserted"}
	}
	since, err := ev.cosignedBefore(d.Log, at, policy)
	if err != nil {
		return Judge(LayerWitnesses, err)
	}
	if decided.Add(slack).Before(since) {
		return Verdict{LayerWitnesses, Fail, "back-dated: witnesses saw the log without the decision after the time that it states", "/time", "at least " + since.UTC().Format(TimeFormat), d.Time}
	}
	return Verdict{Layer: LayerWitnesses, Status: Pass, Reason: fmt.Sprintf("cosigned: the entry came between %s and %s", since.UTC().Format(time.RFC3339), quorum.By.UTC().Format(time.RFC3339))}
}

// cosignedBefore is until when a quorum had seen no more than the earlier checkpoint, which does not hold the decision.
func (ev *Evidence) cosignedBefore(origin string, at *proved, policy tlog.Policy) (since time.Time, err error) {
	verified, err := ev.signedEarlier(origin, at)
	if err != nil {
		return since, err
	}
	quorum, err := policy.Satisfied(verified)
	if err != nil {
		return since, fmt.Errorf("the earlier checkpoint: %w", err)
	}
	return quorum.Since, nil
}

// signedEarlier holds the earlier checkpoint to the log, its keys, and the receipt's checkpoint, which extends it.
func (ev *Evidence) signedEarlier(origin string, at *proved) ([]tlog.Verified, error) {
	earlier, err := ParseEarlier(ev.Earlier)
	if err != nil {
		return nil, err
	}
	verified, err := signedBy(earlier.Checkpoint, origin, at.keys)
	if err != nil {
		return nil, fmt.Errorf("the earlier checkpoint: %w", err)
	}
	if earlier.Checkpoint.Size > at.index {
		return nil, fmt.Errorf("the earlier checkpoint, of %d entries, holds the decision at index %d already", earlier.Checkpoint.Size, at.index)
	}
	if err := at.proof.Checkpoint.Extends(earlier.Checkpoint, earlier.Hashes); err != nil {
		return nil, fmt.Errorf("the earlier checkpoint: %w", err)
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
