package replay_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/verify"
)

// TestErasureInTheLog: an erasure is told as a fact where the log holds its entry, after the decision, and as the operator's word where there is no log to look in.
func TestErasureInTheLog(t *testing.T) {
	for name, test := range map[string]struct {
		documents, before, logged bool
	}{
		"content":                        {logged: true},
		"content, in no log":             {},
		"content, before the decision":   {logged: true, before: true},
		"documents":                      {documents: true, logged: true},
		"documents, in no log":           {documents: true},
		"documents, before the decision": {documents: true, logged: true, before: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			record := func() verify.ErasureRecord {
				head := w.head()
				head.IAT++
				return verify.ErasureRecord{RecordHead: head, Kind: verify.KindErased, Subject: strings.Repeat("0", 32), Documents: test.documents, Actor: "dpo", Reason: "asked for"}
			}
			var leaf []byte
			if test.before {
				leaf = w.leaves[w.sign(verify.TypErasure, record())]
			}
			ev := w.publish(w.honest())
			if !test.before {
				var err error
				leaf, err = signerOf(t, issuerSeed).Sign(verify.TypErasure, record())
				w.must(err)
				if test.logged {
					w.add(leaf)
				}
			}
			ev.Disclosures, ev.Erasure = nil, leaf
			if test.documents {
				ev = &verify.Evidence{Statement: ev.Statement, Receipt: ev.Receipt, Earlier: ev.Earlier, Erasure: leaf}
			}
			document := func(verdicts []verify.Verdict) verify.Verdict {
				return verdicts[slices.IndexFunc(verdicts, func(v verify.Verdict) bool { return v.Layer == verify.LayerDocument })]
			}
			_, verdicts := w.verdicts(written(t, ev), true)
			if v, holds := document(verdicts), test.logged && !test.before; (v.Status != verify.Fail) != holds || strings.Contains(v.Reason, "the operator says") {
				t.Errorf("with the log: %+v", v)
			}
			code, verdicts := w.verdicts(written(t, ev), false)
			if v := document(verdicts); code != verify.ExitUntold || test.documents && !strings.Contains(v.Reason, "the operator says") {
				t.Errorf("without it: exit %d, %+v", code, v)
			}
			if text := ev.ErasedText(w.trust, nil); !strings.Contains(text, "the operator says") {
				t.Errorf("it tells %q", text)
			}
		})
	}
}
