package contracts

// Request is a request in its normalised form: every key present but for the limits, sets sorted and without repetition (spec/contract.md, "The request, normalised").
// Predicates, policies and the calculus never see anything else.
type Request struct {
	Intent       Intent
	Requirements Requirements
	Estimate     Estimate
	Limits       RequestLimits
	Data         Data
	Context      Context
	Traits       Traits
	Profile      string
	Purpose      string
	Seed         int64
	Exclude      []string
	Supersedes   string  // "" when absent
	Previous     []int64 // control.previous: nil, or eight integers in [-250_000, 250_000]
	Fields       Fields
	Payload      []byte // nil when absent; the JSON text that the service will get

	// Sources says of each value that matters for a rule where it came from, by the dotted path of its key ("data.labels").
	Sources map[string]Source
}

// Source is where a value of the request came from.
type Source string

// The sources of spec/contract.md.
const (
	SourceCaller   Source = "caller"
	SourceToken    Source = "token"
	SourceDetector Source = "detector"
	SourceServer   Source = "server"
	SourceLog      Source = "log"
	SourceOperator Source = "operator"
	SourceDefault  Source = "default"
)

// Intent is what the caller wants done. Text is content: for scoring alone.
type Intent struct {
	Type string
	Text string
}

// Requirements are what a service must offer.
type Requirements struct {
	Capabilities         []string                    `json:"capabilities"`
	CapabilityParameters map[string]map[string]Value `json:"capability_parameters"`
	Guarantees           map[string]Bounds           `json:"guarantees"`
	Attributes           map[string]Value            `json:"attributes"`
}

// DefaultTokens is the estimate for want of anything better.
const DefaultTokens = 1000

// Estimate is the expected size of the work: tokens, units and bytes. Defaulted names those of `input_tokens` and `output_tokens` that are [DefaultTokens] for want of anything better, sorted.
type Estimate struct {
	InputTokens  int64    `json:"input_tokens"`
	OutputTokens int64    `json:"output_tokens"`
	Defaulted    []string `json:"defaulted"`
	Units        int64    `json:"units"`
	PayloadBytes int64    `json:"payload_bytes"`
}

// RequestLimits are the caller's bounds; nil is absent.
type RequestLimits struct {
	MaxCostMicroUSD *int64 `json:"max_cost_micro_usd,omitempty"`
	MaxLatencyMS    *int64 `json:"max_latency_ms,omitempty"`
}

// Data describes the data of the request. Subjects are content.
type Data struct {
	Labels   []string
	Subjects []string
	Regions  []string
	Findings []Finding
}

// Finding is what a detector of the server found, never its text.
type Finding struct {
	Type  string `json:"type" jsonschema:"required"`
	Count int64  `json:"count" jsonschema:"required,minimum=0,maximum=1000000000"`
}

// Context is what surrounds the request. Text and ConversationID are content.
type Context struct {
	Text           string
	Shareable      bool
	ConversationID string
}

// Traits are the user's, each in 0 to 1.
type Traits struct {
	Conservative  Decimal `json:"conservative"`
	Confidential  Decimal `json:"confidential"`
	RiskTolerance Decimal `json:"risk_tolerance"`
}

// Fields are the request's vectors, all of one dimension; nil is absent. They are content.
type Fields struct {
	Intent, Context, Memory, Traits *Field
}

// Profiles of the objective (spec/calculus.md, section 4).
const (
	Balanced  = "balanced"
	Economy   = "economy"
	Realtime  = "realtime"
	Assurance = "assurance"
)

// View is what predicates and policies see: the normalised request without its content (texts, conversation, subjects, fields, previous control signal and payload).
// Values are nil, bool, int64, [Decimal], string, []any and map[string]any; the caller must not change them. An absent limit has no key.
func (r *Request) View() map[string]any {
	limits := map[string]any{}
	if r.Limits.MaxCostMicroUSD != nil {
		limits["max_cost_micro_usd"] = *r.Limits.MaxCostMicroUSD
	}
	if r.Limits.MaxLatencyMS != nil {
		limits["max_latency_ms"] = *r.Limits.MaxLatencyMS
	}
	findings := make([]any, len(r.Data.Findings))
	for i, f := range r.Data.Findings {
		findings[i] = map[string]any{"type": f.Type, "count": f.Count}
	}
	parameters := make(map[string]any, len(r.Requirements.CapabilityParameters))
	for capability, required := range r.Requirements.CapabilityParameters {
		parameters[capability] = values(required)
	}
	guarantees := make(map[string]any, len(r.Requirements.Guarantees))
	for name, bounds := range r.Requirements.Guarantees {
		guarantees[name] = bounds.view()
	}
	view := map[string]any{
		"intent": map[string]any{"type": r.Intent.Type},
		"requirements": map[string]any{
			"capabilities":          texts(r.Requirements.Capabilities),
			"capability_parameters": parameters,
			"guarantees":            guarantees,
			"attributes":            values(r.Requirements.Attributes),
		},
		"estimate": map[string]any{
			"input_tokens":  r.Estimate.InputTokens,
			"output_tokens": r.Estimate.OutputTokens,
			"defaulted":     texts(r.Estimate.Defaulted),
			"units":         r.Estimate.Units,
			"payload_bytes": r.Estimate.PayloadBytes,
		},
		"limits": limits,
		"data": map[string]any{
			"labels":   texts(r.Data.Labels),
			"regions":  texts(r.Data.Regions),
			"findings": findings,
		},
		"context": map[string]any{"shareable": r.Context.Shareable},
		"traits": map[string]any{
			"conservative":   r.Traits.Conservative,
			"confidential":   r.Traits.Confidential,
			"risk_tolerance": r.Traits.RiskTolerance,
		},
		"profile": r.Profile,
		"purpose": r.Purpose,
		"seed":    r.Seed,
		"exclude": texts(r.Exclude),
	}
	if r.Supersedes != "" {
		view["supersedes"] = r.Supersedes
	}
	return view
}

func (b Bounds) view() map[string]any {
	view := map[string]any{}
	if b.Min != nil {
		view["min"] = *b.Min
	}
	if b.Max != nil {
		view["max"] = *b.Max
	}
	if b.Equals != nil {
		view["equals"] = b.Equals.V
	}
	return view
}

func texts(list []string) []any {
	view := make([]any, len(list))
	for i, text := range list {
		view[i] = text
	}
	return view
}

func values(m map[string]Value) map[string]any {
	view := make(map[string]any, len(m))
	for key, value := range m {
		view[key] = value.V
	}
	return view
}
