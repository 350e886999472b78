package verify

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Kinds of erasures and holds.
const (
	KindErased   = "erased"   // a subject
	KindExpired  = "expired"  // what is older than its class of retention is kept
	KindHeld     = "held"     // from now on nothing of it is erased
	KindReleased = "released" // and no longer
)

// ErasureRecord is of typ [TypErasure]: content that can no longer be opened from its index on, though documents commit to it (spec/proof.md, "Commitments and erasure").
//
// Of a subject, Subject is the opaque id of its keys: who that was stands nowhere. Of an age, Retention is the class, and Through the last month (2026-01, in UTC) of which everything is erased but what is held: Kept counts that.
// With Documents the documents are erased too; statements and receipts stay.
type ErasureRecord struct {
	RecordHead
	Kind      string `json:"kind"`
	Subject   string `json:"subject,omitempty"`
	Retention string `json:"retention,omitempty"`
	Through   string `json:"through,omitempty"`
	Kept      int64  `json:"kept,omitempty"`
	Documents bool   `json:"documents"`
	Actor     string `json:"actor"`
	Reason    string `json:"reason"`
}

// HoldRecord is of typ [TypHold]: on what ground nothing is erased of Subjects (opaque ids), of Decisions, or of Everything of the tenant's, until a record of the same Hold releases it.
type HoldRecord struct {
	RecordHead
	Kind       string   `json:"kind"`
	Hold       string   `json:"hold"`
	Subjects   []string `json:"subjects"`
	Decisions  []string `json:"decisions"`
	Everything bool     `json:"everything"`
	Ground     string   `json:"ground"`
	Actor      string   `json:"actor"`
	Reason     string   `json:"reason"`
}

// Erased is the entry by which the content of the decision was erased, held to the trust file and to the statement's log, or one that follows it, since what is erased later of a log that was given up stands there; nil where the evidence holds none. That it is about this decision is its signer's word: which keys sealed a decision stands in no document.
func (ev *Evidence) Erased(s Statement, trust Trust) (*ErasureRecord, error) {
	if ev.Erasure == nil {
		return nil, nil
	}
	var r ErasureRecord
	key, err := Verify(TypErasure, ev.Erasure, trust.Keys, &r)
	if err != nil {
		return nil, fmt.Errorf("the entry of the erasure does not hold: %w", err)
	}
	used, ok := key.interval(r.Log)
	if !ok || r.V != 1 || r.Log != s.Log && !trust.follows(r.Log, s.Log) || r.Tenant != s.Tenant || r.IAT < s.IAT {
		return nil, errors.New("the entry of the erasure was signed for another log, or before the decision")
	}
	if used.NotAfter != nil && *used.NotAfter < r.Base {
		return nil, fmt.Errorf("the entry of the erasure was made after %d entries, and its key was in use up to index %d", r.Base, *used.NotAfter)
	}
	if (r.Kind == KindErased) == (r.Subject == "") || r.Kind == KindExpired && r.Retention != s.Retention || r.Kind != KindErased && r.Kind != KindExpired {
		return nil, fmt.Errorf("the entry of the erasure, %q, is not about this decision", r.Kind)
	}
	if ev.Document == nil && !r.Documents {
		return nil, errors.New("the entry of the erasure leaves documents, and the evidence holds none")
	}
	if len(ev.Disclosures) > 0 {
		return nil, errors.New("the evidence holds content that it says was erased")
	}
	if from, why, revoked := trust.disbelief(key.ID(), r.Log); revoked && r.Base >= from {
		return nil, &Unbelieved{KID: key.ID(), From: from, Index: r.Base, Why: why}
	}
	return &r, nil
}

// judgeErased is the layer document where it hangs on an erasure. Its entry may be under a key that was revoked since from before it: whoever had the key could have made it, and so could the issuer.
func judgeErased(err error) Verdict {
	if !errors.Is(err, ErrRevoked) {
		return Judge(LayerDocument, err)
	}
	return Verdict{Layer: LayerDocument, Status: Inconclusive, Reason: "the entry of the erasure is " + err.Error() + ". So no entry that is believed says that this was erased: it may as well be kept back. Ask the operator for what else shows it"}
}

// told is what a reader is told of an erasure.
func (r *ErasureRecord) told() string {
	of := "for its age (retention " + r.Retention + ")"
	if r.Kind == KindErased {
		of = "with the keys of the subject " + r.Subject
	}
	return fmt.Sprintf("erased on %s %s: %s", time.Unix(r.IAT, 0).UTC().Format(time.DateOnly), of, r.Reason)
}

// withoutDocument are the layers that read the document, once it was erased. The log is read for the entry that says so.
func withoutDocument(ctx context.Context, ev *Evidence, s Statement, signed bool, at *proved, trust Trust, o Options) (document Verdict, rest []Verdict) {
	reason := "the document is missing, and there is no statement of a trusted key to tell whether it was erased"
	document = Verdict{Layer: LayerDocument, Status: Skipped, Reason: reason}
	var w *whole
	if signed {
		if at != nil && o.Log != nil {
			w = readWhole(ctx, &Document{DecisionID: s.ID, Tenant: s.Tenant, Log: s.Log}, ev.Erasure, at, trust, o)
		}
		r, err := ev.Erased(s, trust)
		if logged := w.erased(); logged != nil && (err == nil || errors.Is(err, ErrRevoked)) {
			err = logged
		}
		if document = judgeErased(err); err == nil {
			reason = "the document was " + r.told()
			if !w.readable() || w.erasure == nil {
				reason += "; so the operator says, and only the whole log shows whether it holds that entry"
			}
			document = Verdict{Layer: LayerDocument, Status: Skipped, Reason: reason}
		}
	}
	for _, layer := range []string{LayerCurrency, LayerArgmax, LayerOutcome} {
		rest = append(rest, Verdict{Layer: layer, Status: Skipped, Reason: "the document was erased"})
	}
	if w.readable() && w.disorder != nil {
		rest[0] = Judge(LayerCurrency, w.disorder)
	}
	return document, rest
}

// erased is why the log does not hold the erasure that the evidence shows; nil where there is none to look for, or no log to look in.
func (w *whole) erased() error {
	switch {
	case !w.readable() || w.erasure == nil:
		return nil
	case w.broken != nil:
		return w.broken
	case w.erasedAt < 0:
		return fmt.Errorf("the entry of the erasure is not in the log, of %d entries", w.size)
	}
	return w.disowned
}

// readable reports whether a copy of the log was there and could be read.
func (w *whole) readable() bool { return w != nil && w.unreadable == nil }

// ErasedText says what can no longer be opened, "" where nothing was erased. Logged is the index at which the whole log holds the entry that says so, nil where none was read.
func (ev *Evidence) ErasedText(trust Trust, logged *int64) string {
	var s Statement
	if _, err := Verify(TypDecision, ev.Statement, trust.Keys, &s); err != nil {
		return ""
	}
	r, err := ev.Erased(s, trust)
	if r == nil || err != nil {
		return ""
	}
	what := "the texts, the fields, the payload, who asked and whom it was about"
	if ev.Document == nil {
		what = "the document, and with it what was weighed and why, and its content: " + what
	}
	by := "the operator says, "
	if logged != nil {
		by = fmt.Sprintf("the log says at index %d, ", *logged)
	}
	return plain(what + ": " + by + r.told())
}
