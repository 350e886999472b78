package store

import "time"

// Log is the head of a tenant's log: its origin, an opaque id, and how many leaves it has. Indices run from 0 to Size-1 without a gap.
//
// Of one that was given up, Was is the tenant whose log it was; its Tenant is a name that no token has, and nothing is appended to it.
type Log struct {
	Tenant string
	Origin string
	Size   int64
	Was    string
}

// Tile is a part of a log's tree: the hashes at height 8*Level, from Index*256 on, 32 bytes each, as many as there are by now and at most 256 (C2SP tlog-tiles). A narrower tile is a prefix.
type Tile struct {
	Tenant string
	Level  int
	Index  int64
	Hashes []byte
}

// Checkpoint is what a log last said of itself: a signed note over its size and root.
type Checkpoint struct {
	Tenant string
	Size   int64
	Note   []byte
}

// Entry is one leaf of a tenant's log. Leaf is a compact JWS, and Type its `typ`.
type Entry struct {
	Tenant string
	Index  int64
	Type   string
	Leaf   []byte
}

// Decision is what one can search for. ID is a UUIDv7 whose time is Time, to the millisecond, so that ids are in order of time; Index is that of its statement. Service and Route are "" for a denial, Route and Intent where the document was erased, of which they are. Retention is a class.
type Decision struct {
	Tenant    string
	ID        string
	Index     int64
	Time      time.Time
	Outcome   string
	Service   string
	Route     string
	Intent    string
	Retention string
}

// Query says which decisions to list. What is zero is no condition. From is included, To is not.
type Query struct {
	From, To   time.Time
	Service    string
	Outcome    string
	Constraint string // violated, by any candidate
	Intent     string
	Subject    string // whom it is about, by the opaque id
	Cursor     string // Next of the page before; "" for the first
	Limit      int    // of a page; 1 to MaxLimit
}

// MaxLimit is the largest page of a search.
const MaxLimit = 1000

// Page is a part of a list. Next is the cursor of the page that follows, "" when there is none.
type Page struct {
	Decisions []Decision
	Next      string
}

// Span says which decisions to read. What is zero is no condition. From is included, To is not; Below is an index of the log, and not included.
type Span struct {
	From, To time.Time
	Below    int64
}

// Kept is a decision with what is stored beside it. Statement is its leaf. Document and Disclosures are nil where they are not kept.
type Kept struct {
	Decision
	Statement   []byte
	Document    []byte
	Disclosures []byte
}

// MaxPageBytes is how much of documents and disclosures a page of kept decisions holds before it ends early.
const MaxPageBytes = 4 << 20

// EventKind says what an event changes.
type EventKind string

// The kinds of events. The subject of a service's is its id, of a bundle's its name, of settings "".
const (
	Registered  EventKind = "registered"  // the tenant's own contract, new or changed
	Approved    EventKind = "approved"    // a pending contract, by its digest
	Removed     EventKind = "removed"     // the tenant's own service
	Attested    EventKind = "attested"    // a contract, by its digest, at Level
	Granted     EventKind = "granted"     // another's service became visible, or changed
	Revoked     EventKind = "revoked"     // another's service is visible no more
	Settings    EventKind = "settings"    // operational settings were put in force
	Activated   EventKind = "activated"   // a bundle was put in force
	Deactivated EventKind = "deactivated" // a bundle was taken out of force
	Pushed      EventKind = "pushed"      // a bundle was handed in, to be put in force or beside it
	Shadowed    EventKind = "shadowed"    // a bundle is evaluated beside those in force
	Unshadowed  EventKind = "unshadowed"  // and no longer
)

// TenantScope is the scope of what a tenant's own people put there. What the configuration of the installation put there has none.
const TenantScope = "tenant"

// Event is an entry that changes what is in force for the tenant: services, attestations, settings, bundles. It names no other tenant.
type Event struct {
	Tenant  string
	Index   int64
	Kind    EventKind
	Subject string
	Digest  string // of the contract, the settings or the bundle
	Level   string // of an attestation
	Pending bool   // a registration that awaits its approval
	Signer  string // the id of the key that signed a bundle; "" when unsigned
	Scope   string // of settings and bundles: TenantScope, or "" for the configuration
	Actor   string
	Reason  string
	Time    time.Time
}

