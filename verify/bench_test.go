package verify_test

import (
	"context"
	"testing"

	"github.com/smarthausgroup/caio/verify"
)

// What a decision costs beyond deciding: commitments, document, digest, statement, signature.
func BenchmarkProve(b *testing.B) {
	p := example(b)
	s := signer(b, 1)
	h := header()
	for b.Loop() {
		c, _, err := verify.Commit(p.request, p.principal.Subject, salt)
		if err != nil {
			b.Fatal(err)
		}
		d := verify.NewDocument(h, p.request, p.principal, c, p.document.Decision)
		text := must(d.Canonical())(b)
		statement := must(verify.NewStatement(d, verify.Digest(text), verify.RetentionStandard))(b)
		must(s.Sign(verify.TypDecision, statement))(b)
	}
}

func BenchmarkCheckFile(b *testing.B) {
	p := example(b)
	file := written(b, p.evidence)
	for b.Loop() {
		verify.CheckFile(context.Background(), file, p.trust, verify.Options{})
	}
}
