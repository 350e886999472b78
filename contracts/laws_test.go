package contracts

import (
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/contracts/canonical"
	"pgregory.net/rapid"
)

// decimalText draws what could be a number, and often is one.
var decimalText = rapid.OneOf(
	rapid.StringMatching(`-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,9})?([eE][-+]?[0-9]{1,4})?`),
	rapid.StringMatching(`[-+.eE0-9]{0,12}`),
)

// TestParseDecimalIsExact holds it against rational numbers.
func TestParseDecimalIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := decimalText.Draw(t, "text")
		d, err := ParseDecimal(text)
		exact, number := new(big.Rat).SetString(text)
		micro := new(big.Rat)
		if number {
			micro.Mul(exact, big.NewRat(Micro, 1))
		}
		admissible := number && json.Valid([]byte(text)) && micro.IsInt() && micro.Num().CmpAbs(big.NewInt(int64(MaxDecimal))) <= 0
		if e := strings.IndexAny(text, "eE"); admissible && e >= 0 && len(strings.TrimLeft(text[e+1:], "+-")) > 3 {
			admissible = false
		}
		if admissible != (err == nil) {
			t.Fatalf("%q: %v, and %v", text, d, err)
		}
		if err == nil && micro.Num().Int64() != int64(d) {
			t.Fatalf("%q is %s, not %s", text, exact, d)
		}
		if again, _ := ParseDecimal(d.String()); err == nil && again != d {
			t.Fatalf("%q becomes %s, which becomes %s", text, d, again)
		}
	})
}

func id() *rapid.Generator[string] { return rapid.StringMatching(`[a-z0-9][a-z0-9._-]{0,12}`) }

func word() *rapid.Generator[string] {
	return rapid.Map(rapid.String(), func(s string) string {
		return strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return '_'
			}
			return r
		}, s) + "x"
	})
}

func decimal(low, high Decimal) *rapid.Generator[json.Number] {
	return rapid.Map(rapid.Int64Range(int64(low), int64(high)), func(n int64) json.Number { return json.Number(Decimal(n).String()) })
}

// openJSON draws a value such as a parameter may have.
func openJSON() *rapid.Generator[any] {
	leaf := rapid.OneOf(
		rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Map(rapid.String(), func(s string) any { return s }),
		rapid.Map(decimal(-MaxDecimal, MaxDecimal), func(n json.Number) any { return n }),
	)
	return rapid.OneOf(leaf,
		rapid.Map(rapid.SliceOfN(leaf, 0, 3), func(l []any) any { return l }),
		rapid.Map(rapid.MapOfN(id(), leaf, 0, 3), func(m map[string]any) any {
			if len(m) == 1 {
				delete(m, "decimal")
			}
			return m
		}),
	)
}

// maybe puts a key in half of the time.
func maybe[T any](t *rapid.T, into map[string]any, key string, g *rapid.Generator[T]) {
	if rapid.Bool().Draw(t, "has "+key) {
		into[key] = g.Draw(t, key)
	}
}

func object(t *rapid.T, fill func(m map[string]any)) map[string]any {
	m := map[string]any{}
	fill(m)
	return m
}

func boundsJSON(t *rapid.T, name string, into map[string]any) {
	low, high := -MaxDecimal, MaxDecimal
	if name == "availability" {
		low, high = 0, Micro
	}
	maybe(t, into, "min", decimal(low, high))
	maybe(t, into, "max", decimal(low, high))
	if name != "availability" {
		maybe(t, into, "equals", openJSON())
	}
}

// contractJSON draws a contract as an author could write it.
func contractJSON(t *rapid.T) map[string]any {
	placement := rapid.SampledFrom([]Placement{Internal, Hybrid, External}).Draw(t, "placement")
	m := map[string]any{
		"schema": SchemaV1, "id": id().Draw(t, "id"), "name": word().Draw(t, "name"), "version": "1.0.0-rc.1+b", "owner": word().Draw(t, "owner"),
		"placement": placement,
		"privacy":   map[string]any{"locality": rapid.SampledFrom(localities[placement]).Draw(t, "locality")},
		"cost":      object(t, func(m map[string]any) { maybe(t, m, "per_call", decimal(0, maxPrice)) }),
	}
	var capabilities []any
	for _, kind := range rapid.SliceOfNDistinct(id(), 1, 3, rapid.ID).Draw(t, "capabilities") {
		capability := map[string]any{"type": kind}
		maybe(t, capability, "parameters", rapid.MapOfN(rapid.String(), openJSON(), 0, 3))
		capabilities = append(capabilities, capability)
	}
	m["capabilities"] = capabilities
	guarantees := map[string]any{}
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"accuracy", "availability", "throughput"}), 0, 3, rapid.ID).Draw(t, "guarantees") {
		guarantees[name] = object(t, func(m map[string]any) { boundsJSON(t, name, m); maybe(t, m, "property", rapid.String()) })
	}
	m["guarantees"] = guarantees
	maybe(t, m, "description", rapid.String())
	maybe(t, m, "tags", rapid.SliceOfN(word(), 0, 3))
	maybe(t, m, "limits", rapid.Just(map[string]any{"max_units": 0}))
	maybe(t, m, "attributes", rapid.MapOfN(word(), openJSON(), 0, 3))
	maybe(t, m, "api", rapid.MapOfN(rapid.String(), openJSON(), 0, 3))
	maybe(t, m, "access", rapid.Map(decimal(0, maxTrust), func(n json.Number) any { return map[string]any{"min_trust": n} }))
	maybe(t, m, "field", rapid.Map(rapid.SliceOfN(rapid.Float64Range(-1e9, 1e9), MinDimension, MinDimension), func(part []float64) any {
		part[0] = 1
		return part
	}))
	maybe(t, m, "predicates", rapid.Just([]any{map[string]any{"id": "mine", "expr": "true"}}))
	return m
}

