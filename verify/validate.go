package verify

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/smarthausgroup/caio/contracts"
)

// Validate checks everything about a document that can be told from its form: versions, times, grammars, ranges of arguments, order of lists, what is present with what. What follows from what is for
// [Argmax] and for replay. The error is a [*Fault].
func (d *Document) Validate() error {
	var f findings
	d.validateHeader(&f)
	d.Request.validate(&f)
	d.Principal.validate(&f)
	d.validateServices(&f)
	d.validateChoice(&f)
	sorted(&f, "/warnings", d.Warnings, func(w Warning) string {
		return strings.Join([]string{w.ID, string(w.Route), w.Service, w.Reason}, "\x00")
	})
	for i, w := range d.Warnings {
		f.require(w.ID != "", pointer("warnings", i, "id"), "a warning has an id")
	}
	return f.err()
}

func (d *Document) validateHeader(f *findings) {
	equal(f, "/schema", "another schema", SchemaV1, d.Schema)
	equal(f, "/calculus", "another calculus", CalculusV1, d.Calculus)
	for _, text := range [][2]string{{"tenant", d.Tenant}, {"issuer", d.Issuer}, {"log", d.Log}} {
		f.require(text[1] != "", pointer(text[0]), "it is not empty")
	}
	f.require(d.Base >= 0, "/base", "a log's size is at least 0")
	t, err := time.Parse(TimeFormat, d.Time)
	if err != nil || t.Format(TimeFormat) != d.Time {
		f.fault("/time", "not a time in UTC with milliseconds", TimeFormat, d.Time)
		return
	}
	ms, ok := decisionTime(d.DecisionID)
	f.require(ok, "/decision_id", "not a UUIDv7 in lower case")
	equal(f, "/decision_id", "the time in the id is not the decision's", t.UnixMilli(), ms)
	d.reference(f, "snapshot", d.Snapshot)
	d.reference(f, "attestations", d.Attestations)
	d.reference(f, "settings", d.Settings)
	sorted(f, "/bundles", d.Bundles, func(b BundleReference) string { return b.Name + "\x00" + b.Digest })
	for i, b := range d.Bundles {
		f.require(b.Name != "", pointer("bundles", i, "name"), "a bundle has a name")
		digest(f, pointer("bundles", i, "digest"), b.Digest)
		d.index(f, pointer("bundles", i, "index"), b.Index)
	}
}

func (d *Document) reference(f *findings, key string, r Reference) {
	digest(f, pointer(key, "digest"), r.Digest)
	f.require(r.Revision >= 0, pointer(key, "revision"), "a revision is at least 0")
	d.index(f, pointer(key, "index"), r.Index)
}

// index checks that an argument was put in force before the log had the size that the document states.
func (d *Document) index(f *findings, at string, index int64) {
	f.require(index >= -1 && (index == -1 || index < d.Base), at, "an index is -1, or less than base")
}

func digest(f *findings, at, text string) {
	if raw, err := hex.DecodeString(text); err != nil || len(raw) != 32 || text != strings.ToLower(text) {
		f.fault(at, "not a SHA-256 digest in lower-case hex", "64 digits", text)
	}
}

func commitment(f *findings, at string, c Commitment) {
	f.require(isBase64(string(c), 32), at, "not a SHA-256 digest in base64url")
}

// isName is the grammar of ids: [a-z0-9][a-z0-9._-]{0,63} (spec/contract.md).
func isName(text string) bool {
	const first = "abcdefghijklmnopqrstuvwxyz0123456789"
	return text != "" && len(text) <= 64 && strings.IndexByte(first, text[0]) >= 0 && strings.Trim(text, first+"._-") == ""
}

func name(f *findings, at, text string) {
	f.require(isName(text), at, "not [a-z0-9][a-z0-9._-]{0,63}")
}

func between(f *findings, at string, n, low, high int64) {
	if n < low || n > high {
		f.fault(at, "out of range", fmt.Sprintf("%d to %d", low, high), strconv.FormatInt(n, 10))
	}
}

