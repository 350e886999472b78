package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"

	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
)

// repeat is an idempotency key, as it is stored, with what it was given for. The nil repeat is a call without one.
type repeat struct{ key, call, request string }

const maxIdempotencyKey = 128

// repeat reads the header Idempotency-Key. A key is its caller's own: what is stored is a digest of it and of who asks, so that another's answer is never given, and nobody learns which keys others use. The digest of the request covers the address and the body.
func (c *call) repeat(body []byte) (*repeat, error) {
	values := c.Request().Header.Values("Idempotency-Key")
	if len(values) == 0 {
		return nil, nil
	}
	key := values[0]
	if len(values) > 1 || key == "" || len(key) > maxIdempotencyKey || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, newProblem(http.StatusBadRequest, "idempotency-key-invalid", fmt.Sprintf("Give one key of 1 to %d printable characters.", maxIdempotencyKey))
	}
	p := c.who.Principal
	return &repeat{
		key:     digestOf(p.Method, p.Issuer, p.Subject, key),
		call:    c.route.method + " " + c.Request().URL.Path,
		request: digestOf(c.Request().Header.Get("Content-Type"), c.Request().URL.RequestURI(), string(body)),
	}, nil
}

// digestOf is the SHA-256 of the parts, each with its length, in hex.
func digestOf(parts ...string) string {
	digest := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(digest, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(digest.Sum(nil))
}

// item is the key of the n-th request of a batch, whose answers are kept one by one: a batch that broke off goes on where it was.
func (r *repeat) item(n int) *repeat {
	if r == nil {
		return nil
	}
	return &repeat{key: fmt.Sprintf("%s/%d", r.key, n), call: r.call, request: r.request}
}

// answer is what is stored with the entry, so that a repetition is answered the same.
func (r *repeat) answer(a store.Answer) *ledger.Answer {
	if r == nil {
		return nil
	}
	return &ledger.Answer{Key: r.key, Call: r.call, Request: r.request, Status: a.Status, Body: a.Body}
}

// first is what was answered to the key before, if anything was.
func (s *Server) first(ctx context.Context, t *tenant, r *repeat) (store.Answer, bool, error) {
	if r == nil {
		return store.Answer{}, false, nil
	}
	return s.ledger.Answered(ctx, t.name, r.key, r.call, r.request)
}
