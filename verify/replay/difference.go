package replay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/verify"
)

// firstDifference compares two documents in their canonical form, all but `engine`: nil if they are equal, else where they first differ, and both values as JSON ("" where there is none).
func firstDifference(want, got verify.Document) (*verify.Fault, error) {
	want.Engine = got.Engine
	w, err := tree(want)
	if err != nil {
		return nil, err
	}
	g, err := tree(got)
	if err != nil {
		return nil, err
	}
	return differ("", w, g), nil
}

// tree is the document as JSON has it: nil, bool, json.Number, string, []any and map[string]any.
func tree(d verify.Document) (any, error) {
	text, err := d.Canonical()
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var v any
	return v, decoder.Decode(&v)
}

// absent stands for a value that is not there.
type absent struct{}

func differ(pointer string, want, got any) *verify.Fault {
	switch w := want.(type) {
	case map[string]any:
		if g, ok := got.(map[string]any); ok {
			return differMaps(pointer, w, g)
		}
	case []any:
		if g, ok := got.([]any); ok {
			return differLists(pointer, w, g)
		}
	default:
		switch got.(type) {
		case map[string]any, []any:
		default:
			if want == got {
				return nil
			}
		}
	}
	return &verify.Fault{Pointer: pointer, Reason: "re-evaluated, the value is another one", Want: shown(want), Got: shown(got)}
}

func differMaps(pointer string, want, got map[string]any) *verify.Fault {
	all := maps.Clone(want)
	maps.Copy(all, got)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if fault := differ(pointer+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(key), value(want, key), value(got, key)); fault != nil {
			return fault
		}
	}
	return nil
}

func value(m map[string]any, key string) any {
	if v, ok := m[key]; ok {
		return v
	}
	return absent{}
}

func differLists(pointer string, want, got []any) *verify.Fault {
	for i := range max(len(want), len(got)) {
		if fault := differ(fmt.Sprintf("%s/%d", pointer, i), element(want, i), element(got, i)); fault != nil {
			return fault
		}
	}
	return nil
}

func element(list []any, i int) any {
	if i < len(list) {
		return list[i]
	}
	return absent{}
}

func shown(v any) string {
	if v == (any)(absent{}) {
		return ""
	}
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
