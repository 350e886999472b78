package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"sync"
	"testing"

	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/internal/store/storetest"
)

func answered(leaf, key, request string) ledger.Entry {
	e := entry("a", leaf)
	e.Answer = &ledger.Answer{Key: key, Call: "POST /v1/decisions", Request: request, Status: 200, Body: []byte("answer " + leaf)}
	return e
}

func TestAnswered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "caio.db")
	s := openStore(t, path)
	l := openLedger(t, s, ledger.Options{})
	ctx := context.Background()
	const call = "POST /v1/decisions"
	if _, err := l.Answer(ctx, "a", "key", call); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("before: %v", err)
	}
	mustAppend(t, l, entry("a", "x"), answered("one", "key", "request"))
	want := store.Answer{Tenant: "a", Key: "key", Call: call, Request: "request", Status: 200, Body: []byte("answer one"), Index: 1}
	for range 2 {
		if got, err := l.Answer(ctx, "a", "key", call); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v", got, err)
		}
		for _, not := range [][2]string{{"b", call}, {"a", "POST /v1/orchestrate"}} {
			if _, err := l.Answer(ctx, not[0], "key", not[1]); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%q: %v", not, err)
			}
		}
		var repeated *ledger.Repeated
		if _, err := l.Append(ctx, entry("a", "y"), answered("two", "key", "request")); !errors.As(err, &repeated) || !reflect.DeepEqual(repeated.First, want) {
			t.Errorf("appending again: %v", err)
		}
		if _, err := l.Append(ctx, answered("two", "key", "other")); !errors.Is(err, ledger.ErrKeyReused) {
			t.Errorf("appending another request: %v", err)
		}
		if n := len(leaves(t, l, "a")); n != 2 {
			t.Errorf("%d leaves", n)
		}
		if err := errors.Join(l.Close(), s.Close()); err != nil {
			t.Fatal(err)
		}
		s = openStore(t, path)
		l = openLedger(t, s, ledger.Options{})
	}
	if err := errors.Join(l.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestAnsweredOnce sends a key many times at once, with every second commit failing: it is appended once, and everybody who isn't told of a failure learns that one answer.
func TestAnsweredOnce(t *testing.T) {
	l := newLedger(t, ledger.Options{}, func(s store.Store) store.Store {
		return &storetest.Failing{Store: s, Fail: func(n int64) storetest.Failure { return storetest.Failure(n % 2) }}
	})
	for round := range 20 {
		key := fmt.Sprint("key ", round)
		var mu sync.Mutex
		var won []string
		told := map[string]int{}
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() {
				leaf := fmt.Sprintf("%d %d", round, i)
				for {
					_, err := l.Append(context.Background(), entry("a", "beside"), answered(leaf, key, "request"))
					if errors.Is(err, storetest.ErrInjected) {
						continue
					}
					mu.Lock()
					defer mu.Unlock()
					var repeated *ledger.Repeated
					switch {
					case err == nil:
						won = append(won, "answer "+leaf)
					case errors.As(err, &repeated):
						told[string(repeated.First.Body)]++
					default:
						t.Error(err)
					}
					return
				}
			})
		}
		group.Wait()
		if len(won) != 1 || told[won[0]] != 7 {
			t.Errorf("appended: %q, told: %v", won, told)
		}
	}
	if n := len(leaves(t, l, "a")); n != 40 {
		t.Errorf("%d leaves", n)
	}
}
