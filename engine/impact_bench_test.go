package engine_test

import (
	"context"
	"fmt"
	"io/fs"
	"testing"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/catalog"
	"github.com/smarthausgroup/caio/engine"
	"github.com/smarthausgroup/caio/engine/impact"
	packs "github.com/smarthausgroup/caio/policies"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
)

// BenchmarkImpact measures what it takes to decide a stored decision again, from the bytes of its document to the report, beside the decision itself, on one processor each: of 1,000 services of which 10 match, under 50 constraints; and over the catalogue, under the packs that come with it.
func BenchmarkImpact(b *testing.B) {
	for name, a := range map[string]engine.Arguments{"services=01000/candidates=010": plainWorld(b), "catalogue": catalogueWorld(b)} {
		b.Run(name, func(b *testing.B) { benchmarkImpact(b, a) })
	}
}

func plainWorld(b *testing.B) engine.Arguments {
	all := make([]*engine.Service, 1_000)
	for i := range all {
		all[i] = compiled(b, plainContract(b, fmt.Sprintf("service-%05d", i), i%7, capabilities(i)...), contracts.Audited)
	}
	snapshot, err := engine.NewSnapshot(all...)
	if err != nil {
		b.Fatal(err)
	}
	return engine.Arguments{Request: plainRequest(b, `{"intent": {"type": "work-10", "text": "add these numbers"}, "data": {"labels": ["internal"]}}`), Snapshot: snapshot, Policies: holdingRules(b, 50), Time: now}
}

func catalogueWorld(b *testing.B) engine.Arguments {
	files, err := fs.Glob(catalog.FS, "*.yaml")
	if err != nil {
		b.Fatal(err)
	}
	var all []*engine.Service
	for _, file := range files {
		text, err := catalog.FS.ReadFile(file)
		if err != nil {
			b.Fatal(err)
		}
		service, faults := engine.ReadService(file, text)
		if faults.HasErrors() {
			b.Fatal(faults)
		}
		all = append(all, service.Attested(contracts.Audited))
	}
	snapshot, err := engine.NewSnapshot(all...)
	if err != nil {
		b.Fatal(err)
	}
	bundle, faults := rego.ReadFS("baseline", packs.FS)
	if faults.HasErrors() {
		b.Fatal(faults)
	}
	compiled, faults := rego.Compile([]*rego.Bundle{bundle}, rego.Options{})
	if faults.HasErrors() {
		b.Fatal(faults)
	}
	return engine.Arguments{Request: plainRequest(b, `{"intent": {"type": "chat", "text": "who is this customer"}, "data": {"labels": ["pii"]}, "purpose": "support"}`), Snapshot: snapshot, Policies: compiled, Time: now}
}

func benchmarkImpact(b *testing.B, arguments engine.Arguments) {
	decider, err := engine.New(engine.Options{})
	if err != nil {
		b.Fatal(err)
	}
	decide := func(b *testing.B) verify.Decision {
		d, err := decider.Decide(context.Background(), arguments)
		if err != nil || len(d.Candidates) < 10 {
			b.Fatal(len(d.Candidates), err)
		}
		return d
	}
	b.Run("decide", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			decide(b)
		}
	})
	document, disclosures := storedBytes(b, arguments, decide(b))
	services := impact.NewServices(func(digest string) ([]byte, error) {
		for _, s := range arguments.Snapshot.Services() {
			if s.Digest == digest {
				return s.Contract.Canonical(), nil
			}
		}
		return nil, fmt.Errorf("there is no contract %s", digest)
	})
	rules := &impact.Rules{Candidate: arguments.Policies, InForce: arguments.Policies}
	read := func(context.Context) (*impact.Case, error) {
		c, err := readBytes(document, disclosures, services)
		if c != nil {
			c.Rules = rules
		}
		return c, err
	}
	b.Run("impact", func(b *testing.B) {
		b.ReportAllocs()
		report, err := impact.Run(context.Background(), func(yield func(impact.Pending, error) bool) {
			for b.Loop() {
				yield(impact.Pending{Tenant: "acme", Read: read}, nil)
			}
		}, impact.Options{Workers: 1})
		if err != nil || report.Unchanged != report.Total {
			b.Fatal(err, report)
		}
	})
}

// storedBytes are a document and the texts of its disclosures, as a store keeps them.
func storedBytes(b *testing.B, a engine.Arguments, d verify.Decision) ([]byte, []string) {
	commitments, disclosures, err := verify.Commit(a.Request, a.Principal.Subject, func(string) []byte { return make([]byte, verify.SaltBytes) })
	if err != nil {
		b.Fatal(err)
	}
	digest := a.Snapshot.Digest()
	any := verify.Reference{Digest: digest, Index: -1}
	a.Principal = contracts.Principal{Tenant: "acme", Method: "jwt", Issuer: "test", Roles: []string{}, Permissions: []string{}}
	build := verify.Build{Version: "1", Digest: digest, Go: "go", Arch: "any", OPA: "1", CEL: "1", Capabilities: digest}
	text, err := verify.NewDocument(verify.Header{
		DecisionID: verify.NewDecisionID(a.Time, [10]byte{}), Issuer: "test", Log: "test", Time: a.Time, Engine: build, Snapshot: any, Attestations: any, Settings: any,
	}, a.Request, a.Principal, commitments, d).Canonical()
	if err != nil {
		b.Fatal(err)
	}
	texts := make([]string, len(disclosures))
	for i, d := range disclosures {
		if texts[i], err = d.Text(); err != nil {
			b.Fatal(err)
		}
	}
	return text, texts
}

func readBytes(text []byte, disclosures []string, services *impact.Services) (*impact.Case, error) {
	document, err := verify.DecodeDocument(text)
	if err != nil {
		return nil, err
	}
	open := make([]verify.Disclosure, len(disclosures))
	for i, d := range disclosures {
		if open[i], err = verify.ParseDisclosure(d); err != nil {
			return nil, err
		}
	}
	return impact.FromDocument(document, open, func(_, contract string) (*engine.Service, error) { return services.Get(contract, contracts.Audited) })
}
