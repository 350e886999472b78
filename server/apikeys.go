package server

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/smarthausgroup/caio/verify"
)

// APIKeyRequest says for whom a key stands, and what it may.
type APIKeyRequest struct {
	// Subject is who or what uses the key.
	Subject string `json:"subject" jsonschema:"required,minLength=1,maxLength=256"`
	// Roles hold at least one of app, author, auditor, approver and operator: without, the key opens nothing.
	Roles       []string          `json:"roles" jsonschema:"required,minItems=1,maxItems=64"`
	Permissions []string          `json:"permissions,omitempty" jsonschema:"maxItems=256"`
	Trust       contracts.Decimal `json:"trust,omitempty"` // 0 to 10
	// Expires is when the key ends by itself; never when left out.
	Expires string `json:"expires,omitempty" jsonschema:"format=date-time"`
}

// APIKeySummary is a key as it is listed. The key itself is nowhere: the store holds its SHA-256.
type APIKeySummary struct {
	ID          string            `json:"id"`
	Tenant      string            `json:"tenant"`
	Subject     string            `json:"subject"`
	Roles       []string          `json:"roles"`
	Permissions []string          `json:"permissions"`
	Trust       contracts.Decimal `json:"trust"`
	Created     string            `json:"created" jsonschema:"format=date-time"`
	Expires     string            `json:"expires,omitempty" jsonschema:"format=date-time"`
	// Revoked is since when the key is no longer taken.
	Revoked string `json:"revoked,omitempty" jsonschema:"format=date-time"`
}

// APIKeyIssued is the one answer that holds the key.
type APIKeyIssued struct {
	APIKeySummary
	// Key is what callers send as `Authorization: Bearer`. It is shown here and never again.
	Key string `json:"key"`
}

// APIKeyList is a page of a tenant's keys, the oldest first.
type APIKeyList struct {
	Keys []APIKeySummary `json:"keys"`
	// Next is the cursor of the page that follows; absent at the end.
	Next string `json:"next,omitempty"`
}

// postAPIKey issues a key. It takes no Idempotency-Key, since the first answer would have to be kept, and the key with it.
func (s *Server) postAPIKey(c *call) error {
	if len(c.Request().Header.Values("Idempotency-Key")) > 0 {
		return newProblem(http.StatusBadRequest, "idempotency-key-invalid", "An answer that holds a key is not kept: leave the header out, and revoke a key that was issued twice.")
	}
	tenant, err := s.namedTenant(c)
	if err != nil {
		return err
	}
	text, err := c.body(s.config.Limits.RequestBytes)
	if err != nil {
		return err
	}
	now := s.now()
	p, expires, err := readAPIKey(text, s.config.Limits.RequestBytes, now)
	if err != nil {
		return err
	}
	p.Tenant = tenant
	row := store.APIKey{Tenant: tenant, Created: now}
	if row.Principal, err = auth.EncodeBearer(p, expires); err != nil {
		return err
	}
	var random [10]byte
	if _, err := io.ReadFull(s.config.Rand, random[:]); err != nil {
		return fmt.Errorf("server: drawing an id: %w", err)
	}
	// Ids are made like those of decisions, so that their order is that of time.
	row.ID = verify.NewDecisionID(now, random)
	key, hash, err := auth.NewAPIKey(s.config.Rand)
	if err != nil {
		return err
	}
	row.Hash = hash
	if err := s.ledger.PutAPIKey(c.ctx(), row); err != nil {
		return notStored(err)
	}
	summary, err := summaryOfKey(row)
	if err != nil {
		return err
	}
	return c.answer(http.StatusCreated, APIKeyIssued{summary, key})
}

