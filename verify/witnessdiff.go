package verify

import (
	"fmt"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/verify/tlog"
)

// policyChanges compares whose cosignatures are asked for. It is a loss where a witness is named no more, whose cosignature then refuses the checkpoint that carries it, and where cosignatures are enough that were not: who may choose the witnesses may choose himself.
func (t Trust) policyChanges(next Trust, add adding) {
	if t.Policy == next.Policy {
		return
	}
	was, err := t.policy()
	is, fault := next.policy()
	if err != nil || fault != nil {
		add(t.Policy != "", "other cosignatures are asked for")
		return
	}
	told := false
	say := func(loses bool, format string, args ...any) {
		told = true
		add(loses, format, args...)
	}
	for _, w := range is.Witnesses {
		if !names(was, w.Key) && slices.Contains(is.Asked(), w.Name) {
			say(false, "the witness %s is named, and counts for the quorum", witnessText(w))
		} else if !names(was, w.Key) {
			say(false, "the witness %s is named, and does not count for the quorum: a former one", witnessText(w))
		}
	}
	for _, w := range was.Witnesses {
		i := slices.IndexFunc(is.Witnesses, func(other tlog.Witness) bool { return other.Key.String() == w.Key.String() })
		switch counted := slices.Contains(was.Asked(), w.Name); {
		case i < 0:
			say(true, "the witness %s is not named any more: evidence that it cosigned is refused", witnessText(w))
		case counted && !slices.Contains(is.Asked(), is.Witnesses[i].Name):
			say(false, "the witness %s does not count for the quorum any more", witnessText(w))
		case !counted && slices.Contains(is.Asked(), is.Witnesses[i].Name):
			say(false, "the witness %s counts for the quorum", witnessText(w))
		}
	}
	if before, now := quorumText(was, was.Quorum), quorumText(is, is.Quorum); before != now || less(was, is) {
		say(less(was, is), "cosignatures were asked for of %s, and are of %s", before, now)
	}
	if !told {
		add(false, "the policy is written otherwise, and asks for the same")
	}
}

func names(p tlog.Policy, key tlog.Key) bool {
	return slices.ContainsFunc(p.Witnesses, func(w tlog.Witness) bool { return w.Key.String() == key.String() })
}

// witnessText tells witnesses apart whose policies give them the same name.
func witnessText(w tlog.Witness) string { return fmt.Sprintf("%s+%08x", w.Key.Name, w.Key.ID()) }

// quorumText is "2 of a+01234567, b+89abcdef", with a group among its members in brackets.
func quorumText(p tlog.Policy, name string) string {
	if name == tlog.None {
		return "nobody"
	}
	if i := slices.IndexFunc(p.Witnesses, func(w tlog.Witness) bool { return w.Name == name }); i >= 0 {
		return witnessText(p.Witnesses[i])
	}
	g := p.Groups[slices.IndexFunc(p.Groups, func(g tlog.Group) bool { return g.Name == name })]
	members := make([]string, len(g.Members))
	for i, member := range g.Members {
		members[i] = quorumText(p, member)
		if slices.ContainsFunc(p.Groups, func(g tlog.Group) bool { return g.Name == member }) {
			members[i] = "(" + members[i] + ")"
		}
	}
	slices.Sort(members)
	return fmt.Sprintf("%d of %s", g.Need, strings.Join(members, ", "))
}

// maxAsked bounds how many witnesses are tried in all combinations.
const maxAsked = 12

// less reports whether cosignatures that were not enough are enough now, or other logs count. Of more witnesses than can be tried it is yes.
func less(was, is tlog.Policy) bool {
	if was.Quorum == tlog.None {
		return false
	}
	same := func(a, b tlog.PolicyLog) bool { return a.Key.String() == b.Key.String() }
	if is.Quorum == tlog.None || !slices.EqualFunc(was.Logs, is.Logs, same) {
		return true
	}
	var keys []tlog.Verified
	for _, w := range is.Witnesses {
		if slices.Contains(is.Asked(), w.Name) {
			keys = append(keys, tlog.Verified{Key: w.Key})
		}
	}
	if len(keys) > maxAsked {
		return quorumText(was, was.Quorum) != quorumText(is, is.Quorum)
	}
	for some := range 1 << len(keys) {
		var signed []tlog.Verified
		for _, l := range is.Logs {
			signed = append(signed, tlog.Verified{Key: l.Key})
		}
		for i, key := range keys {
			if some>>i&1 == 1 {
				signed = append(signed, key)
			}
		}
		if _, short := is.Satisfied(signed); short == nil {
			if _, short := was.Satisfied(signed); short != nil {
				return true
			}
		}
	}
	return false
}
