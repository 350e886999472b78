package ledger_test

import (
	"context"
	cryptorand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/internal/store/storetest"
)

// TestFailedCommit fails one commit: every caller of the group learns it, nothing is visible, and the next goes on with the same index.
func TestFailedCommit(t *testing.T) {
	l, g := newGated(t, ledger.Options{}, func(s store.Store) store.Store {
		return &storetest.Failing{Store: s, Fail: func(n int64) storetest.Failure {
			if n == 2 {
				return storetest.Before
			}
			return storetest.None
		}}
	})
	g.pass <- struct{}{}
	mustAppend(t, l, entry("a", "first"))
	<-g.entered
	failures := make(chan error, 5)
	for i := range 5 {
		go func() {
			_, err := l.Append(context.Background(), attempt("a", "chat", "s", i), registration("b", fmt.Sprint("s", i)))
			failures <- err
		}()
		if i == 0 {
			<-g.entered // it is being written, and the others wait
		}
	}
	for l.Queued() < 4 {
		runtime.Gosched()
	}
	g.pass <- struct{}{}
	if err := <-failures; !errors.Is(err, storetest.ErrInjected) {
		t.Errorf("the call of the failed commit: %v", err)
	}
	if size, other := l.Size("a"), l.Size("b"); size != 1 || other != 0 || l.HistoryAt("a", "chat", epoch) != nil {
		t.Errorf("after the failed commit the sizes are %d and %d, the history %v", size, other, l.HistoryAt("a", "chat", epoch))
	}
	if n := <-g.entered; n != 8 {
		t.Errorf("the next commit has %d entries", n)
	}
	g.pass <- struct{}{}
	for range 4 {
		if err := <-failures; err != nil {
			t.Errorf("a call of the next commit: %v", err)
		}
	}
	if n := len(leaves(t, l, "a")); n != 5 {
		t.Errorf("%d leaves", n)
	}
	if history := l.HistoryAt("a", "chat", epoch)["s"]; history.N != 4 {
		t.Errorf("history: %+v", history)
	}
}

// TestLostCommit breaks the connection while a commit is made: its caller gets an error, and the ledger writes no more, since memory and store differ. A restart puts that right.
func TestLostCommit(t *testing.T) {
	for _, first := range []string{"a", "b"} { // a log that is known, and one that the lost commit makes
		t.Run(first, func(t *testing.T) {
			s := openStore(t, filepath.Join(t.TempDir(), "caio.db"))
			defer s.Close()
			lost := openLedger(t, &storetest.Failing{Store: s, Fail: func(n int64) storetest.Failure {
				if n == 2 {
					return storetest.Lost
				}
				return storetest.None
			}}, ledger.Options{})
			mustAppend(t, lost, entry("a", "first"))
			if _, err := lost.Append(context.Background(), entry(first, "second")); !errors.Is(err, storetest.ErrInjected) {
				t.Errorf("the lost commit: %v", err)
			}
			for _, tenant := range []string{"a", "c"} {
				if _, err := lost.Append(context.Background(), entry(tenant, "third")); !errors.Is(err, ledger.ErrDiverged) {
					t.Errorf("after the lost commit, tenant %s: %v", tenant, err)
				}
			}
			lost.Close()
			l := openLedger(t, s, ledger.Options{})
			defer l.Close()
			mustAppend(t, l, entry("a", "third"))
			want := map[string][]string{"a": {"first", "second", "third"}, "b": nil}
			if first == "b" {
				want = map[string][]string{"a": {"first", "third"}, "b": {"second"}}
			}
			for tenant := range want {
				if got := leaves(t, l, tenant); !reflect.DeepEqual(got, want[tenant]) {
					t.Errorf("%s: %q", tenant, got)
				}
			}
		})
	}
}

// TestTwoLedgers has a second ledger write to the same store: the first one's next write is refused, and so are all after it.
func TestTwoLedgers(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "caio.db"))
	defer s.Close()
	one, two := openLedger(t, s, ledger.Options{}), openLedger(t, s, ledger.Options{})
	defer one.Close()
	defer two.Close()
	mustAppend(t, two, entry("a", "two"))
	for _, tenant := range []string{"a", "b"} {
		if _, err := one.Append(context.Background(), entry(tenant, "one")); !errors.Is(err, ledger.ErrDiverged) {
			t.Errorf("tenant %s: %v", tenant, err)
		}
	}
	mustAppend(t, two, entry("a", "again"))
	if got := leaves(t, s, "a"); !reflect.DeepEqual(got, []string{"two", "again"}) {
		t.Errorf("leaves: %q", got)
	}
}

// TestExistsAlone queues a decision that is there already among new ones: it fails alone.
func TestExistsAlone(t *testing.T) {
	l, g := newGated(t, ledger.Options{}, nil)
	for range 10 {
		g.pass <- struct{}{}
	}
	mustAppend(t, l, decision("a", epoch, 0))
	<-g.entered
	for range 9 {
		<-g.pass
	}
	results := make([]error, 5)
	var group sync.WaitGroup
	start := func(i, n int) {
		group.Go(func() { _, results[i] = l.Append(context.Background(), decision("a", epoch, n)) })
	}
	start(0, 1)
	<-g.entered
	for i, n := range []int{2, 0, 3, 3} { // 0 is in the store, and 3 twice in this group
		start(i+1, n)
	}
	for l.Queued() < 4 {
		runtime.Gosched()
	}
	for range 10 {
		g.pass <- struct{}{}
	}
	group.Wait()
	if results[0] != nil || results[1] != nil || !errors.Is(results[2], store.ErrExists) {
		t.Errorf("results: %v", results)
	}
	if (results[3] == nil) == (results[4] == nil) || !errors.Is(errors.Join(results[3], results[4]), store.ErrExists) {
		t.Errorf("of two with one id: %v", results[3:])
	}
	if n := len(leaves(t, l, "a")); n != 4 {
		t.Errorf("%d leaves", n)
	}
}

