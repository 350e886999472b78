//go:build unix

package server_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/server"
)

// BenchmarkCost measures in one run what the proof adds to a decision. Each stage does what the one before does, and more; all stand behind the same HTTP, authentication and limits, and decide the same request over the same registry:
//
//	decided  matched, held to the constraints, scored, answered in words; nothing is hashed, signed, sealed or kept
//	proved   the document too: canonical, hashed, its content committed to and sealed; the statement signed
//	logged   appended to a log whose tree is hashed and whose checkpoints are signed, and which is kept nowhere
//	kept     the server as it is: on the disk, synced, before it is answered
//
// Shipped has the contracts and the policies that come with CAIO, large 1,000 services, of which 10 match, and 50 constraints.
// Beside the time it reports the processor's time of the whole process, the client's included, and what the database grows by. Stages that keep nothing grow by nothing.
func BenchmarkCost(b *testing.B) {
	for _, registry := range []struct {
		name  string
		start func(b *testing.B, options ...func(*server.Config)) *loaded
	}{
		{"shipped", shipped},
		{"large", func(b *testing.B, options ...func(*server.Config)) *loaded { return busy(b, 1_000, 10, 50, options...) }},
	} {
		kept, nowhere := registry.start(b), &forgetful{}
		unkept := registry.start(b, func(c *server.Config) { nowhere.Store, c.Store, c.CheckpointDir = c.Store, nowhere, "" })
		nowhere.forgets.Store(true)
		decided, proved := httptest.NewServer(kept.server.Partly(false)), httptest.NewServer(kept.server.Partly(true))
		b.Cleanup(decided.Close)
		b.Cleanup(proved.Close)
		for _, clients := range []int{1, 64} {
			for _, stage := range []struct {
				name    string
				at      *loaded
				address string
			}{{"decided", kept, decided.URL}, {"proved", kept, proved.URL}, {"logged", unkept, unkept.address}, {"kept", kept, kept.address}} {
				b.Run(fmt.Sprintf("%s/clients=%02d/%s", registry.name, clients, stage.name), func(b *testing.B) {
					stage.at.cost(b, stage.address, clients)
				})
			}
		}
	}
}

// cost decides for so many clients at once and reports what it takes.
func (l *loaded) cost(b *testing.B, address string, clients int) {
	l.decide(b, address) // connected, and the keys of the subject made
	disk, spent := l.bytes(b), processorTime(b)
	b.ResetTimer()
	each := make(chan struct{})
	done := make(chan struct{})
	for range clients {
		go func() {
			defer func() { done <- struct{}{} }()
			for range each {
				l.decide(b, address)
			}
		}()
	}
	for range b.N {
		each <- struct{}{}
	}
	close(each)
	for range clients {
		<-done
	}
	b.StopTimer()
	b.ReportMetric(float64((processorTime(b)-spent).Nanoseconds())/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(l.bytes(b)-disk)/float64(b.N), "disk-B/op")
}

// bytes is how large the database is, with what stands in its write-ahead log.
func (l *loaded) bytes(b *testing.B) (n int64) {
	b.Helper()
	db, err := sql.Open("sqlite", "file:"+l.store+"?mode=ro")
	must(b, err)
	defer db.Close()
	must(b, db.QueryRow("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").Scan(&n))
	return n
}

// processorTime is what this process has used so far.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// forgetful is a store that from some moment on says that it has written, and has not.
type forgetful struct {
	store.Store
	forgets atomic.Bool
}

func (f *forgetful) Commit(ctx context.Context, batch *store.Batch) error {
	if f.forgets.Load() {
		return nil
	}
	return f.Store.Commit(ctx, batch)
}

// TestStagesOfTheCost holds the stages that are measured to what they say of themselves: all decide alike, and only the last is kept.
func TestStagesOfTheCost(t *testing.T) {
	i := start(t)
	i.register(i.token("acme", "author"), contract("a", "eu", ""))
	app := i.token("acme", "app", "auditor")
	whole := i.decide(app, embed)
	for _, proved := range []bool{false, true} {
		partly := httptest.NewServer(i.server.Partly(proved))
		defer partly.Close()
		before := i.http
		i.http = partly
		answer := i.decide(app, embed)
		i.http = before
		if answer.Service == nil || !reflect.DeepEqual(answer.Service, whole.Service) || !slices.Equal(answer.Reasons, whole.Reasons) || (answer.Statement != "") != proved {
			t.Errorf("proved %v: %+v", proved, answer)
		}
		if r := i.call(http.MethodGet, "/v1/decisions/"+answer.DecisionID, app, ""); r.status != http.StatusNotFound {
			t.Errorf("proved %v: it was kept: %d %s", proved, r.status, r.body)
		}
	}
}
