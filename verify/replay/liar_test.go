package replay_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/canonical"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
)

// leaves calls change with every leaf of a JSON value in turn, in place; the leaf is put back afterwards.
func leaves(at string, v any, put func(any), try func(at string)) {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			leaves(at+"/"+key, v[key], func(other any) { v[key] = other }, try)
		}
		return
	case []any:
		for i := range v {
			leaves(fmt.Sprintf("%s/%d", at, i), v[i], func(other any) { v[i] = other }, try)
		}
		return
	}
	put(otherThan(v))
	try(at)
	put(v)
}

func otherThan(v any) any {
	switch v := v.(type) {
	case string:
		if len(v) == 64 && strings.Trim(v, "0123456789abcdef") == "" { // stays a digest
			return strings.Repeat("0", 63) + "1"
		}
		return v + "x"
	case bool:
		return !v
	case json.Number:
		n, err := v.Int64()
		if err != nil {
			return "x"
		}
		return n + 1
	}
	return "x"
}

// TestEveryLeaf changes every leaf of the document, with all that follows from it: once under the statement as it was, and once under one that says the same as the document, signed by a stranger.
func TestEveryLeaf(t *testing.T) {
	seen := tally{}
	for name, request := range map[string]string{"routed": asked, "denied": asked + "limits: {max_latency_ms: 1}\n"} {
		w := newWorld(t)
		ev := w.publish(w.decide(request))
		decoder := json.NewDecoder(bytes.NewReader(ev.Document))
		decoder.UseNumber()
		var document any
		if err := decoder.Decode(&document); err != nil {
			t.Fatal(err)
		}
		var claims map[string]any
		key, err := verify.Verify(verify.TypDecision, ev.Statement, w.trust.Keys, &verify.Statement{})
		if err != nil || !key.Public.Equal(private(issuerSeed).Public().(ed25519.PublicKey)) {
			t.Fatal(err)
		}
		if err := json.Unmarshal(payloadOf(t, ev.Statement), &claims); err != nil {
			t.Fatal(err)
		}
		count := 0
		leaves("", document, nil, func(at string) {
			count++
			text, err := canonical.Encode(numbers(document))
			if err != nil {
				t.Fatalf("%s: %v", at, err)
			}
			changed := *ev
			changed.Document = text
			for by, statement := range map[string][]byte{"under the old statement": ev.Statement, "under a stranger's": w.restated(claims, text)} {
				changed.Statement = statement
				code, verdicts := w.verdicts(written(t, &changed), false)
				layer := caughtBy(verdicts)
				seen.count(name+", "+by, layer)
				if code != verify.ExitFailed {
					t.Errorf("%s%s %s: exit %d", name, at, by, code)
				}
			}
		})
		if count < 100 {
			t.Errorf("%s: only %d leaves", name, count)
		}
	}
	seen.log(t)
}

func payloadOf(t testing.TB, compact []byte) []byte {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(string(bytes.Split(compact, []byte("."))[1]))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// restated is a stranger's statement about a document, with the claims that it had, and those that the document has now.
func (w *world) restated(claims map[string]any, text []byte) []byte {
	w.t.Helper()
	next := maps.Clone(claims)
	for key, v := range next {
		if n, ok := v.(float64); ok {
			next[key] = int64(n)
		}
	}
	next["doc"] = verify.Digest(text)
	statement, err := signerOf(w.t, strangerSeed).Sign(verify.TypDecision, next)
	w.must(err)
	return statement
}

// numbers makes integers of a decoded value's numbers.
func numbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		copied := make(map[string]any, len(v))
		for key, inner := range v {
			copied[key] = numbers(inner)
		}
		return copied
	case []any:
		copied := make([]any, len(v))
		for i, inner := range v {
			copied[i] = numbers(inner)
		}
		return copied
	case json.Number:
		n, err := v.Int64()
		if err != nil {
			return v.String()
		}
		return n
	}
	return v
}

