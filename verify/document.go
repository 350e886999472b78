// Package verify is the proof: the document that says why, the statement that promises it, and the checks of both (spec/proof.md).
//
// It knows nothing of the engine, of OPA or of CEL, so that a reviewer can read it in one sitting. Re-evaluation is package verify/replay.
package verify

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/canonical"
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

// MaxDocumentBytes bounds what [DecodeDocument] looks at.
const MaxDocumentBytes = 32 << 20

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

// Header is what a document says of its making, beside request, principal and decision.
type Header struct {
	DecisionID   string // by [NewDecisionID] at Time
	Issuer       string
	Log          string
	Base         int64
	Engine       Build
	Time         time.Time // as given to the calculus; whole milliseconds
	Snapshot     Reference
	Attestations Reference
	Settings     Reference
	Bundles      []BundleReference
}

// NewDocument puts a document together. It stands for r and p by value, but for their content, which is in c. The tenant is the principal's.
func NewDocument(h Header, r *contracts.Request, p contracts.Principal, c Commitments, d Decision) *Document {
	bundles := slices.Clone(h.Bundles)
	slices.SortFunc(bundles, func(a, b BundleReference) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Digest, b.Digest))
	})
	return &Document{
		Schema:       SchemaV1,
		Calculus:     CalculusV1,
		DecisionID:   h.DecisionID,
		Tenant:       p.Tenant,
		Issuer:       h.Issuer,
		Log:          h.Log,
		Base:         h.Base,
		Engine:       h.Engine,
		Time:         h.Time.UTC().Format(TimeFormat),
		Request:      committed(r, c),
		Principal:    Principal{Subject: c[NameSubject], Roles: p.Roles, Permissions: p.Permissions, Trust: p.Trust, Method: p.Method, Issuer: p.Issuer},
		Snapshot:     h.Snapshot,
		Attestations: h.Attestations,
		Settings:     h.Settings,
		Bundles:      bundles,
		Decision:     d,
	}
}

// Canonical is the bytes that are hashed and stored. The error says what has no canonical form.
func (d *Document) Canonical() ([]byte, error) { return canonical.Encode(d) }

// DecodeDocument reads canonical bytes, strictly: whatever it accepts, [Document.Canonical] writes again byte for byte, and [Document.Validate] has nothing to say of.
func DecodeDocument(text []byte) (*Document, error) {
	if len(text) > MaxDocumentBytes {
		return nil, fmt.Errorf("a document of %d bytes, at most %d", len(text), MaxDocumentBytes)
	}
	d := new(Document)
	if err := canonical.Decode(text, d); err != nil {
		return nil, err
	}
	if err := d.Validate(); err != nil {
		return nil, err
	}
	return d, nil
}

// Digest is the hex SHA-256 of text.
func Digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// NewDecisionID is a UUIDv7 at t, truncated to milliseconds, with 74 of the random bits (RFC 9562, section 5.7).
func NewDecisionID(t time.Time, random [10]byte) string {
	var id [16]byte
	ms := t.UnixMilli()
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	copy(id[6:], random[:])
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	x := hex.EncodeToString(id[:])
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// decisionTime reads the milliseconds since 1970 out of a UUIDv7 in its one lower-case form.
func decisionTime(id string) (int64, bool) {
	if len(id) != 36 {
		return 0, false
	}
	raw, err := hex.DecodeString(id[:8] + id[9:13] + id[14:18] + id[19:23] + id[24:])
	if err != nil {
		return 0, false
	}
	var ms int64
	for _, b := range raw[:6] {
		ms = ms<<8 | int64(b)
	}
	// Made again from its parts it must be what it was: version, variant, hyphens and case.
	return ms, NewDecisionID(time.UnixMilli(ms), [10]byte(raw[6:])) == id
}
