package tlog_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/verify/tlog"
	formats "github.com/transparency-dev/formats/witness"
	"pgregory.net/rapid"
)

// policyText fills in keys: L the log's, W0 to W9 those of witnesses.
func policyText(t rapid.TB, text string) string {
	t.Helper()
	keys := []string{"<L>", key(t, origin, tlog.Ed25519, 1).String()}
	for i := range byte(10) {
		keys = append(keys, fmt.Sprintf("<W%d>", i), witnessKey(t, i).String())
	}
	return strings.NewReplacer(keys...).Replace(text)
}

func witnessKey(t rapid.TB, i byte) tlog.Key {
	t.Helper()
	return key(t, fmt.Sprintf("witness.example/w%d", i), tlog.CosignatureV1, 10+i)
}

// The example of C2SP tlog-policy.
const policyOfThePage = `
log <L>

witness X1 <W0>
witness X2 <W1>
witness X3 <W2>
group X-witnesses 2 X1 X2 X3

witness Y1 <W3>
witness Y2 <W4>
witness Y3 <W5>
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
`

func TestParsePolicy(t *testing.T) {
	p := must(tlog.ParsePolicy([]byte(policyText(t, policyOfThePage))))(t)
	want := []tlog.Group{{"X-witnesses", 2, []string{"X1", "X2", "X3"}}, {"Y-witnesses", 1, []string{"Y1", "Y2", "Y3"}}, {"X-and-Y", 2, []string{"X-witnesses", "Y-witnesses"}}}
	if !reflect.DeepEqual(p.Groups, want) || p.Quorum != "X-and-Y" || len(p.Logs) != 1 || len(p.Witnesses) != 6 || p.Witnesses[3].Name != "Y1" || len(p.Keys()) != 7 {
		t.Errorf("%+v", p)
	}
	if again := must(tlog.ParsePolicy(p.Encode()))(t); !reflect.DeepEqual(again, p) {
		t.Errorf("got %+v, want %+v", again, p)
	}
	spaced := must(tlog.ParsePolicy([]byte(policyText(t, "\t # a log at <nobody> # \n#\n log\t<L>  \thttps://log.example/ \n\n \t\nwitness \xe2\x84\xaa# <W0> https://w.example/add\nquorum\t\xe2\x84\xaa#"))))(t)
	if spaced.Logs[0].URL != "https://log.example/" || spaced.Witnesses[0].URL != "https://w.example/add" || spaced.Witnesses[0].Name != "\u212a#" || spaced.Quorum != "\u212a#" {
		t.Errorf("%+v", spaced)
	}
	if none := must(tlog.ParsePolicy([]byte("quorum none\n")))(t); none.Quorum != tlog.None || none.Keys() != nil {
		t.Errorf("%+v", none)
	}
}

