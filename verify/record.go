package verify

import "github.com/smarthausgroup/caio/contracts"

// The payloads of the log's entries besides decisions, each under its own `typ` (spec/proof.md, "The log"). They name things by id and digest. Who attests, grants or registers is named in the clear: these are acts of office. Who asks for a decision never is.

// RecordHead begins every payload. IAT is a NumericDate in whole seconds; Base is the log's size before the entry was made, and so at most its index.
type RecordHead struct {
	V      int64  `json:"v"` // 1
	Tenant string `json:"tenant"`
	Log    string `json:"log"` // its origin
	Base   int64  `json:"base"`
	IAT    int64  `json:"iat"`
}

// RegistryMark is what is in force after an entry that changes the registry: the digests of the snapshot and of the list of attestations, as documents name them. Entries that were made before they stated it lack both.
type RegistryMark struct {
	Snapshot     string `json:"snapshot,omitempty"`
	Attestations string `json:"attestations,omitempty"`
}

// Kinds of contract, grant and activation records.
const (
	KindRegistered  = "registered"
	KindApproved    = "approved"
	KindRemoved     = "removed"
	KindGranted     = "granted"
	KindRevoked     = "revoked"
	KindPushed      = "pushed"
	KindActivated   = "activated"
	KindDeactivated = "deactivated"
	KindShadowed    = "shadowed"
	KindUnshadowed  = "unshadowed"
)

// ContractRecord is of typ [TypContract]; Kind is registered, approved or removed.
type ContractRecord struct {
	RecordHead
	RegistryMark
	Kind     string `json:"kind"`
	Service  string `json:"service"`
	Contract string `json:"contract"`         // digest
	Source   string `json:"source,omitempty"` // digest of what was sent
	Pending  bool   `json:"pending"`          // it awaits its approval, and is not in force
	Actor    string `json:"actor"`
	Reason   string `json:"reason"`
}

// AttestationEntry is of typ [TypAttestation]: an approver's word on a contract.
type AttestationEntry struct {
	RecordHead
	RegistryMark
	Service  string                `json:"service"`
	Contract string                `json:"contract"` // digest
	Level    contracts.Attestation `json:"level"`
	Actor    string                `json:"actor"`
	Reason   string                `json:"reason"`
}

// GrantRecord is of typ [TypGrant]; Kind is granted or revoked. It stands in the log of the tenant that sees the service, and does not name the owner.
type GrantRecord struct {
	RecordHead
	RegistryMark
	Kind     string `json:"kind"`
	Service  string `json:"service"`
	Contract string `json:"contract"` // digest
	Actor    string `json:"actor"`
	Reason   string `json:"reason"`
}

// ScopeTenant is the scope of what a tenant's own people put in force. What the configuration put there has none.
const ScopeTenant = "tenant"

// SettingsRecord is of typ [TypSettings].
type SettingsRecord struct {
	RecordHead
	Settings string `json:"settings"`        // digest
	Scope    string `json:"scope,omitempty"` // ScopeTenant, absent for the configuration
	// ActorTenant is the tenant of the actor, who may be one of the installation's people; absent for the configuration, and from entries that were made before they stated it.
	ActorTenant string `json:"actor_tenant,omitempty"`
	Actor       string `json:"actor"`
	Reason      string `json:"reason"`
}

// ActivationRecord is of typ [TypActivation]; Kind is pushed, activated, deactivated, shadowed or unshadowed.
type ActivationRecord struct {
	RecordHead
	Kind   string `json:"kind"`
	Bundle string `json:"bundle"` // name
	Digest string `json:"digest"`
	Key    string `json:"key"`             // that signed the bundle, "" for none
	Scope  string `json:"scope,omitempty"` // ScopeTenant, absent for the configuration
	// Of one that is put in force: the digest of the one of its name before, absent where there was none; who pushed it; and what an approver signed with a key of their own, an [Approval].
	Previous string `json:"previous,omitempty"`
	Author   string `json:"author,omitempty"`
	Approval string `json:"approval,omitempty"` // compact JWS
	// Rollback says that the last change of the name was to be undone: what is put in force, or out, is what was before.
	Rollback bool   `json:"rollback,omitempty"`
	Actor    string `json:"actor"`
	Reason   string `json:"reason"`
}

// Approval is what an approver signs with a key of their own, as a compact JWS of typ [TypApproval] (spec/policy.md, "Bundles"): that this bundle may take the place of that one, in this log, for this reason. It stands in the record of the activation.
type Approval struct {
	V        int64  `json:"v"` // 1
	Tenant   string `json:"tenant"`
	Log      string `json:"log"`      // its origin
	Bundle   string `json:"bundle"`   // name
	Digest   string `json:"digest"`   // of what is put in force
	Previous string `json:"previous"` // digest of what is in force under the name, "" for none
	Reason   string `json:"reason"`
}

// What a key entry says of a key. A key is let in by the one before, or, the first of a log, by itself; it retires itself; and the one that was let in says which it succeeds.
const (
	KeyActivated = "activated"
	KeyRetired   = "retired"
	KeySucceeds  = "succeeds"
)

// KeyRecord is of typ [TypKey]; Kind is activated, retired or succeeds, and the key that it names by KID is the one let in, retired, or succeeded.
//
// The offline root, too, can let a key in. What it signs names no tenant, and its Base is the least index at which it holds.
type KeyRecord struct {
	RecordHead
	Kind string `json:"kind"`
	KID  string `json:"kid"`
	X    string `json:"x"` // the public key, base64url, as in its JWK
}

// FailureRecord is of typ [TypFailure]: a request was admitted and ended without a decision. ID is what the caller was told.
type FailureRecord struct {
	RecordHead
	ID   string `json:"id"`
	Code string `json:"code"` // of the problem
}

// ExplanationRecord is of typ [TypExplanation]: what would be decided was told. Request is the digest of what rules see of the request, which holds no content.
type ExplanationRecord struct {
	RecordHead
	Request string `json:"request"`
}

// SelfReported is the source of an outcome that the caller reports.
const SelfReported = "self-reported"

// OutcomeRecord is of typ [TypOutcome]: what came of calling the service that a decision chose.
type OutcomeRecord struct {
	RecordHead
	Decision     string   `json:"decision"`
	Document     string   `json:"doc"` // digest of the decision's document
	Service      string   `json:"service"`
	Intent       string   `json:"intent,omitempty"` // the type of the decision's; records of before lack it
	Status       string   `json:"status"`           // succeeded, failed, timed_out or cancelled
	LatencyMS    int64    `json:"latency_ms"`
	CostMicroUSD int64    `json:"cost_micro_usd"`
	Unmet        []string `json:"unmet"`  // guarantees that were required and not met, sorted
	Source       string   `json:"source"` // SelfReported
}

// RecoveryRecord is of typ [TypRecovery]: the first entry of a log that follows a lost one, and what is known of that.
type RecoveryRecord struct {
	RecordHead
	Lost       string `json:"lost"`       // its origin
	Checkpoint string `json:"checkpoint"` // the last that is known of it, a signed note; "" for none
	Kept       int64  `json:"kept"`       // how many of its entries the store still has
	// Key is the vkey under which its checkpoints were signed, and Why one of [LostBehind], [LostForked], [LostKey] and [LostDamaged]. Records of before lack both; their key is that of the log that they stand in.
	Key    string `json:"key,omitempty"`
	Why    string `json:"why,omitempty"`
	Actor  string `json:"actor"`
	Reason string `json:"reason"`
}
