package replay_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/verify"
)

// TestOtherEvaluators: each version counts.
func TestOtherEvaluators(t *testing.T) {
	for name, change := range map[string]func(b *verify.Build){
		"OPA":          func(b *verify.Build) { b.OPA = "0" },
		"CEL":          func(b *verify.Build) { b.CEL = "0" },
		"capabilities": func(b *verify.Build) { b.Capabilities = strings.Repeat("2", 64) },
	} {
		p := prove(t, requests["texts"])
		change(&p.document.Engine)
		p.seal(t)
		if _, again := p.check(trusted); again.Status != verify.Pass {
			t.Errorf("%s, nothing differs: %+v", name, again)
		}
		p.document.Warnings = nil
		p.seal(t)
		if _, again := p.check(trusted); again.Status != verify.Inconclusive {
			t.Errorf("%s: %+v", name, again)
		}
	}
}

// TestOtherEvaluatorsExplainOnlyVerdicts: an insider who names another version may not write whatever he likes.
func TestOtherEvaluatorsExplainOnlyVerdicts(t *testing.T) {
	broken := []byte("package caio.policy.region\n\nimport rego.v2\n\nallow if no.such.builtin(1)\n")
	for name, test := range map[string]struct {
		change  func(p *proof)
		want    verify.Status
		pointer string
	}{
		"a constraint that found something": {func(p *proof) {
			c := &p.document.Candidates[1]
			c.Score, c.Eliminated = nil, &verify.Elimination{Stage: contracts.StagePolicy, Violations: []contracts.Violation{{Kind: contracts.KindRego, ID: "REGION", Value: 1, Reason: "whatever"}}}
			p.document.Choice.RunnerUp = nil
		}, verify.Inconclusive, "/candidates/1/eliminated"},
		"and the runner-up is still named": {func(p *proof) {
			c := &p.document.Candidates[1]
			c.Score, c.Eliminated = nil, &verify.Elimination{Stage: contracts.StagePolicy, Violations: []contracts.Violation{{Kind: contracts.KindRego, ID: "REGION", Value: 1, Reason: "whatever"}}}
		}, verify.Fail, "/decision/runner_up"},
		"a constraint that there is not": {func(p *proof) { p.document.Candidates[0].Eliminated.Violations[0].ID = "INVENTED" }, verify.Fail, "/candidates/0/eliminated/violations/0/id"},
		"a constraint of another stage":  {func(p *proof) { p.document.Candidates[0].Eliminated.Stage = contracts.StageTraits }, verify.Fail, "/candidates/0/eliminated/violations/0/id"},
		"a predicate that there is not":  {func(p *proof) { p.document.Unmatched[1].IDs = []string{"invented"} }, verify.Fail, "/unmatched/1/ids/0"},
		"a service left out":             {func(p *proof) { p.document.Unmatched = p.document.Unmatched[1:] }, verify.Fail, "/candidates"},
		"a satisfied constraint less":    {func(p *proof) { p.document.Satisfied.Constraints = nil }, verify.Fail, "/satisfied/constraints/0"},
		"policies that do not compile":   {func(p *proof) { p.policy(t, broken) }, verify.Inconclusive, ""},
		"and other scores": {func(p *proof) {
			p.policy(t, broken)
			p.document.Candidates[1].Score.Terms.Risk++
		}, verify.Fail, "/candidates/1/score/terms/risk"},
	} {
		p := prove(t, requests["texts"])
		p.document.Engine.OPA = "0.9"
		test.change(p)
		p.bind(t)
		if _, again := p.check(trusted); again.Status != test.want || again.Pointer != test.pointer {
			t.Errorf("%s: %+v", name, again)
		}
	}
}

// policy puts another policy into the bundle.
func (p *proof) policy(t *testing.T, text []byte) {
	t.Helper()
	files := maps.Clone(p.evidence.Bundles[p.document.Bundles[0].Digest])
	files["region.rego"] = text
	digest, err := verify.BundleDigest(files)
	if err != nil {
		t.Fatal(err)
	}
	p.evidence.Bundles, p.document.Bundles[0].Digest = map[string]map[string][]byte{digest: files}, digest
}
