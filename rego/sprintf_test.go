package rego

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What places counts is what package fmt takes, which is what OPA calls.
func TestPlaces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.SampledFrom([]rune("%%%%svdxq5.2 -+#0aé!\n*["))).Draw(t, "text")
		n, ok := places(text)
		if !ok {
			if !strings.ContainsAny(text, "*[") {
				t.Fatalf("%q is not understood", text)
			}
			return
		}
		formatted := func(values int) string {
			list := make([]any, values)
			for i := range list {
				list[i] = 7
			}
			return fmt.Sprintf(text, list...)
		}
		if told := formatted(n); strings.Contains(told, "(MISSING)") || strings.Contains(told, "%!(EXTRA ") {
			t.Fatalf("%q with %d values is %q", text, n, told)
		}
		if told := formatted(n + 1); !strings.Contains(told, "%!(EXTRA ") {
			t.Fatalf("%q with %d values is %q", text, n+1, told)
		}
		if n > 0 && !strings.Contains(formatted(n-1), "(MISSING)") {
			t.Fatalf("%q with %d values is %q", text, n-1, formatted(n-1))
		}
	})
}
