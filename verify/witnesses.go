package verify

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/smarthausgroup/caio/verify/tlog"
)

const (
	// slack is for how long a statement may be on its way into the log (spec/proof.md, "The statement and the signature"), and clocks may disagree.
	slack = time.Minute
	// bracket is how far apart the times of witnesses may be that say when an entry came. The operator chooses the checkpoints that evidence shows: without a bound he could choose an old one, and date the decision as far back as that.
	bracket = 5 * time.Minute
)

// around are those who signed the earlier checkpoint, and the first that holds the decision; nil where the evidence has none.
type around struct{ earlier, first []tlog.Verified }

// judgeWitnesses is the layer witnesses: the policy's quorum cosigned the receipt's checkpoint, one before the decision and one soon after it, and the time that the statement claims lies between.
func judgeWitnesses(ev *Evidence, s Statement, at *proved, policy tlog.Policy) Verdict {
	skipped := func(reason string) Verdict {
		return Verdict{Layer: LayerWitnesses, Status: Skipped, Reason: reason}
	}
	// Whether anybody asks for its cosignatures or not: what stands in evidence holds.
	seen, err := ev.around(at)
	switch {
	case err != nil:
		return Judge(LayerWitnesses, err)
	case policy.Quorum == "" || policy.Quorum == tlog.None:
		return skipped("unwitnessed: no policy asks for a cosignature; time asserted")
	case at == nil:
		return skipped("unwitnessed: no receipt shows that the decision is in the log; time asserted")
	case len(policy.Logs) > 0 && !slices.ContainsFunc(policy.Logs, func(l tlog.PolicyLog) bool { return l.Key.String() == at.keys[0].String() }):
		return Judge(LayerWitnesses, fmt.Errorf("the policy is about other logs than %s", s.Log))
	}
	return seen.bounds(at, policy).judge(time.Unix(s.IAT, 0))
}

// bounds are what witnesses say of when an entry came into the log: by then it was in it, since then it was not. A zero time is one that nobody tells; missing says why, and advice what to do about it.
type bounds struct {
	by, since time.Time
	missing   error
	advice    string
}

// What to do where witnesses don't tell enough.
const (
	adviceYoung  = "A decision or an outcome of the last minute has not been cosigned yet: fetch its evidence again. If it stays so, witnesses did not answer, or cosignatures were taken away: ask the operator"
	adviceFormer = "The policy names them, and does not count on them: they are former witnesses. The trust file of then, or a policy that counts on them (--policy), tells what they saw"
	adviceFirst  = "The first decision of a log has none before it, nor has one from before there were witnesses, and that stays so. For any other one it was taken away: ask the operator"
)

func (a around) bounds(at *proved, policy tlog.Policy) (b bounds) {
	cosigned := func(what string, verified []tlog.Verified) (q tlog.Quorum) {
		q, err := policy.Satisfied(verified)
		if err != nil && b.missing == nil {
			b.missing, b.advice = fmt.Errorf("%s: %w", what, err), adviceYoung
			if formerAlone(policy, verified) {
				b.advice = adviceFormer
			}
		}
		return q
	}
	b.by = cosigned("the receipt's checkpoint", at.verified).By
	if a.first != nil {
		if first := cosigned("the first checkpoint that holds the decision", a.first).By; b.by.IsZero() || !first.IsZero() && first.Before(b.by) {
			b.by = first
		}
	}
	if a.earlier != nil {
		b.since = cosigned("the earlier checkpoint", a.earlier).Since
	} else if b.missing == nil {
		b.missing, b.advice = errors.New("no earlier cosigned checkpoint says that the decision was not in the log yet"), adviceFirst
	}
	return b
}

// formerAlone reports whether witnesses cosigned, and none of them on whom the quorum counts.
func formerAlone(policy tlog.Policy, verified []tlog.Verified) (former bool) {
	asked := policy.Asked()
	for _, w := range policy.Witnesses {
		if slices.ContainsFunc(verified, func(v tlog.Verified) bool { return v.Key.String() == w.Key.String() }) {
			if slices.Contains(asked, w.Name) {
				return false
			}
			former = true
		}
	}
	return former
}

// judge holds a decision's time to the bounds. Anybody may leave cosignatures out, and a young decision has none yet: that is no fault, and shows nothing either.
func (b bounds) judge(decided time.Time) Verdict {
	fail := func(reason, want string) Verdict {
		return Verdict{LayerWitnesses, Fail, reason, "/iat", want, decided.UTC().Format(time.RFC3339)}
	}
	untold := func(format string, args ...any) Verdict {
		return Verdict{Layer: LayerWitnesses, Status: Inconclusive, Reason: fmt.Sprintf(format, args...) + "; time asserted"}
	}
	by, since := b.by.UTC().Format(time.RFC3339), b.since.UTC().Format(time.RFC3339)
	width := b.by.Sub(b.since)
	switch {
	case !b.by.IsZero() && decided.After(b.by.Add(slack)):
		return fail("a claim of the statement says that the decision was made after witnesses saw it in the log", "at most "+by)
	case !b.since.IsZero() && decided.Add(slack).Before(b.since):
		return fail("back-dated: witnesses saw the log without the decision after the time that a claim of the statement says", "at least "+since)
	case b.missing != nil:
		return untold("%v. %s", b.missing, b.advice)
	case width > bracket:
		return untold("cosigned, but between %s and %s, %v apart, nobody saw the log, and the decision may have been dated anywhere in between; %v is the most that counts. Witnesses may have been away, or checkpoints left out: ask the operator", since, by, width, bracket)
	}
	return Verdict{Layer: LayerWitnesses, Status: Pass, Reason: fmt.Sprintf("cosigned: the entry came between %s and %s, so that it was back-dated by %v at most", since, by, max(width, 0)+slack)}
}

// around reads the two parts, and holds each to the log, its keys, the place where it belongs, and the receipt's checkpoint, which extends it.
func (ev *Evidence) around(at *proved) (a around, err error) {
	if ev.Earlier != nil {
		a.earlier, err = at.extended(ev.Earlier, func(size int64) error {
			if size > at.index {
				return fmt.Errorf("of %d entries, it holds the decision at index %d already", size, at.index)
			}
			return nil
		})
		if err != nil {
			return a, fmt.Errorf("the earlier checkpoint: %w", err)
		}
	}
	if ev.First != nil {
		a.first, err = at.extended(ev.First, func(size int64) error {
			if last := at.proof.Checkpoint.Size; size <= at.index || size >= last {
				return fmt.Errorf("it has %d entries: it holds the decision at index %d, and is before the receipt's checkpoint, of %d", size, at.index, last)
			}
			return nil
		})
		if err != nil {
			return a, fmt.Errorf("the first checkpoint that holds the decision: %w", err)
		}
	}
	return a, nil
}

// extended are those who signed a checkpoint that fits, and that the receipt's extends. Without a receipt it is read, and that is all.
func (at *proved) extended(text []byte, fits func(size int64) error) ([]tlog.Verified, error) {
	before, err := ParseEarlier(text)
	if err != nil || at == nil {
		return nil, err
	}
	verified, err := signedBy(before.Checkpoint, at.proof.Checkpoint.Origin, at.keys)
	if err == nil {
		err = fits(before.Checkpoint.Size)
	}
	if err == nil {
		err = at.proof.Checkpoint.Extends(before.Checkpoint, before.Hashes)
	}
	return verified, err
}
