package contracts

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// Value holds a value whose type the schema leaves open: a parameter, an attribute, `equals`. V is bool, [Decimal], string, []any or map[string]any of the same, and in settings also nil.
// There is one kind of number, so 1 and 1.0 are the same value.
type Value struct{ V any }

// Equal compares type and value.
func (v Value) Equal(w Value) bool { return equal(v.V, w.V) }

func equal(v, w any) bool {
	switch v := v.(type) {
	case []any:
		w, ok := w.([]any)
		if !ok || len(v) != len(w) {
			return false
		}
		for i := range v {
			if !equal(v[i], w[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		w, ok := w.(map[string]any)
		if !ok || len(v) != len(w) {
			return false
		}
		for key := range v {
			if other, ok := w[key]; !ok || !equal(v[key], other) {
				return false
			}
		}
		return true
	}
	switch w.(type) {
	case []any, map[string]any:
		return false
	}
	return v == w
}

// UnmarshalJSON reads ordinary JSON, in which a decimal is a number, and canonical JSON, in which it is {"decimal": "1.5"}.
func (v *Value) UnmarshalJSON(text []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var raw any
	if err := decoder.Decode(&raw); err != nil {
		return err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return fmt.Errorf("text after the value")
	}
	exact, err := Exact(raw)
	v.V = exact
	return err
}

// MarshalJSON writes ordinary JSON.
func (v Value) MarshalJSON() ([]byte, error) { return json.Marshal(v.V) }

// Exact turns what a JSON decoder with UseNumber made into the types of [Value]. A map whose one key is `decimal` is read as that decimal, the canonical form.
func Exact(raw any) (any, error) {
	switch raw := raw.(type) {
	case json.Number:
		return ParseDecimal(raw.String())
	case []any:
		list := make([]any, len(raw))
		for i := range raw {
			exact, err := Exact(raw[i])
			if err != nil {
				return nil, fmt.Errorf("[%d]: %w", i, err)
			}
			list[i] = exact
		}
		return list, nil
	case map[string]any:
		if text, ok := raw["decimal"].(string); ok && len(raw) == 1 {
			return ParseDecimal(text)
		}
		object := make(map[string]any, len(raw))
		for key := range raw {
			exact, err := Exact(raw[key])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			object[key] = exact
		}
		return object, nil
	}
	return raw, nil
}

// MarshalCanonical is the value itself.
func (v Value) MarshalCanonical() any { return v.V }
