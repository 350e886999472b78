package rego

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	oparego "github.com/open-policy-agent/opa/v1/rego"
	"github.com/smarthausgroup/caio/contracts"
	"pgregory.net/rapid"
)

// grid are well-formed inputs, among which the fields that the expressions below read have every value that matters.
func grid(t *testing.T) (inputs []ast.Value) {
	t.Helper()
	parts := []string{""}
	for _, field := range [][]string{
		{`"route": "internal"`, `"route": "hybrid"`, `"route": "external"`},
		{`"request": {"seed": 0, "data": {"labels": []}}`, `"request": {"seed": 3, "data": {"labels": ["pii"]}}`, `"request": {"seed": 5, "data": {"labels": ["phi", "pii"]}}`, `"request": {"seed": 8, "data": {"labels": ["Mine"]}}`},
		{`"service": {}`, `"service": {"id": "", "privacy": {"trains_on_data": true}}`, `"service": {"id": "eu", "privacy": {"locality": "cloud", "trains_on_data": false}}`, `"service": {"privacy": {"locality": "on_device"}, "attributes": {"x": 3}}`, `"service": {"privacy": {"locality": "local"}, "attributes": {"x": "pii"}}`},
	} {
		var longer []string
		for _, part := range parts {
			for _, value := range field {
				longer = append(longer, strings.TrimPrefix(part+", "+value, ", "))
			}
		}
		parts = longer
	}
	for _, part := range parts {
		decoder := json.NewDecoder(strings.NewReader("{" + part + "}"))
		decoder.UseNumber()
		var value any
		if err := decoder.Decode(&value); err != nil {
			t.Fatal(err)
		}
		whole, err := given(value, append(contracts.Labels(), "Mine"))
		if err != nil {
			t.Fatal(part, err)
		}
		input, err := ast.InterfaceToValue(whole)
		if err != nil {
			t.Fatal(err)
		}
		inputs = append(inputs, input)
	}
	return inputs
}

// expression draws one of a small language, with names and values that are right and some that are not.
func expression(t *rapid.T) string {
	draw := func(name string, list ...string) string { return rapid.SampledFrom(list).Draw(t, name) }
	place := func() string {
		return draw("place", "input.route", "input.route", "input.service.privacy.locality", "input.request.seed", "input.request.data.labels", "input.service.privacy.trains_on_data", "input.service.attributes.x",
			"input.service.id", "lower(input.route)", "upper(input.route)", "count(input.request.data.labels)", "count(input.service.id)", "object.keys(input.service.attributes)", "routes[_]", "route_of(input)", "one_of(input.route)", "one_of(input.request.seed)",
			`trim_prefix(input.route, "in")`, "[l | some l in input.request.data.labels]", `object.get(input.service.privacy, "trains_on_data", 3)`)
	}
	literal := func() string {
		return draw("literal", `"internal"`, `"external"`, `"hybrid"`, `"EXTERNAL"`, `"cloud"`, `"local"`, `"on_device"`, `"ternal"`, `"pii"`, `"x"`, `""`, "0", "3", "5", "-1", "2.5", "true", "false", "null", "[]", `{"pii"}`, `["pii"]`, "{}", `{"internal", "hybrid", "external"}`)
	}
	operand := func() string { return draw("operand", place(), literal()) }
	text := ""
	switch draw("form", "compare", "compare", "compare", "in", "truth", "match") {
	case "compare":
		text = operand() + draw("operator", " == ", " != ", " < ", " <= ", " > ", " >= ") + operand()
	case "in":
		text = operand() + " in " + operand()
	case "truth":
		text = operand()
	case "match":
		text = draw("matcher", "startswith", "endswith", "contains") + "(" + draw("of", "input.route", "input.service.privacy.locality", "input.service.id", "route_of(input)") + ", " + draw("with", `"in"`, `"nal"`, `"loc"`, `"xyz"`, `""`) + ")"
	}
	return draw("not", "", "", "not ") + text
}

const soundness = `package caio.policy.a

import rego.v2

# METADATA
# title: T
# custom:
#   severity: low
#   controls: []
#   remedy: R
violation["A"] contains "x" if {
	%s
}

routes := {"internal", input.route}

route_of(x) := x.route

one_of(x) := x if input.request.seed > 3

else := "x"
`

// TestSoundness holds what is said of expressions to evaluation: one that is a fault has the same truth whatever the input, and a body that is reported as never true is never true.
func TestSoundness(t *testing.T) {
	inputs, reported := grid(t), 0
	var stated []ast.Value
	for _, input := range inputs {
		if v, err := input.Find(ast.MustParseRef("input.service.privacy.trains_on_data")[1:]); err == nil && v != nil {
			stated = append(stated, input)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.SliceOfN(rapid.Custom(expression), 1, 4).Draw(t, "body")
		text := fmt.Sprintf(soundness, strings.Join(body, ";\n\t"))
		bundle, faults := ReadFiles("b", map[string][]byte{"a.rego": []byte(text)})
		if faults.HasErrors() {
			t.Fatal(faults)
		}
		_, faults = Check([]*Bundle{bundle}, Options{})
		for _, d := range faults {
			if d.Pos.Line < 12 || d.Pos.Line >= 12+len(body) {
				continue // of the rest of the module: what no expression reads
			}
			reported++
			expressions, inputs := body, inputs
			switch d.Code {
			case "type-mismatch", "unknown-value", "unknown-field":
				expressions, inputs = body[d.Pos.Line-12:d.Pos.Line-11], stated // a comparison with what is absent is undefined, whatever it is
			case "unreachable", "never-true":
			case "type-error", "no-test", "unsafe-var-error", "compile-error", "parse-error":
				continue
			default:
				t.Fatalf("%s: %v", d.Code, d)
			}
			truths := map[bool]bool{}
			for _, truth := range evaluated(t, expressions, inputs) {
				truths[truth] = true
			}
			if len(truths) > 1 || len(expressions) > 1 && truths[true] || (d.Code == "unreachable" || d.Code == "never-true") && truths[true] {
				t.Fatalf("%s: %v\nis %v of\n%s", d.Code, d, truths, strings.Join(expressions, "\n"))
			}
		}
	})
	if reported == 0 {
		t.Error("nothing was ever reported")
	}
}

// evaluated is whether a body is true, by input. OPA's own type checker, which sees no schema here, may refuse it: then there is nothing to say.
func evaluated(t *rapid.T, body []string, inputs []ast.Value) (truths []bool) {
	module := fmt.Sprintf(soundness, strings.Join(body, ";\n\t"))
	query, err := oparego.New(oparego.Query("count(data.caio.policy.a.violation.A) > 0"), oparego.Module("a.rego", module), oparego.SetRegoVersion(ast.RegoV1)).PrepareForEval(context.Background())
	if err != nil {
		return nil
	}
	for _, input := range inputs {
		result, err := query.Eval(context.Background(), oparego.EvalParsedInput(input))
		if err != nil {
			t.Fatal(err)
		}
		truths = append(truths, result.Allowed())
	}
	return truths
}
