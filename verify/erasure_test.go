package verify_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/verify"
)

// erased is the example with its content erased, and its document too, by a record that may be changed before it is signed.
func erased(t *testing.T, documents bool, change func(*verify.ErasureRecord), by byte) *proof {
	t.Helper()
	p := example(t)
	p.evidence.Disclosures = nil
	r := verify.ErasureRecord{
		RecordHead: verify.RecordHead{V: 1, Tenant: p.document.Tenant, Log: p.document.Log, Base: 100, IAT: fixedTime.Unix() + 3600},
		Kind:       verify.KindErased, Subject: strings.Repeat("0", 32), Documents: documents, Actor: "dpo", Reason: "asked for",
	}
	if change != nil {
		change(&r)
	}
	p.evidence.Erasure = must(signer(t, by).Sign(verify.TypErasure, r))(t)
	if documents {
		p.evidence = &verify.Evidence{Statement: p.evidence.Statement, Erasure: p.evidence.Erasure}
	}
	return p
}

// Evidence of what was erased is read, says so, and never passes as whole: what can be checked still passes.
func TestErasedEvidence(t *testing.T) {
	for _, documents := range []bool{false, true} {
		p := erased(t, documents, nil, 1)
		file := written(t, p.evidence)
		ev, verdicts := verify.CheckFile(context.Background(), file, p.trust, verify.Options{})
		if ev == nil || !bytes.Equal(written(t, ev), file) {
			t.Fatalf("documents %t: %+v", documents, verdicts)
		}
		want := map[string]verify.Status{verify.LayerEvidence: verify.Pass, verify.LayerSignature: verify.Pass, verify.LayerDocument: verify.Pass, verify.LayerArgmax: verify.Pass}
		if documents {
			want[verify.LayerDocument], want[verify.LayerArgmax] = verify.Skipped, verify.Skipped
		}
		for layer, status := range want {
			v := verdict(t, verdicts, layer)
			if v.Status != status || status == verify.Skipped && !strings.Contains(v.Reason, "erased") {
				t.Errorf("documents %t: %+v", documents, v)
			}
		}
		if code := verify.ExitCode(verdicts); code != verify.ExitUntold {
			t.Errorf("documents %t: exit code %d", documents, code)
		}
		if text := ev.ErasedText(p.trust, nil); !strings.Contains(text, "the operator says, erased on") || !strings.Contains(text, "asked for") || strings.Contains(text, "document") != documents {
			t.Errorf("documents %t: %q", documents, text)
		}
		index := int64(7)
		if text := ev.ErasedText(p.trust, &index); !strings.Contains(text, "the log says at index 7, erased on") {
			t.Errorf("documents %t, in the log: %q", documents, text)
		}
	}
}

// An entry that does not hold, or says something else, is no excuse for what is missing.
func TestForgedErasures(t *testing.T) {
	tests := map[string]func() *proof{
		"a stranger's":      func() *proof { return erased(t, false, nil, 2) },
		"of another log":    func() *proof { return erased(t, false, func(r *verify.ErasureRecord) { r.Log = "other" }, 1) },
		"of another tenant": func() *proof { return erased(t, false, func(r *verify.ErasureRecord) { r.Tenant = "other" }, 1) },
		"of before": func() *proof {
			return erased(t, false, func(r *verify.ErasureRecord) { r.IAT = fixedTime.Unix() - 1 }, 1)
		},
		"of a key that was retired before it": func() *proof {
			p := erased(t, false, func(r *verify.ErasureRecord) { r.Base = 2000 }, 1)
			last := int64(1999)
			p.trust.Keys[0].Intervals = map[string]verify.Interval{p.document.Log: {NotAfter: &last}}
			return p
		},
		"of nobody":       func() *proof { return erased(t, false, func(r *verify.ErasureRecord) { r.Subject = "" }, 1) },
		"of another kind": func() *proof { return erased(t, false, func(r *verify.ErasureRecord) { r.Kind = verify.KindHeld }, 1) },
		"of another class": func() *proof {
			return erased(t, false, func(r *verify.ErasureRecord) { r.Kind, r.Subject, r.Retention = verify.KindExpired, "", "short" }, 1)
		},
		"of another version": func() *proof { return erased(t, false, func(r *verify.ErasureRecord) { r.V = 2 }, 1) },
		"beside the content": func() *proof {
			p := erased(t, false, nil, 1)
			p.evidence.Disclosures = example(t).disclosures
			return p
		},
		"without documents, and there is none": func() *proof {
			p := erased(t, false, nil, 1)
			p.evidence = &verify.Evidence{Statement: p.evidence.Statement, Erasure: p.evidence.Erasure}
			return p
		},
		"another entry": func() *proof {
			p := erased(t, false, nil, 1)
			p.evidence.Erasure = p.evidence.Statement
			return p
		},
	}
	for name, of := range tests {
		p := of()
		verdicts := verify.Check(context.Background(), p.evidence, p.trust, verify.Options{})
		if v := verdict(t, verdicts, verify.LayerDocument); v.Status != verify.Fail {
			t.Errorf("%s: %+v", name, v)
		}
		if code := verify.ExitCode(verdicts); code != verify.ExitFailed {
			t.Errorf("%s: exit code %d", name, code)
		}
		if text := p.evidence.ErasedText(p.trust, nil); text != "" {
			t.Errorf("%s: it tells %q", name, text)
		}
	}
}

// Without an erasure a file needs its document, and with the document everything else.
func TestEvidenceWithoutItsDocument(t *testing.T) {
	p := erased(t, true, nil, 1)
	for name, ev := range map[string]*verify.Evidence{
		"no erasure":   {Statement: p.evidence.Statement},
		"no statement": {Erasure: p.evidence.Erasure},
	} {
		var file bytes.Buffer
		if err := verify.WriteEvidence(&file, ev); err != nil {
			continue
		}
		read, err := verify.ReadEvidence(file.Bytes())
		if err == nil && name == "no erasure" {
			t.Errorf("%s: read", name)
		}
		if err == nil && verify.ExitCode(verify.Check(context.Background(), read, p.trust, verify.Options{})) == verify.ExitVerified {
			t.Errorf("%s: verified", name)
		}
	}
}
