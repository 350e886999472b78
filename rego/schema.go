package rego

import (
	"encoding/json"
	"reflect"
	"sync"

	"github.com/invopop/jsonschema"
	"github.com/smarthausgroup/caio/contracts"
)

// What a rule sees, as types, from which the schemas of the input are made. Their keys are those of contracts.Request.View, Principal.View and Contract.View, which a test holds them to.
type (
	safetyInput struct {
		Request   requestInput        `json:"request"`
		Principal principalInput      `json:"principal"`
		Route     contracts.Placement `json:"route"`
		Time      string              `json:"time"`
	}

	serviceFamilyInput struct {
		safetyInput
		Service  serviceInput              `json:"service"`
		Estimate contracts.ServiceEstimate `json:"estimate"`
	}

	requestInput struct {
		Intent struct {
			Type string `json:"type"`
		} `json:"intent"`
		Requirements contracts.Requirements  `json:"requirements"`
		Estimate     estimateInput           `json:"estimate"`
		Limits       contracts.RequestLimits `json:"limits"`
		Data         struct {
			Labels   []label             `json:"labels"`
			Regions  []string            `json:"regions"`
			Findings []contracts.Finding `json:"findings"`
		} `json:"data"`
		Context struct {
			Shareable bool `json:"shareable"`
		} `json:"context"`
		Traits     contracts.Traits `json:"traits"`
		Profile    profile          `json:"profile"`
		Purpose    string           `json:"purpose"`
		Seed       int64            `json:"seed"`
		Exclude    []string         `json:"exclude"`
		Supersedes string           `json:"supersedes,omitempty"`
	}

	// estimateInput is contracts.Estimate.
	estimateInput struct {
		InputTokens  int64       `json:"input_tokens"`
		OutputTokens int64       `json:"output_tokens"`
		Defaulted    []defaulted `json:"defaulted"`
		Units        int64       `json:"units"`
		PayloadBytes int64       `json:"payload_bytes"`
	}

	principalInput struct {
		Tenant      string            `json:"tenant"`
		Roles       []string          `json:"roles"`
		Permissions []string          `json:"permissions"`
		Trust       contracts.Decimal `json:"trust"`
		Method      string            `json:"method"`
		Issuer      string            `json:"issuer"`
	}

	serviceInput struct {
		Schema       string                         `json:"schema"`
		ID           string                         `json:"id"`
		Name         string                         `json:"name"`
		Version      string                         `json:"version"`
		Description  string                         `json:"description"`
		Owner        string                         `json:"owner"`
		Tags         []string                       `json:"tags"`
		Placement    contracts.Placement            `json:"placement"`
		Capabilities []contracts.Capability         `json:"capabilities"`
		Guarantees   map[string]contracts.Guarantee `json:"guarantees"`
		Limits       contracts.ServiceLimits        `json:"limits"`
		Cost         costInput                      `json:"cost"`
		Privacy      contracts.Privacy              `json:"privacy"`
		Access       contracts.Access               `json:"access"`
		Attributes   map[string]contracts.Value     `json:"attributes"`
		Predicates   []contracts.Predicate          `json:"predicates"`
		API          map[string]contracts.Value     `json:"api"`
		Attestation  contracts.Attestation          `json:"attestation"`
	}

	// costInput is a contract's prices in micro-USD: money is an integer in policies, and named so.
	costInput struct {
		PerCall                int64 `json:"per_call_micro_usd"`
		PerMillionInputTokens  int64 `json:"per_million_input_tokens_micro_usd"`
		PerMillionOutputTokens int64 `json:"per_million_output_tokens_micro_usd"`
		PerUnit                int64 `json:"per_unit_micro_usd"`
	}

	// Texts of which something is known.
	label     string
	profile   string
	defaulted string
)

// vocabularies are the values of the types that have few, where the field does not say so itself.
var vocabularies = map[reflect.Type][]any{
	reflect.TypeFor[contracts.Placement]():   {string(contracts.Internal), string(contracts.Hybrid), string(contracts.External)},
	reflect.TypeFor[contracts.Attestation](): {string(contracts.SelfAttested), string(contracts.Audited), string(contracts.Verified)},
	reflect.TypeFor[profile]():               {contracts.Balanced, contracts.Economy, contracts.Realtime, contracts.Assurance},
	reflect.TypeFor[defaulted]():             {"input_tokens", "output_tokens"},
}

var (
	safetySchema  = sync.OnceValue(func() schema { return schemaOf(safetyInput{}) })
	serviceSchema = sync.OnceValue(func() schema { return schemaOf(serviceFamilyInput{}) })
)

// inputSchema is the schema of what the rules of a family see.
func inputSchema(family contracts.Family) schema {
	if family == contracts.StageSafety {
		return safetySchema()
	}
	return serviceSchema()
}

// schemaOf is the JSON Schema of a Go type, in the form that OPA reads.
func schemaOf(v any) schema {
	reflector := jsonschema.Reflector{
		Anonymous:      true,
		DoNotReference: true,
		Mapper: func(t reflect.Type) *jsonschema.Schema {
			if values, ok := vocabularies[t]; ok {
				return &jsonschema.Schema{Type: "string", Enum: values}
			}
			switch t {
			case reflect.TypeFor[label](): // the settings may add others
				return &jsonschema.Schema{Type: "string", Format: labelFormat, Examples: texts(contracts.Labels())}
			case reflect.TypeFor[contracts.Decimal]():
				return &jsonschema.Schema{Type: "number"}
			case reflect.TypeFor[contracts.Value]():
				return &jsonschema.Schema{}
			}
			return nil
		},
	}
	text, err := json.Marshal(reflector.Reflect(v))
	if err != nil {
		panic("rego: a type has no JSON Schema: " + err.Error())
	}
	var node any
	if err := json.Unmarshal(text, &node); err != nil {
		panic("rego: a JSON Schema is no JSON: " + err.Error())
	}
	return newSchema(node)
}

func texts(list []string) []any {
	values := make([]any, len(list))
	for i := range list {
		values[i] = list[i]
	}
	return values
}
