package cel

import (
	"runtime"
	"testing"
	"time"

	"cel.dev/cel-go/common/types"

	"github.com/smarthausgroup/caio/contracts"
)

// What predicates are checked against is what they see: every key of the views is declared, and every declared field is a key.
func TestSchemaIsThatOfTheViews(t *testing.T) {
	n, d := int64(1), contracts.Decimal(1)
	r := &contracts.Request{
		Supersedes: "x", Limits: contracts.RequestLimits{MaxCostMicroUSD: &n, MaxLatencyMS: &n}, Data: contracts.Data{Findings: []contracts.Finding{{Type: "x", Count: 1}}},
		Requirements: contracts.Requirements{Guarantees: map[string]contracts.Bounds{"g": {Min: &d, Max: &d, Equals: &contracts.Value{V: true}}}},
	}
	s := sharedEnvironment().schema
	seen := map[string]bool{}
	var compare func(path string, r *record, view map[string]any)
	compare = func(path string, r *record, view map[string]any) {
		seen[r.name] = true
		for key := range view {
			if _, ok := r.index[key]; !ok {
				t.Errorf("%s.%s is not declared", path, key)
			}
		}
		for _, f := range r.fields {
			v, ok := view[f.name]
			if !ok {
				t.Errorf("%s has no %s", path, f.name)
				continue
			}
			switch v := v.(type) {
			case map[string]any:
				if of := s.records[f.typ.TypeName()]; of != nil {
					compare(path+"."+f.name, of, v)
				} else if of := s.records[f.typ.Parameters()[1].TypeName()]; of != nil {
					for key, e := range v {
						compare(path+"."+f.name+"."+key, of, e.(map[string]any))
					}
				}
			case []any:
				if of := s.records[f.typ.Parameters()[0].TypeName()]; of != nil {
					for _, e := range v {
						compare(path+"."+f.name, of, e.(map[string]any))
					}
				}
			}
		}
	}
	compare("request", s.request, r.View())
	compare("principal", s.principal, contracts.Principal{}.View())
	latency := s.serviceEstimate(contracts.ServiceEstimate{CostMicroUSD: 3, LatencyMS: &n}).(*object)
	if latency.Get(types.String("cost_micro_usd")) != types.Int(3) || latency.Get(types.String("latency_ms")) != types.Int(1) {
		t.Error("the estimate's fields are not in the order of their declaration")
	}
	seen[s.estimate.name] = true
	for name := range s.records {
		if !seen[name] {
			t.Errorf("%s is declared, and no part of a view", name)
		}
	}
}

// A conjunct is compiled once while a program uses it, and forgotten afterwards.
func TestConjunctsAreShared(t *testing.T) {
	e := sharedEnvironment()
	text := `!("shared-by-two" in request.exclude)`
	a, err := e.cache.get(text, e.compileGenerated)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := e.cache.get(text, e.compileGenerated); err != nil || a != b {
		t.Errorf("compiled again: %v", err)
	}
	runtime.KeepAlive(a)
	for range 100 {
		runtime.GC()
		if _, kept := e.cache.byText.Load(text); !kept {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("still there")
}

func TestNearest(t *testing.T) {
	names := []string{"input_tokens", "units", "labels", "max_cost_micro_usd", "a"}
	for misspelt, want := range map[string]string{"unit": "units", "untis": "units", "lables": "labels", "inputTokens": "input_tokens", "max_cost": "max_cost_micro_usd", "Units": "units", "foo": "", "zzzzzz": ""} {
		if got := nearest(misspelt, names); got != want {
			t.Errorf("nearest to %q is %q, expected %q", misspelt, got, want)
		}
	}
}
