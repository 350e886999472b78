package verify

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// elsewhere are the types of entries that the offline root may have signed: by another clock, and any time before. All others say when they were signed, or, of a decision, when it was asked for, which is no minute before.
var elsewhere = []string{TypKey, TypRevocation}

// outOfOrder is why an entry can't stand where it does, before the decision or behind it, if both say truly when they were made; nil if it can.
func (at *proved) outOfOrder(index, iat int64) *Fault {
	const most = int64(slack / time.Second)
	switch {
	case index < at.index && iat > at.iat+most:
		return at.disorder(index, "before", "at least", iat-most)
	case index > at.index && iat < at.iat-most:
		return at.disorder(index, "behind", "at most", iat+most)
	}
	return nil
}

// MadeAt is when an entry says that it was made, in seconds since 1970; false for what has no form. Nothing of it is verified.
func MadeAt(leaf []byte) (iat int64, ok bool) {
	var made struct {
		IAT int64 `json:"iat"`
	}
	err := Claims(leaf, &made)
	return made.IAT, err == nil
}

// ownTime is when an entry says that it was made, by the clock of the log's server; false for what has no form, which those find who read it, and for words of a root.
func ownTime(typ string, leaf []byte) (iat int64, own bool) {
	if slices.Contains(elsewhere, typ) {
		return 0, false
	}
	return MadeAt(leaf)
}

// leftOut is an entry that changed what is in force well before the decision was made, though the decision says that the log was shorter when its arguments were read: the arguments are those of before; nil for another. A server takes the time first and reads the arguments then, and such entries say when they were signed.
func (at *proved) leftOut(index, base, iat int64, typ string, leaf []byte) *Fault {
	before := time.Duration(at.iat-iat) * time.Second
	switch {
	case index >= at.index || before <= slack:
		return nil
	case typ == TypContract || typ == TypGrant || typ == TypAttestation || typ == TypSettings:
	case typ == TypActivation && slices.Contains([]string{KindActivated, KindDeactivated}, claims(leaf, "kind")):
	default:
		return nil
	}
	return &Fault{"/base", fmt.Sprintf("the entry at index %d, of type %s, was made %v before the decision, and the document was decided without it", index, typ, before), fmt.Sprintf("more than %d", index), strconv.FormatInt(base, 10)}
}

// since is the youngest entry from base on. What stands there is left out of the arguments for having come meanwhile, as it says: so nothing behind it can have been made well before it.
type since struct{ index, iat int64 }

func (s *since) take(index, iat int64) *Fault {
	if least := s.iat - int64(slack/time.Second); iat < least {
		return &Fault{"/base", fmt.Sprintf("from base on the log's times go backwards, by more than %v: those of the entries at index %d and %d, in this order; times were changed, or the server's clock was set back", slack, s.index, index), "at least " + timeText(least), timeText(iat)}
	}
	if iat > s.iat {
		*s = since{index, iat}
	}
	return nil
}

func timeText(seconds int64) string { return time.Unix(seconds, 0).UTC().Format(time.RFC3339) }

func (at *proved) disorder(index int64, where, bound string, limit int64) *Fault {
	return &Fault{"/iat", fmt.Sprintf("the log's times go backwards: a claim of the statement says when the decision was made, and the entry at index %d, which stands %s it, says otherwise by more than %v: times were changed, or the server's clock was set back", index, where, slack), bound + " " + timeText(limit), timeText(at.iat)}
}
