package verify_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/tlog"
)

// What a trust file says otherwise than one of before is told, and whether that is a loss.
func TestTrustChanges(t *testing.T) {
	old := revokingTrust(t)
	old.FormerRoots = verify.Keys{{Public: signer(t, 7).Public(), Intervals: map[string]verify.Interval{"x": {}}}}
	old.Approvers = verify.Keys{{Public: signer(t, 6).Public()}}
	old.PolicyKeys = []verify.PolicyKey{policyKey(t, "release", 9)}
	log := old.Logs[0].Origin
	one := slices.IndexFunc(old.Keys, func(k verify.Key) bool { return k.ID() == signer(t, 1).KeyID() })
	interval := func(n *verify.Trust, in verify.Interval) {
		n.Keys = slices.Clone(n.Keys)
		n.Keys[one].Intervals = maps.Clone(n.Keys[one].Intervals)
		n.Keys[one].Intervals[log] = in
	}
	five, nine := int64(5), int64(9)
	interval(&old, verify.Interval{NotBefore: 2, NotAfter: &nine})
	for name, c := range map[string]struct {
		change func(n *verify.Trust)
		says   string
		loses  bool
	}{
		"nothing":            {func(*verify.Trust) {}, "", false},
		"the issuer":         {func(n *verify.Trust) { n.Issuer = "x" }, "the issuer was", true},
		"the root":           {func(n *verify.Trust) { n.Root = signer(t, 8).Public() }, "the offline root was", true},
		"no root":            {func(n *verify.Trust) { n.Root = nil }, "no longer pinned", true},
		"a former root gone": {func(n *verify.Trust) { n.FormerRoots = nil }, "the former root", true},
		"another policy":     {func(n *verify.Trust) { n.Policy = "quorum none\n" }, "written otherwise", false},
		"a log gone":         {func(n *verify.Trust) { n.Logs = n.Logs[:1] }, "the log caio.example.com/a is gone", true},
		"a log's key":        {func(n *verify.Trust) { n.Logs = slices.Clone(n.Logs); n.Logs[0].Key = "x" }, "the checkpoints of the log", true},
		"a log more":         {func(n *verify.Trust) { n.Logs = append(slices.Clone(n.Logs), verify.Log{Origin: "z"}) }, "the log z is new", false},
		"a log that follows": {func(n *verify.Trust) {
			n.Logs = append(slices.Clone(n.Logs), verify.Log{Origin: "z", Follows: n.Logs[0].Origin})
		}, "the log z is new, and follows " + log + ", which was given up", false},
		"a key gone": {func(n *verify.Trust) { n.Keys = slices.Delete(slices.Clone(n.Keys), one, one+1) }, "is gone", true},
		"a key more": {func(n *verify.Trust) {
			n.Keys = append(slices.Clone(n.Keys), verify.Key{Public: signer(t, 5).Public(), Intervals: map[string]verify.Interval{log: {NotBefore: 3}}})
		}, "is new: in the log " + log + " from 3", false},
		"a key for less":       {func(n *verify.Trust) { interval(n, verify.Interval{NotBefore: 2, NotAfter: &five}) }, "from 2 to 5; the file said from 2 to 9", false},
		"a key for longer":     {func(n *verify.Trust) { interval(n, verify.Interval{NotBefore: 2}) }, "from 2 on, without an end; the file said from 2 to 9", true},
		"a key from before":    {func(n *verify.Trust) { interval(n, verify.Interval{NotBefore: 1, NotAfter: &nine}) }, "from 1 to 9", true},
		"a key everywhere":     {func(n *verify.Trust) { n.Keys = slices.Clone(n.Keys); n.Keys[one].Intervals = nil }, "and is everywhere", true},
		"an approver gone":     {func(n *verify.Trust) { n.Approvers = nil }, "the approver's key", true},
		"a policy key gone":    {func(n *verify.Trust) { n.PolicyKeys = nil }, "the key of policies release is gone", true},
		"another under its id": {func(n *verify.Trust) { n.PolicyKeys = []verify.PolicyKey{policyKey(t, "release", 10)} }, "the key of policies release is another one", true},
		"a policy key more":    {func(n *verify.Trust) { n.PolicyKeys = append(slices.Clone(n.PolicyKeys), policyKey(t, "s", 10)) }, "the key of policies s is new", false},
		"a revocation gone":    {func(n *verify.Trust) { n.Revocations = n.Revocations[1:] }, "is gone", true},
		"a revocation more":    {func(n *verify.Trust) { n.Revocations = append(slices.Clone(n.Revocations), revocation(t, log, 1, 3)) }, "from index 3 on: stolen", false},
	} {
		now := old
		c.change(&now)
		changes := old.Changes(now)
		if c.says == "" && len(changes) == 0 {
			continue
		}
		if len(changes) != 1 || !strings.Contains(changes[0].Text, c.says) || changes[0].Loses != c.loses {
			t.Errorf("%s: %+v", name, changes)
		}
	}
}

