package rego_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/rego"
)

// tested is a bundle with a constraint, and a file of tests around the given ones.
func tested(t testing.TB, tests string) *rego.Bundle {
	return bundleOf(t, "b", map[string]string{
		"a.rego": policy("caio.policy.a", rule(`violation["A"] contains "leaves" if {
	input.route == "external"
	not allowed
}`), `allowed if input.service.id in data.caio.settings.a.allowed`, `unused if input.route == "hybrid"`),
		"data.json":   `{"caio": {"settings": {"a": {"allowed": []}}}}`,
		"schema.json": `{"required": ["caio"], "properties": {"caio": {"required": ["settings"], "properties": {"settings": {"required": ["a"], "properties": {"a": {"required": ["allowed"], "properties": {"allowed": {"type": "array", "items": {"type": "string"}}}}}}}}}}`,
		"a_test.rego": "package caio.policy.a_test\n\nimport data.caio.policy.a\nimport data.caio.testing\nimport rego.v2\n\n" + tests,
	})
}

const fourTests = `test_leaves if {
	print("route", testing.given({}, {}).route)
	found := a.violation.A with input as testing.given({}, {"placement": "external"})
	found == {"leaves"}
}

test_allowed if {
	found := a.violation.A with input as testing.candidate({"route": "external"}) with data.caio.settings.a.allowed as ["service"]
	count(found) == 1
}

test_misspelt if not a.violation.A with input as testing.given(json.unmarshal("{\"data\": {\"lables\": []}}"), {})

todo_test_later if a.violation.A == set()
`

// TestLabelsOfTests: a test may use the built-in labels, those of the settings in force, and those that it sets itself.
func TestLabelsOfTests(t *testing.T) {
	b := tested(t, `unread := a.violation

test_unknown if testing.given({"data": {"labels": [concat("", ["ph", "1"])]}}, {})

test_added if testing.given({"data": {"labels": ["telemetry"]}}, {})

test_set if {
	request := testing.given({"data": {"labels": ["financial", "pii"]}}, {}) with data.caio.settings.core.labels as ["financial"]
	request.route == "internal"
}
`)
	for _, c := range []struct{ settings, want string }{
		{"", "test_unknown error, test_added error, test_set pass"},
		{"telemetry", "test_unknown error, test_added pass, test_set pass"},
	} {
		o := rego.TestOptions{}
		if c.settings != "" {
			o.Settings = map[string]any{"core": map[string]any{"labels": []any{c.settings}}}
		}
		report, err := rego.Test(context.Background(), []*rego.Bundle{b}, o)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range report.Results {
			got = append(got, r.Name+" "+r.Status)
			if r.Name == "test_unknown" && !strings.Contains(r.Detail, `input.request.data.labels[0]: there is no label "ph1": did you mean "phi"?`) {
				t.Error(r.Detail)
			}
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("with %q: got %q, want %q", c.settings, got, c.want)
		}
	}
}

