package replay_test

import (
	"bytes"
	"crypto/ed25519"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/tlog"
)

// of is the verdict of a layer.
func of(t testing.TB, verdicts []verify.Verdict, layer string) verify.Verdict {
	t.Helper()
	i := slices.IndexFunc(verdicts, func(v verify.Verdict) bool { return v.Layer == layer })
	if i < 0 {
		t.Fatalf("no verdict of %s", layer)
	}
	return verdicts[i]
}

// TestBackDated: an operator who has all keys but the witness's, and whose log says nothing else, dates a decision back. Whichever of what the witness cosigned he shows, moves or leaves out: it is not proved.
func TestBackDated(t *testing.T) {
	other := newWorld(t)
	other.publish(other.decide(strings.Replace(asked, "a winner", "another", 1)))
	tricks := map[string]func(w *world, ev *verify.Evidence){
		"as it is":               func(*world, *verify.Evidence) {},
		"earlier taken away":     func(_ *world, ev *verify.Evidence) { ev.Earlier = nil },
		"first taken away":       func(_ *world, ev *verify.Evidence) { ev.First = nil },
		"both taken away":        func(_ *world, ev *verify.Evidence) { ev.Earlier, ev.First = nil, nil },
		"the two swapped":        func(_ *world, ev *verify.Evidence) { ev.Earlier, ev.First = ev.First, ev.Earlier },
		"first in both places":   func(_ *world, ev *verify.Evidence) { ev.Earlier = ev.First },
		"earlier in both places": func(_ *world, ev *verify.Evidence) { ev.First = ev.Earlier },
		"first of another log":   func(_ *world, ev *verify.Evidence) { ev.First = other.extended(other.first, int64(len(other.leaves))) },
		"earlier of another log": func(_ *world, ev *verify.Evidence) {
			ev.Earlier = other.extended(other.earlier, int64(len(other.leaves)))
		},
		"first not cosigned":          func(w *world, ev *verify.Evidence) { ev.First = w.bare(w.first) },
		"earlier not cosigned":        func(w *world, ev *verify.Evidence) { ev.Earlier = w.bare(w.earlier) },
		"first cosigned by himself":   func(w *world, ev *verify.Evidence) { ev.First = w.byHimself(w.first) },
		"earlier cosigned by himself": func(w *world, ev *verify.Evidence) { ev.Earlier = w.byHimself(w.earlier) },
		"the receipt not cosigned": func(w *world, ev *verify.Evidence) {
			w.cosign = false
			w.receipts(ev, w.indexOf(ev), w.indices(ev))
		},
	}
	times := []time.Duration{10 * time.Minute, 240 * time.Hour}
	if testing.Short() || raceDetector {
		times = times[:1]
	}
	for _, by := range times {
		for bracket, lead := range map[string]time.Duration{"close": 30 * time.Second, "wide": by + 30*time.Second} {
			w := newWorld(t)
			w.lead, w.now = lead, decided.Add(-by)
			honest := w.dated(-by)
			for name, trick := range tricks {
				ev := *honest
				w.cosign = true
				trick(w, &ev)
				w.unproved(&ev, by.String()+", "+bracket+", "+name)
			}
			w.cosign = true
			for size := int64(1); size <= int64(len(w.leaves)); size++ {
				for part := range 2 {
					ev := *honest
					*[]*[]byte{&ev.Earlier, &ev.First}[part] = w.extended(w.checkpoint(size), int64(len(w.leaves)))
					w.unproved(&ev, by.String()+", "+bracket+", another size")
				}
			}
		}
	}
}

// unproved fails the test where evidence is proved to the end with the log at hand.
func (w *world) unproved(ev *verify.Evidence, name string) {
	w.t.Helper()
	if code, verdicts := w.verdicts(written(w.t, ev), true); code != verify.ExitFailed && code != verify.ExitUntold {
		w.t.Errorf("%s: exit %d, %+v", name, code, of(w.t, verdicts, verify.LayerWitnesses))
	}
}

func (w *world) indexOf(ev *verify.Evidence) int64 {
	return int64(slices.IndexFunc(w.leaves, func(leaf []byte) bool { return bytes.Equal(leaf, ev.Statement) }))
}

// indices are those of the entries that evidence holds.
func (w *world) indices(ev *verify.Evidence) (list []int64) {
	for _, e := range ev.Entries {
		list = append(list, e.Index)
	}
	return list
}

