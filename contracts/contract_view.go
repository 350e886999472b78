package contracts

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/smarthausgroup/caio/contracts/canonical"
)

// Canonical is the contract's canonical JSON, every default filled in: what its digest is taken over (spec/proof.md, "Digests"). The contract must be valid.
func (c *Contract) Canonical() []byte {
	text, err := canonical.Encode(c)
	if err != nil {
		panic(fmt.Sprintf("contracts: %s was never admitted: %v", c.ID, err)) // every number and text was checked when it was read
	}
	return text
}

// Digest is the hex SHA-256 of the canonical JSON.
func (c *Contract) Digest() string {
	sum := sha256.Sum256(c.Canonical())
	return hex.EncodeToString(sum[:])
}

// SnapshotDigest is the hex SHA-256 over the sorted lines `service id TAB contract digest LF` (spec/proof.md, "Digests"). digests maps service ids to the digests of their contracts.
func SnapshotDigest(digests map[string]string) string {
	hash := sha256.New()
	for _, id := range slices.Sorted(maps.Keys(digests)) {
		fmt.Fprintf(hash, "%s\t%s\n", id, digests[id])
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// Capability returns the capability of a type.
func (c *Contract) Capability(kind string) (*Capability, bool) {
	for i := range c.Capabilities {
		if c.Capabilities[i].Type == kind {
			return &c.Capabilities[i], true
		}
	}
	return nil, false
}

// View is what policies see of the contract: its JSON keys with every default filled in, prices in integer micro-USD and named so, no field (spec/policy.md). Values are as in [Request.View]; the caller must not change them.
func (c *Contract) View() map[string]any {
	capabilities := make([]any, len(c.Capabilities))
	for i, capability := range c.Capabilities {
		capabilities[i] = map[string]any{"type": capability.Type, "model": capability.Model, "parameters": values(capability.Parameters)}
	}
	guarantees := make(map[string]any, len(c.Guarantees))
	for name, guarantee := range c.Guarantees {
		guarantees[name] = guarantee.view()
	}
	predicates := make([]any, len(c.Predicates))
	for i, p := range c.Predicates {
		predicates[i] = map[string]any{"id": p.ID, "stage": string(p.Stage), "expr": p.Expr, "message": p.Message}
	}
	return map[string]any{
		"schema":       c.Schema,
		"id":           c.ID,
		"name":         c.Name,
		"version":      c.Version,
		"description":  c.Description,
		"owner":        c.Owner,
		"tags":         texts(c.Tags),
		"placement":    string(c.Placement),
		"capabilities": capabilities,
		"guarantees":   guarantees,
		"limits":       c.Limits.view(),
		"cost":         c.Cost.view(),
		"privacy":      c.Privacy.view(),
		"access": map[string]any{
			"permissions_any": texts(c.Access.PermissionsAny),
			"permissions_all": texts(c.Access.PermissionsAll),
			"min_trust":       c.Access.MinTrust,
		},
		"attributes": values(c.Attributes),
		"predicates": predicates,
		"api":        values(c.API),
	}
}

func (g Guarantee) view() map[string]any {
	view := g.Bounds.view()
	for key, text := range map[string]string{"property": g.Property, "invariant": g.Invariant, "formula": g.Formula, "verification": g.Verification} {
		if text != "" {
			view[key] = text
		}
	}
	return view
}

func (l ServiceLimits) view() map[string]any {
	view := map[string]any{}
	for key, n := range map[string]*int64{
		"max_input_tokens": l.MaxInputTokens, "max_output_tokens": l.MaxOutputTokens, "max_units": l.MaxUnits,
		"max_payload_bytes": l.MaxPayloadBytes, "max_concurrency": l.MaxConcurrency, "requests_per_minute": l.RequestsPerMinute,
	} {
		if n != nil {
			view[key] = *n
		}
	}
	return view
}

// view names prices in micro-USD: a Decimal of USD is that integer.
func (c Cost) view() map[string]any {
	return map[string]any{
		"per_call_micro_usd":                  int64(c.PerCall),
		"per_million_input_tokens_micro_usd":  int64(c.PerMillionInputTokens),
		"per_million_output_tokens_micro_usd": int64(c.PerMillionOutputTokens),
		"per_unit_micro_usd":                  int64(c.PerUnit),
	}
}

func (p Privacy) view() map[string]any {
	view := map[string]any{
		"locality":       string(p.Locality),
		"regions":        texts(p.Regions),
		"encryption":     map[string]any{"in_transit": p.Encryption.InTransit, "at_rest": p.Encryption.AtRest},
		"certifications": texts(p.Certifications),
	}
	if p.RetentionDays != nil {
		view["retention_days"] = *p.RetentionDays
	}
	if p.TrainsOnData != nil {
		view["trains_on_data"] = *p.TrainsOnData
	}
	return view
}
