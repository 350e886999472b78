package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/smarthausgroup/caio/internal/store"
)

// querier is the pool that reads, or the connection that writes.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// list runs a query and makes a value of each row.
func list[T any](ctx context.Context, db querier, scan func(row *sql.Rows, v *T) error, query string, args ...any) (values []T, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, meaning(err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var v T
		if err := scan(rows, &v); err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, meaning(rows.Err())
}

// one runs a query and makes a value of its one row, or store.ErrNotFound.
func one[T any](ctx context.Context, db *sql.DB, scan func(row *sql.Rows, v *T) error, query string, args ...any) (v T, err error) {
	values, err := list(ctx, db, scan, query, args...)
	if err != nil {
		return v, err
	}
	if len(values) == 0 {
		return v, store.ErrNotFound
	}
	return values[0], nil
}

func scanLog(row *sql.Rows, v *store.Log) error {
	return row.Scan(&v.Tenant, &v.Origin, &v.Size, &v.Was)
}

// Logs implements [store.Reader].
func (s *Store) Logs(ctx context.Context) ([]store.Log, error) {
	return list(ctx, s.reads, scanLog, "SELECT tenant, origin, size, was FROM logs ORDER BY tenant")
}

// Log implements [store.Reader].
func (s *Store) Log(ctx context.Context, tenant string) (store.Log, error) {
	return one(ctx, s.reads, scanLog, "SELECT tenant, origin, size, was FROM logs WHERE tenant = ?", tenant)
}

// Entries implements [store.Reader].
func (s *Store) Entries(ctx context.Context, tenant string, from int64, limit int) ([]store.Entry, error) {
	return list(ctx, s.reads, scanEntry, "SELECT tenant, idx, type, leaf FROM entries WHERE tenant = ? AND idx >= ? ORDER BY idx LIMIT ?", tenant, from, max(0, limit))
}

const decisionColumns = "d.tenant, d.id, d.idx, d.time, d.outcome, d.service, d.route, d.intent, d.retention"

func scanDecision(row *sql.Rows, v *store.Decision) error {
	var id []byte
	var time int64
	err := row.Scan(&v.Tenant, &id, &v.Index, &time, &v.Outcome, &v.Service, &v.Route, &v.Intent, &v.Retention)
	v.ID, v.Time = idText(id), moment(time)
	return err
}

func scanBytes(row *sql.Rows, v *[]byte) error { return row.Scan(v) }

// Decision implements [store.Reader].
func (s *Store) Decision(ctx context.Context, tenant, id string) (store.Decision, error) {
	key, ok := decisionID(id)
	if !ok {
		return store.Decision{}, store.ErrNotFound
	}
	return one(ctx, s.reads, scanDecision, "SELECT "+decisionColumns+" FROM decisions d WHERE tenant = ? AND id = ?", tenant, key)
}

// part returns one blob of a decision; a query without a row, or with NULL, is store.ErrNotFound.
func (s *Store) part(ctx context.Context, tenant, id string, scan func(row *sql.Rows, v *[]byte) error, query string) ([]byte, error) {
	key, ok := decisionID(id)
	if !ok {
		return nil, store.ErrNotFound
	}
	bytes, err := one(ctx, s.reads, scan, query, tenant, key)
	if err == nil && bytes == nil {
		return nil, store.ErrNotFound
	}
	return bytes, err
}

// Document implements [store.Reader].
func (s *Store) Document(ctx context.Context, tenant, id string) ([]byte, error) {
	return s.part(ctx, tenant, id, scanDocument, "SELECT e.document FROM decisions d JOIN entries e ON e.tenant = d.tenant AND e.idx = d.idx WHERE d.tenant = ? AND d.id = ?")
}

// Statement implements [store.Reader].
func (s *Store) Statement(ctx context.Context, tenant, id string) ([]byte, error) {
	return s.part(ctx, tenant, id, scanBytes, "SELECT e.leaf FROM decisions d JOIN entries e ON e.tenant = d.tenant AND e.idx = d.idx WHERE d.tenant = ? AND d.id = ?")
}

// Disclosures implements [store.Reader].
func (s *Store) Disclosures(ctx context.Context, tenant, id string) ([]byte, error) {
	return s.part(ctx, tenant, id, scanBytes, "SELECT body FROM disclosures WHERE tenant = ? AND decision = ?")
}

// Events implements [store.Reader].
func (s *Store) Events(ctx context.Context, tenant string, from, to int64) ([]store.Event, error) {
	scan := func(row *sql.Rows, v *store.Event) error {
		var time int64
		err := row.Scan(&v.Tenant, &v.Index, &v.Kind, &v.Subject, &v.Digest, &v.Level, &v.Pending, &v.Signer, &v.Scope, &v.Actor, &v.Reason, &time)
		v.Time = moment(time)
		return err
	}
	return list(ctx, s.reads, scan, "SELECT tenant, idx, kind, subject, digest, level, pending, signer, scope, actor, reason, time FROM events WHERE tenant = ? AND idx >= ? AND idx < ? ORDER BY idx", tenant, from, to)
}

// Blob implements [store.Reader].
func (s *Store) Blob(ctx context.Context, tenant, digest string) (store.Blob, error) {
	scan := func(row *sql.Rows, v *store.Blob) error { return row.Scan(&v.Tenant, &v.Digest, &v.Kind, &v.Bytes) }
	return one(ctx, s.reads, scan, "SELECT tenant, digest, kind, bytes FROM blobs WHERE tenant = ? AND digest = ?", tenant, digest)
}

// Grants implements [store.Reader].
func (s *Store) Grants(ctx context.Context, owner string) ([]store.Grant, error) {
	scan := func(row *sql.Rows, v *store.Grant) error { return row.Scan(&v.Owner, &v.Service, &v.Tenant) }
	return list(ctx, s.reads, scan, "SELECT owner, service, tenant FROM grants WHERE owner = ? ORDER BY service, tenant", owner)
}

const attemptColumns = "tenant, idx, decision, service, intent, time, status, ok, latency_ms, cost_micro_usd, self_reported"

func scanAttempt(row *sql.Rows, v *store.Attempt) error {
	var id []byte
	var time int64
	err := row.Scan(&v.Tenant, &v.Index, &id, &v.Service, &v.Intent, &time, &v.Status, &v.OK, &v.LatencyMS, &v.CostMicroUSD, &v.SelfReported)
	v.Decision, v.Time = idText(id), moment(time)
	return err
}

// Attempts implements [store.Reader].
func (s *Store) Attempts(ctx context.Context, tenant, decision string) ([]store.Attempt, error) {
	key, ok := decisionID(decision)
	if !ok {
		return nil, nil
	}
	return list(ctx, s.reads, scanAttempt, "SELECT "+attemptColumns+" FROM attempts WHERE tenant = ? AND decision = ? ORDER BY idx", tenant, key)
}

// AttemptsFrom implements [store.Reader].
func (s *Store) AttemptsFrom(ctx context.Context, tenant string, from int64, limit int) ([]store.Attempt, error) {
	return list(ctx, s.reads, scanAttempt, "SELECT "+attemptColumns+" FROM attempts WHERE tenant = ? AND idx >= ? ORDER BY idx LIMIT ?", tenant, from, max(0, limit))
}

// Windows implements [store.Reader].
func (s *Store) Windows(ctx context.Context) ([]store.Window, error) {
	scan := func(row *sql.Rows, v *store.Window) error { return row.Scan(&v.Tenant, &v.Intent, &v.Service) }
	return list(ctx, s.reads, scan, "SELECT DISTINCT tenant, intent, service FROM attempts INDEXED BY attempts_by_window ORDER BY tenant, intent, service")
}

// Recent implements [store.Reader]: the latest n, and of those before them the ones that are younger than the oldest of these; any other is older than n that came after it, and so are those whenever one asks.
func (s *Store) Recent(ctx context.Context, w store.Window, n int) ([]store.Attempt, error) {
	const of = "SELECT " + attemptColumns + " FROM attempts WHERE tenant = ? AND intent = ? AND service = ?"
	attempts, err := list(ctx, s.reads, scanAttempt, of+" ORDER BY idx DESC LIMIT ?", w.Tenant, w.Intent, w.Service, max(0, n))
	if err != nil || len(attempts) < n || n <= 0 {
		slices.Reverse(attempts)
		return attempts, err
	}
	first, oldest := attempts[len(attempts)-1].Index, attempts[0].Time
	for i := range attempts {
		if attempts[i].Time.Before(oldest) {
			oldest = attempts[i].Time
		}
	}
	before, err := list(ctx, s.reads, scanAttempt, of+" AND time > ? AND idx < ? ORDER BY idx DESC", w.Tenant, w.Intent, w.Service, millis(oldest), first)
	attempts = append(attempts, before...)
	slices.Reverse(attempts)
	return attempts, err
}

// Answer implements [store.Reader].
func (s *Store) Answer(ctx context.Context, tenant, key, call string) (store.Answer, error) {
	scan := func(row *sql.Rows, v *store.Answer) error {
		return row.Scan(&v.Tenant, &v.Key, &v.Call, &v.Request, &v.Status, &v.Body, &v.Index)
	}
	return one(ctx, s.reads, scan, "SELECT tenant, key, call, request, status, body, idx FROM answers WHERE tenant = ? AND key = ? AND call = ?", tenant, key, call)
}

func scanAPIKey(row *sql.Rows, v *store.APIKey) error {
	var hash []byte
	var created int64
	var revoked sql.NullInt64
	err := row.Scan(&v.Tenant, &v.ID, &hash, &v.Principal, &created, &revoked)
	copy(v.Hash[:], hash)
	v.Created = moment(created)
	if revoked.Valid {
		v.Revoked = moment(revoked.Int64)
	}
	return err
}

// APIKey implements [store.Reader].
func (s *Store) APIKey(ctx context.Context, hash [32]byte) (store.APIKey, error) {
	return one(ctx, s.reads, scanAPIKey, "SELECT tenant, id, hash, principal, created, revoked FROM api_keys WHERE hash = ?", hash[:])
}

// APIKeys implements [store.Reader].
func (s *Store) APIKeys(ctx context.Context, tenant string) ([]store.APIKey, error) {
	return list(ctx, s.reads, scanAPIKey, "SELECT tenant, id, hash, principal, created, revoked FROM api_keys WHERE tenant = ? ORDER BY id", tenant)
}

// SigningKeys implements [store.Reader].
func (s *Store) SigningKeys(ctx context.Context, tenant string) ([]store.SigningKey, error) {
	scan := func(row *sql.Rows, v *store.SigningKey) error {
		return row.Scan(&v.Tenant, &v.KID, &v.JWK, &v.First, &v.Last)
	}
	return list(ctx, s.reads, scan, "SELECT tenant, kid, jwk, first_idx, last_idx FROM signing_keys WHERE tenant = ? ORDER BY first_idx, kid", tenant)
}

// PublicKeys implements [store.Reader].
func (s *Store) PublicKeys(ctx context.Context) ([]store.PublicKey, error) {
	scan := func(row *sql.Rows, v *store.PublicKey) error { return row.Scan(&v.KID, &v.JWK) }
	return list(ctx, s.reads, scan, "SELECT kid, min(jwk) FROM signing_keys GROUP BY kid ORDER BY kid")
}
