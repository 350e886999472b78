package rego_test

import (
	"testing"

	"github.com/smarthausgroup/caio/policies"
	"github.com/smarthausgroup/caio/rego"
)

// BenchmarkCompile is what a server does at its start and at each activation: the packs that come with it, compiled.
func BenchmarkCompile(b *testing.B) {
	bundle, faults := rego.ReadFS("policies", policies.FS)
	if err := faults.Err(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, faults := rego.Compile([]*rego.Bundle{bundle}, rego.Options{}); faults.HasErrors() {
			b.Fatal(faults)
		}
	}
}
