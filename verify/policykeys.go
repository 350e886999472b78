package verify

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
)

// PolicyKey is a key under which an auditor accepts signatures of bundles of policies. Its algorithm is pinned with it.
type PolicyKey struct {
	ID        string `json:"kid"`
	Algorithm string `json:"alg"` // one of policyAlgorithms
	// Public is the key's SubjectPublicKeyInfo (RFC 5280), base64: what stands between the lines of a PEM file.
	Public string `json:"spki"`
}

// policyAlgorithms are those of signatures of bundles, as package rego names them.
var policyAlgorithms = []string{"EdDSA", "ES256", "RS256"}

// publicPEM is the type of a PEM block that holds a public key.
const publicPEM = "PUBLIC KEY"

// NewPolicyKey reads the public half of a key from PEM.
func NewPolicyKey(id, algorithm, text string) (PolicyKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != publicPEM {
		return PolicyKey{}, fmt.Errorf("the key %q is not a PEM block %s", id, publicPEM)
	}
	k := PolicyKey{id, algorithm, standard.EncodeToString(block.Bytes)}
	return k, k.check()
}

// PEM is the public half as [NewPolicyKey] reads it; "" where there is none.
func (k PolicyKey) PEM() string {
	der, err := standard.Strict().DecodeString(k.Public)
	if err != nil {
		return ""
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: publicPEM, Bytes: der}))
}

func (k PolicyKey) check() error {
	der, err := standard.Strict().DecodeString(k.Public)
	if err == nil {
		_, err = x509.ParsePKIXPublicKey(der)
	}
	switch {
	case k.ID == "":
		return fmt.Errorf("a key of policies has an id")
	case !slices.Contains(policyAlgorithms, k.Algorithm):
		return fmt.Errorf("the algorithm of the key %q is %q, and none of %v", k.ID, k.Algorithm, policyAlgorithms)
	case err != nil:
		return fmt.Errorf("the key %q: %w", k.ID, err)
	case standard.EncodeToString(der) != k.Public:
		return fmt.Errorf("the key %q has another form too", k.ID)
	}
	return nil
}

// checkPolicyKeys wants sound keys in order of id.
func checkPolicyKeys(keys []PolicyKey) error {
	for _, key := range keys {
		if err := key.check(); err != nil {
			return err
		}
	}
	return ascending(keys, func(k PolicyKey) string { return k.ID })
}

// policyKeyChanges compares the keys of policies of two trust files.
func (t Trust) policyKeyChanges(next Trust, add adding) {
	for _, key := range t.PolicyKeys {
		switch i := slices.IndexFunc(next.PolicyKeys, func(k PolicyKey) bool { return k.ID == key.ID }); {
		case i < 0:
			add(true, "the key of policies %s is gone", key.ID)
		case next.PolicyKeys[i] != key:
			add(true, "the key of policies %s is another one", key.ID)
		}
	}
	for _, key := range next.PolicyKeys {
		if !slices.ContainsFunc(t.PolicyKeys, func(k PolicyKey) bool { return k.ID == key.ID }) {
			add(false, "the key of policies %s is new", key.ID)
		}
	}
}
