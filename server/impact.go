package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine/impact"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/rego"
)

// ImpactRequest says on which stored decisions a bundle or settings are tried.
type ImpactRequest struct {
	// Since is how far back decisions are taken, from now: 12h, 7d, 4w. In place of it From and To; without any all decisions are.
	Since string `json:"since,omitempty" jsonschema:"pattern=^[1-9][0-9]{0,4}[hdw]$"`
	From  string `json:"from,omitempty" jsonschema:"format=date-time"` // included
	To    string `json:"to,omitempty" jsonschema:"format=date-time"`   // not included
	// Settings are tried in place of those in force; absent for a bundle alone.
	Settings SettingsText `json:"settings,omitempty"`
	// Examples is how many are shown of each kind, 5 when left out.
	Examples *int64 `json:"examples,omitempty" jsonschema:"minimum=0,maximum=100"`
	// Tenants are those whose decisions are taken, the caller's when left out. Approvers and operators of the installation's tenant name others.
	Tenants []string `json:"tenants,omitempty"`
}

// maxExamples bounds how many examples of each kind a report shows.
const maxExamples = 100

// maxImpactTenants bounds how many tenants one run is about.
const maxImpactTenants = 100

// bundleImpact says what would have come out with a pushed bundle in force. It changes nothing.
func (s *Server) bundleImpact(c *call) error {
	t, err := s.named(c)
	if err != nil {
		return err
	}
	bundle, err := s.bundle(c.ctx(), t, c.Param("digest"))
	if err != nil {
		return err
	}
	return s.answerImpact(c, bundle)
}

// settingsImpact is the same of settings.
func (s *Server) settingsImpact(c *call) error { return s.answerImpact(c, nil) }

func (s *Server) answerImpact(c *call, bundle *rego.Bundle) error {
	var request ImpactRequest
	found, err := c.form(s.config.Limits.RequestBytes, &request)
	if err != nil {
		return err
	}
	run := &impactRun{server: s, bundle: bundle, settings: request.Settings, examples: impact.DefaultExamples}
	run.span = spanOf(s.now(), request.Since, request.From, request.To, &found)
	if n := request.Examples; n != nil {
		if *n < 0 || *n > maxExamples {
			found.add("/examples", "out-of-range", "expected a number from 0 to %d", maxExamples)
		}
		run.examples = int(*n)
	}
	if bundle == nil && request.Settings.node == nil {
		found.add("/settings", "required", "say which settings are to be tried")
	}
	if len(request.Tenants) > maxImpactTenants {
		found.add("/tenants", "out-of-range", "at most %d tenants", maxImpactTenants)
	}
	if err := found.problem(); err != nil {
		return err
	}
	if run.tenants, err = s.impactTenants(c, request.Tenants); err != nil {
		return err
	}
	leave, err := s.enterImpact(run.tenants)
	if err != nil {
		return err
	}
	defer leave()
	return run.answer(c)
}

var sinceForm = regexp.MustCompile(`^([1-9][0-9]{0,4})([hdw])$`)

