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
	Schema       string               `json:"schema" jsonschema:"required"`
	ID           string               `json:"id" jsonschema:"required"`
	Name         string               `json:"name" jsonschema:"required"`
	Version      string               `json:"version" jsonschema:"required"`
	Description  string               `json:"description"`
	Owner        string               `json:"owner" jsonschema:"required"`
	Tags         []string             `json:"tags"`
	Placement    Placement            `json:"placement" jsonschema:"required"`
	Capabilities []Capability         `json:"capabilities" jsonschema:"required"`
	Guarantees   map[string]Guarantee `json:"guarantees"`
	Limits       ServiceLimits        `json:"limits"`
	Cost         Cost                 `json:"cost" jsonschema:"required"`
	Privacy      Privacy              `json:"privacy" jsonschema:"required"`
	Access       Access               `json:"access"`
	Attributes   map[string]Value     `json:"attributes"`
	Field        *Field               `json:"field,omitempty"`
	Predicates   []Predicate          `json:"predicates"`
	API          map[string]Value     `json:"api"`
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
	Type       string           `json:"type" jsonschema:"required"`
	Model      string           `json:"model"`
	Parameters map[string]Value `json:"parameters"`
}

// Bounds is what a guarantee promises or a request requires of one. A nil bound is not stated.
type Bounds struct {
	Min    *Decimal `json:"min,omitempty"`
	Max    *Decimal `json:"max,omitempty"`
	Equals *Value   `json:"equals,omitempty"`
}

// Guarantee is a named promise: bounds, and what they are about.
type Guarantee struct {
	Bounds
	Property     string `json:"property,omitempty"`
	Invariant    string `json:"invariant,omitempty"`
	Formula      string `json:"formula,omitempty"`
	Verification string `json:"verification,omitempty"`
}

// ServiceLimits are the limits of a service; nil is no limit, 0 is none allowed.
type ServiceLimits struct {
	MaxInputTokens    *int64 `json:"max_input_tokens,omitempty"`
	MaxOutputTokens   *int64 `json:"max_output_tokens,omitempty"`
	MaxUnits          *int64 `json:"max_units,omitempty"`
	MaxPayloadBytes   *int64 `json:"max_payload_bytes,omitempty"`
	MaxConcurrency    *int64 `json:"max_concurrency,omitempty"`
	RequestsPerMinute *int64 `json:"requests_per_minute,omitempty"`
}

// Cost holds prices in USD, exact to a micro-USD.
type Cost struct {
	PerCall                Decimal `json:"per_call"`
	PerMillionInputTokens  Decimal `json:"per_million_input_tokens"`
	PerMillionOutputTokens Decimal `json:"per_million_output_tokens"`
	PerUnit                Decimal `json:"per_unit"`
}

// Privacy says where data goes and what becomes of it. What is nil has not been said.
type Privacy struct {
	Locality       Locality   `json:"locality" jsonschema:"required"`
	Regions        []string   `json:"regions"`
	Encryption     Encryption `json:"encryption"`
	RetentionDays  *int64     `json:"retention_days,omitempty"`
	TrainsOnData   *bool      `json:"trains_on_data,omitempty"`
	Certifications []string   `json:"certifications"`
}

// Encryption of data; what is not said is not done.
type Encryption struct {
	InTransit bool `json:"in_transit"`
	AtRest    bool `json:"at_rest"`
}

// Access says who may use the service.
type Access struct {
	PermissionsAny []string `json:"permissions_any"`
	PermissionsAll []string `json:"permissions_all"`
	MinTrust       Decimal  `json:"min_trust"`
}

// Predicate is an author's own condition, in CEL.
type Predicate struct {
	ID      string `json:"id" jsonschema:"required"`
	Stage   Stage  `json:"stage"`
	Expr    string `json:"expr" jsonschema:"required"`
	Message string `json:"message"`

	// Pos is where Expr stands in the source, if it was read from one, for diagnostics of the compiler.
	Pos Position `json:"-"`
}

// Protected reports whether sensitive data may be handled: on the premises, or encrypted both in transit and at rest (spec/contract.md, privacy.sensitive).
func (p Privacy) Protected() bool {
	return p.Locality == OnDevice || p.Locality == Local || p.Encryption.InTransit && p.Encryption.AtRest
}
