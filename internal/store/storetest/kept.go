package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/internal/store"
	"pgregory.net/rapid"
)

// keep draws what is stored beside decisions, which some have lost.
func keep(t *rapid.T, decisions []store.NewDecision) {
	for i := range decisions {
		d := &decisions[i]
		if rapid.Bool().Draw(t, "document") {
			d.Document = fmt.Appendf(nil, "document %d", i)
		}
		if rapid.Bool().Draw(t, "disclosures") {
			d.Disclosures = fmt.Appendf(nil, "disclosures %d", i)
		}
	}
}

// batchOf is the decisions in a new log.
func batchOf(tenant string, decisions []store.NewDecision) *store.Batch {
	b := &store.Batch{Logs: newLog(tenant, int64(len(decisions))), Decisions: decisions}
	for i := range decisions {
		b.Entries = append(b.Entries, store.Entry{Tenant: tenant, Index: int64(i), Type: "typ", Leaf: fmt.Appendf(nil, "leaf %d", i)})
	}
	return b
}

func drawSpan(t *rapid.T) store.Span {
	moment := rapid.OneOf(rapid.Just(time.Time{}), rapid.Custom(func(t *rapid.T) time.Time {
		return epoch.Add(time.Duration(rapid.IntRange(-2, 44).Draw(t, "half ms")) * time.Millisecond / 2)
	}))
	return store.Span{From: moment.Draw(t, "from"), To: moment.Draw(t, "to"), Below: rapid.Int64Range(0, 12).Draw(t, "below")}
}

// within is the definition: every decision of the span, the oldest first.
func within(decisions []store.NewDecision, s store.Span) []store.Kept {
	var found []store.Kept
	for _, d := range decisions {
		if (s.From.IsZero() || !d.Time.Before(s.From)) && (s.To.IsZero() || d.Time.Before(s.To)) && (s.Below == 0 || d.Index < s.Below) {
			found = append(found, store.Kept{Decision: d.Decision, Statement: fmt.Appendf(nil, "leaf %d", d.Index), Document: d.Document, Disclosures: d.Disclosures})
		}
	}
	slices.SortFunc(found, func(a, b store.Kept) int { return strings.Compare(a.ID, b.ID) })
	return found
}

func readKept(t *rapid.T, s store.Store, tenant string, span store.Span, limit int) (all []store.Kept) {
	for after := ""; ; after = all[len(all)-1].ID {
		page, err := s.Kept(context.Background(), tenant, span, after, limit)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return all
		}
		if len(page) > limit {
			t.Fatalf("a page of %d, not at most %d", len(page), limit)
		}
		all = append(all, page...)
	}
}

func testKept(t *testing.T, open Opener) {
	rapid.Check(t, func(rt *rapid.T) {
		s := open(t, t.TempDir())
		defer s.Close()
		of := map[string][]store.NewDecision{}
		for _, tenant := range []string{"a", "b"} {
			of[tenant] = drawDecisions(rt, tenant, rapid.IntRange(0, 15).Draw(rt, "decisions"))
			keep(rt, of[tenant])
			commit(t, s, batchOf(tenant, of[tenant]))
		}
		for _, tenant := range []string{"a", "b", "c"} {
			span := drawSpan(rt)
			want := within(of[tenant], span)
			got := readKept(rt, s, tenant, span, rapid.IntRange(1, 6).Draw(rt, "limit"))
			if !reflect.DeepEqual(got, want) {
				rt.Fatalf("%+v of %s:\n got %+v\nwant %+v", span, tenant, got, want)
			}
			if n, err := s.Count(context.Background(), tenant, span); err != nil || n != int64(len(want)) {
				rt.Fatalf("%+v of %s: %d are counted, %v, and %d are there", span, tenant, n, err, len(want))
			}
		}
	})
}

// testKeptInBytes reads decisions that are too large for one page.
func testKeptInBytes(t *testing.T, open Opener) {
	s := newStore(t, open)
	var decisions []store.NewDecision
	for i := range 5 {
		at := epoch.Add(time.Duration(i) * time.Second)
		decisions = append(decisions, store.NewDecision{
			Decision: store.Decision{Tenant: "a", ID: DecisionID(at, i), Index: int64(i), Time: at, Outcome: "denied", Intent: "chat"},
			Document: make([]byte, store.MaxPageBytes/2), Disclosures: make([]byte, i*store.MaxPageBytes/2),
		})
	}
	commit(t, s, batchOf("a", decisions))
	var sizes []int
	for after := ""; ; {
		page, err := s.Kept(context.Background(), "a", store.Span{}, after, 100)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		sizes, after = append(sizes, len(page)), page[len(page)-1].ID
	}
	if !reflect.DeepEqual(sizes, []int{2, 1, 1, 1}) {
		t.Errorf("pages of %v", sizes)
	}
	for _, limit := range []int{-1, 0, store.MaxLimit + 1} {
		if _, err := s.Kept(context.Background(), "a", store.Span{}, "", limit); err == nil {
			t.Errorf("a page of %d was given", limit)
		}
	}
	if _, err := s.Kept(context.Background(), "a", store.Span{}, "no id", 1); !errors.Is(err, store.ErrCursor) {
		t.Errorf("a cursor that is no id: %v", err)
	}
}