// spanOf is the time that a request is about.
func spanOf(now time.Time, since, from, to string, found *found) store.Span {
	var span store.Span
	if since != "" {
		parts := sinceForm.FindStringSubmatch(since)
		if parts == nil || from != "" {
			found.add("/since", "invalid-value", "expected a time back from now, as 12h, 7d or 4w, and no `from` beside it")
			return span
		}
		n, _ := strconv.Atoi(parts[1])
		span.From = now.Add(-time.Duration(n) * map[string]time.Duration{"h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}[parts[2]])
	}
	for _, end := range []struct {
		pointer, text string
		at            *time.Time
	}{{"/from", from, &span.From}, {"/to", to, &span.To}} {
		if end.text == "" {
			continue
		}
		t, err := time.Parse(time.RFC3339, end.text)
		if err != nil {
			found.add(end.pointer, "invalid-value", "%s", instant(end.text))
		}
		*end.at = t
	}
	return span
}

// impactTenants are those that the request names and the caller may ask about, each once, in order.
func (s *Server) impactTenants(c *call, names []string) ([]*tenant, error) {
	if len(names) == 0 {
		t, err := s.named(c)
		return []*tenant{t}, err
	}
	names = slices.Clone(names)
	slices.Sort(names)
	var list []*tenant
	for _, name := range slices.Compact(names) {
		t, err := s.nameable(c, name)
		if err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	return list, nil
}

// enterImpact lets one run at a time look at a tenant's decisions.
func (s *Server) enterImpact(tenants []*tenant) (leave func(), err error) {
	for i, t := range tenants {
		if _, busy := s.impacts.LoadOrStore(t.name, true); busy {
			s.leaveImpact(tenants[:i])
			return nil, newProblem(http.StatusTooManyRequests, "impact-running", "Decisions of this tenant are being decided again already: wait until that is done.")
		}
	}
	return func() { s.leaveImpact(tenants) }, nil
}

func (s *Server) leaveImpact(tenants []*tenant) {
	for _, t := range tenants {
		s.impacts.Delete(t.name)
	}
}

// impactRun is one run over the stored decisions of some tenants.
type impactRun struct {
	server   *Server
	tenants  []*tenant
	bundle   *rego.Bundle // nil for settings alone
	settings SettingsText // node is nil for a bundle alone
	span     store.Span
	examples int

	parts    []impactPart // as tenants
	compared []impact.Comparison
	total    int64
}

type impactPart struct {
	*cases
	tenant *tenant
	span   store.Span
}

// prepare compiles the rules of every tenant before anything is decided.
func (r *impactRun) prepare(ctx context.Context) error {
	for _, t := range r.tenants {
		base := r.server.ledger.Size(t.name)
		now, _, err := t.look(r.server.ledger)
		if err != nil {
			return err
		}
		candidate, err := r.candidate(now)
		if err != nil {
			return err
		}
		part := impactPart{tenant: t, span: r.span}
		part.span.Below = max(base, 1) // 0 is no bound, and below 1 there is no decision
		if part.cases, err = r.server.casesOf(ctx, t, base); err != nil {
			return err
		}
		part.rules = &impact.Rules{Candidate: candidate.policies, InForce: now.rules.policies}
		compared := impact.Comparison{Tenant: t.name}
		if compared.InForce, err = impact.NewRuleSet(now.rules.bundles, now.rules.settings); err != nil {
			return err
		}
		if compared.Candidate, err = impact.NewRuleSet(candidate.bundles, candidate.settings); err != nil {
			return err
		}
		part.inForce = compared.InForce
		count, err := r.server.ledger.Count(ctx, t.name, part.span)
		if err != nil {
			return err
		}
		r.parts, r.compared, r.total = append(r.parts, part), append(r.compared, compared), r.total+count
	}
	return nil
}

// candidate are the rules that would be in force.
func (r *impactRun) candidate(now *inForce) (*rules, error) {
	var settings map[string]any
	if r.settings.node != nil {
		bundles := now.rules.bundles
		if r.bundle != nil {
			bundles = now.rules.with(r.bundle)
		}
		form, diagnostics := rego.NewSettingsForm(bundles, nil)
		if diagnostics.HasErrors() {
			return nil, bundleFaults("bundle-unfit", "The bundle does not fit what is in force; each fault is listed with its place.", diagnostics)
		}
		if settings, diagnostics = form.Read(r.settings.node); diagnostics.HasErrors() {
			return nil, faults("invalid-settings", diagnostics)
		}
	}
	candidate, err := r.server.candidateRules(now, r.bundle, settings)
	var diagnostics contracts.Diagnostics
	switch {
	case errors.As(err, &diagnostics) && r.bundle == nil:
		return nil, rulesFaults(diagnostics)
	case errors.As(err, &diagnostics):
		return nil, bundleFaults("bundle-unfit", "The bundle does not compile with what is in force; each fault is listed with its place.", diagnostics)
	}
	return candidate, err
}

// cases reads the decisions of one tenant after the other.
func (r *impactRun) cases(ctx context.Context) iter.Seq2[impact.Pending, error] {
	return func(yield func(impact.Pending, error) bool) {
		for i := range r.parts {
			part := &r.parts[i]
			for k, err := range r.server.kept(ctx, part.tenant, part.span) {
				if err != nil {
					yield(impact.Pending{}, err)
					return
				}
				if !yield(part.pending(k), nil) {
					return
				}
			}
		}
	}
}

// decide takes half of the processors, and a turn for each decision, so that requests go on being answered.
func (r *impactRun) decide(ctx context.Context, progress func(done int64)) (*impact.Answer, error) {
	examples := r.examples
	if examples == 0 {
		examples = -1
	}
	turn := func(ctx context.Context) (func(), error) { return r.server.turn(ctx, r.tenants[0]) }
	report, err := impact.Run(ctx, r.cases(ctx), impact.Options{
		Examples: examples, Workers: max(1, runtime.GOMAXPROCS(0)/2), Turn: turn, Progress: progress,
	})
	if err != nil {
		return nil, err
	}
	return &impact.Answer{Rules: r.compared, Report: *report}, nil
}

// ImpactLine is a line of an answer that tells of its progress (`Accept: application/x-ndjson`): the last one holds the report, or the problem that ended it.
type ImpactLine struct {
	Progress *ImpactProgress `json:"progress,omitempty"`
	Report   *impact.Answer  `json:"report,omitempty"`
	Problem  *Problem        `json:"problem,omitempty"`
}

// ImpactProgress says how many decisions are done.
type ImpactProgress struct {
	Done  int64 `json:"done"`
	Total int64 `json:"total"`
}

// mediaLines is a line of JSON after the other.
const mediaLines = "application/x-ndjson"

// progressEvery is how often the progress is told, and looked whether the server shuts down.
const progressEvery = 200 * time.Millisecond

// answer runs it. The caller is not waited for while it is decided, and who leaves ends it.
func (r *impactRun) answer(c *call) error {
	ctx, cancel := context.WithCancelCause(c.ctx())
	defer cancel(nil)
	if err := r.prepare(ctx); err != nil {
		return err
	}
	lines := strings.Contains(c.Request().Header.Get("Accept"), mediaLines)
	var told time.Time
	tell := func(done int64) {
		if time.Since(told) < progressEvery {
			return
		}
		told = time.Now()
		if r.server.draining.Load() {
			cancel(newProblem(http.StatusServiceUnavailable, "shutting-down", "Send the request again; nothing was done."))
		}
		c.prolong(r.server.config.Limits.Write)
		if lines {
			if err := c.writeLine(ImpactLine{Progress: &ImpactProgress{done, r.total}}); err != nil {
				cancel(err)
			}
		}
	}
	if lines {
		c.Response().Header().Set("Content-Type", mediaLines)
	}
	tell(0)
	report, err := r.decide(ctx, tell)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	c.prolong(r.server.config.Limits.Write)
	switch {
	case !lines && err != nil:
		return err
	case !lines:
		return c.answer(http.StatusOK, report)
	case err != nil:
		return errors.Join(err, c.writeLine(ImpactLine{Problem: asProblem(err)}))
	}
	return c.writeLine(ImpactLine{Report: report})
}

// writeLine writes one line and sends it off.
func (c *call) writeLine(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if _, err := c.Response().Write(append(text, '\n')); err != nil {
		return fmt.Errorf("the caller has left: %w", err)
	}
	c.Response().Flush()
	return nil
}

// prolong gives an answer that takes its time that much from now on. What can't be prolonged, such as a recorder of a test, has no deadline.
func (c *call) prolong(by time.Duration) {
	_ = http.NewResponseController(c.Response()).SetWriteDeadline(time.Now().Add(by))
}
