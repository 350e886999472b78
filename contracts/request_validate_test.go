package contracts

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestNormalisedRequestsAreValid: what normalisation makes, validation accepts.
func TestNormalisedRequestsAreValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := marshal(t, requestJSON(t))
		r, faults := ParseRequest("", text, Admission{Operator: rapid.Bool().Draw(t, "operator"), Seed: rapid.Int64Range(0, maxSeed).Draw(t, "seed")})
		if r == nil {
			t.Fatalf("%s: %v", text, faults)
		}
		if faults := r.Validate(); faults != nil {
			t.Fatalf("%s: %v", text, faults)
		}
		if faults := r.ValidateLabels(nil, len(r.Data.Labels) > 0); faults != nil {
			t.Fatalf("%s: %v", text, faults)
		}
	})
}

const fullRequest = `
intent: {type: embeddings, text: a}
requirements: {capabilities: [embeddings, rerank], capability_parameters: {rerank: {top: 3}}, guarantees: {latency: {max: 100}}, attributes: {gpu: true}}
estimate: {units: 2, defaulted: [input_tokens], payload_bytes: 7}
limits: {max_cost_usd: 1, max_latency_ms: 50}
data: {labels: [phi, pii], subjects: [p-1, p-2], regions: [eu, us], findings: [{type: email, count: 2}]}
purpose: support
exclude: [a, b]
supersedes: 0197a1b2
control: {previous: [0, 1, 2, 3, 4, 5, 6, 7]}
`

