package server

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"slices"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine/impact"
	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
)

// ShadowRequest says why a bundle is evaluated beside those in force.
type ShadowRequest struct {
	Reason string `json:"reason" jsonschema:"required,minLength=1,maxLength=1000"`
}

// ShadowChange is what became of it.
type ShadowChange struct {
	Name   string `json:"name"`
	Digest string `json:"digest"` // of the bundle that is evaluated beside those in force under the name now, "" for none
	Key    string `json:"key,omitempty"`
	// Previous is the digest of the one that was evaluated before, "" for none.
	Previous string `json:"previous"`
	// Unchanged says that it was evaluated already: nothing was done.
	Unchanged bool   `json:"unchanged"`
	Index     *int64 `json:"index,omitempty"` // of the log's entry
}

// ShadowReport is what a bundle that was, or is, evaluated beside those in force would have decided otherwise.
type ShadowReport struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
	Key    string `json:"key,omitempty"`
	// Evaluated says whether it still is.
	Evaluated bool `json:"evaluated"`
	// Fault says why it can't be: it does not compile together with what is in force by now, or took too long too often.
	Fault string `json:"fault,omitempty"`
	// Started counts since this server was started.
	Started ShadowCounts `json:"since_start"`
	// Divergences are all that the log holds; Kinds and Constraints say of what kind, and which constraints differ.
	Divergences int64                   `json:"divergences"`
	Kinds       map[impact.Kind]int64   `json:"kinds"`
	Constraints []ShadowConstraintCount `json:"constraints"`
	// Latest are the divergences of this page, the newest first.
	Latest []ShadowDivergence `json:"latest"`
	// Next is the cursor of the page that follows; absent at the end.
	Next string `json:"next,omitempty"`
}

// ShadowCounts are decisions by what became of their second evaluation.
type ShadowCounts struct {
	Same     int64 `json:"same"`
	Diverged int64 `json:"diverged"`
	Failed   int64 `json:"failed"`
	// Dropped were not evaluated, since too many others were waiting, or the bundle is set aside.
	Dropped int64 `json:"dropped"`
}

// ShadowConstraintCount is in how many decisions a constraint was violated under one of the rules alone.
type ShadowConstraintCount struct {
	ID      string `json:"id"`
	InForce int64  `json:"in_force"` // under those in force alone
	Shadow  int64  `json:"shadow"`   // under the others alone
}

// ShadowDivergence is one decision that would have come out otherwise. It is no decision: nothing was routed by it.
type ShadowDivergence struct {
	Index      int64  `json:"index"` // of the log's entry
	Time       string `json:"time" jsonschema:"format=date-time"`
	DecisionID string `json:"decision_id" jsonschema:"format=uuid"`
	Document   string `json:"document"` // digest of the decision's
	ShadowFinding
}

// ShadowFinding is what an entry of typ caio-shadow+jws says of a decision.
type ShadowFinding struct {
	Kind    impact.Kind   `json:"kind" jsonschema:"enum=routed_to_denied,enum=denied_to_routed,enum=another_service,enum=other_constraints"`
	InForce ShadowOutcome `json:"in_force"` // what was decided
	Shadow  ShadowOutcome `json:"shadow"`   // what the others would have decided
	// Constraints are the predicates and constraints that differ, in order of service. Each is there for one service at least, and for all of them as far as there is room.
	Constraints []ShadowDifference `json:"constraints"`
	// Omitted is how many more differences there are than are listed.
	Omitted int64 `json:"omitted,omitempty"`
}

// ShadowOutcome is how a decision came out, or would have.
type ShadowOutcome struct {
	Outcome string              `json:"outcome" jsonschema:"enum=routed,enum=denied"`
	Service string              `json:"service,omitempty"`
	Route   contracts.Placement `json:"route,omitempty"`
}

// ShadowDifference is a predicate or constraint that a service violates under one of the rules alone.
type ShadowDifference struct {
	ID      string          `json:"id"`
	Service string          `json:"service"`
	Stage   contracts.Stage `json:"stage"`
	InForce bool            `json:"in_force"` // violated under those in force
	Shadow  bool            `json:"shadow"`   // violated under the others
}