// bare is a checkpoint that nobody but the log signed.
func (w *world) bare(c tlog.Checkpoint) []byte {
	c.Signatures = c.Signatures[:1]
	return w.extended(c, int64(len(w.leaves)))
}

// byHimself is a checkpoint with a cosignature in the witness's name, of whatever time is wanted, under another key.
func (w *world) byHimself(c tlog.Checkpoint) []byte {
	w.t.Helper()
	forged, err := tlog.Cosign(c, witnessName, private(issuerSeed), w.arguments.Time)
	w.must(err)
	c.Signatures = append(slices.Clone(c.Signatures[:1]), forged)
	return w.extended(c, int64(len(w.leaves)))
}

// TestBracket: what a pass bounds. Cosignatures count that are five minutes apart at most; a decision may state a time of a minute before them, or behind them.
func TestBracket(t *testing.T) {
	const after = 5 * time.Second // when the first checkpoint is cosigned that holds the decision
	for name, test := range map[string]struct {
		lead, by time.Duration
		want     verify.Status
		reason   string
	}{
		"close":                          {30 * time.Second, 0, verify.Pass, "back-dated by 1m35s at most"},
		"five minutes apart":             {5*time.Minute - after, 0, verify.Pass, "back-dated by 6m0s at most"},
		"more":                           {5*time.Minute - after + time.Second, 0, verify.Inconclusive, "5m1s apart"},
		"an hour":                        {time.Hour, 0, verify.Inconclusive, "1h0m5s apart"},
		"dated a minute before them":     {30 * time.Second, -90 * time.Second, verify.Pass, ""},
		"dated more before them":         {30 * time.Second, -91 * time.Second, verify.Fail, "back-dated"},
		"dated a minute behind them":     {30 * time.Second, after + time.Minute, verify.Pass, ""},
		"dated more behind them":         {30 * time.Second, after + 61*time.Second, verify.Fail, "after witnesses saw it"},
		"wide, and dated before":         {time.Hour, -2 * time.Hour, verify.Fail, "back-dated"},
		"wide, and dated behind":         {time.Hour, 2 * time.Hour, verify.Fail, "after witnesses saw it"},
		"clocks of witnesses cross over": {-20 * time.Second, 0, verify.Pass, "back-dated by 1m0s at most"},
	} {
		w := newWorld(t)
		w.lead = test.lead
		ev := w.dated(test.by)
		v := of(t, second(w.verdicts(written(t, ev), false)), verify.LayerWitnesses)
		if v.Status != test.want || !strings.Contains(v.Reason, test.reason) {
			t.Errorf("%s: %+v", name, v)
		}
		// The time stands in the statement too, and is held to it though the document was erased.
		erased := &verify.Evidence{Statement: ev.Statement, Receipt: ev.Receipt, Earlier: ev.Earlier, First: ev.First}
		erased.Erasure, _ = signerOf(t, issuerSeed).Sign(verify.TypErasure, verify.ErasureRecord{RecordHead: w.head(), Kind: verify.KindErased, Subject: strings.Repeat("0", 32), Documents: true})
		if got := of(t, second(w.verdicts(written(t, erased), false)), verify.LayerWitnesses); got != v {
			t.Errorf("%s, erased: %+v", name, got)
		}
	}
}

func second(_ int, verdicts []verify.Verdict) []verify.Verdict { return verdicts }

// TestNotYetCosigned: nobody has cosigned a young decision, and what was cosigned can be left out. That is no fault, and no proof: fetch it again.
func TestNotYetCosigned(t *testing.T) {
	for name, made := range map[string]func(w *world) *verify.Evidence{
		"a young decision": func(w *world) *verify.Evidence {
			ev := w.publish(w.honest())
			w.cosign = false
			ev.First = nil
			w.first = w.checkpoint(int64(len(w.leaves)))
			w.receipts(ev, w.indexOf(ev), w.indices(ev))
			return ev
		},
		"a young outcome": func(w *world) *verify.Evidence {
			ev := w.publish(w.honest())
			w.cosign = false
			w.receipts(ev, w.indexOf(ev), w.indices(ev))
			return ev
		},
	} {
		w := newWorld(t)
		code, verdicts := w.verdicts(written(t, made(w)), true)
		if v := of(t, verdicts, verify.LayerWitnesses); code != verify.ExitUntold || v.Status != verify.Inconclusive || !strings.Contains(v.Reason, "cosigned by nobody whom it names. A decision or an outcome of the last minute has not been cosigned yet: fetch its evidence again") || !strings.Contains(v.Reason, "time asserted") {
			t.Errorf("%s: exit %d, %+v", name, code, v)
		}
		// Without a policy nobody asks for them.
		w.trust.Policy = ""
		w.cosign = false
		ev := w.publish(w.honest())
		if code, verdicts := w.verdicts(written(t, ev), false); code != verify.ExitUntold || of(t, verdicts, verify.LayerWitnesses).Status != verify.Skipped {
			t.Errorf("%s, nobody asks: exit %d", name, code)
		}
	}
}

