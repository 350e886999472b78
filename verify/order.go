package verify

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// elsewhere are the types of entries that the offline root may have signed: by another clock, and any time before. All others say when they were signed, or, of a decision, when it was asked for, which is no minute before.
var elsewhere = []string{TypKey, TypRevocation}

// outOfOrder is why an entry can't stand where it does, before the decision or behind it, if both say truly when they were made; nil if it can.
func (at *proved) outOfOrder(index int64, typ string, leaf []byte) *Fault {
	if index == at.index || slices.Contains(elsewhere, typ) {
		return nil
	}
	iat, ok := MadeAt(leaf)
	most := int64(slack / time.Second)
	switch {
	case !ok: // what has no form is found by those who read it
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
	parts, err := splitJWS(leaf)
	if err == nil {
		err = json.Unmarshal(parts[1], &made)
	}
	return made.IAT, err == nil
}

// leftOut is an entry that changed what is in force well before the decision was made, though the decision says that the log was shorter when its arguments were read: the arguments are those of before; nil for another. A server takes the time first and reads the arguments then, and such entries say when they were signed.
func (at *proved) leftOut(index, base int64, typ string, leaf []byte) *Fault {
	kind := claims(leaf, "kind")
	switch {
	case index >= at.index:
		return nil
	case typ == TypContract || typ == TypGrant || typ == TypAttestation || typ == TypSettings:
	case typ == TypActivation && (kind == KindActivated || kind == KindDeactivated):
	default:
		return nil
	}
	iat, ok := MadeAt(leaf)
	before := time.Duration(at.iat-iat) * time.Second
	if !ok || before <= slack {
		return nil
	}
	return &Fault{"/base", fmt.Sprintf("the entry at index %d, of type %s, was made %v before the decision, and the document was decided without it", index, typ, before), fmt.Sprintf("more than %d", index), strconv.FormatInt(base, 10)}
}

func (at *proved) disorder(index int64, where, bound string, limit int64) *Fault {
	text := func(seconds int64) string { return time.Unix(seconds, 0).UTC().Format(time.RFC3339) }
	return &Fault{"/iat", fmt.Sprintf("the log's times go backwards: a claim of the statement says when the decision was made, and the entry at index %d, which stands %s it, says otherwise by more than %v: times were changed, or the server's clock was set back", index, where, slack), bound + " " + text(limit), text(at.iat)}
}