// A change of witnesses is told by name. It is a loss where one is named no more, and where cosignatures are enough that were not.
func TestWitnessChanges(t *testing.T) {
	policy := func(text string) string {
		for i, name := range []string{"a", "b", "c"} {
			key := must(tlog.NewKey("w.example/"+name, tlog.CosignatureV1, signer(t, byte(20+i)).Public()))(t)
			text = strings.ReplaceAll(text, "witness "+name, "witness "+name+" "+key.String())
		}
		return text
	}
	const a, ab = "witness a\nquorum a\n", "witness a\nwitness b\ngroup g all a b\nquorum g\n"
	for name, c := range map[string]struct {
		was, is string
		says    []string
		loses   bool
	}{
		"one is taken on":               {a, ab, []string{"the witness w.example/b+", "asked for of w.example/a+", "and are of 2 of w.example/a+"}, false},
		"one, and either is enough":     {a, "witness a\nwitness b\ngroup g any a b\nquorum g\n", []string{"w.example/b+", "and are of 1 of"}, true},
		"one goes, and stays named":     {ab, "witness a\nwitness b\nquorum a\n", []string{"w.example/b+", "any more", "were asked for of 2 of"}, true},
		"another in its place":          {a, "witness b\nwitness a\nquorum b\n", []string{"the witness w.example/b+", "is named, and counts", "the witness w.example/a+", "does not count for the quorum any more"}, true},
		"a former one is forgotten":     {"witness a\nwitness b\nquorum a\n", a, []string{"the witness w.example/b+", "is not named any more"}, true},
		"a former one, known since":     {a, "witness a\nwitness b\nquorum a\n", []string{"a former one"}, false},
		"the first":                     {"", a, []string{"is named", "asked for of nobody, and are of w.example/a+"}, false},
		"none any more":                 {a, "witness a\nquorum none\n", []string{"and are of nobody"}, true},
		"nothing but an address":        {a, "witness a\nquorum a\n", []string{"asks for the same"}, false},
		"groups, with other names":      {ab, "witness b\nwitness a\ngroup x 2 a b\nquorum x\n", []string{"asks for the same"}, false},
		"groups of groups, and as much": {ab, "witness a\nwitness b\ngroup x any b\ngroup g all a x\nquorum g\n", []string{"(1 of w.example/b+"}, false},
	} {
		old, now := revokingTrust(t), revokingTrust(t)
		old.Policy, now.Policy = policy(c.was), policy(c.is)
		if name == "nothing but an address" {
			now.Policy = strings.Replace(policy("witness a\nquorum a\n"), "\nquorum", " https://a.example\nquorum", 1)
		}
		text, loses := "", false
		for _, change := range old.Changes(now) {
			text, loses = text+change.Text+"\n", loses || change.Loses
		}
		for _, says := range c.says {
			if !strings.Contains(text, says) {
				t.Errorf("%s: %q is not in %q", name, says, text)
			}
		}
		if loses != c.loses {
			t.Errorf("%s: loses %t: %s", name, loses, text)
		}
	}
}