// TestNeverCosigned: where fetching it again can't help, nobody is told to.
func TestNeverCosigned(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world, ev *verify.Evidence)
		says   string
	}{
		"the first decision of a log": {func(_ *world, ev *verify.Evidence) { ev.Earlier = nil }, "The first decision of a log has none before it"},
		"by a former witness": {func(w *world, _ *verify.Evidence) {
			w.trust.Policy = "witness now " + vkey(w.t, "now.example", tlog.CosignatureV1, approverSeed).String() + "\n" + strings.Replace(w.trust.Policy, "quorum ", "quorum now\n# ", 1)
		}, "they are former witnesses. The trust file of then"},
	} {
		w := newWorld(t)
		ev := w.publish(w.honest())
		c.change(w, ev)
		code, verdicts := w.verdicts(written(t, ev), true)
		if v := of(t, verdicts, verify.LayerWitnesses); code != verify.ExitUntold || v.Status != verify.Inconclusive || !strings.Contains(v.Reason, c.says) || strings.Contains(v.Reason, "fetch") || strings.Contains(v.Reason, "[") {
			t.Errorf("%s: exit %d, %+v", name, code, v)
		}
	}
}

// TestPolicyOfAnotherLog: waiting does not help.
func TestPolicyOfAnotherLog(t *testing.T) {
	w := newWorld(t)
	file := written(t, w.publish(w.honest()))
	w.trust.Policy = "log " + vkey(t, logOrigin, tlog.Ed25519, logSeed).String() + "\n" + w.trust.Policy
	if code, _ := w.verdicts(file, true); code != verify.ExitVerified {
		t.Errorf("of this log: exit %d", code)
	}
	w.trust.Policy = strings.Replace(w.trust.Policy, vkey(t, logOrigin, tlog.Ed25519, logSeed).String(), vkey(t, "another", tlog.Ed25519, logSeed).String(), 1)
	if code, verdicts := w.verdicts(file, true); code != verify.ExitFailed || caughtBy(verdicts) != verify.LayerWitnesses {
		t.Errorf("of another: exit %d, caught by %q", code, caughtBy(verdicts))
	}
}

// TestTimeWithoutAWitness: nobody but the operator says when it was, and the verifier says so.
func TestTimeWithoutAWitness(t *testing.T) {
	w := newWorld(t)
	w.cosign, w.trust.Policy = false, ""
	w.now = decided.Add(-2 * time.Hour) // what else the log holds is dated alike
	code, verdicts := w.verdicts(written(t, w.dated(-2*time.Hour)), true)
	if v := of(t, verdicts, verify.LayerWitnesses); code != verify.ExitVerified || v.Status != verify.Skipped || !strings.Contains(v.Reason, "unwitnessed") || !strings.Contains(v.Reason, "time asserted") {
		t.Errorf("exit %d, %+v", code, v)
	}
}

