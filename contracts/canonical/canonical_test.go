package canonical_test

import (
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/gowebpki/jcs"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/canonical"
	"pgregory.net/rapid"
)

func value() *rapid.Generator[any] {
	leaf := rapid.OneOf(
		rapid.Just[any](nil),
		rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Map(rapid.String(), func(s string) any { return s }),
		rapid.Map(rapid.Int64Range(-canonical.MaxInteger, canonical.MaxInteger), func(n int64) any { return n }),
	)
	return rapid.OneOf(leaf,
		rapid.Map(rapid.SliceOfN(leaf, 0, 5), func(l []any) any { return l }),
		rapid.Map(rapid.MapOfN(rapid.String(), leaf, 0, 8), func(m map[string]any) any { return m }),
	)
}

func TestEncodeAgainstIndependentLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, err := canonical.Encode(map[string]any{"v": value().Draw(t, "v"), "w": value().Draw(t, "w")})
		if err != nil {
			t.Fatal(err)
		}
		want, err := jcs.Transform(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if string(want) != string(text) {
			t.Fatalf("got  %s\nwant %s", text, want)
		}
	})
}

type part struct {
	B contracts.Bounds `json:"b"`
	A []string         `json:"a"`
	O string           `json:"o,omitempty"`
}

func TestDecodeRefusesEveryOtherForm(t *testing.T) {
	min := contracts.Decimal(1_500_000)
	text, err := canonical.Encode(part{B: contracts.Bounds{Min: &min}})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"a":[],"b":{"min":{"decimal":"1.5"}}}`; string(text) != want {
		t.Fatalf("got %s, want %s", text, want)
	}
	var back part
	if err := canonical.Decode(text, &back); err != nil || *back.B.Min != min {
		t.Fatal(back, err)
	}
	for _, bad := range []string{
		`{"a":[],"b":{"min":1.5}}`, `{"a":[],"b":{"min":{"decimal":"1.50"}}}`, `{"b":{},"a":[]}`, `{"a":[],"b":{} }`, `{"a":[],"b":{},"c":1}`,
		`{"a":[],"a":[],"b":{}}`, `{"A":[],"b":{}}`, `{"a":null,"b":{}}`, `{"a":[],"b":{}}x`, `{"a":[],"b":{},"o":""}`, `{"a":["\u0061"],"b":{}}`, `{"a":[]}`,
	} {
		if err := canonical.Decode([]byte(bad), new(part)); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	for _, bad := range []any{1.5, int64(canonical.MaxInteger + 1), "\xff", map[int]string{1: ""}} {
		if text, err := canonical.Encode(bad); err == nil {
			t.Errorf("%v was encoded as %s", bad, text)
		}
	}
}

// Texts are written one after the other, and by many at once, into the same memory: none is changed by the next.
func TestEncodedTextsStay(t *testing.T) {
	want := make([]string, 8)
	for n := range want {
		want[n] = `["` + strings.Repeat(strconv.Itoa(n), 1000) + `"]`
	}
	var workers sync.WaitGroup
	for n := range want {
		workers.Go(func() {
			var texts [][]byte
			for range 100 {
				text, err := canonical.Encode([]string{strings.Repeat(strconv.Itoa(n), 1000)})
				if err != nil {
					t.Error(err)
				}
				if _, err := canonical.Encode([]any{strings.Repeat("x", 3000), 1.5}); err == nil {
					t.Error("a text that breaks off was encoded")
				}
				texts = append(texts, text)
			}
			for _, text := range texts {
				if string(text) != want[n] {
					t.Errorf("%.20s became %.20s", want[n], text)
				}
			}
		})
	}
	workers.Wait()
}
