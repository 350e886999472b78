package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"

	"github.com/smarthausgroup/caio/internal/store"
)

// writer is the connection that writes, with its statements prepared.
type writer struct {
	conn       *sql.Conn
	statements map[string]*sql.Stmt
	packer     packer
	inDoubt    bool // a begin or a rollback failed: the connection may be inside a transaction
}

func newWriter(ctx context.Context, db *sql.DB) (*writer, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &writer{conn: conn, statements: map[string]*sql.Stmt{}}, nil
}

func (w *writer) close() error {
	var errs []error
	for _, statement := range w.statements {
		errs = append(errs, statement.Close())
	}
	return errors.Join(append(errs, w.conn.Close())...)
}

// exec runs a statement, prepared at its first use, and returns how many rows it changed.
func (w *writer) exec(ctx context.Context, query string, args ...any) (int64, error) {
	statement := w.statements[query]
	if statement == nil {
		var err error
		if statement, err = w.conn.PrepareContext(ctx, query); err != nil {
			return 0, err
		}
		w.statements[query] = statement
	}
	result, err := statement.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// Commit implements [store.Store].
func (s *Store) Commit(ctx context.Context, b *store.Batch) error {
	w := s.writer
	if err := w.begin(ctx); err != nil {
		return fmt.Errorf("sqlite: beginning a transaction: %w", meaning(err))
	}
	err := w.write(ctx, b)
	if err == nil {
		_, err = w.exec(ctx, "COMMIT")
	}
	if err != nil {
		// SQLite has rolled back by itself after some errors, and then says that there is no transaction.
		_, failed := w.exec(context.WithoutCancel(ctx), "ROLLBACK")
		w.inDoubt = failed != nil
		return fmt.Errorf("sqlite: %w", meaning(err))
	}
	if len(b.Erasures)+len(b.Sealed) > 0 {
		// It is committed: what fails here is done at the next one.
		_ = w.scrub(context.WithoutCancel(ctx), b)
	}
	return nil
}

// begin takes the write lock at once, so that nothing that is read inside the transaction can be out of date.
func (w *writer) begin(ctx context.Context) error {
	if w.inDoubt {
		// Either succeeds and ends what was left open, or fails since nothing was: BEGIN tells.
		_, _ = w.exec(context.WithoutCancel(ctx), "ROLLBACK")
	}
	_, err := w.exec(ctx, "BEGIN IMMEDIATE")
	w.inDoubt = err != nil
	return err
}

// write writes the rows, those first to which others refer.
func (w *writer) write(ctx context.Context, b *store.Batch) error {
	if err := w.giveUp(ctx, b); err != nil {
		return err
	}
	for i := range b.Logs {
		if err := w.advance(ctx, &b.Logs[i]); err != nil {
			return err
		}
	}
	if reflect.DeepEqual(*b, store.Batch{}) {
		// The number means nothing; setting it writes a page, the same value too.
		_, err := w.exec(ctx, "PRAGMA user_version = 1")
		return err
	}
	steps := []func(context.Context, *store.Batch) error{w.entries, w.tree, w.decisions, w.sealed, w.events, w.blobs, w.grants, w.attempts, w.answers, w.apiKeys, w.signingKeys, w.erasures}
	for _, step := range steps {
		if err := step(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// advance moves a head by compare-and-set.
func (w *writer) advance(ctx context.Context, a *store.Advance) error {
	if a.New {
		_, err := w.exec(ctx, "INSERT INTO logs (tenant, origin, size) VALUES (?, ?, ?)", a.Tenant, a.Origin, a.To)
		if errors.Is(meaning(err), store.ErrExists) {
			return store.ErrConflict
		}
		return err
	}
	changed, err := w.exec(ctx, "UPDATE logs SET size = ? WHERE tenant = ? AND origin = ? AND size = ?", a.To, a.Tenant, a.Origin, a.From)
	if err == nil && changed != 1 {
		return store.ErrConflict
	}
	return err
}

func (w *writer) entries(ctx context.Context, b *store.Batch) error {
	type place struct {
		tenant string
		index  int64
	}
	documents := make(map[place][]byte, len(b.Decisions))
	for i := range b.Decisions {
		documents[place{b.Decisions[i].Tenant, b.Decisions[i].Index}] = b.Decisions[i].Document
	}
	for i := range b.Entries {
		e := &b.Entries[i]
		document, err := w.packer.pack(documents[place{e.Tenant, e.Index}])
		if err != nil {
			return err
		}
		if _, err := w.exec(ctx, "INSERT INTO entries (tenant, idx, type, leaf, document) VALUES (?, ?, ?, ?, ?)", e.Tenant, e.Index, e.Type, e.Leaf, document); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) decisions(ctx context.Context, b *store.Batch) error {
	for i := range b.Decisions {
		d := &b.Decisions[i]
		id, ok := decisionID(d.ID)
		if !ok {
			return fmt.Errorf("the id of a decision, %q, is not a UUID", d.ID)
		}
		_, err := w.exec(ctx, "INSERT INTO decisions (tenant, id, idx, time, outcome, service, route, intent, retention) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			d.Tenant, id, d.Index, millis(d.Time), d.Outcome, d.Service, d.Route, d.Intent, d.Retention)
		if err != nil {
			return err
		}
		if err := w.subjects(ctx, d.Tenant, id, d.Subjects); err != nil {
			return err
		}
		for _, constraint := range d.Constraints {
			if _, err := w.exec(ctx, "INSERT INTO violations (tenant, constraint_id, decision) VALUES (?, ?, ?)", d.Tenant, constraint, id); err != nil {
				return err
			}
		}
		if d.Disclosures == nil {
			continue
		}
		if _, err := w.exec(ctx, "INSERT INTO disclosures (tenant, decision, body) VALUES (?, ?, ?)", d.Tenant, id, d.Disclosures); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) events(ctx context.Context, b *store.Batch) error {
	for i := range b.Events {
		e := &b.Events[i]
		_, err := w.exec(ctx, "INSERT INTO events (tenant, idx, kind, subject, digest, level, pending, signer, scope, actor, reason, time) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			e.Tenant, e.Index, string(e.Kind), e.Subject, e.Digest, e.Level, e.Pending, e.Signer, e.Scope, e.Actor, e.Reason, millis(e.Time))
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) blobs(ctx context.Context, b *store.Batch) error {
	for i := range b.Blobs {
		blob := &b.Blobs[i]
		_, err := w.exec(ctx, "INSERT INTO blobs (tenant, digest, kind, bytes) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", blob.Tenant, blob.Digest, blob.Kind, notNil(blob.Bytes))
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) grants(ctx context.Context, b *store.Batch) error {
	for _, g := range b.Grants {
		if _, err := w.exec(ctx, "INSERT INTO grants (owner, service, tenant) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", g.Owner, g.Service, g.Tenant); err != nil {
			return err
		}
	}
	for _, g := range b.Revocations {
		if _, err := w.exec(ctx, "DELETE FROM grants WHERE owner = ? AND service = ? AND tenant = ?", g.Owner, g.Service, g.Tenant); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) attempts(ctx context.Context, b *store.Batch) error {
	for i := range b.Attempts {
		a := &b.Attempts[i]
		id, ok := decisionID(a.Decision)
		if !ok {
			return fmt.Errorf("the decision of an attempt, %q, is not a UUID", a.Decision)
		}
		_, err := w.exec(ctx, "INSERT INTO attempts (tenant, idx, decision, service, intent, time, status, ok, latency_ms, cost_micro_usd, self_reported) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			a.Tenant, a.Index, id, a.Service, a.Intent, millis(a.Time), a.Status, a.OK, a.LatencyMS, a.CostMicroUSD, a.SelfReported)
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) answers(ctx context.Context, b *store.Batch) error {
	for i := range b.Answers {
		a := &b.Answers[i]
		_, err := w.exec(ctx, "INSERT INTO answers (tenant, key, call, request, status, body, idx) VALUES (?, ?, ?, ?, ?, ?, ?)",
			a.Tenant, a.Key, a.Call, a.Request, a.Status, notNil(a.Body), a.Index)
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) apiKeys(ctx context.Context, b *store.Batch) error {
	for i := range b.APIKeys {
		k := &b.APIKeys[i]
		var err error
		if k.Revoked.IsZero() {
			_, err = w.exec(ctx, "INSERT INTO api_keys (tenant, id, hash, principal, created) VALUES (?, ?, ?, ?, ?)", k.Tenant, k.ID, k.Hash[:], notNil(k.Principal), millis(k.Created))
		} else {
			_, err = w.exec(ctx, "UPDATE api_keys SET revoked = ? WHERE tenant = ? AND id = ? AND revoked IS NULL", millis(k.Revoked), k.Tenant, k.ID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) signingKeys(ctx context.Context, b *store.Batch) error {
	for i := range b.SigningKeys {
		k := &b.SigningKeys[i]
		_, err := w.exec(ctx, "INSERT INTO signing_keys (tenant, kid, jwk, first_idx, last_idx) VALUES (?, ?, ?, ?, ?) ON CONFLICT (tenant, kid) DO UPDATE SET last_idx = excluded.last_idx",
			k.Tenant, k.KID, k.JWK, k.First, k.Last)
		if err != nil {
			return err
		}
	}
	return nil
}

// notNil keeps empty bytes apart from NULL.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
