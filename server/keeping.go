package server

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/seal"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/verify"
)

// keeping is what a tenant's log says of erasures and holds. It is immutable; who changes it holds s.changing.
type keeping struct {
	holds   map[string]verify.HoldRecord // those in force, by name
	since   map[string]int64             // the index of the entry that put each there
	erased  map[string][]erasure         // by the opaque id of the subject, in log order
	expired []erasure                    // by age, in log order
}

// erasure is an entry that states one.
type erasure struct {
	verify.ErasureRecord
	index int64
	leaf  []byte
}

func (k *keeping) clone() *keeping {
	return &keeping{maps.Clone(k.holds), maps.Clone(k.since), maps.Clone(k.erased), slices.Clone(k.expired)}
}

// hold moves on by the entry of a hold, and erase by that of an erasure.
func (k *keeping) hold(r verify.HoldRecord, index int64) {
	if r.Kind == verify.KindReleased {
		delete(k.holds, r.Hold)
		delete(k.since, r.Hold)
		return
	}
	k.holds[r.Hold], k.since[r.Hold] = r, index
}

func (k *keeping) erase(e erasure) {
	if e.Kind == verify.KindExpired {
		k.expired = append(k.expired, e)
		return
	}
	k.erased[e.Subject] = append(slices.Clip(k.erased[e.Subject]), e)
}

// stated is the last entry that erases a subject, with the documents where that is asked.
func (k *keeping) stated(subject string, documents bool) (erasure, bool) {
	for _, e := range slices.Backward(k.erased[subject]) {
		if e.Documents || !documents {
			return e, true
		}
	}
	return erasure{}, false
}

// holding is what all holds keep together; everything says that they keep all there is.
func (k *keeping) holding() (h store.Holding, everything bool) {
	for _, name := range slices.Sorted(maps.Keys(k.holds)) {
		hold := k.holds[name]
		h.Subjects, h.Decisions = append(h.Subjects, hold.Subjects...), append(h.Decisions, hold.Decisions...)
		everything = everything || hold.Everything
	}
	return h, everything
}

// readKeeping reads the entries of erasures and holds, each held to the key that signed it.
func (s *Server) readKeeping(ctx context.Context, t *tenant) error {
	keys, err := s.signingKeys(ctx, t)
	if err != nil {
		return err
	}
	entries, err := s.ledger.EntriesOf(ctx, t.name, verify.TypErasure, verify.TypHold)
	if err != nil {
		return err
	}
	now := &keeping{holds: map[string]verify.HoldRecord{}, since: map[string]int64{}, erased: map[string][]erasure{}}
	heads := make([]stated, len(entries))
	for i := range entries {
		e := &entries[i]
		if e.Type == verify.TypHold {
			var r verify.HoldRecord
			if err := t.readRecord(e, keys, &r, &r.RecordHead); err != nil {
				return err
			}
			now.hold(r, e.Index)
			heads[i].RecordHead = r.RecordHead
			continue
		}
		var r verify.ErasureRecord
		if err := t.readRecord(e, keys, &r, &r.RecordHead); err != nil {
			return err
		}
		now.erase(erasure{r, e.Index, e.Leaf})
		heads[i].RecordHead = r.RecordHead
	}
	t.keeping.Store(now)
	return t.inOrder(heads, entries)
}

// readRecord verifies an entry of the tenant's log; head is the one of the record.
func (t *tenant) readRecord(e *store.Entry, keys verify.Keys, record any, head *verify.RecordHead) error {
	key, err := verify.Verify(e.Type, e.Leaf, keys, record)
	if err == nil {
		err = t.belongs(*head, e.Index, key)
	}
	if err != nil {
		return t.misplaced(e.Index, "the entry does not hold", err)
	}
	return nil
}