func marshal(t *rapid.T, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestCanonicalContractRoundTrip: what is read from the canonical form is what was written, to the byte; it is also a contract that an author may hand in, where no number has a fraction.
func TestCanonicalContractRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := marshal(t, contractJSON(t))
		contract, faults := ParseContract("contract.json", text)
		if contract == nil {
			t.Fatalf("%s: %v", text, faults)
		}
		again, err := DecodeContract(contract.Canonical())
		if err != nil {
			t.Fatalf("%s: %v", contract.Canonical(), err)
		}
		for i := range contract.Predicates {
			contract.Predicates[i].Pos = Position{} // the one thing that is no part of a contract
		}
		if !reflect.DeepEqual(again, contract) || again.Digest() != contract.Digest() {
			t.Fatalf("%s\nbecomes %+v\nand then %+v", text, contract, again)
		}
		if !reflect.DeepEqual(again.View(), contract.View()) {
			t.Fatalf("%s: the view differs", text)
		}
		if strings.Contains(string(contract.Canonical()), `"decimal"`) {
			return
		}
		if handed, faults := ParseContract("contract.json", contract.Canonical()); handed == nil || handed.Digest() != contract.Digest() {
			t.Fatalf("%s: %v", contract.Canonical(), faults)
		}
	})
}

// TestYAMLSaysWhatJSONSays: the same contract in YAML's flow style, which JSON is a part of, has the same digest.
func TestYAMLSaysWhatJSONSays(t *testing.T) {
	for _, c := range vectors(t)[:40] {
		for _, text := range c.Contracts {
			inJSON, _ := ParseContract("contract.json", text)
			inYAML, faults := ParseContract("contract.yaml", text)
			if inYAML == nil || inYAML.Digest() != inJSON.Digest() {
				t.Fatalf("%s: %v", c.Name, faults)
			}
		}
	}
}

// TestContractDefaults: writing a default down changes nothing.
func TestContractDefaults(t *testing.T) {
	least := `{"schema":"caio.contract/v1","id":"a","name":"A","version":"1.0.0","owner":"o","placement":"internal","capabilities":[{"type":"chat"%s}],"cost":{%s},"privacy":{"locality":"local"%s}%s}`
	contract, faults := ParseContract("", fmt.Appendf(nil, least, "", "", "", ""))
	if contract == nil {
		t.Fatal(faults)
	}
	explicit, faults := ParseContract("", fmt.Appendf(nil, least, `,"model":"","parameters":{}`, `"per_call":0,"per_million_input_tokens":0.0,"per_million_output_tokens":0e3,"per_unit":-0`,
		`,"regions":[],"encryption":{"in_transit":false},"certifications":[]`,
		`,"description":"","tags":[],"guarantees":{},"limits":{},"access":{"permissions_any":[],"permissions_all":[],"min_trust":0},"attributes":{},"field":[],"predicates":[],"api":{}`))
	if explicit == nil {
		t.Fatal(faults)
	}
	if explicit.Digest() != contract.Digest() {
		t.Fatalf("%s\nis not\n%s", explicit.Canonical(), contract.Canonical())
	}
	unsaid, said := contract.View()["privacy"].(map[string]any), "retention_days"
	if _, there := unsaid[said]; there {
		t.Error("retention that nobody stated is in the view")
	}
	zero, _ := ParseContract("", fmt.Appendf(nil, least, "", "", `,"retention_days":0,"trains_on_data":false`, `,"limits":{"max_units":0}`))
	if zero.Digest() == contract.Digest() {
		t.Error("retention of 0 days and a limit of 0 units are the same as none stated")
	}
}

