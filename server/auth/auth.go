// Package auth says who asks: it turns the Authorization header of a request into a principal, or into the reason why not (spec/interface.md, "HTTP"; spec/invariants.md, INV-CAIO-SEC-0001).
//
// It is not about what a principal may do: the roles that each route needs stand beside the route, in package server.
package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/smarthausgroup/caio/contracts"
)

// Role is what a person or a program is to the installation. Roles that are not among these are kept in the principal, for policies to read, and open no route.
type Role string

// The roles that routes know.
const (
	App      Role = "app"      // decides, reports outcomes, reads its tenant's decisions in brief
	Author   Role = "author"   // registers, validates, explains
	Auditor  Role = "auditor"  // reads everything of the tenant
	Approver Role = "approver" // attests and grants
	Operator Role = "operator" // everything
)

// Roles lists every role that a route can need.
func Roles() []Role { return []Role{App, Author, Auditor, Approver, Operator} }

// PermissionSeed lets a caller choose the seed of a decision (spec/contract.md, "The request, normalised").
const PermissionSeed = "caio.seed"

// MaxTokenBytes bounds what stands after "Bearer ".
const MaxTokenBytes = 8 << 10

// Methods of authentication, as a principal names them.
const (
	MethodJWT    = "jwt"
	MethodAPIKey = "api_key"
)

// ErrUnavailable is wrapped by the error when keys can't be read: the caller is not at fault, and may try again.
var ErrUnavailable = errors.New("the keys that would tell who asks can't be read")

// Error says why a caller is not known. Reason is stable and short, fit for a metric; Detail is for people. Neither quotes the credential.
type Error struct {
	Reason string
	Detail string
}

// Error is the detail.
func (e *Error) Error() string { return e.Detail }

// Missing reports whether no credential was given at all, as against a wrong one.
func (e *Error) Missing() bool { return e.Reason == "missing" }

func refuse(reason, format string, args ...any) error {
	return &Error{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// Identity is a known caller. Key is the id of the API key, "" for a token.
type Identity struct {
	Principal contracts.Principal
	Key       string
	Expires   time.Time // zero: never
}

// Has reports whether the caller has one of the roles.
func (i Identity) Has(roles ...Role) bool {
	return slices.ContainsFunc(roles, func(r Role) bool { return slices.Contains(i.Principal.Roles, string(r)) })
}

// Config of an [Authenticator].
type Config struct {
	// Issuers whose tokens are taken. Names are unique.
	Issuers []Issuer
	// APIKeys finds an API key by the SHA-256 of the whole key, or returns [ErrUnknownKey]. None is taken when nil.
	APIKeys func(ctx context.Context, hash [sha256.Size]byte) (APIKey, error)
	// APIKeyIssuer is the issuer that a principal known by an API key has: the installation's own name.
	APIKeyIssuer string
	// AllowHS256 lets an issuer have a shared secret. For development only.
	AllowHS256 bool
	// CacheSize is how many credentials that were good are remembered, 4096 when 0. CacheFor is for how long, one minute when 0: for so long a key that was withdrawn, or an API key that was revoked elsewhere, is still taken; see [Authenticator.Forget].
	CacheSize int
	CacheFor  time.Duration
	// Clock is required.
	Clock func() time.Time
	// Client fetches key sets; one with a time-out of five seconds when nil.
	Client *http.Client
}

// Authenticator knows callers. It is safe for concurrent use.
type Authenticator struct {
	config  Config
	issuers map[string]*issuer
	cache   *cache
}

// New checks the configuration. Key sets in files are read now, those behind a URL when they are first needed.
func New(c Config) (*Authenticator, error) {
	if c.Clock == nil {
		return nil, errors.New("auth: a clock is required")
	}
	if c.CacheSize == 0 {
		c.CacheSize = 4096
	}
	if c.CacheFor == 0 {
		c.CacheFor = time.Minute
	}
	if c.Client == nil {
		c.Client = &http.Client{Timeout: 5 * time.Second}
	}
	a := &Authenticator{config: c, issuers: map[string]*issuer{}, cache: newCache(c.CacheSize)}
	for _, settings := range c.Issuers {
		i, err := newIssuer(settings, c)
		if err != nil {
			return nil, fmt.Errorf("auth: issuer %q: %w", settings.Name, err)
		}
		if a.issuers[settings.Name] != nil {
			return nil, fmt.Errorf("auth: issuer %q is configured twice", settings.Name)
		}
		a.issuers[settings.Name] = i
	}
	return a, nil
}

// Authenticate reads the value of an Authorization header. Its error is an [*Error], or wraps [ErrUnavailable].
func (a *Authenticator) Authenticate(ctx context.Context, header string) (Identity, error) {
	credential, err := bearer(header)
	if err != nil {
		return Identity{}, err
	}
	now := a.config.Clock()
	known, ok, mark := a.cache.get(credential, now)
	if ok {
		return known, nil
	}
	check := a.token
	if strings.HasPrefix(credential, APIKeyPrefix) {
		check = a.apiKey
	}
	identity, err := check(ctx, credential, now)
	if err != nil {
		return Identity{}, err
	}
	until := now.Add(a.config.CacheFor)
	if !identity.Expires.IsZero() && identity.Expires.Before(until) {
		until = identity.Expires
	}
	a.cache.put(credential, identity, until, now, mark)
	return identity, nil
}

// Forget has the credential with this SHA-256 looked at again the next time that it is sent, also where it is being looked at while Forget is called. The caller has revoked it before.
func (a *Authenticator) Forget(hash [sha256.Size]byte) { a.cache.forget(hash) }

func bearer(header string) (string, error) {
	if header == "" {
		return "", refuse("missing", "the request has no Authorization header: send a token or an API key as `Authorization: Bearer …`")
	}
	scheme, credential, ok := strings.Cut(header, " ")
	switch {
	case !ok || !strings.EqualFold(scheme, "Bearer") || credential == "":
		return "", refuse("malformed", "the Authorization header is not of the form `Bearer …`")
	case len(credential) > MaxTokenBytes:
		return "", refuse("too_large", "the token is larger than %d bytes", MaxTokenBytes)
	case strings.ContainsFunc(credential, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", refuse("malformed", "the token holds a character that no token has")
	}
	return credential, nil
}

var tenantForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// checkPrincipal holds what a token or a key says of its bearer to the same bounds, and puts the sets in order.
func checkPrincipal(p *contracts.Principal) error {
	switch {
	case !tenantForm.MatchString(p.Tenant):
		return errors.New("the tenant is not of the form [a-z0-9][a-z0-9._-]{0,63}")
	case p.Subject == "" || len(p.Subject) > 256:
		return errors.New("the subject is empty or longer than 256 bytes")
	case p.Trust < 0 || p.Trust > 10*contracts.Micro:
		return errors.New("the trust is not within 0 to 10")
	case len(p.Roles) > 64 || len(p.Permissions) > 256:
		return errors.New("there are more than 64 roles or 256 permissions")
	}
	for _, set := range []*[]string{&p.Roles, &p.Permissions} {
		for _, name := range *set {
			if name == "" || len(name) > 128 {
				return errors.New("a role or permission is empty or longer than 128 bytes")
			}
		}
		sorted := slices.Clone(*set)
		slices.Sort(sorted)
		*set = slices.Compact(sorted)
	}
	return nil
}

// readAtMost reads all of r, or fails beyond limit bytes.
func readAtMost(r io.Reader, limit int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("larger than %d bytes", limit)
	}
	return text, err
}
