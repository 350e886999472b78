package policies_test

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/catalog"
	"github.com/smarthausgroup/caio/engine"
	"github.com/smarthausgroup/caio/policies"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
)

// setting is the whole catalogue, which nobody has attested, and the packs with their default settings.
type setting struct {
	snapshot *engine.Snapshot
	compiled *rego.Policies
	decider  *engine.Engine
}

var defaults = sync.OnceValues(func() (*setting, error) {
	all, err := catalog.All()
	if err != nil {
		return nil, err
	}
	services := make([]*engine.Service, len(all))
	for i, c := range all {
		service, ds := engine.NewService(c, contracts.SelfAttested)
		if len(ds) > 0 {
			return nil, ds
		}
		services[i] = service
	}
	bundle, ds := rego.ReadFS("baseline", policies.FS)
	if len(ds) > 0 {
		return nil, ds
	}
	compiled, ds := rego.Compile([]*rego.Bundle{bundle}, rego.Options{})
	if len(ds) > 0 {
		return nil, ds
	}
	snapshot, err := engine.NewSnapshot(services...)
	if err != nil {
		return nil, err
	}
	decider, err := engine.New(engine.Options{})
	return &setting{snapshot, compiled, decider}, err
})

// decide takes a request to the whole catalogue under the packs with their default settings.
func decide(t *testing.T, text string) verify.Decision {
	t.Helper()
	s, err := defaults()
	if err != nil {
		t.Fatal(err)
	}
	request, ds := contracts.ParseRequest("request.json", []byte(text), contracts.Admission{})
	if len(ds) > 0 {
		t.Fatal(ds)
	}
	decision, err := s.decider.Decide(context.Background(), engine.Arguments{
		Request: request, Principal: contracts.Principal{Tenant: "acme"}, Snapshot: s.snapshot, Policies: s.compiled, Time: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
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

var point = regexp.MustCompile(`Art\. 5\(1\)\([a-z]+\)|Annex III\(\d\)`)

// The names by which the defaults of safety/ai_act know a use lead to the points of the regulation that are about it: refused where one applies at the time of [decide], warned of where it will.
func TestDefaultsKnowUsesOfTheAct(t *testing.T) {
	for purpose, want := range map[string]string{
		"subliminal.ads":                            "denied Art. 5(1)(a)",
		"behaviour_manipulation":                    "denied Art. 5(1)(a)",
		"behavioral-manipulation":                   "denied Art. 5(1)(a)",
		"exploitation_of_vulnerability":             "denied Art. 5(1)(b)",
		"social_scoring":                            "denied Art. 5(1)(c)",
		"social-scoring.tenants":                    "denied Art. 5(1)(c)",
		"crime_prediction":                          "denied Art. 5(1)(d)",
		"face_scraping":                             "denied Art. 5(1)(e)",
		"facial-scraping":                           "denied Art. 5(1)(e)",
		"emotion_recognition.workplace":             "denied Annex III(1) Art. 5(1)(f)",
		"emotion_recognition.education":             "denied Annex III(1) Art. 5(1)(f)",
		"biometric_categorisation.sensitive":        "denied Annex III(1) Art. 5(1)(g)",
		"biometric_categorization.sensitive":        "denied Annex III(1) Art. 5(1)(g)",
		"remote_biometric_identification.real_time": "denied Annex III(1) Art. 5(1)(h)",
		"nudification":                              "routed Art. 5(1)(ba)",
		"intimate_imagery":                          "routed Art. 5(1)(ba)",
		"csam":                                      "routed Art. 5(1)(bb)",
		"child_abuse_material":                      "routed Art. 5(1)(bb)",
		"emotion_recognition.cinema":                "routed Annex III(1)",
		"critical_infrastructure.grid":              "routed Annex III(2)",
		"education.admission":                       "routed Annex III(3)",
		"hiring.screening":                          "routed Annex III(4)",
		"worker_management":                         "routed Annex III(4)",
		"credit_scoring":                            "routed Annex III(5)",
		"health_insurance.pricing":                  "routed Annex III(5)",
		"law_enforcement.evidence":                  "routed Annex III(6)",
		"border_control":                            "routed Annex III(7)",
		"judicial.research":                         "routed Annex III(8)",
		"election_influence":                        "routed Annex III(8)",
		"support":                                   "routed",
		"social_media.scoring":                      "routed",
		"education.translation":                     "routed",
		"web_scraping":                              "routed",
	} {
		d := decide(t, `{"intent": {"type": "embeddings"}, "purpose": "`+purpose+`"}`)
		var points []string
		for _, w := range d.Warnings {
			points = append(points, point.FindAllString(w.Reason, -1)...)
		}
		for _, c := range d.Candidates {
			if c.Eliminated == nil {
				continue
			}
			for _, v := range c.Eliminated.Violations {
				points = append(points, point.FindAllString(v.Reason, -1)...)
			}
		}
		slices.Sort(points)
		if got := strings.Join(append([]string{d.Outcome}, slices.Compact(points)...), " "); got != want {
			t.Errorf("%s: %s, want %s", purpose, got, want)
		}
	}
}

// A user of some caution is served by a catalogue that nobody has attested. One who wants only what was looked at is not, and each of its services fell by that pack.
func TestDefaultTraitsLeaveTheCatalogueUsable(t *testing.T) {
	for _, kind := range []string{"embeddings", "rerank", "search", "speech", "transcription", "image", "chat"} {
		if d := decide(t, `{"intent": {"type": "`+kind+`"}, "traits": {"conservative": 0.5, "risk_tolerance": 0.5}}`); d.Outcome != verify.Routed {
			t.Errorf("%s: %s %+v", kind, d.Outcome, d.Candidates)
		}
	}
	for trait, id := range map[string]string{`{"conservative": 0.8}`: "CONSERVATIVE-ATTESTED", `{"risk_tolerance": 0.2}`: "RISK-FAILURE"} {
		d := decide(t, `{"intent": {"type": "embeddings"}, "traits": `+trait+`}`)
		if d.Outcome != verify.Denied {
			t.Errorf("%s: %s", trait, d.Outcome)
		}
		for _, c := range d.Candidates {
			if c.Eliminated == nil || !slices.ContainsFunc(c.Eliminated.Violations, func(v contracts.Violation) bool { return v.ID == id }) {
				t.Errorf("%s: %s did not fall by %s: %+v", trait, c.Service, id, c.Eliminated)
			}
		}
	}
}
