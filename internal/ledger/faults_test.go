package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"

	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/internal/store/storetest"
	"github.com/smarthausgroup/caio/verify/tlog"
)

// TestTreeUnderFailures appends from several goroutines while commits fail, some before anything is written, some after the transaction was made and the connection lost, and restarts: what was answered is in the log at its index, and the reader's side derives the whole log again, each time.
func TestTreeUnderFailures(t *testing.T) {
	const rounds, callers, each = 12, 6, 25
	path, folder := filepath.Join(t.TempDir(), "caio.db"), ledger.Folder(t.TempDir())
	random := rand.New(rand.NewPCG(3, 4))
	answered := map[int64]string{}
	failed := 0
	for round := range rounds {
		s := openStore(t, path)
		lost := 2 + random.Int64N(30) // a lost connection ends the round: the ledger does not go on over a store that it can't be sure of
		l := openLedger(t, &storetest.Failing{Store: s, Fail: func(n int64) storetest.Failure {
			switch {
			case n == lost:
				return storetest.Lost
			case n%3 == 0:
				return storetest.Before
			}
			return storetest.None
		}}, ledger.Options{Folder: folder})
		var mu sync.Mutex
		var group sync.WaitGroup
		for caller := range callers {
			group.Go(func() {
				for i := range each {
					leaf := fmt.Sprintf("round %d, caller %d, entry %d", round, caller, i)
					indices, err := l.Append(context.Background(), entry("a", leaf))
					mu.Lock()
					if err != nil {
						failed++
					} else if before, taken := answered[indices[0]]; taken {
						t.Errorf("%q and %q were both answered the index %d", before, leaf, indices[0])
					} else {
						answered[indices[0]] = leaf
					}
					mu.Unlock()
				}
			})
		}
		group.Wait()
		must(t, errors.Join(l.Close(), s.Close()))

		s = openStore(t, path)
		l = openLedger(t, s, ledger.Options{Folder: folder})
		inLog(t, l, answered)
		must(t, errors.Join(l.Close(), s.Close()))
	}
	if len(answered) < rounds*10 || failed < rounds {
		t.Fatalf("%d calls were answered and %d failed", len(answered), failed)
	}
}

// inLog derives the log of a again and demands what was answered in it.
func inLog(t *testing.T, l *ledger.Ledger, answered map[int64]string) {
	t.Helper()
	log, err := l.Log(context.Background(), "a")
	must(t, err)
	found := 0
	checked, err := tlog.CheckLog(context.Background(), source{l, "a"}, tlog.Options{Keys: keysOf(t, log), Leaf: func(index int64, leaf []byte) error {
		if want, ok := answered[index]; ok && want != string(leaf) {
			return fmt.Errorf("at index %d is %q, and %q was answered", index, leaf, want)
		} else if ok {
			found++
		}
		return nil
	}})
	if err != nil || found != len(answered) || checked.Checkpoint.Size != log.Size {
		t.Fatalf("%d of %d entries that were answered are in the log of %d: %v", found, len(answered), log.Size, err)
	}
}

func keysOf(t *testing.T, log store.Log) []tlog.Key {
	t.Helper()
	key, err := tlog.ParseKey(ledger.VKey(log.Origin, logPublic))
	must(t, err)
	return []tlog.Key{key}
}
