package verify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/verify"
	"pgregory.net/rapid"
)

func verdict(t rapid.TB, verdicts []verify.Verdict, layer string) verify.Verdict {
	t.Helper()
	i := slices.IndexFunc(verdicts, func(v verify.Verdict) bool { return v.Layer == layer })
	if i < 0 {
		t.Fatalf("no verdict of %s", layer)
	}
	return verdicts[i]
}

func TestCheckPassesWhatIsRight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := randomProof(t)
		_, verdicts := verify.CheckFile(context.Background(), written(t, p.evidence), p.trust, verify.Options{})
		for _, layer := range []string{verify.LayerEvidence, verify.LayerSignature, verify.LayerDocument, verify.LayerArgmax} {
			if v := verdict(t, verdicts, layer); v.Status != verify.Pass {
				t.Fatalf("%+v\n%s", v, p.evidence.Document)
			}
		}
		for _, layer := range []string{verify.LayerReceipt, verify.LayerWitnesses, verify.LayerCurrency, verify.LayerOutcome} {
			if v := verdict(t, verdicts, layer); v.Status != verify.Skipped || v.Reason == "" {
				t.Fatalf("%+v", v)
			}
		}
		if code := verify.ExitCode(verdicts); code != verify.ExitUntold {
			t.Fatal(code)
		}
	})
}

func TestCheckFileThatIsNone(t *testing.T) {
	ev, verdicts := verify.CheckFile(context.Background(), []byte("x"), verify.Trust{}, verify.Options{})
	if v := verdict(t, verdicts, verify.LayerEvidence); ev != nil || v.Status != verify.Fail || verify.ExitCode(verdicts) != verify.ExitFailed {
		t.Errorf("%+v", verdicts)
	}
}

// untold are the leaves of a document that only completeness, replay and the receipts can hold against something: the arguments as they were given, and what rules and fields say of them.
var untold = regexp.MustCompile(`^/(engine/|tenant$|base$|` +
	`request/(context|data|estimate|exclude|fields|intent|limits|payload|previous|purpose|requirements|seed|sources|traits)(/|$)|` +
	`principal/|` +
	`(snapshot|attestations|settings)/(revision|index)$|bundles/\d+/(index|key|name)$|` +
	`unmatched/\d+/ids/|` +
	`candidates/\d+/(history|eliminated|route|score/estimate)(/|$)|` +
	`decision/(control|guarantees)/|satisfied/|warnings/)`)

// Every leaf is changed, the document hashed and signed anew. A stranger's signature is told by layer signature whatever the change; with the issuer's own key, document and argmax tell of all that they can see.
func TestEveryForgedLeafIsCaught(t *testing.T) {
	honest := example(t)
	caught := map[string]int{}
	for pointer, text := range mutants(t, honest.evidence.Document) {
		ev := *honest.evidence
		ev.Document = text
		if v := verdict(t, verify.Check(context.Background(), &ev, honest.trust, verify.Options{}), verify.LayerDocument); v.Status != verify.Fail {
			t.Errorf("%s: changed under the old statement: %+v", pointer, v)
		}
		for _, by := range []byte{1, 2} {
			ev.Statement = forgedStatement(t, honest, text, by)
			verdicts := verify.Check(context.Background(), &ev, honest.trust, verify.Options{})
			if by == 2 {
				if v := verdict(t, verdicts, verify.LayerSignature); v.Status != verify.Fail {
					t.Errorf("%s: signed by a stranger: %+v", pointer, v)
				}
				continue
			}
			i := slices.IndexFunc(verdicts, func(v verify.Verdict) bool { return v.Status == verify.Fail })
			switch {
			case i < 0 && !untold.MatchString(pointer):
				t.Errorf("%s: no layer failed", pointer)
			case i >= 0:
				caught[verdicts[i].Layer]++
			}
		}
	}
	if caught[verify.LayerSignature] == 0 || caught[verify.LayerDocument] == 0 || caught[verify.LayerArgmax] == 0 {
		t.Error("a layer caught nothing:", caught)
	}
}

