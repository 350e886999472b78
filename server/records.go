package server

import (
	"bytes"
	"errors"
	"time"

	"github.com/smarthausgroup/caio/contracts/canonical"
	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
)

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
	tenant        string // of the actor, where the entry states it
	at            time.Time
}

// alter waits for the turn to change something, and takes the time then: an entry says when it was made, and not when somebody began to wait, or to compile, or to test. An auditor who has the log relies on that: its times don't go backwards. The caller calls done.
func (s *Server) alter(a *act) (done func()) {
	s.changing.Lock()
	a.at = s.now()
	return s.changing.Unlock
}

func (t *tenant) head(base int64, at time.Time) verify.RecordHead {
	return verify.RecordHead{V: 1, Tenant: t.name, Log: t.origin, Base: base, IAT: at.Unix()}
}

// entry signs a payload as the leaf of an entry.
func (s *Server) entry(t *tenant, typ string, payload any) (ledger.Entry, error) {
	signer := s.signer()
	leaf, err := signer.Sign(typ, payload)
	return ledger.Entry{Tenant: t.name, Type: typ, Leaf: leaf, KID: signer.KeyID()}, err
}

// eventEntry is an entry that changes what is in force.
func (s *Server) eventEntry(t *tenant, a act, typ string, payload any, e store.Event, blobs ...ledger.Blob) (ledger.Entry, error) {
	entry, err := s.entry(t, typ, payload)
	e.Actor, e.Reason, e.Time = a.actor, a.reason, a.at
	entry.Event, entry.Blobs = &e, blobs
	return entry, err
}

// activation is what is done with a bundle: the part of its record that is its own.
type activation struct {
	kind                       store.EventKind
	name, digest, key, scope   string
	previous, author, approval string
	rollback                   bool
}

func (s *Server) activationEntry(t *tenant, a act, v activation, blobs ...ledger.Blob) (ledger.Entry, error) {
	payload := verify.ActivationRecord{
		RecordHead: t.head(s.ledger.Size(t.name), a.at), Kind: string(v.kind), Bundle: v.name, Digest: v.digest, Key: v.key, Scope: v.scope,
		Previous: v.previous, Author: v.author, Approval: v.approval, Rollback: v.rollback, Actor: a.actor, Reason: a.reason,
	}
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
	payload := verify.SettingsRecord{RecordHead: t.head(s.ledger.Size(t.name), a.at), Settings: digest, Scope: scope, ActorTenant: a.tenant, Actor: a.actor, Reason: a.reason}
	entry, err := s.eventEntry(t, a, verify.TypSettings, payload, store.Event{Kind: store.Settings, Digest: digest, Scope: scope}, ledger.Blob{Digest: digest, Kind: blobSettings, Bytes: text})
	return entry, errors.Join(failed, err)
}
