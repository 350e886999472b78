package replay_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"slices"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/replay"
)

// signedBy makes the evidence a file, its statement signed with the key of that seed, and the trust of an auditor who pinned the issuer's, which is of seed 1.
func (p *proof) signedBy(t *testing.T, seed byte) ([]byte, verify.Trust) {
	t.Helper()
	signers := map[byte]*verify.Signer{}
	for _, s := range []byte{1, seed} {
		signer, err := verify.NewSigner(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{s}, ed25519.SeedSize)))
		if err != nil {
			t.Fatal(err)
		}
		signers[s] = signer
	}
	statement, err := verify.NewStatement(p.document, verify.Digest(p.evidence.Document), verify.RetentionStandard)
	if err != nil {
		t.Fatal(err)
	}
	if p.evidence.Statement, err = signers[seed].Sign(verify.TypDecision, statement); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := verify.WriteEvidence(&file, p.evidence); err != nil {
		t.Fatal(err)
	}
	return file.Bytes(), verify.Trust{Issuer: p.document.Issuer, Logs: []verify.Log{{Origin: p.document.Log}}, Keys: verify.Keys{{Public: signers[1].Public()}}}
}

// forever is a policy that takes long.
var forever = []byte("package caio.policy.region\n\nimport rego.v2\n\n# METADATA\n# title: T\n# custom:\n#   severity: high\n#   controls: []\n#   remedy: none\n" +
	"violation[\"L\"] contains \"x\" if {\n\tsome a in numbers.range(1, 100000)\n\tsome b in numbers.range(1, 100000)\n\ta * b == -1\n}\n")

// TestStrangersPoliciesAreNotRun: only what was signed is evaluated, and that not for ever.
func TestStrangersPoliciesAreNotRun(t *testing.T) {
	const limit = 300 * time.Millisecond
	for name, test := range map[string]struct {
		change func(p *proof)
		key    byte
		want   verify.Status
		reason string
	}{
		"nothing":                  {func(*proof) {}, 1, verify.Pass, ""},
		"a stranger":               {func(*proof) {}, 2, verify.Skipped, "not run: policies are programs, and signature failed"},
		"a stranger's policy":      {func(p *proof) { p.policy(t, forever) }, 2, verify.Skipped, "not run: policies are programs, and signature failed"},
		"an insider's policy":      {func(p *proof) { p.policy(t, forever) }, 1, verify.Inconclusive, "the re-evaluation took longer than 300ms"},
		"a bundle that is no part": {func(p *proof) { p.evidence.Bundles["x"] = map[string][]byte{"a": nil} }, 1, verify.Skipped, "not run: policies are programs, and document failed"},
	} {
		p := prove(t, requests["texts"])
		test.change(p)
		p.bind(t)
		file, trust := p.signedBy(t, test.key)
		o := trusted
		o.Build, o.Timeout = build, limit
		if name == "nothing" {
			o.Timeout = time.Minute
		}
		began := time.Now()
		_, verdicts := replay.CheckFile(context.Background(), file, trust, o)
		if took := time.Since(began); took > 20*limit {
			t.Errorf("%s: took %s", name, took)
		}
		i := slices.IndexFunc(verdicts, func(v verify.Verdict) bool { return v.Layer == verify.LayerReplay })
		if i < 0 || verdicts[i].Status != test.want || verdicts[i].Reason != test.reason {
			t.Errorf("%s: %+v", name, verdicts)
		}
		if len(verdicts) != 10 || !slices.Equal(verdicts, verify.Arrange(verdicts)) {
			t.Errorf("%s: %+v", name, verdicts)
		}
	}
	p := prove(t, requests["texts"])
	p.evidence.Document = []byte("{}")
	file, trust := p.signedBy(t, 1)
	if _, verdicts := replay.CheckFile(context.Background(), file, trust, trusted); len(verdicts) != 10 || verify.ExitCode(verdicts) != verify.ExitFailed {
		t.Errorf("no document: %+v", verdicts)
	}
	if ev, verdicts := replay.CheckFile(context.Background(), []byte("x"), trust, trusted); ev != nil || len(verdicts) != 1 {
		t.Errorf("no evidence: %+v", verdicts)
	}
}
