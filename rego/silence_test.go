package rego_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/rego"
)

// TestNegationsFire are rules about what is missing. They fire where it is missing, and not where it is what the rule asks for; a field that no service can have does not compile in the first place.
func TestNegationsFire(t *testing.T) {
	for name, rules := range map[string]string{
		"in":             `violation["A"] contains "a" if not "eu" in input.service.attributes.missing`,
		"in, of a field": `violation["A"] contains "a" if not "eu" in input.service.privacy.certifications`,
		"call":           `violation["A"] contains "a" if not f(input.service.attributes.missing)` + "\n\nf(x) if x == \"eu\"",
		"nested call":    `violation["A"] contains "a" if not f(input.service.attributes)` + "\n\nf(x) if startswith(lower(x.missing), \"eu\")",
		"comparison":     `violation["A"] contains "a" if not input.service.privacy.retention_days <= 30`,
		"reference":      `violation["A"] contains "a" if not input.service.privacy.trains_on_data`,
		"built-in":       `violation["A"] contains "a" if not is_boolean(input.service.privacy.trains_on_data)`,
		"several":        `violation["A"] contains "a" if not { some x in input.service.attributes.missing; x == "eu" }`,
		"either":         `violation["A"] contains "a" if not { input.service.privacy.trains_on_data == false or input.service.attributes.missing }`,
		"every":          `violation["A"] contains "a" if not all_eu` + "\n\nall_eu if {\n\tcount(input.service.attributes.missing) > 0\n\tevery x in input.service.attributes.missing { x == \"eu\" }\n}",
	} {
		t.Run(name, func(t *testing.T) {
			p := compiled(t, rego.Options{}, bundleOf(t, "b", map[string]string{"a.rego": policy("caio.policy.a", rule(rules))}))
			got, err := p.Evaluate(context.Background(), contracts.StagePolicy, input("service", contracts.Internal, 7))
			if err != nil || show(got) != "rego:A=1 a" {
				t.Errorf("got %v\n%s", err, show(got))
			}
		})
	}
	b := bundleOf(t, "b", map[string]string{"a.rego": policy("caio.policy.a", rule(`violation["A"] contains "a" if not "eu" in input.service.privacy.missing`))})
	if _, faults := rego.Compile([]*rego.Bundle{b}, rego.Options{}); len(faults) != 1 || faults[0].Code != "unknown-field" {
		t.Errorf("a field that does not exist: %v", faults)
	}
}