// requestJSON draws a request as a client could write it.
func requestJSON(t *rapid.T) map[string]any {
	kind := id().Draw(t, "intent")
	m := map[string]any{"intent": map[string]any{"type": kind}}
	maybe(t, m, "requirements", rapid.Custom(func(t *rapid.T) any {
		return object(t, func(m map[string]any) {
			maybe(t, m, "capabilities", rapid.Map(rapid.SliceOfN(id(), 0, 3), func(l []string) []string { return append(l, kind) }))
			maybe(t, m, "capability_parameters", rapid.Map(openJSON(), func(v any) any { return map[string]any{kind: map[string]any{"p": v}} }))
			maybe(t, m, "attributes", rapid.MapOfN(word(), openJSON(), 0, 2))
			maybe(t, m, "guarantees", rapid.Custom(func(t *rapid.T) any {
				return map[string]any{"accuracy": object(t, func(m map[string]any) { boundsJSON(t, "accuracy", m) })}
			}))
		})
	}))
	maybe(t, m, "data", rapid.Custom(func(t *rapid.T) any {
		return object(t, func(m map[string]any) {
			maybe(t, m, "labels", rapid.SliceOfN(rapid.SampledFrom(labels), 0, 4))
			maybe(t, m, "subjects", rapid.SliceOfN(word(), 0, 4))
			maybe(t, m, "regions", rapid.SliceOfN(word(), 0, 4))
		})
	}))
	maybe(t, m, "limits", rapid.Custom(func(t *rapid.T) any {
		return object(t, func(m map[string]any) {
			maybe(t, m, "max_cost_usd", decimal(0, maxSeed))
			maybe(t, m, "max_latency_ms", rapid.Int64Range(1, maxLatencyMS))
		})
	}))
	maybe(t, m, "traits", rapid.Map(decimal(0, Micro), func(n json.Number) any { return map[string]any{"confidential": n} }))
	maybe(t, m, "profile", rapid.SampledFrom([]string{Balanced, Economy}))
	maybe(t, m, "purpose", id())
	maybe(t, m, "exclude", rapid.SliceOfN(id(), 0, 4))
	maybe(t, m, "payload", openJSON())
	maybe(t, m, "estimate", rapid.Map(rapid.Int64Range(0, maxTokens), func(n int64) any { return map[string]any{"output_tokens": n} }))
	return m
}

// digest of all of a request but where its values came from.
func digest(t rapid.TB, r *Request) string {
	without := *r
	without.Sources, without.Payload = nil, nil
	text, err := canonical.Digest(without)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestNormalisation: what is normal stays as it is, the order of sets says nothing, and what is absent is the same as its default.
func TestNormalisation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		written := requestJSON(t)
		first, faults := ParseRequest("", marshal(t, written), Admission{Operator: true})
		if first == nil {
			t.Fatalf("%s: %v", marshal(t, written), faults)
		}
		second, faults := ParseRequest("", marshal(t, formOf(first)), Admission{Operator: true})
		if second == nil {
			t.Fatalf("%s: %v", marshal(t, formOf(first)), faults)
		}
		if digest(t, first) != digest(t, second) || string(first.Payload) != string(second.Payload) {
			t.Fatalf("%s\nbecomes %+v\nand then %+v", marshal(t, written), first, second)
		}
		if !reflect.DeepEqual(first.View(), second.View()) {
			t.Fatal("the views differ")
		}
		for _, list := range [][]string{first.Data.Labels, first.Data.Subjects, first.Data.Regions, first.Exclude, first.Requirements.Capabilities} {
			if !slices.IsSorted(list) || len(slices.Compact(slices.Clone(list))) != len(list) {
				t.Fatalf("%q is no sorted set", list)
			}
		}
		if len(first.Sources) < 20 {
			t.Fatalf("sources: %v", first.Sources)
		}
	})
}

// formOf writes a normalised request as a client would have to, every key explicit.
func formOf(r *Request) map[string]any {
	form := map[string]any{
		"intent": map[string]any{"type": r.Intent.Type, "text": r.Intent.Text}, "requirements": r.Requirements, "estimate": r.Estimate,
		"data":    map[string]any{"labels": r.Data.Labels, "subjects": r.Data.Subjects, "regions": r.Data.Regions, "findings": r.Data.Findings},
		"context": map[string]any{"text": r.Context.Text, "shareable": r.Context.Shareable, "conversation_id": r.Context.ConversationID},
		"traits":  r.Traits, "profile": r.Profile, "purpose": r.Purpose, "seed": r.Seed, "exclude": r.Exclude,
	}
	limits := map[string]any{}
	if r.Limits.MaxCostMicroUSD != nil {
		limits["max_cost_usd"] = Decimal(*r.Limits.MaxCostMicroUSD)
	}
	if r.Limits.MaxLatencyMS != nil {
		limits["max_latency_ms"] = *r.Limits.MaxLatencyMS
	}
	form["limits"] = limits
	if r.Payload != nil {
		form["payload"] = json.RawMessage(r.Payload)
	}
	return form
}
