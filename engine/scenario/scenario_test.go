package scenario_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine/scenario"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
)

const simple = `name: one service
time: "2026-11-22T12:00:00Z"
principal: {tenant: acme}
contracts:
  - schema: caio.contract/v1
    id: bge-local
    name: BGE
    version: 1.0.0
    owner: ml@example.com
    placement: internal
    capabilities: [{type: embeddings}]
    guarantees: {accuracy: {min: 0.50}}
    cost: {}
    privacy: {locality: local}
request: {intent: {type: embeddings}}
expect: {outcome: routed}
`

func parse(t *testing.T, text string) scenario.Scenario {
	t.Helper()
	scenarios, faults := scenario.Parse("a.scenario.yaml", []byte(text), nil)
	if faults.HasErrors() {
		t.Fatal(faults)
	}
	if len(scenarios) != 1 {
		t.Fatalf("%d scenarios, not one", len(scenarios))
	}
	return scenarios[0]
}

func TestParse(t *testing.T) {
	s := parse(t, simple)
	if s.Request.Seed != 0 || s.Request.Profile != contracts.Balanced || s.Contracts[0].ID != "bge-local" || s.Pos.Line != 1 {
		t.Errorf("%+v", s)
	}
	labelled := strings.Replace(simple, "intent: {type: embeddings}", "intent: {type: embeddings}, seed: 7, data: {labels: [telemetry]}, estimate: {payload_bytes: 9}", 1)
	if s = parse(t, labelled+"settings: {core: {labels: [telemetry], require_label: true}}\n"); s.Request.Seed != 7 || s.Request.Estimate.PayloadBytes != 9 {
		t.Errorf("what an operator may set: %+v", s.Request)
	}
}

func TestParseReportsFaultsWithTheirPlaces(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"empty list":            {"[]\n", "there is no scenario here"},
		"unknown key":           {simple + "expects: {}\n", `a.scenario.yaml:17:1: there is no key "expects"`},
		"nothing expected":      {strings.Replace(simple, "{outcome: routed}", "{}", 1), "a.scenario.yaml:16:9: the scenario expects nothing"},
		"missing":               {strings.Replace(simple, "name: one service\n", "", 1), `the key "name" is missing`},
		"contract":              {strings.Replace(simple, "locality: local", "locality: clud", 1), `a.scenario.yaml:14:25: "clud" is not one of`},
		"request":               {strings.Replace(simple, "intent: {type: embeddings}", "intent: {type: A}", 1), "a.scenario.yaml:15:"},
		"principal":             {strings.Replace(simple, "tenant: acme", "tenant: acme, trust: 11", 1), "a.scenario.yaml:3:"},
		"unlabelled":            {simple + "settings: {core: {require_label: true}}\n", "label"},
		"time":                  {strings.Replace(simple, "12:00:00Z", "12:00", 1), "a.scenario.yaml:2:7: expected a time"},
		"time, too fine":        {strings.Replace(simple, "12:00:00Z", "12:00:00.0001Z", 1), "whole milliseconds"},
		"attestation of nobody": {simple + "attestations: {bge-locl: self}\n", `did you mean "bge-local"?`},
		"attestation":           {simple + "attestations: {bge-local: verifed}\n", `did you mean "verified"?`},
		"history":               {simple + "history: [{tenant: a, intent: b, service: bge-local, n: 1, ok: 2, p95: 1}]\n", "a.scenario.yaml:17:11: 0 <= ok <= n <= 500"},
		"history, p95":          {simple + "history: [{tenant: a, intent: b, service: bge-local, n: 1, ok: 0, p95: 1}]\n", "p95 is at least 1 exactly if ok"},
		"history, twice":        {simple + "history: [{tenant: a, intent: b, service: bge-local, n: 1, ok: 1, p95: 1}, {tenant: a, intent: b, service: bge-local, n: 1, ok: 1, p95: 1}]\n", "a row of this tenant"},
		"outcome":               {strings.Replace(simple, "outcome: routed", "outcome: routd", 1), `did you mean "routed"?`},
		"winner":                {strings.Replace(simple, "outcome: routed", "winner: other", 1), "no contract here has the id"},
		"control":               {strings.Replace(simple, "outcome: routed", "control: [0]", 1), "has eight numbers, not 1"},
		"terms":                 {strings.Replace(simple, "outcome: routed", "candidates: [{service: bge-local, terms: {costs: 1}}]", 1), `did you mean "cost"?`},
		"stage":                 {strings.Replace(simple, "outcome: routed", "candidates: [{service: bge-local, eliminated: {stage: match, ids: []}}]", 1), `"match" is none of`},
		"expected twice":        {strings.Replace(simple, "outcome: routed", "candidates: [{service: bge-local}], unmatched: [{service: bge-local, ids: []}]", 1), "expected somewhere else"},
		"path without files":    {strings.Replace(simple, "contracts:\n", "contracts:\n  - a.yaml\n", 1), "paths are not followed here"},
	} {
		t.Run(name, func(t *testing.T) {
			scenarios, faults := scenario.Parse("a.scenario.yaml", []byte(test.text), nil)
			if scenarios != nil || !strings.Contains(faults.Error(), test.want) {
				t.Errorf("got %v %s\nwant %s", scenarios, faults, test.want)
			}
		})
	}
}