func outcome(r rego.Report) string {
	lines := []string{fmt.Sprintf("%d pass, %d fail, %d skip, %d error", r.Pass, r.Fail, r.Skip, r.Error)}
	for _, result := range r.Results {
		lines = append(lines, fmt.Sprintf("%v %s.%s %s %s%s", result.Pos, result.Package, result.Name, result.Status, result.Detail, result.Output))
	}
	for _, pos := range r.Uncovered {
		lines = append(lines, "uncovered "+pos.String())
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

func TestTest(t *testing.T) {
	b := tested(t, fourTests)
	report, err := rego.Test(context.Background(), []*rego.Bundle{b}, rego.TestOptions{Coverage: true})
	if err != nil {
		t.Fatal(err)
	}
	want := `1 pass, 1 fail, 1 skip, 1 error
b/a_test.rego:7:1 data.caio.policy.a_test.test_leaves pass route internal

b/a_test.rego:13:1 data.caio.policy.a_test.test_allowed fail line 15 is not true: count(found) == 1
  expected  1
  actual    0
  found = set()
b/a_test.rego:18:1 data.caio.policy.a_test.test_misspelt error caio.testing.fill: input.request.data has no key lables: did you mean "labels"?
at b/a_test.rego:18:50: testing.given(json.unmarshal("{\"data\": {\"lables\": []}}"), {})
b/a_test.rego:20:1 data.caio.policy.a_test.todo_test_later skip 
uncovered b/a.rego:15:1
uncovered b/a.rego:15:11`
	if got := outcome(report); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if report.Coverage == nil || *report.Coverage != 80 || report.Results[0].Duration <= 0 {
		t.Errorf("coverage %v, duration %v", report.Coverage, report.Results[0].Duration)
	}
}

func TestTestOptions(t *testing.T) {
	b := []*rego.Bundle{tested(t, fourTests)}
	for name, c := range map[string]struct {
		options rego.TestOptions
		want    string
	}{
		"run":      {rego.TestOptions{Run: "leaves$"}, "1 pass, 0 fail, 0 skip, 0 error"},
		"none":     {rego.TestOptions{Run: "nothing"}, "0 pass, 0 fail, 0 skip, 0 error"},
		"settings": {rego.TestOptions{Run: "leaves$", Options: rego.Options{Settings: map[string]any{"a": map[string]any{"allowed": []any{"service"}}}}}, "0 pass, 1 fail, 0 skip, 0 error"},
	} {
		report, err := rego.Test(context.Background(), b, c.options)
		if got, _, _ := strings.Cut(outcome(report), "\n"); err != nil || got != c.want || report.Coverage != nil {
			t.Errorf("%s: got %v, %s, want %s", name, err, got, c.want)
		}
	}
	report, err := rego.Test(context.Background(), b, rego.TestOptions{Run: "leaves|allowed", Trace: rego.TraceFull, Coverage: true})
	if err != nil || report.Coverage == nil || report.Results[0].Trace != "" || !strings.Contains(report.Results[1].Trace, "Enter data.caio.policy.a_test.test_allowed") {
		t.Errorf("trace: %v, %v", err, report)
	}
	if _, err := rego.Test(context.Background(), b, rego.TestOptions{Run: "("}); err == nil {
		t.Error("a broken expression was accepted")
	}
	var faults contracts.Diagnostics
	if _, err := rego.Test(context.Background(), []*rego.Bundle{tested(t, "test_x if input.rout == testing.given(a.violation.A, {})\n")}, rego.TestOptions{}); !errors.As(err, &faults) || faults[0].Code != "unknown-field" {
		t.Errorf("a fault is %v", err)
	}
}

// TestTestCases are tests with cases, and two of one name.
func TestTestCases(t *testing.T) {
	report, err := rego.Test(context.Background(), []*rego.Bundle{tested(t, `test_cases[name] if {
	some name, c in {"good": {"n": 1}, "bad": {"n": 2}}
	count(a.violation.A) + c.n == 1 with input as testing.given({}, {})
}

test_cases_good[name] if {
	some name in ["one", "two"]
	name != "three"
}
`)}, rego.TestOptions{})
	want := "3 pass, 1 fail, 0 skip, 0 error\nb/a_test.rego:7:1 data.caio.policy.a_test.test_cases fail case bad: line 9 is not true: count(a.violation.A) + c.n == 1 with input as"
	if err != nil || !strings.HasPrefix(outcome(report), want) {
		t.Errorf("got %v\n%s\nwant\n%s", err, outcome(report), want)
	}
}

// TestTestTimeout checks that a test that takes too long is an error of that test, and a cancelled run one of the run.
func TestTestTimeout(t *testing.T) {
	b := []*rego.Bundle{tested(t, "test_slow if count([1 | testing.given({}, {}).route != a.violation.A; some x in numbers.range(1, 3000); some y in numbers.range(1, 3000); x * y == -1]) == 0\n\ntest_fast if true\n")}
	report, err := rego.Test(context.Background(), b, rego.TestOptions{Timeout: 100 * time.Millisecond})
	if err != nil || report.Error != 1 {
		t.Errorf("got %v, %s", err, outcome(report))
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := rego.Test(ctx, b, rego.TestOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestTestOfOneBundle counts the tests of one bundle among several in force, as the gate before an activation does.
func TestTestOfOneBundle(t *testing.T) {
	pack := func(name, tests string) *rego.Bundle {
		return bundleOf(t, name, map[string]string{
			".manifest":   fmt.Sprintf(`{"roots": ["caio/policy/%[1]s", "caio/policy/%[1]s_test"]}`, name),
			"p.rego":      policy("caio.policy."+name, rule(`violation["`+name+`"] contains "leaves" if input.route == "external"`)),
			"p_test.rego": "package caio.policy." + name + "_test\n\nimport data.caio.policy." + name + "\nimport data.caio.testing\nimport rego.v2\n\n" + tests,
		})
	}
	test := func(name string) string {
		return "test_inside if " + name + `.violation["` + name + `"] == set() with input as testing.given({}, {"placement": "internal"})` + "\n"
	}
	broken := strings.Replace(test("one"), "internal", "external", 1)
	bundles := []*rego.Bundle{pack("one", broken), pack("two", test("two")), bundleOf(t, "none", map[string]string{".manifest": `{"roots": ["caio/policy/none"]}`})}
	for name, want := range map[string]string{
		"two":  "1 pass, 0 fail, 0 skip, 0 error",
		"one":  "0 pass, 1 fail, 0 skip, 0 error",
		"none": "0 pass, 0 fail, 0 skip, 0 error",
	} {
		for _, failFast := range []bool{false, true} {
			report, err := rego.Test(context.Background(), bundles, rego.TestOptions{Bundles: []string{name}, FailFast: failFast})
			if got, _, _ := strings.Cut(outcome(report), "\n"); err != nil || got != want {
				t.Errorf("%s: got %v, %s, want %s", name, err, got, want)
			}
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Nanosecond)
	defer cancel()
	if _, err := rego.Test(ctx, bundles, rego.TestOptions{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("beyond the time for all tests: %v", err)
	}
}

// TestTestBench measures what passed, with the built-in functions that tests have.
func TestTestBench(t *testing.T) {
	report, err := rego.Test(context.Background(), []*rego.Bundle{tested(t, fourTests)}, rego.TestOptions{Run: "leaves|allowed", Bench: true})
	if err != nil {
		t.Fatal(err)
	}
	measured, failed := report.Results[0].Bench, report.Results[1].Bench
	if measured == nil || measured.N < 1 || measured.Time <= 0 || measured.Bytes <= 0 || measured.Allocs <= 0 || failed != nil {
		t.Errorf("got %+v and %+v", measured, failed)
	}
}
