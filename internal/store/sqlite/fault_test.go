package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/internal/store/storetest"
	"modernc.org/sqlite"
)

const faultyDriver = "sqlite-faulty"

var errFault = errors.New("injected fault")

// faults counts the statements that are executed, and fails the one with the number failAt: before it is run, or, with after, when it has been.
var faults struct {
	n, failAt atomic.Int64
	after     atomic.Bool
}

func init() { sql.Register(faultyDriver, &faulty{&sqlite.Driver{}}) }

type faulty struct{ driver.Driver }

func (d *faulty) Open(name string) (driver.Conn, error) {
	c, err := d.Driver.Open(name)
	return &faultyConn{c}, err
}

type faultyConn struct{ driver.Conn }

func (c *faultyConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	s, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
	return &faultyStmt{s, query}, err
}

func (c *faultyConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
}

type faultyStmt struct {
	driver.Stmt
	query string
}

func (s *faultyStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	// What isn't a commit has no effect of its own, so that failing it afterwards is the same; and a transaction that was begun has to be ended.
	fail := faults.n.Add(1) == faults.failAt.Load()
	after := fail && faults.after.Load()
	if fail && !after {
		return nil, errFault
	}
	result, err := s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
	if after && err == nil {
		err = errFault
	}
	return result, err
}

func (s *faultyStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
}

// batch is one of the tenant with a row of each kind, to follow a log of the size from.
func batch(from int64) *store.Batch {
	at := time.UnixMilli(from)
	id := fmt.Sprintf("%08x-%04x-7000-8000-000000000000", from>>16, from&0xffff)
	b := &store.Batch{
		Logs:        []store.Advance{{Tenant: "a", Origin: "o", From: from, To: from + 3}},
		Decisions:   []store.NewDecision{{Decision: store.Decision{Tenant: "a", ID: id, Index: from, Time: at, Outcome: "routed", Intent: "chat"}, Constraints: []string{"X"}, Subjects: []string{storetest.SubjectID(1)}, Document: []byte("d"), Disclosures: []byte("s")}},
		Events:      []store.Event{{Tenant: "a", Index: from + 1, Kind: store.Registered, Subject: "s", Digest: "d", Time: at}},
		Attempts:    []store.Attempt{{Tenant: "a", Index: from + 2, Decision: id, Service: "s", Intent: "chat", Time: at}},
		Blobs:       []store.Blob{{Tenant: "a", Digest: id, Kind: "contract"}},
		Grants:      []store.Grant{{Owner: "b", Service: id, Tenant: "a"}},
		Revocations: []store.Grant{{Owner: "b", Service: "none", Tenant: "a"}},
		Answers:     []store.Answer{{Tenant: "a", Key: id, Call: "c", Request: "r", Index: from}},
		APIKeys:     []store.APIKey{{Tenant: "a", ID: id, Hash: [32]byte{byte(from)}, Created: at}, {Tenant: "a", ID: id, Revoked: at}},
		SigningKeys: []store.SigningKey{{Tenant: "a", KID: id, JWK: []byte("jwk"), First: from}},
		Tiles:       []store.Tile{{Tenant: "a", Level: 0, Index: from, Hashes: make([]byte, 32)}},
		Checkpoints: []store.Checkpoint{{Tenant: "a", Size: from + 3, Note: []byte("note")}},
	}
	for i := range int64(3) {
		b.Entries = append(b.Entries, store.Entry{Tenant: "a", Index: from + i, Type: "typ", Leaf: []byte("leaf")})
	}
	return b
}

var tables = []string{"logs", "entries", "decisions", "violations", "disclosures", "events", "blobs", "grants", "attempts", "answers", "api_keys", "signing_keys", "tiles", "checkpoints"}

// rows counts the rows of every table.
func rows(t *testing.T, s *Store) string {
	t.Helper()
	var counts []string
	for _, table := range tables {
		var n int
		if err := s.reads.QueryRow("SELECT count(*) FROM " + table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		counts = append(counts, fmt.Sprintf("%s %d", table, n))
	}
	log, err := s.Log(context.Background(), "a")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s, size %d", strings.Join(counts, ", "), log.Size)
}

// TestEveryStatementFails fails each statement of a commit once, before and after it is run: nothing is visible then, and the next commit succeeds.
func TestEveryStatementFails(t *testing.T) {
	faults.failAt.Store(0)
	s, err := open(context.Background(), faultyDriver, filepath.Join(t.TempDir(), "caio.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := context.Background()
	if err := s.Commit(ctx, &store.Batch{Logs: []store.Advance{{Tenant: "a", Origin: "o", New: true}}}); err != nil {
		t.Fatal(err)
	}
	faults.n.Store(0)
	if err := s.Commit(ctx, batch(0)); err != nil {
		t.Fatal(err)
	}
	statements, size := faults.n.Load(), int64(3)
	if statements < int64(len(tables)) {
		t.Fatalf("a commit of every kind of row ran %d statements", statements)
	}
	for _, after := range []bool{false, true} {
		for n := int64(1); n <= statements; n++ {
			if after && n == statements {
				continue // a commit that was made and reported as failed: for the caller to find out
			}
			before := rows(t, s)
			faults.after.Store(after)
			faults.n.Store(0)
			faults.failAt.Store(n)
			if err := s.Commit(ctx, batch(size)); !errors.Is(err, errFault) {
				t.Fatalf("statement %d failed, and the commit says %v", n, err)
			}
			faults.failAt.Store(0)
			if now := rows(t, s); now != before {
				t.Fatalf("statement %d failed (after %t), and is visible:\n%s, before\n%s", n, after, now, before)
			}
			if err := s.Commit(ctx, batch(size)); err != nil {
				t.Fatalf("after statement %d failed (after %t): %v", n, after, err)
			}
			size += 3
		}
	}
}

// TestDiskFull fills the file: the commit fails, nothing is visible, and when there is room again it goes on.
func TestDiskFull(t *testing.T) {
	s, err := Open(context.Background(), filepath.Join(t.TempDir(), "caio.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := context.Background()
	if err := s.Commit(ctx, &store.Batch{Logs: []store.Advance{{Tenant: "a", Origin: "o", New: true}}}); err != nil {
		t.Fatal(err)
	}
	limit := func(pages int) {
		if _, err := s.writer.conn.ExecContext(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
			t.Fatal(err)
		}
	}
	var pages int
	if err := s.writer.conn.QueryRowContext(ctx, "PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	large := batch(0)
	large.Blobs = append(large.Blobs, store.Blob{Tenant: "a", Digest: "large", Kind: "bundle", Bytes: make([]byte, 1<<20)})
	before := rows(t, s)
	limit(pages + 10)
	for range 3 {
		if err := s.Commit(ctx, large); err == nil || !strings.Contains(err.Error(), "full") {
			t.Fatalf("the disk is full, and the commit says %v", err)
		}
		if now := rows(t, s); now != before {
			t.Fatalf("the commit failed, and is visible:\n%s, before\n%s", now, before)
		}
	}
	limit(1 << 30)
	if err := s.Commit(ctx, large); err != nil {
		t.Fatal(err)
	}
	if now := rows(t, s); now == before {
		t.Fatal("the commit succeeded, and is not visible")
	}
}
