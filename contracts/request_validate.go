package contracts

import (
	"fmt"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/contracts/source"
)

// Validate holds a request that claims to be normalised against everything that spec/contract.md, "The request, normalised", and the ranges of spec/calculus.md, section 1, say of one: what
// [ParseRequest] makes has no fault. Pointers lead into the normalised form ("/limits/max_latency_ms"). The vocabulary of labels is the tenant's: [Request.ValidateLabels]. Content (texts, subjects,
// fields, payload) may be missing, as in a proof.
func (r *Request) Validate() Diagnostics {
	v := validation{request: r}
	v.identifier("/intent/type", r.Intent.Type)
	v.requirements(r.Requirements)
	v.estimate(r.Estimate)
	v.limits(r.Limits)
	v.data(r.Data)
	for name, trait := range map[string]Decimal{"conservative": r.Traits.Conservative, "confidential": r.Traits.Confidential, "risk_tolerance": r.Traits.RiskTolerance} {
		v.atMost("/traits/"+name, trait, Micro)
	}
	v.oneOf("/profile", r.Profile, Balanced, Economy, Realtime, Assurance)
	if !isPurpose(r.Purpose) {
		v.fail("/purpose", "purpose", "%q is not a purpose", clip(r.Purpose))
	}
	v.count("/seed", &r.Seed, 0, maxSeed)
	v.set("/exclude", r.Exclude, v.identifier)
	if r.Supersedes != "" && !isIdentifier(r.Supersedes) {
		v.fail("/supersedes", "id", "%q is not the id of a decision", clip(r.Supersedes))
	}
	if len(r.Previous) != 0 && len(r.Previous) != 8 {
		v.fail("/previous", "control", "a control signal has exactly 8 numbers, not %d", len(r.Previous))
	}
	for i := range r.Previous {
		v.count(fmt.Sprintf("/previous/%d", i), &r.Previous[i], -maxControl, maxControl)
	}
	v.fields(r.Fields)
	if len(v.faults) == 0 { // what is wrong with a value comes before what is wrong with its source
		v.sources()
	}
	v.faults.Sort()
	return v.faults
}

// ValidateLabels holds the labels against the vocabulary: the labels of every tenant, and what the tenant's settings add or ask for (spec/contract.md, `data.labels`).
func (r *Request) ValidateLabels(added []string, required bool) Diagnostics {
	n := normaliser{admission: Admission{Labels: added, RequireLabel: required}}
	n.each("/data/labels", r.Data.Labels, n.label)
	if required && len(r.Data.Labels) == 0 {
		n.fail("/data/labels", "label-required", "at least one label must be given")
	}
	n.faults.Sort()
	return n.faults
}

// validation of one normalised request.
type validation struct {
	checker
	request *Request
}

// set checks that a list is sorted and repeats nothing, and each of its elements.
func (v *validation) set(pointer string, list []string, check func(pointer, text string)) {
	v.each(pointer, list, check)
	for i := 1; i < len(list); i++ {
		if list[i-1] >= list[i] {
			v.fail(fmt.Sprintf("%s/%d", pointer, i), "unsorted", "a set is sorted and repeats nothing")
			return
		}
	}
}

func (v *validation) requirements(r Requirements) {
	v.set("/requirements/capabilities", r.Capabilities, v.identifier)
	if len(r.Capabilities) == 0 {
		v.fail("/requirements/capabilities", "empty", "at least one capability is required")
	}
	for kind, parameters := range r.CapabilityParameters {
		pointer := "/requirements/capability_parameters/" + source.Escape(kind)
		if !slices.Contains(r.Capabilities, kind) {
			v.fail(pointer, "unknown-capability", "%q is not among the required capabilities", clip(kind))
		}
		for key, value := range parameters {
			v.value(pointer+"/"+source.Escape(key), value)
		}
	}
	for name, bounds := range r.Guarantees {
		pointer := "/requirements/guarantees/" + source.Escape(name)
		v.name(pointer, name)
		v.bounds(pointer, name, bounds)
		if bounds.Equals != nil {
			v.value(pointer+"/equals", *bounds.Equals)
		}
	}
	v.keys("/requirements/attributes", r.Attributes)
	for key, value := range r.Attributes {
		v.value("/requirements/attributes/"+source.Escape(key), value)
	}
}

// value checks that a value whose type is open holds no null.
func (v *validation) value(pointer string, value Value) {
	if !solid(value.V) {
		v.fail(pointer, "null", "null is not a value")
	}
}

// solid reports whether v holds no null.
func solid(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case []any:
		for _, part := range v {
			if !solid(part) {
				return false
			}
		}
	case map[string]any:
		for _, part := range v {
			if !solid(part) {
				return false
			}
		}
	}
	return true
}

func (v *validation) estimate(e Estimate) {
	v.count("/estimate/input_tokens", &e.InputTokens, 0, maxTokens)
	v.count("/estimate/output_tokens", &e.OutputTokens, 0, maxTokens)
	v.count("/estimate/units", &e.Units, 0, maxUnits)
	v.count("/estimate/payload_bytes", &e.PayloadBytes, 0, maxTokens)
	v.set("/estimate/defaulted", e.Defaulted, func(pointer, name string) { v.oneOf(pointer, name, "input_tokens", "output_tokens") })
	if v.request.Sources["estimate.defaulted"] != SourceServer {
		return
	}
	for _, name := range []string{"input_tokens", "output_tokens"} {
		if slices.Contains(e.Defaulted, name) != (v.request.Sources["estimate."+name] == SourceDefault) {
			v.fail("/estimate/defaulted", "defaulted", "it names %s exactly if nobody gave them", name)
		}
	}
}

