package rego

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/source"
)

// Codes of faults in settings.
const (
	codeSettings = "settings"           // a value does not satisfy a schema
	codeUnknown  = "unknown-setting"    // no schema has the name
	codeValue    = "unknown-value"      // a value is none of a vocabulary
	codeFixed    = "coefficients-fixed" // the name is one of the calculus
)

// coreSettings is the key of what CAIO itself reads among the settings.
const coreSettings = "core"

// CoreSettings are the settings that CAIO itself reads, settings.core: what a tenant admits and whom it asks.
type CoreSettings struct {
	Labels           []string `json:"labels,omitempty" jsonschema_description:"Labels of the tenant's own, beside the built-in ones."`
	RequireLabel     bool     `json:"require_label,omitempty" jsonschema_description:"Whether a request must carry at least one label."`
	ApproveContracts bool     `json:"approve_contracts,omitempty" jsonschema_description:"Whether a new or changed contract awaits an approver."`
	SeparateApproval bool     `json:"separate_approval,omitempty" jsonschema_description:"Whether a bundle is activated by somebody else than who pushed it."`
}

// coreSchema is made of the type, so that the two can't differ.
var coreSchema = sync.OnceValue(func() dataSchema {
	s := dataSchema{schema: schemaOf(CoreSettings{})}
	var err error
	if s.compiled, err = compileSchema(s.node, nil); err != nil {
		panic("rego: the schema of settings.core can't be used: " + err.Error())
	}
	return s
})

// ReadCoreSettings reads settings.core of settings that [SettingsForm.Check] finds no fault in.
func ReadCoreSettings(settings map[string]any) (CoreSettings, error) {
	var core CoreSettings
	text, err := json.Marshal(settings[coreSettings])
	if err == nil {
		err = json.Unmarshal(text, &core)
	}
	if err != nil {
		err = fmt.Errorf("settings.core: %w", err)
	}
	return core, err
}

// calculus are the names of the equation's parts and of its profiles (spec/calculus.md, section 4), and what people call them.
var calculus = []string{
	"alpha", "beta", "gamma", "delta", "lambda", "rho", "eta",
	contracts.Balanced, contracts.Economy, contracts.Realtime, contracts.Assurance,
	"calculus", "coefficient", "coefficients", "equation", "objective", "profile", "profiles", "score", "scoring", "term", "terms", "weight", "weights",
	"intent_clarity", "attention", "learned_fit", "resonance", "cost", "risk", "latency",
}

// unknownSetting is the fault of a name that the schema at the pointer does not have. Somebody who names a part of the calculus is told why that is no setting.
func unknownSetting(name string, known []string, pointer, file string) contracts.Diagnostic {
	d := contracts.Diagnostic{
		Severity: contracts.SeverityError, Code: codeUnknown, Pointer: pointer + "/" + source.Escape(name), Pos: contracts.Position{File: file},
		Summary: fmt.Sprintf("there is no setting %.64q", name),
	}
	near := source.DidYouMean(name, known)
	switch {
	case slices.Contains(calculus, strings.ReplaceAll(strings.ToLower(name), "-", "_")):
		d.Code = codeFixed
		d.Detail = "it names a part of the decision calculus, whose coefficients are no settings: a decision must be replayable by anybody from the published equation. " +
			"A request chooses a profile: balanced, economy, realtime or assurance"
	case near != "":
		d.Detail = strings.TrimPrefix(near, ": ")
	case len(known) > 0:
		d.Detail = "there are: " + strings.Join(known, ", ")
	}
	return d
}

// SettingsForm is what some bundles, and CAIO itself, take as a tenant's operational settings (spec/policy.md). Make one with [NewSettingsForm]; it is safe for concurrent use.
type SettingsForm struct {
	defaults map[string]any // all data of the bundles
	schemas  []dataSchema
	waiting  []dataSchema
	packs    []string // names that can stand at the top, in order
	open     bool     // some bundle takes names there that it does not list
}

