package contracts

// SchemaV1 is the only value that a contract's `schema` key may hold.
const SchemaV1 = "caio.contract/v1"

// Sizes that bound a contract (spec/contract.md).
const (
	MaxContractBytes = 256 << 10
	MaxCapabilities  = 64
	MaxPredicates    = 64
	// MaxCanonicalBytes bounds the canonical JSON of a contract, in which a decimal takes more room than it may have had in its source.
	MaxCanonicalBytes = 8 * MaxContractBytes
)

// Contract is the document with which a service joins (spec/contract.md).
//
// A value made by [ParseContract] is valid and has every default filled in: lists and maps are never nil, and what is optional without a default is nil.
// Its canonical form, and so its digest, is that of this type.
type Contract struct {
	// The version of this format.
	Schema string `json:"schema" jsonschema:"required,enum=caio.contract/v1"`
	// The service's id.
	ID string `json:"id" jsonschema:"required,pattern=^[a-z0-9][a-z0-9._-]{0\\,63}$"`
	// The service's name, for people. Scoring reads it, as it does description, capability types and tags.
	Name string `json:"name" jsonschema:"required,minLength=1"`
	// The contract's semantic version.
	Version string `json:"version" jsonschema:"required"`
	// What the service does.
	Description string `json:"description"`
	// Who answers for the service.
	Owner string `json:"owner" jsonschema:"required,minLength=1"`
	// Words by which the service is found.
	Tags []string `json:"tags"`
	// The route. It goes with the locality: internal with on_device, local or private; hybrid with private or cloud; external with cloud.
	Placement Placement `json:"placement" jsonschema:"required,enum=internal,enum=hybrid,enum=external"`
	// What the service can do; each type once.
	Capabilities []Capability `json:"capabilities" jsonschema:"required,minItems=1,maxItems=64"`
	// By name, what the service promises. latency is the 95th percentile in ms, availability and accuracy are ratios, throughput is per second.
	Guarantees map[string]Guarantee `json:"guarantees"`
	// What the service accepts; a limit left out is none, a limit of 0 allows nothing.
	Limits ServiceLimits `json:"limits"`
	// Prices in USD, as vendors quote them.
	Cost Cost `json:"cost" jsonschema:"required"`
	// Where data goes and what becomes of it.
	Privacy Privacy `json:"privacy" jsonschema:"required"`
	// Who may use the service.
	Access Access `json:"access"`
	// By name, further properties that a request may require.
	Attributes map[string]Value `json:"attributes"`
	// The service's vector for scoring; an empty list is none.
	Field *Field `json:"field,omitempty"`
	// The author's own conditions, in CEL.
	Predicates []Predicate `json:"predicates" jsonschema:"maxItems=64"`
	// How the gateway calls the service.
	API map[string]Value `json:"api"`
}

// Placement is a service's route: where the work happens.
type Placement string

// The routes of spec/contract.md, with the localities that each may have.
const (
	Internal Placement = "internal" // on_device, local, private
	Hybrid   Placement = "hybrid"   // private, cloud
	External Placement = "external" // cloud
)

// Locality says where data is processed.
type Locality string

// The localities, from the least exposed to the most (spec/calculus.md, section 4, Risk).
const (
	OnDevice Locality = "on_device"
	Local    Locality = "local"
	Private  Locality = "private"
	Cloud    Locality = "cloud"
)

// Capability is one kind of work that a service offers.
type Capability struct {
	// The kind of work, which requests name.
	Type string `json:"type" jsonschema:"required,pattern=^[a-z0-9][a-z0-9._-]{0\\,63}$"`
	// The vendor's name of the model.
	Model string `json:"model"`
	// By name, what a request may require: a value, a list of values, or a map of min, max or both.
	Parameters map[string]Value `json:"parameters"`
}

// Bounds is what a guarantee promises or a request requires of one. A nil bound is not stated.
type Bounds struct {
	// The least that it is.
	Min *Decimal `json:"min,omitempty"`
	// The most that it is.
	Max *Decimal `json:"max,omitempty"`
	// What it is.
	Equals *Value `json:"equals,omitempty"`
}

