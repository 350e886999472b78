package source

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

const limit = 1 << 20

func TestPositionsAndPointers(t *testing.T) {
	inJSON := "{\n  \"ä\": [1, {\"b/c\": \"d\"}],\n  \"~\": {\"\": true}\n}"
	inYAML := "ä:\n- 1\n- b/c: d\n\"~\": {\"\": true}\ntext: |\n\n    a\n    b\nquoted: 'x'\n"
	for _, c := range []struct{ file, text, pointer, pos, key string }{
		{"a.json", inJSON, "", "a.json:1:1", "a.json:1:1"},
		{"a.json", inJSON, "/ä", "a.json:2:9", "a.json:2:3"},
		{"a.json", inJSON, "/ä/0", "a.json:2:10", "a.json:2:10"},
		{"a.json", inJSON, "/ä/1/b~1c", "a.json:2:21", "a.json:2:14"},
		{"a.json", inJSON, "/~0/", "a.json:3:13", "a.json:3:9"},
		{"a.yaml", inYAML, "", "a.yaml:1:1", "a.yaml:1:1"},
		{"a.yaml", inYAML, "/ä", "a.yaml:2:1", "a.yaml:1:1"},
		{"a.yaml", inYAML, "/ä/1", "a.yaml:3:3", "a.yaml:3:3"},
		{"a.yaml", inYAML, "/ä/1/b~1c", "a.yaml:3:8", "a.yaml:3:3"},
		{"a.yaml", inYAML, "/~0/", "a.yaml:4:11", "a.yaml:4:7"},
	} {
		root, faults := Parse(c.file, []byte(c.text), limit)
		if root == nil {
			t.Fatal(faults)
		}
		n, exact := root.Find(c.pointer)
		if !exact || n.Pos().String() != c.pos || n.KeyPos().String() != c.key || n.Pointer() != c.pointer {
			t.Errorf("%s %s: found %v at %s, key %s, pointer %s", c.file, c.pointer, exact, n.Pos(), n.KeyPos(), n.Pointer())
		}
		if nearest, exact := root.Find(c.pointer + "/none/5"); exact || nearest != n {
			t.Errorf("%s %s: below it %v was found", c.file, c.pointer, nearest)
		}
	}
	root, _ := Parse("a.yaml", []byte(inYAML), limit)
	if at := root.Get("text").TextPos().String(); at != "a.yaml:7:5" {
		t.Errorf("the text of a block starts at %s", at)
	}
	if at := root.Get("quoted").TextPos().String(); at != "a.yaml:9:10" {
		t.Errorf("a quoted text starts at %s", at)
	}
}

func TestYAMLScalars(t *testing.T) {
	for text, want := range map[string]any{
		"1e3": json.Number("1e3"), "-0.5E-2": json.Number("-0.5E-2"), "0": json.Number("0"), "true": true, "'true'": "true", `"1"`: "1", "null": nil, "~": nil,
		"1.4.0": "1.4.0", "2026-11-22": "2026-11-22", "a b": "a b", "a\n b": "a b", "|\n a\n b\n": "a\nb\n", ">-\n a\n b\n": "a b", "'it''s'": "it's", `"\ud83d\ude00\t"`: "😀\t",
		"http://a/b#c": "http://a/b#c", "1-a": "1-a", "-": []any{nil}, "[]": []any{}, "{}": map[string]any{}, "[a, {b: c}]": []any{"a", map[string]any{"b": "c"}}, "Infinity": "Infinity",
		"--- a\n...\n": "a", "e": "e", "1e": "1e", "- a # comment\n# another\n- b": []any{"a", "b"}, "x: # comment\n  y: z": map[string]any{"x": map[string]any{"y": "z"}},
	} {
		n, faults := sound(ReadYAML("", []byte(text), limit))
		if n == nil {
			t.Errorf("%q: %v", text, faults)
		} else if got := n.Any(); !reflect.DeepEqual(got, want) {
			t.Errorf("%q is %#v, want %#v", text, got, want)
		}
	}
}

type inner struct {
	N *int8 `json:"n"`
}

type example struct {
	inner
	Text   string            `json:"text" jsonschema:"required"`
	List   []bool            `json:"list"`
	Map    map[string]*int64 `json:"map"`
	Node   *Node             `json:"node"`
	Hidden string            `json:"-"`
}

func TestDecode(t *testing.T) {
	var v example
	root, faults := Parse("", []byte(`{"text": "t", "list": [true], "map": {"a": 1e2, "b": 5.0}, "node": [1, null], "n": -128}`), limit)
	if Decode(root, &v, &faults); faults != nil {
		t.Fatal(faults)
	}
	if v.Text != "t" || !v.List[0] || *v.Map["a"] != 100 || *v.Map["b"] != 5 || string(v.Node.JSON()) != "[1, null]" || *v.N != -128 {
		t.Fatalf("%+v", v)
	}
	for text, want := range map[string]string{
		`{}`:                                     `1:1: the key "text" is missing (/text)`,
		`{"text": "", "hidden": ""}`:             `1:14: there is no key "hidden" here (/hidden)`,
		`{"text": "", "Text": ""}`:               `1:14: there is no key "Text" here: did you mean "text"? (/Text)`,
		`{"text": "", "n": 128}`:                 `1:19: 128 is too large for an integer here (/n)`,
		`{"text": "", "map": {"a": 1e16}}`:       `1:27: 1e16 is too large for an integer here (/map/a)`,
		`{"text": "", "map": {"a": 1e99999999}}`: `1:27: expected an integer, found 1e99999999 (/map/a)`,
		`{"text": "", "list": [null]}`:           `1:23: null is not a value here: leave the key out (/list/0)`,
		`[]`:                                     `1:1: expected a map, found a list`,
	} {
		root, faults := Parse("", []byte(text), limit)
		if Decode(root, new(example), &faults); faults.Error() != want {
			t.Errorf("%s:\ngot  %s\nwant %s", text, faults, want)
		}
	}
}

