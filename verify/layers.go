package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
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
func CheckFile(ctx context.Context, file []byte, trust Trust, o Options) (*Evidence, []Verdict) {
	ev, err := readEvidence(file)
	verdicts := []Verdict{Judge(LayerEvidence, err)}
	if err != nil {
		return nil, verdicts
	}
	return ev, append(verdicts, Check(ctx, ev, trust, o)...)
}

// Check runs the layers signature, document, receipt, witnesses, currency, argmax and outcome. Completeness and replay are for package verify/replay.
func Check(ctx context.Context, ev *Evidence, trust Trust, o Options) []Verdict {
	trust = o.follow(ctx, claims(ev.Statement, "log"), trust)
	var s Statement
	key, unsigned := Verify(TypDecision, ev.Statement, trust.Keys, &s)
	policy, err := trust.policy()
	var at *proved
	receipt := Verdict{Layer: LayerReceipt, Status: Skipped, Reason: "there is no statement of a trusted key that a receipt could be of"}
	switch {
	case err != nil:
		receipt = Judge(LayerReceipt, err)
	case unsigned == nil:
		at, receipt = judgeReceipt(ev, s, trust, policy)
	}
	var signature Verdict
	if unsigned == nil {
		signature = judgeKey(key, s, trust, at)
	} else {
		signature = o.unknown(ev, trust, policy, unsigned)
	}
	if ev.Document == nil {
		document, rest := withoutDocument(ctx, ev, s, unsigned == nil, at, trust, o)
		return append([]Verdict{signature, document, receipt, judgeWitnesses(ev, s, at, policy)}, rest...)
	}
	d, decoding := DecodeDocument(ev.Document)
	if decoding != nil {
		reason := "the document could not be read"
		return append([]Verdict{signature, Judge(LayerDocument, decoding), receipt, judgeWitnesses(ev, s, at, policy)},
			Verdict{Layer: LayerCurrency, Status: Skipped, Reason: reason}, Verdict{Layer: LayerArgmax, Status: Skipped, Reason: reason}, Verdict{Layer: LayerOutcome, Status: Skipped, Reason: reason})
	}
	document := judgeDocument(ev, d, s, unsigned == nil, trust)
	logged, w := judgeLog(ctx, ev, d, at, trust, o)
	if err := w.erased(); err != nil && document.Status != Fail {
		document = judgeErased(err)
	}
	return append([]Verdict{signature, document, receipt, judgeWitnesses(ev, s, at, policy), Argmax(d)}, logged...)
}

// judgeLog runs the layers currency and outcome, which read what else the log says.
func judgeLog(ctx context.Context, ev *Evidence, d *Document, at *proved, trust Trust, o Options) ([]Verdict, *whole) {
	var records map[int64]*record
	var unread error
	var w *whole
	if at != nil {
		records, unread = ev.records(d, at, trust)
		if o.Log != nil {
			w = readWhole(ctx, d, ev.Erasure, at, trust, o)
		}
	}
	return []Verdict{judgeCurrency(d, at, records, unread, trust, w), judgeOutcome(ev, d, at, records, w)}, w
}

// judgeKey says whether key was in use, in a log that the auditor knows. Without a receipt the statement's index is not known, only that it is not less than base, the log's size before.
func judgeKey(key Key, s Statement, trust Trust, place *proved) Verdict {
	fail := func(at, reason, want, got string) Verdict {
		return Verdict{LayerSignature, Fail, reason, at, want, got}
	}
	if _, ok := trust.log(s.Log); !ok {
		return fail("/log", "the evidence is of a log that the trust file does not hold. Another tenant's log, and one that follows, have trust files of their own: take the one of this log, over a channel that you trust", strings.Join(trust.origins(), " or "), s.Log)
	}
	from, why, revoked := trust.disbelief(key.ID(), s.Log)
	if revoked && place != nil && place.index >= from {
		return fail("", fmt.Sprintf("%s; the statement stands at index %d", why, place.index), "", "")
	}
	if revoked && s.Base >= from {
		return fail("/base", fmt.Sprintf("%s; the statement claims to stand at index %d at least", why, s.Base), "", "")
	}
	in, ok := trust.Used(key, s.Log)
	if !ok && revoked {
		return fail("/log", "the root has revoked the key from before it came into use in the log that the statement claims", "", s.Log)
	}
	if !ok {
		return fail("/log", "the key was never in use in the log that the statement claims", "", s.Log)
	}
	if place != nil {
		if place.index < in.NotBefore || in.NotAfter != nil && place.index > *in.NotAfter {
			return fail("", "the key was not in use at the statement's index", in.String(), strconv.FormatInt(place.index, 10))
		}
		return accepted(key)
	}
	if in.NotAfter != nil && *in.NotAfter < s.Base {
		return fail("/base", "the key was no longer in use at the index that the statement claims at least", "at most "+strconv.FormatInt(*in.NotAfter, 10), strconv.FormatInt(s.Base, 10))
	}
	if in.NotAfter != nil || in.NotBefore > s.Base {
		return Verdict{Layer: LayerSignature, Status: Inconclusive, Reason: "the signature verifies, but without a receipt the statement's index, and so whether its key was in use there, is not known"}
	}
	return accepted(key)
}

// accepted says where the trust file leaves open when the key was in use: who gets hold of such a key can sign for any place of the log.
func accepted(key Key) Verdict {
	v := Verdict{Layer: LayerSignature, Status: Pass}
	if key.Intervals == nil {
		v.Reason = "the trust file states no interval for this key, so it is accepted at any index"
	}
	return v
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
	_, erased := ev.Erased(s, trust)
	if err := ev.Bound(d); err != nil && (erased == nil || errors.Is(erased, ErrRevoked)) {
		return Judge(LayerDocument, err)
	}
	return judgeErased(erased)
}

// Arrange puts verdicts into the order of the page.
func Arrange(verdicts []Verdict) []Verdict {
	arranged := slices.Clone(verdicts)
	slices.SortStableFunc(arranged, func(a, b Verdict) int { return slices.Index(layers, a.Layer) - slices.Index(layers, b.Layer) })
	return arranged
}

// Exit codes of a verification (spec/proof.md, "What a verifier checks").
const (
	ExitVerified = 0 // every layer but witnesses and outcome passed; of those none failed, and none was inconclusive
	ExitFailed   = 1 // a layer failed
	ExitUntold   = 4 // a layer was skipped or inconclusive, or did not run
)

// ExitCode sums verdicts up. A layer of the page that has no verdict counts as skipped.
func ExitCode(verdicts []Verdict) int {
	missing, _ := unsettled(verdicts)
	switch {
	case slices.ContainsFunc(verdicts, func(v Verdict) bool { return v.Status == Fail }):
		return ExitFailed
	case missing != nil:
		return ExitUntold
	}
	return ExitVerified
}

// unsettled are the layers that did not pass and keep a proof from being verified, and those of which nobody asks that they pass. Witnesses are skipped where no policy names any, and the outcome where no log is at hand. Where a policy does, or the log knows more, they are inconclusive instead.
func unsettled(verdicts []Verdict) (missing, optional []string) {
	for _, layer := range layers {
		i := slices.IndexFunc(verdicts, func(v Verdict) bool { return v.Layer == layer })
		asked := i >= 0 && verdicts[i].Status != Skipped
		switch {
		case i >= 0 && verdicts[i].Status == Pass:
		case (layer == LayerWitnesses || layer == LayerOutcome) && !asked:
			optional = append(optional, layer)
		case layer != LayerEvidence || asked: // checked where it was read
			missing = append(missing, layer)
		}
	}
	return missing, optional
}
