package witness

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/verify/tlog"
	fwitness "github.com/transparency-dev/formats/witness"
)

// stage is a log, two witnesses and rounds between them.
type stage struct {
	*Rounds
	clock     *clock
	log       *written
	witnesses []*Witness
	servers   []*httptest.Server
	archive   *Archive

	mu      sync.Mutex
	answers []Answer
}

// set puts up a stage on which the clock of the second witness is off by skew.
func set(t *testing.T, quorum int, log *written, skew ...time.Duration) *stage {
	t.Helper()
	s := &stage{clock: newClock(), log: log, archive: must(OpenArchive(t.Context(), filepath.Join(t.TempDir(), "cosigned.db")))(t)}
	t.Cleanup(func() { s.archive.Close() })
	var clients []*Client
	for n := range byte(2) {
		of := s.clock
		if n == 1 && skew != nil {
			of = newClock()
			of.pass(skew[0])
		}
		w, server, client := serve(t, n, of)
		s.witnesses, s.servers, clients = append(s.witnesses, w), append(s.servers, server), append(clients, client)
	}
	s.Rounds = must(NewRounds(Options{
		Witnesses: clients, Quorum: quorum, Archive: s.archive, Clock: s.clock.now,
		Logs: func(context.Context) ([]Log, error) { return []Log{s.log}, nil },
		Observe: func(a Answer) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.answers = append(s.answers, a)
		},
	}))(t)
	return s
}

// round makes one, and returns what came of asking the two witnesses, "-" for one that was not asked.
func (s *stage) round(t *testing.T) (results [2]Result) {
	t.Helper()
	s.answers = nil
	if err := s.Round(t.Context()); err != nil {
		t.Fatal(err)
	}
	results = [2]Result{"-", "-"}
	for _, a := range s.answers {
		i := slices.Index(s.Witnesses, a.Witness)
		if results[i] != "-" {
			t.Errorf("the witness %d was asked twice", i)
		}
		results[i] = a.Result
	}
	return results
}

// latest is the size of what was kept, 0 for nothing.
func (s *stage) latest(t *testing.T) int64 {
	t.Helper()
	c := must(s.archive.Latest(t.Context(), s.log.origin))(t)
	if c == nil {
		return 0
	}
	return c.Size
}

// policy asks for both witnesses of the stage.
func (s *stage) policy() string {
	return "log " + s.log.Key().String() + "\nwitness one " + s.witnesses[0].Key().String() + " " + s.servers[0].URL + "\nwitness two " + s.witnesses[1].Key().String() + " " + s.servers[1].URL + "\ngroup both all one two\nquorum both\n"
}

// TestRoundsSatisfyAPolicy, as it is read here and as transparency-dev/formats reads it; and the times of two such checkpoints bracket what came in between.
func TestRoundsSatisfyAPolicy(t *testing.T) {
	s := set(t, 0, newLog(10))
	both := [2]Result{Cosigned, Cosigned}
	if got := s.round(t); got != both {
		t.Fatal(got)
	}
	s.clock.pass(s.Heartbeat) // until here nothing more was there
	if got := s.round(t); got != both {
		t.Fatal(got)
	}
	s.log.write(12)
	s.clock.pass(10 * time.Second)
	if got := s.round(t); got != both {
		t.Fatal(got)
	}
	s.clock.pass(s.Heartbeat)
	if got := s.round(t); got != both {
		t.Fatal(got)
	}
	before, after, err := s.archive.Around(t.Context(), origin, 10)
	if err != nil || before == nil || after == nil {
		t.Fatal(before, after, err)
	}
	policy := must(tlog.ParsePolicy([]byte(s.policy())))(t)
	quorum := func(c *tlog.Checkpoint) tlog.Quorum {
		verified, unknown, err := c.Verify(policy.Keys()...)
		if err != nil || len(unknown) > 0 {
			t.Fatal(unknown, err)
		}
		return must(policy.Satisfied(verified))(t)
	}
	if since, by := quorum(before).Since.Unix()-noon, quorum(after).By.Unix()-noon; before.Size != 10 || after.Size != 12 || since != 60 || by != 70 {
		t.Errorf("an entry at index 10 is between %d s (size %d) and %d s (size %d)", since, before.Size, by, after.Size)
	}
	theirs := must(fwitness.ParsePolicy([]byte(s.policy())))(t)
	if !theirs.Satisfied(after.Encode()) {
		t.Error("not satisfied, says transparency-dev/formats")
	}
	alone := *after
	alone.Signatures = alone.Signatures[:2]
	if theirs.Satisfied(alone.Encode()) {
		t.Error("satisfied with one of two, says transparency-dev/formats")
	}
	if _, after, err = s.archive.Around(t.Context(), origin, 12); err != nil || after != nil {
		t.Errorf("nothing was cosigned beyond index 11: %v %v", after, err)
	}
	if before, _, err = s.archive.Around(t.Context(), origin, 9); err != nil || before != nil {
		t.Errorf("nothing was cosigned before index 10: %v %v", before, err)
	}
}

