package server

import (
	"context"
	"fmt"

	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/verify"
)

// outcomeRows holds the rows that the history counts to the entries that state them, in log order. That each has an entry, and each entry a row, the ledger has checked.
type outcomeRows struct {
	s    *Server
	t    *tenant
	page []store.Attempt
}

// hold compares the row of an entry with what the leaf says. Like all that is read of the whole log at a start, its signature is left to `caio log verify`, and to those who derive the history again.
func (r *outcomeRows) hold(ctx context.Context, e *store.Entry) error {
	if len(r.page) == 0 || r.page[len(r.page)-1].Index < e.Index {
		var err error
		if r.page, err = r.s.ledger.AttemptsFrom(ctx, r.t.name, e.Index, entriesAtOnce); err != nil {
			return err
		}
	}
	for len(r.page) > 0 && r.page[0].Index < e.Index {
		r.page = r.page[1:]
	}
	if len(r.page) == 0 || r.page[0].Index != e.Index {
		return r.t.misplaced(e.Index, "an outcome without its attempt", nil)
	}
	said, err := statedAttempt(e)
	if err != nil {
		return r.t.misplaced(e.Index, "no outcome", err)
	}
	is := r.page[0]
	// The payload states whole seconds; entries of before leave the intent type out, and their rows state milliseconds.
	said.Time = is.Time
	if said.Intent == "" {
		said.Intent = is.Intent
	}
	if said.IAT != is.Time.Unix() || said.Attempt != is {
		return r.t.misplaced(e.Index, fmt.Sprintf("the attempt says something else than its entry: %s, %d ms, of %s", is.Status, is.LatencyMS, is.Service), nil)
	}
	return nil
}

// statedOutcome is the attempt that an entry states, and its time in seconds.
type statedOutcome struct {
	store.Attempt
	IAT int64
}

func statedAttempt(e *store.Entry) (said statedOutcome, err error) {
	var r verify.OutcomeRecord
	err = verify.Claims(e.Leaf, &r)
	return statedOutcome{store.Attempt{
		Tenant: e.Tenant, Index: e.Index, Decision: r.Decision, Service: r.Service, Intent: r.Intent, Status: r.Status, OK: r.Met(),
		LatencyMS: r.LatencyMS, CostMicroUSD: r.CostMicroUSD, SelfReported: r.Source == verify.SelfReported,
	}, r.IAT}, err
}
