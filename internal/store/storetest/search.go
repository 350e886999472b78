package storetest

import (
	"cmp"
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/internal/store"
	"pgregory.net/rapid"
)

var (
	constraints = []string{"GDPR-44", "SPEND-1", "access.trust"}
	services    = []string{"", "s", "t", "u"}
	intents     = []string{"chat", "embeddings"}
	outcomes    = []string{"routed", "denied"}
	subjects    = []string{SubjectID(1), SubjectID(2), SubjectID(3), SubjectID(4)}
	classes     = []string{"standard", "short"}
)

// drawDecisions draws decisions of a tenant that differ in few values, many of one ms.
func drawDecisions(t *rapid.T, tenant string, n int) []store.NewDecision {
	decisions := make([]store.NewDecision, n)
	for i := range decisions {
		at := epoch.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "ms")) * time.Millisecond)
		decisions[i] = store.NewDecision{
			Decision: store.Decision{
				Tenant: tenant, ID: DecisionID(at, i), Index: int64(i), Time: at,
				Outcome: rapid.SampledFrom(outcomes).Draw(t, "outcome"), Service: rapid.SampledFrom(services).Draw(t, "service"), Intent: rapid.SampledFrom(intents).Draw(t, "intent"),
				Route: "internal", Retention: rapid.SampledFrom(classes).Draw(t, "retention"),
			},
			Constraints: rapid.SliceOfDistinct(rapid.SampledFrom(constraints), rapid.ID[string]).Draw(t, "constraints"),
			Subjects:    rapid.SliceOfDistinct(rapid.SampledFrom(subjects), rapid.ID[string]).Draw(t, "subjects"),
		}
	}
	return decisions
}

func drawQuery(t *rapid.T) store.Query {
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		half := rapid.IntRange(-2, 44).Draw(t, "half ms")
		return epoch.Add(time.Duration(half) * time.Millisecond / 2)
	})
	sometimes := func(values []string) *rapid.Generator[string] {
		return rapid.OneOf(rapid.Just(""), rapid.SampledFrom(append(slices.Clone(values), "unknown")))
	}
	return store.Query{
		From: rapid.OneOf(rapid.Just(time.Time{}), moment).Draw(t, "from"), To: rapid.OneOf(rapid.Just(time.Time{}), moment).Draw(t, "to"),
		Service: sometimes(services).Draw(t, "service"), Outcome: sometimes(outcomes).Draw(t, "outcome"),
		Constraint: sometimes(constraints).Draw(t, "constraint"), Intent: sometimes(intents).Draw(t, "intent"),
		Subject: rapid.SampledFrom(append([]string{"", "", SubjectID(9)}, subjects...)).Draw(t, "subject"),
		Limit:   rapid.IntRange(1, 12).Draw(t, "limit"),
	}
}

// search is the definition: every decision that satisfies the query, the newest first.
func search(decisions []store.NewDecision, q store.Query) []store.Decision {
	var found []store.Decision
	for _, d := range decisions {
		if (q.From.IsZero() || !d.Time.Before(q.From)) && (q.To.IsZero() || d.Time.Before(q.To)) &&
			(q.Service == "" || q.Service == d.Service) && (q.Outcome == "" || q.Outcome == d.Outcome) && (q.Intent == "" || q.Intent == d.Intent) &&
			(q.Constraint == "" || slices.Contains(d.Constraints, q.Constraint)) && (q.Subject == "" || slices.Contains(d.Subjects, q.Subject)) {
			found = append(found, d.Decision)
		}
	}
	slices.SortFunc(found, func(a, b store.Decision) int { return cmp.Compare(b.ID, a.ID) })
	return found
}

