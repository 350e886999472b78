package policies_test

import (
	"context"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/policies"
	"github.com/smarthausgroup/caio/rego"
)

// packFiles are the files of the bundle.
func packFiles(t *testing.T) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	err := fs.WalkDir(policies.FS, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := policies.FS.ReadFile(path)
		files[path] = &fstest.MapFile{Data: text}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func read(t *testing.T, files fs.FS) *rego.Bundle {
	t.Helper()
	b, ds := rego.ReadFS("baseline", files)
	if len(ds) > 0 {
		t.Fatal(ds)
	}
	return b
}

// TestFolderIsBundle checks that the folder, read by `caio policy check policies`, is the bundle that comes with the program.
func TestFolderIsBundle(t *testing.T) {
	if folder, embedded := read(t, os.DirFS(".")), read(t, policies.FS); folder.Digest != embedded.Digest {
		t.Errorf("the folder has the digest %s, the bundle %s", folder.Digest, embedded.Digest)
	}
}

func TestConstraints(t *testing.T) {
	compiled, ds := rego.Check([]*rego.Bundle{read(t, policies.FS)}, rego.Options{})
	if len(ds) > 0 {
		t.Fatal(ds)
	}
	var got []string
	for _, c := range compiled.Constraints() {
		got = append(got, string(c.Family)+" "+c.ID)
		for name, text := range map[string]string{"title": c.Title, "description": c.Description, "remedy": c.Remedy} {
			if text == "" {
				t.Errorf("%s has no %s", c.ID, name)
			}
		}
		if len(c.Controls) == 0 {
			t.Errorf("%s names no control", c.ID)
		}
		page, err := policies.FS.ReadFile(strings.ReplaceAll(strings.TrimPrefix(c.Package, "caio."), ".", "/") + "/README.md")
		if err != nil || !strings.Contains(string(page), "| `"+c.ID+"` |") {
			t.Errorf("the page of %s does not explain %s (%v)", c.Package, c.ID, err)
		}
	}
	want := []string{
		"safety ACTION-HUMAN", "safety ACTION-INTENT", "safety ACTION-TOOL",
		"safety AI-ACT-14", "safety AI-ACT-5", "safety AI-ACT-PURPOSE",
		"traits CONFIDENTIAL-LOCALITY", "traits CONFIDENTIAL-ROUTE",
		"traits CONSERVATIVE-ATTESTED", "traits CONSERVATIVE-CERTIFIED", "traits CONSERVATIVE-MATURE",
		"safety CONTENT-CARD", "safety CONTENT-EXAMINED", "safety CONTENT-INJECTION", "safety CONTENT-SECRET",
		"policy GDPR-28-3-A", "policy GDPR-44", "policy GDPR-5-1-B", "policy GDPR-5-1-C", "policy GDPR-9",
		"policy HIPAA-312-A", "policy HIPAA-312-E", "policy HIPAA-502-B", "policy HIPAA-502-E",
		"policy RESIDENCY-LABEL", "policy RESIDENCY-ORIGIN", "policy RESIDENCY-TENANT",
		"traits RISK-COST", "traits RISK-DELAY", "traits RISK-FAILURE", "traits RISK-GUESS",
		"policy SERVICE-AVAILABILITY", "policy SERVICE-LATENCY", "policy SERVICE-PROMISE",
		"policy SPEND-BUDGET", "policy SPEND-ESTIMATE", "policy SPEND-INTENT", "policy SPEND-ROLE", "policy SPEND-TENANT",
		"policy STAY-ATTESTED", "policy STAY-DEVICE", "policy STAY-PREMISES",
		"policy VENDOR-APPROVED", "policy VENDOR-ATTESTATION", "policy VENDOR-CERTIFIED",
	}
	if !slices.Equal(got, want) {
		t.Errorf("constraints\n got %q\nwant %q", got, want)
	}
}

func TestPacks(t *testing.T) {
	report, err := rego.Test(context.Background(), []*rego.Bundle{read(t, policies.FS)}, rego.TestOptions{Coverage: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, result := range report.Results {
		if result.Status != "pass" {
			t.Errorf("%s: %s.%s: %s %s", result.Pos, result.Package, result.Name, result.Status, result.Detail)
		}
	}
	if report.Pass < 60 {
		t.Errorf("%d tests passed: most of them were not run", report.Pass)
	}
	if report.Coverage == nil || *report.Coverage != 100 {
		t.Errorf("not covered: %v", report.Uncovered)
	}
}

// A setting that is missing, misspelt or of the wrong type is refused; one that is right is merged over the defaults.
func TestSettings(t *testing.T) {
	form, ds := rego.NewSettingsForm([]*rego.Bundle{read(t, policies.FS)}, nil)
	if len(ds) > 0 {
		t.Fatal(ds)
	}
	setting := func(pack string, settings map[string]any) map[string]any {
		return map[string]any{pack: settings}
	}
	prohibited := func(point, key string, value any) map[string]any {
		return map[string]any{"prohibited": map[string]any{point: map[string]any{key: value}}}
	}
	for name, c := range map[string]struct {
		settings map[string]any
		want     string // in the fault; "" for none
	}{
		"another region":     {setting("gdpr", map[string]any{"regions": []any{"eu", "uk"}}), ""},
		"a purpose more":     {setting("gdpr", map[string]any{"purposes": map[string]any{"care": map[string]any{"intents": []any{"chat"}, "labels": []any{"phi"}}}}), ""},
		"settings of others": {setting("core", map[string]any{"require_label": true}), ""},
		"misspelt":           {setting("gdpr", map[string]any{"region": []any{"eu"}}), "region"},
		"a text for a list":  {setting("gdpr", map[string]any{"regions": "eu"}), "regions"},
		"an empty ground":    {setting("gdpr", map[string]any{"special_grounds": map[string]any{"care": " "}}), "care"},
		"no such level":      {setting("vendors", map[string]any{"min_attestation": "trusted"}), "min_attestation"},
		"half a purpose":     {setting("gdpr", map[string]any{"purposes": map[string]any{"care": map[string]any{"intents": []any{"chat"}}}}), "labels"},
		"half a micro":       {setting("spend", map[string]any{"default_micro_usd": contracts.Decimal(500_000)}), "default_micro_usd"},
		"no bound":           {setting("service_level", map[string]any{"priorities": map[string]any{"realtime": map[string]any{"max_latency_ms": nil}}}), ""},
		"half a priority":    {setting("service_level", map[string]any{"priorities": map[string]any{"voice": map[string]any{"intents": []any{"voice"}}}}), "min_availability"},
		"no such profile":    {setting("service_level", map[string]any{"priorities": map[string]any{"realtime": map[string]any{"profiles": []any{"fast"}}}}), "profiles"},
		"a cloud at home":    {setting("on_device", map[string]any{"premises_localities": []any{"local", "cloud"}}), "premises_localities"},
		"half a version":     {setting("conservative", map[string]any{"levels": []any{map[string]any{"from": contracts.Decimal(500_000), "min_attestation": "self", "certifications": []any{}, "min_version": "1.0"}}}), "min_version"},
		"half a risk":        {setting("risk_tolerance", map[string]any{"levels": []any{map[string]any{"up_to": contracts.Decimal(500_000)}}}), "max_cost_micro_usd"},
		"below nothing":      {setting("spend", map[string]any{"by_role": map[string]any{"x": contracts.Decimal(-1_000_000)}}), "x"},
		"above 1":            {setting("confidential", map[string]any{"levels": []any{map[string]any{"from": contracts.Decimal(2_000_000), "localities": []any{}, "routes": []any{}}}}), "from"},
		"an exception":       {setting("ai_act", prohibited("f", "exceptions", map[string]any{"driver-safety": "Art. 5(1)(f), safety reasons"})), ""},
		"an invented one":    {setting("ai_act", prohibited("a", "exceptions", map[string]any{"nudging": "harmless"})), "exceptions"},
		"for no purpose":     {setting("ai_act", prohibited("f", "exceptions", map[string]any{"": "all of them"})), "does not match"},
		"no such point":      {setting("ai_act", prohibited("i", "from", "2026-12-02")), "i"},
		"no date":            {setting("ai_act", prohibited("ba", "from", "2 December 2026")), "from"},
		"no such route":      {setting("content", map[string]any{"examined": map[string]any{"routes": []any{"abroad"}}}), "routes"},
		"half an agreement":  {setting("hipaa", map[string]any{"agreements": map[string]any{"model": ""}}), "model"},
		"a region, no list":  {setting("residency", map[string]any{"by_label": map[string]any{"secret": "eu"}}), "secret"},
	} {
		t.Run(name, func(t *testing.T) {
			ds := form.Check(c.settings)
			switch {
			case c.want == "" && len(ds) > 0:
				t.Error(ds)
			case c.want != "" && !strings.Contains(ds.Error(), c.want):
				t.Errorf("got %q, want a fault about %s", ds.Error(), c.want)
			}
		})
	}
}
