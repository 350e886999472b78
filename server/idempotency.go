package server

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/seal"
	"github.com/smarthausgroup/caio/internal/store"
)

// repeat is a call with an idempotency key. The nil repeat is a call without one.
//
// What is stored of it, beside the answer, tells nobody who asked or what, and goes with the keys of the people whom it is about: it is looked up by an HMAC under a secret of who asks, and what was asked is held to a digest that is sealed under the record of the decision, or, of a call that decides nothing, to an HMAC under that secret.
type repeat struct {
	secret  []byte // of who asks
	key     string // HMAC of who asks and of the key
	call    string
	request string // the digest of what is asked, which is not stored
}

const (
	maxIdempotencyKey = 128
	// answersSecret is for what the secret is.
	answersSecret = "caio.answers/v1"
	// sealedRequest is the name under which a decision's record seals the digest of its request.
	sealedRequest = "request"
)

// repeat reads the header Idempotency-Key. A key is its caller's own, so that another's answer is never given. The digest of the request covers the address and the body.
func (s *Server) repeat(c *call, body []byte) (*repeat, error) {
	values := c.Request().Header.Values("Idempotency-Key")
	if len(values) == 0 {
		return nil, nil
	}
	key := values[0]
	if len(values) > 1 || key == "" || len(key) > maxIdempotencyKey || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, newProblem(http.StatusBadRequest, "idempotency-key-invalid", fmt.Sprintf("Give one key of 1 to %d printable characters.", maxIdempotencyKey))
	}
	p := c.who.Principal
	secret, err := s.config.Subjects.Secret(c.ctx(), p.Tenant, p.Subject, answersSecret)
	if err != nil {
		return nil, notStored(err)
	}
	return &repeat{
		secret:  secret,
		key:     under(secret, digestOf(p.Method, p.Issuer, p.Subject, key)),
		call:    c.route.method + " " + c.Request().URL.Path,
		request: digestOf(c.Request().Header.Get("Content-Type"), c.Request().URL.RequestURI(), string(body)),
	}, nil
}

// digestOf is the SHA-256 of the parts, each with its length.
func digestOf(parts ...string) string {
	digest := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(digest, "%d:%s", len(part), part)
	}
	return string(digest.Sum(nil))
}

// under is the HMAC of a digest, in hex.
func under(secret []byte, digest string) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(digest))
	return hex.EncodeToString(mac.Sum(nil))
}

// items are the calls of a batch, whose answers are kept one by one: a batch that broke off goes on where it was. What is kept with each is about it alone, and about how many there are.
func (r *repeat) items(body []byte, n int) ([]*repeat, error) {
	items := make([]*repeat, n)
	if r == nil {
		return items, nil
	}
	var batch struct {
		Requests []json.RawMessage `json:"requests"`
	}
	if err := json.Unmarshal(body, &batch); err != nil || len(batch.Requests) != n {
		return nil, fmt.Errorf("server: a batch of %d that was read as one of %d: %w", n, len(batch.Requests), err)
	}
	of := fmt.Sprint(n)
	for i := range items {
		items[i] = &repeat{secret: r.secret, key: fmt.Sprintf("%s/%d", r.key, i), call: r.call, request: digestOf(of, string(batch.Requests[i]))}
	}
	return items, nil
}

// answer is what is stored with the entry, so that a repetition is answered the same.
func (r *repeat) answer(a store.Answer) *ledger.Answer {
	if r == nil {
		return nil
	}
	return &ledger.Answer{Key: r.key, Call: r.call, Request: under(r.secret, r.request), Status: a.Status, Body: a.Body}
}

// decided is [repeat.answer] of a decision.
func (r *repeat) decided(id string, record *seal.Record, a store.Answer) (*ledger.Answer, error) {
	answer := r.answer(a)
	if answer == nil {
		return nil, nil
	}
	sealed, err := record.Seal(sealedRequest, []byte(r.request))
	answer.Request = id + " " + base64.RawStdEncoding.EncodeToString(sealed)
	return answer, err
}

// first is what was answered to the key before, if anything was. The error is ledger.ErrKeyReused where that was another request.
func (s *Server) first(ctx context.Context, t *tenant, r *repeat) (store.Answer, bool, error) {
	if r == nil {
		return store.Answer{}, false, nil
	}
	first, err := s.ledger.Answer(ctx, t.name, r.key, r.call)
	if errors.Is(err, store.ErrNotFound) {
		return store.Answer{}, false, nil
	}
	if err == nil {
		err = s.holdRequest(ctx, t, r, &first)
	}
	return first, err == nil, err
}

// holdRequest holds what is asked to what was first asked under the key. Where the key is gone under which that is sealed, it can't be told to be the same.
func (s *Server) holdRequest(ctx context.Context, t *tenant, r *repeat, first *store.Answer) error {
	id, sealed, decided := strings.Cut(first.Request, " ")
	if !decided {
		if first.Request != under(r.secret, r.request) {
			return ledger.ErrKeyReused
		}
		return nil
	}
	text, err := base64.RawStdEncoding.DecodeString(sealed)
	if err == nil {
		text, err = s.config.Subjects.Unseal(ctx, t.name, id, sealedRequest, text)
	}
	switch {
	case errors.Is(err, seal.ErrGone), err == nil && string(text) != r.request:
		return ledger.ErrKeyReused
	case err != nil:
		return fmt.Errorf("what was asked under an idempotency key, answered with entry %d: %w", first.Index, err)
	}
	return nil
}