// TestLyingOperator: whoever has all keys but the witness's and the approver's writes what he likes into the log, and signs what he likes. Each lie fails a layer when the log is at hand, and is never taken for proved when it is not.
func TestLyingOperator(t *testing.T) {
	winner := func(d *verify.Document) *verify.Candidate {
		i := slices.IndexFunc(d.Candidates, func(c verify.Candidate) bool { return c.Service == "winner" })
		return &d.Candidates[i]
	}
	// Each makes evidence; layer is who has to notice, with the log at hand.
	lies := map[string]struct {
		lie   func(w *world) *verify.Evidence
		layer string
	}{
		"a better candidate dropped": {func(w *world) *verify.Evidence {
			p := w.honest()
			d := p.document
			d.Candidates = slices.DeleteFunc(d.Candidates, func(c verify.Candidate) bool { return c.Service == "winner" })
			w.secondWins(p)
			return w.publish(p)
		}, verify.LayerCompleteness},
		"a better candidate moved to unmatched": {func(w *world) *verify.Evidence {
			p := w.honest()
			d := p.document
			d.Candidates = slices.DeleteFunc(d.Candidates, func(c verify.Candidate) bool { return c.Service == "winner" })
			d.Unmatched = append(d.Unmatched, verify.Unmatched{Service: "winner", IDs: []string{"capability"}})
			w.secondWins(p)
			return w.publish(p)
		}, verify.LayerReplay},
		"a changed score": {func(w *world) *verify.Evidence {
			p := w.honest()
			winner(p.document).Score.Objective++
			return w.publish(p)
		}, verify.LayerArgmax},
		"a changed term, and what follows from it": {func(w *world) *verify.Evidence {
			p := w.honest()
			c := winner(p.document)
			coefficients, _ := verify.ProfileCoefficients(p.document.Request.Profile)
			c.Score.Terms.Risk = 0
			c.Score.Objective = coefficients.Objective(c.Score.Terms)
			p.document.Choice.Objective = &c.Score.Objective
			p.document.Choice.RunnerUp.Margin = c.Score.Objective - p.document.Candidates[1].Score.Objective
			return w.publish(p)
		}, verify.LayerReplay},
		"a swapped bundle": {func(w *world) *verify.Evidence {
			w.arguments.Bundles = []*rego.Bundle{bundleOf(w.t, strings.Replace(policy, "not region in", "region in", 1))}
			w.header.Bundles[0].Digest = w.arguments.Bundles[0].Digest
			return w.publish(w.honest())
		}, verify.LayerCurrency},
		"a bundle that nobody approved": {func(w *world) *verify.Evidence {
			b := bundleOf(w.t, strings.Replace(policy, "not region in", "region in", 1))
			record := verify.ActivationRecord{RecordHead: w.head(), Kind: verify.KindActivated, Bundle: b.Name, Digest: b.Digest, Key: "release", Reason: "x"}
			approval, err := signerOf(w.t, issuerSeed).Sign(verify.TypApproval, verify.Approval{V: 1, Tenant: "acme", Log: logOrigin, Bundle: b.Name, Digest: b.Digest, Reason: "x"})
			w.must(err)
			record.Approval = string(approval)
			w.arguments.Bundles = []*rego.Bundle{b}
			w.header.Bundles[0].Digest, w.header.Bundles[0].Index = b.Digest, w.sign(verify.TypActivation, record)
			return w.publish(w.honest())
		}, verify.LayerCurrency},
		"a bundle left out": {func(w *world) *verify.Evidence {
			w.arguments.Bundles, w.header.Bundles = nil, nil
			return w.publish(w.honest())
		}, verify.LayerCurrency},
		"a stale bundle": {func(w *world) *verify.Evidence {
			w.arguments.Bundles, w.header.Bundles = w.before.arguments.Bundles, w.before.header.Bundles
			return w.publish(w.honest())
		}, verify.LayerCurrency},
		"a stale snapshot": {func(w *world) *verify.Evidence {
			w.arguments.Contracts, w.arguments.Attestations, w.header.Snapshot, w.header.Attestations = w.before.arguments.Contracts, nil, w.before.header.Snapshot, w.before.header.Snapshot
			w.header.Attestations.Digest = digestOf(w.t)(verify.AttestationsDigest([]verify.AttestationRecord{}))
			return w.publish(w.honest())
		}, verify.LayerCurrency},
		"a stale snapshot under the new index": {func(w *world) *verify.Evidence {
			w.arguments.Contracts, w.arguments.Attestations, w.header.Snapshot.Digest = w.before.arguments.Contracts, nil, w.before.header.Snapshot.Digest
			w.header.Attestations.Digest = digestOf(w.t)(verify.AttestationsDigest([]verify.AttestationRecord{}))
			return w.publish(w.honest())
		}, verify.LayerCurrency},
		"a fold that drops a service": {func(w *world) *verify.Evidence {
			delete(w.registry, "winner")
			w.attested, w.arguments.Attestations = []verify.AttestationRecord{}, map[string]contracts.Attestation{}
			w.changeSecond()
			return w.publish(w.decide(asked))
		}, verify.LayerCurrency},
		"a fold with an attestation that nobody gave": {func(w *world) *verify.Evidence {
			w.attested = slices.Insert(w.attested, 0, verify.AttestationRecord{Service: "second", Contract: w.registry["second"], Level: contracts.Verified})
			w.arguments.Attestations["second"] = contracts.Verified
			w.changeSecond()
			return w.publish(w.decide(asked))
		}, verify.LayerCurrency},
		"stale settings": {func(w *world) *verify.Evidence {
			w.arguments.Settings, w.header.Settings = w.before.arguments.Settings, w.before.header.Settings
			return w.publish(w.honest())
		}, verify.LayerCurrency},
		"settings that nobody put in force": {func(w *world) *verify.Evidence {
			w.arguments.Settings = map[string]any{"region": map[string]any{"permitted": []any{"us"}}}
			w.header.Settings.Digest = digestOf(w.t)(verify.SettingsDigest(w.arguments.Settings))
			return w.publish(w.honest())
		}, verify.LayerCurrency},
		"a stale attestation": {func(w *world) *verify.Evidence {
			w.arguments.Attestations, w.header.Attestations = w.before.arguments.Attestations, w.before.header.Attestations
			return w.publish(w.honest())
		}, verify.LayerCurrency},
		"an invented history": {func(w *world) *verify.Evidence {
			w.arguments.History = map[string]contracts.History{"winner": {N: 30, OK: 30, P95: 10}}
			return w.publish(w.honest())
		}, verify.LayerCurrency},
		"a history without what went wrong": {func(w *world) *verify.Evidence {
			w.reported("winner", "embeddings", "failed", 50)
			return w.publish(w.honest())
		}, verify.LayerCurrency},
		"an outcome of no decision": {func(w *world) *verify.Evidence {
			w.outcomeOf(verify.NewDecisionID(w.now, [10]byte{7}), "winner", "embeddings", "succeeded", 50)
			w.arguments.History = map[string]contracts.History{"winner": {N: 31, OK: 31, P95: 50}}
			return w.publish(w.honest())
		}, verify.LayerCurrency},
		"two outcomes of a decision": {func(w *world) *verify.Evidence {
			id := w.decidedFor("winner")
			w.outcomeOf(id, "winner", "embeddings", "succeeded", 50)
			w.outcomeOf(id, "winner", "embeddings", "succeeded", 50)
			w.arguments.History = map[string]contracts.History{"winner": {N: 32, OK: 32, P95: 50}}
			return w.publish(w.honest())
		}, verify.LayerCurrency},
		"an outcome of another service's decision": {func(w *world) *verify.Evidence {
			w.outcomeOf(w.decidedFor("second"), "winner", "embeddings", "succeeded", 50)
			w.arguments.History = map[string]contracts.History{"winner": {N: 31, OK: 31, P95: 50}}
			return w.publish(w.honest())
		}, verify.LayerCurrency},
		"failures dated ahead, behind an old base": {func(w *world) *verify.Evidence {
			p := w.honest()
			w.now = decided.Add(30 * time.Second)
			w.reported("winner", "embeddings", "failed", 50)
			w.now = decided.Add(-12 * time.Hour)
			w.reported("abroad", "embeddings", "succeeded", 50)
			w.now = decided
			return w.publish(p)
		}, verify.LayerCurrency},
		"an invented reason": {func(w *world) *verify.Evidence {
			p := w.honest()
			p.document.Candidates[0].Eliminated.Violations[0].Reason = "abroad is too slow"
			return w.publish(p)
		}, verify.LayerReplay},
		"a shadow entry shown as a decision":      {func(w *world) *verify.Evidence { return w.shownAs(verify.TypShadow) }, verify.LayerSignature},
		"an explanation shown as a decision":      {func(w *world) *verify.Evidence { return w.shownAs(verify.TypExplanation) }, verify.LayerSignature},
		"a failure shown as a decision":           {func(w *world) *verify.Evidence { return w.shownAs(verify.TypFailure) }, verify.LayerSignature},
		"another document for the statement":      {func(w *world) *verify.Evidence { return w.twoDocuments() }, verify.LayerDocument},
		"another decision under the same id":      {func(w *world) *verify.Evidence { return w.twoDecisions() }, verify.LayerCurrency},
		"a statement that is not in the log":      {func(w *world) *verify.Evidence { return w.unlogged() }, verify.LayerReceipt},
		"entries of a log that others do not see": {func(w *world) *verify.Evidence { return w.forked() }, verify.LayerCurrency},
		"an outcome of another document": {func(w *world) *verify.Evidence {
			ev := w.publish(w.honest())
			index := w.sign(verify.TypOutcome, verify.OutcomeRecord{RecordHead: w.head(), Decision: w.header.DecisionID, Document: strings.Repeat("0", 64), Service: "winner", Status: "failed", Unmet: []string{}, Source: verify.SelfReported})
			w.again(ev, index)
			return ev
		}, verify.LayerOutcome},
		"an outcome left out": {func(w *world) *verify.Evidence {
			ev := w.publish(w.honest())
			ev.Entries = slices.DeleteFunc(ev.Entries, func(e verify.LoggedEntry) bool { typ, _ := verify.TypOf(e.JWS); return typ == verify.TypOutcome })
			return ev
		}, verify.LayerOutcome},
		"an entry that is none of the decision's": {func(w *world) *verify.Evidence {
			ev := w.publish(w.honest())
			w.again(ev, 2)
			return ev
		}, verify.LayerCurrency},
		"a decision back-dated": {func(w *world) *verify.Evidence { return w.dated(-2 * time.Hour) }, verify.LayerWitnesses},
		"a decision post-dated": {func(w *world) *verify.Evidence { return w.dated(2 * time.Hour) }, verify.LayerWitnesses},
	}
	seen := tally{}
	for name, test := range lies {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			file := written(t, test.lie(w))
			code, verdicts := w.verdicts(file, true)
			if layer := caughtBy(verdicts); code != verify.ExitFailed || layer != test.layer {
				t.Errorf("exit %d, caught by %q, want %s:\n%+v", code, layer, test.layer, verdicts)
			}
			seen.count(name, caughtBy(verdicts))
			if code, verdicts = w.verdicts(file, false); code != verify.ExitFailed && code != verify.ExitUntold {
				t.Errorf("without the log: exit %d:\n%+v", code, verdicts)
			}
			seen.count(name+", without the log", caughtBy(verdicts))
		})
	}
	seen.log(t)
}

