package replay_test

import (
	"cmp"
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/replay"
	"github.com/smarthausgroup/caio/verify/tlog"
)

// TestStaleBase: an operator decides under what was in force earlier, and says of the log that it was as short then. With the log at hand that is seen by what was put in force well before the decision was made.
func TestStaleBase(t *testing.T) {
	for name, stale := range map[string]struct {
		base   int64
		revert func(w *world)
	}{
		"the bundle":   {9, func(*world) {}},
		"settings too": {8, (*world).oldSettings},
		"attestations too": {7, func(w *world) {
			w.oldSettings()
			w.arguments.Attestations, w.header.Attestations = w.before.arguments.Attestations, w.before.header.Attestations
		}},
	} {
		w := newWorld(t)
		w.arguments.Bundles, w.header.Bundles = w.before.arguments.Bundles, w.before.header.Bundles
		stale.revert(w)
		for range 300 {
			w.sign(verify.TypFailure, verify.FailureRecord{RecordHead: w.head(), ID: "x", Code: "x"})
		}
		p := w.honest()
		p.document.Base = stale.base
		code, verdicts := w.verdicts(written(t, w.publish(p)), true)
		if v := of(t, verdicts, verify.LayerCurrency); code != verify.ExitFailed || v.Status != verify.Fail || v.Pointer != "/base" {
			t.Errorf("%s: exit %d, %+v", name, code, v)
		}
	}
}

func (w *world) oldSettings() {
	w.arguments.Settings, w.header.Settings = w.before.arguments.Settings, w.before.header.Settings
}

// TestLeftOut: what was put in force while a decision was on its way may be missing in it, and nothing older.
func TestLeftOut(t *testing.T) {
	activation := func(kind string) func(w *world) {
		return func(w *world) {
			w.sign(verify.TypActivation, verify.ActivationRecord{RecordHead: w.head(), Kind: kind, Bundle: "baseline", Digest: w.header.Bundles[0].Digest, Key: "release"})
		}
	}
	for name, c := range map[string]struct {
		change  func(w *world)
		matters bool
	}{
		"settings": {func(w *world) { w.sign(verify.TypSettings, verify.SettingsRecord{RecordHead: w.head(), Settings: "x"}) }, true},
		"a contract": {func(w *world) {
			w.sign(verify.TypContract, verify.ContractRecord{RecordHead: w.head(), Kind: verify.KindRemoved, Service: "winner"})
		}, true},
		"a grant": {func(w *world) {
			w.sign(verify.TypGrant, verify.GrantRecord{RecordHead: w.head(), Kind: verify.KindRevoked, Service: "x"})
		}, true},
		"an attestation": {func(w *world) {
			w.sign(verify.TypAttestation, verify.AttestationEntry{RecordHead: w.head(), Service: "winner", Level: contracts.SelfAttested})
		}, true},
		"a bundle":             {activation(verify.KindActivated), true},
		"a bundle out":         {activation(verify.KindDeactivated), true},
		"a bundle pushed":      {activation(verify.KindPushed), false},
		"a bundle in a shadow": {activation(verify.KindShadowed), false},
	} {
		for _, ago := range []time.Duration{-time.Second, 0, time.Minute, time.Minute + time.Second, 720 * time.Hour} {
			w := newWorld(t)
			p := w.honest()
			w.now = decided.Add(-ago)
			c.change(w)
			w.now = decided
			code, verdicts := w.verdicts(written(t, w.publish(p)), true)
			v := of(t, verdicts, verify.LayerCurrency)
			if fault := c.matters && ago > time.Minute; fault != (code == verify.ExitFailed && v.Pointer == "/base") || !fault && code != verify.ExitVerified {
				t.Errorf("%s %v before the decision: exit %d, %+v", name, ago, code, v)
			}
		}
	}
}

// pinned is a world whose trust file pins the offline root, and holds the issuer's key from the log's beginning.
func pinned(t testing.TB) *world {
	w := newWorld(t)
	w.pin()
	return w
}

