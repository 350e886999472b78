package verify

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/smarthausgroup/caio/verify/tlog"
)

// Why a log was given up, as a [RecoveryRecord] says it.
const (
	LostBehind  = "behind"  // the store was an older copy than what was published
	LostForked  = "forked"  // the store held another log than the published one
	LostKey     = "key"     // the key of its checkpoints was replaced
	LostDamaged = "damaged" // the tree in the store was broken
)

// lostReasons are what each of them says to people.
var lostReasons = map[string]string{
	LostBehind: "the store was an older copy", LostForked: "the store held another log than was published",
	LostKey: "the key of its checkpoints was replaced", LostDamaged: "its tree in the store was damaged",
}

// LostText says to people why a log was given up, of one of these reasons.
func LostText(why string) string { return cmp.Or(lostReasons[why], why) }

// Former is a log that was given up, as the first entry of the one that follows it says (spec/proof.md, "The log"). It is the operator's word, but for the head where that is Signed.
type Former struct {
	Log string `json:"log"` // its origin
	// Size and Root are its last known head; Root is "" where none is known, and Signed says that the key that the trust file holds of that log signed it.
	Size   int64  `json:"size"`
	Root   string `json:"root,omitempty"` // hex
	Signed bool   `json:"signed"`
	Kept   int64  `json:"kept"` // how many of its entries the server still has
	Why    string `json:"why,omitempty"`
	Actor  string `json:"actor"`
	Reason string `json:"reason"`
	Time   string `json:"time"`
	// Checkpoint is the head as the record holds it; the zero value where none is known.
	Checkpoint tlog.Checkpoint `json:"-"`
}

// Former reads the entry at an index of a log, by its origin: the log that it follows, or nil where the entry says of none. Errors: that the entry does not hold ([Trust.CheckEntry]) or stands elsewhere than first, or that the head in it is of another log, or none.
func (t Trust) Former(origin string, index int64, leaf []byte) (*Former, error) {
	if typ, err := TypOf(leaf); err != nil || typ != TypRecovery {
		return nil, err
	}
	_, err := t.CheckEntry(origin, index, leaf)
	var r RecoveryRecord
	if err == nil {
		_, err = Verify(TypRecovery, leaf, t.Keys, &r)
	}
	var former *Former
	if err == nil {
		former, err = r.former(t)
	}
	if err != nil {
		return nil, fmt.Errorf("the word on the log before: %w", err)
	}
	return former, nil
}

// former holds the record's head to the trust file.
func (r RecoveryRecord) former(trust Trust) (*Former, error) {
	f := &Former{Log: r.Lost, Kept: r.Kept, Why: r.Why, Actor: r.Actor, Reason: r.Reason, Time: time.Unix(r.IAT, 0).UTC().Format(time.RFC3339)}
	if r.V != 1 || r.Lost == "" || r.Lost == r.Log {
		return nil, fmt.Errorf("it names the log %q", r.Lost)
	}
	if r.Checkpoint == "" {
		return f, nil
	}
	head, err := tlog.ParseCheckpoint([]byte(r.Checkpoint))
	if err != nil {
		return nil, err
	}
	if head.Origin != r.Lost {
		return nil, fmt.Errorf("it holds a checkpoint of %q, and names the log %q", head.Origin, r.Lost)
	}
	f.Checkpoint, f.Size, f.Root = head, head.Size, hex.EncodeToString(head.Root[:])
	if log, known := trust.log(r.Lost); known {
		if key, err := log.key(); err == nil && log.Key != "" {
			_, _, err = head.Verify(key)
			f.Signed = err == nil
		}
	}
	return f, nil
}

// String says it to people, in a sentence or three.
func (f Former) String() string {
	text := fmt.Sprintf("it follows the log %s, which was given up on %s by %s", f.Log, f.Time, f.Actor)
	if why := LostText(f.Why); why != "" {
		text += ", since " + why
	}
	text += ": " + f.Reason
	if f.Root == "" {
		return plain(fmt.Sprintf("%s. Of that one no head is known, and the server keeps %d entries", text, f.Kept))
	}
	by := "signed by its key"
	if !f.Signed {
		by = "not signed by a key that the trust file holds of it"
	}
	text = fmt.Sprintf("%s. That one last had %d entries with the root %s, %s; the server keeps %d", text, f.Size, f.Root, by, f.Kept)
	if lost := f.Size - f.Kept; lost > 0 {
		text = fmt.Sprintf("%s, so that %d which callers were answered are lost", text, lost)
	}
	return plain(text)
}
