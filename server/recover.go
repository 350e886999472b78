package server

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/verify"
)

// Recovery is what [Recover] did.
type Recovery struct {
	Tenant  string `json:"tenant"`
	Lost    string `json:"lost"`    // origin of the log that was given up
	Kept    int64  `json:"kept"`    // how many of its entries the store has
	Origin  string `json:"origin"`  // of the new log
	Entries int64  `json:"entries"` // with which it begins
	Why     string `json:"why"`
}

// FormerLogKey is the key that signed the checkpoints of the logs before Config.LogSigner, where that is another one now. The zero value is for logs of which it is not.
type FormerLogKey struct {
	Public ed25519.PublicKey
	// Unknown says that nobody has it. Then nothing that it signed can be checked here, and the new log names it to nobody.
	Unknown bool
}

// ErrFormerKey says that a log can't be recovered before it is known which key signed it.
var ErrFormerKey = errors.New("server: another key than this server's signed the checkpoints of the log. If that was not meant, put the key of before back; otherwise give its public half, as the first entry of the new log names it")

// Recover begins a tenant's log anew, under another origin, since the one that the store has can't be appended to: it is an older copy, another one than was published, or damaged, or its checkpoints were signed by another key (spec/proof.md, "The log"). The first entry commits to what is known of the lost log, and says why.
// What is in force according to the store's log is put in force again, by entries of the new one. The log that was given up stays in the store, and is served under its origin; decisions in it are read by id, and stand in no list any more. No server may be open over the store.
func Recover(ctx context.Context, config Config, former FormerLogKey, tenantName, actor, reason string) (Recovery, error) {
	config, err := config.filled()
	if err != nil {
		return Recovery{}, err
	}
	s := &Server{config: config, ledger: ledger.Offline(config.Store)}
	s.current.Store(&config)
	s.signing = config.Signer
	done := Recovery{Tenant: tenantName}
	options := s.ledgerOptions()
	options.Former = former.Public
	log, err := ledger.Recover(ctx, config.Store, options, tenantName, func(lost ledger.Lost, origin string) ([]ledger.Entry, error) {
		if lost.Key == nil && !former.Unknown {
			return nil, ErrFormerKey
		}
		done.Lost, done.Kept, done.Why = lost.Origin, lost.Size, verify.LostText(whyLost(lost.Why))
		b := &beginning{
			change: change{s: s, ctx: ctx, act: act{actor: actor, reason: reason, at: s.now()}},
			old:    &tenant{name: tenantName, origin: lost.Origin}, new: &tenant{name: tenantName, origin: origin, fold: ledger.Fold(nil)},
		}
		return b.entries(lost)
	})
	done.Origin, done.Entries = log.Origin, log.Size
	return done, err
}

// beginning collects the first entries of a log that follows a lost one.
type beginning struct {
	change
	old, new *tenant
}

func (b *beginning) entries(lost ledger.Lost) ([]ledger.Entry, error) {
	events, _, err := b.s.events(b.ctx, b.old)
	if err == nil {
		err = errors.Join(b.s.holdTypes(b.ctx, b.old), b.s.readKeeping(b.ctx, b.old))
	}
	if err != nil {
		return nil, fmt.Errorf("server: what was in force can't be taken from the store, since its entries don't hold: put a backup back, and recover from that: %w", err)
	}
	record := verify.RecoveryRecord{
		RecordHead: b.new.head(0, b.act.at), Lost: lost.Origin, Checkpoint: string(lost.Checkpoint), Kept: lost.Size, Why: whyLost(lost.Why), Actor: b.act.actor, Reason: b.act.reason,
	}
	if lost.Key != nil {
		record.Key = ledger.VKey(lost.Origin, lost.Key)
	}
	b.add(b.s.entry(b.new, verify.TypRecovery, record))
	first, err := b.s.firstKey(b.new, b.act, b.s.signer())
	if err != nil {
		return nil, err
	}
	b.change.entries = append(b.change.entries, first...)
	state := ledger.Fold(events)
	b.services(state, levelsOf(events))
	b.bundles(state)
	b.settings(state)
	b.holds()
	return b.change.entries, b.err
}

