package server

import (
	"errors"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/verify"
)

// mark moves what will be in force for t on by one event of the change, and says what it is then: an auditor who sees this entry, and none before it, knows what a decision after it had to read.
func (ch *change) mark(t *tenant, e store.Event) (verify.RegistryMark, error) {
	if ch.after[t] == nil {
		if ch.after == nil {
			ch.after = map[*tenant]*ledger.State{}
		}
		ch.after[t] = t.fold.Clone()
	}
	ch.after[t].Apply(&e)
	return ch.after[t].Registry().Mark()
}

func (ch *change) contractEntry(t *tenant, a act, kind store.EventKind, service, digest string, pending bool, source string, blobs ...ledger.Blob) (ledger.Entry, error) {
	event := store.Event{Kind: kind, Subject: service, Digest: digest, Pending: pending}
	mark, failed := ch.mark(t, event)
	entry, err := ch.s.eventEntry(t, a, verify.TypContract, verify.ContractRecord{
		RecordHead: t.head(ch.s.ledger.Size(t.name), a.at), RegistryMark: mark, Kind: string(kind), Service: service, Contract: digest, Source: source, Pending: pending, Actor: a.actor, Reason: a.reason,
	}, event, blobs...)
	return entry, errors.Join(failed, err)
}

func (ch *change) attestationEntry(t *tenant, a act, service, digest string, level contracts.Attestation) (ledger.Entry, error) {
	event := store.Event{Kind: store.Attested, Subject: service, Digest: digest, Level: string(level)}
	mark, failed := ch.mark(t, event)
	entry, err := ch.s.eventEntry(t, a, verify.TypAttestation, verify.AttestationEntry{
		RecordHead: t.head(ch.s.ledger.Size(t.name), a.at), RegistryMark: mark, Service: service, Contract: digest, Level: level, Actor: a.actor, Reason: a.reason,
	}, event)
	return entry, errors.Join(failed, err)
}

// grantEntry goes into the grantee's log; the row beside it, which names the owner, goes into none.
func (ch *change) grantEntry(grantee *tenant, a act, kind store.EventKind, owner, service, digest string, blobs ...ledger.Blob) (ledger.Entry, error) {
	event := store.Event{Kind: kind, Subject: service, Digest: digest}
	mark, failed := ch.mark(grantee, event)
	entry, err := ch.s.eventEntry(grantee, a, verify.TypGrant, verify.GrantRecord{
		RecordHead: grantee.head(ch.s.ledger.Size(grantee.name), a.at), RegistryMark: mark, Kind: string(kind), Service: service, Contract: digest, Actor: a.actor, Reason: a.reason,
	}, event, blobs...)
	entry.Grant = &store.Grant{Owner: owner, Service: service, Tenant: grantee.name}
	return entry, errors.Join(failed, err)
}
