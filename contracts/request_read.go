package contracts

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/contracts/source"
)

// MaxRequestBytes bounds a request, its payload included.
const MaxRequestBytes = 4 << 20

// Admission says what a caller may write into a request, and what the server puts in where the caller is silent.
type Admission struct {
	Labels       []string // what the tenant's settings add to the vocabulary of labels
	RequireLabel bool     // whether at least one label must be given, `none` being one
	MaySeed      bool     // whether the caller has the permission caio.seed
	Operator     bool     // a scenario: the keys that only a server sets may be given
	Seed         int64    // the seed where none is given: drawn by the server, 0 in a scenario
}

// Submission is what a client sends to have a request decided: the request, and what it asks of the server beyond deciding.
type Submission struct {
	Request *Request
	// Execute asks the server to call the chosen service as well (spec/interface.md, POST /v1/orchestrate). It is no part of the request: nothing that is decided depends on it.
	Execute bool
}

// ParseSubmission reads a request body: JSON, or YAML if file ends in .yaml or .yml. If it is refused, Request is nil and the diagnostics hold every fault with position and JSON pointer.
func ParseSubmission(file string, text []byte, a Admission) (Submission, Diagnostics) {
	read := source.ReadJSON
	if ext := strings.ToLower(filepath.Ext(file)); ext == ".yaml" || ext == ".yml" {
		read = source.ReadYAML
	}
	root, faults := read(file, text, MaxRequestBytes)
	if root == nil {
		return Submission{}, faults
	}
	return readSubmission(root, a, faults)
}

// ParseRequest reads a request like [ParseSubmission], where there is only to decide: `"execute": true` is refused.
func ParseRequest(file string, text []byte, a Admission) (*Request, Diagnostics) {
	submission, faults := ParseSubmission(file, text, a)
	if submission.Execute {
		faults.Errorf("not-here", "/execute", Position{File: file}, "nothing is executed here: leave the key execute out")
		return nil, faults
	}
	return submission.Request, faults
}

// RequestNode is [ParseRequest] for a request that stands inside another document.
func RequestNode(root *source.Node, a Admission) (*Request, Diagnostics) {
	submission, faults := readSubmission(root, a, nil)
	if submission.Execute {
		root.Get("execute").Fault(&faults, "not-here", "nothing is executed here: leave the key execute out")
		return nil, faults
	}
	return submission.Request, faults
}

func readSubmission(root *source.Node, a Admission, faults Diagnostics) (Submission, Diagnostics) {
	var form requestForm
	n := normaliser{checker: checker{root: root, base: root.Pointer(), faults: faults}, form: &form, admission: a, sources: make(map[string]Source, 24)}
	source.Decode(root, &form, &n.faults)
	request := n.request()
	if n.faults.Sort(); n.faults.HasErrors() {
		return Submission{}, n.faults
	}
	return Submission{request, form.Execute}, n.faults
}

// normaliser makes the normalised request of a form: it checks, fills in what is absent, and notes where each value came from.
type normaliser struct {
	checker
	form      *requestForm
	admission Admission
	sources   map[string]Source
}

// from notes the source of a value that rules see: the caller if it was given.
func (n *normaliser) from(path string, given bool, otherwise Source) {
	if given {
		otherwise = SourceCaller
	}
	n.sources[path] = otherwise
}

func (n *normaliser) request() *Request {
	f := n.form
	n.identifier("/intent/type", f.Intent.Type)
	n.sources["intent.type"] = SourceCaller
	r := &Request{
		Intent:       Intent{Type: f.Intent.Type, Text: f.Intent.Text},
		Requirements: n.requirements(),
		Estimate:     n.estimate(),
		Limits:       n.limits(),
		Data:         n.data(),
		Context:      Context{Text: f.Context.Text, Shareable: f.Context.Shareable != nil && *f.Context.Shareable, ConversationID: f.Context.ConversationID},
		Traits:       n.traits(),
		Profile:      n.profile(),
		Purpose:      n.purpose(),
		Seed:         n.seed(),
		Exclude:      n.exclude(),
		Supersedes:   n.supersedes(),
		Previous:     n.previous(),
		Fields:       n.fields(),
		Sources:      n.sources,
	}
	n.from("context.shareable", f.Context.Shareable != nil, SourceDefault)
	if f.Payload != nil {
		if f.Payload.Kind == source.Null {
			n.fail("/payload", "null", "null is no payload: leave the key out")
		}
		r.Payload = f.Payload.JSON()
	}
	return r
}