// TestTimesInTheLog: with the whole log at hand a decision's time is held to that of the entries around it, though nobody cosigned them: all but those that the root may have signed, by another clock.
func TestTimesInTheLog(t *testing.T) {
	const most = time.Minute
	record := func(w *world) any { return verify.FailureRecord{RecordHead: w.head(), ID: "x", Code: "x"} }
	statement := func(w *world) any {
		return verify.Statement{V: 1, ID: "x", Tenant: "acme", Log: logOrigin, Base: int64(len(w.leaves)), IAT: w.now.Unix(), Bundles: []string{}, Retention: verify.RetentionStandard}
	}
	revocation := func(w *world) any {
		return verify.RevocationRecord{V: 1, Log: "another", KID: "x", From: 5, IAT: w.now.Unix(), Reason: "x"}
	}
	for typ, payload := range map[string]func(w *world) any{
		verify.TypDecision: statement, verify.TypFailure: record, verify.TypExplanation: record, verify.TypOutcome: record, verify.TypShadow: record, verify.TypHold: record, verify.TypErasure: record,
		verify.TypRevocation: revocation,
	} {
		for _, off := range []time.Duration{0, most, most + time.Second, 1000 * time.Hour} {
			for _, before := range []bool{true, false} {
				w := newWorld(t)
				w.cosign, w.trust.Policy, w.trust.Root = false, "", private(rootSeed).Public().(ed25519.PublicKey)
				by := issuerSeed
				if typ == verify.TypRevocation {
					by = rootSeed
				}
				if before {
					w.now = decided.Add(off)
					w.signBy(by, typ, payload(w))
				}
				w.now = decided
				ev := w.publish(w.honest())
				if !before {
					w.now = decided.Add(-off)
					w.signBy(by, typ, payload(w))
				}
				code, verdicts := w.verdicts(written(t, ev), true)
				v := of(t, verdicts, verify.LayerCurrency)
				fault := v.Status == verify.Fail && v.Pointer == "/iat" && code == verify.ExitFailed
				if fault != (off > most && typ != verify.TypRevocation) || !fault && code != verify.ExitVerified {
					t.Errorf("%s by %v, before the decision %t: exit %d, %+v", typ, off, before, code, v)
				}
				w.now = decided.Add(time.Second)
				erasure := w.sign(verify.TypErasure, verify.ErasureRecord{RecordHead: w.head(), Kind: verify.KindErased, Subject: strings.Repeat("0", 32), Documents: true})
				erased := &verify.Evidence{Statement: ev.Statement, Receipt: ev.Receipt, Earlier: ev.Earlier, First: ev.First, Erasure: w.leaves[erasure]}
				if _, verdicts := w.verdicts(written(t, erased), true); (of(t, verdicts, verify.LayerCurrency).Status == verify.Fail) != fault {
					t.Errorf("%s by %v, before the decision %t, erased: %+v", typ, off, before, verdicts)
				}
			}
		}
	}
}

// TestEarlierWithoutAWitness: the earlier checkpoint holds, or the evidence does not, whether anybody asks for cosignatures or not.
func TestEarlierWithoutAWitness(t *testing.T) {
	w := newWorld(t)
	w.cosign, w.trust.Policy = false, ""
	ev := w.publish(w.honest())
	honest, err := verify.ParseEarlier(ev.Earlier)
	w.must(err)
	changed := func(change func(e *verify.Earlier)) []byte {
		e := honest
		e.Hashes = slices.Clone(e.Hashes)
		change(&e)
		return e.Encode()
	}
	cosigned, err := tlog.Cosign(honest.Checkpoint, "stranger.example.com", private(strangerSeed), decided)
	w.must(err)
	size := int64(len(w.leaves))
	index := w.indexOf(ev)
	shared := map[string][]byte{
		"no checkpoint": []byte("the decision is older than it looks"),
		"unsigned":      changed(func(e *verify.Earlier) { e.Checkpoint.Signatures = []tlog.Signature{cosigned} }),
		"a stranger's cosignature": changed(func(e *verify.Earlier) {
			e.Checkpoint.Signatures = append(slices.Clone(e.Checkpoint.Signatures), cosigned)
		}),
		"another proof":     changed(func(e *verify.Earlier) { e.Hashes[0][0] ^= 1 }),
		"the receipt's own": w.extended(w.checkpoint(size), size),
	}
	first := ev.First
	for part, misplaced := range map[*[]byte][]byte{&ev.Earlier: w.extended(w.checkpoint(index+1), size), &ev.First: w.extended(w.checkpoint(index), size)} {
		shared["one on the other side of the decision"] = misplaced
		for name, text := range shared {
			*part = text
			if code, verdicts := w.verdicts(written(t, ev), true); code != verify.ExitFailed || caughtBy(verdicts) != verify.LayerWitnesses {
				t.Errorf("%s: exit %d, caught by %q", name, code, caughtBy(verdicts))
			}
		}
		ev.Earlier, ev.First = honest.Encode(), first
	}
	if code, verdicts := w.verdicts(written(t, ev), true); code != verify.ExitVerified {
		t.Errorf("as it is: exit %d, %+v", code, verdicts)
	}
}

// dated makes a decision whose document says another time than that at which it was made.
func (w *world) dated(by time.Duration) *verify.Evidence {
	w.arguments.Time = decided.Add(by)
	w.header.Time, w.header.DecisionID = w.arguments.Time, verify.NewDecisionID(w.arguments.Time, [10]byte{})
	return w.publish(w.honest())
}
