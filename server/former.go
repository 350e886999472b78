package server

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"

	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/verify"
)

// A tenant's log may follow others that were given up ([Recover]). What people asked for goes on to hold of these: what is erased is erased there too, and what is held is held there.

// logName is the name under which the store keeps the log: the tenant's, but for a log that was given up.
func (t *tenant) logName() string { return cmp.Or(t.as, t.name) }

// withLogOf is the tenant as it reads a decision: itself, or with the log that was given up and holds the decision. That one can only be read. The error is store.ErrNotFound where no log of the tenant holds it.
func (s *Server) withLogOf(ctx context.Context, t *tenant, id string) (*tenant, error) {
	_, err := s.ledger.Decision(ctx, t.name, id)
	if err == nil || !errors.Is(err, store.ErrNotFound) {
		return t, err
	}
	for _, log := range t.former {
		_, err := s.ledger.Decision(ctx, log.Tenant, id)
		if err == nil {
			return t.reading(log), nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
	}
	return nil, store.ErrNotFound
}

// reading is the tenant with a log that was given up. What was erased of it stands in that log, or in one that followed.
func (t *tenant) reading(log store.Log) *tenant {
	past := &tenant{name: t.name, as: log.Tenant, origin: log.Origin}
	past.now.Store(t.now.Load())
	erased := &keeping{erased: map[string][]erasure{}}
	for _, own := range []bool{true, false} {
		for _, e := range t.before {
			if own == (e.Log == log.Origin) {
				erased.erase(e)
			}
		}
	}
	now := t.keeping.Load()
	for _, e := range slices.Concat(append(slices.Collect(maps.Values(now.erased)), now.expired)...) {
		erased.erase(e)
	}
	past.keeping.Store(erased)
	return past
}

// unproved is what is said where the tree of a log lacks what a proof takes: of one that was given up, whose tree was damaged, that it is not for the decision.
func (t *tenant) unproved(err error) error {
	if t.as == "" || !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return newProblem(http.StatusConflict, "log-damaged", "The log "+t.origin+" was given up with a tree that is damaged, so that it proves of none of its entries that it is there. The document and the statement of the decision can still be read.").because(err)
}

// names are those under which the store keeps the tenant's logs: the one in use, and those that were given up.
func (t *tenant) names() []string {
	names := []string{t.name}
	for _, log := range t.former {
		names = append(names, log.Tenant)
	}
	return names
}

// everywhere is an erasure in every log of the tenant.
func (t *tenant) everywhere(of store.Erasure) []store.Erasure {
	var list []store.Erasure
	for _, of.Tenant = range t.names() {
		list = append(list, of)
	}
	return list
}

// erasable counts the decisions of which erasures would delete something.
func (s *Server) erasable(ctx context.Context, list []store.Erasure) (count int64, err error) {
	for _, of := range list {
		n, err := s.ledger.Erasable(ctx, of)
		if err != nil {
			return 0, err
		}
		count += n
	}
	return count, nil
}

// heldSubjects are the opaque ids of those who take part in decisions that are held, in whichever log.
func (s *Server) heldSubjects(ctx context.Context, t *tenant, h store.Holding) (subjects []string, err error) {
	for _, name := range t.names() {
		list, err := s.ledger.Held(ctx, name, h)
		if err != nil {
			return nil, err
		}
		subjects = append(subjects, list...)
	}
	return subjects, nil
}

// isDecided is store.ErrNotFound for the id of no decision in any log of the tenant.
func (s *Server) isDecided(ctx context.Context, t *tenant, id string) (err error) {
	for _, name := range t.names() {
		if _, err = s.ledger.Decision(ctx, name, id); !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return err
}

// holds puts the holds that were in force in force again, on the ground and for the reason of before: documents of the log that was given up are held as well.
func (b *beginning) holds() {
	held := b.old.keeping.Load().holds
	for _, name := range slices.Sorted(maps.Keys(held)) {
		r := held[name]
		r.RecordHead, r.Actor = b.new.head(0, b.act.at), b.act.actor
		b.add(b.s.entry(b.new, verify.TypHold, r))
	}
}

// erasedBefore is what the logs that were given up say was erased of the tenant. Each of their entries is read by the type that was signed, since the one under which it is listed could have been changed to hide it. Such a log may be damaged: what in it does not hold is told of, and says nothing.
func (s *Server) erasedBefore(ctx context.Context, t *tenant) (list []erasure, err error) {
	if len(t.former) == 0 {
		return nil, nil
	}
	keys, err := s.publicKeys(ctx)
	if err != nil {
		return nil, err
	}
	for _, log := range t.former {
		was := &tenant{name: log.Was, origin: log.Origin}
		unread := func(index int64, err error) {
			s.config.Logger.Error("an entry of a log that was given up does not hold; had it stated an erasure, that is not carried out again", "log", log.Origin, "index", index, slog.Any("error", err))
		}
		err := s.eachEntry(ctx, log.Tenant, func(e *store.Entry, typ string, err error) error {
			if err == nil && e.Type != typ {
				unread(e.Index, was.misplaced(e.Index, "an entry listed as "+e.Type+", which was signed as "+typ, nil))
			}
			if err == nil && typ != verify.TypErasure {
				return nil
			}
			var r verify.ErasureRecord
			if err == nil {
				e.Type = typ
				err = was.readRecord(e, keys, &r, &r.RecordHead)
			}
			if err != nil {
				unread(e.Index, err)
				return nil
			}
			list = append(list, erasure{r, e.Index, slices.Clone(e.Leaf)})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}
