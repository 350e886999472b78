package contracts

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"
)

// vectors are the arguments of the decisions that a second implementation computed (spec/vectors).
type vector struct {
	Name      string            `json:"name"`
	Contracts []json.RawMessage `json:"contracts"`
	Request   json.RawMessage   `json:"request"`
	Principal json.RawMessage   `json:"principal"`
	Settings  struct {
		Core struct {
			Labels []string `json:"labels"`
		} `json:"core"`
	} `json:"settings"`
}

func vectors(t testing.TB) []vector {
	text, err := os.ReadFile("../engine/scenario/testdata/calculus.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []vector
	if err := json.Unmarshal(text, &cases); err != nil || len(cases) == 0 {
		t.Fatalf("%d cases: %v", len(cases), err)
	}
	return cases
}

func TestVectorsAreAdmitted(t *testing.T) {
	contractSchema, requestSchema := compiled(t, ContractSchema()), compiled(t, RequestSchema())
	for _, c := range vectors(t) {
		for _, text := range c.Contracts {
			contract, faults := ParseContract("contract.json", text)
			if len(faults) > 0 {
				t.Fatalf("%s: %v", c.Name, faults)
			}
			again, err := DecodeContract(contract.Canonical())
			if err != nil || !reflect.DeepEqual(again, contract) || again.Digest() != contract.Digest() {
				t.Fatalf("%s: %s does not survive its canonical form: %v", c.Name, contract.ID, err)
			}
			if err := contractSchema.Validate(anyOf(t, text)); err != nil {
				t.Fatalf("%s: %v", c.Name, err)
			}
		}
		if _, faults := ParseRequest("request.json", c.Request, Admission{Operator: true, Labels: c.Settings.Core.Labels}); len(faults) > 0 {
			t.Fatalf("%s: %v", c.Name, faults)
		}
		if err := requestSchema.Validate(anyOf(t, c.Request)); err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		if _, faults := ParsePrincipal("principal.json", c.Principal); len(faults) > 0 {
			t.Fatalf("%s: %v", c.Name, faults)
		}
	}
}

func anyOf(t *testing.T, text []byte) any {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// BenchmarkParseRequest reads a request as most are: without fields.
func BenchmarkParseRequest(b *testing.B) {
	text := []byte(`{"intent": {"type": "embeddings", "text": "index the handbook"}, "data": {"labels": ["pii"], "regions": ["eu"]},
		"limits": {"max_cost_usd": 0.02, "max_latency_ms": 300}, "requirements": {"guarantees": {"availability": {"min": 0.99}}},
		"payload": {"input": ["a text that is to be embedded", "and another one"], "model": "bge-m3"}}`)
	b.ReportAllocs()
	for b.Loop() {
		if r, faults := ParseRequest("", text, Admission{}); r == nil {
			b.Fatal(faults)
		}
	}
}

// BenchmarkParseRequestWithFields reads four complex fields of the largest dimension.
func BenchmarkParseRequestWithFields(b *testing.B) {
	part := make([]float64, MaxDimension)
	for i := range part {
		part[i] = 1 / float64(i+3)
	}
	field := map[string]any{"re": part, "im": part}
	text, err := json.Marshal(map[string]any{"intent": map[string]any{"type": "chat"}, "fields": map[string]any{"intent": field, "context": field, "memory": field, "traits": field}})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if r, faults := ParseRequest("", text, Admission{}); r == nil {
			b.Fatal(faults)
		}
	}
}

func BenchmarkParseContract(b *testing.B) {
	text, err := os.ReadFile("testdata/schema/contract/good-page.yaml")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if c, faults := ParseContract("contract.yaml", text); c == nil {
			b.Fatal(faults)
		}
	}
}
