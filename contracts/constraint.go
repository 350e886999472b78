package contracts

// Stage is one of the stages of a decision (spec/calculus.md, section 2).
type Stage string

// The stages, in their order.
const (
	StageMatch    Stage = "match"
	StageSafety   Stage = "safety"
	StagePolicy   Stage = "policy"
	StageSecurity Stage = "security"
	StageTraits   Stage = "traits"
	StageBounds   Stage = "bounds"
	StageScore    Stage = "score"
)

// Family says which of G_safety, G_policy and G_traits a constraint belongs to. It is named like its stage.
type Family = Stage

// Constraint is one rule of a bundle with an id, as its annotation describes it (spec/policy.md).
type Constraint struct {
	ID          string   `json:"id"`
	Family      Family   `json:"family"`
	Package     string   `json:"package"` // caio.policy.gdpr
	Title       string   `json:"title"`
	Description string   `json:"description"`
	Severity    string   `json:"severity"` // critical | high | medium | low
	Controls    []string `json:"controls"`
	Remedy      string   `json:"remedy"`
	Pos         Position `json:"location"`
}

// ReasonError is the reason of a violation that could not be evaluated: it says no more, so that a proof is the same wherever it is made.
const ReasonError = "error"

// Kinds of a violation.
const (
	KindCEL  = "cel"
	KindRego = "rego"
)

// Violation says that a predicate is false or a constraint is violated.
type Violation struct {
	Kind string `json:"kind"` // cel | rego
	ID   string `json:"id"`
	// Value is G > 0 of a constraint, and 1 for a predicate and for what could not be evaluated.
	Value int64 `json:"value"`
	// Reason is the message of a constraint, the index of the first false conjunct of a predicate ("0"), or ReasonError.
	Reason string `json:"reason"`
}

// SatisfiedConstraint is a constraint that did not fire. Margin says how far it is from firing, where its author reports that; it decides nothing.
type SatisfiedConstraint struct {
	ID     string `json:"id"`
	Margin *int64 `json:"margin,omitempty"`
}

// ServiceEstimate is what a call of one service is expected to cost and take: c and l of spec/calculus.md, section 4. LatencyMS is nil when unknown.
type ServiceEstimate struct {
	CostMicroUSD int64  `json:"cost_micro_usd"`
	LatencyMS    *int64 `json:"latency_ms,omitempty"`
}