// validate holds the request against its page. What normalisation promises is written down there, in package contracts.
func (r *Request) validate(f *findings) {
	at := func(parts ...any) string { return pointer(append([]any{"request"}, parts...)...) }
	commitment(f, at("intent", "text"), r.Intent.Text)
	commitment(f, at("context", "text"), r.Context.Text)
	commitment(f, at("context", "conversation_id"), r.Context.ConversationID)
	commitment(f, at("data", "subjects"), r.Data.Subjects)
	for _, key := range slices.Sorted(maps.Keys(r.Fields)) {
		among(f, at("fields", key), key, "intent", "context", "memory", "traits")
		commitment(f, at("fields", key), r.Fields[key])
		f.require(r.Fields["intent"] != "", at("fields"), "other fields come only together with intent")
	}
	diagnosed(f, r.normalised().Validate())
	r.validatePayload(f, at)
}

// diagnosed records the first fault of a request in its place in a document.
func diagnosed(f *findings, faults contracts.Diagnostics) {
	if len(faults) > 0 {
		f.fault("/request"+faults[0].Pointer, faults[0].Summary, "", "")
	}
}

// validatePayload holds what the server says that it read off the payload against the payload's size.
func (r *Request) validatePayload(f *findings, at func(...any) string) {
	var bytes int64
	if r.Payload != nil {
		commitment(f, at("payload", "commitment"), r.Payload.Commitment)
		bytes = r.Payload.Bytes
		f.require(bytes > 0, at("payload", "bytes"), "a payload has at least a byte")
	}
	if r.Sources["estimate.payload_bytes"] == contracts.SourceServer {
		equal(f, at("estimate", "payload_bytes"), "not the size of the payload, of which the server says that it measured it", bytes, r.Estimate.PayloadBytes)
	}
	for _, key := range []string{"input_tokens", "output_tokens"} {
		f.require(r.Payload != nil || r.Sources["estimate."+key] != contracts.SourceServer, at("sources", "estimate."+key), "there is no payload that the server could have read the value off")
	}
}

// maxControl bounds a part of a control signal, in micro (spec/calculus.md, section 5).
const maxControl = 250_000

func (p *Principal) validate(f *findings) {
	commitment(f, "/principal/subject", p.Subject)
	texts(f, "/principal/roles", p.Roles)
	texts(f, "/principal/permissions", p.Permissions)
	between(f, "/principal/trust", int64(p.Trust), 0, 10*contracts.Micro)
}

func (d *Document) validateServices(f *findings) {
	sorted(f, "/unmatched", d.Unmatched, func(u Unmatched) string { return u.Service })
	unmatched := make(map[string]bool, len(d.Unmatched))
	for i, u := range d.Unmatched {
		name(f, pointer("unmatched", i, "service"), u.Service)
		f.require(len(u.IDs) > 0, pointer("unmatched", i, "ids"), "a service that didn't match has a false predicate")
		texts(f, pointer("unmatched", i, "ids"), u.IDs)
		unmatched[u.Service] = true
	}
	sorted(f, "/candidates", d.Candidates, func(c Candidate) string { return c.Service })
	for i := range d.Candidates {
		c := &d.Candidates[i]
		f.require(!unmatched[c.Service], pointer("candidates", i, "service"), "a service is unmatched or a candidate, not both")
		c.validate(f, pointer("candidates", i))
	}
}

func (c *Candidate) validate(f *findings, at string) {
	name(f, at+"/service", c.Service)
	digest(f, at+"/contract", c.Contract)
	among(f, at+"/route", c.Route, contracts.Internal, contracts.Hybrid, contracts.External)
	f.require((c.Eliminated == nil) != (c.Score == nil), at, "a candidate is either eliminated or scored")
	if h := c.History; h != nil {
		f.require(0 <= h.OK && h.OK <= h.N && h.N <= 500 && 0 <= h.P95 && h.P95 <= 1_000_000_000 && (h.P95 > 0) == (h.OK > 0), at+"/history", "0 <= ok <= n <= 500, and p95 is at least 1, and at most 1e9 ms, exactly if ok is at least 1")
	}
	if c.Eliminated != nil {
		among(f, at+"/eliminated/stage", c.Eliminated.Stage, stages...)
		violations(f, at+"/eliminated/violations", c.Eliminated.Stage, c.Eliminated.Violations)
	}
	if c.Score != nil {
		validateEstimate(f, at+"/score/estimate", c.Score.Estimate)
	}
}

