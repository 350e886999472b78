package auth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v3/jws"

	"github.com/smarthausgroup/caio/contracts"
)

// anotherToken is what a caller can do whose token is none of this server's.
const anotherToken = "issue a token with this server's keys (caio token issue --keys FOLDER), or log in again"

// header is what of a token's header matters. Keys inside it (`jwk`, `jku`, `x5u`, `x5c`) are never read.
type header struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Type      string `json:"typ"`
}

// claims are those of RFC 7519 that are checked.
type claims struct {
	subject  string
	audience []string
	expires  time.Time
}

// token verifies a JWT: its issuer is found by `iss`, the key by `kid`, and the algorithm must be one of the key's own. Whatever is not as it must be refuses the token.
func (a *Authenticator) token(ctx context.Context, compact string, now time.Time) (Identity, error) {
	head, unverified, err := split(compact)
	if err != nil {
		return Identity{}, err
	}
	var name string
	if json.Unmarshal(unverified["iss"], &name) != nil {
		return Identity{}, refuse("malformed", "the token does not name its issuer (`iss`)")
	}
	from := a.issuers[name]
	if from == nil {
		return Identity{}, refuse("wrong_issuer", "the token's issuer is not one whose tokens are taken: "+anotherToken)
	}
	key, err := from.find(ctx, head.KeyID, now)
	if err != nil {
		return Identity{}, err
	}
	algorithm, ok := key.algorithm(head.Algorithm)
	if !ok {
		return Identity{}, refuse("wrong_algorithm", "the token's algorithm is not that of the key that it names")
	}
	payload, err := jws.VerifyCompactFast(key.raw, []byte(compact), algorithm)
	if err != nil {
		return Identity{}, refuse("wrong_signature", "the token's signature does not verify: "+anotherToken)
	}
	var verified map[string]json.RawMessage
	if json.Unmarshal(payload, &verified) != nil {
		return Identity{}, refuse("malformed", "the token's claims are not a JSON object")
	}
	return from.identify(verified, now)
}

// split reads header and claims without verifying anything.
func split(compact string) (header, map[string]json.RawMessage, error) {
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return header{}, nil, refuse("malformed", "the credential is neither a JWT nor an API key")
	}
	var head header
	var body map[string]json.RawMessage
	for n, into := range []any{&head, &body} {
		text, err := base64.RawURLEncoding.Strict().DecodeString(parts[n])
		if err != nil || json.Unmarshal(text, into) != nil {
			return header{}, nil, refuse("malformed", "the credential is neither a JWT nor an API key")
		}
	}
	// A JWS made for something else (a statement, a key set) is not a token, whoever signed it.
	if typ := strings.ToLower(head.Type); typ != "" && typ != "jwt" && typ != "at+jwt" && typ != "application/at+jwt" {
		return header{}, nil, refuse("wrong_type", "the signed text is not a token: its `typ` is another")
	}
	return head, body, nil
}

// identify turns verified claims into who they say the bearer is.
func (i *issuer) identify(verified map[string]json.RawMessage, now time.Time) (Identity, error) {
	c, err := i.registered(verified, now)
	if err != nil {
		return Identity{}, err
	}
	p := contracts.Principal{Subject: c.subject, Method: MethodJWT, Issuer: i.Name}
	for _, claim := range []struct {
		name string
		into any
	}{{i.Claims.Tenant, &p.Tenant}, {i.Claims.Roles, &p.Roles}, {i.Claims.Permissions, &p.Permissions}, {i.Claims.Trust, (*trust)(&p.Trust)}} {
		if text, ok := verified[claim.name]; ok && json.Unmarshal(text, claim.into) != nil {
			return Identity{}, refuse("malformed", "the token's claim `%s` is not of the form expected", claim.name)
		}
	}
	if err := checkPrincipal(&p); err != nil {
		return Identity{}, refuse("malformed", "the token can't be used: %v", err)
	}
	if len(i.Tenants) > 0 && !slices.Contains(i.Tenants, p.Tenant) {
		return Identity{}, refuse("wrong_tenant", "the token's issuer may not speak for its tenant")
	}
	return Identity{Principal: p, Expires: c.expires}, nil
}

// registered checks the claims that every token must have. There is no leeway: a clock that is wrong is set right, not allowed for.
func (i *issuer) registered(verified map[string]json.RawMessage, now time.Time) (claims, error) {
	var c claims
	if json.Unmarshal(verified["sub"], &c.subject) != nil {
		return c, refuse("malformed", "the token does not name its subject (`sub`)")
	}
	if json.Unmarshal(verified["aud"], &c.audience) != nil {
		c.audience = make([]string, 1)
		if json.Unmarshal(verified["aud"], &c.audience[0]) != nil {
			return c, refuse("wrong_audience", "the token does not say for whom it is (`aud`)")
		}
	}
	if !slices.Contains(c.audience, i.Audience) {
		return c, refuse("wrong_audience", "the token is for another audience: "+anotherToken)
	}
	var ok bool
	if c.expires, ok = numericDate(verified["exp"]); !ok {
		return c, refuse("malformed", "the token does not say when it expires (`exp`)")
	}
	if !now.Before(c.expires) {
		return c, refuse("expired", "the token has expired: issue another (caio token issue), or log in again")
	}
	if text, given := verified["nbf"]; given {
		from, ok := numericDate(text)
		if !ok || now.Before(from) {
			return c, refuse("not_yet_valid", "the token is not valid yet (`nbf`)")
		}
	}
	return c, nil
}

// numericDate reads seconds since 1970, whole or not (RFC 7519, section 2).
func numericDate(text json.RawMessage) (time.Time, bool) {
	var seconds float64
	if text == nil || string(text) == "null" || json.Unmarshal(text, &seconds) != nil || seconds < 0 || seconds > 1<<40 {
		return time.Time{}, false
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)), true
}

// trust is a decimal given as a number or as its text.
type trust contracts.Decimal

// UnmarshalJSON reads 7, 7.5 and "7.5".
func (t *trust) UnmarshalJSON(text []byte) error {
	var quoted string
	if json.Unmarshal(text, &quoted) == nil {
		text = []byte(quoted)
	}
	d, err := contracts.ParseDecimal(string(text))
	*t = trust(d)
	return err
}
