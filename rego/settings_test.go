package rego_test

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/source"
	"github.com/smarthausgroup/caio/rego"
)

// form is that of two bundles, and one that waits.
func form(t *testing.T) *rego.SettingsForm {
	t.Helper()
	packs, ds := rego.ReadFS("policies", os.DirFS("../policies"))
	fail(t, ds)
	f, ds := rego.NewSettingsForm([]*rego.Bundle{packs, quota(t, "quota", `{"quota": 3}`)}, []*rego.Bundle{quota(t, "later", "{}")})
	fail(t, ds)
	return f
}

// quota is a bundle with one number among its settings.
func quota(t *testing.T, name, defaults string) *rego.Bundle {
	t.Helper()
	b, ds := rego.ReadFS(name, fstest.MapFS{
		".manifest": {Data: []byte(`{"roots": ["caio/policy/` + name + `", "caio/settings/` + name + `", "policy/` + name + `"]}`)},
		"schema.json": {Data: []byte(`{"$ref": "#/$defs/data", "$defs": {
			"data": {"type": "object", "required": ["caio"], "properties": {"caio": {"type": "object", "required": ["settings"], "properties": {"settings": {"$ref": "#/$defs/settings"}}}}},
			"settings": {"type": "object", "required": ["` + name + `"], "properties": {"` + name + `": {"type": "object", "additionalProperties": false, "required": ["quota"], "properties": {"quota": {"$ref": "#/$defs/n"}, "tree": {"$ref": "#/$defs/tree"}}}}},
			"n": {"type": "integer", "minimum": 1},
			"tree": {"type": "object", "additionalProperties": {"$ref": "#/$defs/tree"}}}}`)},
		"policy/" + name + "/data.json": {Data: []byte(defaults)},
		"quota.rego": {Data: []byte(`package caio.policy.` + name + `

import rego.v2

# METADATA
# title: Quota
# custom:
#   severity: low
#   controls: []
#   remedy: Less.
violation["Q-` + name + `"] contains "too much" if input.estimate.cost_micro_usd > data.caio.settings.` + name + `.quota
`)},
	})
	fail(t, ds)
	return b
}

func fail(t *testing.T, ds contracts.Diagnostics) {
	t.Helper()
	if err := ds.Err(); err != nil {
		t.Fatal(err)
	}
}