// NewSettingsForm reads the schemas and the data of bundles, without compiling a rule. Waiting bundles are not in force yet: their settings can be made ready, and are held to their schemas only when they are put in force. The form is nil if a schema or a data file of the bundles is at fault.
func NewSettingsForm(bundles, waiting []*Bundle) (*SettingsForm, contracts.Diagnostics) {
	c := &compilation{bundles: slices.Clone(bundles)}
	slices.SortFunc(c.bundles, func(a, b *Bundle) int { return strings.Compare(a.Name, b.Name) })
	c.readDefaults()
	if c.faults.HasErrors() {
		return nil, c.faults
	}
	later := &compilation{bundles: waiting}
	later.readDefaults() // what is at fault there is no business of these settings
	f := &SettingsForm{defaults: c.data, schemas: c.schemas, waiting: later.schemas, packs: []string{coreSettings}}
	for i := range f.schemas {
		f.schemas[i].bundle = nil // whoever writes settings need not know which bundle asks for them
	}
	for _, s := range slices.Concat(f.schemas, f.waiting) {
		for _, settings := range s.settings() {
			f.packs = append(f.packs, settings.keys()...)
			for _, node := range settings.alternatives() {
				additional := node["additionalProperties"]
				f.open = f.open || additional != nil && additional != false
			}
		}
	}
	slices.Sort(f.packs)
	f.packs = slices.Compact(f.packs)
	return f, nil
}

// settings are the alternatives for what stands at data.caio.settings.
func (s schema) settings() []schema {
	level := []schema{s}
	for step := range strings.SplitSeq(settingsPath, "/") {
		var below []schema
		for _, alternative := range level {
			_, next := alternative.step(&step)
			below = append(below, next...)
		}
		level = below
	}
	return level
}

// Check holds settings to what the bundles' schemas say of them, merged over the bundles' defaults. Values are as in [Options]. Pointers lead into the settings: "/gdpr/regions/0"; [SettingsForm.Read] adds positions.
// Codes are settings, unknown-setting, unknown-value and coefficients-fixed. Settings without a fault can still fail with a rule's own literals; [Compile] says so.
func (f *SettingsForm) Check(settings map[string]any) (faults contracts.Diagnostics) {
	for _, name := range sortedKeys(settings) {
		faults = append(faults, f.Known(name)...)
	}
	if core, given := settings[coreSettings]; given {
		for _, fault := range coreSchema().breaches(plain(core)) {
			fault.Pointer = "/" + coreSettings + fault.Pointer
			faults = append(faults, fault)
		}
	}
	data := f.merged(settings)
	for _, s := range f.schemas {
		for _, fault := range s.breaches(data) {
			fault.Pointer, fault.Pos = strings.TrimPrefix(fault.Pointer, "/"+settingsPath), contracts.Position{}
			faults = append(faults, fault)
		}
	}
	return slices.Compact(faults)
}

// Known is empty for a name that can stand at the top of settings: a pack's, or core.
func (f *SettingsForm) Known(name string) (faults contracts.Diagnostics) {
	if !f.open && !slices.Contains(f.packs, name) {
		faults = append(faults, unknownSetting(name, f.packs, "", ""))
	}
	return faults
}

// Read reads settings that somebody wrote, and checks them. Faults have positions, and pointers of the whole document; with an error among them the settings are nil.
func (f *SettingsForm) Read(node *source.Node) (map[string]any, contracts.Diagnostics) {
	var faults contracts.Diagnostics
	var values map[string]contracts.Value
	source.Decode(node, &values, &faults)
	if faults.HasErrors() {
		return nil, faults
	}
	settings := make(map[string]any, len(values))
	for name, value := range values {
		settings[name] = value.V
	}
	if faults = PlaceSettings(node, f.Check(settings)); faults.HasErrors() {
		return nil, faults
	}
	return settings, faults
}

// PlaceSettings gives faults that [SettingsForm.Check] found their positions in the text that the settings were read from, and pointers of its whole document. A name that should not be there is at fault itself, and not what stands behind it.
func PlaceSettings(node *source.Node, faults contracts.Diagnostics) contracts.Diagnostics {
	placed := slices.Clone(faults)
	for i, d := range placed {
		at, exact := node.Find(d.Pointer)
		placed[i].Pos, placed[i].Pointer = at.Pos(), node.Pointer()+d.Pointer
		if exact && (d.Code == codeUnknown || d.Code == codeFixed) {
			placed[i].Pos = at.KeyPos()
		}
	}
	placed.Sort()
	return placed
}

// InForce are the settings as rules read them: those of the tenant over the defaults of the bundles.
func (f *SettingsForm) InForce(settings map[string]any) map[string]any {
	caio, _ := f.merged(settings)["caio"].(map[string]any)
	merged, _ := caio["settings"].(map[string]any)
	if merged == nil {
		merged = map[string]any{}
	}
	return merged
}

func (f *SettingsForm) merged(settings map[string]any) map[string]any {
	c := &compilation{data: plain(f.defaults).(map[string]any)}
	c.merge(Options{Settings: settings})
	return c.data
}
