package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/smarthausgroup/caio/internal/seal"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/verify"
)

// ErasureRequest asks that the content of every decision that a subject takes part in becomes unreadable, for good.
type ErasureRequest struct {
	// Subject is whom it is about, as requests and tokens name them. It is stored nowhere.
	Subject string `json:"subject" jsonschema:"required,minLength=1,maxLength=256"`
	Reason  string `json:"reason" jsonschema:"required,minLength=1,maxLength=1000"`
	// Documents erases the documents too: scores are a fingerprint of a text. Statements stay.
	Documents bool `json:"documents,omitempty"`
}

// Erasure is an entry of the log that states one: of a subject, or of what is older than its class of retention is kept.
type Erasure struct {
	Kind string `json:"kind" jsonschema:"enum=erased,enum=expired"`
	// Subject is the opaque id of the subject's keys.
	Subject string `json:"subject,omitempty"`
	// Retention is a class, and Through the last month of it that expired.
	Retention string `json:"retention,omitempty"`
	Through   string `json:"through,omitempty"`
	// Kept is how many decisions a hold kept.
	Kept      int64  `json:"kept,omitempty"`
	Documents bool   `json:"documents"`
	Actor     string `json:"actor"`
	Reason    string `json:"reason"`
	Time      string `json:"time" jsonschema:"format=date-time"`
	Index     int64  `json:"index"`
}

// Erased says what was done.
type Erased struct {
	Erasure
	// Decisions is of how many decisions the content went.
	Decisions int64 `json:"decisions"`
}

// ErasureList is a page of erasures, the newest first.
type ErasureList struct {
	Erasures []Erasure `json:"erasures"`
	// Next is the cursor of the page that follows; absent at the end.
	Next string `json:"next,omitempty"`
}

func (e erasure) shown() Erasure {
	return Erasure{
		Kind: e.Kind, Subject: e.Subject, Retention: e.Retention, Through: e.Through, Kept: e.Kept, Documents: e.Documents,
		Actor: e.Actor, Reason: e.Reason, Time: time.Unix(e.IAT, 0).UTC().Format(verify.TimeFormat), Index: e.index,
	}
}

// postErasure takes no Idempotency-Key: a second erasure finds nobody.
func (s *Server) postErasure(c *call) error {
	t, err := s.named(c)
	if err != nil {
		return err
	}
	var request ErasureRequest
	found, err := c.form(s.config.Limits.RequestBytes, &request)
	if err != nil {
		return err
	}
	found.reason(request.Reason)
	if request.Subject == "" || len(request.Subject) > 256 {
		found.add("/subject", "invalid-value", "expected 1 to 256 bytes")
	}
	if err := found.problem(); err != nil {
		return err
	}
	a := act{actor: c.who.Principal.Subject, reason: request.Reason}
	answer, err := s.eraseSubject(c.ctx(), t, a, request.Subject, request.Documents)
	if err != nil {
		return err
	}
	return c.answer(http.StatusCreated, answer)
}

// eraseSubject makes the erasure an entry, and then carries it out. Where the process ends between the two, the next start carries it out.
func (s *Server) eraseSubject(ctx context.Context, t *tenant, a act, subject string, documents bool) (answer *Erased, err error) {
	defer s.alter(&a)()
	known, err := s.config.Subjects.Erase(ctx, t.name, subject, documents, func(id string) error {
		answer, err = s.stateErasure(ctx, t, a, id, documents)
		return err
	})
	switch {
	case err != nil && answer != nil, errors.Is(err, seal.ErrNotOverwritten):
		return nil, newProblem(http.StatusServiceUnavailable, "not-erased", "The erasure stands in the log, and was not carried out to its end, as where the disk is full, or another process reads the store of subjects. Ask again; the server tries it, too, within the hour, and at its next start. Until the key is gone, it decides nothing about the subject.").because(err)
	case err != nil:
		return nil, err
	case !known:
		return nil, newProblem(http.StatusNotFound, "subject-unknown", "No decision of this tenant names the subject since the last erasure.")
	}
	return answer, nil
}

// stateErasure is the entry of an erasure, unless a hold forbids it. Where it stands there already, it was not carried out to its end, and no hold forbids that any more.
func (s *Server) stateErasure(ctx context.Context, t *tenant, a act, id string, documents bool) (*Erased, error) {
	if e, stated := t.keeping.Load().stated(id, documents); stated {
		return &Erased{Erasure: e.shown()}, nil
	}
	if err := s.unheld(ctx, t, id); err != nil {
		return nil, err
	}
	of := t.everywhere(store.Erasure{Subject: id, Documents: documents})
	count, err := s.erasable(ctx, of)
	if err != nil {
		return nil, err
	}
	a.at = s.now() // decisions in flight were waited for, and are not younger than their erasure
	made, err := s.eraseEntries(ctx, t, a, erasing{verify.ErasureRecord{Kind: verify.KindErased, Subject: id, Documents: documents}, of})
	if err != nil {
		return nil, err
	}
	return &Erased{made[0].shown(), count}, nil
}

// unheld refuses the erasure of a subject that takes part in a decision that is held: without its key that could not be opened either.
func (s *Server) unheld(ctx context.Context, t *tenant, subject string) error {
	now := t.keeping.Load()
	for name, hold := range now.holds {
		held := hold.Everything || slices.Contains(hold.Subjects, subject)
		if !held {
			subjects, err := s.heldSubjects(ctx, t, store.Holding{Subjects: hold.Subjects, Decisions: hold.Decisions})
			if err != nil {
				return err
			}
			held = slices.Contains(subjects, subject)
		}
		if held {
			return newProblem(http.StatusConflict, "held", fmt.Sprintf("The hold %q forbids it, on this ground: %s. Ask again once it is released.", name, hold.Ground))
		}
	}
	return nil
}

func (s *Server) listErasures(c *call) error {
	t, err := s.named(c)
	if err != nil {
		return err
	}
	before, err := c.cursorIndex()
	if err != nil {
		return err
	}
	if before == 0 {
		before = math.MaxInt64
	}
	keys, err := s.publicKeys(c.ctx())
	if err != nil {
		return err
	}
	entries, err := s.ledger.LatestOf(c.ctx(), t.name, verify.TypErasure, before, c.limit()+1)
	if err != nil {
		return err
	}
	list := ErasureList{Erasures: []Erasure{}}
	for i := range entries {
		if i == c.limit() {
			list.Next = formatIndex(entries[i-1].Index)
			break
		}
		e := erasure{index: entries[i].Index}
		if err := t.readRecord(&entries[i], keys, &e.ErasureRecord, &e.RecordHead); err != nil {
			return err
		}
		list.Erasures = append(list.Erasures, e.shown())
	}
	return c.answer(http.StatusOK, list)
}