// settingsCases are settings with the code, the pointer and a word of every fault.
var settingsCases = map[string]struct {
	settings string
	faults   []string
}{
	"none":                      {`{}`, nil},
	"lists replace":             {`{"gdpr": {"regions": ["eu", "uk"]}}`, nil},
	"maps merge":                {`{"spend": {"by_role": {"analyst": 5000000}}, "quota": {"quota": 9}}`, nil},
	"core":                      {`{"core": {"labels": ["telemetry"], "require_label": true, "approve_contracts": false, "separate_approval": true}}`, nil},
	"of a bundle that waits":    {`{"later": {"quota": 5}}`, nil},
	"a tree":                    {`{"quota": {"tree": {"a": {"b": {}}}}}`, nil},
	"a branch of text":          {`{"quota": {"tree": {"a": {"b": "c"}}}}`, []string{"settings /quota/tree/a/b got string, want object"}},
	"a pack misspelt":           {`{"gdrp": {"regions": []}}`, []string{`unknown-setting /gdrp did you mean "gdpr"?`}},
	"no such pack":              {`{"telescope": 1}`, []string{`unknown-setting /telescope there are: actions, `}},
	"a setting misspelt":        {`{"gdpr": {"region": [], "purpose": {}}}`, []string{`unknown-setting /gdpr/purpose did you mean "purposes"?`, `unknown-setting /gdpr/region did you mean "regions"?`}},
	"a setting of core":         {`{"core": {"label": []}}`, []string{`unknown-setting /core/label did you mean "labels"?`}},
	"a text for a list":         {`{"gdpr": {"regions": "eu"}}`, []string{"settings /gdpr/regions got string, want array"}},
	"one of a list":             {`{"gdpr": {"regions": ["eu", 5]}}`, []string{"settings /gdpr/regions/1 got number, want string"}},
	"labels":                    {`{"gdpr": {"personal_labels": ["pii", "phi"]}, "vendors": {"min_attestation_by_label": {"secret": "verified"}}}`, nil},
	"labels of one's own":       {`{"core": {"labels": ["telemetry"]}, "gdpr": {"personal_labels": ["telemetry"]}, "residency": {"by_label": {"telemetry": ["eu"]}}}`, nil},
	"labels misspelt":           {`{"gdpr": {"personal_labels": ["pi", "pii", "ph1"]}}`, []string{`unknown-value /gdpr/personal_labels/0 no label "pi": did you mean "pii"?`, `unknown-value /gdpr/personal_labels/2 did you mean "phi"?`}},
	"a label of nobody's":       {`{"hipaa": {"labels": ["telescope"]}}`, []string{`unknown-value /hipaa/labels/0 There are: internal, confidential, pii, phi, secret, none; settings.core.labels adds labels`}},
	"a key that is no label":    {`{"core": {"labels": ["telemetry"]}, "residency": {"by_label": {"telemetri": ["eu"]}}}`, []string{`unknown-value /residency/by_label/telemetri did you mean "telemetry"?`}},
	"a label of a purpose":      {`{"gdpr": {"purposes": {"p": {"intents": [], "labels": ["Pii"]}}}}`, []string{`unknown-value /gdpr/purposes/p/labels/0 did you mean "pii"?`}},
	"half a micro":              {`{"spend": {"default_micro_usd": 0.5}}`, []string{"settings /spend/default_micro_usd got number, want integer"}},
	"half a purpose":            {`{"gdpr": {"purposes": {"a/b": {"intents": ["chat"]}}}}`, []string{"settings /gdpr/purposes/a~1b missing property 'labels'"}},
	"a flag of text":            {`{"core": {"require_label": "yes"}}`, []string{"settings /core/require_label got string, want boolean"}},
	"a pack of text":            {`{"gdpr": "strict"}`, []string{"settings /gdpr got string, want object"}},
	"all at once":               {`{"gdpr": {"regions": "eu"}, "quota": {"quota": 0}, "vendor": {}}`, []string{"settings /gdpr/regions ", "settings /quota/quota minimum", `unknown-setting /vendor did you mean "vendors"?`}},
	"a coefficient":             {`{"alpha": 300}`, []string{"coefficients-fixed /alpha replayable by anybody from the published equation"}},
	"the coefficients":          {`{"Coefficients": {"balanced": {"lambda": 900}}}`, []string{"coefficients-fixed /Coefficients replayable"}},
	"a profile":                 {`{"economy": {"rho": 1}}`, []string{"coefficients-fixed /economy balanced, economy, realtime or assurance"}},
	"weights of core":           {`{"core": {"weights": {"cost": 1}}}`, []string{"coefficients-fixed /core/weights replayable"}},
	"a coefficient in a pack":   {`{"gdpr": {"eta": 1}}`, []string{"coefficients-fixed /gdpr/eta replayable"}},
	"a profile, calculus-style": {`{"calculus": "v2", "profiles": {}}`, []string{"coefficients-fixed /calculus ", "coefficients-fixed /profiles "}},
}

