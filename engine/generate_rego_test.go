package engine_test

import (
	"fmt"
	"strings"
	"testing/fstest"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/rego"
	"pgregory.net/rapid"
)

// rule is one constraint, or other rule, of a generated package. %d in it is a small number to be drawn.
type rule struct {
	id   string // "" for a rule without an annotation
	text string
}

// rules of each family: satisfied or violated as the request may be, in several parts, with values, margins and warnings, and failing in the ways in which Rego can.
var rules = map[contracts.Family][]rule{
	contracts.StageSafety: {
		{"LABEL", `violation["LABEL"] contains sprintf("label %%s on %%s", [label, input.route]) if {
	some label in input.request.data.labels
	label in {"phi", "secret"}
	input.route != "internal"
}

margin["LABEL"] := %d - count(input.request.data.labels)`},
		{"FINDING", `violation["FINDING"] contains {"msg": sprintf("found %%s", [finding.type]), "value": finding.count - 1} if some finding in input.request.data.findings`},
		{"DIVISION", `violation["DIVISION"] contains "quotient" if {
	input.request.purpose == "research"
	10 / (input.request.estimate.units - %d) > 7
}`},
		{"", `warn["PURPOSE"] contains sprintf("no purpose for %%s", [input.route]) if input.request.purpose == ""`},
	},
	contracts.StagePolicy: {
		{"REGION", `violation["REGION"] contains sprintf("%%s keeps data in %%s", [input.service.id, region]) if {
	some region in input.service.privacy.regions
	not region in data.caio.settings.generated.regions
}

violation["REGION"] contains "it does not say where" if {
	"pii" in input.request.data.labels
	count(input.service.privacy.regions) == 0
}`},
		{"SPEND", `violation["SPEND"] contains {"msg": "too dear", "value": input.estimate.cost_micro_usd - data.caio.settings.generated.ceiling} if input.estimate.cost_micro_usd > data.caio.settings.generated.ceiling

margin["SPEND"] := data.caio.settings.generated.ceiling - input.estimate.cost_micro_usd if input.estimate.cost_micro_usd <= data.caio.settings.generated.ceiling`},
		{"STATED", `violation["STATED"] contains {"msg": "stated", "value": data.generated.values[input.service.id]}`},
		{"CONFLICT", `violation["CONFLICT"] contains "weight" if weight > 1

weight := 1 if input.request.profile == "realtime"

weight := 2 if count(input.request.data.labels) > %d`},
		{"KIND", `violation["KIND"] contains {"msg": "of any type", "value": input.service.attributes.tier} if input.request.estimate.units == 3`},
		{"ROLE", `violation["ROLE"] contains "not for this role" if {
	not "app" in input.principal.roles
	input.request.profile == "assurance"
}`},
		{"", `warn["RETENTION"] contains sprintf("%%s does not say how long", [input.service.id]) if not input.service.privacy.retention_days`},
		{"", `warn["RETENTION"] contains {"msg": "data with labels", "value": 2} if count(input.request.data.labels) > %d`},
	},
	contracts.StageTraits: {
		{"CAUTION", `violation["CAUTION"] contains sprintf("%%s is %%s", [input.service.id, input.service.attestation]) if {
	input.request.traits.conservative > 0.5
	input.service.attestation != "verified"
}`},
		{"PATIENCE", `violation["PATIENCE"] contains {"msg": "slow", "value": input.estimate.latency_ms - 350 * %d} if input.estimate.latency_ms > 350 * %d

violation["PATIENCE"] contains "of unknown latency" if {
	not input.estimate.latency_ms
	input.request.profile == "realtime"
}`},
	},
}

// policies draws a bundle and its settings, and compiles nothing.
func policies(t *rapid.T, services []string) (*rego.Bundle, rego.Options) {
	files := fstest.MapFS{
		".manifest":   {Data: []byte(`{"revision": "1", "roots": ["caio/safety/generated", "caio/policy/generated", "caio/traits/generated", "generated"]}`)},
		"schema.json": {Data: []byte(dataSchema)},
	}
	for _, family := range []contracts.Family{contracts.StageSafety, contracts.StagePolicy, contracts.StageTraits} {
		if text := module(t, family); text != "" {
			files[fmt.Sprintf("%s/generated.rego", family)] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	bundle, faults := rego.ReadFS("generated", files)
	if faults.HasErrors() {
		t.Fatal(faults)
	}
	values := map[string]any{}
	if chance(t, "states values", 2) {
		for _, service := range subset(t, "services with a stated value", services) {
			values[service] = contracts.Decimal(contracts.Micro * rapid.Int64Range(-1, 2).Draw(t, "stated value"))
		}
	}
	permitted := oneOf(t, "permitted regions", regions, regions, regions[1:])
	ceiling := oneOf[int64](t, "ceiling", 1_000_000, 30_000, 9000)
	return bundle, rego.Options{
		Settings: map[string]any{"generated": map[string]any{"regions": list(permitted), "ceiling": contracts.Decimal(contracts.Micro * ceiling)}},
		Data:     map[string]any{"generated": map[string]any{"values": values}},
	}
}

func list(texts []string) []any {
	list := make([]any, len(texts))
	for i, text := range texts {
		list[i] = text
	}
	return list
}

// module draws one package of a family, "" when no rule is drawn.
func module(t *rapid.T, family contracts.Family) string {
	var drawn []string
	for i, rule := range rules[family] {
		if chance(t, fmt.Sprintf("leaves out %s %d", family, i), 1) {
			continue
		}
		numbers := make([]any, strings.Count(rule.text, "%d"))
		for n := range numbers {
			numbers[n] = rapid.IntRange(1, 3).Draw(t, "number")
		}
		text := fmt.Sprintf(rule.text, numbers...)
		if rule.id != "" {
			text = annotation + text
		}
		drawn = append(drawn, text)
	}
	if len(drawn) == 0 {
		return ""
	}
	return fmt.Sprintf("package caio.%s.generated\n\nimport rego.v2\n\n%s\n", family, strings.Join(drawn, "\n\n"))
}

const annotation = `# METADATA
# title: A generated rule
# custom:
#   severity: low
#   controls: []
#   remedy: none
`

const dataSchema = `{"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "required": ["caio", "generated"], "properties": {
	"caio": {"type": "object", "required": ["settings"], "properties": {"settings": {"type": "object", "required": ["generated"], "properties": {
		"generated": {"type": "object", "required": ["regions", "ceiling"], "properties": {"regions": {"type": "array", "items": {"type": "string"}}, "ceiling": {"type": "integer"}}}}}}},
	"generated": {"type": "object", "required": ["values"], "properties": {"values": {"type": "object", "additionalProperties": {"type": "integer"}}}}}}`