func (w *world) pin() {
	w.trust.Root = private(rootSeed).Public().(ed25519.PublicKey)
	w.trust.Keys[0].Intervals = map[string]verify.Interval{logOrigin: {}}
}

// handOver has the key in use let another in, or the root.
func (w *world) handOver(offline bool) {
	w.t.Helper()
	before := cmp.Or(w.by, issuerSeed)
	if offline {
		w.signBy(rootSeed, verify.TypKey, w.rootRecord(secondSeed))
	} else {
		w.signBy(before, verify.TypKey, w.keyRecord(verify.KeyActivated, secondSeed))
		w.signBy(before, verify.TypKey, w.keyRecord(verify.KeyRetired, before))
	}
	w.signBy(secondSeed, verify.TypKey, w.keyRecord(verify.KeySucceeds, before))
	w.by = secondSeed
}

func (w *world) revoke(seed byte, from int64) {
	w.signBy(rootSeed, verify.TypRevocation, verify.RevocationRecord{V: 1, Log: logOrigin, KID: signerOf(w.t, seed).KeyID(), From: from, IAT: w.now.Unix(), Reason: "stolen"})
}

func (w *world) want(name string, ev *verify.Evidence, code int, layer string, status verify.Status, reason string) {
	w.t.Helper()
	got, verdicts := w.verdicts(written(w.t, ev), true)
	if v := of(w.t, verdicts, layer); got != code || v.Status != status || !strings.Contains(v.Reason, reason) {
		w.t.Errorf("%s: exit %d, %+v", name, got, v)
	}
}

// TestRevokedInTheLog: whoever reads the log under a pinned root believes what the root says there of a key, though his trust file was made before.
func TestRevokedInTheLog(t *testing.T) {
	for name, c := range map[string]struct {
		from   int64 // relative to the decision
		code   int
		layer  string
		status verify.Status
		reason string
	}{
		"from the decision on":     {0, verify.ExitFailed, verify.LayerSignature, verify.Fail, "the root has revoked the key"},
		"from long before":         {-5, verify.ExitFailed, verify.LayerSignature, verify.Fail, "stolen"},
		"from its outcome on":      {1, verify.ExitUntold, verify.LayerOutcome, verify.Inconclusive, "not to be believed"},
		"from behind the evidence": {2, verify.ExitVerified, verify.LayerSignature, verify.Pass, ""},
	} {
		w := pinned(t)
		ev := w.publish(w.honest())
		at := w.indexOf(ev)
		w.handOver(true)
		w.revoke(issuerSeed, at+c.from)
		w.want(name, ev, c.code, c.layer, c.status, c.reason)
		w.trust.Root = nil
		w.want(name+", and no root pinned", ev, verify.ExitUntold, verify.LayerCurrency, verify.Inconclusive, "pins no offline root")
	}
}

// TestKeysOfTheLog: a trust file of before a rotation is brought up to date by the log, and a key that a revoked one let in is not believed, whether the file holds it or not.
func TestKeysOfTheLog(t *testing.T) {
	for _, held := range []bool{false, true} {
		w := pinned(t)
		w.handOver(false)
		in := int64(len(w.leaves)) - 3
		if held {
			w.trust.Keys = append(w.trust.Keys, verify.Key{Public: signerOf(t, secondSeed).Public(), Intervals: map[string]verify.Interval{logOrigin: {NotBefore: in}}})
		}
		ev := w.publish(w.honest())
		w.want("let in", ev, verify.ExitVerified, verify.LayerSignature, verify.Pass, "")
		w.signBy(rootSeed, verify.TypKey, w.rootRecord(strangerSeed))
		w.signBy(strangerSeed, verify.TypKey, w.keyRecord(verify.KeySucceeds, secondSeed))
		w.revoke(issuerSeed, in+1)
		w.want("let in before that", ev, verify.ExitVerified, verify.LayerSignature, verify.Pass, "")
		w.revoke(issuerSeed, in)
		w.want("let in by a revoked key", ev, verify.ExitFailed, verify.LayerSignature, verify.Fail, "was let in at index")
	}
	// A log whose keys nobody whom the file pins let in.
	w := pinned(t)
	w.trust.Keys[0].Public = signerOf(t, strangerSeed).Public()
	w.want("another log's keys", w.publish(w.honest()), verify.ExitFailed, verify.LayerSignature, verify.Fail, "none that it holds let this one")
	// A key that no entry let in, though the file holds it.
	w = pinned(t)
	w.trust.Keys = append(w.trust.Keys, verify.Key{Public: signerOf(t, strangerSeed).Public(), Intervals: map[string]verify.Interval{logOrigin: {}}})
	w.by = strangerSeed
	w.want("a key without an entry", w.publish(w.honest()), verify.ExitFailed, verify.LayerCurrency, verify.Fail, "")
}