func (v *validation) limits(l RequestLimits) {
	v.count("/limits/max_cost_micro_usd", l.MaxCostMicroUSD, 0, maxSeed)
	v.count("/limits/max_latency_ms", l.MaxLatencyMS, 1, maxLatencyMS)
}

func (v *validation) data(d Data) {
	v.set("/data/labels", d.Labels, v.name)
	v.set("/data/subjects", d.Subjects, v.name)
	v.set("/data/regions", d.Regions, v.name)
	for i, finding := range d.Findings {
		v.name(fmt.Sprintf("/data/findings/%d/type", i), finding.Type)
		v.count(fmt.Sprintf("/data/findings/%d/count", i), &finding.Count, 0, maxTokens)
	}
}

func (v *validation) fields(f Fields) {
	if f.Intent == nil {
		return
	}
	for name, field := range map[string]*Field{"context": f.Context, "memory": f.Memory, "traits": f.Traits} {
		if field != nil && len(field.Re) != len(f.Intent.Re) {
			v.fail("/fields/"+name, "field", "the field has %d components, and that of intent %d", len(field.Re), len(f.Intent.Re))
		}
	}
}

// provenance is what normalisation can say of where a value came from.
type provenance struct {
	path    string
	sources []Source
	absent  func(*Request) bool // whether the value is absent, and so has no source; nil: it never is
	def     func(*Request) bool // whether the value is the one that nobody gave
}

func provenances() []provenance {
	callers := []Source{SourceCaller, SourceDefault}
	tokens := []Source{SourceCaller, SourceServer, SourceDefault}
	return []provenance{
		{path: "intent.type", sources: []Source{SourceCaller}},
		{path: "requirements.capabilities", sources: callers, def: func(r *Request) bool { return slices.Equal(r.Requirements.Capabilities, []string{r.Intent.Type}) }},
		{path: "requirements.capability_parameters", sources: callers, def: func(r *Request) bool { return len(r.Requirements.CapabilityParameters) == 0 }},
		{path: "requirements.guarantees", sources: callers, def: func(r *Request) bool { return len(r.Requirements.Guarantees) == 0 }},
		{path: "requirements.attributes", sources: callers, def: func(r *Request) bool { return len(r.Requirements.Attributes) == 0 }},
		{path: "estimate.input_tokens", sources: tokens, def: func(r *Request) bool { return r.Estimate.InputTokens == DefaultTokens }},
		{path: "estimate.output_tokens", sources: tokens, def: func(r *Request) bool { return r.Estimate.OutputTokens == DefaultTokens }},
		{path: "estimate.defaulted", sources: []Source{SourceServer, SourceOperator}},
		{path: "estimate.units", sources: callers, def: func(r *Request) bool { return r.Estimate.Units == 1 }},
		{path: "estimate.payload_bytes", sources: []Source{SourceServer, SourceOperator}},
		{path: "limits.max_cost_micro_usd", sources: []Source{SourceCaller}, absent: func(r *Request) bool { return r.Limits.MaxCostMicroUSD == nil }},
		{path: "limits.max_latency_ms", sources: []Source{SourceCaller}, absent: func(r *Request) bool { return r.Limits.MaxLatencyMS == nil }},
		{path: "data.labels", sources: callers, def: func(r *Request) bool { return len(r.Data.Labels) == 0 }},
		{path: "data.regions", sources: callers, def: func(r *Request) bool { return len(r.Data.Regions) == 0 }},
		{path: "data.findings", sources: []Source{SourceDefault, SourceOperator}, def: func(r *Request) bool { return len(r.Data.Findings) == 0 }},
		{path: "context.shareable", sources: callers, def: func(r *Request) bool { return !r.Context.Shareable }},
		{path: "traits.conservative", sources: callers, def: func(r *Request) bool { return r.Traits.Conservative == 0 }},
		{path: "traits.confidential", sources: callers, def: func(r *Request) bool { return r.Traits.Confidential == 0 }},
		{path: "traits.risk_tolerance", sources: callers, def: func(r *Request) bool { return r.Traits.RiskTolerance == Micro }},
		{path: "profile", sources: callers, def: func(r *Request) bool { return r.Profile == Balanced }},
		{path: "purpose", sources: callers, def: func(r *Request) bool { return r.Purpose == "" }},
		{path: "seed", sources: []Source{SourceCaller, SourceServer, SourceOperator, SourceDefault}},
		{path: "exclude", sources: callers, def: func(r *Request) bool { return len(r.Exclude) == 0 }},
		{path: "supersedes", sources: []Source{SourceCaller}, absent: func(r *Request) bool { return r.Supersedes == "" }},
	}
}

// sources checks that exactly the values that have a source name one that they can have, and that what nobody gave has its default. Otherwise a proof could keep quiet of whose word it takes.
func (v *validation) sources() {
	known := map[string]bool{}
	for _, p := range provenances() {
		pointer := "/sources/" + source.Escape(p.path)
		if p.absent != nil && p.absent(v.request) {
			continue
		}
		known[p.path] = true
		from, ok := v.request.Sources[p.path]
		switch {
		case !ok:
			v.fail(pointer, "required", "it is not said where the value came from")
		case !slices.Contains(p.sources, from):
			v.fail(pointer, "unknown-value", "the value can't have come from %q, only from %s", clip(string(from)), join(p.sources))
		case from == SourceDefault && p.def != nil && !p.def(v.request):
			v.fail(pointer, "not-default", "nobody is said to have given the value, and it is not the default")
		}
	}
	for path := range v.request.Sources {
		if !known[path] {
			v.fail("/sources/"+source.Escape(path), "unknown-key", "no value of this request has that path")
		}
	}
}

func join(sources []Source) string {
	names := make([]string, len(sources))
	for i, s := range sources {
		names[i] = string(s)
	}
	return strings.Join(names, ", ")
}
