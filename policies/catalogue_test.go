package policies_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/catalog"
	"github.com/smarthausgroup/caio/engine"
	"github.com/smarthausgroup/caio/policies"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
)

// decide takes a request to the whole catalogue, which nobody has attested, under the packs with their default settings.
func decide(t *testing.T, text string) verify.Decision {
	t.Helper()
	all, err := catalog.All()
	if err != nil {
		t.Fatal(err)
	}
	services := make([]*engine.Service, len(all))
	for i, c := range all {
		service, ds := engine.NewService(c, contracts.SelfAttested)
		if len(ds) > 0 {
			t.Fatal(ds)
		}
		services[i] = service
	}
	snapshot, err := engine.NewSnapshot(services...)
	if err != nil {
		t.Fatal(err)
	}
	compiled, ds := rego.Compile([]*rego.Bundle{read(t, policies.FS)}, rego.Options{})
	if len(ds) > 0 {
		t.Fatal(ds)
	}
	request, ds := contracts.ParseRequest("request.json", []byte(text), contracts.Admission{})
	if len(ds) > 0 {
		t.Fatal(ds)
	}
	decider, err := engine.New(engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	decision, err := decider.Decide(context.Background(), engine.Arguments{
		Request: request, Principal: contracts.Principal{Tenant: "acme"}, Snapshot: snapshot, Policies: compiled, Time: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
	})
	if err != nil {
		t.Fatal(err)
	}
	return decision
}

// With their defaults, the packs must leave the catalogue usable: whoever asks for something harmless gets it.
func TestDefaultsRouteTheHarmless(t *testing.T) {
	for _, kind := range []string{"embeddings", "rerank", "search", "speech", "transcription", "image", "chat"} {
		if d := decide(t, `{"intent": {"type": "`+kind+`"}}`); d.Outcome != verify.Routed {
			t.Errorf("%s: %s %+v", kind, d.Outcome, d.Candidates)
		}
	}
}

func TestDefaultsKeepPersonalDataInTheEU(t *testing.T) {
	d := decide(t, `{"intent": {"type": "embeddings"}, "data": {"labels": ["pii"]}}`)
	if d.Outcome != verify.Routed {
		t.Fatalf("%s: %+v", d.Outcome, d.Candidates)
	}
	all, err := catalog.All()
	if err != nil {
		t.Fatal(err)
	}
	outside := 0
	for _, c := range d.Candidates {
		i := slices.IndexFunc(all, func(s *contracts.Contract) bool { return s.ID == c.Service })
		isOutside := !slices.Equal(all[i].Privacy.Regions, []string{"eu"})
		refused := c.Eliminated != nil && slices.ContainsFunc(c.Eliminated.Violations, func(v contracts.Violation) bool { return v.ID == "GDPR-44" })
		if isOutside != refused {
			t.Errorf("%s keeps data in %v: refused by GDPR-44 is %v", c.Service, all[i].Privacy.Regions, refused)
		}
		if isOutside {
			outside++
		}
	}
	if outside < 3 {
		t.Errorf("%d services outside the EU", outside)
	}
}

func TestDefaultsRefuseASearchForAPerson(t *testing.T) {
	d := decide(t, `{"intent": {"type": "search"}, "data": {"labels": ["pii"]}}`)
	if d.Outcome != verify.Denied || len(d.Candidates) < 3 {
		t.Fatalf("%s: %+v", d.Outcome, d.Candidates)
	}
	for _, c := range d.Candidates {
		if c.Eliminated == nil || c.Eliminated.Stage != contracts.StagePolicy {
			t.Errorf("%s fell at %+v", c.Service, c.Eliminated)
		}
	}
}

// Who asks to be served quickly, or surely, still gets what the catalogue has for it; images take too long for all of its services.
func TestDefaultPrioritiesLeaveTheCatalogueUsable(t *testing.T) {
	for _, kind := range []string{"embeddings", "rerank", "search", "speech", "transcription", "image", "chat"} {
		for _, profile := range []string{"realtime", "assurance"} {
			want := verify.Routed
			if kind == "image" && profile == "realtime" {
				want = verify.Denied
			}
			if d := decide(t, `{"intent": {"type": "`+kind+`"}, "profile": "`+profile+`"}`); d.Outcome != want {
				t.Errorf("%s, %s: %s %+v", kind, profile, d.Outcome, d.Candidates)
			}
		}
	}
}
