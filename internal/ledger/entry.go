package ledger

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/smarthausgroup/caio/internal/store"
)

// ErrInvalid says that an entry misses something or contradicts itself: a fault of the caller. Nothing was appended.
var ErrInvalid = errors.New("ledger: invalid entry")

// MaxLeaf is the largest leaf in bytes: what C2SP tlog-tiles can hold in an entry bundle.
const MaxLeaf = 1<<16 - 1

// Entry is one leaf for a tenant's log, with the rows that say the same in a form that can be searched. Tenant, Type and Leaf are required; of the rest, what the entry is about.
type Entry struct {
	Tenant string
	Type   string // the `typ` of the JWS
	Leaf   []byte // the compact JWS, byte for byte
	KID    string // the key that signed it, which must be that of the log when it is written, once the log has one
	Root   bool   // the offline root signed it, whose word does not depend on the log's key

	Decision *Decision
	Event    *store.Event   // Tenant and Index are filled in
	Attempt  *store.Attempt // Tenant and Index are filled in
	Key      *KeyChange
	Blobs    []Blob
	Answer   *Answer
	Erasures []store.Erasure // what becomes unreadable with this entry; each is of its tenant, or of a log of its that was given up

	// Grant goes beside a granted or revoked event in the grantee's log, and keeps the owner's list; the owner stands in no log.
	Grant *store.Grant
}

// Decision is a decision as it can be found again. ID is a UUIDv7 whose time is Time. Constraints are the ids of the constraints and predicates that candidates violated.
type Decision struct {
	ID          string
	Time        time.Time
	Outcome     string
	Service     string // "" for a denial
	Route       string // "" for a denial
	Intent      string
	Constraints []string
	Document    []byte
	Disclosures []byte   // of the document's commitments, sealed, and stored apart; nil for none
	Subjects    []string // opaque ids of whom the disclosures are about
	Retention   string   // class
}

// KeyChange says that a signing key came into use for the tenant's log, or was retired; the index of the entry is the first, or the last, of its interval.
type KeyChange struct {
	KID     string
	JWK     []byte // the public key
	Retired bool
}

// Blob is something large that the entry names by its digest. The same one again is no error.
type Blob struct {
	Digest string
	Kind   string
	Bytes  []byte
}

// Answer is what a repetition of the call will be answered. Key and Request are the caller's forms of the idempotency key and of what was asked.
type Answer struct {
	Key     string
	Call    string // method and path: "POST /v1/decisions"
	Request string
	Status  int
	Body    []byte
}

func (e *Entry) validate() error {
	switch {
	case e.Tenant == "" || e.Type == "":
		return fmt.Errorf("%w: it names no tenant or no type", ErrInvalid)
	case len(e.Leaf) == 0 || len(e.Leaf) > MaxLeaf:
		return fmt.Errorf("%w: a leaf has 1 to %d bytes, not %d; put large things into blobs", ErrInvalid, MaxLeaf, len(e.Leaf))
	}
	for _, b := range e.Blobs {
		if b.Digest == "" || b.Kind == "" {
			return fmt.Errorf("%w: a blob without digest or kind", ErrInvalid)
		}
	}
	if k := e.Key; k != nil && (k.KID == "" || len(k.JWK) == 0) {
		return fmt.Errorf("%w: a signing key without id or without the key", ErrInvalid)
	}
	if a := e.Answer; a != nil && (a.Key == "" || a.Call == "" || a.Request == "") {
		return fmt.Errorf("%w: an answer needs the key, the call and the digest of the request", ErrInvalid)
	}
	return errors.Join(e.Decision.validate(), e.validateEvent(), e.validateAttempt())
}

func (d *Decision) validate() error {
	if d == nil {
		return nil
	}
	id, err := uuid.Parse(d.ID)
	if err != nil || id.Version() != 7 || id.String() != d.ID {
		return fmt.Errorf("%w: the decision's id %q is not a UUIDv7 in its usual form", ErrInvalid, d.ID)
	}
	if seconds, nanos := id.Time().UnixTime(); seconds*1000+nanos/1e6 != d.Time.UnixMilli() {
		return fmt.Errorf("%w: the decision's id %s is not of its time %s", ErrInvalid, d.ID, d.Time.UTC().Format(time.RFC3339Nano))
	}
	if d.Outcome == "" || d.Intent == "" {
		return fmt.Errorf("%w: decision %s has no outcome or no intent", ErrInvalid, d.ID)
	}
	return nil
}

var eventKinds = []store.EventKind{
	store.Registered, store.Approved, store.Removed, store.Attested, store.Granted, store.Revoked,
	store.Settings, store.Activated, store.Deactivated, store.Pushed, store.Shadowed, store.Unshadowed,
}

// tenantKinds are of what a tenant's own people can put there, beside the configuration.
var tenantKinds = []store.EventKind{store.Settings, store.Activated, store.Deactivated, store.Pushed, store.Shadowed, store.Unshadowed}

func (e *Entry) validateEvent() error {
	if g := e.Grant; g != nil {
		if e.Event == nil || e.Event.Kind != store.Granted && e.Event.Kind != store.Revoked {
			return fmt.Errorf("%w: a grant goes with a granted or a revoked event", ErrInvalid)
		}
		if g.Tenant != e.Tenant || g.Owner == g.Tenant || g.Owner == "" || g.Service != e.Event.Subject {
			return fmt.Errorf("%w: the grant does not fit its event: it stands in the grantee's log and is about the same service", ErrInvalid)
		}
	}
	if e.Event == nil {
		return nil
	}
	if !slices.Contains(eventKinds, e.Event.Kind) {
		return fmt.Errorf("%w: unknown kind of event %q", ErrInvalid, e.Event.Kind)
	}
	ends := e.Event.Kind == store.Removed || e.Event.Kind == store.Revoked || e.Event.Kind == store.Deactivated
	if !ends && e.Event.Digest == "" {
		return fmt.Errorf("%w: a %s event needs the digest of what it is about", ErrInvalid, e.Event.Kind)
	}
	if (e.Event.Subject == "") != (e.Event.Kind == store.Settings) {
		return fmt.Errorf("%w: an event names its service or bundle, and settings name nothing", ErrInvalid)
	}
	if s := e.Event.Scope; s != "" && (s != store.TenantScope || !slices.Contains(tenantKinds, e.Event.Kind)) {
		return fmt.Errorf("%w: a %s event has no scope %q", ErrInvalid, e.Event.Kind, s)
	}
	return nil
}

// maxLatency is that of spec/calculus.md, section 1, in ms.
const maxLatency = 1e9

func (e *Entry) validateAttempt() error {
	a := e.Attempt
	if a == nil {
		return nil
	}
	if a.Decision == "" || a.Service == "" || a.Intent == "" {
		return fmt.Errorf("%w: an attempt names its decision, service and intent", ErrInvalid)
	}
	if a.LatencyMS < 0 || a.LatencyMS > maxLatency || a.CostMicroUSD < 0 {
		return fmt.Errorf("%w: an attempt's latency is 0 to 1e9 ms, and its cost not negative", ErrInvalid)
	}
	return nil
}