func TestContractsAtPaths(t *testing.T) {
	start, end := strings.Index(simple, "  - schema"), strings.Index(simple, "request:")
	contract := strings.ReplaceAll(simple[start:end], "\n    ", "\n")[len("  - "):]
	text := []byte(simple[:start] + "  - ../contracts/bge.yaml\n" + simple[end:])
	files := map[string]string{"tests/contracts/bge.yaml": contract}
	open := func(path string) ([]byte, error) {
		if text, ok := files[path]; ok {
			return []byte(text), nil
		}
		return nil, fs.ErrNotExist
	}
	scenarios, faults := scenario.Parse("tests/scenarios/a.scenario.yaml", text, open)
	if faults.HasErrors() || scenarios[0].Contracts[0].ID != "bge-local" {
		t.Fatal(faults)
	}
	files["tests/contracts/bge.yaml"] = contract + "colour: red\n"
	if _, faults = scenario.Parse("tests/scenarios/a.scenario.yaml", text, open); !strings.Contains(faults.Error(), "tests/contracts/bge.yaml:11:1") {
		t.Errorf("the fault has another place: %v", faults)
	}
	delete(files, "tests/contracts/bge.yaml")
	if _, faults = scenario.Parse("tests/scenarios/a.scenario.yaml", text, open); !strings.Contains(faults.Error(), "a.scenario.yaml:5:5") {
		t.Errorf("the fault has another place: %v", faults)
	}
}

func TestRowsAreThoseOfTenantAndIntent(t *testing.T) {
	s := parse(t, simple+`history:
  - {tenant: acme, intent: embeddings, service: bge-local, n: 3, ok: 1, p95: 9}
  - {tenant: other, intent: embeddings, service: bge-local, n: 500, ok: 1, p95: 9}
  - {tenant: acme, intent: chat, service: bge-local, n: 400, ok: 1, p95: 9}
`)
	if rows := s.Rows(); len(rows) != 1 || rows["bge-local"] != (contracts.History{N: 3, OK: 1, P95: 9}) {
		t.Errorf("rows %v", rows)
	}
}

