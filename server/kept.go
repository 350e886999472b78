package server

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine"
	"github.com/smarthausgroup/caio/engine/impact"
	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/verify"
)

// keptPage is how many stored decisions are read at once: a read is short, so that it holds up neither writers nor the cleaning up of the store.
const keptPage = 100

// kept reads the tenant's decisions of a span in order of time.
func (s *Server) kept(ctx context.Context, t *tenant, span store.Span) iter.Seq2[*store.Kept, error] {
	return func(yield func(*store.Kept, error) bool) {
		for after := ""; ; {
			page, err := s.ledger.Kept(ctx, t.name, span, after, keptPage)
			if err != nil {
				yield(nil, err)
				return
			}
			if len(page) == 0 {
				return
			}
			for i := range page {
				if !yield(&page[i], nil) {
					return
				}
			}
			after = page[len(page)-1].ID
		}
	}
}

// timeline is what a tenant's registry held of each service, as of any index of its log.
type timeline map[string][]moment

// moment is what an event put there; Contract is "" where the service was taken out.
type moment struct {
	index int64
	ledger.Service
}

// eventsAtOnce bounds a read of events, by indices of the log.
const eventsAtOnce = 1 << 16

// timelineOf follows the events below an index.
func (s *Server) timelineOf(ctx context.Context, t *tenant, below int64) (timeline, error) {
	line, state := timeline{}, ledger.Fold(nil)
	for from := int64(0); from < below; from += eventsAtOnce {
		events, err := s.ledger.Events(ctx, t.name, from, min(below, from+eventsAtOnce))
		if err != nil {
			return nil, err
		}
		for i := range events {
			line.follow(state, &events[i])
		}
	}
	return line, nil
}

// follow applies one event and notes what it changed. What an event about bundles or settings has for its subject names no service.
func (l timeline) follow(state *ledger.State, e *store.Event) {
	before := state.Services[e.Subject]
	state.Apply(e)
	if after := state.Services[e.Subject]; after.Contract != before.Contract || after.Attestation != before.Attestation {
		l[e.Subject] = append(l[e.Subject], moment{e.Index, after})
	}
}

// at is the service as the events below an index left it.
func (l timeline) at(service string, base int64) ledger.Service {
	moments := l[service]
	next, _ := slices.BinarySearchFunc(moments, base, func(m moment, base int64) int { return int(min(1, max(-1, m.index-base))) })
	if next == 0 {
		return ledger.Service{}
	}
	return moments[next-1].Service
}

// attestations is the list that a document with this base commits to.
func (l timeline) attestations(base int64) []verify.AttestationRecord {
	records := []verify.AttestationRecord{}
	for id := range l {
		if service := l.at(id, base); service.Contract != "" && service.Attestation != contracts.SelfAttested {
			records = append(records, verify.AttestationRecord{Service: id, Contract: service.Contract, Level: service.Attestation})
		}
	}
	slices.SortFunc(records, func(a, b verify.AttestationRecord) int { return strings.Compare(a.Service, b.Service) })
	return records
}

// decoded reads what is stored of a decision, which is held to its statement; disclosures that are gone are missing. The error is impact.ErrErased where the log says that the document was erased.
func (c *cases) decoded(ctx context.Context, k *store.Kept) (*verify.Document, []verify.Disclosure, error) {
	claims, err := c.tenant.holdDocument(k.Decision, k.Statement, k.Document, c.keys)
	if err != nil {
		return nil, nil, err
	}
	if k.Document == nil {
		_, found, err := c.server.whyGone(ctx, c.tenant, k.Decision, claims.Retention, true)
		if err == nil && !found {
			err = c.tenant.unexplained(k.Decision)
		}
		return nil, nil, cmp.Or(err, impact.ErrErased)
	}
	document, err := verify.DecodeDocument(k.Document)
	if err == nil {
		err = c.tenant.holdListed(k.Decision, document)
	}
	if err != nil {
		return nil, nil, err
	}
	disclosures, err := c.server.unsealed(ctx, k.Tenant, k.ID, k.Disclosures)
	return document, disclosures, err
}

// cases are a tenant's stored decisions as they are decided again.
type cases struct {
	server   *Server
	tenant   *tenant
	keys     verify.Keys
	timeline timeline
	services *impact.Services
	rules    *impact.Rules
	inForce  impact.RuleSet
}

func (s *Server) casesOf(ctx context.Context, t *tenant, below int64) (*cases, error) {
	keys, err := s.publicKeys(ctx)
	if err != nil {
		return nil, err
	}
	line, err := s.timelineOf(ctx, t, below)
	read := func(digest string) ([]byte, error) {
		blob, err := s.ledger.Blob(ctx, t.name, digest)
		return blob.Bytes, err
	}
	return &cases{server: s, tenant: t, keys: keys, timeline: line, services: impact.NewServices(read)}, err
}

func (c *cases) pending(k *store.Kept) impact.Pending {
	return impact.Pending{Name: k.ID, Tenant: k.Tenant, Intent: k.Intent, Read: func(ctx context.Context) (*impact.Case, error) { return c.read(ctx, k) }}
}

func (c *cases) read(ctx context.Context, k *store.Kept) (*impact.Case, error) {
	document, disclosures, err := c.decoded(ctx, k)
	if err != nil {
		return nil, err
	}
	read, err := impact.FromDocument(document, disclosures, func(id, digest string) (*engine.Service, error) {
		then := c.timeline.at(id, document.Base)
		if then.Contract != digest {
			return nil, fmt.Errorf("the log had the contract %q in force: %w", then.Contract, store.ErrInconsistent)
		}
		return c.services.Get(digest, then.Attestation)
	})
	if err != nil {
		return nil, err
	}
	read.Link, read.Rules, read.OtherRules = linksOf(k.ID).Document, c.rules, !c.inForce.MadeUnder(document)
	return read, nil
}