// forgedStatement states what the changed document says, as far as it can be read.
func forgedStatement(t testing.TB, honest *proof, text []byte, by byte) []byte {
	var d verify.Document
	if err := json.Unmarshal(text, &d); err != nil {
		d = *honest.document
	}
	s, err := verify.NewStatement(&d, verify.Digest(text), verify.RetentionStandard)
	if err != nil {
		s = must(verify.NewStatement(honest.document, verify.Digest(text), verify.RetentionStandard))(t)
	}
	return must(signer(t, by).Sign(verify.TypDecision, s))(t)
}

// A statement that the issuer signed may not differ from the document in any claim.
func TestEveryClaimIsCompared(t *testing.T) {
	p := example(t)
	honest := must(verify.NewStatement(p.document, verify.Digest(p.evidence.Document), verify.RetentionStandard))(t)
	for claim, forge := range map[string]func(*verify.Statement){
		"/v":         func(s *verify.Statement) { s.V = 2 },
		"/id":        func(s *verify.Statement) { s.ID = "x" },
		"/tenant":    func(s *verify.Statement) { s.Tenant = "x" },
		"/log":       func(s *verify.Statement) { s.Log = "x" },
		"/base":      func(s *verify.Statement) { s.Base++ },
		"/iat":       func(s *verify.Statement) { s.IAT++ },
		"/doc":       func(s *verify.Statement) { s.Doc = "x" },
		"/bundles":   func(s *verify.Statement) { s.Bundles = s.Bundles[:1] },
		"/settings":  func(s *verify.Statement) { s.Settings = "x" },
		"/snapshot":  func(s *verify.Statement) { s.Snapshot = "x" },
		"/outcome":   func(s *verify.Statement) { s.Outcome = verify.Denied },
		"/service":   func(s *verify.Statement) { s.Service = "voyage" },
		"/retention": func(s *verify.Statement) { s.Retention = "" },
	} {
		s := honest
		forge(&s)
		p.evidence.Statement = must(signer(t, 1).Sign(verify.TypDecision, s))(t)
		if v := verdict(t, verify.Check(context.Background(), p.evidence, p.trust, verify.Options{}), verify.LayerDocument); v.Status != verify.Fail || v.Pointer != claim {
			t.Errorf("%s: %+v", claim, v)
		}
	}
}

// What stands in the evidence beside the document is what the document names.
func TestEvidenceIsBoundToTheDocument(t *testing.T) {
	for where, change := range map[string]func(*verify.Evidence){
		"/snapshot/digest":       func(ev *verify.Evidence) { delete(ev.Snapshot, "tiny-search") },
		"/attestations/digest":   func(ev *verify.Evidence) { ev.Attestations[0].Level = contracts.Verified },
		"/settings/digest":       func(ev *verify.Evidence) { ev.Settings["x"] = true },
		"/bundles/0/digest":      func(ev *verify.Evidence) { ev.Bundles[example(t).document.Bundles[0].Digest]["more.rego"] = nil },
		"/bundles/1/digest":      func(ev *verify.Evidence) { delete(ev.Bundles, example(t).document.Bundles[1].Digest) },
		"/bundles":               func(ev *verify.Evidence) { ev.Bundles["x"] = map[string][]byte{"a": nil} },
		"/candidates/0/contract": func(ev *verify.Evidence) { delete(ev.Contracts, ev.Snapshot["bge-local"]) },
	} {
		p := example(t)
		change(p.evidence)
		if v := verdict(t, verify.Check(context.Background(), p.evidence, p.trust, verify.Options{}), verify.LayerDocument); v.Status != verify.Fail || v.Pointer != where {
			t.Errorf("%s: %+v", where, v)
		}
	}
	p := example(t)
	p.evidence.Contracts[verify.Digest([]byte("{}"))] = []byte("{}")
	if v := verdict(t, verify.Check(context.Background(), p.evidence, p.trust, verify.Options{}), verify.LayerDocument); v.Status != verify.Fail {
		t.Errorf("a contract beside the snapshot: %+v", v)
	}
	p = example(t)
	p.document.Candidates[2].Contract = p.document.Candidates[3].Contract
	p.seal(t, 1)
	if v := verdict(t, verify.Check(context.Background(), p.evidence, p.trust, verify.Options{}), verify.LayerDocument); v.Status != verify.Fail || v.Pointer != "/candidates/2/contract" || v.Want != p.evidence.Snapshot["openai-embed"] {
		t.Errorf("another service's contract: %+v", v)
	}
	p = example(t)
	p.document.Unmatched[0].Service = "nobody"
	p.seal(t, 1)
	if v := verdict(t, verify.Check(context.Background(), p.evidence, p.trust, verify.Options{}), verify.LayerDocument); v.Status != verify.Fail || v.Pointer != "/unmatched/0/service" {
		t.Errorf("a service from nowhere: %+v", v)
	}
}