// TestReplacedPolicyKey: the key of policies that was given is another of the same id: a forgery, or what came after the one that signed.
func TestReplacedPolicyKey(t *testing.T) {
	w := newWorld(t)
	later := map[string]rego.Key{"release": {Algorithm: "EdDSA", PEM: publicPEM(t, strangerSeed)}}
	w.options.VerifyBundle = func(b *rego.Bundle) (string, error) {
		_, err := rego.Verify(b, later)
		return "release", err
	}
	w.want("replaced", w.publish(w.honest()), verify.ExitFailed, verify.LayerReplay, verify.Fail, "may have been replaced since")
}

// TestCopyOlderThanTheTrustFile: what the file knows of later entries shows that the log at hand is not all of it. Of a log that was given up there may be less left than there was.
func TestCopyOlderThanTheTrustFile(t *testing.T) {
	for name, c := range map[string]struct {
		beyond       int64 // how far behind the log's last entry the file knows of one
		retired      bool  // where a key ended, and not where one began
		givenUp, lie bool
		code         int
	}{
		"a key from the last entry on": {beyond: 0, code: verify.ExitFailed}, // which the log never let in
		"a key of later":               {beyond: 1, code: verify.ExitUntold},
		"one that was retired last":    {beyond: 0, retired: true, code: verify.ExitVerified},
		"one that was retired later":   {beyond: 1, retired: true, code: verify.ExitUntold},
		"given up":                     {beyond: 1, retired: true, givenUp: true, code: verify.ExitVerified},
		"a lie in the older copy":      {beyond: 1, retired: true, lie: true, code: verify.ExitFailed},
	} {
		w := pinned(t)
		p := w.honest()
		if c.lie {
			p.document.Settings.Revision++
		}
		ev := w.publish(p)
		known := int64(len(w.leaves)) - 1 + c.beyond
		if c.retired {
			w.trust.Keys[0].Intervals[logOrigin] = verify.Interval{NotAfter: &known}
		} else {
			w.trust.Keys = append(w.trust.Keys, verify.Key{Public: signerOf(t, secondSeed).Public(), Intervals: map[string]verify.Interval{logOrigin: {NotBefore: known}}})
		}
		if c.givenUp {
			w.trust.Logs = append(w.trust.Logs, verify.Log{Origin: "successor", Follows: logOrigin, Key: vkey(t, "successor", tlog.Ed25519, secondSeed).String()})
		}
		status, reason := verify.Pass, ""
		switch c.code {
		case verify.ExitUntold:
			status, reason = verify.Inconclusive, "older than the trust file"
		case verify.ExitFailed:
			status = verify.Fail
		}
		w.want(name, ev, c.code, verify.LayerCurrency, status, reason)
	}
}

