package cel_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/smarthausgroup/caio/cel"
	"github.com/smarthausgroup/caio/contracts"
)

// benchContract is a contract as they commonly are; n tells it from the others of its registry.
func benchContract(n int) *contracts.Contract {
	min, max, availability := contracts.Decimal(900_000+n%50*1000), contracts.Decimal((100+n%40*10)*contracts.Micro), contracts.Decimal(999_000)
	tokens, units := int64(8000*(1+n%4)), int64(128)
	capability := []string{"chat", "embeddings", "rerank", "search", "image", "transcription"}[n%6]
	return &contracts.Contract{
		Schema: contracts.SchemaV1, ID: fmt.Sprintf("svc-%05d", n), Name: "service", Version: "1.0.0", Placement: contracts.External,
		Capabilities: []contracts.Capability{{Type: capability, Parameters: map[string]contracts.Value{
			"dimensions": {V: contracts.Decimal(1024 * contracts.Micro)},
			"batch":      {V: map[string]any{"max": contracts.Decimal((16 + n%8*16) * contracts.Micro)}},
			"languages":  {V: []any{"en", "de", "fr"}},
		}}},
		Guarantees: map[string]contracts.Guarantee{
			"accuracy": {Bounds: contracts.Bounds{Min: &min}}, "latency": {Bounds: contracts.Bounds{Max: &max}}, "availability": {Bounds: contracts.Bounds{Min: &availability}},
		},
		Limits:     contracts.ServiceLimits{MaxInputTokens: &tokens, MaxUnits: &units},
		Privacy:    contracts.Privacy{Locality: contracts.Cloud, Regions: []string{"us"}},
		Access:     contracts.Access{PermissionsAny: []string{"ai." + capability}, MinTrust: 3 * contracts.Micro},
		Attributes: map[string]contracts.Value{"requires_gpu": {V: n%2 == 0}},
	}
}

func benchInput() *cel.Input {
	return cel.NewInput(&contracts.Request{
		Intent: contracts.Intent{Type: "chat"},
		Requirements: contracts.Requirements{
			Capabilities:         []string{"chat"},
			CapabilityParameters: map[string]map[string]contracts.Value{"chat": {"languages": {V: []any{"de"}}}},
			Guarantees:           map[string]contracts.Bounds{},
		},
		Estimate: contracts.Estimate{InputTokens: 1000, OutputTokens: 1000, Units: 1},
	}, contracts.Principal{Trust: 5 * contracts.Micro, Permissions: []string{"ai.chat"}})
}

func BenchmarkEvaluate(b *testing.B) {
	in := benchInput()
	for _, c := range []struct {
		name string
		n    int
	}{{"true", 0}, {"false", 1}} {
		b.Run(c.name, func(b *testing.B) {
			p, ds := cel.Compile(benchContract(c.n))
			if ds.HasErrors() {
				b.Fatal(ds.Err())
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Evaluate(context.Background(), contracts.StageMatch, in, contracts.ServiceEstimate{}); err != nil {
					b.Fatal(err)
				}
			}
			count := 0
			for _, p := range p.Predicates() {
				if p.Stage == contracts.StageMatch {
					count++
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*count), "ns/predicate")
		})
	}
}

func BenchmarkEvaluateAuthor(b *testing.B) {
	c := &contracts.Contract{ID: "x", Predicates: []contracts.Predicate{{ID: "six", Stage: contracts.StageSecurity, Expr: `request.estimate.units <= 128 && principal.trust >= 3 && "ai.chat" in principal.permissions &&
		request.profile == "" && !has(request.limits.max_latency_ms) && !request.data.labels.exists(l, l in ["pii", "phi"])`}}, Privacy: contracts.Privacy{Locality: contracts.Local}}
	p, ds := cel.Compile(c)
	if ds.HasErrors() {
		b.Fatal(ds.Err())
	}
	in := benchInput()
	b.ReportAllocs()
	for b.Loop() {
		if v, err := p.Evaluate(context.Background(), contracts.StageSecurity, in, contracts.ServiceEstimate{}); err != nil || len(v) > 0 {
			b.Fatal(v, err)
		}
	}
}

// BenchmarkCompile is the registration of registries that share what contracts commonly share.
func BenchmarkCompile(b *testing.B) {
	for _, size := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				programs := make([]*cel.Program, size) // alive together, as in a registry
				for i := range programs {
					p, ds := cel.Compile(benchContract(n))
					if ds.HasErrors() {
						b.Fatal(ds.Err())
					}
					programs[i] = p
					n++
				}
				runtime.KeepAlive(programs)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*size), "µs/contract")
		})
	}
}

func BenchmarkNewInput(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		benchInput()
	}
}

// BenchmarkCompileAuthor is an author's predicate of six conjuncts.
func BenchmarkCompileAuthor(b *testing.B) {
	c := withPredicate(`request.estimate.units <= 128 && principal.trust >= 3 && "ai.chat" in principal.permissions &&
		request.profile == "" && !has(request.limits.max_latency_ms) && !request.data.labels.exists(l, l in ["pii", "phi"])`)
	b.ReportAllocs()
	for b.Loop() {
		if _, ds := cel.Compile(c); ds.HasErrors() {
			b.Fatal(ds)
		}
	}
}