// Without a receipt the index of a statement is only known to be at least its base, here 1234.
func TestSignatureInTheKeysInterval(t *testing.T) {
	origin := header().Log
	upTo := func(n int64) *int64 { return &n }
	for name, c := range map[string]struct {
		intervals map[string]verify.Interval
		want      verify.Status
	}{
		"everywhere":       {nil, verify.Pass},
		"since the start":  {map[string]verify.Interval{origin: {}}, verify.Pass},
		"since its base":   {map[string]verify.Interval{origin: {NotBefore: 1234}}, verify.Pass},
		"perhaps later":    {map[string]verify.Interval{origin: {NotBefore: 1235}}, verify.Inconclusive},
		"until its base":   {map[string]verify.Interval{origin: {NotAfter: upTo(1234)}}, verify.Inconclusive},
		"until long after": {map[string]verify.Interval{origin: {NotAfter: upTo(1 << 40)}}, verify.Inconclusive},
		"no longer":        {map[string]verify.Interval{origin: {NotAfter: upTo(1233)}}, verify.Fail},
		"another log":      {map[string]verify.Interval{"x": {}}, verify.Fail},
	} {
		p := example(t)
		p.trust.Keys[0].Intervals = c.intervals
		if v := verdict(t, verify.Check(context.Background(), p.evidence, p.trust, verify.Options{}), verify.LayerSignature); v.Status != c.want || v.Status != verify.Pass && v.Reason == "" {
			t.Errorf("%s: %+v", name, v)
		} else if v.Status == verify.Pass && (v.Reason == "") == (c.intervals == nil) {
			t.Errorf("%s: that the key is accepted everywhere is told with %q", name, v.Reason)
		}
	}
	p := example(t)
	p.trust.Logs = []verify.Log{{Origin: "x"}}
	if v := verdict(t, verify.Check(context.Background(), p.evidence, p.trust, verify.Options{}), verify.LayerSignature); v.Status != verify.Fail || v.Pointer != "/log" {
		t.Errorf("a log that nobody trusts: %+v", v)
	}
	p = example(t)
	p.trust.Issuer = "x"
	if v := verdict(t, verify.Check(context.Background(), p.evidence, p.trust, verify.Options{}), verify.LayerDocument); v.Status != verify.Fail || v.Pointer != "/issuer" {
		t.Errorf("an issuer that nobody trusts: %+v", v)
	}
}

