package verify

// Kinds of erasures and holds.
const (
	KindErased   = "erased"   // a subject
	KindExpired  = "expired"  // what is older than its class of retention is kept
	KindHeld     = "held"     // from now on nothing of it is erased
	KindReleased = "released" // and no longer
)

// ErasureRecord is of typ [TypErasure]: content that can no longer be opened from its index on, though documents commit to it (spec/proof.md, "Commitments and erasure").
//
// Of a subject, Subject is the opaque id of its keys: who that was stands nowhere. Of an age, Retention is the class, and Through the last month (2026-01, in UTC) of which everything is erased but what is held: Kept counts that.
// With Documents the documents are erased too; statements and receipts stay.
type ErasureRecord struct {
	RecordHead
	Kind      string `json:"kind"`
	Subject   string `json:"subject,omitempty"`
	Retention string `json:"retention,omitempty"`
	Through   string `json:"through,omitempty"`
	Kept      int64  `json:"kept,omitempty"`
	Documents bool   `json:"documents"`
	Actor     string `json:"actor"`
	Reason    string `json:"reason"`
}

// HoldRecord is of typ [TypHold]: on what ground nothing is erased of Subjects (opaque ids), of Decisions, or of Everything of the tenant's, until a record of the same Hold releases it.
type HoldRecord struct {
	RecordHead
	Kind       string   `json:"kind"`
	Hold       string   `json:"hold"`
	Subjects   []string `json:"subjects"`
	Decisions  []string `json:"decisions"`
	Everything bool     `json:"everything"`
	Ground     string   `json:"ground"`
	Actor      string   `json:"actor"`
	Reason     string   `json:"reason"`
}
