package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"

	"github.com/smarthausgroup/caio/contracts"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return now }

// signers of a test issuer, by kid.
type signers struct {
	ed  ed25519.PrivateKey
	ec  *ecdsa.PrivateKey
	rsa *rsa.PrivateKey
}

func newSigners(t testing.TB) signers {
	t.Helper()
	_, ed, err1 := ed25519.GenerateKey(rand.Reader)
	ec, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	rs, err3 := rsa.GenerateKey(rand.Reader, 2048)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	return signers{ed, ec, rs}
}

func (s signers) jwks(t testing.TB) []byte {
	t.Helper()
	set := jwk.NewSet()
	for id, public := range map[string]any{"ed": s.ed.Public(), "ec": &s.ec.PublicKey, "rsa": &s.rsa.PublicKey} {
		key, err := jwk.Import(public)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(key.Set(jwk.KeyIDKey, id), set.AddKey(key)); err != nil {
			t.Fatal(err)
		}
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func goodClaims() map[string]any {
	return map[string]any{
		"iss": "https://idp.example", "aud": []string{"caio", "other"}, "sub": "ann", "exp": now.Add(time.Hour).Unix(), "nbf": now.Unix(),
		"tenant": "acme", "roles": []string{"author", "app", "app"}, "permissions": []string{"ai.embed"}, "trust": 7.5,
	}
}

func with(changes map[string]any) map[string]any {
	claims := goodClaims()
	for name, value := range changes {
		if value == nil {
			delete(claims, name)
		} else {
			claims[name] = value
		}
	}
	return claims
}

func sign(t testing.TB, algorithm jwa.SignatureAlgorithm, private any, head map[string]any, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	headers := jws.NewHeaders()
	for name, value := range head {
		if err := headers.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	compact, err := jws.Sign(payload, jws.WithKey(algorithm, private, jws.WithProtectedHeaders(headers)))
	if err != nil {
		t.Fatal(err)
	}
	return string(compact)
}

func raw(head, claims any, signature string) string {
	h, _ := json.Marshal(head)
	c, _ := json.Marshal(claims)
	return base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(c) + "." + signature
}

func kid(id string) map[string]any { return map[string]any{"kid": id, "typ": "JWT"} }

func TestTokens(t *testing.T) {
	s := newSigners(t)
	_, stranger, _ := ed25519.GenerateKey(rand.Reader)
	a, err := New(Config{Clock: clock, Issuers: []Issuer{{Name: "https://idp.example", Audience: "caio", JWKS: s.jwks(t), Tenants: []string{"acme", "beta"}}}})
	if err != nil {
		t.Fatal(err)
	}
	good := sign(t, jwa.EdDSA(), s.ed, kid("ed"), goodClaims())
	public, _ := json.Marshal(s.rsa.PublicKey)
	swapped := strings.Split(sign(t, jwa.EdDSA(), s.ed, kid("ed"), with(map[string]any{"roles": []string{"operator"}})), ".")
	parts := strings.Split(good, ".")

	for _, c := range []struct{ name, token, reason string }{
		{"EdDSA", good, ""},
		{"Ed25519", sign(t, jwa.EdDSAEd25519(), s.ed, kid("ed"), goodClaims()), ""},
		{"ES256", sign(t, jwa.ES256(), s.ec, kid("ec"), goodClaims()), ""},
		{"RS256", sign(t, jwa.RS256(), s.rsa, kid("rsa"), goodClaims()), ""},
		{"audience as text", sign(t, jwa.EdDSA(), s.ed, kid("ed"), with(map[string]any{"aud": "caio"})), ""},
		{"trust as text", sign(t, jwa.EdDSA(), s.ed, kid("ed"), with(map[string]any{"trust": "7.5"})), ""},
		{"access token type", sign(t, jwa.EdDSA(), s.ed, map[string]any{"kid": "ed", "typ": "at+jwt"}, goodClaims()), ""},

		{"alg none", raw(map[string]any{"alg": "none", "kid": "ed"}, goodClaims(), ""), "wrong_algorithm"},
		{"alg none, no kid", raw(map[string]any{"alg": "none"}, goodClaims(), ""), "unknown_kid"},
		{"alg None", raw(map[string]any{"alg": "None", "kid": "ed"}, goodClaims(), parts[2]), "wrong_algorithm"},
		{"key confusion: public key as HMAC secret", sign(t, jwa.HS256(), public, kid("rsa"), goodClaims()), "wrong_algorithm"},
		{"algorithm of another key", sign(t, jwa.ES256(), s.ec, kid("ed"), goodClaims()), "wrong_algorithm"},
		{"weaker family", sign(t, jwa.RS512(), s.rsa, kid("rsa"), goodClaims()), "wrong_algorithm"},
		{"PS256", sign(t, jwa.PS256(), s.rsa, kid("rsa"), goodClaims()), "wrong_algorithm"},
		{"another's key under a known kid", sign(t, jwa.EdDSA(), stranger, kid("ed"), goodClaims()), "wrong_signature"},
		{"unknown kid", sign(t, jwa.EdDSA(), stranger, kid("eve"), goodClaims()), "unknown_kid"},
		{"no kid", sign(t, jwa.EdDSA(), s.ed, nil, goodClaims()), "unknown_kid"},
		{"key inside the header", sign(t, jwa.EdDSA(), stranger, map[string]any{"kid": "eve", "jwk": mustJWK(t, stranger.Public())}, goodClaims()), "unknown_kid"},
		{"crit", sign(t, jwa.EdDSA(), s.ed, map[string]any{"kid": "ed", "crit": []string{"x"}, "x": 1}, goodClaims()), "wrong_signature"},
		{"claims of another token", parts[0] + "." + swapped[1] + "." + parts[2], "wrong_signature"},
		{"a statement of the log", sign(t, jwa.EdDSA(), s.ed, map[string]any{"kid": "ed", "typ": "caio-decision+jws"}, goodClaims()), "wrong_type"},

		{"wrong issuer", sign(t, jwa.EdDSA(), s.ed, kid("ed"), with(map[string]any{"iss": "https://evil.example"})), "wrong_issuer"},
		{"no issuer", sign(t, jwa.EdDSA(), s.ed, kid("ed"), with(map[string]any{"iss": nil})), "malformed"},
		{"wrong audience", sign(t, jwa.EdDSA(), s.ed, kid("ed"), with(map[string]any{"aud": "elsewhere"})), "wrong_audience"},
		{"no audience", sign(t, jwa.EdDSA(), s.ed, kid("ed"), with(map[string]any{"aud": nil})), "wrong_audience"},
		{"expired", sign(t, jwa.EdDSA(), s.ed, kid("ed"), with(map[string]any{"exp": now.Add(-time.Second).Unix()})), "expired"},
		{"expires now", sign(t, jwa.EdDSA(), s.ed, kid("ed"), with(map[string]any{"exp": now.Unix()})), "expired"},
		{"never expires", sign(t, jwa.EdDSA(), s.ed, kid("ed"), with(map[string]any{"exp": nil})), "malformed"},
		{"expires absurdly late", sign(t, jwa.EdDSA(), s.ed, kid("ed"), with(map[string]any{"exp": 1e300})), "malformed"},
		{"not yet valid", sign(t, jwa.EdDSA(), s.ed, kid("ed"), with(map[string]any{"nbf": now.Add(time.Second).Unix()})), "not_yet_valid"},
		{"no subject", sign(t, jwa.EdDSA(), s.ed, kid("ed"), with(map[string]any{"sub": nil})), "malformed"},
		{"no tenant", sign(t, jwa.EdDSA(), s.ed, kid("ed"), with(map[string]any{"tenant": nil})), "malformed"},
		{"tenant of bad form", sign(t, jwa.EdDSA(), s.ed, kid("ed"), with(map[string]any{"tenant": "../acme"})), "malformed"},
		{"tenant that the issuer may not name", sign(t, jwa.EdDSA(), s.ed, kid("ed"), with(map[string]any{"tenant": "gamma"})), "wrong_tenant"},
		{"roles as text", sign(t, jwa.EdDSA(), s.ed, kid("ed"), with(map[string]any{"roles": "operator"})), "malformed"},
		{"trust beyond 10", sign(t, jwa.EdDSA(), s.ed, kid("ed"), with(map[string]any{"trust": 10.000001})), "malformed"},
		{"negative trust", sign(t, jwa.EdDSA(), s.ed, kid("ed"), with(map[string]any{"trust": -1})), "malformed"},

		{"huge", "ey" + strings.Repeat("A", MaxTokenBytes), "too_large"},
		{"rubbish", "rubbish", "malformed"},
		{"two dots and nothing", "..", "malformed"},
		{"JSON serialisation", `{"payload":"e30","signatures":[]}`, "malformed"},
		{"a control character", good + "\x01", "malformed"},
		{"unknown API key", APIKeyPrefix + strings.Repeat("A", 43), "unknown_key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 2 { // the second time from the cache, where it was good
				identity, err := a.Authenticate(context.Background(), "Bearer "+c.token)
				var refused *Error
				switch {
				case c.reason == "" && err != nil:
					t.Fatal(err)
				case c.reason != "" && (!errors.As(err, &refused) || refused.Reason != c.reason):
					t.Fatalf("refused for %v, not for %s", err, c.reason)
				case c.reason != "" && strings.Contains(err.Error(), c.token):
					t.Fatal("the error quotes the credential")
				case c.reason == "":
					want := contracts.Principal{Tenant: "acme", Subject: "ann", Roles: []string{"app", "author"}, Permissions: []string{"ai.embed"}, Trust: 7_500_000, Method: MethodJWT, Issuer: "https://idp.example"}
					if !reflect.DeepEqual(identity.Principal, want) {
						t.Fatalf("%+v", identity.Principal)
					}
				}
			}
		})
	}
	for _, header := range []string{"", "Basic YTpi", "Bearer", "Bearer ", good} {
		if _, err := a.Authenticate(context.Background(), header); err == nil {
			t.Errorf("%.20q was taken", header)
		}
	}
}

func mustJWK(t testing.TB, public any) jwk.Key {
	key, err := jwk.Import(public)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Every single character of a good token, changed, makes it a bad one: the base64 is decoded strictly.
func TestEveryCharacterMatters(t *testing.T) {
	s := newSigners(t)
	a, err := New(Config{Clock: clock, Issuers: []Issuer{{Name: "https://idp.example", Audience: "caio", JWKS: s.jwks(t)}}})
	if err != nil {
		t.Fatal(err)
	}
	good := sign(t, jwa.EdDSA(), s.ed, kid("ed"), goodClaims())
	for i := range good {
		// The last character of the signature carries bits that no byte uses.
		if i == len(good)-1 {
			continue
		}
		replacement := byte('A')
		if good[i] == 'A' {
			replacement = 'B'
		}
		forged := good[:i] + string(replacement) + good[i+1:]
		if _, err := a.Authenticate(context.Background(), "Bearer "+forged); err == nil {
			t.Fatalf("character %d changed, and the token was taken", i)
		}
	}
}

func TestCacheForgets(t *testing.T) {
	s := newSigners(t)
	at := now
	a, err := New(Config{Clock: func() time.Time { return at }, CacheSize: 8, CacheFor: time.Hour, Issuers: []Issuer{{Name: "https://idp.example", Audience: "caio", JWKS: s.jwks(t)}}})
	if err != nil {
		t.Fatal(err)
	}
	short := sign(t, jwa.EdDSA(), s.ed, kid("ed"), with(map[string]any{"exp": now.Add(time.Minute).Unix()}))
	if _, err := a.Authenticate(context.Background(), "Bearer "+short); err != nil {
		t.Fatal(err)
	}
	for n := range 50 {
		token := sign(t, jwa.EdDSA(), s.ed, kid("ed"), with(map[string]any{"sub": fmt.Sprint("user", n)}))
		if _, err := a.Authenticate(context.Background(), "Bearer "+token); err != nil {
			t.Fatal(err)
		}
		if len(a.cache.entries) > 8 {
			t.Fatalf("the cache holds %d tokens, at most 8 were allowed", len(a.cache.entries))
		}
	}
	if _, err := a.Authenticate(context.Background(), "Bearer "+short); err != nil {
		t.Fatal(err)
	}
	at = now.Add(time.Minute)
	var refused *Error
	if _, err := a.Authenticate(context.Background(), "Bearer "+short); !errors.As(err, &refused) || refused.Reason != "expired" {
		t.Fatalf("a remembered token outlived its time: %v", err)
	}
}

func TestAPIKeys(t *testing.T) {
	keys := map[[sha256.Size]byte]APIKey{}
	add := func(k APIKey) string {
		key, hash, err := NewAPIKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		k.Hash = hash
		keys[hash] = k
		return key
	}
	text, err := EncodeBearer(contracts.Principal{Tenant: "acme", Subject: "ci", Roles: []string{"author"}, Trust: 3_500_000}, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	principal, expires, err := DecodeBearer("acme", text)
	if err != nil || !expires.Equal(now.Add(time.Hour)) {
		t.Fatal(expires, err)
	}
	good := add(APIKey{ID: "ci", Principal: principal, Expires: expires})
	old := add(APIKey{ID: "old", Principal: principal, Expires: now})
	revoked := add(APIKey{ID: "revoked", Principal: principal, Revoked: true})
	down := false
	a, err := New(Config{Clock: clock, APIKeyIssuer: "here", APIKeys: func(_ context.Context, hash [sha256.Size]byte) (APIKey, error) {
		if down {
			return APIKey{}, errors.New("the store is down")
		}
		k, ok := keys[hash]
		if !ok {
			return APIKey{}, ErrUnknownKey
		}
		return k, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		identity, err := a.Authenticate(context.Background(), "bearer "+good)
		if err != nil || identity.Key != "ci" || !identity.Has(Author) || identity.Has(Operator, App) || identity.Principal.Trust != 3_500_000 || identity.Principal.Method != MethodAPIKey || identity.Principal.Issuer != "here" {
			t.Fatalf("%v: %+v", err, identity)
		}
	}
	for _, wrong := range []string{old, revoked, good + "A", good[:len(good)-1], strings.ToLower(good), APIKeyPrefix} {
		var refused *Error
		if _, err := a.Authenticate(context.Background(), "Bearer "+wrong); !errors.As(err, &refused) {
			t.Errorf("%s: %v", wrong, err)
		}
	}
	down = true
	if _, err := a.Authenticate(context.Background(), "Bearer "+old); !errors.Is(err, ErrUnavailable) {
		t.Errorf("while the store is down: %v", err)
	}
	for _, wrong := range []contracts.Principal{{Subject: "x"}, {Tenant: "acme"}, {Tenant: "acme", Subject: "x", Trust: 11_000_000}, {Tenant: "acme", Subject: "x", Roles: []string{""}}} {
		if _, err := EncodeBearer(wrong, time.Time{}); err == nil {
			t.Errorf("%+v was encoded", wrong)
		}
	}
}

// What is revoked while it is being looked at is not remembered as good.
func TestForget(t *testing.T) {
	key, hash, err := NewAPIKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	known := APIKey{ID: "ci", Hash: hash, Principal: contracts.Principal{Tenant: "acme", Subject: "ci"}}
	var meanwhile func()
	a, err := New(Config{Clock: clock, APIKeys: func(context.Context, [sha256.Size]byte) (APIKey, error) {
		read := known
		meanwhile()
		return read, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	revoke := func() {
		known.Revoked = true
		a.Forget(hash)
	}
	for name, c := range map[string]struct{ during, after func() }{"remembered": {func() {}, revoke}, "being looked at": {revoke, func() {}}} {
		known.Revoked, meanwhile = false, c.during
		if _, err := a.Authenticate(context.Background(), "Bearer "+key); err != nil {
			t.Fatal(err)
		}
		c.after()
		meanwhile = func() {}
		if _, err := a.Authenticate(context.Background(), "Bearer "+key); err == nil {
			t.Errorf("%s: a revoked key is taken", name)
		}
	}
}

func TestKeySetBehindURL(t *testing.T) {
	first, second := newSigners(t), newSigners(t)
	var serving atomic.Pointer[[]byte]
	var fetches, down atomic.Int64
	down.Store(1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fetches.Add(1)
		if down.Load() == 1 {
			http.Error(w, "down", http.StatusInternalServerError)
			return
		}
		w.Write(*serving.Load())
	}))
	defer server.Close()
	text := first.jwks(t)
	serving.Store(&text)
	var at atomic.Int64
	at.Store(now.Unix())
	a, err := New(Config{Clock: func() time.Time { return time.Unix(at.Load(), 0) }, CacheFor: time.Nanosecond, Issuers: []Issuer{{Name: "https://idp.example", Audience: "caio", URL: server.URL}}})
	if err != nil {
		t.Fatal(err)
	}
	try := func(s signers, id string) error {
		_, err := a.Authenticate(context.Background(), "Bearer "+sign(t, jwa.EdDSA(), s.ed, kid(id), goodClaims()))
		return err
	}
	if err := try(first, "ed"); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("an issuer that is down: %v", err)
	}
	down.Store(0)
	at.Add(int64(retryAfter / time.Second))
	if err := try(first, "ed"); err != nil {
		t.Fatal(err)
	}
	before := fetches.Load()
	for range 20 {
		if err := try(second, "unknown"); err == nil || errors.Is(err, ErrUnavailable) {
			t.Fatal(err)
		}
	}
	if n := fetches.Load() - before; n != 0 {
		t.Errorf("20 tokens with an unknown kid made %d fetches within %v of the last", n, refreshAtMost)
	}
	text = second.jwks(t)
	serving.Store(&text)
	at.Add(int64(refreshAfter / time.Second))
	if err := try(second, "ed"); err != nil {
		t.Fatalf("the rotated key: %v", err)
	}
	if err := try(first, "ed"); err == nil {
		t.Fatal("the retired key is still taken")
	}
	down.Store(1)
	at.Add(int64(refreshAfter / time.Second))
	if err := try(second, "ed"); err != nil {
		t.Fatalf("known keys serve while the issuer is down: %v", err)
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	s := newSigners(t)
	secret := []byte(strings.Repeat("s", 32))
	for name, c := range map[string]Config{
		"no clock":               {},
		"no audience":            {Clock: clock, Issuers: []Issuer{{Name: "i", JWKS: s.jwks(t)}}},
		"no keys":                {Clock: clock, Issuers: []Issuer{{Name: "i", Audience: "a"}}},
		"two sources":            {Clock: clock, Issuers: []Issuer{{Name: "i", Audience: "a", JWKS: s.jwks(t), URL: "https://x.example"}}},
		"plain http":             {Clock: clock, Issuers: []Issuer{{Name: "i", Audience: "a", URL: "http://x.example/jwks"}}},
		"HS256 without flag":     {Clock: clock, Issuers: []Issuer{{Name: "i", Audience: "a", Secret: secret}}},
		"short secret":           {Clock: clock, AllowHS256: true, Issuers: []Issuer{{Name: "i", Audience: "a", Secret: []byte("short")}}},
		"twice":                  {Clock: clock, AllowHS256: true, Issuers: []Issuer{{Name: "i", Audience: "a", Secret: secret}, {Name: "i", Audience: "a", Secret: secret}}},
		"no usable key":          {Clock: clock, Issuers: []Issuer{{Name: "i", Audience: "a", JWKS: []byte(`{"keys":[{"kty":"oct","kid":"x","k":"AAAA"}]}`)}}},
		"file that is not there": {Clock: clock, Issuers: []Issuer{{Name: "i", Audience: "a", File: "nowhere.json"}}},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	a, err := New(Config{Clock: clock, AllowHS256: true, Issuers: []Issuer{{Name: "https://idp.example", Audience: "caio", Secret: secret}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Authenticate(context.Background(), "Bearer "+sign(t, jwa.HS256(), secret, nil, goodClaims())); err != nil {
		t.Errorf("HS256, allowed: %v", err)
	}
	if _, err := a.Authenticate(context.Background(), "Bearer "+sign(t, jwa.HS384(), []byte(strings.Repeat("s", 48)), nil, goodClaims())); err == nil {
		t.Error("HS384 was taken")
	}
}

func TestDevelopmentIssuer(t *testing.T) {
	dir := t.TempDir() + "/keys"
	d, created, err := OpenDevelopment(dir, rand.Reader)
	if err != nil || !created {
		t.Fatal(created, err)
	}
	again, created, err := OpenDevelopment(dir, rand.Reader)
	if err != nil || created || string(again.public) != string(d.public) {
		t.Fatal(created, err)
	}
	a, err := New(Config{Clock: clock, Issuers: []Issuer{d.Issuer()}})
	if err != nil {
		t.Fatal(err)
	}
	token, err := again.Token(contracts.Principal{Tenant: "default", Subject: "dev", Roles: []string{"operator"}, Trust: 2_500_000}, now, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	identity, err := a.Authenticate(context.Background(), "Bearer "+token)
	if err != nil || identity.Principal.Trust != 2_500_000 || !identity.Expires.Equal(now.Add(time.Hour)) {
		t.Fatalf("%v: %+v", err, identity)
	}
	if _, err := d.Token(contracts.Principal{Tenant: "Not A Tenant", Subject: "dev"}, now, time.Hour); err == nil {
		t.Error("a token for a tenant of bad form was issued")
	}
}
