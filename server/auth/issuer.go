package auth

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
)

// Issuer is one whose tokens are taken, and what they may say. Exactly one of JWKS, File, URL and Secret is given.
type Issuer struct {
	// Name is what its tokens hold as `iss`, Audience what they must hold in `aud`.
	Name     string
	Audience string
	// JWKS is a JWK Set, File the path of one, URL where one is fetched: over https, or http on the loopback interface.
	JWKS []byte
	File string
	URL  string
	// Secret verifies HS256, at least 32 bytes; only with [Config.AllowHS256].
	Secret []byte
	// Tenants that its tokens may name; any when empty.
	Tenants []string
	// Claims says which claims hold what; see [Claims] for the defaults.
	Claims Claims
}

// Claims are the names of the claims that become a principal: texts and lists of texts, and for the trust a number or the text of one. A name left out stands for itself: `tenant`, `roles`, `permissions`, `trust`.
type Claims struct{ Tenant, Roles, Permissions, Trust string }

const (
	maxKeySetBytes = 1 << 20
	refreshAfter   = 10 * time.Minute // a key set behind a URL is fetched again after this,
	refreshAtMost  = 30 * time.Second // and for an unknown key id, but not more often than this,
	retryAfter     = 2 * time.Second  // nor, after a failure, than this
)

// issuer is an Issuer with its keys.
type issuer struct {
	Issuer
	client *http.Client
	secret []key

	fetching sync.Mutex   // held while the key set is fetched
	mu       sync.RWMutex // guards what follows
	keys     map[string]key
	read     time.Time // when the keys were fetched
	next     time.Time // when they may be fetched again
}

// key is a public key with the algorithms that it may verify: they follow from the key, never from the token.
type key struct {
	raw        any
	algorithms []jwa.SignatureAlgorithm
}

func newIssuer(settings Issuer, c Config) (*issuer, error) {
	i := &issuer{Issuer: settings, client: c.Client}
	for _, name := range []struct {
		claim *string
		usual string
	}{{&i.Claims.Tenant, "tenant"}, {&i.Claims.Roles, "roles"}, {&i.Claims.Permissions, "permissions"}, {&i.Claims.Trust, "trust"}} {
		if *name.claim == "" {
			*name.claim = name.usual
		}
	}
	if i.Name == "" || i.Audience == "" {
		return nil, errors.New("a name (`iss`) and an audience (`aud`) are required")
	}
	given := 0
	for _, present := range []bool{i.JWKS != nil, i.File != "", i.URL != "", i.Secret != nil} {
		if present {
			given++
		}
	}
	if given != 1 {
		return nil, errors.New("exactly one of a key set, a file, a URL and a secret is required")
	}
	return i, i.open(c)
}

func (i *issuer) open(c Config) (err error) {
	text := i.JWKS
	switch {
	case i.Secret != nil:
		if !c.AllowHS256 {
			return errors.New("a shared secret (HS256) is for development only, and must be allowed explicitly")
		}
		if len(i.Secret) < 32 {
			return errors.New("a shared secret has at least 32 bytes")
		}
		i.secret = []key{{i.Secret, []jwa.SignatureAlgorithm{jwa.HS256()}}}
		return nil
	case i.URL != "":
		return checkURL(i.URL)
	case i.File != "":
		if text, err = os.ReadFile(i.File); err != nil {
			return err
		}
	}
	i.keys, err = parseKeySet(text)
	return err
}

// checkURL refuses to fetch keys over a connection that anyone on the way can change.
func checkURL(address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()) {
		return nil
	}
	return fmt.Errorf("%s: a key set is fetched over https, or http on the loopback interface", address)
}

