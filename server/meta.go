package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/smarthausgroup/caio/verify"
)

// Health is whether the server can do its work, and which part can't.
type Health struct {
	Status string            `json:"status" jsonschema:"enum=ok,enum=failing"`
	Parts  map[string]string `json:"parts"` // part -> ok, or what is wrong; policies that don't fit together stop their own tenant, and the server is ok
}

func (s *Server) getLive(c *call) error {
	return c.answer(http.StatusOK, Health{Status: "ok", Parts: map[string]string{}})
}

// getReady says whether requests should be sent here.
func (s *Server) getReady(c *call) error {
	h := Health{Status: "ok", Parts: map[string]string{"server": "ok", "store": "ok", "registry": "ok", "policies": "ok"}}
	ctx, cancel := context.WithTimeout(c.ctx(), time.Second)
	defer cancel()
	if _, err := s.ledger.PublicKeys(ctx); err != nil {
		h.Parts["store"] = "can't be read"
	} else if s.writable(ctx) != nil {
		h.Parts["store"] = "can't be written"
	}
	unfit := 0
	s.tenants.Range(func(_, t any) bool {
		now := t.(*tenant).now.Load()
		if now.fault != nil {
			h.Parts["registry"] = "what is in force could not be carried out"
		}
		if now.rules.fault != nil {
			unfit++
		}
		return true
	})
	if unfit > 0 { // the others are served
		h.Parts["policies"] = fmt.Sprintf("those of %s do not fit together with the installation's", count(unfit, "tenant"))
	}
	if s.draining.Load() {
		h.Parts["server"] = "shutting down"
	}
	status := http.StatusOK
	for name, part := range h.Parts {
		if part != "ok" && name != "policies" {
			h.Status, status = "failing", http.StatusServiceUnavailable
		}
	}
	return c.answer(status, h)
}

// probeEvery is how often a store that could not be written is tried, however often anybody asks.
const probeEvery = time.Second

// writable tells whether the last transaction was made. While it was not, nobody may be sent here who would try again, so that this does.
func (s *Server) writable(ctx context.Context) error {
	if s.ledger.Writable() == nil {
		return nil
	}
	last, now := s.probed.Load(), time.Now().UnixNano()
	if now-last >= int64(probeEvery) && s.probed.CompareAndSwap(last, now) {
		if err := s.ledger.Probe(ctx); err != nil {
			return err
		}
	}
	return s.ledger.Writable()
}

// getMetrics is for the installation's own people: the counts are of all tenants.
func (s *Server) getMetrics(c *call) error {
	if c.who.Principal.Tenant != s.config.Installation {
		return newProblem(http.StatusForbidden, "forbidden", "The metrics are of all tenants: only operators of the installation's own tenant, "+s.config.Installation+", see them.")
	}
	s.metrics.handler().ServeHTTP(c.Response(), c.Request())
	return nil
}

// getKeys is the JWK Set of every key that signs or has signed, each with the indices of each log between which it was in use (spec/proof.md, "The statement and the signature"). A log's origin is opaque: it names no tenant.
func (s *Server) getKeys(c *call) error {
	const media = "application/jwk-set+json"
	if text := s.keys.Load(); text != nil {
		return c.Blob(http.StatusOK, media, *text)
	}
	// While a log is being opened its keys are neither all there nor none: wait until they are.
	s.changing.Lock()
	defer s.changing.Unlock()
	keys, err := s.publicKeys(c.ctx())
	if err != nil {
		return err
	}
	text, err := verify.EncodeJWKS(keys)
	if err != nil {
		return err
	}
	s.keys.Store(&text)
	return c.Blob(http.StatusOK, media, text)
}

func (s *Server) publicKeys(ctx context.Context) (verify.Keys, error) {
	rows, err := s.ledger.PublicKeys(ctx)
	if err != nil {
		return nil, err
	}
	logs, err := s.ledger.Logs(ctx)
	if err != nil {
		return nil, err
	}
	intervals := map[string]map[string]verify.Interval{}
	for _, log := range logs {
		used, err := s.ledger.SigningKeys(ctx, log.Tenant)
		if err != nil {
			return nil, err
		}
		for _, key := range used {
			if intervals[key.KID] == nil {
				intervals[key.KID] = map[string]verify.Interval{}
			}
			intervals[key.KID][log.Origin] = verify.Interval{NotBefore: key.First, NotAfter: key.Last}
		}
	}
	keys := make(verify.Keys, 0, len(rows))
	for _, row := range rows {
		public, err := publicKey(row.KID, row.JWK)
		if err != nil {
			return nil, fmt.Errorf("server: %w", err)
		}
		keys = append(keys, verify.Key{Public: public, Intervals: intervals[row.KID]})
	}
	return keys, nil
}

// apiKey finds an API key in the store, for the authenticator.
func (s *Server) apiKey(ctx context.Context, hash [32]byte) (auth.APIKey, error) {
	row, err := s.ledger.APIKey(ctx, hash)
	if errors.Is(err, store.ErrNotFound) {
		return auth.APIKey{}, auth.ErrUnknownKey
	}
	if err != nil {
		return auth.APIKey{}, err
	}
	principal, expires, err := auth.DecodeBearer(row.Tenant, row.Principal)
	return auth.APIKey{ID: row.ID, Hash: row.Hash, Principal: principal, Expires: expires, Revoked: !row.Revoked.IsZero()}, err
}
