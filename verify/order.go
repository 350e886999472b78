package verify

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// prompt are the types of entries that are written within seconds of the time that they state. Others may be written minutes after: the tests of a bundle have to pass first, what is erased has to be found, one change waits for another, and a divergence of a shadow for those found with it.
var prompt = []string{TypDecision, TypFailure, TypExplanation, TypOutcome}

// elsewhere are the types of entries that the offline root may have signed: by another clock, and any time before.
var elsewhere = []string{TypKey, TypRevocation}

// outOfOrder is why an entry can't stand where it does, before the decision or behind it, if both say truly when they were made; nil if it can.
func (at *proved) outOfOrder(index int64, typ string, leaf []byte) *Fault {
	if index == at.index || slices.Contains(elsewhere, typ) {
		return nil
	}
	var made struct {
		IAT int64 `json:"iat"`
	}
	if parts, err := splitJWS(leaf); err != nil || json.Unmarshal(parts[1], &made) != nil {
		return nil // what has no form is found by those who read it
	}
	most := int64(slack / time.Second)
	switch {
	case index < at.index && made.IAT > at.iat+most:
		return at.disorder(index, "before", "at least", made.IAT-most)
	case index > at.index && made.IAT < at.iat-most && slices.Contains(prompt, typ):
		return at.disorder(index, "behind", "at most", made.IAT+most)
	}
	return nil
}

func (at *proved) disorder(index int64, where, bound string, limit int64) *Fault {
	text := func(seconds int64) string { return time.Unix(seconds, 0).UTC().Format(time.RFC3339) }
	return &Fault{"/iat", fmt.Sprintf("the log's times go backwards: a claim of the statement says when the decision was made, and the entry at index %d, which stands %s it, says otherwise by more than %v", index, where, slack), bound + " " + text(limit), text(at.iat)}
}
