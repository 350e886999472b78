package server

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/source"
	"github.com/smarthausgroup/caio/engine"
	"github.com/smarthausgroup/caio/verify"
)

// Levels of detail of an answer: the parameter `detail`.
const (
	detailNone  = "none"  // what to call, or at which stage it fell
	detailBrief = "brief" // and why, and the statement; the default
	detailFull  = "full"  // and the document
)

// Answer is what a caller is told of a decision (spec/interface.md, "The least request, and the answer"). Service, route and guarantees stand in a routed one, denied in a denied one.
type Answer struct {
	DecisionID string                      `json:"decision_id" jsonschema:"format=uuid"`
	Outcome    string                      `json:"outcome" jsonschema:"enum=routed,enum=denied"`
	Service    *AnswerService              `json:"service,omitempty"`
	Route      contracts.Placement         `json:"route,omitempty" jsonschema:"enum=internal,enum=hybrid,enum=external"`
	Guarantees map[string]contracts.Bounds `json:"guarantees,omitempty"`
	Denied     *Denial                     `json:"denied,omitempty"`
	// Reasons are sentences for people.
	Reasons []string `json:"reasons,omitempty"`
	// Statement is the signed promise, a compact JWS.
	Statement string        `json:"statement,omitempty"`
	Document  CanonicalText `json:"document,omitempty"`
	Links     Links         `json:"links"`
	// Index is that of the statement in the tenant's log.
	Index *int64 `json:"index,omitempty"`
}

// CanonicalText is a proof document as it is hashed (spec/proof.md, "The document").
type CanonicalText []byte

// MarshalJSON is the text itself.
func (t CanonicalText) MarshalJSON() ([]byte, error) { return t, nil }

// UnmarshalJSON keeps the text.
func (t *CanonicalText) UnmarshalJSON(text []byte) error {
	*t = bytes.Clone(text)
	return nil
}

// AnswerService is the chosen service and how it is called.
type AnswerService struct {
	ID      string                     `json:"id"`
	Version string                     `json:"version"`
	Name    string                     `json:"name"`
	API     map[string]contracts.Value `json:"api"`
}

// Denial says at which stage the nearest candidates fell, and over what. Later stages were not evaluated for them.
type Denial struct {
	Stage      contracts.Stage `json:"stage"`
	Violations []Violated      `json:"violations"`
}

// Violated is one predicate or constraint that one service violates, and what to do about it.
type Violated struct {
	Service string `json:"service"`
	ID      string `json:"id"`
	Reason  string `json:"reason"`
	Remedy  string `json:"remedy"`
	// False is the part of the predicate that is false, as the contract has it; only where decisions are explained.
	False string `json:"false,omitempty"`
}

// Links lead to the parts of the proof.
type Links struct {
	Document string `json:"document"`
	Evidence string `json:"evidence"`
}

// reader puts a decision's ids and indices into words, with the contracts and the rules of its time.
type reader struct {
	service    func(id, digest string) (*engine.Service, error)
	constraint map[string]contracts.Constraint
}

// read makes the answer, without its index, which is known once it is stored.
func (r reader) read(d *verify.Document, statement []byte, detail string) (*Answer, error) {
	a := &Answer{DecisionID: d.DecisionID, Outcome: d.Outcome, Links: linksOf(d.DecisionID)}
	var err error
	if d.Outcome == verify.Routed {
		err = r.routed(a, d)
	} else {
		err = r.denied(a, d)
	}
	if err != nil {
		return nil, err
	}
	switch detail {
	case detailNone:
		a.Guarantees, a.Reasons = nil, nil
		if a.Denied != nil {
			a.Denied.Violations = []Violated{}
		}
		return a, nil
	case detailFull:
		if a.Document, err = d.Canonical(); err != nil {
			return nil, err
		}
	}
	a.Statement = string(statement)
	return a, nil
}

func linksOf(id string) Links {
	return Links{Document: "/v1/decisions/" + id + "/document", Evidence: "/v1/decisions/" + id + "/evidence"}
}