func TestSettingsForm(t *testing.T) {
	f := form(t)
	for name, c := range settingsCases {
		t.Run(name, func(t *testing.T) {
			root, ds := source.ParseJSON("s.json", []byte(`{"settings": `+c.settings+`}`), 1<<20)
			fail(t, ds)
			settings, ds := f.Read(root.Get("settings"))
			if len(ds) != len(c.faults) || (settings == nil) != (len(c.faults) > 0) {
				t.Fatalf("got %v\nwant %v", ds, c.faults)
			}
			for i, want := range c.faults {
				code, rest, _ := strings.Cut(want, " ")
				pointer, word, _ := strings.Cut(rest, " ")
				at := slices.IndexFunc(ds, func(d contracts.Diagnostic) bool { return d.Pointer == "/settings"+pointer })
				if at < 0 || ds[at].Code != code || !strings.Contains(ds[at].Summary+": "+ds[at].Detail, word) {
					t.Errorf("fault %d\n got %v\nwant %s", i, ds, want)
				} else if ds[at].Pos.File != "s.json" || ds[at].Pos.Line != 1 || ds[at].Pos.Column < 14 {
					t.Errorf("%v is not where it stands", ds[at])
				}
			}
		})
	}
}

// The schema for people says the same as the check, but of labels, which the settings themselves may add to.
func TestSettingsSchema(t *testing.T) {
	f := form(t)
	text, err := json.Marshal(f.Schema())
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("settings.json", document); err != nil {
		t.Fatal(err)
	}
	whole, err := compiler.Compile("settings.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range settingsCases {
		instance, err := jsonschema.UnmarshalJSON(strings.NewReader(c.settings))
		if err != nil {
			t.Fatal(err)
		}
		known := slices.ContainsFunc(c.faults, func(f string) bool { return !strings.HasPrefix(f, "unknown-value ") })
		if err := whole.Validate(instance); (err != nil) != known {
			t.Errorf("%s: the schema says %v, the check %q", name, err, c.faults)
		}
	}
	packs := document.(map[string]any)["properties"].(map[string]any)
	// Each pack is a document of its own.
	for pack, schema := range packs {
		alone := jsonschema.NewCompiler()
		if err := alone.AddResource("pack.json", schema); err != nil {
			t.Fatal(err)
		}
		if _, err := alone.Compile("pack.json"); err != nil {
			t.Errorf("%s: %v", pack, err)
		}
	}
	if got, _ := json.Marshal(packs["quota"].(map[string]any)["properties"].(map[string]any)["quota"]); string(got) != `{"$ref":"#/$defs/$defs.n","default":3}` && string(got) != `{"$ref":"#/$defs/n","default":3}` {
		t.Errorf("got %s", got)
	}
	if _, required := packs["quota"].(map[string]any)["required"]; required {
		t.Error("what a default gives is required")
	}
	if later := packs["later"].(map[string]any)["required"]; later == nil {
		t.Error("what no default gives is not required")
	}
}

// What rules read is what the form says is in force.
func TestSettingsInForce(t *testing.T) {
	f := form(t)
	before, _ := json.Marshal(f.InForce(nil))
	got := f.InForce(map[string]any{"quota": map[string]any{"quota": contracts.Decimal(9_000_000)}, "gdpr": map[string]any{"regions": []any{"uk"}}})
	text, _ := json.Marshal(map[string]any{"quota": got["quota"], "regions": got["gdpr"].(map[string]any)["regions"]})
	if string(text) != `{"quota":{"quota":9},"regions":["uk"]}` {
		t.Errorf("got %s", text)
	}
	if got["gdpr"].(map[string]any)["require_purpose"] == nil {
		t.Error("a default is missing")
	}
	if after, _ := json.Marshal(f.InForce(nil)); !bytes.Equal(before, after) {
		t.Error("looking changed the defaults")
	}
}

// A bundle whose schema is at fault makes no form.
func TestSettingsFormOfFaultyBundle(t *testing.T) {
	b, ds := rego.ReadFS("b", fstest.MapFS{"schema.json": {Data: []byte(`{"type": 5}`)}})
	fail(t, ds)
	if f, ds := rego.NewSettingsForm([]*rego.Bundle{b}, nil); f != nil || !ds.HasErrors() {
		t.Errorf("got %v %v", f, ds)
	}
	if f, ds := rego.NewSettingsForm(nil, []*rego.Bundle{b}); f == nil || ds.HasErrors() {
		t.Errorf("got %v %v", f, ds)
	}
}
