package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine"
	"github.com/smarthausgroup/caio/rego"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// plainContract returns a plain contract of a service that offers some capabilities for a price a call in USD.
func plainContract(t testing.TB, id string, price int, capabilities ...string) *contracts.Contract {
	t.Helper()
	c, diagnostics := contracts.ParseContract(id+".yaml", []byte(fmt.Sprintf(`
schema: caio.contract/v1
id: %s
name: Service %s
version: 1.0.0
description: Answers questions about numbers and letters.
owner: owner@example.com
tags: [fast, cheap]
placement: external
capabilities: [{type: %s}]
guarantees: {latency: {max: 300}, availability: {min: 0.99}}
limits: {max_input_tokens: 100000}
cost: {per_call: %d}
privacy: {locality: cloud, regions: [eu], encryption: {in_transit: true, at_rest: true}}
`, id, id, strings.Join(capabilities, "}, {type: "), price)))
	if diagnostics.HasErrors() {
		t.Fatal(diagnostics)
	}
	return c
}

func compiled(t testing.TB, c *contracts.Contract, a contracts.Attestation) *engine.Service {
	t.Helper()
	s, diagnostics := engine.NewService(c, a)
	if diagnostics.HasErrors() {
		t.Fatal(diagnostics)
	}
	return s
}

func plainRequest(t testing.TB, text string) *contracts.Request {
	t.Helper()
	r, diagnostics := contracts.ParseRequest("request.json", []byte(text), contracts.Admission{Operator: true})
	if diagnostics.HasErrors() {
		t.Fatal(diagnostics)
	}
	return r
}

// holdingRules compiles n constraints that each read a few fields and hold.
func holdingRules(t testing.TB, n int) *rego.Policies {
	t.Helper()
	var module strings.Builder
	module.WriteString("package caio.policy.rules\n\nimport rego.v2\n")
	for i := range n {
		fmt.Fprintf(&module, `
# METADATA
# title: Rule %d
# custom:
#   severity: low
#   controls: []
#   remedy: none
violation["RULE-%03d"] contains msg if {
	"label-%d" in input.request.data.labels
	not "eu" in input.service.privacy.regions
	msg := sprintf("%%s is not in the EU", [input.service.id])
}
`, i, i, i)
	}
	bundle, diagnostics := rego.ReadFS("rules", fstest.MapFS{"policy/rules/rules.rego": {Data: []byte(module.String())}})
	if diagnostics.HasErrors() {
		t.Fatal(diagnostics)
	}
	policies, diagnostics := rego.Compile([]*rego.Bundle{bundle}, rego.Options{})
	if diagnostics.HasErrors() {
		t.Fatal(diagnostics)
	}
	return policies
}