// TestErasedUnderARevokedKey: an erasure that a revoked key signed is nobody's word, and no lie of the issuer's: what it says can't be told. One that does not hold otherwise is a fault as before.
func TestErasedUnderARevokedKey(t *testing.T) {
	for name, c := range map[string]struct {
		documents, known, stale bool // the document too; the trust file knows of the revocation; what it says is not about the decision
		from                    int64
		code                    int
		status                  verify.Status
	}{
		"content":                         {from: 0, code: verify.ExitUntold, status: verify.Inconclusive},
		"content, and the file knows it":  {known: true, code: verify.ExitUntold, status: verify.Inconclusive},
		"the document":                    {documents: true, code: verify.ExitUntold, status: verify.Inconclusive},
		"the document, and the file does": {documents: true, known: true, code: verify.ExitUntold, status: verify.Inconclusive},
		"revoked from behind it":          {from: 1, code: verify.ExitUntold, status: verify.Pass}, // without content replay is left out
		"another tenant's":                {stale: true, code: verify.ExitFailed, status: verify.Fail},
		"another tenant's document":       {stale: true, documents: true, known: true, code: verify.ExitFailed, status: verify.Fail},
	} {
		w := pinned(t)
		ev := w.publish(w.honest())
		head := w.head()
		head.IAT++
		if c.stale {
			head.Tenant = "other"
		}
		ev.Disclosures = nil
		at := w.sign(verify.TypErasure, verify.ErasureRecord{RecordHead: head, Kind: verify.KindErased, Subject: strings.Repeat("0", 32), Documents: c.documents, Actor: "dpo", Reason: "asked for"})
		ev.Erasure = w.leaves[at]
		if c.documents {
			ev = &verify.Evidence{Statement: ev.Statement, Receipt: ev.Receipt, Earlier: ev.Earlier, Erasure: ev.Erasure}
		}
		w.handOver(true)
		w.revoke(issuerSeed, at+c.from)
		if c.known {
			r, err := verify.ParseRevocation(w.trust.Root, string(w.leaves[len(w.leaves)-1]))
			w.must(err)
			w.trust.Revocations = append(w.trust.Revocations, r)
		}
		for _, whole := range []bool{true, false}[:1+len(w.trust.Revocations)] {
			code, verdicts := w.verdicts(written(t, ev), whole)
			v, current := of(t, verdicts, verify.LayerDocument), of(t, verdicts, verify.LayerCurrency)
			if code != c.code || v.Status != c.status || c.status == verify.Inconclusive && !strings.Contains(v.Reason, "stolen") || current.Status == verify.Fail {
				t.Errorf("%s, with the log %t: exit %d, %+v, %+v", name, whole, code, v, current)
			}
		}
	}
}

// TestCopyOfBeforeTheKey: a copy of the log that ends before the statement may end before its key came in. That speaks against nobody whose statement the log holds.
func TestCopyOfBeforeTheKey(t *testing.T) {
	w := pinned(t)
	w.at = decided
	copied := w.source()
	w.handOver(false)
	ev := w.publish(w.honest())
	checked := func(ev *verify.Evidence, log tlog.Source) (int, verify.Verdict) {
		o := w.options
		o.Log = log
		_, verdicts := replay.CheckFile(t.Context(), written(t, ev), w.trust, o)
		return verify.ExitCode(verdicts), of(t, verdicts, verify.LayerSignature)
	}
	if code, v := checked(ev, w.source()); code != verify.ExitVerified {
		t.Errorf("with the log of now: exit %d, %+v", code, v)
	}
	if code, v := checked(ev, copied); code != verify.ExitUntold || v.Status != verify.Inconclusive || !strings.Contains(v.Reason, "bring the copy up to date") {
		t.Errorf("with the copy: exit %d, %+v", code, v)
	}
	forged, none, stranger := *ev, *ev, pinned(t)
	forged.Statement = w.restated(map[string]any{"id": "another", "log": logOrigin}, ev.Document)
	none.Receipt, none.Earlier, none.First, none.Entries = nil, nil, nil, nil
	for name, ev := range map[string]*verify.Evidence{"a statement that is not in the log": &forged, "without a receipt": &none} {
		if code, v := checked(ev, copied); code != verify.ExitFailed || v.Status != verify.Fail {
			t.Errorf("%s: exit %d, %+v", name, code, v)
		}
	}
	stranger.by = strangerSeed
	if code, v := checked(stranger.publish(stranger.honest()), w.source()); code != verify.ExitFailed || v.Status != verify.Fail {
		t.Errorf("of a key that nobody let in: exit %d, %+v", code, v)
	}
}