func (r reader) routed(a *Answer, d *verify.Document) error {
	chosen, err := r.service(d.Choice.Service, d.Choice.Contract)
	if err != nil {
		return err
	}
	c := chosen.Contract
	a.Service = &AnswerService{ID: c.ID, Version: c.Version, Name: c.Name, API: c.API}
	a.Route, a.Guarantees = d.Choice.Route, d.Choice.Guarantees
	if a.Guarantees == nil {
		a.Guarantees = map[string]contracts.Bounds{}
	}
	survivors := 0
	for i := range d.Candidates {
		if d.Candidates[i].Score != nil {
			survivors++
		}
	}
	a.Reasons = append(a.Reasons, won(&d.Choice, survivors))
	fallen := 0
	for i := range d.Candidates {
		c := &d.Candidates[i]
		if c.Eliminated == nil {
			continue
		}
		if fallen++; fallen > maxRejected {
			continue
		}
		violated, err := r.violated(c.Service, c.Contract, c.Eliminated.Violations)
		if err != nil {
			return err
		}
		a.Reasons = append(a.Reasons, rejected(violated, c.Eliminated.Stage))
	}
	if fallen > maxRejected {
		a.Reasons = append(a.Reasons, count(fallen-maxRejected, "more service")+" were rejected.")
	}
	if n := len(d.Unmatched); n > 0 {
		a.Reasons = append(a.Reasons, count(n, "service")+" did not match the request.")
	}
	return nil
}

// won is a sentence about the winner among so many survivors, and about the one that comes next.
func won(c *verify.Choice, survivors int) string {
	if c.RunnerUp == nil {
		return fmt.Sprintf("%s alone satisfies every rule; its objective is %s.", c.Service, verify.ObjectiveText(*c.Objective))
	}
	first, second := verify.ObjectiveTexts(*c.Objective, *c.Objective-c.RunnerUp.Margin)
	return fmt.Sprintf("%s satisfies every rule, and of %s that do it has the highest objective, %s; %s comes next with %s.", c.Service, count(survivors, "service"), first, c.RunnerUp.Service, second)
}

// maxRejected bounds how many of the services that were rejected the answer to a routed request goes into.
const maxRejected = 10

// rejected is a sentence about one candidate that fell.
func rejected(violated []Violated, stage contracts.Stage) string {
	parts := make([]string, len(violated))
	for i, v := range violated {
		parts[i] = v.ID + ": " + v.Reason
	}
	return fmt.Sprintf("%s was rejected at stage %s: %s.", violated[0].Service, stage, strings.Join(parts, "; "))
}

// maxUnmatched bounds how many services a denial lists when none even matched.
const maxUnmatched = 20

func (r reader) denied(a *Answer, d *verify.Document) error {
	a.Denied = &Denial{Stage: contracts.StageMatch, Violations: []Violated{}}
	if len(d.Choice.Nearest) == 0 {
		return r.unmatched(a, d)
	}
	a.Denied.Stage = d.Choice.Nearest[0].Stage
	digests := map[string]string{}
	for i := range d.Candidates {
		digests[d.Candidates[i].Service] = d.Candidates[i].Contract
	}
	for _, nearest := range d.Choice.Nearest {
		violated, err := r.violated(nearest.Service, digests[nearest.Service], nearest.Violations)
		if err != nil {
			return err
		}
		a.Denied.Violations = append(a.Denied.Violations, violated...)
	}
	a.Reasons = append(a.Reasons, fmt.Sprintf("No service may handle this request: %s matched it, and %s got as far as stage %s.",
		count(len(d.Candidates), "service"), count(len(d.Choice.Nearest), "service"), a.Denied.Stage))
	return nil
}

// unmatched lists the services that came nearest to matching: those with the fewest false predicates.
func (r reader) unmatched(a *Answer, d *verify.Document) error {
	if len(d.Unmatched) == 0 {
		a.Reasons = append(a.Reasons, "No service is registered.")
		return nil
	}
	nearest := slices.Clone(d.Unmatched)
	slices.SortStableFunc(nearest, func(x, y verify.Unmatched) int { return cmp.Compare(len(x.IDs), len(y.IDs)) })
	for _, u := range nearest[:min(len(nearest), maxUnmatched)] {
		violations := make([]contracts.Violation, len(u.IDs))
		for i, id := range u.IDs {
			violations[i] = contracts.Violation{Kind: contracts.KindCEL, ID: id}
		}
		violated, err := r.violated(u.Service, "", violations)
		if err != nil {
			return err
		}
		a.Denied.Violations = append(a.Denied.Violations, violated...)
	}
	var err error
	if a.Reasons, err = r.missing(d); err != nil {
		return err
	}
	a.Reasons = append(a.Reasons, fmt.Sprintf("No service matches this request: %s registered, none satisfies what it requires.", count(len(d.Unmatched), "service")))
	return nil
}