// eraseUnfinished does what the logs, or the store of subjects, say was erased and one of the two lacks: an end of the process between the entry and the destruction, or a backup of either that was restored. It comes before anything is served.
func (s *Server) eraseUnfinished(ctx context.Context) error {
	destroyed, err := s.config.Subjects.Destroyed(ctx)
	if err != nil {
		return err
	}
	var due []seal.Destroyed
	for _, t := range s.openTenants() {
		if t.before, err = s.erasedBefore(ctx, t); err != nil {
			return err
		}
		done := slices.Clone(destroyed)
		for _, r := range t.before {
			if r.Kind == verify.KindErased {
				done = append(done, seal.Destroyed{Tenant: t.name, Subject: r.Subject, Documents: r.Documents})
			}
		}
		if err := s.eraseAgain(ctx, t, done); err != nil {
			return err
		}
		if err := s.eraseLater(ctx, t); err != nil {
			return err
		}
		now := t.keeping.Load()
		for _, id := range slices.Sorted(maps.Keys(now.erased)) {
			_, documents := now.stated(id, true)
			due = append(due, seal.Destroyed{Tenant: t.name, Subject: id, Documents: documents})
		}
	}
	if err := s.config.Subjects.Destroy(ctx, due...); err != nil {
		return err
	}
	for _, t := range s.openTenants() {
		if err := s.expireAgain(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// erasuresAtOnce is how many erasures one commit states at a start.
const erasuresAtOnce = 200

// eraseAgain states in the tenant's log what was erased and what this log, restored from before or begun anew, does not know of, and erases the documents that came back.
func (s *Server) eraseAgain(ctx context.Context, t *tenant, done []seal.Destroyed) error {
	a := act{actor: s.config.Issuer, reason: "it was erased before this store was restored from a backup, or this log begun anew", at: s.now()}
	unknown := map[string]bool{} // by subject, with documents or without
	for _, d := range done {
		if _, known := t.keeping.Load().stated(d.Subject, d.Documents); d.Tenant == t.name && !known {
			unknown[d.Subject] = unknown[d.Subject] || d.Documents
		}
	}
	return s.eraseSubjects(ctx, t, a, unknown)
}

// eraseLater states anew the erasures after which something was sealed with the same keys all the same: a release of before went on with them where it could not destroy them. What is erased is then erased by an entry that stands behind it, as whoever verifies it expects.
func (s *Server) eraseLater(ctx context.Context, t *tenant) error {
	later := map[string]bool{}
	now := t.keeping.Load()
	for id, entries := range now.erased {
		since, err := s.decidedSince(ctx, t, id, &entries[len(entries)-1])
		if err != nil {
			return err
		}
		if since {
			_, later[id] = now.stated(id, true)
		}
	}
	a := act{actor: s.config.Issuer, reason: "it could not be carried out when it was asked for, and is now, with what was decided meanwhile", at: s.now()}
	return s.eraseSubjects(ctx, t, a, later)
}

// decidedSince reports whether a decision of the subject stands behind an entry. A decision is found by its own time, which may be a little before that of its place.
func (s *Server) decidedSince(ctx context.Context, t *tenant, subject string, e *erasure) (bool, error) {
	q := store.Query{Subject: subject, From: time.Unix(e.IAT, 0).Add(-time.Hour), Limit: store.MaxLimit}
	for {
		page, err := s.ledger.Search(ctx, t.name, q)
		if err != nil || slices.ContainsFunc(page.Decisions, func(d store.Decision) bool { return d.Index > e.index }) {
			return err == nil, err
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return false, nil
		}
	}
}

// eraseSubjects states erasures, with the documents or without, and erases what there is. The keys are destroyed after it.
func (s *Server) eraseSubjects(ctx context.Context, t *tenant, a act, documents map[string]bool) error {
	for subjects := range slices.Chunk(slices.Sorted(maps.Keys(documents)), erasuresAtOnce) {
		list := make([]erasing, len(subjects))
		for i, id := range subjects {
			list[i].record = verify.ErasureRecord{Kind: verify.KindErased, Subject: id, Documents: documents[id]}
			list[i].of = t.everywhere(store.Erasure{Subject: id, Documents: documents[id]})
		}
		if _, err := s.eraseEntries(ctx, t, a, list...); err != nil {
			return err
		}
	}
	return nil
}

// erasing is an erasure to be stated: the record without its head and who makes it, and what is deleted with it.
type erasing struct {
	record verify.ErasureRecord
	of     []store.Erasure
}

// eraseEntries makes erasures durable, all or none: from then on what they are about can't be read in the store. The keys are destroyed after it. The caller holds s.changing, or nobody else changes anything yet.
func (s *Server) eraseEntries(ctx context.Context, t *tenant, a act, list ...erasing) ([]erasure, error) {
	entries := make([]ledger.Entry, len(list))
	for i := range list {
		r := &list[i].record
		r.RecordHead, r.Actor, r.Reason = t.head(s.ledger.Size(t.name), a.at), a.actor, a.reason
		entry, err := s.entry(t, verify.TypErasure, *r)
		if err != nil {
			return nil, err
		}
		entry.Erasures = list[i].of
		entries[i] = entry
	}
	indices, err := s.ledger.Append(ctx, entries...)
	if err != nil {
		return nil, notStored(err)
	}
	next, made := t.keeping.Load().clone(), make([]erasure, len(list))
	for i := range list {
		made[i] = erasure{list[i].record, indices[i], entries[i].Leaf}
		next.erase(made[i])
	}
	t.keeping.Store(next)
	return made, nil
}

// whyGone finds the entry by which the content of a decision, or its document, was erased; false where none says so. In the decision's own log it stands behind the decision: one before it was about what there was then.
func (s *Server) whyGone(ctx context.Context, t *tenant, d store.Decision, retention string, document bool) (erasure, bool, error) {
	now := t.keeping.Load()
	subjects, err := s.ledger.Subjects(ctx, t.logName(), d.ID)
	if err != nil {
		return erasure{}, false, err
	}
	about := func(e *erasure) bool {
		return (e.Documents || !document) && (e.Log != t.origin || e.index > d.Index)
	}
	for _, id := range subjects {
		for i := range now.erased[id] {
			if e := &now.erased[id][i]; about(e) {
				return *e, true, nil
			}
		}
	}
	for i := range now.expired {
		e := &now.expired[i]
		month, err := time.Parse(monthForm, e.Through)
		if err == nil && e.Retention == retention && about(e) && seal.MonthOf(d.Time) <= seal.MonthOf(month) {
			return *e, true, nil
		}
	}
	return erasure{}, false, nil
}

// whyGoneOf is [Server.whyGone] with the class that the decision's statement claims.
func (s *Server) whyGoneOf(ctx context.Context, t *tenant, d store.Decision, statement []byte, document bool) (erasure, bool, error) {
	keys, err := s.publicKeys(ctx)
	if err != nil {
		return erasure{}, false, err
	}
	claims, err := t.holdDocument(d, statement, nil, keys)
	if err != nil {
		return erasure{}, false, err
	}
	return s.whyGone(ctx, t, d, claims.Retention, document)
}

// unexplained is that a document is missing for no reason.
func (t *tenant) unexplained(d store.Decision) error {
	return t.misplaced(d.Index, "the document of decision "+d.ID+" is not stored, and no entry says that it was erased", nil)
}

// erasedDocument is the problem of a decision whose document is not stored.
func (s *Server) erasedDocument(ctx context.Context, t *tenant, d store.Decision, statement []byte) error {
	e, found, err := s.whyGoneOf(ctx, t, d, statement, true)
	if err != nil {
		return err
	}
	if !found {
		return t.unexplained(d)
	}
	return newProblem(http.StatusGone, "erased", fmt.Sprintf("The document of this decision was erased, as entry %d of the log %s says. Its statement and its evidence without the document are there still.", e.index, e.Log))
}