func TestFaultsAreCut(t *testing.T) {
	root, faults := Parse("", []byte(`{"text": "", "list": [`+strings.Repeat("1, ", 500)+`1]}`), limit)
	Decode(root, new(example), &faults)
	if faults.Sort(); len(faults) != MaxFaults+1 || faults[MaxFaults].Code != codeMore {
		t.Fatalf("%d faults: %v", len(faults), faults)
	}
}

func TestDidYouMean(t *testing.T) {
	words := []string{"latency", "availability", "max_cost_usd", "id"}
	for word, want := range map[string]string{"latencie": "latency", "avialability": "availability", "max_cost": "", "max_cost_us": "max_cost_usd", "di": "id", "xx": "", "cost": "", "": "", "ids": "id"} {
		if want != "" {
			want = `: did you mean "` + want + `"?`
		}
		if got := DidYouMean(word, words); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}

// TestJSONOfYAML: what is written as JSON of a tree read from YAML is read again as the same tree.
func TestJSONOfYAML(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, err := json.Marshal(rapid.MapOf(rapid.String(), rapid.SliceOf(rapid.String())).Draw(t, "map"))
		if err != nil {
			t.Fatal(err)
		}
		direct, faults := ParseJSON("", text, limit)
		if direct == nil {
			t.Fatal(faults)
		}
		doc := &document{text: string(text)} // as if it had been YAML, whose text is not JSON
		copied := *direct
		copied.doc = doc
		again, faults := ParseJSON("", copied.JSON(), limit)
		if again == nil || !reflect.DeepEqual(again.Any(), direct.Any()) {
			t.Fatalf("%s became %s: %v", text, copied.JSON(), faults)
		}
	})
}

// TestYAMLReadsJSON: JSON is YAML, so a text and a key are the same in both.
func TestYAMLReadsJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, err := json.Marshal(rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "map"))
		if err != nil {
			t.Fatal(err)
		}
		inJSON, _ := ParseJSON("", text, limit)
		inYAML, faults := sound(ReadYAML("", text, limit))
		if inYAML == nil || !reflect.DeepEqual(inYAML.Any(), inJSON.Any()) {
			t.Fatalf("%s: %v", text, faults)
		}
	})
}

// FuzzJSON holds the reader against encoding/json: what it accepts is JSON and says the same; what it refuses is no JSON, or refused on purpose.
func FuzzJSON(f *testing.F) {
	for _, text := range []string{`{"a": [1, -2.5e+3, true, null, "x\u00e9\n"]}`, `"\ud800"`, `[1,]`, `{"a":1,"a":2}`, ` 1 `, `nul`, `"` + "\x7f\u2028" + `"`, `-`, `1.`, "\ufeff1", `{"a"}`, `"\"`} {
		f.Add([]byte(text))
	}
	onPurpose := map[string]bool{"not-unicode": true, "duplicate-key": true, "too-deep": true}
	f.Fuzz(func(t *testing.T, text []byte) {
		n, faults := ParseJSON("", text, limit)
		if n == nil {
			for _, d := range faults {
				if onPurpose[d.Code] {
					return
				}
			}
			if json.Valid(text) {
				t.Fatalf("%q was refused: %v", text, faults)
			}
			return
		}
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		var want any
		if err := decoder.Decode(&want); err != nil || !json.Valid(text) {
			t.Fatalf("%q was accepted: %v", text, err)
		}
		if got := n.Any(); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q is %#v, not %#v", text, got, want)
		}
		if !bytes.Equal(n.JSON(), bytes.Trim(text, " \t\r\n")) {
			t.Fatalf("%q is written as %q", text, n.JSON())
		}
	})
}

// FuzzYAML: the reader ends, holds its limits, and what it accepts is a tree of well-formed text.
func FuzzYAML(f *testing.F) {
	for _, text := range []string{"a: [b, {c: 'd'}]\n", "- - - x\n", "a: |\n  b\n", "a: &x 1\nb: *x\n", "? a\n: b\n", "a: \"\\ud800\"\n", "---\na\n...\n", "<<: {a: b}\n", "a:\n\tb: c\n", "{a: b, a: c}", "a: !!binary x"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		n, faults := sound(ReadYAML("", text, 1<<14))
		if (n == nil) != faults.HasErrors() {
			t.Fatalf("a tree and errors, or neither: %v", faults)
		}
		if n == nil {
			return
		}
		var walk func(n *Node, depth int)
		walk = func(n *Node, depth int) {
			if depth > MaxDepth || !utf8.ValidString(n.Text) || !utf8.ValidString(n.Key) || n.broken || n.Kind == Number && !IsNumber(n.Text) {
				t.Fatalf("%q: %+v at depth %d", text, n, depth)
			}
			for i := range n.Children {
				walk(&n.Children[i], depth+1)
			}
		}
		walk(n, 0)
		if again, faults := ParseJSON("", n.JSON(), 1<<20); again == nil || !reflect.DeepEqual(again.Any(), n.Any()) {
			t.Fatalf("%q is %s as JSON: %v", text, n.JSON(), faults)
		}
	})
}
