package sqlite

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/internal/store/storetest"
)

// long is text of about n bytes that repeats itself as documents do.
func long(n int) []byte {
	var text strings.Builder
	for i := 0; text.Len() < n; i++ {
		fmt.Fprintf(&text, `{"ids":["capability"],"service":"service-%04d"},`, i)
	}
	return []byte(text.String())
}

// noise does not repeat itself.
func noise(n int) []byte {
	text := make([]byte, n)
	r := rand.NewChaCha8([32]byte{7})
	_, _ = r.Read(text)
	return text
}

func TestPackedGivesBack(t *testing.T) {
	var p packer
	for name, document := range map[string][]byte{
		"none": nil, "empty": {}, "short": []byte("{}"), "long": long(60_000), "just short enough": bytes.Repeat([]byte{'a'}, plainBytes), "just too long": bytes.Repeat([]byte{'a'}, plainBytes+1),
		"noise": noise(9_000), "noise that begins as what is packed": append([]byte{packed}, noise(9_000)...), "short and so": {packed, 'x'}, "only so": {packed},
	} {
		row, err := p.pack(document)
		if err != nil {
			t.Fatal(err)
		}
		if got := unpack(row); !bytes.Equal(got, document) || (got == nil) != (document == nil) {
			t.Errorf("%s: %d bytes came back as %d", name, len(document), len(got))
		}
		if len(row) > len(document)+64 {
			t.Errorf("%s: %d bytes stand in a row of %d", name, len(document), len(row))
		}
		if name == "long" && len(row) > len(document)/8 {
			t.Errorf("%s: %d bytes stand in a row of %d", name, len(document), len(row))
		}
	}
}

// FuzzUnpack: whatever a row holds, it is read without a panic, within bounds, and what pack makes of the result says the same.
func FuzzUnpack(f *testing.F) {
	var p packer
	for _, document := range [][]byte{[]byte("{}"), long(5_000), noise(4_000), {packed}} {
		row, err := p.pack(document)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(row)
		f.Add(row[:len(row)/2])
	}
	f.Add([]byte{packed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, row []byte) {
		document := unpack(row)
		if len(document) > 2000*len(row)+64 {
			t.Errorf("%d bytes became %d", len(row), len(document))
		}
		var p packer
		again, err := p.pack(document)
		if err != nil || !bytes.Equal(unpack(again), document) {
			t.Errorf("%x is packed as %x (%v)", document, again, err)
		}
	})
}

// A long document is read as it was written, one by one and in a page; so is one of a release before; and one that was changed in its row is not taken for a document.
func TestPackedDocuments(t *testing.T) {
	ctx := context.Background()
	s, err := Open(ctx, filepath.Join(t.TempDir(), "caio.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	document := long(60_000)
	b := &store.Batch{Logs: []store.Advance{{Tenant: "a", Origin: "o", To: 3, New: true}}}
	ids := make([]string, 3)
	for i := range ids {
		at := time.UnixMilli(int64(1000 + i)).UTC()
		ids[i] = storetest.DecisionID(at, i)
		b.Entries = append(b.Entries, store.Entry{Tenant: "a", Index: int64(i), Type: "caio-decision+jws", Leaf: []byte(fmt.Sprint("leaf-", i))})
		b.Decisions = append(b.Decisions, store.NewDecision{Decision: store.Decision{Tenant: "a", ID: ids[i], Index: int64(i), Time: at, Outcome: "denied", Intent: "chat", Retention: "standard"}, Document: document})
	}
	if err := s.Commit(ctx, b); err != nil {
		t.Fatal(err)
	}
	var length int
	if err := s.reads.QueryRow("SELECT max(length(document)) FROM entries").Scan(&length); err != nil || length > len(document)/8 {
		t.Fatalf("a document of %d bytes stands in a row of %d: %v", len(document), length, err)
	}
	for _, change := range []struct {
		query string
		args  []any
	}{
		{"UPDATE entries SET document = ? WHERE idx = 1", []any{document}},                             // as before there were packed ones
		{"UPDATE entries SET document = substr(document, 1, length(document) - 9) WHERE idx = 2", nil}, // damaged
	} {
		if _, err := s.writer.conn.ExecContext(ctx, change.query, change.args...); err != nil {
			t.Fatal(err)
		}
	}
	page, err := s.Kept(ctx, "a", store.Span{}, "", 10)
	if err != nil || len(page) != 3 {
		t.Fatal(len(page), err)
	}
	for i, id := range ids {
		got, err := s.Document(ctx, "a", id)
		if same := bytes.Equal(got, document); err != nil || same != (i < 2) || bytes.Equal(page[i].Document, document) != same {
			t.Errorf("document %d: %d bytes, in a page %d, %v", i, len(got), len(page[i].Document), err)
		}
	}
}
