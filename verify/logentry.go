package verify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// types are those of log entries.
var types = []string{
	TypDecision, TypFailure, TypExplanation, TypContract, TypAttestation, TypGrant, TypSettings, TypActivation, TypShadow,
	TypErasure, TypHold, TypKey, TypRevocation, TypRecovery, TypAttempt, TypOutcome,
}

// CheckEntry checks an entry of a log on its own, as far as that can be told of every one: it has one of the types that there are, is signed by a trusted key that was in use at its index, says that it is of this log, and was not made for a later place. It returns the type. What the entry says is not looked at.
func (t Trust) CheckEntry(log string, index int64, leaf []byte) (string, error) {
	typ, err := TypOf(leaf)
	if err != nil {
		return "", err
	}
	if !slices.Contains(types, typ) {
		return typ, fmt.Errorf("there are no entries of the type %q", typ)
	}
	keys := t.Keys
	if typ == TypKey || typ == TypRevocation {
		keys = slices.Concat(keys, t.roots())
	}
	var p payload
	key, err := Verify(typ, leaf, keys, &p)
	if err != nil {
		return typ, err
	}
	if p.members["log"] != log && typ != TypRevocation { // that may be of a key in a log that was given up
		return typ, errors.New("it was signed for another log")
	}
	if base, stated := p.members["base"].(int64); stated && base > index {
		return typ, fmt.Errorf("it was signed for the index %d and those after it", base)
	}
	if typ == TypRecovery {
		if index != 0 {
			return typ, errors.New("a log says with its first entry which one it follows, or not at all")
		}
		index++ // it stands before the entry that lets its key in
	}
	if t.Root != nil && t.Root.Equal(key.Public) {
		return typ, nil
	}
	return typ, t.inUse(key, log, index)
}

// payload is one of any type, in canonical form.
type payload struct{ members map[string]any }

// UnmarshalJSON keeps integers whole. What has no canonical form is found when it is encoded again.
func (p *payload) UnmarshalJSON(text []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&p.members); err != nil {
		return err
	}
	_, err := exact(p.members)
	return err
}

// MarshalCanonical is the payload itself.
func (p payload) MarshalCanonical() any { return p.members }

// exact turns the numbers inside v into int64, in place.
func exact(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		return v.Int64()
	case map[string]any:
		for key, member := range v {
			if v[key], err = exact(member); err != nil {
				return nil, err
			}
		}
	case []any:
		for i, element := range v {
			if v[i], err = exact(element); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}
