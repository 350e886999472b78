package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/smarthausgroup/caio/internal/store"
)

// group is the calls of one transaction, and what they write.
type group struct {
	calls []*call
	batch store.Batch
	logs  map[string]int // tenant -> position in batch.Logs
	trees map[string]*tree
	keys  map[string]string // those of logs that the batch hands over
}

// stage gives indices to the entries of the calls and makes the batch. A call that can't be written is answered here and left out.
func (l *Ledger) stage(ctx context.Context, calls []*call) *group {
	g := &group{logs: map[string]int{}, trees: map[string]*tree{}, keys: map[string]string{}}
	for _, c := range calls {
		err := l.checkAnswers(ctx, c)
		if err == nil {
			err = l.holdKeys(g, c)
		}
		if err == nil {
			err = l.checkErasures(c)
		}
		if err == nil {
			err = l.openHeads(g, c)
		}
		if err != nil {
			c.done <- err
			continue
		}
		g.add(c)
	}
	return g
}

// checkAnswers looks for earlier answers to the idempotency keys of the call. Two calls of one group with the same key are none of its business: the store refuses the second, and then it is written alone.
func (l *Ledger) checkAnswers(ctx context.Context, c *call) error {
	for i := range c.entries {
		a := c.entries[i].Answer
		if a == nil {
			continue
		}
		first, err := l.store.Answer(ctx, c.entries[i].Tenant, a.Key, a.Call)
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return fmt.Errorf("ledger: nothing was appended, the store failed: %w", err)
		case first.Request != a.Request:
			return ErrKeyReused
		default:
			return &Repeated{First: first}
		}
	}
	return nil
}

// checkErasures refuses what would erase in a log of somebody else.
func (l *Ledger) checkErasures(c *call) error {
	for i := range c.entries {
		e := &c.entries[i]
		for _, erasure := range e.Erasures {
			if log, _ := l.log(erasure.Tenant); erasure.Tenant != e.Tenant && log.Was != e.Tenant {
				return fmt.Errorf("%w: it erases of %q, and is an entry of %q", ErrInvalid, erasure.Tenant, e.Tenant)
			}
		}
	}
	return nil
}

// openHeads sees to it that the batch has a head for every log that the call writes to.
func (l *Ledger) openHeads(g *group, c *call) error {
	tenants := make([]string, 0, len(c.entries)+1)
	if c.tenant != "" {
		tenants = append(tenants, c.tenant)
	}
	for i := range c.entries {
		tenants = append(tenants, c.entries[i].Tenant)
	}
	for _, tenant := range tenants {
		if _, ok := g.logs[tenant]; ok {
			continue
		}
		log, known := l.log(tenant)
		if !known {
			origin, err := newOrigin(l.options.Random)
			if err != nil {
				return err
			}
			log = store.Log{Tenant: tenant, Origin: origin}
		} else if log.Was != "" {
			return fmt.Errorf("%w: the log %s was given up", ErrInvalid, log.Origin)
		} else if c.tenant != "" {
			continue // somebody else has made it in the meantime
		}
		if edge := l.trees[tenant]; edge != nil {
			g.trees[tenant] = edge.clone()
		} else {
			g.trees[tenant] = &tree{tenant: tenant}
		}
		g.logs[tenant] = len(g.batch.Logs)
		g.batch.Logs = append(g.batch.Logs, store.Advance{Tenant: tenant, Origin: log.Origin, From: log.Size, To: log.Size, New: !known})
	}
	return nil
}

// grow appends the entries to the trees, and adds tiles and signed checkpoints to the batch.
func (l *Ledger) grow(g *group) error {
	for i := range g.batch.Entries {
		e := &g.batch.Entries[i]
		if err := g.trees[e.Tenant].append(e.Leaf); err != nil {
			return err
		}
	}
	for i := range g.batch.Logs {
		head := &g.batch.Logs[i]
		tree := g.trees[head.Tenant]
		checkpoint, err := l.notary.sign(head.Origin, tree)
		if err != nil {
			return err
		}
		g.batch.Tiles = append(g.batch.Tiles, tree.tiles()...)
		g.batch.Checkpoints = append(g.batch.Checkpoints, checkpoint)
	}
	return nil
}

// add puts the call's rows into the batch.
func (g *group) add(c *call) {
	g.calls = append(g.calls, c)
	g.batch.APIKeys = append(g.batch.APIKeys, c.keys...)
	c.indices = make([]int64, len(c.entries))
	for i := range c.entries {
		e := &c.entries[i]
		head := &g.batch.Logs[g.logs[e.Tenant]]
		c.indices[i] = head.To
		head.To++
		g.batch.Entries = append(g.batch.Entries, store.Entry{Tenant: e.Tenant, Index: c.indices[i], Type: e.Type, Leaf: e.Leaf})
		g.addRows(e, c.indices[i])
	}
}

func (g *group) addRows(e *Entry, index int64) {
	b := &g.batch
	if d := e.Decision; d != nil {
		b.Decisions = append(b.Decisions, store.NewDecision{
			Decision: store.Decision{Tenant: e.Tenant, ID: d.ID, Index: index, Time: d.Time, Outcome: d.Outcome, Service: d.Service, Route: d.Route, Intent: d.Intent, Retention: d.Retention},
			Subjects: d.Subjects, Constraints: d.Constraints, Document: d.Document, Disclosures: d.Disclosures,
		})
	}
	if e.Event != nil {
		event := *e.Event
		event.Tenant, event.Index = e.Tenant, index
		b.Events = append(b.Events, event)
	}
	if e.Attempt != nil {
		attempt := *e.Attempt
		attempt.Tenant, attempt.Index = e.Tenant, index
		b.Attempts = append(b.Attempts, attempt)
	}
	if k := e.Key; k != nil {
		row := store.SigningKey{Tenant: e.Tenant, KID: k.KID, JWK: k.JWK, First: index}
		if k.Retired {
			row.Last = &index
		}
		b.SigningKeys = append(b.SigningKeys, row)
	}
	for _, blob := range e.Blobs {
		b.Blobs = append(b.Blobs, store.Blob{Tenant: e.Tenant, Digest: blob.Digest, Kind: blob.Kind, Bytes: blob.Bytes})
	}
	if e.Grant != nil && e.Event.Kind == store.Granted {
		b.Grants = append(b.Grants, *e.Grant)
	} else if e.Grant != nil {
		b.Revocations = append(b.Revocations, *e.Grant)
	}
	b.Erasures = append(b.Erasures, e.Erasures...)
	if a := e.Answer; a != nil {
		b.Answers = append(b.Answers, store.Answer{Tenant: e.Tenant, Key: a.Key, Call: a.Call, Request: a.Request, Status: a.Status, Body: a.Body, Index: index})
	}
}
