package rego

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/smarthausgroup/caio/contracts"
)

func some[T any](v T) *T { return &v }

// full has every key that a contract can have.
func full() *contracts.Contract {
	n := some(int64(3))
	one := contracts.Decimal(contracts.Micro)
	value := contracts.Value{V: one}
	return &contracts.Contract{
		Schema: contracts.SchemaV1, ID: "full", Name: "n", Version: "1.0.0", Description: "d", Owner: "o@example.com", Tags: []string{"t"}, Placement: contracts.External,
		Capabilities: []contracts.Capability{{Type: "chat", Model: "m", Parameters: map[string]contracts.Value{"p": value}}},
		Guarantees:   map[string]contracts.Guarantee{"latency": {Bounds: contracts.Bounds{Min: &one, Max: &one, Equals: &value}, Property: "p", Invariant: "i", Formula: "f", Verification: "v"}},
		Limits:       contracts.ServiceLimits{MaxInputTokens: n, MaxOutputTokens: n, MaxUnits: n, MaxPayloadBytes: n, MaxConcurrency: n, RequestsPerMinute: n},
		Cost:         contracts.Cost{PerCall: one, PerMillionInputTokens: one, PerMillionOutputTokens: one, PerUnit: one},
		Privacy:      contracts.Privacy{Locality: contracts.Cloud, Regions: []string{"eu"}, RetentionDays: n, TrainsOnData: some(true), Certifications: []string{"c"}},
		Access:       contracts.Access{PermissionsAny: []string{"a"}, PermissionsAll: []string{"b"}, MinTrust: one},
		Attributes:   map[string]contracts.Value{"a": value},
		Predicates:   []contracts.Predicate{{ID: "p", Stage: contracts.StageMatch, Expr: "true", Message: "m"}},
		API:          map[string]contracts.Value{"protocol": {V: "http"}},
	}
}

// fullRequest has every key that rules can see of a request.
func fullRequest() *contracts.Request {
	one := contracts.Decimal(contracts.Micro)
	value := contracts.Value{V: one}
	return &contracts.Request{
		Intent: contracts.Intent{Type: "chat", Text: "secret"},
		Requirements: contracts.Requirements{
			Capabilities: []string{"chat"}, CapabilityParameters: map[string]map[string]contracts.Value{"chat": {"p": value}},
			Guarantees: map[string]contracts.Bounds{"latency": {Min: &one, Max: &one, Equals: &value}}, Attributes: map[string]contracts.Value{"a": value},
		},
		Estimate: contracts.Estimate{Defaulted: []string{"input_tokens"}},
		Limits:   contracts.RequestLimits{MaxCostMicroUSD: some(int64(1)), MaxLatencyMS: some(int64(1))},
		Data:     contracts.Data{Labels: []string{"pii"}, Subjects: []string{"secret"}, Regions: []string{"eu"}, Findings: []contracts.Finding{{Type: "card", Count: 1}}},
		Context:  contracts.Context{Text: "secret", ConversationID: "secret"}, Profile: contracts.Economy, Purpose: "p", Exclude: []string{"x"}, Supersedes: "d", Payload: []byte("secret"),
	}
}

func decoded(t *testing.T, v ast.Value) map[string]any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader([]byte(v.String())))
	decoder.UseNumber()
	object := map[string]any{}
	if err := decoder.Decode(&object); err != nil {
		t.Fatal(err)
	}
	return object
}

// paths are the keys of an object, with those below.
func paths(v any, at string, found map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			found[at+"/"+key] = true
			paths(v[key], at+"/"+key, found)
		}
	case []any:
		for _, element := range v {
			paths(element, at+"/*", found)
		}
	}
}

// known are the keys that a schema has, with those below; a map of free keys has those of the full values above.
func known(s schema, at string, found map[string]bool) {
	for _, node := range s.alternatives() {
		properties, _ := node["properties"].(map[string]any)
		for _, key := range sortedKeys(properties) {
			found[at+"/"+key] = true
			known(schema{s.root, properties[key]}, at+"/"+key, found)
		}
		if items, ok := node["items"].(map[string]any); ok {
			known(schema{s.root, items}, at+"/*", found)
		}
		if additional, ok := node["additionalProperties"].(map[string]any); ok {
			key := map[string]string{"/service/guarantees": "latency", "/request/requirements/guarantees": "latency", "/request/requirements/capability_parameters": "chat"}[at]
			found[at+"/"+key] = true
			known(schema{s.root, additional}, at+"/"+key, found)
		} else if node["additionalProperties"] == true {
			key := map[string]string{"/service/api": "protocol", "/service/attributes": "a", "/request/requirements/attributes": "a"}[at]
			if key == "" {
				key = "p"
			}
			found[at+"/"+key] = true
		}
	}
}

