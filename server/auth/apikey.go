package auth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/smarthausgroup/caio/contracts"
)

// APIKeyPrefix begins every API key, so that one that leaked into a text is found by looking for it.
const APIKeyPrefix = "caio_"

// APIKey is what is kept of an API key: not the key itself, but its SHA-256, which is enough since a key has 256 bits of randomness.
type APIKey struct {
	ID        string
	Hash      [sha256.Size]byte // of the whole key, prefix included
	Principal contracts.Principal
	Expires   time.Time // zero: never
	Revoked   bool
}

// ErrUnknownKey is what [Config.APIKeys] returns where there is no key with the hash.
var ErrUnknownKey = errors.New("no such API key")

// NewAPIKey draws a key, which is shown once, and its hash, which is kept.
func NewAPIKey(random io.Reader) (key string, hash [sha256.Size]byte, err error) {
	secret := make([]byte, 32)
	if _, err := io.ReadFull(random, secret); err != nil {
		return "", hash, fmt.Errorf("auth: drawing an API key: %w", err)
	}
	key = APIKeyPrefix + base64.RawURLEncoding.EncodeToString(secret)
	return key, sha256.Sum256([]byte(key)), nil
}

// bearerOfKey is how the principal of an API key is stored: JSON, the tenant standing beside it.
type bearerOfKey struct {
	Subject     string            `json:"subject"`
	Roles       []string          `json:"roles"`
	Permissions []string          `json:"permissions"`
	Trust       contracts.Decimal `json:"trust"`
	Expires     time.Time         `json:"expires,omitzero"`
}

// EncodeBearer is the stored form of who an API key stands for, all but the tenant. It refuses what [DecodeBearer] would refuse.
func EncodeBearer(p contracts.Principal, expires time.Time) ([]byte, error) {
	if err := checkPrincipal(&p); err != nil {
		return nil, fmt.Errorf("auth: API key: %w", err)
	}
	return json.Marshal(bearerOfKey{p.Subject, p.Roles, p.Permissions, p.Trust, expires})
}

// DecodeBearer reads what [EncodeBearer] wrote.
func DecodeBearer(tenant string, text []byte) (contracts.Principal, time.Time, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var b bearerOfKey
	if err := decoder.Decode(&b); err != nil {
		return contracts.Principal{}, time.Time{}, fmt.Errorf("auth: API key: %w", err)
	}
	p := contracts.Principal{Tenant: tenant, Subject: b.Subject, Roles: b.Roles, Permissions: b.Permissions, Trust: b.Trust}
	if err := checkPrincipal(&p); err != nil {
		return contracts.Principal{}, time.Time{}, fmt.Errorf("auth: API key: %w", err)
	}
	return p, b.Expires, nil
}

func (a *Authenticator) apiKey(ctx context.Context, credential string, now time.Time) (Identity, error) {
	if a.config.APIKeys == nil {
		return Identity{}, refuse("unknown_key", "the API key is not known")
	}
	hash := sha256.Sum256([]byte(credential))
	known, err := a.config.APIKeys(ctx, hash)
	if err != nil && !errors.Is(err, ErrUnknownKey) {
		return Identity{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if err != nil || subtle.ConstantTimeCompare(known.Hash[:], hash[:]) != 1 {
		return Identity{}, refuse("unknown_key", "the API key is not known")
	}
	if known.Revoked {
		return Identity{}, refuse("revoked", "the API key was revoked: have another issued (caio api-key issue)")
	}
	if !known.Expires.IsZero() && !now.Before(known.Expires) {
		return Identity{}, refuse("expired", "the API key has expired: have another issued (caio api-key issue)")
	}
	p := known.Principal
	p.Method, p.Issuer = MethodAPIKey, a.config.APIKeyIssuer
	return Identity{Principal: p, Key: known.ID, Expires: known.Expires}, nil
}