// TestRoundsOfAForkedLog: a log that two witnesses have seen goes on as another one. They refuse, nothing is kept, and it is told.
func TestRoundsOfAForkedLog(t *testing.T) {
	s := set(t, 0, newLog(10))
	s.round(t)
	good := s.log
	s.log = forked(9, 30)
	if got := s.round(t); got != [2]Result{Forked, Forked} || s.latest(t) != 10 {
		t.Errorf("a fork: %v, kept %d", got, s.latest(t))
	}
	for _, a := range s.answers {
		var refused *RefusedError
		if !errors.As(a.Err, &refused) || refused.Status != 422 || !strings.Contains(refused.Reason, "does not extend itself") {
			t.Errorf("%v", a.Err)
		}
	}
	if got := s.round(t); got != [2]Result{"-", "-"} {
		t.Errorf("at once again: %v", got)
	}
	s.log = forked(9, 10)
	s.clock.pass(s.MaxRest)
	if got := s.round(t); got != [2]Result{Forked, Forked} {
		t.Errorf("a fork of the same size: %v", got)
	}
	s.log = newLog(9)
	s.clock.pass(s.MaxRest)
	if got := s.round(t); got != [2]Result{Behind, Behind} {
		t.Errorf("a log that lost an entry: %v", got)
	}
	var size *SizeError
	if len(s.answers) != 2 || !errors.As(s.answers[0].Err, &size) || size.Size != 10 {
		t.Errorf("%+v", s.answers)
	}
	s.log = good
	s.log.write(31)
	s.clock.pass(s.MaxRest)
	if got := s.round(t); got != [2]Result{Cosigned, Cosigned} || s.latest(t) != 31 {
		t.Errorf("the log itself: %v, kept %d", got, s.latest(t))
	}
	if err := s.archive.Keep(t.Context(), forked(9, 31).at(t, 31)); err == nil {
		t.Error("another tree of a size was kept")
	}
}

// TestRoundsWithoutAWitness: one that is away is asked again, less and less often, and holds up nobody where the quorum does not need it.
func TestRoundsWithoutAWitness(t *testing.T) {
	for quorum, kept := range map[int]int64{1: 10, 2: 0} {
		s := set(t, quorum, newLog(10))
		s.servers[1].CloseClientConnections()
		s.servers[1].Close()
		if got := s.round(t); got != [2]Result{Cosigned, Failed} || s.latest(t) != kept {
			t.Errorf("quorum %d: %v, kept %d", quorum, got, s.latest(t))
		}
		asked := 0
		for range 100 {
			s.clock.pass(s.Interval)
			s.log.write(s.log.count + 1)
			if got := s.round(t); got[0] != Cosigned {
				t.Fatalf("quorum %d: %v", quorum, got)
			} else if got[1] != "-" {
				asked++
			}
		}
		// 10, 20, 40, 80, 160 s, and then 300 s: in 1,000 s that is seven times.
		if asked < 5 || asked > 8 {
			t.Errorf("quorum %d: asked %d times in 1,000 s", quorum, asked)
		}
	}
}

// TestRoundsComeBack: a witness that was away cosigns what all are given next, and a restart of the server's forgets nothing that matters.
func TestRoundsComeBack(t *testing.T) {
	s := set(t, 2, newLog(10))
	var away atomic.Bool
	away.Store(true)
	inner := s.servers[1].Config.Handler
	s.servers[1].Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away.Load() {
			http.Error(w, "away", http.StatusBadGateway)
			return
		}
		inner.ServeHTTP(w, r)
	})
	if got := s.round(t); got != [2]Result{Cosigned, Failed} || s.latest(t) != 0 {
		t.Errorf("%v, kept %d", got, s.latest(t))
	}
	away.Store(false)
	s.log.write(20)
	s.clock.pass(s.Interval)
	if got := s.round(t); got != [2]Result{Cosigned, Cosigned} || s.latest(t) != 20 {
		t.Errorf("%v, kept %d", got, s.latest(t))
	}
	if got := s.round(t); got != [2]Result{"-", "-"} {
		t.Errorf("nothing has changed: %v", got)
	}
	s.Rounds = must(NewRounds(s.Options))(t)
	s.log.write(30)
	if got := s.round(t); got != [2]Result{Cosigned, Cosigned} || s.latest(t) != 30 {
		t.Errorf("after a restart: %v, kept %d", got, s.latest(t))
	}
}

