package verify_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/verify"
)

// chainTrust pins keys of the fixture for the chain's log, by the index from which on each is known to have been in use, and the root.
func chainTrust(t testing.TB, pinned map[byte]int64) verify.Trust {
	trust := verify.Trust{Issuer: "caio.example.com", Logs: []verify.Log{{Origin: chainLog}, {Origin: "other"}}, Root: signer(t, chainRoot).Public()}
	for n, from := range pinned {
		key := verify.Key{Public: signer(t, n).Public()}
		if from >= 0 {
			key.Intervals = map[string]verify.Interval{chainLog: {NotBefore: from}}
		}
		trust.Keys = append(trust.Keys, key)
	}
	slices.SortFunc(trust.Keys, func(a, b verify.Key) int { return strings.Compare(a.ID(), b.ID()) })
	return trust
}

// A trust file follows the log from the keys that it pins: it takes over whom they let in, and nobody else.
func TestFollow(t *testing.T) {
	stolen := []said{{20, 2, "activated", 3, 0}, {21, 2, "retired", 2, 0}, {22, 3, "succeeds", 2, 0}, {23, 9, "activated", 4, 0}, {24, 4, "succeeds", 3, 0}}
	for name, c := range map[string]struct {
		pinned map[byte]int64
		more   []said
		want   string // which keys are believed, as signer: [first, last]
		fault  string
		untold bool
	}{
		"as it was":                    {map[byte]int64{1: 0, 2: 10}, nil, "1:[0,11] 2:[10,]", "", false},
		"of before the change":         {map[byte]int64{1: 0}, nil, "1:[0,11] 2:[10,]", "", false},
		"good everywhere":              {map[byte]int64{1: -1}, nil, "1:[0,11] 2:[10,]", "", false},
		"known from later":             {map[byte]int64{1: 5}, nil, "1:[5,11] 2:[10,]", "", false},
		"of the later key alone":       {map[byte]int64{2: 10}, nil, "2:[10,]", "", false},
		"of nobody's":                  {map[byte]int64{5: -1}, nil, "", "", false},
		"of one that never came in":    {map[byte]int64{1: 0, 5: 3}, nil, "1:[0,11] 2:[10,] 5:[3,]", "never let the key", false},
		"younger than the log":         {map[byte]int64{1: 0, 5: 13}, nil, "1:[0,11] 2:[10,] 5:[13,]", "", false},
		"of one that was gone by then": {map[byte]int64{1: 15}, nil, "1:[15,11] 2:[10,]", "was in use from 0 to 11", false},
		"the root vouches":             {map[byte]int64{5: -1}, []said{{20, 9, "activated", 3, 0}, {21, 3, "succeeds", 2, 0}}, "3:[20,]", "", false},
		"revoked":                      {map[byte]int64{1: 0}, []said{{20, 9, "revoked", 1, 11}}, "1:[0,10] 2:[10,]", "", false},
		"revoked before it let in":     {map[byte]int64{1: 0, 2: 10}, []said{{20, 9, "revoked", 1, 10}}, "1:[0,9]", "", false},
		"whom that let in let in":      {map[byte]int64{1: 0, 2: 10, 3: 20}, append(slices.Clone(stolen), said{30, 9, "revoked", 1, 10}), "1:[0,9] 4:[23,]", "", false},
		"stolen later":                 {map[byte]int64{1: 0}, append(slices.Clone(stolen), said{30, 9, "revoked", 2, 20}), "1:[0,11] 2:[10,19] 4:[23,]", "", false},
		"an entry that can't stand":    {map[byte]int64{1: 0}, []said{{20, 1, "activated", 3, 0}}, "1:[0,11] 2:[10,]", "can't say", false},
		"an entry of nobody":           {map[byte]int64{1: 0}, []said{{20, 5, "activated", 3, 0}}, "1:[0,11] 2:[10,]", "", true},
		"a change that breaks off":     {map[byte]int64{1: 0}, []said{{20, 2, "activated", 3, 0}}, "1:[0,11] 2:[10,] 3:[20,]", "without saying from which", false},
	} {
		trust := chainTrust(t, c.pinned)
		keys := trust.Follow(chainLog)
		for _, e := range append(slices.Clone(begun), c.more...) {
			typ, leaf := e.entry(t)
			keys.Take(e.index, typ, leaf)
			keys.Take(e.index, verify.TypDecision, leaf) // says nothing of keys
		}
		if got := usedIn(t, keys.Trust()); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if err := keys.Fault(); (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%s: %v, want %q", name, err, c.fault)
		}
		if err := keys.Untold(); (err != nil) != c.untold {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(c.want, ",11]") && keys.Fault() == nil {
			text := must(keys.Trust().Encode())(t)
			back := must(verify.ParseTrust(text))(t)
			if got := usedIn(t, back); got != c.want {
				t.Errorf("%s, written and read: %s, want %s", name, got, c.want)
			}
			if changes := keys.Trust().Changes(back); len(changes) > 0 {
				t.Errorf("%s, written and read: %v", name, changes)
			}
		}
		for _, change := range trust.Changes(keys.Trust()) {
			if change.Loses {
				t.Errorf("%s: %+v", name, change)
			}
		}
	}
}

// usedIn writes which keys are believed in the chain's log.
func usedIn(t testing.TB, trust verify.Trust) string {
	var list []string
	for n := byte(1); n < 9; n++ {
		key, _ := trust.Keys.Find(signer(t, n).KeyID())
		if _, named := key.Intervals[chainLog]; !named {
			continue
		}
		if in, ok := trust.Used(key, chainLog); ok {
			last := ""
			if in.NotAfter != nil {
				last = fmt.Sprint(*in.NotAfter)
			}
			list = append(list, fmt.Sprintf("%d:[%d,%s]", n, in.NotBefore, last))
		}
	}
	return strings.Join(list, " ")
}

// A log is anybody's text: whatever it says, a file believes nothing that it did not, unless a key of its own let that in, and forgets nothing.
func FuzzFollow(f *testing.F) {
	for _, e := range append(slices.Clone(begun), said{20, 9, "activated", 3, 0}, said{20, 9, "revoked", 1, 5}) {
		typ, leaf := e.entry(f)
		f.Add(int64(20), typ == verify.TypRevocation, leaf)
	}
	f.Fuzz(func(t *testing.T, index int64, revocation bool, leaf []byte) {
		trust := chainTrust(t, map[byte]int64{1: 0})
		keys := trust.Follow(chainLog)
		for _, e := range begun {
			typ, leaf := e.entry(t)
			keys.Take(e.index, typ, leaf)
		}
		before := keys.Trust()
		typ := verify.TypKey
		if revocation {
			typ = verify.TypRevocation
		}
		keys.Take(index, typ, leaf)
		for _, change := range before.Changes(keys.Trust()) {
			if change.Loses {
				t.Fatalf("%s, by %q", change.Text, leaf)
			}
		}
		if (keys.Untold() != nil || keys.Fault() != nil) && len(before.Changes(keys.Trust())) > 0 && !strings.Contains(keys.Fault().Error(), "without saying") {
			t.Fatalf("refused, and taken: %q", leaf)
		}
	})
}

// A copy of the log may be older than the file. What the file knows by then is not taken back.
func TestFollowAnOlderCopy(t *testing.T) {
	trust := chainTrust(t, map[byte]int64{1: 0, 2: 10})
	last := int64(11)
	for _, key := range trust.Keys {
		if key.ID() == signer(t, 1).KeyID() {
			key.Intervals[chainLog] = verify.Interval{NotAfter: &last}
		}
	}
	trust.Revocations = []verify.Revocation{revocation(t, chainLog, 1, 5)}
	keys := trust.Follow(chainLog)
	for _, e := range begun[:1] {
		typ, leaf := e.entry(t)
		keys.Take(e.index, typ, leaf)
	}
	if err := keys.Fault(); err != nil || keys.Untold() != nil || len(trust.Changes(keys.Trust())) > 0 || usedIn(t, keys.Trust()) != "1:[0,4] 2:[10,]" {
		t.Errorf("%v, %v, %s", err, trust.Changes(keys.Trust()), usedIn(t, keys.Trust()))
	}
}

// However many keys a log lets in, what is kept of it is bounded, and it is read in time.
func TestFollowManyKeys(t *testing.T) {
	trust := chainTrust(t, map[byte]int64{1: 0})
	keys := trust.Follow(chainLog)
	typ, leaf := said{0, 1, "activated", 1, 0}.entry(t)
	keys.Take(0, typ, leaf)
	for n := range int64(1 << 12) {
		typ, leaf := said{n + 1, chainRoot, "revoked", 2, 1<<20 - n}.entry(t)
		keys.Take(n+1, typ, leaf)
	}
	if err := keys.Fault(); err == nil || !strings.Contains(err.Error(), "more than 4096 entries on keys") {
		t.Error(err)
	}
}

// What the file knows of when a key was retired a longer log can't unsay, nor another log say otherwise.
func TestFollowKnowsTheEnd(t *testing.T) {
	for last, fault := range map[int64]string{11: "", 8: "was in use from 0 to 11, and the trust file from 0 to 8", 1000: "was in use from 0 to 11, and the trust file from 0 to 1000"} {
		trust := chainTrust(t, map[byte]int64{1: 0})
		trust.Keys[0].Intervals[chainLog] = verify.Interval{NotAfter: &last}
		keys := trust.Follow(chainLog)
		for _, e := range begun {
			typ, leaf := e.entry(t)
			keys.Take(e.index, typ, leaf)
		}
		if err := keys.Fault(); (err == nil) != (fault == "") || err != nil && !strings.Contains(err.Error(), fault) {
			t.Errorf("to %d: %v, want %q", last, err, fault)
		}
	}
}