// TestValidateRefuses: each change makes a request that no normalisation could have made.
func TestValidateRefuses(t *testing.T) {
	for _, c := range []struct {
		pointer string
		change  func(r *Request)
	}{
		{"/intent/type", func(r *Request) { r.Intent.Type = "Embeddings" }},
		{"/requirements/capabilities", func(r *Request) { r.Requirements.Capabilities = []string{} }},
		{"/requirements/capabilities/1", func(r *Request) { slices.Reverse(r.Requirements.Capabilities) }},
		{"/requirements/capabilities/0", func(r *Request) { r.Requirements.Capabilities[0] = "" }},
		{"/requirements/capability_parameters/chat", func(r *Request) { r.Requirements.CapabilityParameters["chat"] = map[string]Value{} }},
		{"/requirements/capability_parameters/rerank/top", func(r *Request) { r.Requirements.CapabilityParameters["rerank"]["top"] = Value{[]any{nil}} }},
		{"/requirements/guarantees/latency/max", func(r *Request) { *r.Requirements.Guarantees["latency"].Max = -1 }},
		{"/requirements/attributes/gpu", func(r *Request) { r.Requirements.Attributes["gpu"] = Value{} }},
		{"/requirements/attributes/", func(r *Request) { r.Requirements.Attributes[""] = Value{true} }},
		{"/estimate/input_tokens", func(r *Request) { r.Estimate.InputTokens = maxTokens + 1 }},
		{"/estimate/output_tokens", func(r *Request) { r.Estimate.OutputTokens = -1 }},
		{"/estimate/units", func(r *Request) { r.Estimate.Units = maxUnits + 1 }},
		{"/estimate/payload_bytes", func(r *Request) { r.Estimate.PayloadBytes = -1 }},
		{"/estimate/defaulted/1", func(r *Request) { r.Estimate.Defaulted = []string{"input_tokens", "units"} }},
		{"/estimate/defaulted/1", func(r *Request) { r.Estimate.Defaulted = []string{"input_tokens", "input_tokens"} }},
		{"/estimate/defaulted", func(r *Request) { r.Sources["estimate.defaulted"] = SourceServer }},
		{"/limits/max_cost_micro_usd", func(r *Request) { *r.Limits.MaxCostMicroUSD = -1 }},
		{"/limits/max_latency_ms", func(r *Request) { *r.Limits.MaxLatencyMS = -5 }},
		{"/limits/max_latency_ms", func(r *Request) { *r.Limits.MaxLatencyMS = 0 }},
		{"/data/labels/1", func(r *Request) { r.Data.Labels[1] = r.Data.Labels[0] }},
		{"/data/labels/0", func(r *Request) { r.Data.Labels[0] = "" }},
		{"/data/subjects/1", func(r *Request) { slices.Reverse(r.Data.Subjects) }},
		{"/data/regions/0", func(r *Request) { r.Data.Regions[0] = "e\x00u" }},
		{"/data/findings/0/type", func(r *Request) { r.Data.Findings[0].Type = "" }},
		{"/data/findings/0/count", func(r *Request) { r.Data.Findings[0].Count = -1 }},
		{"/traits/conservative", func(r *Request) { r.Traits.Conservative = -1 }},
		{"/traits/risk_tolerance", func(r *Request) { r.Traits.RiskTolerance = Micro + 1 }},
		{"/profile", func(r *Request) { r.Profile = "fast" }},
		{"/purpose", func(r *Request) { r.Purpose = "why not" }},
		{"/seed", func(r *Request) { r.Seed = -1 }},
		{"/exclude/1", func(r *Request) { r.Exclude[1] = "../b" }},
		{"/supersedes", func(r *Request) { r.Supersedes = "\x00 anything" }},
		{"/previous", func(r *Request) { r.Previous = r.Previous[:7] }},
		{"/previous/7", func(r *Request) { r.Previous[7] = maxControl + 1 }},
		{"/fields/memory", func(r *Request) {
			r.Fields = Fields{Intent: &Field{Re: make([]int32, 64)}, Memory: &Field{Re: make([]int32, 128)}}
		}},
		{"/sources/data.labels", func(r *Request) { delete(r.Sources, "data.labels") }},
		{"/sources/data.labels", func(r *Request) { r.Sources["data.labels"] = SourceDefault }},
		{"/sources/data.labels", func(r *Request) { r.Sources["data.labels"] = SourceServer }},
		{"/sources/data.labels", func(r *Request) { r.Sources["data.labels"] = "rumour" }},
		{"/sources/profil", func(r *Request) { r.Sources["profil"] = SourceCaller }},
		{"/sources/limits.max_latency_ms", func(r *Request) { r.Limits.MaxLatencyMS = nil }},
		{"/sources/supersedes", func(r *Request) { r.Supersedes = "" }},
		{"/sources/requirements.capabilities", func(r *Request) { r.Sources["requirements.capabilities"] = SourceDefault }},
		{"/sources/context.shareable", func(r *Request) { clear(r.Sources) }},
	} {
		r, faults := ParseRequest("request.yaml", []byte(fullRequest), Admission{Operator: true})
		if r == nil {
			t.Fatal(faults)
		}
		if faults := r.Validate(); faults != nil {
			t.Fatal(faults)
		}
		c.change(r)
		if faults := r.Validate(); len(faults) == 0 || faults[0].Pointer != c.pointer {
			t.Errorf("%s: %v", c.pointer, faults)
		}
	}
}

// TestEveryDefaultIsHeldToItsValue: of no value but the seed and what the server writes itself can it be said falsely that nobody gave it.
func TestEveryDefaultIsHeldToItsValue(t *testing.T) {
	for _, p := range provenances() {
		if slices.Contains(p.sources, SourceDefault) && p.def == nil && p.path != "seed" {
			t.Error(p.path)
		}
	}
	r, faults := ParseRequest("request.yaml", []byte(fullRequest), Admission{Operator: true})
	if r == nil {
		t.Fatal(faults)
	}
	for _, path := range slices.Sorted(maps.Keys(r.Sources)) {
		if !slices.ContainsFunc(provenances(), func(p provenance) bool { return p.path == path }) {
			t.Errorf("%s has a source, and nothing is known of it", path)
		}
	}
}

func TestValidateLabels(t *testing.T) {
	for _, c := range []struct {
		labels, added string
		required      bool
		want          string
	}{
		{"", "", false, ""},
		{"", "", true, "/data/labels"},
		{"none", "", true, ""},
		{"PII", "", false, "/data/labels/0"},
		{"pii telemetry", "", false, "/data/labels/1"},
		{"pii telemetry", "telemetry", false, ""},
	} {
		r := &Request{Data: Data{Labels: strings.Fields(c.labels)}}
		got := ""
		if faults := r.ValidateLabels(strings.Fields(c.added), c.required); faults != nil {
			got = faults[0].Pointer
		}
		if got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}
