package rego_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/rego"
)

// doubled is a module that doubles something k times.
func doubled(k int, first, double, then string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "a0 := %s\n", first)
	for i := range k {
		fmt.Fprintf(&text, "a%d := %s\n", i+1, strings.ReplaceAll(double, "A", fmt.Sprint("a", i)))
	}
	return text.String() + strings.ReplaceAll(then, "A", fmt.Sprint("a", k))
}

// No policy makes more than a server has: what would is an error of its constraint, which denies, and the constraint beside it is evaluated all the same.
func TestWhatBuiltinsMakeIsBounded(t *testing.T) {
	for name, rules := range map[string]string{
		"concat":          doubled(40, `"xxxxxxxx"`, `concat("", [A, A])`, `big if count(A) == 1`),
		"a delimiter":     doubled(40, `"xxxxxxxx"`, `concat(A, ["", "", ""])`, `big if count(A) == 1`),
		"sprintf":         doubled(40, `"xxxxxxxx"`, `sprintf("%s%s", [A, A])`, `big if count(A) == 1`),
		"a template":      doubled(40, `"xxxxxxxx"`, `$"{A}{A}"`, `big if count(A) == 1`),
		"replace":         doubled(40, `"xxxxxxxx"`, `replace(A, "x", "xx")`, `big if count(A) == 1`),
		"replace_n":       doubled(40, `"xxxxxxxx"`, `strings.replace_n({"x": "xx"}, A)`, `big if count(A) == 1`),
		"regex.replace":   doubled(40, `"xxxxxxxx"`, `regex.replace(A, "(x+)", "$1$1")`, `big if count(A) == 1`),
		"base64":          doubled(100, `"xxxxxxxx"`, `base64.encode(A)`, `big if count(A) == 1`),
		"array.concat":    doubled(40, `[1]`, `array.concat(A, A)`, `big if count(A) == 1`),
		"a shared array":  doubled(40, `[1]`, `[A, A]`, `big if count(json.marshal(A)) == 1`),
		"numbers.range":   `big if count(numbers.range(1, 1000000000)) == 1`,
		"range_step":      `big if count(numbers.range_step(1, 10000000000, 2)) == 1`,
		"an exponent":     `big if count(numbers.range(1, 1e30)) == 1`,
		"net.cidr_expand": `big if count(net.cidr_expand("10.0.0.0/4")) == 1`,
		"bits.lsh":        `big if bits.lsh(1, 10000000000) == 1`,
		"products":        doubled(40, `99999999999`, `A * A`, `big if A == 1`),
		"many":            doubled(10, `"xxxxxxxx"`, `concat("", [A, A])`, `big if count({s | some i in numbers.range(1, 100000); s := sprintf("%d%s", [i, A])}) == 1`),
	} {
		t.Run(name, func(t *testing.T) {
			policies := compiled(t, rego.Options{}, bundleOf(t, "house", map[string]string{"house.rego": policy("caio.policy.house",
				rule(`violation["BIG"] contains "big" if big`), rule(`violation["SMALL"] contains "small" if input.route == "internal"`), rules)}))
			findings, err := policies.Evaluate(context.Background(), contracts.StagePolicy, input("eu", contracts.External, 1))
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(findings.Violations); !strings.Contains(got, "BIG") || strings.Contains(got, "SMALL") || len(findings.Violations) != 1 || findings.Violations[0].Reason != contracts.ReasonError {
				t.Errorf("%s", got)
			}
		})
	}
}

// An argument of a few kilobytes made OPA's compiler work for more than a minute: rules that each need the hundreds before.
func TestDependenciesAreBounded(t *testing.T) {
	rules := []string{rule(`violation["DENSE"] contains "x" if h1149`), `h0 if input.route == "external"`}
	for i := 1; i < 1150; i++ {
		var needs []string
		for j := max(0, i-250); j < i; j++ {
			needs = append(needs, fmt.Sprint("h", j))
		}
		rules = append(rules, fmt.Sprintf("h%d if { %s }", i, strings.Join(needs, "; ")))
	}
	_, diagnostics := rego.Compile([]*rego.Bundle{bundleOf(t, "dense", map[string]string{"dense.rego": policy("caio.policy.dense", rules...)})}, rego.Options{})
	if len(diagnostics) != 1 || diagnostics[0].Code != "too-large" || !strings.Contains(diagnostics[0].Summary, "need each other") {
		t.Errorf("%v", diagnostics)
	}
	// One name of many rules is as many dependencies.
	rules = []string{rule(`violation["DENSE"] contains "x" if g`)}
	for i := range 200 {
		rules = append(rules, fmt.Sprintf("f(x) if x == %d", i), fmt.Sprintf("g if f(input.request.seed + %d)", i))
	}
	_, diagnostics = rego.Compile([]*rego.Bundle{bundleOf(t, "dense", map[string]string{"dense.rego": policy("caio.policy.dense", rules...)})}, rego.Options{})
	if len(diagnostics) != 1 || diagnostics[0].Code != "too-large" {
		t.Errorf("%v", diagnostics)
	}
}
