package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/tlog"
)

// logged adds what the log says: the statement's receipt, and with their receipts the entries that put in force what the document names, and those of what came of the decision. All of them are under one checkpoint, so that nobody can be shown parts of different trees.
func (s *Server) logged(ctx context.Context, t *tenant, p *past, ev *verify.Evidence) error {
	indices, err := s.entriesOf(ctx, t, p)
	if err != nil {
		return err
	}
	checkpoint, err := s.bracketed(ctx, t, p.row.Index, slices.Max(append(indices, p.row.Index)), ev)
	if err != nil {
		return err
	}
	if ev.Receipt, err = s.proofAt(ctx, t, p.row.Index, checkpoint); err != nil {
		return err
	}
	for _, index := range indices {
		entries, err := s.ledger.Entries(ctx, t.logName(), index, 1)
		if err == nil && (len(entries) == 0 || entries[0].Index != index) {
			err = t.misplaced(index, "an entry that the document names is missing", nil)
		}
		if err != nil {
			return err
		}
		receipt, err := s.proofAt(ctx, t, index, checkpoint)
		if err != nil {
			return err
		}
		ev.Entries = append(ev.Entries, verify.LoggedEntry{Index: index, JWS: entries[0].Leaf, Receipt: receipt})
	}
	return nil
}

// entriesOf are the indices of the entries that belong into the evidence, in order.
func (s *Server) entriesOf(ctx context.Context, t *tenant, p *past) ([]int64, error) {
	attempts, err := s.ledger.Attempts(ctx, t.logName(), p.row.ID)
	if err != nil {
		return nil, err
	}
	d := p.document
	indices := []int64{d.Snapshot.Index, d.Attestations.Index, d.Settings.Index}
	for _, b := range d.Bundles {
		indices = append(indices, b.Index)
	}
	for _, a := range attempts {
		indices = append(indices, a.Index)
	}
	slices.Sort(indices)
	return slices.DeleteFunc(slices.Compact(indices), func(index int64) bool { return index < 0 }), nil
}

func (s *Server) proofAt(ctx context.Context, t *tenant, index int64, c tlog.Checkpoint) ([]byte, error) {
	proof, err := s.ledger.ProofAt(ctx, t.logName(), index, c)
	if err != nil {
		return nil, t.unproved(fmt.Errorf("server: the receipt of index %d: %w", index, err))
	}
	return proof, nil
}

// slim leaves out the contracts that no candidate has.
func slim(ev *verify.Evidence, d *verify.Document) {
	kept := map[string][]byte{}
	for _, c := range d.Candidates {
		kept[c.Contract] = ev.Contracts[c.Contract]
	}
	ev.Contracts = kept
}

// forSubject makes of ev what somebody who a decision is about may have: its document, statement and receipt, and what it was decided from, without what concerns others. Those are people who hold office, whom the log's other entries name, services that were no candidates, and whoever else the content is about or was asked by.
func forSubject(ev *verify.Evidence, d *verify.Document, subject string) error {
	disclosed := ev.Disclosures
	asked, about := false, []any{}
	for _, disclosure := range disclosed {
		switch disclosure.Name {
		case verify.NameSubject:
			asked = disclosure.Value == subject
		case verify.NameSubjects:
			about, _ = disclosure.Value.([]any)
		}
	}
	if !asked && !slices.Contains(about, any(subject)) {
		return newProblem(http.StatusNotFound, "not-concerned", "The decision is not about this person, and they did not ask for it: there is nothing of it that they may have.")
	}
	alone := !slices.ContainsFunc(about, func(other any) bool { return other != subject })
	ev.Disclosures = slices.DeleteFunc(slices.Clone(disclosed), func(disclosure verify.Disclosure) bool {
		switch disclosure.Name {
		case verify.NameSubject:
			return !asked
		case verify.NameConversation:
			return !asked || !alone
		}
		return !alone
	})
	ev.Entries = nil
	slim(ev, d)
	return nil
}
