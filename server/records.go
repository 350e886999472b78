package server

import (
	"bytes"
	"errors"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/canonical"
	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
)

// The payloads of the log's entries besides decisions, each under its own `typ` (spec/proof.md, "The log"). They name things by id and digest; the bytes are stored beside the entry.
// Who attests, grants or registers is named in the clear, as the spec asks of attestations and grants: these are acts of office. Who asks for a decision never is.

// recordHead begins every payload. IAT is a NumericDate in whole seconds.
type recordHead struct {
	V      int64  `json:"v"`
	Tenant string `json:"tenant"`
	Log    string `json:"log"`
	Base   int64  `json:"base"`
	IAT    int64  `json:"iat"`
}

// contractRecord is of typ caio-contract+jws; Kind is registered, approved or removed.
type contractRecord struct {
	recordHead
	Kind     store.EventKind `json:"kind"`
	Service  string          `json:"service"`
	Contract string          `json:"contract"` // digest
	Source   string          `json:"source,omitempty"`
	Pending  bool            `json:"pending"`
	Actor    string          `json:"actor"`
	Reason   string          `json:"reason"`
}

// attestationRecord is of typ caio-attestation+jws.
type attestationRecord struct {
	recordHead
	Service  string                `json:"service"`
	Contract string                `json:"contract"`
	Level    contracts.Attestation `json:"level"`
	Actor    string                `json:"actor"`
	Reason   string                `json:"reason"`
}

// grantRecord is of typ caio-grant+jws; Kind is granted or revoked.
type grantRecord struct {
	recordHead
	Kind     store.EventKind `json:"kind"`
	Service  string          `json:"service"`
	Contract string          `json:"contract"`
	Actor    string          `json:"actor"`
	Reason   string          `json:"reason"`
}

// settingsRecord is of typ caio-settings+jws.
type settingsRecord struct {
	recordHead
	Settings string `json:"settings"`        // digest
	Scope    string `json:"scope,omitempty"` // store.TenantScope, absent for the configuration
	Actor    string `json:"actor"`
	Reason   string `json:"reason"`
}

// activationRecord is of typ caio-activation+jws; Kind is pushed, activated, deactivated, shadowed or unshadowed.
type activationRecord struct {
	recordHead
	Kind   store.EventKind `json:"kind"`
	Bundle string          `json:"bundle"` // name
	Digest string          `json:"digest"`
	Key    string          `json:"key"`             // that signed the bundle, "" for none
	Scope  string          `json:"scope,omitempty"` // store.TenantScope, absent for the configuration
	// Of one that is put in force: the digest of the one of its name before, absent where there was none; who pushed it; and what an approver signed with a key of their own, a compact JWS of typ caio-approval+jws.
	Previous string `json:"previous,omitempty"`
	Author   string `json:"author,omitempty"`
	Approval string `json:"approval,omitempty"`
	Actor    string `json:"actor"`
	Reason   string `json:"reason"`
}

// What a key entry says of a key. A key is let in by the one before, or, the first of a log, by itself; it retires itself; and the one that was let in says which it succeeds.
const (
	keyActivated = "activated"
	keyRetired   = "retired"
	keySucceeds  = "succeeds"
)

// keyRecord is of typ caio-key+jws; Kind is activated, retired or succeeds, and the key that it names by KID is the one let in, retired, or succeeded.
type keyRecord struct {
	recordHead
	Kind string `json:"kind"`
	KID  string `json:"kid"`
	X    string `json:"x"` // the public key, base64url, as in its JWK
}

// failureRecord is of typ caio-failure+jws: a request was admitted and ended without a decision. ID is what the caller was told.
type failureRecord struct {
	recordHead
	ID   string `json:"id"`
	Code string `json:"code"` // of the problem
}

// explanationRecord is of typ caio-explanation+jws: what would be decided was told. Request is the digest of what rules see of the request, which holds no content.
type explanationRecord struct {
	recordHead
	Request string `json:"request"`
}

// outcomeRecord is of typ caio-outcome+jws.
type outcomeRecord struct {
	recordHead
	Decision     string   `json:"decision"`
	Document     string   `json:"doc"` // digest of the decision's document
	Service      string   `json:"service"`
	Status       string   `json:"status"`
	LatencyMS    int64    `json:"latency_ms"`
	CostMicroUSD int64    `json:"cost_micro_usd"`
	Unmet        []string `json:"unmet"`
	Source       string   `json:"source"` // self-reported
}

const selfReported = "self-reported"

// Kinds of blobs, as the store keeps them.
const (
	blobContract = "contract"        // canonical JSON
	blobSource   = "contract-source" // as it was sent
	blobBundle   = "bundle"          // OPA's format, a compressed tar
	blobSettings = "settings"        // canonical JSON
	// blobSignatures is the .signatures.json of a bundle, under signaturesName.
	blobSignatures = "bundle-signatures"
)