// testSearch holds every page of random queries against the definition.
func testSearch(t *testing.T, open Opener) {
	rapid.Check(t, func(rt *rapid.T) {
		s := open(t, t.TempDir())
		defer s.Close()
		n := rapid.IntRange(0, 60).Draw(rt, "decisions")
		decisions := drawDecisions(rt, "a", n)
		for _, tenant := range []string{"a", "b"} {
			b := &store.Batch{Logs: newLog(tenant, int64(n)), Decisions: slices.Clone(decisions)}
			for i := range b.Decisions {
				b.Decisions[i].Tenant = tenant
				b.Entries = append(b.Entries, store.Entry{Tenant: tenant, Index: int64(i), Type: "typ", Leaf: []byte("leaf")})
			}
			commit(t, s, b)
		}
		for range 20 {
			q := drawQuery(rt)
			want := search(decisions, q)
			for first := true; first || q.Cursor != ""; first = false {
				page, err := s.Search(context.Background(), "a", q)
				if err != nil {
					rt.Fatal(err)
				}
				size := min(q.Limit, len(want))
				if len(page.Decisions) != size || size > 0 && !reflect.DeepEqual(page.Decisions, want[:size]) {
					rt.Fatalf("%+v:\n got %v\nwant %v", q, page.Decisions, want[:size])
				}
				want = want[size:]
				if (page.Next != "") != (len(want) > 0) {
					rt.Fatalf("%+v: next is %q, and %d are left", q, page.Next, len(want))
				}
				q.Cursor = page.Next
			}
		}
	})
}

func testSearchRefuses(t *testing.T, open Opener) {
	s := newStore(t, open)
	for _, cursor := range []string{"x", "AAAA", "!", "AAAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAB"} {
		if _, err := s.Search(context.Background(), "a", store.Query{Limit: 1, Cursor: cursor}); !errors.Is(err, store.ErrCursor) {
			t.Errorf("cursor %q: %v", cursor, err)
		}
	}
	for _, limit := range []int{-1, 0, store.MaxLimit + 1} {
		if _, err := s.Search(context.Background(), "a", store.Query{Limit: limit}); err == nil {
			t.Errorf("a page of %d was allowed", limit)
		}
	}
}

// testRecent asks for every moment which attempts are the latest n that are not older, of all and of those that Recent gave.
func testRecent(t *testing.T, open Opener) {
	rapid.Check(t, func(rt *rapid.T) {
		s := open(t, t.TempDir())
		defer s.Close()
		inOrder := rapid.Bool().Draw(rt, "times in log order")
		var all []store.Attempt
		b := &store.Batch{Logs: newLog("a", 40)}
		for i := range int64(40) {
			at := epoch.Add(time.Duration(i) * time.Millisecond)
			if !inOrder {
				at = epoch.Add(time.Duration(rapid.IntRange(0, 40).Draw(rt, "ms")) * time.Millisecond)
			}
			a := store.Attempt{Tenant: "a", Index: i, Decision: DecisionID(epoch, 1), Service: rapid.SampledFrom(services[1:3]).Draw(rt, "service"), Intent: "chat", Time: at}
			b.Entries = append(b.Entries, store.Entry{Tenant: "a", Index: i, Type: "typ", Leaf: []byte("leaf")})
			b.Attempts = append(b.Attempts, a)
			if a.Service == "s" {
				all = append(all, a)
			}
		}
		commit(t, s, b)
		n := rapid.IntRange(1, 8).Draw(rt, "n")
		got, err := s.Recent(context.Background(), store.Window{Tenant: "a", Intent: "chat", Service: "s"}, n)
		if err != nil {
			rt.Fatal(err)
		}
		if inOrder && len(got) != min(n, len(all)) {
			rt.Fatalf("%d of %d attempts in order of time, for the latest %d", len(got), len(all), n)
		}
		for ms := -1; ms <= 41; ms++ {
			oldest := epoch.Add(time.Duration(ms) * time.Millisecond)
			if of, want := latest(got, n, oldest), latest(all, n, oldest); !reflect.DeepEqual(of, want) {
				rt.Fatalf("the latest %d since %d ms:\n got %v\nwant %v", n, ms, of, want)
			}
		}
	})
}

// latest is the definition: the latest n, in log order, of those that are not older.
func latest(attempts []store.Attempt, n int, oldest time.Time) []store.Attempt {
	young := slices.DeleteFunc(slices.Clone(attempts), func(a store.Attempt) bool { return a.Time.Before(oldest) })
	young = young[max(0, len(young)-n):]
	if len(young) == 0 {
		return nil
	}
	return young
}