// TestMissingSettings are attempts to make a rule undefined, silently, by a setting that is not there: by whoever writes the rule, its schema, its defaults, or a tenant's settings. Each is refused.
func TestMissingSettings(t *testing.T) {
	const whole = `{"type": "object", "required": ["caio"], "properties": {"caio": {"type": "object", "required": ["settings"], "properties": {"settings": {"type": "object", "required": ["a"], "properties": {"a": {"type": "object", "additionalProperties": false, "required": ["limit"], "properties": {"limit": {"type": "integer"}, "extra": {"type": "integer"}}}}}}}}}`
	const defaults = `{"caio": {"settings": {"a": {"limit": 3}}}}`
	const freely = `{"caio": {"settings": {"a": {"by": {}, "list": [1]}}}}`
	narrow := strings.Replace(whole, `"required": ["limit"], "properties": {"limit": {"type": "integer"}, "extra": {"type": "integer"}}`, "%s", 1)
	free := fmt.Sprintf(narrow, `"required": ["by", "list"], "properties": {"by": {"type": "object", "propertyNames": {"enum": ["x", "y"]}, "additionalProperties": {"type": "integer"}}, "list": {"type": "array", "minItems": 1, "items": {"type": "integer"}}}`)
	branched := func(branches string) string {
		return strings.Replace(whole, `"required": ["limit"]`, `"anyOf": [`+branches+`]`, 1)
	}
	limit := `input.estimate.cost_micro_usd > data.caio.settings.a.limit`
	for name, c := range map[string]struct {
		body, schema, data string
		settings           map[string]any
		want               string
	}{
		"nothing missing":           {limit, whole, defaults, nil, ""},
		"a tenant's own":            {limit, whole, defaults, map[string]any{"a": map[string]any{"limit": int64(5)}}, ""},
		"a default for it":          {`input.estimate.cost_micro_usd > object.get(data.caio.settings.a, "extra", 3)`, whole, defaults, nil, ""},
		"no schema":                 {limit, "", defaults, nil, "uncovered-data"},
		"no defaults":               {limit, whole, "", nil, "settings"},
		"not required":              {limit, strings.Replace(whole, `"required": ["limit"], `, "", 1), defaults, nil, "optional-data"},
		"not required, one above":   {limit, strings.Replace(whole, `"required": ["a"], `, "", 1), defaults, nil, "optional-data"},
		"optional":                  {`input.estimate.cost_micro_usd > data.caio.settings.a.extra`, whole, defaults, nil, "optional-data"},
		"misspelt":                  {`input.estimate.cost_micro_usd > data.caio.settings.a.limt`, whole, defaults, nil, "uncovered-data"},
		"misspelt above":            {`input.estimate.cost_micro_usd > data.caio.setings.a.limit`, whole, defaults, nil, "uncovered-data"},
		"misspelt, in a variable":   {`settings := data.caio.settings.a; input.estimate.cost_micro_usd > settings.limt`, whole, defaults, nil, "uncovered-data"},
		"misspelt, in a function":   {`over(data.caio.settings.a)`, whole, defaults, nil, "uncovered-data"},
		"misspelt, computed":        {`some name in ["limt"]; input.estimate.cost_micro_usd > data.caio.settings.a[name]`, whole, defaults, nil, "uncovered-data"},
		"misspelt, with a default":  {`input.estimate.cost_micro_usd > object.get(data.caio.settings.a, "limt", 9)`, whole, defaults, nil, "uncovered-data"},
		"misspelt, negated":         {`not data.caio.settings.a.limt`, whole, defaults, nil, "uncovered-data"},
		"all data":                  {`data.caio[_].a.limit > 3`, whole, defaults, nil, "uncovered-data"},
		"taken away by a tenant":    {limit, whole, defaults, map[string]any{"a": nil}, "settings"},
		"made null by a tenant":     {limit, whole, defaults, map[string]any{"a": map[string]any{"limit": nil}}, "settings"},
		"made a text by a tenant":   {limit, whole, defaults, map[string]any{"a": map[string]any{"limit": "5"}}, "settings"},
		"misspelt by a tenant":      {limit, whole, defaults, map[string]any{"a": map[string]any{"limt": int64(5)}}, "unknown-setting"},
		"replaced by a tenant":      {limit, whole, defaults, map[string]any{"a": []any{}}, "settings"},
		"required in one branch":    {limit, branched(`{"required": ["limit"]}, {"required": ["extra"]}`), defaults, nil, "optional-data"},
		"required in all branches":  {limit, branched(`{"required": ["limit", "extra"]}, {"required": ["limit"]}`), defaults, nil, ""},
		"a key that may be absent":  {`data.caio.settings.a.by.x > 3`, free, freely, nil, "optional-data"},
		"a constant for such a key": {`data.caio.settings.a.by[name] > 3`, free, freely, nil, "optional-data"},
		"a variable for such a key": {`key := "x"; data.caio.settings.a.by[key] > 3`, free, freely, nil, "optional-data"},
		"a key with a default":      {`object.get(data.caio.settings.a.by, name, 3) > 3`, free, freely, nil, ""},
		"every key":                 {`some key; data.caio.settings.a.by[key] > 3`, free, freely, nil, ""},
		"a key that a request has":  {`data.caio.settings.a.by[input.request.intent.type] > 3`, free, freely, nil, ""},
		"a list that may be short":  {`data.caio.settings.a.list[1] > 3`, free, freely, nil, "optional-data"},
		"a list that is never":      {`data.caio.settings.a.list[0] > 3`, free, freely, nil, ""},
		"the elements of a list":    {`data.caio.settings.a.list[_] > 3`, free, freely, nil, ""},
		"a schema of anything":      {limit, `{}`, "", nil, "optional-data"},
		"a schema of free settings": {limit, strings.Replace(whole, `"additionalProperties": false, "required": ["limit"]`, `"additionalProperties": true, "required": []`, 1), "", nil, "optional-data"},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"a.rego": policy("caio.policy.a", rule(`violation["A"] contains "a" if { `+c.body+" }"), "over(settings) if settings.limt > 3", `name := "x"`)}
			for name, text := range map[string]string{"schema.json": c.schema, "data.json": c.data} {
				if text != "" {
					files[name] = text
				}
			}
			_, faults := rego.Compile([]*rego.Bundle{bundleOf(t, "b", files)}, rego.Options{Settings: c.settings})
			if c.want == "" && faults.HasErrors() || c.want != "" && (!faults.HasErrors() || !slices.ContainsFunc(faults, func(d contracts.Diagnostic) bool { return d.Code == c.want && d.Pos.File != "" })) {
				t.Errorf("got %v, want %s", faults, c.want)
			}
		})
	}
}