// set sorts a list and takes out repetitions: for lists whose order says nothing. A nil list becomes an empty one.
func set(list []string) []string {
	if len(list) == 0 {
		return []string{}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (n *normaliser) requirements() Requirements {
	r := Requirements(n.form.Requirements)
	n.each("/requirements/capabilities", r.Capabilities, n.identifier)
	n.from("requirements.capabilities", len(r.Capabilities) > 0, SourceDefault)
	if len(r.Capabilities) == 0 {
		r.Capabilities = []string{n.form.Intent.Type}
	}
	r.Capabilities = set(r.Capabilities)
	n.from("requirements.capability_parameters", len(r.CapabilityParameters) > 0, SourceDefault)
	for kind := range r.CapabilityParameters {
		_, required := slices.BinarySearch(r.Capabilities, kind)
		if !required && !n.full() && n.sound("/requirements/capabilities") && n.sound("/intent/type") {
			n.fail("/requirements/capability_parameters/"+source.Escape(kind), "unknown-capability", "%q is not among the required capabilities%s", clip(kind), source.DidYouMean(kind, r.Capabilities))
		}
		if r.CapabilityParameters[kind] == nil {
			r.CapabilityParameters[kind] = map[string]Value{}
		}
	}
	fillMap(&r.CapabilityParameters)
	n.from("requirements.guarantees", len(r.Guarantees) > 0, SourceDefault)
	for name, bounds := range r.Guarantees {
		pointer := "/requirements/guarantees/" + source.Escape(name)
		n.name(pointer, name)
		n.bounds(pointer, name, bounds)
	}
	fillMap(&r.Guarantees)
	n.from("requirements.attributes", len(r.Attributes) > 0, SourceDefault)
	n.keys("/requirements/attributes", r.Attributes)
	fillMap(&r.Attributes)
	return r
}

func (n *normaliser) limits() RequestLimits {
	var limits RequestLimits
	if usd := n.form.Limits.MaxCostUSD; usd != nil {
		// What is more than 2^53-1 micro-USD has no place in a proof, and is more than any call can cost.
		n.atMost("/limits/max_cost_usd", *usd, maxSeed)
		micro := int64(*usd)
		limits.MaxCostMicroUSD = &micro
		n.sources["limits.max_cost_micro_usd"] = SourceCaller
	}
	if ms := n.form.Limits.MaxLatencyMS; ms != nil {
		n.count("/limits/max_latency_ms", ms, 1, maxLatencyMS)
		limits.MaxLatencyMS = ms
		n.sources["limits.max_latency_ms"] = SourceCaller
	}
	return limits
}

// The labels that every tenant has (spec/calculus.md, section 4, Risk).
var labels = []string{"internal", "confidential", "pii", "phi", "secret", "none"}

// Labels are the labels that every tenant has; a tenant's settings may add others (spec/contract.md, "The request, normalised").
func Labels() []string { return slices.Clone(labels) }

func (n *normaliser) data() Data {
	f := n.form.Data
	n.each("/data/labels", f.Labels, n.label)
	if n.admission.RequireLabel && len(f.Labels) == 0 {
		n.fail("/data/labels", "label-required", `at least one label must be given: "none" if nothing is sensitive`)
	}
	n.names("/data/subjects", f.Subjects)
	n.names("/data/regions", f.Regions)
	n.from("data.labels", len(f.Labels) > 0, SourceDefault)
	n.from("data.regions", len(f.Regions) > 0, SourceDefault)
	return Data{Labels: set(f.Labels), Subjects: set(f.Subjects), Regions: set(f.Regions), Findings: n.findings(f.Findings)}
}

// maxNamed bounds how many labels a fault names.
const maxNamed = 32

func (n *normaliser) label(pointer, label string) {
	if !slices.Contains(labels, label) && !slices.Contains(n.admission.Labels, label) {
		vocabulary := slices.Concat(labels, n.admission.Labels)
		n.fail(pointer, "unknown-label", "there is no label %q%s (there are %s; the tenant's settings add others at core.labels)",
			clip(label), source.DidYouMean(strings.ToLower(label), vocabulary), strings.Join(vocabulary[:min(len(vocabulary), maxNamed)], ", "))
	}
}

func (n *normaliser) findings(given *[]Finding) []Finding {
	n.sources["data.findings"] = SourceDefault
	if given == nil || !n.operators("/data/findings", "data.findings") {
		return []Finding{}
	}
	for i, finding := range *given {
		n.name(fmt.Sprintf("/data/findings/%d/type", i), finding.Type)
		n.count(fmt.Sprintf("/data/findings/%d/count", i), &finding.Count, 0, maxTokens)
	}
	return *given
}

// operators allows a key that clients may not set.
func (n *normaliser) operators(pointer, path string) bool {
	if !n.admission.Operator {
		n.fail(pointer, "not-yours", "this key is set by the server: leave it out")
		return false
	}
	n.sources[path] = SourceOperator
	return true
}

func (n *normaliser) traits() Traits {
	f := n.form.Traits
	ratio := func(name string, given *Decimal, otherwise Decimal) Decimal {
		n.from("traits."+name, given != nil, SourceDefault)
		if given == nil {
			return otherwise
		}
		n.atMost("/traits/"+name, *given, Micro)
		return *given
	}
	return Traits{
		Conservative:  ratio("conservative", f.Conservative, 0),
		Confidential:  ratio("confidential", f.Confidential, 0),
		RiskTolerance: ratio("risk_tolerance", f.RiskTolerance, Micro),
	}
}

func (n *normaliser) profile() string {
	n.from("profile", n.form.Profile != nil, SourceDefault)
	if n.form.Profile == nil {
		return Balanced
	}
	n.oneOf("/profile", *n.form.Profile, Balanced, Economy, Realtime, Assurance)
	return *n.form.Profile
}

func (n *normaliser) purpose() string {
	n.from("purpose", n.form.Purpose != nil, SourceDefault)
	if n.form.Purpose == nil {
		return ""
	}
	if !isPurpose(*n.form.Purpose) {
		n.fail("/purpose", "purpose", "%q is not a purpose: at most 64 of a-z, 0-9, point, underscore and hyphen", clip(*n.form.Purpose))
	}
	return *n.form.Purpose
}

func (n *normaliser) seed() int64 {
	switch given := n.form.Seed; {
	case given == nil && n.admission.Operator:
		n.sources["seed"] = SourceDefault
	case given == nil:
		n.sources["seed"] = SourceServer
	case n.admission.Operator:
		n.sources["seed"] = SourceOperator
	case !n.admission.MaySeed:
		n.fail("/seed", "not-yours", "the seed is drawn by the server unless the caller has the permission caio.seed: leave it out")
	default:
		n.sources["seed"] = SourceCaller
	}
	if n.form.Seed == nil {
		return n.admission.Seed
	}
	n.count("/seed", n.form.Seed, 0, maxSeed)
	return *n.form.Seed
}

func (n *normaliser) exclude() []string {
	n.each("/exclude", n.form.Exclude, n.identifier)
	n.from("exclude", len(n.form.Exclude) > 0, SourceDefault)
	return set(n.form.Exclude)
}

func (n *normaliser) supersedes() string {
	given := n.form.Supersedes
	if given == nil {
		return ""
	}
	n.sources["supersedes"] = SourceCaller
	if !isIdentifier(*given) {
		n.fail("/supersedes", "id", "%q is not the id of a decision", clip(*given))
	}
	return *given
}

// maxControl bounds each number of a control signal, in micro (spec/calculus.md, section 5).
const maxControl = 250_000

func (n *normaliser) previous() []int64 {
	given := n.form.Control.Previous
	if given == nil {
		return nil
	}
	if len(*given) != 8 {
		n.fail("/control/previous", "control", "a control signal has exactly 8 numbers, not %d", len(*given))
	}
	for i := range *given {
		n.count(fmt.Sprintf("/control/previous/%d", i), &(*given)[i], -maxControl, maxControl)
	}
	return *given
}

func (n *normaliser) fields() Fields {
	f := n.form.Fields
	fields := Fields(f)
	for _, field := range []**Field{&fields.Intent, &fields.Context, &fields.Memory, &fields.Traits} {
		if *field != nil && len((*field).Re) == 0 {
			*field = nil
		}
	}
	for _, other := range []struct {
		name  string
		field *Field
	}{{"context", fields.Context}, {"memory", fields.Memory}, {"traits", fields.Traits}} {
		switch {
		case other.field == nil:
		case !n.sound("/fields/intent"):
		case fields.Intent == nil:
			n.fail("/fields/"+other.name, "field", "a field for %s goes only together with one for intent", other.name)
		case len(other.field.Re) != len(fields.Intent.Re):
			n.fail("/fields/"+other.name, "field", "the field has %d components, and that of intent %d", len(other.field.Re), len(fields.Intent.Re))
		}
	}
	return fields
}
