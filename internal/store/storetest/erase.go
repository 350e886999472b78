package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/internal/store"
	"pgregory.net/rapid"
)

// withAnswers is a batch of decisions each of which has everything beside it, and an answer to an idempotency key.
func withAnswers(tenant string, decisions []store.NewDecision) *store.Batch {
	b := batchOf(tenant, decisions)
	for i := range decisions {
		decisions[i].Document, decisions[i].Disclosures = fmt.Appendf(nil, "document %d", i), fmt.Appendf(nil, "disclosures %d", i)
		b.Answers = append(b.Answers, store.Answer{Tenant: tenant, Key: fmt.Sprint("key ", i), Call: "POST /x", Request: "q", Status: 200, Body: []byte("answer"), Index: int64(i)})
	}
	return b
}

func drawErasure(t *rapid.T, tenant string, decisions []store.NewDecision) store.Erasure {
	e := store.Erasure{Tenant: tenant, Documents: rapid.Bool().Draw(t, "documents")}
	if rapid.Bool().Draw(t, "by subject") {
		e.Subject = rapid.SampledFrom(append([]string{SubjectID(9)}, subjects...)).Draw(t, "subject")
		return e
	}
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		return epoch.Add(time.Duration(rapid.IntRange(-1, 22).Draw(t, "ms")) * time.Millisecond)
	})
	e.Retention, e.From, e.To = rapid.SampledFrom(classes).Draw(t, "retention"), rapid.OneOf(rapid.Just(time.Time{}), moment).Draw(t, "from"), moment.Draw(t, "to")
	e.Keep = drawHolding(t, decisions)
	return e
}

func drawHolding(t *rapid.T, decisions []store.NewDecision) (h store.Holding) {
	h.Subjects = rapid.SliceOfDistinct(rapid.SampledFrom(subjects), rapid.ID[string]).Draw(t, "held subjects")
	for i := range decisions {
		if rapid.IntRange(0, 9).Draw(t, "held") == 0 {
			h.Decisions = append(h.Decisions, decisions[i].ID)
		}
	}
	return h
}

// holds and goes are the definitions.
func holds(h store.Holding, d *store.NewDecision) bool {
	return slices.Contains(h.Decisions, d.ID) || slices.ContainsFunc(d.Subjects, func(s string) bool { return slices.Contains(h.Subjects, s) })
}

func goes(e store.Erasure, d *store.NewDecision) bool {
	if e.Subject != "" {
		return slices.Contains(d.Subjects, e.Subject)
	}
	return d.Retention == e.Retention && !d.Time.Before(e.From) && d.Time.Before(e.To) && !holds(e.Keep, d)
}

// testErasures erases twice, and compares what is left, and what was counted before, with the definition.
func testErasures(t *testing.T, open Opener) {
	ctx, s, runs := context.Background(), newStore(t, open), 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		tenant := fmt.Sprint("tenant ", runs)
		decisions := drawDecisions(rt, tenant, rapid.IntRange(1, 15).Draw(rt, "decisions"))
		commit(t, s, withAnswers(tenant, decisions))
		gone, without := map[string]bool{}, map[string]bool{}
		for range 2 {
			e := drawErasure(rt, tenant, decisions)
			due := int64(0)
			for i := range decisions {
				d := &decisions[i]
				if !goes(e, d) {
					continue
				}
				if e.Documents && !without[d.ID] || !e.Documents && !gone[d.ID] {
					due++
				}
				gone[d.ID], without[d.ID] = true, without[d.ID] || e.Documents
			}
			if n, err := s.Erasable(ctx, e); err != nil || n != due {
				rt.Fatalf("%+v: %d are counted, %v, and %d are due", e, n, err, due)
			}
			commit(t, s, &store.Batch{Erasures: []store.Erasure{e}})
		}
		for i := range decisions {
			d := &decisions[i]
			leftOf(rt, s, d, i, gone[d.ID], without[d.ID])
		}
		h := drawHolding(rt, decisions)
		want := []string(nil)
		for i := range decisions {
			if holds(h, &decisions[i]) {
				want = append(want, decisions[i].Subjects...)
			}
		}
		slices.Sort(want)
		if got, err := s.Held(ctx, tenant, h); err != nil || !slices.Equal(got, slices.Compact(want)) {
			rt.Fatalf("%+v: held are %v, %v, not %v", h, got, err, want)
		}
	})
}

// leftOf compares what is left of one decision: its row but for what is the document's, its leaf and whom it is about in any case.
func leftOf(t *rapid.T, s store.Store, d *store.NewDecision, i int, gone, without bool) {
	ctx := context.Background()
	want := d.Decision
	if without {
		want.Route, want.Intent = "", ""
	}
	if row, err := s.Decision(ctx, d.Tenant, d.ID); err != nil || !reflect.DeepEqual(row, want) {
		t.Fatalf("the row: %v, %v", row, err)
	}
	for _, constraint := range d.Constraints {
		page, err := s.Search(ctx, d.Tenant, store.Query{Constraint: constraint, Limit: store.MaxLimit})
		if err != nil || slices.Contains(page.Decisions, want) == without {
			t.Fatalf("found by what it violated, %s, without its document %t: %v, %v", constraint, without, page.Decisions, err)
		}
	}
	if leaf, err := s.Statement(ctx, d.Tenant, d.ID); err != nil || string(leaf) != fmt.Sprintf("leaf %d", d.Index) {
		t.Fatalf("the leaf: %q, %v", leaf, err)
	}
	about := slices.Sorted(slices.Values(d.Subjects))
	if got, err := s.Subjects(ctx, d.Tenant, d.ID); err != nil || !slices.Equal(got, about) {
		t.Fatalf("subjects: %v, %v", got, err)
	}
	text, err := s.Disclosures(ctx, d.Tenant, d.ID)
	if gone != errors.Is(err, store.ErrNotFound) || !gone && string(text) != fmt.Sprintf("disclosures %d", i) {
		t.Fatalf("disclosures, gone %t: %q, %v", gone, text, err)
	}
	if text, err = s.Document(ctx, d.Tenant, d.ID); without != errors.Is(err, store.ErrNotFound) || !without && string(text) != fmt.Sprintf("document %d", i) {
		t.Fatalf("the document, gone %t: %q, %v", without, text, err)
	}
	if _, err := s.Answer(ctx, d.Tenant, fmt.Sprint("key ", i), "POST /x"); gone != errors.Is(err, store.ErrNotFound) {
		t.Fatalf("the answer, gone %t: %v", gone, err)
	}
}

// testEraseOnlyTheirs: an erasure of one tenant's touches no other's, though the ids are the same.
func testEraseOnlyTheirs(t *testing.T, open Opener) {
	ctx, s := context.Background(), newStore(t, open)
	commit(t, s, everything("a"))
	commit(t, s, everything("b"))
	commit(t, s, &store.Batch{Erasures: []store.Erasure{
		{Tenant: "b", Subject: SubjectID(1), Documents: true}, {Tenant: "b", Retention: "standard", To: epoch.Add(time.Hour), Documents: true}, {Tenant: "c", Subject: SubjectID(1), Documents: true},
	}})
	compare(t, contents(s, "a"), want("a"))
	if _, err := s.Document(ctx, "b", DecisionID(epoch, 1)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the other's document: %v", err)
	}
	if list, err := s.Clear(ctx, 10); err != nil || len(list) != 0 {
		t.Errorf("a new store holds clear disclosures: %v, %v", list, err)
	}
}
