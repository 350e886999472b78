package main

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/goccy/go-yaml"
	"pgregory.net/rapid"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/source"
)

func TestToYAML(t *testing.T) {
	got, err := toYAML([]byte(`{"id": "eu", "digest": "16e3", "no": "no", "n": 1e-06, "empty": [{}, []], "list": [[1, 2], {"a": null, "b": [true]}], "text": "a: b\n"}`))
	if err != nil {
		t.Fatal(err)
	}
	want := `---
id: eu
digest: "16e3"
"no": "no"
"n": 1e-06
empty:
  - {}
  - []
list:
  - - 1
    - 2
  - a: null
    b:
      - true
text: "a: b\n"
`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, wrong := range []string{"", "{", "[1", `{"a"`} {
		if text, err := toYAML([]byte(wrong)); err == nil {
			t.Errorf("%q became %q", wrong, text)
		}
	}
}

// What is written is read back as it was: by the reader of contracts and configurations, and by another one.
func TestYAMLIsReadBack(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "~", "yes", "0x10", "16e3", "1_000", "2026-11-22", "- a", "a: b", "a #b", ".inf", "<<", "\x7f\u0085\u2028\ufeff", "'", `"`, "\\"}))
	scalars := rapid.OneOf(rapid.Map(text, func(s string) any { return s }), rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Map(rapid.Int32(), func(n int32) any { return contracts.Decimal(n) * contracts.Micro }), rapid.Map(rapid.Int32(), func(n int32) any { return contracts.Decimal(n) }))
	rapid.Check(t, func(t *rapid.T) {
		var value any = map[string]any{"a": scalars.Draw(t, "a"), "list": []any{scalars.Draw(t, "b"), map[string]any{text.Draw(t, "key"): scalars.Draw(t, "c"), "l": []any{[]any{}, map[string]any{}}}}}
		asJSON, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		written, err := toYAML(asJSON)
		if err != nil {
			t.Fatal(err)
		}
		root, faults := source.Parse("x.yaml", written, 1<<20)
		if len(faults) > 0 {
			t.Fatalf("%s\n%s", written, faults)
		}
		back, err := contracts.Exact(root.Any())
		if err != nil || !reflect.DeepEqual(back, value) {
			t.Fatalf("wrote\n%s\nread %#v, not %#v: %v", written, back, value, err)
		}
		var other any
		if err := yaml.Unmarshal(written, &other); err != nil {
			t.Fatalf("%s\n%s", written, err)
		}
		if got, want := encoded(t, other), encoded(t, decoded(t, asJSON)); got != want {
			t.Fatalf("another reader has %s, not %s, from\n%s", got, want, written)
		}
	})
}

func decoded(t *rapid.T, asJSON []byte) (v any) {
	if err := json.Unmarshal(asJSON, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func encoded(t *rapid.T, v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