// The issuer himself may not attest what is not in the snapshot, as something that there is not, or in another order; nor show signatures of a bundle that he calls unsigned.
func TestAttestationsAndSignaturesAreHeldToTheDocument(t *testing.T) {
	for name, test := range map[string]struct {
		forge   func(p *proof)
		pointer string
	}{
		"nothing":          {func(*proof) {}, ""},
		"more":             {func(p *proof) { p.attest("openai-embed", contracts.Verified) }, ""},
		"unsorted":         {func(p *proof) { p.attest("openai-embed", contracts.Audited); slices.Reverse(p.evidence.Attestations) }, "/attestations/digest"},
		"twice":            {func(p *proof) { p.attest("bge-local", contracts.Verified) }, "/attestations/digest"},
		"self":             {func(p *proof) { p.attest("openai-embed", contracts.SelfAttested) }, "/attestations/digest"},
		"another level":    {func(p *proof) { p.attest("openai-embed", "godlike") }, "/attestations/digest"},
		"no level":         {func(p *proof) { p.attest("openai-embed", "") }, "/attestations/digest"},
		"nobody":           {func(p *proof) { p.attest("ghost", contracts.Audited) }, "/attestations/digest"},
		"another contract": {func(p *proof) { p.evidence.Attestations[0].Contract = p.evidence.Snapshot["openai-embed"] }, "/attestations/digest"},
		"signatures of an unsigned bundle": {func(p *proof) {
			p.evidence.Bundles[p.document.Bundles[0].Digest][verify.SignaturesFile] = []byte(`{"signatures": ["forged"]}`)
		}, "/bundles/0/key"},
		"a bundle said to be unsigned": {func(p *proof) { p.document.Bundles[1].Key = "" }, "/bundles/1/key"},
	} {
		p := example(t)
		test.forge(p)
		p.document.Attestations.Digest = must(verify.AttestationsDigest(p.evidence.Attestations))(t)
		p.seal(t, 1)
		v := verdict(t, verify.Check(context.Background(), p.evidence, p.trust, verify.Options{}), verify.LayerDocument)
		if v.Pointer != test.pointer || (v.Status == verify.Pass) != (test.pointer == "") {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func (p *proof) attest(service string, level contracts.Attestation) {
	p.evidence.Attestations = append(p.evidence.Attestations, verify.AttestationRecord{Service: service, Contract: p.evidence.Snapshot[service], Level: level})
}

// A JWS of another kind is no statement, though the right key made it over the right claims.
func TestAnotherKindOfEntryIsNoStatement(t *testing.T) {
	p := example(t)
	s := must(verify.NewStatement(p.document, verify.Digest(p.evidence.Document), verify.RetentionStandard))(t)
	p.evidence.Statement = must(signer(t, 1).Sign(verify.TypFailure, s))(t)
	verdicts := verify.Check(context.Background(), p.evidence, p.trust, verify.Options{})
	if v := verdict(t, verdicts, verify.LayerSignature); v.Status != verify.Fail || !strings.Contains(v.Reason, "typ") {
		t.Errorf("%+v", v)
	}
	if v := verdict(t, verdicts, verify.LayerDocument); v.Status != verify.Inconclusive {
		t.Errorf("%+v", v)
	}
}

func TestExitCodeAndOrder(t *testing.T) {
	all := func(status verify.Status) []verify.Verdict {
		var list []verify.Verdict
		for _, layer := range []string{verify.LayerOutcome, verify.LayerReplay, verify.LayerCompleteness, verify.LayerArgmax, verify.LayerCurrency, verify.LayerWitnesses, verify.LayerReceipt, verify.LayerDocument, verify.LayerSignature} {
			list = append(list, verify.Verdict{Layer: layer, Status: status})
		}
		return list
	}
	passed := verify.Arrange(all(verify.Pass))
	if passed[0].Layer != verify.LayerSignature || passed[8].Layer != verify.LayerOutcome || verify.ExitCode(passed) != verify.ExitVerified {
		t.Errorf("%+v", passed)
	}
	for i, v := range passed {
		for status, want := range map[verify.Status]int{verify.Fail: verify.ExitFailed, verify.Skipped: verify.ExitUntold, verify.Inconclusive: verify.ExitUntold} {
			// Witnesses are skipped where no policy asks for them, and inconclusive where one does; the outcome where the log at hand knows of one that the evidence is too old for.
			if (v.Layer == verify.LayerWitnesses || v.Layer == verify.LayerOutcome) && status == verify.Skipped {
				want = verify.ExitVerified
			}
			list := slices.Clone(passed)
			list[i].Status = status
			if got := verify.ExitCode(list); got != want {
				t.Errorf("%s %s: %d, want %d", v.Layer, status, got, want)
			}
		}
		if got, optional := verify.ExitCode(slices.Delete(slices.Clone(passed), i, i+1)), v.Layer == verify.LayerWitnesses || v.Layer == verify.LayerOutcome; (got == verify.ExitVerified) != optional {
			t.Errorf("without %s: %d", v.Layer, got)
		}
	}
	if verify.ExitCode(nil) != verify.ExitUntold {
		t.Error("nothing checked, and verified")
	}
}

func TestJudge(t *testing.T) {
	wrapped := fmt.Errorf("reading: %w", &verify.Fault{Pointer: "/a", Reason: "r", Want: "1", Got: "2"})
	if got, want := verify.Judge("x", wrapped), (verify.Verdict{Layer: "x", Status: verify.Fail, Reason: "r", Pointer: "/a", Want: "1", Got: "2"}); got != want {
		t.Errorf("%+v", got)
	}
	if got := verify.Judge("x", errors.New("e")); got.Status != verify.Fail || got.Reason != "e" {
		t.Errorf("%+v", got)
	}
}