// Guarantee is a named promise: bounds, and what they are about.
type Guarantee struct {
	Bounds
	// What is measured.
	Property string `json:"property,omitempty"`
	// The invariant that it stands for.
	Invariant string `json:"invariant,omitempty"`
	// The invariant as a formula.
	Formula string `json:"formula,omitempty"`
	// How it is verified.
	Verification string `json:"verification,omitempty"`
}

// ServiceLimits are the limits of a service; nil is no limit, 0 is none allowed.
type ServiceLimits struct {
	MaxInputTokens    *int64 `json:"max_input_tokens,omitempty" jsonschema:"minimum=0,maximum=1000000000"`
	MaxOutputTokens   *int64 `json:"max_output_tokens,omitempty" jsonschema:"minimum=0,maximum=1000000000"`
	MaxUnits          *int64 `json:"max_units,omitempty" jsonschema:"minimum=0,maximum=1000000"`
	MaxPayloadBytes   *int64 `json:"max_payload_bytes,omitempty" jsonschema:"minimum=0,maximum=1000000000"`
	MaxConcurrency    *int64 `json:"max_concurrency,omitempty" jsonschema:"minimum=0,maximum=1000000000000"`
	RequestsPerMinute *int64 `json:"requests_per_minute,omitempty" jsonschema:"minimum=0,maximum=1000000000000"`
}

// Cost holds prices in USD, exact to a micro-USD.
type Cost struct {
	PerCall                Decimal `json:"per_call" jsonschema:"minimum=0,maximum=1000"`
	PerMillionInputTokens  Decimal `json:"per_million_input_tokens" jsonschema:"minimum=0,maximum=1000000"`
	PerMillionOutputTokens Decimal `json:"per_million_output_tokens" jsonschema:"minimum=0,maximum=1000000"`
	PerUnit                Decimal `json:"per_unit" jsonschema:"minimum=0,maximum=1000"`
}

// Privacy says where data goes and what becomes of it. What is nil has not been said.
type Privacy struct {
	// Where data is processed.
	Locality Locality `json:"locality" jsonschema:"required,enum=on_device,enum=local,enum=private,enum=cloud"`
	// Where data is kept.
	Regions []string `json:"regions"`
	// What is encrypted.
	Encryption Encryption `json:"encryption"`
	// For how many days data is kept.
	RetentionDays *int64 `json:"retention_days,omitempty" jsonschema:"minimum=0,maximum=1000000000000"`
	// Whether data is used for training.
	TrainsOnData *bool `json:"trains_on_data,omitempty"`
	// Certifications that the service holds, such as soc2.
	Certifications []string `json:"certifications"`
}

// Encryption of data; what is not said is not done.
type Encryption struct {
	InTransit bool `json:"in_transit"`
	AtRest    bool `json:"at_rest"`
}

// Access says who may use the service.
type Access struct {
	// The principal must hold one of these.
	PermissionsAny []string `json:"permissions_any"`
	// The principal must hold all of these.
	PermissionsAll []string `json:"permissions_all"`
	// The least trust that the principal must have, from 0 to 10.
	MinTrust Decimal `json:"min_trust" jsonschema:"minimum=0,maximum=10"`
}

// Predicate is an author's own condition, in CEL.
type Predicate struct {
	// An id that is not one of the generated ones, nor begins like one.
	ID string `json:"id" jsonschema:"required,pattern=^[a-z0-9][a-z0-9._-]{0\\,63}$"`
	// The stage at which the service is eliminated where the expression is false; match by default.
	Stage Stage `json:"stage" jsonschema:"enum=match,enum=security,enum=bounds"`
	// A CEL expression over request, principal and estimate.
	Expr string `json:"expr" jsonschema:"required,minLength=1"`
	// What people are told where it is false.
	Message string `json:"message"`

	// Pos is where Expr stands in the source, if it was read from one, for diagnostics of the compiler.
	Pos Position `json:"-"`
}

// Protected reports whether sensitive data may be handled: on the premises, or encrypted both in transit and at rest (spec/contract.md, privacy.sensitive).
func (p Privacy) Protected() bool {
	return p.Locality == OnDevice || p.Locality == Local || p.Encryption.InTransit && p.Encryption.AtRest
}