func (w *world) rootRecord(subject byte) verify.KeyRecord {
	r := w.keyRecord(verify.KeyActivated, subject)
	r.Tenant, r.Base = "", 0
	return r
}

// TestRestsOnARevokedKey: what a key put in force that was stolen by then is no premise, until somebody else puts it there again.
func TestRestsOnARevokedKey(t *testing.T) {
	w := pinned(t)
	w.handOver(true)
	w.now = decided.Add(-time.Hour)
	w.revoke(issuerSeed, 6) // the winner is registered at 6 and attested at 7, settings are at 8, the bundle at 9
	step := func(name, reason string, more func()) {
		t.Helper()
		w.now = decided.Add(-time.Hour)
		more()
		w.now = decided
		leaves, hashes := len(w.leaves), len(w.hashes)
		ev := w.publish(w.honest())
		if reason == "" { // and only what scoring read of before is left, which nobody reports again
			w.want(name, ev, verify.ExitUntold, verify.LayerCurrency, verify.Inconclusive, "the history of the candidates can't be told: the outcome at index")
		} else {
			w.want(name, ev, verify.ExitFailed, verify.LayerCurrency, verify.Fail, reason)
		}
		w.leaves, w.hashes = w.leaves[:leaves], w.hashes[:hashes]
	}
	step("nothing again", "the entry at index", func() {})
	step("settings again", "the entry at index", func() { w.settings([]any{"eu"}) })
	step("the bundle again", "the entry at index", func() { w.activate(w.arguments.Bundles[0], w.header.Bundles[0].Digest) })
	extra := contract(t, "extra", "us", "")
	step("another service", "the service winner rests on the entry at index 6: not to be believed", func() { w.register(extra) })
	winner := w.arguments.Contracts[3]
	step("the winner again", "the attestation of the service winner rests on the entry at index 7", func() {
		w.arguments.Contracts = append(w.arguments.Contracts[:3:3], extra)
		w.register(winner)
	})
	step("attested again", "", func() {
		w.attested = nil
		w.attest("winner", contracts.Audited)
	})
}

// TestRecoveredByARevokedKey: the word on the log before is nobody's then, and what stands on other entries by now is good.
func TestRecoveredByARevokedKey(t *testing.T) {
	w := newWorldAfter(t, func(w *world) {
		w.sign(verify.TypRecovery, verify.RecoveryRecord{RecordHead: w.head(), Lost: "lost", Kept: 3, Actor: "thief", Reason: "x"})
	})
	w.pin()
	w.handOver(true)
	w.revoke(issuerSeed, 0)
	w.now = decided.Add(-time.Hour)
	again := w.arguments.Contracts
	w.arguments.Contracts, w.attested = nil, nil
	for _, c := range again {
		w.register(c)
	}
	w.attest("winner", contracts.Audited)
	w.settings([]any{"eu"})
	w.activate(w.arguments.Bundles[0], w.header.Bundles[0].Digest)
	w.now = decided
	ev := w.publish(w.honest())
	w.want("put in force again", ev, verify.ExitUntold, verify.LayerCurrency, verify.Inconclusive, "the history of the candidates can't be told: the outcome at index")
	told := false
	o := w.options
	o.Log, o.Follows = w.source(), func(verify.Former) { told = true }
	replay.CheckFile(t.Context(), written(t, ev), w.trust, o)
	if told {
		t.Error("the log before was told of by a key that is not to be believed")
	}
}