func readAPIKey(text []byte, limit int64, now time.Time) (p contracts.Principal, expires time.Time, err error) {
	var r APIKeyRequest
	found, err := decode(text, limit, &r)
	if err != nil {
		return p, expires, err
	}
	if r.Subject == "" || len(r.Subject) > 256 {
		found.add("/subject", "invalid-value", "expected 1 to 256 bytes")
	}
	known := make([]string, 0, len(auth.Roles()))
	for _, role := range auth.Roles() {
		known = append(known, string(role))
	}
	if !slices.ContainsFunc(r.Roles, func(role string) bool { return slices.Contains(known, role) }) {
		found.add("/roles", "invalid-value", "none is one of %s: the key would open nothing", strings.Join(known, ", "))
	}
	found.names("/roles", r.Roles, 64)
	found.names("/permissions", r.Permissions, 256)
	if r.Trust < 0 || r.Trust > 10*contracts.Micro {
		found.add("/trust", "out-of-range", "%s is not between 0 and 10", r.Trust)
	}
	if r.Expires != "" {
		if expires, err = time.Parse(time.RFC3339, r.Expires); err != nil {
			found.add("/expires", "invalid-value", "expected a time as RFC 3339 writes it: 2026-01-31T12:00:00Z")
		} else if !expires.After(now) {
			found.add("/expires", "out-of-range", "the time is past: the key would never be taken")
		}
	}
	return contracts.Principal{Subject: r.Subject, Roles: r.Roles, Permissions: r.Permissions, Trust: r.Trust}, expires.UTC(), found.problem()
}

// names adds the faults of a list of roles or permissions.
func (f *found) names(pointer string, list []string, most int) {
	if len(list) > most {
		f.add(pointer, "out-of-range", "%d are too many: at most %d", len(list), most)
		return
	}
	for n, name := range list {
		if name == "" || len(name) > 128 {
			f.add(fmt.Sprintf("%s/%d", pointer, n), "invalid-value", "expected 1 to 128 bytes")
		}
	}
}

func summaryOfKey(row store.APIKey) (APIKeySummary, error) {
	p, expires, err := auth.DecodeBearer(row.Tenant, row.Principal)
	if err != nil {
		return APIKeySummary{}, err
	}
	stamp := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(verify.TimeFormat)
	}
	return APIKeySummary{
		ID: row.ID, Tenant: row.Tenant, Subject: p.Subject, Roles: append([]string{}, p.Roles...), Permissions: append([]string{}, p.Permissions...), Trust: p.Trust,
		Created: stamp(row.Created), Expires: stamp(expires), Revoked: stamp(row.Revoked),
	}, nil
}

func (s *Server) listAPIKeys(c *call) error {
	tenant, err := s.namedTenant(c)
	if err != nil {
		return err
	}
	rows, err := s.ledger.APIKeys(c.ctx(), tenant)
	if err != nil {
		return err
	}
	cursor, limit := c.query.Get("cursor"), c.limit()
	list := APIKeyList{Keys: []APIKeySummary{}}
	for _, row := range rows {
		if row.ID <= cursor {
			continue
		}
		if len(list.Keys) == limit {
			list.Next = list.Keys[limit-1].ID
			break
		}
		summary, err := summaryOfKey(row)
		if err != nil {
			return err
		}
		list.Keys = append(list.Keys, summary)
	}
	return c.answer(http.StatusOK, list)
}

// deleteAPIKey revokes a key. From the answer on this server takes it no more; to revoke it again changes nothing.
func (s *Server) deleteAPIKey(c *call) error {
	tenant, err := s.namedTenant(c)
	if err != nil {
		return err
	}
	rows, err := s.ledger.APIKeys(c.ctx(), tenant)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(rows, func(row store.APIKey) bool { return row.ID == c.Param("id") })
	if at < 0 {
		return notFound()
	}
	if err := s.ledger.RevokeAPIKey(c.ctx(), tenant, rows[at].ID, s.now()); err != nil {
		if errors.Is(err, store.ErrNotFound) {
			return err
		}
		return notStored(err)
	}
	s.auth.Forget(rows[at].Hash)
	return c.NoContent(http.StatusNoContent)
}