func TestParsePolicyRefuses(t *testing.T) {
	for text, line := range map[string]int{
		"":                                                               0,
		"log <L>\n":                                                      0,
		"quorum none\nquorum none\n":                                     2,
		"quorum\n":                                                       1,
		"quorum a\n":                                                     1,
		"quorum none none\n":                                             1,
		"quorum a\nwitness a <W0>\n":                                     1,
		"Quorum none\n":                                                  1,
		"quorum none # why\n":                                            1,
		"log\nquorum none\n":                                             1,
		"log <L> a b\nquorum none\n":                                     1,
		"log <L>\n\nlog <L>\nquorum none":                                3,
		"log <W0>\nquorum none\n":                                        1,
		"log " + vkeyOfThePage + "x\n":                                   1,
		"witness a <L>\nquorum a\n":                                      1,
		"witness a\nquorum a\n":                                          1,
		"witness <W0>\nquorum none\n":                                    1,
		"witness a <W0> b c\nquorum a\n":                                 1,
		"witness none <W0>\nquorum none\n":                               1,
		"witness a <W0>\nwitness a <W1>\nquorum a\n":                     2,
		"witness a <W0>\nwitness b <W0>\nquorum a\n":                     2,
		"witness a <W0>\ngroup g 0 a\nquorum g\n":                        2,
		"witness a <W0>\ngroup g 2 a\nquorum g\n":                        2,
		"witness a <W0>\ngroup g 01 a\nquorum g\n":                       2,
		"witness a <W0>\ngroup g +1 a\nquorum g\n":                       2,
		"witness a <W0>\ngroup g ALL a\nquorum g\n":                      2,
		"witness a <W0>\ngroup g any\nquorum g\n":                        2,
		"witness a <W0>\ngroup none any a\nquorum none\n":                2,
		"witness a <W0>\ngroup a any a\nquorum a\n":                      2,
		"witness a <W0>\ngroup g any g\nquorum g\n":                      2,
		"witness a <W0>\ngroup g any none\nquorum g\n":                   2,
		"witness a <W0>\ngroup g any a a\nquorum g\n":                    2,
		"group g any a\nwitness a <W0>\nquorum g\n":                      1,
		"witness a <W0>\ngroup g any a\ngroup h any a\nquorum g\n":       3,
		"witness a <W0>\ngroup g any a\ngroup g any g\nquorum g\n":       3,
		"# \x01\nquorum none\n":                                          1,
		"quorum none\r\n":                                                1,
		"# \x7f\nquorum none\n":                                          1,
		"# \n# \x00\nquorum none\n":                                      2,
		"quorum none\n" + strings.Repeat("#", tlog.MaxPolicyBytes):       0,
		"witness a <W0>\nquorum a\x0b\n":                                 2,
		"quorum\u00a0none\n":                                             1,
		"witness a\u00a0<W0>\nquorum none\n":                             1,
		"log <L>\nwitness a <W0>\nquorum none\ngroup g any a b\n":        4,
		"witness a <W0>\nwitness b <W1>\ngroup g 1 a b\nquorum any\n":    4,
		"witness any <W0>\nwitness b <W1>\ngroup all all any\nx\nquorum": 4,
	} {
		p, err := tlog.ParsePolicy([]byte(policyText(t, text)))
		if !errors.Is(err, tlog.ErrMalformed) {
			t.Errorf("%q: got %+v, %v", text, p, err)
			continue
		}
		if want := fmt.Sprintf("line %d: ", line); line > 0 && !strings.Contains(err.Error(), want) || line == 0 && strings.Contains(err.Error(), "line") && !strings.Contains(err.Error(), "no quorum line") {
			t.Errorf("%q: %v, want line %d", text, err, line)
		}
	}
}

func TestSatisfied(t *testing.T) {
	at := func(second int) time.Time { return cosignedAt.Add(time.Duration(second) * time.Second) }
	p := must(tlog.ParsePolicy([]byte(policyText(t, policyOfThePage))))(t)
	log := tlog.Verified{Key: p.Logs[0].Key}
	w := func(i, second int) tlog.Verified { return tlog.Verified{Key: p.Witnesses[i].Key, Time: at(second)} }

	q, err := p.Satisfied([]tlog.Verified{log, w(4, 9), w(2, 3), w(0, 5), w(1, 7)})
	want := tlog.Quorum{Witnesses: []string{"X1", "X2", "X3", "Y2"}, Groups: []string{"X-witnesses", "Y-witnesses", "X-and-Y"}, By: at(9), Since: at(5)}
	if err != nil || !reflect.DeepEqual(q, want) {
		t.Errorf("got %+v, %v, want %+v", q, err, want)
	}
	stranger := tlog.Verified{Key: key(t, "w", tlog.CosignatureV1, 99), Time: at(1)}
	for name, verified := range map[string][]tlog.Verified{
		"nobody":           nil,
		"the log alone":    {log},
		"one of each":      {log, w(0, 1), w(3, 1)},
		"two X, no Y":      {log, w(0, 1), w(1, 1)},
		"three Y":          {log, w(3, 1), w(4, 1), w(5, 1)},
		"one X twice":      {log, w(0, 1), w(0, 2), w(3, 1)},
		"a stranger":       {log, w(0, 1), w(3, 1), stranger},
		"not the log":      {w(0, 1), w(1, 1), w(3, 1)},
		"another log":      {{Key: key(t, "log.example/other", tlog.Ed25519, 1)}, w(0, 1), w(1, 1), w(3, 1)},
		"a log as witness": {log, w(0, 1), w(3, 1), {Key: key(t, p.Witnesses[1].Key.Name, tlog.Ed25519, 11), Time: at(1)}},
	} {
		if q, err := p.Satisfied(verified); !errors.Is(err, tlog.ErrQuorum) {
			t.Errorf("%s: got %+v, %v", name, q, err)
		}
	}

	none := must(tlog.ParsePolicy([]byte(policyText(t, "witness a <W0>\nquorum none"))))(t)
	if q, err := none.Satisfied(nil); err != nil || q.Witnesses != nil || !q.By.IsZero() || !q.Since.IsZero() {
		t.Error(q, err)
	}
	single := must(tlog.ParsePolicy([]byte(policyText(t, "witness a <W0>\nwitness b <W1>\nquorum a"))))(t)
	if q, err := single.Satisfied([]tlog.Verified{w(0, 4), w(1, 2)}); err != nil || !q.By.Equal(at(4)) || !q.Since.Equal(at(4)) || len(q.Witnesses) != 2 {
		t.Error(q, err)
	}
	if q, err := single.Satisfied([]tlog.Verified{w(1, 2)}); !errors.Is(err, tlog.ErrQuorum) {
		t.Error(q, err)
	}
}