// changeSecond registers a service again as it is: an entry that states what the operator says is in force.
func (w *world) changeSecond() {
	var second *contracts.Contract
	w.arguments.Contracts = slices.DeleteFunc(w.arguments.Contracts, func(c *contracts.Contract) bool {
		if c.ID == "second" {
			second = c
		}
		return c.ID == "second" || w.registry[c.ID] == ""
	})
	w.register(second)
	slices.SortFunc(w.arguments.Contracts, func(a, b *contracts.Contract) int { return strings.Compare(a.ID, b.ID) })
}

// A bundle that no approver signed for is named where the auditor holds approvers' keys.
func TestNobodyApproved(t *testing.T) {
	w := newWorld(t)
	b := w.header.Bundles[0]
	w.header.Bundles[0].Index = w.sign(verify.TypActivation, verify.ActivationRecord{RecordHead: w.head(), Kind: verify.KindActivated, Bundle: b.Name, Digest: b.Digest, Key: b.Key, Reason: "x"})
	if _, verdicts := w.verdicts(written(t, w.publish(w.honest())), true); !strings.Contains(ofLayer(verdicts, verify.LayerCurrency).Reason, "no approver signed that baseline be put in force") {
		t.Errorf("%+v", verdicts)
	}
}

// TestStripped takes away what a layer needs, one thing at a time: what is left is not proved.
func TestStripped(t *testing.T) {
	for name, strip := range map[string]func(ev *verify.Evidence){
		"the earlier checkpoint": func(ev *verify.Evidence) { ev.Earlier = nil },
		"the first checkpoint":   func(ev *verify.Evidence) { ev.First = nil },
		"the receipt":            func(ev *verify.Evidence) { ev.Receipt = nil },
		"the entries":            func(ev *verify.Evidence) { ev.Entries = nil },
		"one entry":              func(ev *verify.Evidence) { ev.Entries = ev.Entries[1:] },
		"the disclosures":        func(ev *verify.Evidence) { ev.Disclosures = nil },
		"a contract":             func(ev *verify.Evidence) { delete(ev.Contracts, ev.Snapshot["unmatched"]) },
		"a candidate's":          func(ev *verify.Evidence) { delete(ev.Contracts, ev.Snapshot["second"]) },
		"the bundle":             func(ev *verify.Evidence) { clear(ev.Bundles) },
		"its signatures": func(ev *verify.Evidence) {
			for _, files := range ev.Bundles {
				delete(files, verify.SignaturesFile)
			}
		},
		"the settings":   func(ev *verify.Evidence) { clear(ev.Settings) },
		"an attestation": func(ev *verify.Evidence) { ev.Attestations = nil },
		"a service":      func(ev *verify.Evidence) { delete(ev.Snapshot, "unmatched") },
	} {
		w := newWorld(t)
		ev := w.publish(w.decide(asked))
		strip(ev)
		for _, whole := range []bool{true, false} {
			if code, verdicts := w.verdicts(written(t, ev), whole); code != verify.ExitFailed && code != verify.ExitUntold {
				t.Errorf("%s: exit %d: %+v", name, code, verdicts)
			}
		}
	}
}

