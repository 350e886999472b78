package verify

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// Layers of a verification, in the order of the table in spec/proof.md, "What a verifier checks". LayerEvidence is the file itself: its form, to the last bit.
const (
	LayerEvidence     = "evidence"
	LayerSignature    = "signature"
	LayerDocument     = "document"
	LayerReceipt      = "receipt"
	LayerWitnesses    = "witnesses"
	LayerCurrency     = "currency"
	LayerArgmax       = "argmax"
	LayerCompleteness = "completeness"
	LayerReplay       = "replay"
	LayerOutcome      = "outcome"
)

var layers = []string{LayerEvidence, LayerSignature, LayerDocument, LayerReceipt, LayerWitnesses, LayerCurrency, LayerArgmax, LayerCompleteness, LayerReplay, LayerOutcome}

// Status of a layer.
type Status string

// What a layer can come to.
const (
	Pass         Status = "pass"
	Fail         Status = "fail"
	Inconclusive Status = "inconclusive" // it could not be told
	Skipped      Status = "skipped"      // not checked; the reason says what was missing
)

// Verdict is what one layer came to. Where two values should have been equal, Pointer leads to the one that is wrong, in the document or, where Reason speaks of a claim, in the statement's payload.
type Verdict struct {
	Layer   string `json:"layer"`
	Status  Status `json:"status"`
	Reason  string `json:"reason,omitempty"`
	Pointer string `json:"pointer,omitempty"`
	Want    string `json:"want,omitempty"`
	Got     string `json:"got,omitempty"`
}

// Judge is pass for a nil error, and otherwise fail, with pointer and values where err is a [*Fault].
func Judge(layer string, err error) Verdict {
	if err == nil {
		return Verdict{Layer: layer, Status: Pass}
	}
	var f *Fault
	if errors.As(err, &f) {
		return Verdict{layer, Fail, f.Reason, f.Pointer, f.Want, f.Got}
	}
	return Verdict{Layer: layer, Status: Fail, Reason: err.Error()}
}

// CheckFile reads an evidence file and checks it: the layer `evidence`, and, if that passes, those of [Check]. The evidence is nil where it fails.
func CheckFile(file []byte, trust Trust) (*Evidence, []Verdict) {
	ev, err := readEvidence(file)
	verdicts := []Verdict{Judge(LayerEvidence, err)}
	if err != nil {
		return nil, verdicts
	}
	return ev, append(verdicts, Check(ev, trust)...)
}

// Check runs the layers signature, document, receipt, witnesses, currency, argmax and outcome. Completeness and replay are for package verify/replay.
//
// The log does not exist yet, so what needs a receipt is skipped, and says so.
func Check(ev *Evidence, trust Trust) []Verdict {
	var s Statement
	key, err := Verify(TypDecision, ev.Statement, trust.Keys, &s)
	signature := Judge(LayerSignature, err)
	if err == nil {
		signature = judgeKey(key, s, trust)
	}
	d, decoding := DecodeDocument(ev.Document)
	document := Judge(LayerDocument, decoding)
	argmax := Verdict{Layer: LayerArgmax, Status: Skipped, Reason: "the document could not be read"}
	if decoding == nil {
		argmax = Argmax(d)
		document = judgeDocument(ev, d, s, err == nil, trust)
	}
	return []Verdict{
		signature,
		document,
		{Layer: LayerReceipt, Status: Skipped, Reason: "the evidence holds no receipt"},
		{Layer: LayerWitnesses, Status: Skipped, Reason: "unwitnessed: there is no checkpoint that anybody could have cosigned"},
		{Layer: LayerCurrency, Status: Skipped, Reason: "the evidence holds no receipts of the entries that put snapshot, attestations, settings and bundles in force"},
		argmax,
		{Layer: LayerOutcome, Status: Skipped, Reason: "the evidence does not say whether a call was made, or how it went"},
	}
}

// judgeKey says whether key was in use, in a log that the auditor knows. Without a receipt the statement's index is not known, only that it is not less than base, the log's size before.
func judgeKey(key Key, s Statement, trust Trust) Verdict {
	fail := func(at, reason, want, got string) Verdict {
		return Verdict{LayerSignature, Fail, reason, at, want, got}
	}
	if _, ok := trust.log(s.Log); !ok {
		return fail("/log", "a claim of the statement names a log that the trust file does not", fmt.Sprint(trust.origins()), s.Log)
	}
	if from, revoked := trust.Revoked(key.ID(), s.Log); revoked && s.Base >= from {
		return fail("/base", "the root has revoked the key, from an index on that is not above the one that the statement claims at least", "less than "+strconv.FormatInt(from, 10), strconv.FormatInt(s.Base, 10))
	}
	in, ok := trust.Used(key, s.Log)
	if !ok {
		return fail("/log", "the key was never in use in the log that the statement claims", "", s.Log)
	}
	if in.NotAfter != nil && *in.NotAfter < s.Base {
		return fail("/base", "the key was no longer in use at the index that the statement claims at least", "at most "+strconv.FormatInt(*in.NotAfter, 10), strconv.FormatInt(s.Base, 10))
	}
	if in.NotAfter != nil || in.NotBefore > s.Base {
		return Verdict{Layer: LayerSignature, Status: Inconclusive, Reason: "the signature verifies, but without a receipt the statement's index, and so whether its key was in use there, is not known"}
	}
	return Verdict{Layer: LayerSignature, Status: Pass}
}

// judgeDocument compares a document that decodes with the trust file, the statement, and what else the evidence holds.
func judgeDocument(ev *Evidence, d *Document, s Statement, signed bool, trust Trust) Verdict {
	if !signed {
		return Verdict{Layer: LayerDocument, Status: Inconclusive, Reason: "it decodes, but there is no statement of a trusted key to compare it with"}
	}
	if d.Issuer != trust.Issuer {
		return Verdict{LayerDocument, Fail, "the issuer is not the one that the trust file names", "/issuer", trust.Issuer, d.Issuer}
	}
	want, err := NewStatement(d, Digest(ev.Document), s.Retention)
	if err != nil {
		return Judge(LayerDocument, err)
	}
	if err := s.compare(want); err != nil {
		return Judge(LayerDocument, err)
	}
	return Judge(LayerDocument, ev.Bound(d))
}

// Arrange puts verdicts into the order of the page.
func Arrange(verdicts []Verdict) []Verdict {
	arranged := slices.Clone(verdicts)
	slices.SortStableFunc(arranged, func(a, b Verdict) int { return slices.Index(layers, a.Layer) - slices.Index(layers, b.Layer) })
	return arranged
}

// Exit codes of a verification (spec/proof.md, "What a verifier checks").
const (
	ExitVerified = 0 // every layer but witnesses and outcome passed, and those did not fail
	ExitFailed   = 1 // a layer failed
	ExitUntold   = 4 // a layer was skipped or inconclusive, or did not run
)

// ExitCode sums verdicts up. A layer of the page that has no verdict counts as skipped.
func ExitCode(verdicts []Verdict) int {
	code := ExitVerified
	for _, layer := range layers {
		i := slices.IndexFunc(verdicts, func(v Verdict) bool { return v.Layer == layer })
		optional := layer == LayerWitnesses || layer == LayerOutcome || layer == LayerEvidence
		if i < 0 || verdicts[i].Status != Pass {
			if !optional {
				code = ExitUntold
			}
		}
	}
	if slices.ContainsFunc(verdicts, func(v Verdict) bool { return v.Status == Fail }) {
		return ExitFailed
	}
	return code
}