// whyLost is what the record says of why a log can't be appended to.
func whyLost(err error) string {
	for why, of := range map[string]error{verify.LostBehind: ledger.ErrBehind, verify.LostForked: ledger.ErrForked, verify.LostKey: ledger.ErrOtherKey} {
		if errors.Is(err, of) {
			return why
		}
	}
	return verify.LostDamaged
}

// services puts contracts in force again, with what people recorded of them.
func (b *beginning) services(state *ledger.State, levels map[string]map[string]contracts.Attestation) {
	for _, id := range slices.Sorted(maps.Keys(state.Services)) {
		service := state.Services[id]
		for _, digest := range []string{service.Contract, service.Pending} {
			if digest == "" {
				continue
			}
			blob := b.blob(digest)
			if service.Owned {
				b.add(b.contractEntry(b.new, b.act, store.Registered, id, digest, digest == service.Pending, "", blob...))
			} else {
				b.add(b.grantEntry(b.new, b.act, store.Granted, b.owner(id), id, digest, blob...))
			}
			if level := levels[id][digest]; level != "" && level != contracts.SelfAttested {
				b.add(b.attestationEntry(b.new, b.act, id, digest, level))
			}
		}
	}
}

// owner is who lets the tenant see a service.
func (b *beginning) owner(service string) string {
	logs, err := b.s.ledger.Logs(b.ctx)
	b.err = errors.Join(b.err, err)
	for _, log := range logs {
		grants, err := b.s.ledger.Grants(b.ctx, log.Tenant)
		b.err = errors.Join(b.err, err)
		if slices.Contains(grants, store.Grant{Owner: log.Tenant, Service: service, Tenant: b.new.name}) {
			return log.Tenant
		}
	}
	b.err = errors.Join(b.err, fmt.Errorf("server: nobody lets the tenant see the service %s: %w", service, store.ErrInconsistent))
	return ""
}

// bundles puts the tenant's own bundles back where they were. The configuration's come with the next start.
func (b *beginning) bundles(state *ledger.State) {
	again := func(kind store.EventKind, bundles map[string]ledger.Bundle) {
		for _, key := range slices.Sorted(maps.Keys(bundles)) {
			bundle := bundles[key]
			if bundle.Scope != store.TenantScope {
				continue
			}
			names := []string{bundle.Digest}
			if bundle.Signer != "" {
				names = append(names, signaturesName(bundle.Digest, bundle.Signer))
			}
			v := activation{kind: kind, name: bundle.Name, digest: bundle.Digest, key: bundle.Signer, scope: bundle.Scope}
			if kind == store.Activated {
				v.author = bundle.Author
			}
			a := b.act
			if kind == store.Pushed {
				a.actor = bundle.Author // who must not also approve it
			}
			b.add(b.s.activationEntry(b.new, a, v, b.blob(names...)...))
		}
	}
	again(store.Pushed, state.Pushed)
	again(store.Activated, state.Bundles)
	again(store.Shadowed, state.Shadows)
}

// settings puts the tenant's own settings in force again.
func (b *beginning) settings(state *ledger.State) {
	if state.Settings.Scope != store.TenantScope {
		return
	}
	settings, err := b.s.storedSettings(b.ctx, b.old, state.Settings.Digest)
	if err != nil {
		b.err = errors.Join(b.err, err)
		return
	}
	b.add(b.s.settingsEntry(b.new, b.act, settings, state.Settings.Digest, state.Settings.Scope))
}

// blob reads what entries name, to be stored beside the new ones.
func (b *beginning) blob(names ...string) []ledger.Blob {
	list := make([]ledger.Blob, 0, len(names))
	for _, name := range names {
		blob, err := b.s.ledger.Blob(b.ctx, b.old.name, name)
		if err != nil {
			b.err = errors.Join(b.err, fmt.Errorf("server: %s: %w", name, err))
			return nil
		}
		list = append(list, ledger.Blob{Digest: blob.Digest, Kind: blob.Kind, Bytes: blob.Bytes})
	}
	return list
}