func TestCompareShowsEveryDifference(t *testing.T) {
	objective, half := int64(7), contracts.Decimal(500_000)
	routed := verify.Decision{
		Outcome:   verify.Routed,
		Unmatched: []verify.Unmatched{{Service: "c", IDs: []string{"capability"}}},
		Candidates: []verify.Candidate{
			{Service: "a", Score: &verify.Score{Objective: objective, Terms: verify.Terms{Cost: 5}}},
			{Service: "b", Eliminated: &verify.Elimination{Stage: contracts.StagePolicy, Violations: []contracts.Violation{{ID: "Z"}, {ID: "X"}}}},
		},
		Choice: verify.Choice{Service: "a", Route: contracts.Internal, Guarantees: map[string]contracts.Bounds{"accuracy": {Min: &half}}},
	}
	for expect, want := range map[string]string{
		`{outcome: routed, winner: a, route: internal, violations: {a: [], b: [X, Z], c: [capability]}, control: [0, 0, 0, 0, 0, 0, 0, 0], guarantees: {accuracy: {min: 5e-1}}}`: "",
		`{unmatched: [{service: c, ids: [capability]}], candidates: [{service: b, eliminated: {stage: policy, ids: [Z, X]}}, {service: a, terms: {cost: 5}, objective: 7}]}`:     "",
		`{outcome: denied}`:                   `outcome "denied" "routed"`,
		`{winner: b}`:                         `winner "b" "a"`,
		`{route: hybrid}`:                     `route "hybrid" "internal"`,
		`{violations: {b: [X]}}`:              `violations.b ["X"] ["X","Z"]`,
		`{violations: {d: []}}`:               `violations.d [] none`,
		`{unmatched: []}`:                     `unmatched.c none ["capability"]`,
		`{control: [1, 0, 0, 0, 0, 0, 0, 0]}`: `control [1,0,0,0,0,0,0,0] [0,0,0,0,0,0,0,0]`,
		`{guarantees: {}}`:                    `guarantees.accuracy none {"min":{"decimal":"0.5"}}`,
		`{guarantees: {accuracy: {min: 0.5}, latency: {max: 9}}}`:                                         `guarantees.latency {"max":9} none`,
		`{candidates: [{service: a}]}`:                                                                    `candidates ["a"] ["a","b"]`,
		`{candidates: [{service: a, eliminated: {stage: policy, ids: [X]}}, {service: b, objective: 7}]}`: `candidates.a.eliminated {"ids":["X"],"stage":"policy"} none; candidates.b.objective 7 none`,
		`{candidates: [{service: a, terms: {cost: 6}}, {service: b, terms: {cost: 5}}]}`:                  `candidates.a.terms.cost 6 5; candidates.b.terms.cost 5 none`,
		`{candidates: [{service: a, estimate: {cost_micro_usd: 0, latency_ms: 3}}, {service: b}]}`:        `candidates.a.estimate {"cost_micro_usd":0,"latency_ms":3} {"cost_micro_usd":0}`,
	} {
		// Contracts b, c and d are there so that they can be spoken of.
		text := simple[:strings.Index(simple, "expect:")] + "expect: " + expect + "\n"
		contract := text[strings.Index(text, "  - schema"):strings.Index(text, "request:")]
		text = strings.Replace(text, "id: bge-local", "id: a", 1)
		for _, id := range []string{"b", "c", "d"} {
			text = strings.Replace(text, "request:", strings.Replace(contract, "bge-local", id, 1)+"request:", 1)
		}
		var got []string
		s := parse(t, text)
		for _, d := range s.Expect.Compare(routed) {
			got = append(got, d.Key+" "+d.Expected+" "+d.Actual)
		}
		if strings.Join(got, "; ") != want {
			t.Errorf("%s\ngot  %s\nwant %s", expect, strings.Join(got, "; "), want)
		}
	}
}

func TestScenariosAreTests(t *testing.T) {
	ctx := context.Background()
	s := parse(t, simple)
	if r, err := s.Test(ctx, nil); err != nil || r.Status != rego.TestPass || r.Name != "one service" || r.Pos != s.Pos {
		t.Errorf("%+v, %v", r, err)
	}
	missed := parse(t, strings.Replace(simple, "outcome: routed", "outcome: denied", 1))
	want := []rego.Value{{Role: rego.RoleExpected, Text: "outcome", Value: `"denied"`}, {Role: rego.RoleActual, Text: "outcome", Value: `"routed"`}}
	if r, err := missed.Test(ctx, nil); err != nil || r.Status != rego.TestFail || r.Detail == "" || len(r.Failures) != 1 || !slices.Equal(r.Failures[0].Values, want) {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := s.Test(ctx, []*rego.Bundle{{Name: "b", Roots: []string{""}, Files: []rego.File{{Path: "a.rego", Text: []byte("package")}}}}); err != nil || r.Status != rego.TestError || r.Detail == "" {
		t.Errorf("%+v, %v", r, err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Test(ended, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that ended: %v", err)
	}
}

func TestTable(t *testing.T) {
	got := scenario.Table([]scenario.Difference{{"winner", `"bge-local"`, `"other"`}, {"candidates.a.objective", "1", "none"}})
	want := "                        expected     actual\nwinner                  \"bge-local\"  \"other\"\ncandidates.a.objective  1            none\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("a.scenario.yaml", []byte(simple))
	if text, err := os.ReadFile("testdata/calculus.json"); err == nil {
		f.Add("a.scenario.json", text[:min(len(text), 100_000)])
	}
	f.Fuzz(func(t *testing.T, file string, text []byte) {
		scenarios, faults := scenario.Parse(file, text, func(string) ([]byte, error) { return nil, errors.New("no file") })
		if (len(scenarios) == 0) != faults.HasErrors() {
			t.Errorf("%d scenarios and %v", len(scenarios), faults)
		}
	})
}