// Blob is something large that entries name by digest: a contract, its source, a bundle, settings.
type Blob struct {
	Tenant string
	Digest string
	Kind   string
	Bytes  []byte
}

// Grant says that Owner lets Tenant see Service. It is the owner's list, and stands in no log.
type Grant struct {
	Owner   string
	Service string
	Tenant  string
}

// Attempt is a call of the chosen service and what came of it. OK says that it succeeded and met every guarantee that its request required; LatencyMS is whole ms, rounded up.
type Attempt struct {
	Tenant       string
	Index        int64
	Decision     string
	Service      string
	Intent       string
	Time         time.Time
	Status       string
	OK           bool
	LatencyMS    int64
	CostMicroUSD int64
	SelfReported bool // by the caller
}

// Window names the attempts that one row of the history counts.
type Window struct {
	Tenant  string
	Intent  string
	Service string
}

// Answer is what was first answered to a call with an idempotency key. Key and Request are opaque forms of the key and of what was asked, Index is that of the entry with which the answer was stored.
type Answer struct {
	Tenant  string
	Key     string
	Call    string // method and path
	Request string
	Status  int
	Body    []byte
	Index   int64
}

// APIKey is a credential, by its SHA-256. Revoked is zero while it is in force.
type APIKey struct {
	Tenant    string
	ID        string
	Hash      [32]byte
	Principal []byte // JSON
	Created   time.Time
	Revoked   time.Time
}

// SigningKey is a public key, a JWK, and the indices of the tenant's log between which it was in use, both included; Last is nil while it is.
type SigningKey struct {
	Tenant string
	KID    string
	JWK    []byte
	First  int64
	Last   *int64
}

// PublicKey is a key that signs or has signed.
type PublicKey struct {
	KID string
	JWK []byte
}

// Batch is what one transaction writes.
type Batch struct {
	GivenUp     []GivenUp // before anything else
	Logs        []Advance
	Tiles       []Tile       // each in place of the narrower one
	Checkpoints []Checkpoint // each in place of the one before
	Entries     []Entry
	Decisions   []NewDecision
	Events      []Event
	Blobs       []Blob // one that is there already is left as it is
	Grants      []Grant
	Revocations []Grant // of grants; one that isn't there is left out
	Attempts    []Attempt
	Sealed      []Sealed  // each in place of what stands in the clear
	Erasures    []Erasure // after what else the batch writes
	Answers     []Answer
	APIKeys     []APIKey     // new where Revoked is zero; otherwise the key with this id gets Revoked, if it has none yet, and nothing else
	SigningKeys []SigningKey // a known kid of the tenant gets the Last of the batch, and nothing else
}

// Advance moves the head of a log from size From to size To; New makes the log, with From 0.
type Advance struct {
	Tenant   string
	Origin   string
	From, To int64
	New      bool
}

// GivenUp puts a tenant's log aside, with everything that stands in it, under the name As, so that the batch can make a New one for the tenant. API keys and what the tenant lets others see stay with it.
type GivenUp struct {
	Tenant string
	As     string
}

// Sealed is the disclosures of a decision, and whom they are about.
type Sealed struct {
	Tenant      string
	ID          string
	Subjects    []string
	Disclosures []byte
}

// Parties is for how many subjects a decision is listed. Head is the first [HeadBytes] bytes of its disclosures.
type Parties struct {
	ID       string
	Head     []byte
	Subjects int
}

// HeadBytes is how much of sealed disclosures is read to tell for whom they are.
const HeadBytes = 3

// Erasure says of which decisions the content is to go: those of a Subject, by its opaque id, or those of a class of Retention with From <= time < To that nothing keeps. With the disclosures go the answers that were stored for idempotency keys, and with Documents the documents, what they say the decisions violated, and Route and Intent; rows and leaves stay.
type Erasure struct {
	Tenant    string
	Subject   string
	Retention string
	From, To  time.Time
	Keep      Holding
	Documents bool
}

// Holding names decisions that are to be kept: those of subjects, by their opaque ids, and single ones.
type Holding struct {
	Subjects  []string
	Decisions []string
}

// NewDecision is a decision with what is stored beside it. Constraints are the ids of what its candidates violated, and Subjects the opaque ids of whom it is about, each once. Document and Disclosures are nil where they are not kept; the latter are sealed.
type NewDecision struct {
	Decision
	Subjects    []string
	Constraints []string
	Document    []byte
	Disclosures []byte
}