// shadowRecord is of typ caio-shadow+jws: a bundle that is not in force would have decided otherwise. What was in force is in the decision's document.
type shadowRecord struct {
	verify.RecordHead
	Decision string `json:"decision"`
	Document string `json:"doc"`    // digest of the decision's document
	Bundle   string `json:"bundle"` // name
	Digest   string `json:"digest"`
	Key      string `json:"key"`
	ShadowFinding
}

// maxShadowDifferences bounds the size of a record, whose entry has at most [ledger.MaxLeaf] bytes.
const maxShadowDifferences = 200

// findingOf is empty, and of the kind Unchanged, where both come to the same.
func findingOf(inForce, shadow *verify.Decision) ShadowFinding {
	kind, differences := impact.Between(inForce, shadow)
	f := ShadowFinding{Kind: kind, InForce: outcomeOf(inForce), Shadow: outcomeOf(shadow), Constraints: []ShadowDifference{}}
	listed := foremost(differences)
	for i, d := range differences {
		if listed[i] {
			f.Constraints = append(f.Constraints, ShadowDifference{ID: d.ID, Service: d.Service, Stage: d.Stage, InForce: !d.Violated, Shadow: d.Violated})
		}
	}
	f.Omitted = int64(len(differences) - len(f.Constraints))
	return f
}

// foremost are the places of the differences that a record lists: of each constraint and side the first, so that all are counted, and then what there is room for.
func foremost(differences []impact.Difference) map[int]bool {
	type side struct {
		id       string
		violated bool
	}
	listed, seen := map[int]bool{}, map[side]bool{}
	for i, d := range differences {
		if s := (side{d.ID, d.Violated}); !seen[s] && len(listed) < maxShadowDifferences {
			listed[i], seen[s] = true, true
		}
	}
	for i := 0; i < len(differences) && len(listed) < maxShadowDifferences; i++ {
		listed[i] = true
	}
	return listed
}

func outcomeOf(d *verify.Decision) ShadowOutcome {
	return ShadowOutcome{d.Outcome, d.Choice.Service, d.Choice.Route}
}

// postShadow begins to evaluate a pushed bundle beside those in force, in place of the one of its name. It must be signed and compile; it need not pass its tests, since it never acts.
func (s *Server) postShadow(c *call) error {
	var r ShadowRequest
	body, found, err := s.changeForm(c, &r)
	if err != nil {
		return err
	}
	t, err := s.named(c)
	if err != nil {
		return err
	}
	found.reason(r.Reason)
	if err := found.problem(); err != nil {
		return err
	}
	again, err := s.repeat(c, body)
	if err != nil {
		return err
	}
	if first, ok, err := s.first(c.ctx(), t, again); err != nil {
		return err
	} else if ok {
		return c.answerStored(first)
	}
	answer, err := s.shadow(c.ctx(), t, act{actor: c.who.Principal.Subject, reason: r.Reason}, c.Param("digest"), again)
	if err != nil {
		return err
	}
	return c.answerStored(answer)
}

func (s *Server) shadow(ctx context.Context, t *tenant, a act, digest string, again *repeat) (answer store.Answer, err error) {
	b, err := s.bundle(ctx, t, digest)
	if err != nil {
		return answer, err
	}
	if b, err = s.verifiedAnew(b); err != nil {
		return answer, err
	}
	leave, err := s.gate.new.enter(ctx)
	if err != nil {
		return answer, err
	}
	defer leave()
	now, _, err := t.look(s.ledger)
	if err != nil {
		return answer, err
	}
	if err := now.compares(b); err != nil {
		return answer, err
	}
	if _, err := s.candidateRules(now, b, nil); err != nil {
		return answer, unfitBundle(err)
	}
	defer s.alter(&a)()
	now = t.now.Load()
	if err := now.compares(b); err != nil {
		return answer, err
	}
	before := now.shadows[b.Name]
	done := ShadowChange{Name: b.Name, Digest: b.Digest, Key: b.Key, Previous: before.Digest}
	if before.Digest == b.Digest && before.Signer == b.Key {
		done.Unchanged = true
		return storedAnswer(http.StatusOK, done, before.Index)
	}
	if answer, err = storedAnswer(http.StatusOK, done, 0); err != nil {
		return answer, err
	}
	entry, err := s.activationEntry(t, a, activation{kind: store.Shadowed, name: b.Name, digest: b.Digest, key: b.Key, scope: store.TenantScope, previous: before.Digest})
	if err != nil {
		return answer, err
	}
	return s.commitAnswer(ctx, &prepared{}, answer, again, entry)
}

