package verify

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// Change is a difference between two trust files.
type Change struct {
	Text string
	// Loses says that the later file believes what the earlier did not, or no longer holds what the earlier did: nothing that a log shows comes to that.
	Loses bool
}

// Changes are what next says otherwise than t, in sentences.
func (t Trust) Changes(next Trust) (list []Change) {
	add := func(loses bool, format string, args ...any) {
		list = append(list, Change{plain(fmt.Sprintf(format, args...)), loses})
	}
	if t.Issuer != next.Issuer {
		add(true, "the issuer was %s, and is %s", t.Issuer, next.Issuer)
	}
	switch {
	case t.Root.Equal(next.Root):
	case t.Root == nil:
		add(false, "the offline root %s is pinned", KeyID(next.Root))
	case next.Root == nil:
		add(true, "the offline root %s is no longer pinned", KeyID(t.Root))
	default:
		add(true, "the offline root was %s, and is %s", KeyID(t.Root), KeyID(next.Root))
	}
	for _, root := range t.FormerRoots {
		now, kept := next.FormerRoots.Find(root.ID())
		if !kept {
			add(true, "the former root %s is gone", root.ID())
		} else if was, is := intervalsText(root.Intervals), intervalsText(now.Intervals); was != is { // its last word was said
			add(true, "the former root %s was believed %s, and is %s", root.ID(), was, is)
		}
	}
	for _, root := range next.FormerRoots {
		if _, known := t.FormerRoots.Find(root.ID()); !known {
			add(false, "the root %s is a former one: %s", root.ID(), intervalsText(root.Intervals))
		}
	}
	t.policyChanges(next, add)
	t.logChanges(next, add)
	keyChanges(t.believed().In(t.origins()...), next, add)
	for _, key := range t.Approvers {
		if _, kept := next.Approvers.Find(key.ID()); !kept {
			add(true, "the approver's key %s is gone", key.ID())
		}
	}
	for _, key := range next.Approvers {
		if _, known := t.Approvers.Find(key.ID()); !known {
			add(false, "the approver's key %s is new", key.ID())
		}
	}
	t.policyKeyChanges(next, add)
	has := func(of []Revocation, r Revocation) bool {
		return slices.ContainsFunc(of, func(other Revocation) bool { return other.JWS == r.JWS })
	}
	for _, r := range next.Revocations {
		if !has(t.Revocations, r) {
			add(false, "the root has revoked the key %s in the log %s from index %d on: %s", r.KID, r.Log, r.From, r.Reason)
		}
	}
	for _, r := range t.Revocations {
		if !has(next.Revocations, r) {
			add(true, "the root's revocation of the key %s in the log %s from index %d on is gone", r.KID, r.Log, r.From)
		}
	}
	return list
}

type adding func(loses bool, format string, args ...any)

func (t Trust) logChanges(next Trust, add adding) {
	for _, log := range t.Logs {
		switch now, kept := next.log(log.Origin); {
		case !kept:
			add(true, "the log %s is gone", log.Origin)
		case log.Key != now.Key:
			add(true, "the checkpoints of the log %s were under the key %s, and are under %s", log.Origin, cmp.Or(log.Key, "none"), cmp.Or(now.Key, "none"))
		case log.Follows != now.Follows:
			add(log.Follows != "", "the log %s follows %s", log.Origin, cmp.Or(now.Follows, "none"))
		}
	}
	for _, log := range next.Logs {
		switch _, known := t.log(log.Origin); {
		case !known && log.Follows != "":
			add(false, "the log %s is new, and follows %s, which was given up: caio log verify says why, as the operator has it, and what was lost", log.Origin, log.Follows)
		case !known:
			add(false, "the log %s is new", log.Origin)
		}
	}
}

// keyChanges compares keys where they were in use. An interval that begins earlier than it did, or ends later, is a loss: a key that was retired does not come back.
func keyChanges(keys Keys, next Trust, add adding) {
	believed := next.believed().In(next.origins()...)
	for _, key := range keys {
		now, kept := believed.Find(key.ID())
		_, cast := next.outcast(key.ID())
		switch {
		case !kept && cast:
			add(false, "the key %s is not believed: a key let it in that the root has revoked, or that itself came in so", key.ID())
		case !kept:
			add(true, "the key %s is gone", key.ID())
		case key.Intervals == nil && now.Intervals != nil:
			add(false, "the key %s was accepted everywhere, and is where it was in use: %s", key.ID(), intervalsText(now.Intervals))
		case key.Intervals != nil && now.Intervals == nil:
			add(true, "the key %s was accepted where it was in use, and is everywhere", key.ID())
		default:
			intervalChanges(key, now, next, add)
		}
	}
	for _, key := range believed {
		if _, known := keys.Find(key.ID()); !known {
			add(false, "the key %s is new: %s", key.ID(), intervalsText(key.Intervals))
		}
	}
}

func intervalChanges(key, now Key, next Trust, add adding) {
	for _, log := range slices.Sorted(maps.Keys(key.Intervals)) {
		was := key.Intervals[log]
		is, kept := now.Intervals[log]
		o, cast := next.outcast(key.ID())
		switch {
		case !kept && slices.Contains(next.origins(), log): // of a log that is gone that is said
			add(!cast || o.log != log, "the key %s is not believed in the log %s", key.ID(), log)
		case !kept:
		case was.String() != is.String():
			wider := is.NotBefore < was.NotBefore || was.NotAfter != nil && (is.NotAfter == nil || *is.NotAfter > *was.NotAfter)
			add(wider, "the key %s was in use in the log %s %s; the file said %s", key.ID(), log, is.ended(), was.ended())
		}
	}
	for _, log := range slices.Sorted(maps.Keys(now.Intervals)) {
		if _, known := key.Intervals[log]; !known {
			add(false, "the key %s was in use in the log %s %s", key.ID(), log, now.Intervals[log])
		}
	}
}

func (t Trust) outcast(kid string) (outcast, bool) {
	i := slices.IndexFunc(t.outcasts, func(o outcast) bool { return o.kid == kid })
	if i < 0 {
		return outcast{}, false
	}
	return t.outcasts[i], true
}

// intervalsText is "in the log a from 3 to 9, in the log b from 0".
func intervalsText(intervals map[string]Interval) string {
	text := ""
	for _, log := range slices.Sorted(maps.Keys(intervals)) {
		if text != "" {
			text += ", "
		}
		text += "in the log " + log + " " + intervals[log].String()
	}
	return cmp.Or(text, "accepted everywhere")
}