func validateEstimate(f *findings, at string, e Estimate) {
	f.require(e.CostMicroUSD >= 0, at+"/cost_micro_usd", "a cost is at least 0")
	f.require(e.LatencyMS == nil || *e.LatencyMS >= 0, at+"/latency_ms", "a latency is at least 0")
}

// stages are those at which a candidate can fall, in their order.
var stages = []contracts.Stage{contracts.StageSafety, contracts.StagePolicy, contracts.StageSecurity, contracts.StageTraits, contracts.StageBounds}

// kindOf is the kind of the violations of a stage.
func kindOf(stage contracts.Stage) string {
	switch stage {
	case contracts.StageSecurity, contracts.StageBounds:
		return contracts.KindCEL
	}
	return contracts.KindRego
}

func violations(f *findings, at string, stage contracts.Stage, list []contracts.Violation) {
	sorted(f, at, list, func(v contracts.Violation) string { return fmt.Sprintf("%s\x00%s\x00%020d", v.ID, v.Reason, v.Value) })
	for i, v := range list {
		equal(f, at+pointer(i, "kind"), "the kind is not that of the stage", kindOf(stage), v.Kind)
		f.require(v.ID != "", at+pointer(i, "id"), "a violation has an id")
		f.require(v.Value >= 1, at+pointer(i, "value"), "a constraint that is violated has a value above 0")
		if v.Kind == contracts.KindCEL {
			equal(f, at+pointer(i, "value"), "a predicate that is false counts 1", 1, v.Value)
			conjunct, err := strconv.ParseUint(v.Reason, 10, 31)
			f.require(v.Reason == contracts.ReasonError || err == nil && strconv.FormatUint(conjunct, 10) == v.Reason, at+pointer(i, "reason"), "the index of a conjunct, or error")
		}
	}
}

// validateChoice checks which parts of the decision come with which outcome.
func (d *Document) validateChoice(f *findings) {
	c := &d.Choice
	for i, u := range c.Control {
		between(f, pointer("decision", "control", i), u, -maxControl, maxControl)
	}
	texts(f, "/satisfied/predicates", d.Satisfied.Predicates)
	sorted(f, "/satisfied/constraints", d.Satisfied.Constraints, func(s SatisfiedConstraint) string { return s.ID })
	among(f, "/outcome", d.Outcome, Routed, Denied)
	if d.Outcome == Routed {
		name(f, "/decision/service", c.Service)
		digest(f, "/decision/contract", c.Contract)
		among(f, "/decision/route", c.Route, contracts.Internal, contracts.Hybrid, contracts.External)
		f.require(c.Objective != nil, "/decision/objective", "a routed decision has an objective")
		f.require(len(c.Nearest) == 0, "/decision/nearest", "only a denial has nearest candidates")
		return
	}
	f.require(c.Service == "" && c.Contract == "" && c.Route == "" && c.Objective == nil && c.RunnerUp == nil && len(c.Guarantees) == 0, "/decision", "a denial has no service, contract, route, objective, guarantees and runner-up")
	f.require(len(d.Satisfied.Predicates) == 0 && len(d.Satisfied.Constraints) == 0, "/satisfied", "a denial has no winner that satisfies anything")
	sorted(f, "/decision/nearest", c.Nearest, func(n Nearest) string { return n.Service })
	for i, n := range c.Nearest {
		among(f, pointer("decision", "nearest", i, "stage"), n.Stage, stages...)
		violations(f, pointer("decision", "nearest", i, "violations"), n.Stage, n.Violations)
	}
}
