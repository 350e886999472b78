package seal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
)

// wanted is keys to be made, with the answer.
type wanted struct {
	places []place
	keys   []key
	done   chan error
}

// ErrClosed says that the store is closed.
var ErrClosed = errors.New("seal: the store of subjects is closed")

// makeKeys gives the keys of the places, and makes those that are not there.
func (s *Subjects) makeKeys(ctx context.Context, places []place) ([]key, error) {
	w := &wanted{places: places, done: make(chan error, 1)}
	if err := s.enqueue(ctx, w); err != nil {
		return nil, err
	}
	select {
	case err := <-w.done:
		return w.keys, err
	case <-ctx.Done():
		return nil, ctx.Err() // a key that is made all the same is found the next time
	}
}

func (s *Subjects) enqueue(ctx context.Context, w *wanted) error {
	s.closing.RLock()
	defer s.closing.RUnlock()
	if s.closed {
		return ErrClosed
	}
	select {
	case s.queue <- w:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// write makes keys until the store is closed: those of all who wait in one transaction, so that many new subjects pay for few syncs.
func (s *Subjects) write() {
	defer close(s.stopped)
	for first := range s.queue {
		group := s.gather(first)
		made, err := s.makeAll(context.Background(), group)
		if err != nil {
			err = fmt.Errorf("seal: making keys: %w", err)
		} else {
			s.remember(made)
		}
		for _, w := range group {
			w.done <- err
		}
	}
}

// gather takes whatever else is waiting, without waiting for more.
func (s *Subjects) gather(first *wanted) []*wanted {
	group := []*wanted{first}
	for len(group) < cap(s.queue) {
		select {
		case w, ok := <-s.queue:
			if !ok {
				return group
			}
			group = append(group, w)
		default:
			return group
		}
	}
	return group
}

func (s *Subjects) makeAll(ctx context.Context, group []*wanted) (map[place]key, error) {
	made := map[place]key{}
	err := s.change(ctx, func(tx *sql.Tx) error {
		for _, w := range group {
			for _, p := range w.places {
				k, ok := made[p]
				if !ok {
					var err error
					if k, err = s.keyAt(ctx, tx, p); err != nil {
						return err
					}
					made[p] = k
				}
				w.keys = append(w.keys, k)
			}
		}
		return nil
	})
	return made, err
}

// change runs one transaction.
func (s *Subjects) change(ctx context.Context, do func(tx *sql.Tx) error) error {
	tx, err := s.file.DB.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// keyAt reads the key of a place, or makes it, and its subject.
func (s *Subjects) keyAt(ctx context.Context, tx *sql.Tx, p place) (k key, err error) {
	name := s.name(p.tenant, p.subject)
	var id, secret []byte
	err = tx.QueryRowContext(ctx, "SELECT id FROM subjects WHERE tenant = ? AND name = ?", p.tenant, name).Scan(&id)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		if err = s.draw(k.subject[:]); err == nil {
			_, err = tx.ExecContext(ctx, "INSERT INTO subjects (id, tenant, name) VALUES (?, ?, ?)", k.subject[:], p.tenant, name)
		}
	case err == nil:
		copy(k.subject[:], id)
	}
	if err != nil {
		return k, err
	}
	err = tx.QueryRowContext(ctx, "SELECT id, secret FROM keys WHERE subject = ? AND class = ? AND month = ?", k.subject[:], p.class, p.month).Scan(&id, &secret)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		if err = errors.Join(s.draw(k.id[:]), s.draw(k.secret[:])); err == nil {
			_, err = tx.ExecContext(ctx, "INSERT INTO keys (id, subject, class, month, secret) VALUES (?, ?, ?, ?, ?)", k.id[:], k.subject[:], p.class, p.month, k.secret[:])
		}
	case err == nil:
		copy(k.id[:], id)
		copy(k.secret[:], secret)
	}
	return k, err
}

func (s *Subjects) draw(into []byte) error {
	_, err := io.ReadFull(s.random, into)
	return err
}