// TestSchemaIsTheInput holds the generated schemas to what rules are given: the same keys, the right types, nothing missing.
func TestSchemaIsTheInput(t *testing.T) {
	one := int64(1)
	in := Input{
		Shared:   NewShared(fullRequest(), contracts.Principal{Tenant: "t", Subject: "secret", Roles: []string{"r"}, Permissions: []string{"p"}, Method: "jwt", Issuer: "i"}, time.Now()),
		Service:  NewService(full(), contracts.Verified),
		Estimate: contracts.ServiceEstimate{CostMicroUSD: 5, LatencyMS: &one},
		Route:    contracts.External,
	}
	for _, family := range families {
		value := in.value(family)
		object := decoded(t, value)
		if err := conform(object, inputSchema(family), "input", true); err != nil {
			t.Errorf("%s: %v", family, err)
		}
		got, want := map[string]bool{}, map[string]bool{}
		paths(object, "", got)
		known(inputSchema(family), "", want)
		if g, w := slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)); !slices.Equal(g, w) {
			t.Errorf("%s: the input has\n%v\nand the schema\n%v", family, g, w)
		}
		if strings.Contains(value.String(), "secret") {
			t.Errorf("%s: content reaches rules: %v", family, value)
		}
	}
	empty := Input{Shared: NewShared(&contracts.Request{Profile: contracts.Balanced}, contracts.Principal{}, time.Now()), Service: NewService(&contracts.Contract{Placement: contracts.Hybrid, Privacy: contracts.Privacy{Locality: contracts.Cloud}}, contracts.SelfAttested), Route: contracts.Hybrid}
	if err := conform(decoded(t, empty.value(contracts.StagePolicy)), serviceSchema(), "input", true); err != nil {
		t.Error(err)
	}
}

// TestGiven is what tests of policies get, and what they are told.
func TestGiven(t *testing.T) {
	for parts, want := range map[string]string{
		`{}`: `"internal" "private" "internal" ["chat"] "chat"`,
		`{"service": {"privacy": {"locality": "cloud"}}}`:                                `"external" "cloud" "external" ["chat"] "chat"`,
		`{"service": {"placement": "hybrid"}, "route": "internal"}`:                      `"hybrid" "cloud" "internal" ["chat"] "chat"`,
		`{"request": {"intent": {"type": "ocr"}}, "service": {"placement": "external"}}`: `"external" "cloud" "external" ["ocr"] "ocr"`,
		`{"service": {"capabilities": [{"type": "x"}]}}`:                                 `"internal" "private" "internal" ["chat"] "x"`,
		`{"service": {"placement": "internal", "privacy": {"locality": "cloud"}}}`:       `input.service: the placement internal and the locality cloud don't go together`,
		`{"request": {"lables": []}}`:                                                    `input.request has no key lables`,
		`{"request": {"data": {"lables": []}}}`:                                          `input.request.data has no key lables: did you mean "labels"?`,
		`{"request": {"data": {"labels": "pii"}}}`:                                       `input.request.data.labels is to be of type array`,
		`{"request": {"data": {"labels": ["pii", "telemetry"]}}}`:                        `"internal" "private" "internal" ["chat"] "chat"`,
		`{"request": {"data": {"labels": ["pii", "pi"]}}}`:                               `input.request.data.labels[1]: there is no label "pi": did you mean "pii"? Otherwise, settings.core.labels adds labels of one's own.`,
		`{"request": {"data": {"labels": [1]}}}`:                                         `input.request.data.labels[0] is to be of type string`,
		`{"request": {"data": {"findings": [{"type": "x"}]}}}`:                           `input.request.data.findings[0] lacks the key count`,
		`{"service": {"attestation": "checked"}}`:                                        `input.service.attestation: "checked" is none of [self audited verified]`,
		`{"estimate": {"cost_micro_usd": 1.5}}`:                                          `input.estimate.cost_micro_usd is to be of type integer`,
		`{"sevice": {}}`:                                                                 `input has no key sevice: did you mean "service"?`,
		`{"service": null}`:                                                              `input.service is to be of type object`,
		`[]`:                                                                             `input is to be of type object`,
	} {
		decoder := json.NewDecoder(strings.NewReader(parts))
		decoder.UseNumber()
		var value any
		if err := decoder.Decode(&value); err != nil {
			t.Fatal(err)
		}
		whole, err := given(value, append(contracts.Labels(), "telemetry"))
		got := fmt.Sprint(err)
		if err == nil {
			object := whole.(map[string]any)
			service := object["service"].(map[string]any)
			text := func(v any) string { line, _ := json.Marshal(v); return string(line) }
			got = strings.Join([]string{
				text(service["placement"]), text(service["privacy"].(map[string]any)["locality"]), text(object["route"]),
				text(object["request"].(map[string]any)["requirements"].(map[string]any)["capabilities"]), text(service["capabilities"].([]any)[0].(map[string]any)["type"]),
			}, " ")
		}
		if got != want {
			t.Errorf("%s\ngot  %s\nwant %s", parts, got, want)
		}
	}
}
