package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
)

// policyKeysUsage says how keys of bundles are given, on the command line and in the configuration.
const policyKeysUsage = "public keys that sign policies, each `ID=ALGORITHM:FILE`, as release=EdDSA:release.pub; EdDSA, ES256 or RS256"

// readPolicyKeys reads the keys that bundles are verified with, by id. The algorithm is pinned with the key.
func readPolicyKeys(list []string) (map[string]rego.Key, error) {
	keys := map[string]rego.Key{}
	for _, text := range list {
		id, rest, ok := strings.Cut(text, "=")
		algorithm, file, also := strings.Cut(rest, ":")
		if !ok || !also || id == "" {
			return nil, misused("policy key %q is not ID=ALGORITHM:FILE", text)
		}
		if _, twice := keys[id]; twice {
			return nil, misused("the policy key %q is given twice", id)
		}
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if algorithm == "Ed25519" { // as RFC 9864 and the JWK Sets of caio name it
			algorithm = "EdDSA"
		}
		keys[id] = rego.Key{Algorithm: algorithm, PEM: string(pem)}
	}
	return keys, nil
}

// readApproverKeys reads the keys with which approvers sign: a JWK Set, as `caio key export` writes it, or a folder of such files.
func readApproverKeys(path string) (verify.Keys, error) {
	if path == "" {
		return nil, nil
	}
	files := []string{path}
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if info.IsDir() {
		if files, err = filepath.Glob(filepath.Join(path, "*.json")); err != nil || len(files) == 0 {
			return nil, unable("approver_keys: there is no JWK Set (*.json) in %s", path)
		}
	}
	var keys verify.Keys
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		set, err := verify.ParseJWKS(text)
		if err != nil {
			return nil, unable("approver_keys: %s: %w", file, err)
		}
		keys = append(keys, set...)
	}
	return keys, nil
}

// verifyBundles holds every signed bundle to the keys. Without a key signatures are not looked at, and the bundles count as unsigned.
func verifyBundles(bundles []*rego.Bundle, keys map[string]rego.Key) error {
	for i, bundle := range bundles {
		if len(keys) == 0 || bundle.Signatures == nil {
			continue
		}
		verified, err := rego.Verify(bundle, keys)
		if err != nil {
			return &exitError{exitNo, err}
		}
		bundles[i] = verified
	}
	return nil
}
