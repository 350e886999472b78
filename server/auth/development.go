package auth

import (
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/verify"
)

// The issuer that a server without a configuration makes for itself.
const (
	DevelopmentIssuer   = "caio-development"
	DevelopmentAudience = "caio"
	developmentKeyFile  = "development-issuer.pem"
)

// Development issues tokens with a key of its own, so that a server can be tried before there is an identity provider.
type Development struct {
	private jwk.Key
	public  []byte // JWK Set
}

// OpenDevelopment reads the issuer's Ed25519 key from a folder, or makes one there (PKCS #8 in PEM, mode 0600; the folder 0700). A key that others can read is refused.
func OpenDevelopment(dir string, random io.Reader) (d *Development, created bool, err error) {
	path := filepath.Join(dir, developmentKeyFile)
	private, err := verify.ReadKeyFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		created = true
		if err = os.MkdirAll(dir, 0o700); err == nil {
			private, err = verify.GenerateKeyFile(path, random)
		}
	}
	if err != nil {
		return nil, false, fmt.Errorf("auth: the development issuer's key: %w", err)
	}
	d, err = newDevelopment(private)
	return d, created, err
}

func newDevelopment(private ed25519.PrivateKey) (*Development, error) {
	key, err := jwk.Import(private)
	if err != nil {
		return nil, err
	}
	print, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, err
	}
	if err := key.Set(jwk.KeyIDKey, base64.RawURLEncoding.EncodeToString(print)); err != nil {
		return nil, err
	}
	public, err := key.PublicKey()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(map[string]any{"keys": []jwk.Key{public}})
	return &Development{private: key, public: text}, err
}

// Issuer is the configuration under which the tokens are taken.
func (d *Development) Issuer() Issuer {
	return Issuer{Name: DevelopmentIssuer, Audience: DevelopmentAudience, JWKS: d.public}
}

// Token issues one for the principal, valid from now for the duration given. Method and issuer of the principal are not read.
func (d *Development) Token(p contracts.Principal, now time.Time, valid time.Duration) (string, error) {
	if err := checkPrincipal(&p); err != nil {
		return "", fmt.Errorf("auth: %w", err)
	}
	payload, err := json.Marshal(map[string]any{
		"iss": DevelopmentIssuer, "aud": DevelopmentAudience, "sub": p.Subject,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(valid).Unix(),
		"tenant": p.Tenant, "roles": p.Roles, "permissions": p.Permissions, "trust": p.Trust.String(),
	})
	if err != nil {
		return "", err
	}
	headers := jws.NewHeaders()
	id, _ := d.private.KeyID()
	if err := errors.Join(headers.Set(jws.KeyIDKey, id), headers.Set(jws.TypeKey, "JWT")); err != nil {
		return "", err
	}
	compact, err := jws.Sign(payload, jws.WithKey(jwa.EdDSA(), d.private, jws.WithProtectedHeaders(headers)))
	return string(compact), err
}
