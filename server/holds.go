package server

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/smarthausgroup/caio/verify"
)

// HoldRequest says of what nothing is to be erased, and on what ground: of a subject's decisions, of one decision, or of everything. One of the three.
type HoldRequest struct {
	Subject    string `json:"subject,omitempty" jsonschema:"maxLength=256"`
	Decision   string `json:"decision,omitempty" jsonschema:"format=uuid"`
	Everything bool   `json:"everything,omitempty"`
	// Ground is what whoever asks for an erasure is told: a law, a file number. It stands in the log.
	Ground string `json:"ground" jsonschema:"required,minLength=1,maxLength=1000"`
	Reason string `json:"reason" jsonschema:"required,minLength=1,maxLength=1000"`
}

// Hold is one in force.
type Hold struct {
	Hold string `json:"hold"`
	// Subjects are opaque ids, Decisions ids.
	Subjects   []string `json:"subjects"`
	Decisions  []string `json:"decisions"`
	Everything bool     `json:"everything"`
	Ground     string   `json:"ground"`
	Actor      string   `json:"actor"`
	Reason     string   `json:"reason"`
	Time       string   `json:"time" jsonschema:"format=date-time"`
	Index      int64    `json:"index"`
}

// HoldList lists those in force, in order of name.
type HoldList struct {
	Holds []Hold `json:"holds"`
}

func shownHold(r verify.HoldRecord, index int64) Hold {
	return Hold{r.Hold, r.Subjects, r.Decisions, r.Everything, r.Ground, r.Actor, r.Reason, time.Unix(r.IAT, 0).UTC().Format(verify.TimeFormat), index}
}

func (s *Server) putHold(c *call) error {
	t, err := s.named(c)
	if err != nil {
		return err
	}
	var request HoldRequest
	found, err := c.form(s.config.Limits.RequestBytes, &request)
	if err != nil {
		return err
	}
	found.reason(request.Reason)
	if strings.TrimSpace(request.Ground) == "" || len(request.Ground) > maxReason {
		found.add("/ground", "invalid-value", "say on what ground, in 1 to %d bytes: it stands in the log", maxReason)
	}
	given := 0
	for _, set := range []bool{request.Subject != "", request.Decision != "", request.Everything} {
		if set {
			given++
		}
	}
	if given != 1 {
		found.add("", "invalid-value", "expected one of subject, decision and everything")
	}
	if id, err := uuid.Parse(request.Decision); request.Decision != "" && (err != nil || id.String() != request.Decision) {
		found.add("/decision", "invalid-value", "expected the id of a decision")
	}
	if name := c.Param("id"); !classForm.MatchString(name) {
		found.add("", "invalid-value", "a hold has a name of the form %s", classForm)
	}
	if err := found.problem(); err != nil {
		return err
	}
	a := act{actor: c.who.Principal.Subject, reason: request.Reason}
	hold, err := s.hold(c.ctx(), t, a, c.Param("id"), request)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, hold)
}

// hold puts a hold there. A name that is taken stays what it is.
func (s *Server) hold(ctx context.Context, t *tenant, a act, name string, request HoldRequest) (*Hold, error) {
	defer s.alter(&a)()
	if _, taken := t.keeping.Load().holds[name]; taken {
		return nil, newProblem(http.StatusConflict, "hold-exists", "A hold of this name is in force. Release that one first, or choose another name.")
	}
	r := verify.HoldRecord{Kind: verify.KindHeld, Hold: name, Subjects: []string{}, Decisions: []string{}, Everything: request.Everything, Ground: request.Ground}
	switch {
	case request.Subject != "":
		id, known, err := s.config.Subjects.Find(ctx, t.name, request.Subject)
		if err != nil {
			return nil, err
		}
		if !known {
			return nil, newProblem(http.StatusNotFound, "subject-unknown", "No decision of this tenant names the subject since the last erasure.")
		}
		r.Subjects = []string{id}
	case request.Decision != "":
		if err := s.isDecided(ctx, t, request.Decision); err != nil {
			return nil, err
		}
		r.Decisions = []string{request.Decision}
	}
	return s.holdEntry(ctx, t, a, r)
}

// holdEntry makes it durable, and then takes effect. The caller holds s.changing.
func (s *Server) holdEntry(ctx context.Context, t *tenant, a act, r verify.HoldRecord) (*Hold, error) {
	r.RecordHead, r.Actor, r.Reason = t.head(s.ledger.Size(t.name), a.at), a.actor, a.reason
	entry, err := s.entry(t, verify.TypHold, r)
	if err != nil {
		return nil, err
	}
	indices, err := s.ledger.Append(ctx, entry)
	if err != nil {
		return nil, notStored(err)
	}
	next := t.keeping.Load().clone()
	next.hold(r, indices[0])
	t.keeping.Store(next)
	hold := shownHold(r, indices[0])
	return &hold, nil
}

func (s *Server) deleteHold(c *call) error {
	t, err := s.named(c)
	if err != nil {
		return err
	}
	why := c.query.Get("reason")
	if wrong := reason(why); wrong != "" {
		found := found{{Parameter: "reason", Code: "invalid-value", Detail: wrong}}
		return found.problem()
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	r, known := t.keeping.Load().holds[c.Param("id")]
	if !known {
		return notFound()
	}
	r.Kind = verify.KindReleased
	hold, err := s.holdEntry(c.ctx(), t, act{actor: c.who.Principal.Subject, reason: why, at: s.now()}, r)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, hold)
}

func (s *Server) listHolds(c *call) error {
	t, err := s.named(c)
	if err != nil {
		return err
	}
	now := t.keeping.Load()
	list := HoldList{Holds: []Hold{}}
	for _, name := range slices.Sorted(maps.Keys(now.holds)) {
		list.Holds = append(list.Holds, shownHold(now.holds[name], now.since[name]))
	}
	return c.answer(http.StatusOK, list)
}
