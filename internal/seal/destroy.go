package seal

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Destroyed is a subject whose keys were destroyed, by its opaque id, and whether the documents of its decisions were to go too.
type Destroyed struct {
	Tenant, Subject string
	Documents       bool
}

// ErrNotOverwritten says that what was destroyed may still stand in the file, where nothing finds it any more: it could not be written anew, as while somebody else reads it. [Subjects.Scrub], the next destruction and the next start do that.
var ErrNotOverwritten = errors.New("seal: what was destroyed is not overwritten")

// Erase destroys the keys of a subject, once commit has made durable that this is to be done: what was in flight is stored by then, and what comes after is sealed with new keys, under a new id. Where nothing is kept of the subject, it does nothing, and known is false.
//
// When commit succeeds and Erase fails, nothing is sealed with these keys any more, which may still be there: a second call, which commits the same id, the next [Subjects.Record] of the subject, [Subjects.Scrub] and, after a restart, [Subjects.Destroy] try it again. With ErrNotOverwritten they are gone, and only that is left to do.
func (s *Subjects) Erase(ctx context.Context, tenant, subject string, documents bool, commit func(id string) error) (known bool, err error) {
	if known, err = s.erase(ctx, person{tenant, subject}, documents, commit); err != nil {
		return known, err
	}
	return known, s.Scrub(context.WithoutCancel(ctx))
}

func (s *Subjects) erase(ctx context.Context, p person, documents bool, commit func(id string) error) (known bool, err error) {
	lock := &s.locks[s.stripe(p.tenant, p.subject)]
	lock.Lock()
	defer lock.Unlock()
	d, known := s.failed(p)
	if !known {
		if d.Subject, known, err = s.Find(ctx, p.tenant, p.subject); err != nil || !known {
			return known, err
		}
	}
	if err := commit(d.Subject); err != nil {
		return true, err
	}
	return true, s.carryOut(context.WithoutCancel(ctx), p, Destroyed{p.tenant, d.Subject, documents || d.Documents})
}

// carryOut destroys the keys of a subject whose lock the caller has, and remembers it where that fails.
func (s *Subjects) carryOut(ctx context.Context, p person, d Destroyed) error {
	err := s.destroy(ctx, d)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.unfinished[p] = d
		return err
	}
	delete(s.unfinished, p)
	return nil
}

// failed is what of a subject is to be destroyed and could not be.
func (s *Subjects) failed(p person) (Destroyed, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	d, found := s.unfinished[p]
	return d, found
}

// finish destroys what could not be.
func (s *Subjects) finish(ctx context.Context, p person) error {
	lock := &s.locks[s.stripe(p.tenant, p.subject)]
	lock.Lock()
	defer lock.Unlock()
	d, found := s.failed(p)
	if !found {
		return nil
	}
	return s.carryOut(ctx, p, d)
}

// Destroy destroys the keys of subjects by their opaque ids, where they are still there: a store that was restored from a backup has those that were destroyed since. Nothing may be sealed meanwhile.
func (s *Subjects) Destroy(ctx context.Context, list ...Destroyed) error {
	known := map[Destroyed]bool{}
	carried, err := s.Destroyed(ctx)
	if err != nil {
		return err
	}
	for _, d := range carried {
		known[d] = true
	}
	changed := false
	for _, d := range list {
		if known[d] || !d.Documents && known[Destroyed{d.Tenant, d.Subject, true}] {
			continue
		}
		if err := s.destroy(ctx, d); err != nil {
			return err
		}
		changed = true
	}
	if !changed {
		return nil
	}
	return s.scrub(ctx)
}