// missing is a sentence for each required capability that no service offers, none of which matched.
func (r reader) missing(d *verify.Document) ([]string, error) {
	offered := map[string]bool{}
	for _, u := range d.Unmatched {
		service, err := r.service(u.Service, "")
		if err != nil {
			return nil, err
		}
		for i := range service.Contract.Capabilities {
			offered[service.Contract.Capabilities[i].Type] = true
		}
	}
	var sentences []string
	for _, required := range d.Request.Requirements.Capabilities {
		if !offered[required] && len(sentences) < maxUnmatched {
			meant := cmp.Or(source.DidYouMean(required, slices.Sorted(maps.Keys(offered))), ".")
			sentences = append(sentences, fmt.Sprintf("No service offers the capability %q%s", required, meant))
		}
	}
	return sentences, nil
}

// violated puts violations into words: of a constraint its message and its remedy, of a predicate what it means that it is false.
func (r reader) violated(service, digest string, violations []contracts.Violation) ([]Violated, error) {
	compiled, err := r.service(service, digest)
	if err != nil {
		return nil, err
	}
	list := make([]Violated, len(violations))
	for i, v := range violations {
		list[i] = Violated{Service: service, ID: v.ID, Reason: v.Reason}
		if v.Kind == contracts.KindRego {
			list[i].Remedy = r.constraint[v.ID].Remedy
		} else {
			list[i].Reason, list[i].Remedy = reasonOf(compiled, v.ID), remedyOf(v.ID)
		}
		if v.Reason == contracts.ReasonError {
			list[i].Reason = "it could not be evaluated, so it counts as violated"
		}
	}
	return list, nil
}

// reasonOf says what it means for a service that its predicate is false.
func reasonOf(s *engine.Service, id string) string {
	for _, p := range s.Contract.Predicates {
		if p.ID == id {
			return verify.FalsePredicate(id, p.Message, p.Expr)
		}
	}
	return verify.FalsePredicate(id, "", "")
}

// falseText is the part of a predicate that was false, as it stands in the contract or was generated from it: the conjunct that the violation names, "" where it names none.
func falseText(s *engine.Service, v contracts.Violation) string {
	if index, err := strconv.Atoi(v.Reason); err == nil && v.Kind == contracts.KindCEL {
		return s.Conjunct(v.ID, index)
	}
	return ""
}

// remedies say what can be done about a generated predicate that is false, by its id or what its id begins with (spec/contract.md, "What it compiles into").
var remedies = []struct{ id, remedy string }{
	{"capability.", "Require other parameters of the capability, or register a service that has these."},
	{"capability", "Require only capabilities that a registered service offers, or register one that offers them."},
	{"excluded", "Take the service out of `exclude`."},
	{"guarantee.", "Require less of the guarantee, or register a service that promises this much."},
	{"limit.max_input_tokens", "Send less text, or state a smaller `estimate.input_tokens`."},
	{"limit.max_output_tokens", "State a smaller `estimate.output_tokens`."},
	{"limit.max_units", "Split the work into calls with fewer units."},
	{"limit.max_payload_bytes", "Send a smaller payload."},
	{"attribute", "Require other attributes, or register a service that has these."},
	{"privacy.sensitive", "Choose a service that works locally, or one that encrypts both in transit and at rest."},
	{"access.permissions_any", "Ask for one of the permissions that the service names."},
	{"access.permissions_all", "Ask for all of the permissions that the service names."},
	{"access.trust", "The service needs a more trusted caller."},
	{"bounds.cost", "Raise `limits.max_cost_usd`, or estimate fewer tokens."},
	{"bounds.latency", "Raise `limits.max_latency_ms`, or choose a service whose latency is known and lower."},
}

func remedyOf(id string) string {
	for _, r := range remedies {
		if id == r.id || strings.HasSuffix(r.id, ".") && strings.HasPrefix(id, r.id) {
			return r.remedy
		}
	}
	return "The service's owner set this condition; its contract says more."
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}
