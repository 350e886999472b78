package main

import (
	"testing"

	"github.com/smarthausgroup/caio/engine"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
)

// Signatures that were checked go into the evidence, others do not: there a document that calls a bundle unsigned may show none.
func TestEvidenceHoldsTheSignaturesThatWereChecked(t *testing.T) {
	snapshot, err := engine.NewSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]int{"": 1, "release": 2} {
		p := &offlineProof{evidence: &verify.Evidence{Snapshot: map[string]string{}, Contracts: map[string][]byte{}, Bundles: map[string]map[string][]byte{}}}
		bundle := &rego.Bundle{Name: "a", Digest: "d", Key: key, Files: []rego.File{{Path: "a.rego"}}, Signatures: []byte("{}")}
		references := p.collect(engine.Arguments{Snapshot: snapshot}, []*rego.Bundle{bundle})
		if files := p.evidence.Bundles["d"]; len(files) != want || references[0].Key != key {
			t.Errorf("key %q: %v", key, files)
		}
	}
}
