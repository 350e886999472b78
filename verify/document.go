// Package verify is the proof: the document that says why, the statement that promises it, and the checks of both (spec/proof.md).
//
// It knows nothing of the engine, of OPA or of CEL, so that a reviewer can read it in one sitting. Re-evaluation is package verify/replay.
package verify

import (
	"github.com/smarthausgroup/caio/contracts"
)

// Versions written into every document.
const (
	SchemaV1   = "caio.proof/v1"
	CalculusV1 = "caio.calculus/v1"
)

// MediaType of a document.
const MediaType = "application/vnd.caio.proof+json"

// TimeFormat is that of every time in a document: UTC, milliseconds.
const TimeFormat = "2006-01-02T15:04:05.000Z"

// Outcomes of a decision.
const (
	Routed = "routed"
	Denied = "denied"
)

// Document is why: every argument by digest, and what followed (spec/proof.md, "The document"). Its canonical bytes are what is hashed and stored.
type Document struct {
	Schema       string            `json:"schema"`
	Calculus     string            `json:"calculus"`
	DecisionID   string            `json:"decision_id"` // UUIDv7, whose time is Time
	Tenant       string            `json:"tenant"`
	Issuer       string            `json:"issuer"`
	Log          string            `json:"log"`  // the origin of the tenant's log
	Base         int64             `json:"base"` // its size when the arguments were read
	Engine       Build             `json:"engine"`
	Time         string            `json:"time"`
	Request      Request           `json:"request"`
	Principal    Principal         `json:"principal"`
	Snapshot     Reference         `json:"snapshot"`
	Attestations Reference         `json:"attestations"`
	Settings     Reference         `json:"settings"`
	Bundles      []BundleReference `json:"bundles"`
	Decision
}

// Build says what made the document.
type Build struct {
	Version      string `json:"version"`
	Digest       string `json:"digest"` // of the binary, or of its build information
	Go           string `json:"go"`
	Arch         string `json:"arch"`
	OPA          string `json:"opa"`
	CEL          string `json:"cel"`
	Capabilities string `json:"capabilities"` // digest of the built-ins that policies may use
}

// Reference names an argument: its digest, its revision (a snapshot's number), and the index of the log entry that put it in force (-1: none has).
type Reference struct {
	Digest   string `json:"digest"`
	Revision int64  `json:"revision"`
	Index    int64  `json:"index"`
}

// BundleReference names a bundle in force. Key is the id of the key that signed it, "" where it is unsigned and an explicit development flag allowed it.
type BundleReference struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
	Key    string `json:"key"`
	Index  int64  `json:"index"`
}

// Request is the normalised request: content replaced by commitments, and where each value came from.
type Request struct {
	Intent       RequestIntent               `json:"intent"`
	Requirements contracts.Requirements      `json:"requirements"`
	Estimate     contracts.Estimate          `json:"estimate"`
	Limits       contracts.RequestLimits     `json:"limits"`
	Data         RequestData                 `json:"data"`
	Context      RequestContext              `json:"context"`
	Traits       contracts.Traits            `json:"traits"`
	Profile      string                      `json:"profile"`
	Purpose      string                      `json:"purpose"`
	Seed         int64                       `json:"seed"`
	Exclude      []string                    `json:"exclude"`
	Supersedes   string                      `json:"supersedes,omitempty"`
	Previous     []int64                     `json:"previous,omitempty"` // control.previous
	Fields       map[string]Commitment       `json:"fields"`             // intent, context, memory, traits
	Payload      *Payload                    `json:"payload,omitempty"`
	Sources      map[string]contracts.Source `json:"sources"`
}

// Commitment is the digest of a [Disclosure].
type Commitment string

// RequestIntent is the intent with its text committed.
type RequestIntent struct {
	Type string     `json:"type"`
	Text Commitment `json:"text"`
}

// RequestData is the data's description with its subjects committed, as one list.
type RequestData struct {
	Labels   []string            `json:"labels"`
	Subjects Commitment          `json:"subjects"`
	Regions  []string            `json:"regions"`
	Findings []contracts.Finding `json:"findings"`
}

// RequestContext is the context with its texts committed.
type RequestContext struct {
	Text           Commitment `json:"text"`
	Shareable      bool       `json:"shareable"`
	ConversationID Commitment `json:"conversation_id"`
}

// Payload is what the service gets: its commitment and size.
type Payload struct {
	Commitment Commitment `json:"commitment"`
	Bytes      int64      `json:"bytes"`
}

// Principal is who asked, the subject committed.
type Principal struct {
	Subject     Commitment        `json:"subject"`
	Roles       []string          `json:"roles"`
	Permissions []string          `json:"permissions"`
	Trust       contracts.Decimal `json:"trust"`
	Method      string            `json:"method"`
	Issuer      string            `json:"issuer"`
}
