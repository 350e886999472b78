package ledger_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/internal/store/sqlite"
	"github.com/smarthausgroup/caio/internal/store/storetest"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func openStore(t testing.TB, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// logKey signs the checkpoints of every test.
var (
	logKey    = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	logPublic = logKey.Public().(ed25519.PublicKey)
)

func openLedger(t testing.TB, s store.Store, o ledger.Options) *ledger.Ledger {
	t.Helper()
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Signer == nil {
		o.Signer = logKey
	}
	l, err := ledger.Open(context.Background(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// newLedger is one on a new store, closed with the test. wrap, when given, is put around the store.
func newLedger(t testing.TB, o ledger.Options, wrap func(store.Store) store.Store) *ledger.Ledger {
	t.Helper()
	var s store.Store = openStore(t, filepath.Join(t.TempDir(), "caio.db"))
	if wrap != nil {
		s = wrap(s)
	}
	l := openLedger(t, s, o)
	t.Cleanup(func() {
		if err := errors.Join(l.Close(), s.Close()); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return l
}

func entry(tenant, leaf string) ledger.Entry {
	return ledger.Entry{Tenant: tenant, Type: "caio-test+jws", Leaf: []byte(leaf)}
}

func decision(tenant string, at time.Time, n int) ledger.Entry {
	e := entry(tenant, fmt.Sprintf("statement %d", n))
	e.Decision = &ledger.Decision{
		ID: storetest.DecisionID(at, n), Time: at, Outcome: "routed", Service: "s", Route: "internal", Intent: "chat",
		Document: fmt.Appendf(nil, "document %d", n), Disclosures: fmt.Appendf(nil, "disclosures %d", n), Subjects: []string{storetest.SubjectID(1)},
	}
	return e
}

func mustAppend(t testing.TB, l *ledger.Ledger, entries ...ledger.Entry) []int64 {
	t.Helper()
	indices, err := l.Append(context.Background(), entries...)
	if err != nil {
		t.Fatal(err)
	}
	return indices
}

// leaves is the tenant's log as the store has it; the indices must have no gap.
func leaves(t testing.TB, r store.Reader, tenant string) []string {
	t.Helper()
	entries, err := r.Entries(context.Background(), tenant, 0, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for i, e := range entries {
		if e.Index != int64(i) || e.Tenant != tenant {
			t.Fatalf("entry %d of %s has index %d and tenant %s", i, tenant, e.Index, e.Tenant)
		}
		found = append(found, string(e.Leaf))
	}
	log, err := r.Log(context.Background(), tenant)
	if errors.Is(err, store.ErrNotFound) && len(found) == 0 {
		return nil
	}
	if err != nil || log.Size != int64(len(found)) {
		t.Fatalf("the log of %s has %d leaves and the head %d (%v)", tenant, len(found), log.Size, err)
	}
	return found
}

// gate is a store whose commits wait until they are let through.
type gate struct {
	store.Store
	entered chan int      // the number of entries of the commit that waits
	pass    chan struct{} // one for each commit
}

func newGate(s store.Store) *gate {
	return &gate{s, make(chan int, 100), make(chan struct{}, 100)}
}

// newGated is a ledger on a gate, which is opened for good when the test ends.
func newGated(t *testing.T, o ledger.Options, wrap func(store.Store) store.Store) (*ledger.Ledger, *gate) {
	var g *gate
	l := newLedger(t, o, func(s store.Store) store.Store {
		if wrap != nil {
			s = wrap(s)
		}
		g = newGate(s)
		return g
	})
	t.Cleanup(func() { close(g.pass) })
	return l, g
}

func (g *gate) Commit(ctx context.Context, b *store.Batch) error {
	g.entered <- len(b.Entries)
	<-g.pass
	return g.Store.Commit(ctx, b)
}

func TestAppendConcurrently(t *testing.T) {
	const writers, each = 16, 25
	l := newLedger(t, ledger.Options{}, nil)
	var mu sync.Mutex
	answered := map[string]map[int64]string{"a": {}, "b": {}}
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				entries := []ledger.Entry{entry("a", fmt.Sprintf("a %d %d", w, i)), entry("b", fmt.Sprintf("b %d %d", w, i)), entry("a", fmt.Sprintf("a %d %d again", w, i))}
				indices, err := l.Append(context.Background(), entries...)
				if err != nil {
					t.Error(err)
					return
				}
				if indices[2] != indices[0]+1 {
					t.Errorf("two entries of one call have the indices %v", indices)
				}
				if l.Size("a") <= indices[2] || l.Size("b") <= indices[1] {
					t.Errorf("the sizes do not cover %v", indices)
				}
				mu.Lock()
				for j, e := range entries {
					answered[e.Tenant][indices[j]] = string(e.Leaf)
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	for tenant, want := range answered {
		found := leaves(t, l, tenant)
		if len(found) != len(want) {
			t.Fatalf("%s has %d leaves, and %d were answered", tenant, len(found), len(want))
		}
		for i, leaf := range found {
			if leaf != want[int64(i)] {
				t.Errorf("leaf %d of %s is %q, and %q was answered", i, tenant, leaf, want[int64(i)])
			}
		}
	}
}

// TestGroups holds the writer in one commit while calls queue: they go into the next one together, up to MaxGroup.
func TestGroups(t *testing.T) {
	l, g := newGated(t, ledger.Options{MaxGroup: 8}, nil)
	var group sync.WaitGroup
	send := func(n int) {
		for i := range n {
			group.Go(func() {
				if _, err := l.Append(context.Background(), entry("a", fmt.Sprint(i))); err != nil {
					t.Error(err)
				}
			})
		}
	}
	send(1)
	if n := <-g.entered; n != 1 {
		t.Errorf("an idle ledger commits %d entries at once", n)
	}
	send(12)
	for l.Queued() < 12 {
		runtime.Gosched()
	}
	for _, want := range []int{8, 4} {
		g.pass <- struct{}{}
		if n := <-g.entered; n != want {
			t.Errorf("a commit of %d entries, want %d", n, want)
		}
	}
	g.pass <- struct{}{}
	group.Wait()
	if n := len(leaves(t, l, "a")); n != 13 {
		t.Errorf("%d leaves", n)
	}
}

// TestCancel ends the contexts of a call that is being written and of one that waits: the first is appended and reported, the second is not appended.
func TestCancel(t *testing.T) {
	l, g := newGated(t, ledger.Options{}, nil)
	type result struct {
		indices []int64
		err     error
	}
	ctx, cancel := context.WithCancel(context.Background())
	written, waiting := make(chan result, 1), make(chan result, 1)
	start := func(results chan result, leaf string) {
		go func() {
			indices, err := l.Append(ctx, entry("a", leaf))
			results <- result{indices, err}
		}()
	}
	start(written, "written")
	<-g.entered
	start(waiting, "waiting")
	for l.Queued() < 1 {
		runtime.Gosched()
	}
	cancel()
	if r := <-waiting; !errors.Is(r.err, context.Canceled) {
		t.Errorf("the call that waits: %+v", r)
	}
	select {
	case r := <-written:
		t.Fatalf("a call that is being written was answered: %+v", r)
	case <-time.After(20 * time.Millisecond):
	}
	g.pass <- struct{}{}
	if r := <-written; r.err != nil || !reflect.DeepEqual(r.indices, []int64{0}) {
		t.Errorf("the call that was written: %+v", r)
	}
	if _, err := l.Append(ctx, entry("a", "late")); !errors.Is(err, context.Canceled) {
		t.Errorf("a call with a context that has ended: %v", err)
	}
	g.pass <- struct{}{}
	mustAppend(t, l, entry("a", "next"))
	if got := leaves(t, l, "a"); !reflect.DeepEqual(got, []string{"written", "next"}) {
		t.Errorf("leaves: %q", got)
	}
}

// TestClose closes with calls in the queue: each is written and answered, later ones are refused, and no goroutine is left.
func TestClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "caio.db")
	s := openStore(t, path)
	before := runtime.NumGoroutine()
	g := newGate(s)
	l := openLedger(t, g, ledger.Options{MaxGroup: 4})
	var group sync.WaitGroup
	for i := range 10 {
		group.Go(func() {
			if _, err := l.Append(context.Background(), entry("a", fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	<-g.entered
	for l.Queued() < 6 {
		runtime.Gosched()
	}
	closed := make(chan struct{})
	go func() { l.Close(); close(closed) }()
	for range 10 {
		g.pass <- struct{}{}
	}
	<-closed
	group.Wait()
	if _, err := l.Append(context.Background(), entry("a", "late")); !errors.Is(err, ledger.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
	if n := len(leaves(t, s, "a")); n != 10 {
		t.Errorf("%d leaves of 10", n)
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines, %d before", n, before)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestLog(t *testing.T) {
	l := newLedger(t, ledger.Options{}, nil)
	ctx := context.Background()
	if n := l.Size("a"); n != 0 {
		t.Errorf("a log that isn't there has %d leaves", n)
	}
	origins := make([]string, 8)
	var group sync.WaitGroup
	for i := range origins {
		group.Go(func() {
			log, err := l.Log(ctx, "a")
			if err != nil || log.Tenant != "a" || log.Size != 0 {
				t.Errorf("%+v, %v", log, err)
			}
			origins[i] = log.Origin
		})
	}
	group.Wait()
	for _, origin := range origins {
		if len(origin) != 32 || origin != origins[0] {
			t.Errorf("origins %q", origins)
		}
	}
	mustAppend(t, l, entry("a", "x"))
	if log, err := l.Log(ctx, "a"); err != nil || log.Origin != origins[0] || log.Size != 1 {
		t.Errorf("%+v, %v", log, err)
	}
	if log, err := l.Log(ctx, "b"); err != nil || log.Origin == origins[0] {
		t.Errorf("%+v, %v", log, err)
	}
	if _, err := l.Log(ctx, ""); !errors.Is(err, ledger.ErrInvalid) {
		t.Errorf("a log of no tenant: %v", err)
	}
}

func TestRandomFails(t *testing.T) {
	l := newLedger(t, ledger.Options{Random: iotest.ErrReader(errors.New("no entropy"))}, nil)
	if _, err := l.Append(context.Background(), entry("a", "x")); err == nil || !strings.Contains(err.Error(), "no entropy") {
		t.Errorf("appending without a source for the origin: %v", err)
	}
	if _, err := l.Log(context.Background(), "a"); err == nil {
		t.Error("a log was made without an origin")
	}
	if _, err := ledger.Open(context.Background(), l.Reader.(store.Store), ledger.Options{}); err == nil {
		t.Error("a ledger was opened without a source")
	}
}

func TestDecisionParts(t *testing.T) {
	l := newLedger(t, ledger.Options{}, nil)
	ctx := context.Background()
	mustAppend(t, l, entry("a", "x"), decision("a", epoch, 7))
	id := storetest.DecisionID(epoch, 7)
	got, err := l.Decision(ctx, "a", id)
	want := store.Decision{Tenant: "a", ID: id, Index: 1, Time: epoch, Outcome: "routed", Service: "s", Route: "internal", Intent: "chat"}
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for name, part := range map[string]func(context.Context, string, string) ([]byte, error){"document": l.Document, "statement": l.Statement, "disclosures": l.Disclosures} {
		if text, err := part(ctx, "a", id); err != nil || string(text) != name+" 7" {
			t.Errorf("%s: %q, %v", name, text, err)
		}
		if _, err := part(ctx, "b", id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s, as another tenant: %v", name, err)
		}
	}
}

func TestObserve(t *testing.T) {
	var l *ledger.Ledger
	var seen []store.Event
	l = newLedger(t, ledger.Options{Observe: func(events []store.Event) {
		for _, e := range events {
			if l.Size(e.Tenant) > e.Index {
				t.Errorf("the size of %s is %d before event %d was observed", e.Tenant, l.Size(e.Tenant), e.Index)
			}
			if found, err := l.Events(context.Background(), e.Tenant, e.Index, e.Index+1); err != nil || len(found) != 1 {
				t.Errorf("event %d was observed, and is not in the store: %v", e.Index, err)
			}
		}
		seen = append(seen, events...)
	}}, nil)
	registered := func(tenant, id string) ledger.Entry {
		e := entry(tenant, "registered "+id)
		e.Event = &store.Event{Tenant: "filled in", Kind: store.Registered, Subject: id, Digest: "digest of " + id, Time: epoch}
		e.Blobs = []ledger.Blob{{Digest: "digest of " + id, Kind: "contract", Bytes: []byte(id)}}
		return e
	}
	granted := registered("b", "s")
	granted.Event.Kind, granted.Grant = store.Granted, &store.Grant{Owner: "a", Service: "s", Tenant: "b"}
	mustAppend(t, l, registered("a", "s"), entry("a", "else"), granted, registered("a", "t"))
	want := []store.Event{
		{Tenant: "a", Index: 0, Kind: store.Registered, Subject: "s", Digest: "digest of s", Time: epoch},
		{Tenant: "b", Index: 0, Kind: store.Granted, Subject: "s", Digest: "digest of s", Time: epoch},
		{Tenant: "a", Index: 2, Kind: store.Registered, Subject: "t", Digest: "digest of t", Time: epoch},
	}
	if !reflect.DeepEqual(seen, want) {
		t.Errorf("observed %v", seen)
	}
	if grants, err := l.Grants(context.Background(), "a"); err != nil || !reflect.DeepEqual(grants, []store.Grant{*granted.Grant}) {
		t.Errorf("grants: %v, %v", grants, err)
	}
	for tenant, want := range map[string]error{"a": nil, "b": nil, "c": store.ErrNotFound} {
		if _, err := l.Blob(context.Background(), tenant, "digest of s"); !errors.Is(err, want) {
			t.Errorf("the contract, as %s: %v", tenant, err)
		}
	}
	revoked := granted
	revoked.Event = &store.Event{Kind: store.Revoked, Subject: "s", Time: epoch}
	mustAppend(t, l, revoked)
	if grants, err := l.Grants(context.Background(), "a"); err != nil || len(grants) > 0 {
		t.Errorf("grants after the revocation: %v, %v", grants, err)
	}
}
