package ledger_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/internal/store/storetest"
)

// realistic is a decision of usual sizes: a document of 2 KB, a statement of 600 bytes, disclosures of 400, a violated constraint.
func realistic(n int) ledger.Entry {
	at := time.UnixMilli(1_790_000_000_000 + int64(n)/8)
	return ledger.Entry{
		Tenant: "tenant-1", Type: "caio-decision+jws", Leaf: bytes.Repeat([]byte{'s'}, 600),
		Decision: &ledger.Decision{
			ID: storetest.DecisionID(at, n), Time: at, Outcome: "routed", Service: fmt.Sprint("service-", n%40), Route: "external", Intent: "embeddings", Constraints: []string{"GDPR-44"},
			Document: bytes.Repeat([]byte{'d'}, 2048), Disclosures: bytes.Repeat([]byte{'c'}, 400), Subjects: []string{storetest.SubjectID(1)},
		},
	}
}

// counting counts commits.
type counting struct {
	store.Store
	commits atomic.Int64
}

func (c *counting) Commit(ctx context.Context, b *store.Batch) error {
	c.commits.Add(1)
	return c.Store.Commit(ctx, b)
}

// BenchmarkAppend appends decisions with so many callers at once, and reports how many share a commit.
func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 8, 64, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			counter := &counting{Store: openStore(b, filepath.Join(b.TempDir(), "caio.db"))}
			l := openLedger(b, counter, ledger.Options{})
			defer func() { l.Close(); counter.Close() }()
			var n atomic.Int64
			b.ResetTimer()
			var group sync.WaitGroup
			for range callers {
				group.Go(func() {
					for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
						if _, err := l.Append(context.Background(), realistic(int(i))); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			group.Wait()
			b.ReportMetric(float64(b.N)/float64(counter.commits.Load()), "entries/commit")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

// BenchmarkHistoryAt asks for the rows of 100 services with full windows, at moments that differ.
func BenchmarkHistoryAt(b *testing.B) {
	l := newLedger(b, ledger.Options{}, nil)
	for s := range 100 {
		entries := make([]ledger.Entry, 500)
		for i := range entries {
			entries[i] = attempt("a", "chat", fmt.Sprint("s", s), i)
		}
		mustAppend(b, l, entries...)
	}
	b.ResetTimer()
	for i := range b.N {
		l.HistoryAt("a", "chat", epoch.Add(time.Duration(i)))
	}
}