// Destroyed lists what was destroyed, in order of tenant and id.
func (s *Subjects) Destroyed(ctx context.Context) (list []Destroyed, err error) {
	rows, err := s.file.DB.QueryContext(ctx, "SELECT tenant, subject, documents FROM destroyed ORDER BY tenant, subject")
	if err != nil {
		return nil, fmt.Errorf("seal: reading what was destroyed: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var d Destroyed
		var id []byte
		if err := rows.Scan(&d.Tenant, &id, &d.Documents); err != nil {
			return nil, err
		}
		d.Subject = hex.EncodeToString(id)
		list = append(list, d)
	}
	return list, rows.Err()
}

// destroy ends a subject and its keys, and notes that. What it leaves in the file is for scrub, which the mark asks for.
func (s *Subjects) destroy(ctx context.Context, d Destroyed) error {
	id, err := hex.DecodeString(d.Subject)
	if err != nil || len(id) != idSize {
		return fmt.Errorf("seal: %q is not the id of a subject", d.Subject)
	}
	err = s.change(ctx, func(tx *sql.Tx) error {
		for _, statement := range []struct {
			query string
			args  []any
		}{
			{marks, nil},
			{"DELETE FROM keys WHERE subject IN (SELECT id FROM subjects WHERE tenant = ? AND id = ?)", []any{d.Tenant, id}},
			{"DELETE FROM subjects WHERE tenant = ? AND id = ?", []any{d.Tenant, id}},
			{"INSERT INTO destroyed (tenant, subject, documents) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET documents = max(documents, excluded.documents)", []any{d.Tenant, id, d.Documents}},
		} {
			if _, err := tx.ExecContext(ctx, statement.query, statement.args...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("seal: destroying keys: %w", err)
	}
	s.forget(func(p place, k key) bool {
		return p.tenant == d.Tenant && hex.EncodeToString(k.subject[:]) == d.Subject
	})
	return nil
}

// Due counts the keys of a class of retention whose month is at most the one given, without those of the subjects to keep.
func (s *Subjects) Due(ctx context.Context, tenant, class string, through int64, keep map[string]bool) (int, error) {
	due, err := s.due(ctx, tenant, class, through, keep)
	return len(due), err
}

func (s *Subjects) due(ctx context.Context, tenant, class string, through int64, keep map[string]bool) (due [][]byte, err error) {
	rows, err := s.file.DB.QueryContext(ctx, "SELECT k.id, k.subject FROM keys k JOIN subjects s ON s.id = k.subject WHERE s.tenant = ? AND k.class = ? AND k.month <= ?", tenant, class, through)
	if err != nil {
		return nil, fmt.Errorf("seal: looking for keys that are due: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var id, subject []byte
		if err := rows.Scan(&id, &subject); err != nil {
			return nil, err
		}
		if !keep[hex.EncodeToString(subject)] {
			due = append(due, id)
		}
	}
	return due, rows.Err()
}

// Expire destroys the keys that [Subjects.Due] counts. Nothing is sealed with them any more: their months are past.
func (s *Subjects) Expire(ctx context.Context, tenant, class string, through int64, keep map[string]bool) error {
	due, err := s.due(ctx, tenant, class, through, keep)
	if err != nil || len(due) == 0 {
		return err
	}
	err = s.change(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, marks); err != nil {
			return err
		}
		for _, id := range due {
			if _, err := tx.ExecContext(ctx, "DELETE FROM keys WHERE id = ?", id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("seal: destroying keys: %w", err)
	}
	s.forget(func(p place, k key) bool {
		return p.tenant == tenant && p.class == class && p.month <= through && !keep[hex.EncodeToString(k.subject[:])]
	})
	return s.scrub(ctx)
}

// The mark says that something was deleted and is not yet gone from the file.
const (
	marks   = "PRAGMA user_version = 1"
	unmarks = "PRAGMA user_version = 0"
)

// scrub writes the file anew, without what was deleted, empties the write-ahead log, which holds pages as they were, and takes the mark away.
func (s *Subjects) scrub(ctx context.Context) error {
	failed := func(err error) error { return fmt.Errorf("%w: %w", ErrNotOverwritten, err) }
	if _, err := s.file.DB.ExecContext(ctx, "VACUUM"); err != nil {
		return failed(err)
	}
	var busy, pages, moved int
	if err := s.file.DB.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &moved); err != nil {
		return failed(err)
	}
	if busy != 0 {
		return failed(errors.New("another process reads the store of subjects, so that its write-ahead log can't be emptied: end that one, and restart"))
	}
	if _, err := s.file.DB.ExecContext(ctx, unmarks); err != nil {
		return failed(err)
	}
	return nil
}

// Scrub destroys what could not be destroyed before, and overwrites what could not be overwritten. Where there is nothing, it does nothing.
func (s *Subjects) Scrub(ctx context.Context) error {
	s.mu.RLock()
	due := slices.Collect(maps.Keys(s.unfinished))
	s.mu.RUnlock()
	for _, p := range due {
		if err := s.finish(ctx, p); err != nil {
			return err
		}
	}
	var mark int
	if err := s.file.DB.QueryRowContext(ctx, "PRAGMA user_version").Scan(&mark); err != nil || mark == 0 {
		return err
	}
	return s.scrub(ctx)
}
