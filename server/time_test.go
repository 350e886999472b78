package server_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/smarthausgroup/caio/verify"
)

// entryTimes are the types of a tenant's entries from an index on, with the times that they state.
func (i *installation) entryTimes(tenant string, from int64) (types []string, times []int64) {
	i.t.Helper()
	entries, err := i.store.Entries(context.Background(), tenant, from, 10000)
	must(i.t, err)
	for _, e := range entries {
		text, err := base64.RawURLEncoding.DecodeString(strings.Split(string(e.Leaf), ".")[1])
		must(i.t, err)
		var head verify.RecordHead
		must(i.t, json.Unmarshal(text, &head))
		types, times = append(types, e.Type), append(times, head.IAT)
	}
	return types, times
}

// TestEntriesSayWhenTheyWereMade: what people change has its time from when it is its turn, and not from when they asked. Otherwise an entry could stand behind decisions that are younger, and an auditor would take the log for forged.
func TestEntriesSayWhenTheyWereMade(t *testing.T) {
	var asked atomic.Pointer[server.Server]
	base := time.Now().Truncate(time.Second).Add(5 * time.Minute) // tokens are issued meanwhile, and valid from then on
	turn := base.Add(time.Minute)
	i := start(t, func(i *installation) {
		i.config.Clock = func() time.Time {
			if s := asked.Load(); s != nil && s.Changing() {
				return turn
			}
			return base
		}
	})
	i.prepare("beta", "theirs")
	from := map[string]int64{}
	for _, tenant := range []string{"default", "beta"} {
		i.prepare(tenant, "first")
		types, _ := i.entryTimes(tenant, 0)
		from[tenant] = int64(len(types))
	}
	asked.Store(i.server)
	for _, e := range endpoints() {
		if e.method != "GET" {
			i.send(e.at(i.prepare("default", "eu")), i.token("default", auth.Operator))
		}
	}
	office := map[string]int{verify.TypContract: 0, verify.TypAttestation: 0, verify.TypGrant: 0, verify.TypSettings: 0, verify.TypActivation: 0, verify.TypHold: 0, verify.TypErasure: 0}
	for tenant, first := range from {
		types, times := i.entryTimes(tenant, first)
		for n, typ := range types {
			if _, ok := office[typ]; !ok {
				continue
			}
			office[typ]++
			if times[n] != turn.Unix() {
				t.Errorf("%s at index %d states %v before its turn", typ, first+int64(n), turn.Sub(time.Unix(times[n], 0)))
			}
		}
	}
	for typ, count := range office {
		if count == 0 {
			t.Errorf("no entry of the type %s", typ)
		}
	}
}

// TestALateDecisionIsNotSigned: where the machine stands still in the middle of a decision, its time is long ago once it goes on, and nothing that was decided then is signed.
func TestALateDecisionIsNotSigned(t *testing.T) {
	var asleep atomic.Int64 // ns
	i := start(t, func(i *installation) {
		i.config.Clock = func() time.Time { return time.Now().Add(time.Duration(asleep.Load())) }
		i.config.Rand = sleeper{&asleep}
	})
	token := i.token("default", auth.Operator)
	i.register(token, contract("eu", "eu", ""))
	if a := i.decide(token, embed); a.Outcome != verify.Routed {
		t.Fatalf("%+v", a)
	}
	size, _ := i.entryTimes("default", 0)
	asleep.Store(1) // falls asleep when the id of the next decision is drawn
	r := i.call("POST", "/v1/decisions", token, embed)
	var p server.Problem
	r.into(t, &p)
	types, times := i.entryTimes("default", int64(len(size)))
	if p.Code != "timed-out" || len(types) != 1 || types[0] != verify.TypFailure || !strings.Contains(i.leaves("default"), p.DecisionID) {
		t.Errorf("%d %s: entries %v", r.status, r.body, types)
	}
	if awake := time.Now().Add(59 * time.Minute).Unix(); len(times) != 1 || times[0] < awake {
		t.Errorf("the failure states %v, and happened after %d", times, awake)
	}
}

// sleeper is randomness, reading which takes as long as a machine that sleeps, once that is asked for.
type sleeper struct{ asleep *atomic.Int64 }

func (s sleeper) Read(p []byte) (int, error) {
	s.asleep.CompareAndSwap(1, int64(time.Hour))
	return io.ReadFull(rand.Reader, p)
}

// TestDecisionsMayNotTakeAMinute: what is signed has to be in the log within a minute of its time.
func TestDecisionsMayNotTakeAMinute(t *testing.T) {
	i := start(t)
	i.stop()
	i.config.Limits.Decision = time.Minute
	if err := i.reopen(i.path); err == nil || !strings.Contains(err.Error(), "within a minute") {
		t.Errorf("%v", err)
	}
}

// TestClockSetBack: the operator is told that the clock is behind what the logs say, once, and again after a start; decisions go on.
func TestClockSetBack(t *testing.T) {
	var ahead atomic.Int64 // ns; tokens are of now
	clock := func(i *installation) {
		i.config.Clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	}
	ahead.Store(int64(10 * time.Minute))
	told := func(i *installation) int {
		return strings.Count(i.logs.String(), "the clock is behind what the logs say")
	}
	i := start(t, clock)
	token := i.token("default", auth.Operator)
	i.register(token, contract("eu", "eu", ""))
	i.decide(token, embed)
	ahead.Add(-int64(20 * time.Second))
	i.decide(token, embed)
	if n := told(i); n != 0 {
		t.Errorf("20 s behind: told %d times", n)
	}
	ahead.Store(0)
	for range 3 {
		i.decide(token, embed)
	}
	if n := told(i); n != 1 {
		t.Errorf("10 min behind: told %d times", n)
	}
	i.stop()
	i = startAt(t, i.path, i, clock)
	i.decide(token, embed)
	if n := told(i); n != 1 {
		t.Errorf("after a start: told %d times", n)
	}
}