// act is who does what, when, and why: what the entries of one change have in common.
type act struct {
	actor, reason string
	at            time.Time
}

func (t *tenant) head(base int64, at time.Time) recordHead {
	return recordHead{V: 1, Tenant: t.name, Log: t.origin, Base: base, IAT: at.Unix()}
}

// entry signs a payload as the leaf of an entry.
func (s *Server) entry(t *tenant, typ string, payload any) (ledger.Entry, error) {
	leaf, err := s.config.Signer.Sign(typ, payload)
	return ledger.Entry{Tenant: t.name, Type: typ, Leaf: leaf}, err
}

// eventEntry is an entry that changes what is in force.
func (s *Server) eventEntry(t *tenant, a act, typ string, payload any, e store.Event, blobs ...ledger.Blob) (ledger.Entry, error) {
	entry, err := s.entry(t, typ, payload)
	e.Actor, e.Reason, e.Time = a.actor, a.reason, a.at
	entry.Event, entry.Blobs = &e, blobs
	return entry, err
}

func (s *Server) contractEntry(t *tenant, a act, kind store.EventKind, service, digest string, pending bool, source string, blobs ...ledger.Blob) (ledger.Entry, error) {
	payload := contractRecord{t.head(s.ledger.Size(t.name), a.at), kind, service, digest, source, pending, a.actor, a.reason}
	return s.eventEntry(t, a, verify.TypContract, payload, store.Event{Kind: kind, Subject: service, Digest: digest, Pending: pending}, blobs...)
}

func (s *Server) attestationEntry(t *tenant, a act, service, digest string, level contracts.Attestation) (ledger.Entry, error) {
	payload := attestationRecord{t.head(s.ledger.Size(t.name), a.at), service, digest, level, a.actor, a.reason}
	return s.eventEntry(t, a, verify.TypAttestation, payload, store.Event{Kind: store.Attested, Subject: service, Digest: digest, Level: string(level)})
}

// grantEntry goes into the grantee's log; the row beside it, which names the owner, goes into none.
func (s *Server) grantEntry(grantee *tenant, a act, kind store.EventKind, owner, service, digest string, blobs ...ledger.Blob) (ledger.Entry, error) {
	payload := grantRecord{grantee.head(s.ledger.Size(grantee.name), a.at), kind, service, digest, a.actor, a.reason}
	entry, err := s.eventEntry(grantee, a, verify.TypGrant, payload, store.Event{Kind: kind, Subject: service, Digest: digest}, blobs...)
	entry.Grant = &store.Grant{Owner: owner, Service: service, Tenant: grantee.name}
	return entry, err
}

// activation is what is done with a bundle: the part of its record that is its own.
type activation struct {
	kind                       store.EventKind
	name, digest, key, scope   string
	previous, author, approval string
}

func (s *Server) activationEntry(t *tenant, a act, v activation, blobs ...ledger.Blob) (ledger.Entry, error) {
	payload := activationRecord{t.head(s.ledger.Size(t.name), a.at), v.kind, v.name, v.digest, v.key, v.scope, v.previous, v.author, v.approval, a.actor, a.reason}
	return s.eventEntry(t, a, verify.TypActivation, payload, store.Event{Kind: v.kind, Subject: v.name, Digest: v.digest, Signer: v.key, Scope: v.scope}, blobs...)
}

// bundleBlobs are a bundle as the store keeps it: a compressed tar, as OPA packs it, and what a key signed of it.
func bundleBlobs(b *rego.Bundle) ([]ledger.Blob, error) {
	var packed bytes.Buffer
	err := rego.WriteTarball(&packed, b)
	blobs := []ledger.Blob{{Digest: b.Digest, Kind: blobBundle, Bytes: packed.Bytes()}}
	if b.Key != "" {
		blobs = append(blobs, ledger.Blob{Digest: signaturesName(b.Digest, b.Key), Kind: blobSignatures, Bytes: b.Signatures})
	}
	return blobs, err
}

func signaturesName(bundle, key string) string { return bundle + "." + key }

// settingsEntry puts settings in force, whose digest is given.
func (s *Server) settingsEntry(t *tenant, a act, settings map[string]any, digest, scope string) (ledger.Entry, error) {
	text, failed := canonical.Encode(settings)
	payload := settingsRecord{t.head(s.ledger.Size(t.name), a.at), digest, scope, a.actor, a.reason}
	entry, err := s.eventEntry(t, a, verify.TypSettings, payload, store.Event{Kind: store.Settings, Digest: digest, Scope: scope}, ledger.Blob{Digest: digest, Kind: blobSettings, Bytes: text})
	return entry, errors.Join(failed, err)
}