// parseKeySet reads a JWK Set into keys by id. Keys that can't verify here (for encryption, of another kind, without an id) are left out, as RFC 7517 section 5 asks; a set without any that can is an error.
func parseKeySet(text []byte) (map[string]key, error) {
	set, err := jwk.Parse(text, jwk.WithIgnoreParseError(true))
	if err != nil {
		return nil, err
	}
	keys := map[string]key{}
	for n := range set.Len() {
		entry, _ := set.Key(n)
		id, _ := entry.KeyID()
		if use, ok := entry.KeyUsage(); id == "" || ok && use != "sig" {
			continue
		}
		checked, ok := verifier(entry)
		if !ok {
			continue
		}
		if _, twice := keys[id]; twice {
			return nil, fmt.Errorf("two keys have the id %q", id)
		}
		keys[id] = checked
	}
	if len(keys) == 0 {
		return nil, errors.New("the key set has no key that verifies EdDSA, ES256 or RS256 and has a `kid`")
	}
	return keys, nil
}

func verifier(entry jwk.Key) (key, bool) {
	public, err := jwk.PublicRawKeyOf(entry)
	if err != nil {
		return key{}, false
	}
	var algorithms []jwa.SignatureAlgorithm
	switch k := public.(type) {
	case ed25519.PublicKey:
		algorithms = []jwa.SignatureAlgorithm{jwa.EdDSA(), jwa.EdDSAEd25519()}
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			algorithms = []jwa.SignatureAlgorithm{jwa.ES256()}
		}
	case *rsa.PublicKey:
		if k.N.BitLen() >= 2048 {
			algorithms = []jwa.SignatureAlgorithm{jwa.RS256()}
		}
	}
	if stated, ok := entry.Algorithm(); ok {
		for _, a := range algorithms {
			if a.String() == stated.String() {
				return key{public, []jwa.SignatureAlgorithm{a}}, true
			}
		}
		return key{}, false
	}
	return key{public, algorithms}, len(algorithms) > 0
}

// find returns the key with the id. Keys behind a URL are fetched where they are not known or old; old keys go on serving while the URL does not answer.
func (i *issuer) find(ctx context.Context, id string, now time.Time) (key, error) {
	if i.secret != nil {
		return i.secret[0], nil
	}
	found, known := i.lookup(id)
	if i.URL != "" && i.due(known, now) {
		if !known {
			i.fetching.Lock()
		}
		if !known || i.fetching.TryLock() {
			i.refresh(context.WithoutCancel(ctx), known, now)
			i.fetching.Unlock()
		}
		found, known = i.lookup(id)
	}
	if known {
		return found, nil
	}
	i.mu.RLock()
	defer i.mu.RUnlock()
	if i.keys == nil {
		return key{}, fmt.Errorf("%w: %s", ErrUnavailable, i.Name)
	}
	return key{}, refuse("unknown_kid", "the token names a key that its issuer does not have: "+anotherToken)
}

func (i *issuer) lookup(id string) (key, bool) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	found, known := i.keys[id]
	return found, known
}

func (i *issuer) due(known bool, now time.Time) bool {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return (!known || now.Sub(i.read) >= refreshAfter) && !now.Before(i.next)
}

// refresh fetches the keys, unless another caller did so while this one waited.
func (i *issuer) refresh(ctx context.Context, known bool, now time.Time) {
	if !i.due(known, now) {
		return
	}
	keys, err := i.fetch(ctx)
	i.mu.Lock()
	defer i.mu.Unlock()
	if err != nil {
		i.next = now.Add(retryAfter)
		return
	}
	i.keys, i.read, i.next = keys, now, now.Add(refreshAtMost)
}

func (i *issuer) fetch(ctx context.Context) (map[string]key, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, i.URL, nil)
	if err != nil {
		return nil, err
	}
	response, err := i.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, errors.New(response.Status)
	}
	text, err := readAtMost(response.Body, maxKeySetBytes)
	if err != nil {
		return nil, err
	}
	return parseKeySet(bytes.TrimSpace(text))
}

// algorithm is the one of the key's that the token names.
func (k key) algorithm(name string) (jwa.SignatureAlgorithm, bool) {
	for _, a := range k.algorithms {
		if a.String() == name {
			return a, true
		}
	}
	return jwa.EmptySignatureAlgorithm(), false
}
