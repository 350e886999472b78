package contracts

import "github.com/smarthausgroup/caio/contracts/source"

// requestForm is a request as a client writes it: money in USD, and whatever has a default may be left out (spec/contract.md, "The request, normalised").
type requestForm struct {
	// What the caller wants done.
	Intent intentForm `json:"intent" jsonschema:"required"`
	// What a service must offer.
	Requirements requirementsForm `json:"requirements"`
	// How large the work is.
	Estimate estimateForm `json:"estimate"`
	// What a call may cost and take.
	Limits limitsForm `json:"limits"`
	// What data the request carries.
	Data dataForm `json:"data"`
	// What surrounds the request.
	Context contextForm `json:"context"`
	// The user's traits.
	Traits traitsForm `json:"traits"`
	// How cost, risk and latency are weighed against each other; balanced by default.
	Profile *string `json:"profile" jsonschema:"enum=balanced,enum=economy,enum=realtime,enum=assurance"`
	// Why the caller asks; policies may require it.
	Purpose *string `json:"purpose" jsonschema:"pattern=^[a-z0-9._-]{0\\,64}$"`
	// Decides between equals. Only callers with the permission caio.seed may set it; otherwise the server draws it.
	Seed *int64 `json:"seed" jsonschema:"minimum=0,maximum=9007199254740991"`
	// Ids of services that are not to be considered.
	Exclude []string `json:"exclude"`
	// The id of the decision that this one replaces, after a failed attempt.
	Supersedes *string `json:"supersedes" jsonschema:"pattern=^[a-z0-9][a-z0-9._-]{0\\,63}$"`
	// The control signal of the decision before.
	Control controlForm `json:"control"`
	// Vectors for scoring, all of one dimension.
	Fields fieldsForm `json:"fields"`
	// What the service will get: any JSON value but null. Predicates, policies and proofs don't see it.
	Payload *source.Node `json:"payload"`
	// Whether the chosen service is to be called as well.
	Execute bool `json:"execute"`
}

type intentForm struct {
	// The kind of work, such as embeddings.
	Type string `json:"type" jsonschema:"required,pattern=^[a-z0-9][a-z0-9._-]{0\\,63}$"`
	// The work in words, for scoring alone.
	Text string `json:"text"`
}

type requirementsForm struct {
	// The types of capability that are needed, the intent's type by default.
	Capabilities []string `json:"capabilities"`
	// By type of capability, the parameters that it must have. Every type is one of the capabilities required.
	CapabilityParameters map[string]map[string]Value `json:"capability_parameters"`
	// By name, the bounds that a guarantee must meet.
	Guarantees map[string]Bounds `json:"guarantees"`
	// By name, the value that an attribute must have.
	Attributes map[string]Value `json:"attributes"`
}

type estimateForm struct {
	// Input tokens; by default one for every 4 bytes of the payload's texts, and 1000 without a payload.
	InputTokens *int64 `json:"input_tokens" jsonschema:"minimum=0,maximum=1000000000"`
	// Output tokens; by default what the payload allows (max_tokens and the like), else 1000.
	OutputTokens *int64 `json:"output_tokens" jsonschema:"minimum=0,maximum=1000000000"`
	// Units of work, such as texts to embed; 1 by default.
	Units *int64 `json:"units" jsonschema:"minimum=0,maximum=1000000"`
	// Set by the server; only a scenario may say it.
	PayloadBytes *int64 `json:"payload_bytes" jsonschema:"minimum=0,maximum=1000000000"`
	// Set by the server; only a scenario may say it.
	Defaulted *[]string `json:"defaulted"`
}

type limitsForm struct {
	// USD that the call may cost, exact to a micro-USD.
	MaxCostUSD *Decimal `json:"max_cost_usd" jsonschema:"minimum=0,maximum=9007199254.740991"`
	// Milliseconds that the call may take.
	MaxLatencyMS *int64 `json:"max_latency_ms" jsonschema:"minimum=1,maximum=1000000000"`
}

type dataForm struct {
	// What is sensitive: internal, confidential, pii, phi, secret, none, and what the tenant adds.
	Labels []string `json:"labels"`
	// Opaque references to the people whom the data is about.
	Subjects []string `json:"subjects"`
	// Where the data comes from.
	Regions []string `json:"regions"`
	// Set by the server's detectors; only a scenario may say it.
	Findings *[]Finding `json:"findings"`
}

type contextForm struct {
	// The context in words, for scoring alone.
	Text string `json:"text"`
	// Whether the context may leave the premises.
	Shareable *bool `json:"shareable"`
	// The conversation that the request belongs to.
	ConversationID string `json:"conversation_id"`
}

type traitsForm struct {
	// From 0, the default, to 1.
	Conservative *Decimal `json:"conservative" jsonschema:"minimum=0,maximum=1"`
	// From 0, the default, to 1.
	Confidential *Decimal `json:"confidential" jsonschema:"minimum=0,maximum=1"`
	// From 0 to 1, the default.
	RiskTolerance *Decimal `json:"risk_tolerance" jsonschema:"minimum=0,maximum=1"`
}

type controlForm struct {
	// Eight integers in micro, each between -250000 and 250000.
	Previous *[]int64 `json:"previous" jsonschema:"minItems=8,maxItems=8"`
}

type fieldsForm struct {
	// What is intended. The others go only together with it.
	Intent *Field `json:"intent"`
	// What surrounds it.
	Context *Field `json:"context"`
	// What is remembered.
	Memory *Field `json:"memory"`
	// The user's traits.
	Traits *Field `json:"traits"`
}