// drawPolicy makes a policy of up to six witnesses and of groups over them.
func drawPolicy(t *rapid.T) string {
	var text strings.Builder
	var free []string
	for i := range rapid.IntRange(1, 6).Draw(t, "witnesses") {
		fmt.Fprintf(&text, "witness w%d <W%d> https://w%d.example/\n", i, i, i)
		free = append(free, fmt.Sprintf("w%d", i))
	}
	names := slices.Clone(free)
	for i := range rapid.IntRange(0, 4).Draw(t, "groups") {
		if len(free) == 0 {
			break
		}
		members := rapid.IntRange(1, len(free)).Draw(t, "members")
		free = rapid.Permutation(free).Draw(t, "order")
		need := fmt.Sprint(rapid.IntRange(1, members).Draw(t, "need"))
		need = rapid.SampledFrom([]string{need, "any", "all"}).Draw(t, "threshold")
		fmt.Fprintf(&text, "group g%d %s %s\n", i, need, strings.Join(free[:members], " "))
		free = append(free[members:], fmt.Sprintf("g%d", i))
		names = append(names, fmt.Sprintf("g%d", i))
	}
	fmt.Fprintf(&text, "quorum %s\n", rapid.SampledFrom(append(names, tlog.None)).Draw(t, "quorum"))
	return policyText(t, text.String())
}

// Another implementation says the same of every set of witnesses, and the times are what they are defined to be, over all such sets.
func TestQuorums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := drawPolicy(t)
		p := must(tlog.ParsePolicy([]byte(text)))(t)
		theirs := must(formats.ParsePolicy([]byte(text)))(t)
		c := must(tlog.ParseCheckpoint(example().signed(t, 5)))(t)
		for i := range p.Witnesses {
			if rapid.Bool().Draw(t, "cosigns") {
				at := cosignedAt.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "time")) * time.Second)
				c.Signatures = append(c.Signatures, must(tlog.Cosign(c, p.Witnesses[i].Key.Name, private(10+byte(i)), at))(t))
			}
		}
		verified, _, err := c.Verify(append(p.Keys(), key(t, origin, tlog.Ed25519, 1))...)
		if err != nil {
			t.Fatal(err)
		}
		q, err := p.Satisfied(verified)
		if want := theirs.Satisfied(c.Encode()); want != (err == nil) {
			t.Fatalf("they say %t, we %v", want, err)
		}
		if err != nil || p.Quorum == tlog.None {
			return
		}
		var by, since time.Time
		for set := range 1 << len(verified) {
			some, first, last := chosen(verified, set)
			if _, err := p.Satisfied(some); err != nil {
				continue
			}
			if by.IsZero() || last.Before(by) {
				by = last
			}
			if first.After(since) {
				since = first
			}
		}
		if !q.By.Equal(by) || !q.Since.Equal(since) {
			t.Errorf("by %s and since %s, want %s and %s", q.By, q.Since, by, since)
		}
	})
}

// chosen are the witnesses of a set of bits, and the first and last time of theirs.
func chosen(verified []tlog.Verified, set int) (some []tlog.Verified, first, last time.Time) {
	for i, v := range verified {
		if set>>i&1 == 0 {
			continue
		}
		some = append(some, v)
		if v.Key.Algorithm == tlog.CosignatureV1 {
			if first.IsZero() || v.Time.Before(first) {
				first = v.Time
			}
			if v.Time.After(last) {
				last = v.Time
			}
		}
	}
	return some, first, last
}