// compares refuses a bundle that is in force itself.
func (s *inForce) compares(b *rego.Bundle) error {
	if s.active[b.Name].Digest != b.Digest {
		return nil
	}
	return newProblem(http.StatusConflict, "bundle-in-force", "The bundle is in force itself: there is nothing to compare.")
}

// deleteShadow ends it. What was found stays in the log.
func (s *Server) deleteShadow(c *call) error {
	t, err := s.named(c)
	if err != nil {
		return err
	}
	reason := c.query.Get("reason")
	if reason == "" {
		p := newProblem(http.StatusBadRequest, "invalid-parameter", "Each fault is listed; nothing was done.")
		p.Errors = []Fault{{Parameter: "reason", Code: "required", Detail: "say why: it stands in the log"}}
		return p
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	now, _, err := t.look(s.ledger)
	if err != nil {
		return err
	}
	shadow, ok := shadowed(now, c.Param("digest"))
	if !ok {
		return notFound()
	}
	answer, err := storedAnswer(http.StatusOK, ShadowChange{Name: shadow.Name, Previous: shadow.Digest}, 0)
	if err != nil {
		return err
	}
	a := act{actor: c.who.Principal.Subject, reason: reason, at: s.now()}
	entry, err := s.activationEntry(t, a, activation{kind: store.Unshadowed, name: shadow.Name, digest: shadow.Digest, key: shadow.Signer, scope: store.TenantScope})
	if err != nil {
		return err
	}
	if answer, err = s.commitAnswer(c.ctx(), &prepared{}, answer, nil, entry); err != nil {
		return err
	}
	return c.answerStored(answer)
}

// shadowed is the bundle of that digest that is evaluated beside those in force.
func shadowed(now *inForce, digest string) (ledger.Bundle, bool) {
	for _, b := range now.shadows {
		if b.Digest == digest {
			return b, true
		}
	}
	return ledger.Bundle{}, false
}

// getShadow reports what was found of a bundle, whether it is still evaluated or not.
func (s *Server) getShadow(c *call) error {
	t, err := s.named(c)
	if err != nil {
		return err
	}
	before, err := c.cursorIndex()
	if err != nil {
		return err
	}
	now, size, err := t.look(s.ledger)
	if err != nil {
		return err
	}
	if before == 0 || before > size {
		before = size
	}
	digest := c.Param("digest")
	b, ok := shadowed(now, digest)
	report := ShadowReport{Name: b.Name, Digest: digest, Key: b.Signer, Evaluated: ok}
	if !ok {
		if b, ok, err = s.onceShadowed(c.ctx(), t, digest); err != nil {
			return err
		} else if !ok {
			return notFound()
		}
		report.Name, report.Key = b.Name, b.Signer
	}
	report.Started, report.Fault = s.shadowing.counted(t, digest)
	tally, err := s.shadowTally(c.ctx(), t, digest, size)
	if err != nil {
		return err
	}
	tally.into(&report)
	report.Latest, report.Next, err = s.divergences(c.ctx(), t, digest, 0, before, c.limit())
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, report)
}

// onceShadowed looks for a bundle that was evaluated beside those in force, and is no longer.
func (s *Server) onceShadowed(ctx context.Context, t *tenant, digest string) (b ledger.Bundle, ok bool, err error) {
	events, err := s.ledger.Events(ctx, t.name, 0, math.MaxInt64)
	for _, e := range events {
		if e.Kind == store.Shadowed && e.Digest == digest {
			b, ok = ledger.Bundle{Name: e.Subject, Signer: e.Signer}, true
		}
	}
	return b, ok, err
}

// into writes the counts into a report, the constraints that differ most often first.
func (y *tally) into(r *ShadowReport) {
	y.mu.Lock()
	defer y.mu.Unlock()
	r.Divergences, r.Kinds, r.Constraints = y.divergences, map[impact.Kind]int64{}, []ShadowConstraintCount{}
	for kind, n := range y.kinds {
		r.Kinds[kind] = n
	}
	for _, c := range y.constraints {
		r.Constraints = append(r.Constraints, *c)
	}
	slices.SortFunc(r.Constraints, func(a, b ShadowConstraintCount) int {
		return cmp.Or(cmp.Compare(b.InForce+b.Shadow, a.InForce+a.Shadow), cmp.Compare(a.ID, b.ID))
	})
}