// honest is what the arguments and the header give.
func (w *world) honest() *proof { return w.decide(asked) }

// secondWins makes the document say so.
func (w *world) secondWins(p *proof) {
	d := p.document
	for _, c := range d.Candidates {
		if c.Score != nil {
			d.Choice.Service, d.Choice.Contract, d.Choice.Route, d.Choice.Objective, d.Choice.RunnerUp = c.Service, c.Contract, c.Route, &c.Score.Objective, nil
		}
	}
}

// shownAs signs the statement as an entry of another kind.
func (w *world) shownAs(typ string) *verify.Evidence {
	ev := w.publish(w.honest())
	var s verify.Statement
	_, err := verify.Verify(verify.TypDecision, ev.Statement, w.trust.Keys, &s)
	w.must(err)
	index := w.sign(typ, s)
	ev.Statement = w.leaves[index]
	ev.Receipt = w.proof(index, w.checkpoint(int64(len(w.leaves))))
	return ev
}

// again makes the receipts again, with one entry more.
func (w *world) again(ev *verify.Evidence, more int64) {
	entries := []int64{more}
	for _, e := range ev.Entries {
		entries = append(entries, e.Index)
	}
	w.receipts(ev, int64(slices.IndexFunc(w.leaves, func(leaf []byte) bool { return bytes.Equal(leaf, ev.Statement) })), entries)
}