// TestRandomFailures fails a third of the commits under load: what was answered is there at its index, what failed is not, and nothing else is.
func TestRandomFailures(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	l := newLedger(t, ledger.Options{MaxGroup: 4}, func(s store.Store) store.Store {
		return &storetest.Failing{Store: s, Fail: func(int64) storetest.Failure { return storetest.Failure(min(1, random.IntN(3))) }}
	})
	var mu sync.Mutex
	var answered []string
	failed := 0
	var group sync.WaitGroup
	for w := range 8 {
		group.Go(func() {
			for i := range 40 {
				leaf := fmt.Sprintf("%d %d", w, i)
				indices, err := l.Append(context.Background(), entry("a", leaf), entry("a", leaf+" too"))
				mu.Lock()
				if err != nil {
					failed++
				} else {
					answered = append(answered, fmt.Sprintf("%06d %s", indices[0], leaf), fmt.Sprintf("%06d %s too", indices[1], leaf))
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	var found []string
	for i, leaf := range leaves(t, l, "a") {
		found = append(found, fmt.Sprintf("%06d %s", i, leaf))
	}
	slices.Sort(answered)
	if !slices.Equal(found, answered) {
		t.Errorf("%d leaves are stored, and %d were answered", len(found), len(answered))
	}
	if failed == 0 || len(answered) == 0 {
		t.Errorf("%d calls failed and %d leaves were answered: this shows nothing", failed, len(answered))
	}
}

// TestOpenChecks opens a ledger over logs that aren't whole.
func TestOpenChecks(t *testing.T) {
	for name, spoil := range map[string]*store.Batch{
		"size":    {Logs: []store.Advance{{Tenant: "a", Origin: "o", To: 1, New: true}}},
		"outcome": {Logs: []store.Advance{{Tenant: "a", Origin: "o", To: 1, New: true}}, Entries: []store.Entry{{Tenant: "a", Type: "outcome", Leaf: []byte("l")}}},
	} {
		s := openStore(t, filepath.Join(t.TempDir(), "caio.db"))
		defer s.Close()
		if err := s.Commit(context.Background(), spoil); err != nil {
			t.Fatal(err)
		}
		if _, err := ledger.Open(context.Background(), s, ledger.Options{Random: cryptorand.Reader, Signer: logKey, Outcomes: []string{"outcome"}}); !errors.Is(err, store.ErrInconsistent) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWritable asks whether the ledger can write while commits fail, for reasons of the store's and of a caller's.
func TestWritable(t *testing.T) {
	fail := false
	l := newLedger(t, ledger.Options{}, func(s store.Store) store.Store {
		return &storetest.Failing{Store: s, Fail: func(int64) storetest.Failure {
			if fail {
				return storetest.Before
			}
			return storetest.None
		}}
	})
	writable := func(when string, want error) {
		t.Helper()
		if err := l.Writable(); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%s: %v, want %v", when, err, want)
		}
	}
	writable("at first", nil)
	mustAppend(t, l, decision("a", epoch, 0))
	if _, err := l.Append(context.Background(), decision("a", epoch, 0)); !errors.Is(err, store.ErrExists) {
		t.Fatal(err)
	}
	writable("after a decision twice", nil)
	fail = true
	if _, err := l.Append(context.Background(), entry("a", "lost")); !errors.Is(err, storetest.ErrInjected) {
		t.Fatal(err)
	}
	writable("after a commit that failed", storetest.ErrInjected)
	if err := l.Probe(context.Background()); !errors.Is(err, storetest.ErrInjected) {
		t.Errorf("a probe that fails: %v", err)
	}
	writable("after a probe that failed", storetest.ErrInjected)
	fail = false
	if err := l.Probe(context.Background()); err != nil {
		t.Errorf("a probe: %v", err)
	}
	writable("after a probe", nil)
	fail = true
	if _, err := l.Append(context.Background(), entry("a", "lost")); err == nil {
		t.Fatal("no failure")
	}
	fail = false
	mustAppend(t, l, entry("a", "kept"))
	writable("after a commit", nil)
	if got := leaves(t, l, "a"); len(got) != 2 {
		t.Errorf("%d leaves", len(got))
	}
}

// TestRefuse ends appending, and reading goes on.
func TestRefuse(t *testing.T) {
	folder := t.TempDir()
	l := newLedger(t, ledger.Options{Folder: ledger.Folder(folder)}, nil)
	mustAppend(t, l, entry("a", "x"))
	log, err := l.Log(context.Background(), "a")
	if err != nil {
		t.Fatal(err)
	}
	first, second := &ledger.HeadError{Log: log, Published: []byte("seen"), Err: ledger.ErrBehind}, &ledger.HeadError{Log: log, Published: []byte("seen again"), Err: ledger.ErrForked}
	for _, reason := range []*ledger.HeadError{first, second} {
		if err := l.Refuse(reason); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(filepath.Join(folder, log.Origin)); err != nil || string(text) != "seen again" {
		t.Errorf("outside stands %q, %v", text, err)
	}
	if _, err := l.Append(context.Background(), entry("a", "y")); !errors.Is(err, first) {
		t.Errorf("appending: %v", err)
	}
	if err := l.Probe(context.Background()); !errors.Is(err, first) {
		t.Errorf("probing: %v", err)
	}
	if err := l.Writable(); !errors.Is(err, first) {
		t.Errorf("it tells: %v", err)
	}
	if got := leaves(t, l, "a"); len(got) != 1 {
		t.Errorf("%q", got)
	}
}