// TestRoundsEnd: when the server ends, so do they, though a witness does not answer; and that is not counted as its failure.
func TestRoundsEnd(t *testing.T) {
	s := set(t, 2, newLog(10))
	asked, release := make(chan struct{}), make(chan struct{})
	s.servers[1].Config.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-release
	})
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx, func(err error) { t.Error(err) })
	}()
	<-asked
	cancel()
	<-done
	for _, a := range s.answers {
		if a.Result == Failed {
			t.Errorf("%+v", a)
		}
	}
}

// TestRoundsHoldTimesToTheClock: a witness whose clock is wrong takes nothing from what the other vouches for, and vouches for nothing itself.
func TestRoundsHoldTimesToTheClock(t *testing.T) {
	onItsWay := 50 * time.Second // as long as a server lets a decision take, of the minute that a verifier forgives
	for skew, want := range map[time.Duration]Result{0: Cosigned, maxSkew: Cosigned, -maxSkew: Cosigned, maxSkew + time.Second: Clock, -maxSkew - time.Second: Clock, time.Minute - onItsWay + time.Second: Clock, 2 * time.Hour: Clock, -2 * time.Hour: Clock} {
		for quorum, kept := range map[int]int64{1: 10, 2: 0} {
			s := set(t, quorum, newLog(10), skew)
			signatures := 2 // of the log, and of one
			if want == Cosigned {
				signatures, kept = 3, 10
			}
			if got := s.round(t); got != [2]Result{Cosigned, want} || s.latest(t) != kept {
				t.Errorf("%v off, quorum %d: %v, kept %d", skew, quorum, got, s.latest(t))
			}
			if c := must(s.archive.Latest(t.Context(), origin))(t); c != nil && len(c.Signatures) != signatures {
				t.Errorf("%v off: kept with %d signatures", skew, len(c.Signatures))
			}
			for _, a := range s.answers {
				if a.Err != nil && !strings.Contains(a.Err.Error(), "one of the two clocks is wrong") {
					t.Error(a.Err)
				}
			}
		}
	}
}

// TestRoundsNoticeAWitnessThatWentBack: one whose state is an older copy is named, once, in this run of the server and after a restart of it.
func TestRoundsNoticeAWitnessThatWentBack(t *testing.T) {
	for _, restart := range []bool{false, true} {
		s := set(t, 1, newLog(10))
		s.round(t)
		s.log.write(20)
		s.round(t)
		back, _, _ := serve(t, 1, s.clock)
		must(back.Add(t.Context(), Request{0, nil, s.log.at(t, 10)}))(t)
		s.servers[1].Config.Handler = back.Handler(slog.New(slog.DiscardHandler))
		if restart {
			s.Rounds = must(NewRounds(s.Options))(t)
		}
		s.log.write(30)
		s.clock.pass(s.Interval)
		s.answers = nil
		if err := s.Round(t.Context()); err != nil {
			t.Fatal(err)
		}
		slices.SortStableFunc(s.answers, func(a, b Answer) int {
			return slices.Index(s.Witnesses, a.Witness) - slices.Index(s.Witnesses, b.Witness)
		})
		var found *BackError
		if len(s.answers) != 3 || s.answers[1].Result != WentBack || !errors.As(s.answers[1].Err, &found) || *found != (BackError{20, 10}) || s.answers[2].Result != Cosigned {
			t.Errorf("after a restart %v: %+v", restart, s.answers)
		}
		s.log.write(40)
		s.clock.pass(s.Interval)
		if got := s.round(t); got != [2]Result{Cosigned, Cosigned} {
			t.Errorf("told again: %v", got)
		}
	}
}

func TestQuorum(t *testing.T) {
	s := set(t, 0, newLog(1))
	for name, change := range map[string]func(*Options){
		"none":          func(o *Options) { o.Witnesses, o.Quorum = nil, 0 },
		"more than all": func(o *Options) { o.Quorum = 3 },
		"less than one": func(o *Options) { o.Quorum = -1 },
		"one key, twice": func(o *Options) {
			o.Witnesses[1] = must(NewClient("http://elsewhere.example", must(tlog.NewKey("elsewhere.example", tlog.CosignatureV1, o.Witnesses[0].key.Public))(t), nil))(t)
		},
	} {
		o := s.Options
		o.Witnesses = slices.Clone(o.Witnesses)
		change(&o)
		if _, err := NewRounds(o); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if s.Quorum != 2 {
		t.Errorf("the quorum of two is %d", s.Quorum)
	}
}