func (w *world) twoDocuments() *verify.Evidence {
	ev := w.publish(w.honest())
	p := w.decide(strings.Replace(asked, "a winner", "another", 1))
	var err error
	ev.Document, err = p.document.Canonical()
	w.must(err)
	ev.Disclosures = p.evidence.Disclosures
	return ev
}

func (w *world) twoDecisions() *verify.Evidence {
	w.publish(w.decide(strings.Replace(asked, "a winner", "another", 1)))
	return w.publish(w.honest())
}

func (w *world) unlogged() *verify.Evidence {
	ev := w.publish(w.honest())
	receipt := ev.Receipt
	ev = w.publish(w.decide(strings.Replace(asked, "a winner", "another", 1)))
	ev.Receipt = receipt
	return ev
}

// forked takes the receipts of entries from a tree of its own, which the log's key signed too.
func (w *world) forked() *verify.Evidence {
	ev := w.publish(w.honest())
	other := newWorld(w.t)
	other.at = decided
	other.sign(verify.TypFailure, verify.FailureRecord{RecordHead: other.head(), ID: "x", Code: "x"})
	c := other.checkpoint(int64(len(other.leaves)))
	for i := range ev.Entries {
		if e := &ev.Entries[i]; e.Index < c.Size {
			e.Receipt = other.proof(e.Index, c)
		}
	}
	return ev
}
