package contracts

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// TestFaults reads the first file of each archive as what it is named after and compares the diagnostics with its file want.
func TestFaults(t *testing.T) {
	archives, err := filepath.Glob("testdata/faults/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	for _, path := range archives {
		archive, err := txtar.ParseFile(path)
		if err != nil || len(archive.Files) != 2 || archive.Files[1].Name != "want" {
			t.Fatalf("%s: an archive has an input and want: %v", path, err)
		}
		var faults Diagnostics
		switch input := archive.Files[0]; strings.TrimSuffix(input.Name, filepath.Ext(input.Name)) {
		case "contract":
			_, faults = ParseContract(input.Name, input.Data)
		case "request":
			_, faults = ParseRequest(input.Name, input.Data, Admission{})
		case "principal":
			_, faults = ParsePrincipal(input.Name, input.Data)
		default:
			t.Fatalf("%s: nothing reads %s", path, input.Name)
		}
		if !faults.HasErrors() {
			t.Errorf("%s was accepted", path)
		}
		if got := faults.Error() + "\n"; *update {
			archive.Files[1].Data = []byte(got)
			if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if want := string(archive.Files[1].Data); got != want {
			t.Errorf("%s:\ngot\n%swant\n%s", path, got, want)
		}
	}
}

// TestTenFaults makes sure that the archives named -ten hold at least ten faults, each with position and pointer, of at least six kinds.
func TestTenFaults(t *testing.T) {
	for _, path := range []string{"testdata/faults/contract-ten.txtar", "testdata/faults/request-ten.txtar"} {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, faults := ParseRequest(archive.Files[0].Name, archive.Files[0].Data, Admission{})
		if strings.Contains(path, "contract") {
			_, faults = ParseContract(archive.Files[0].Name, archive.Files[0].Data)
		}
		codes, places := map[string]bool{}, map[Position]bool{}
		for _, f := range faults {
			if f.Pos.Line == 0 || f.Pos.Column == 0 || f.Pointer == "" {
				t.Errorf("%s: %v has no place", path, f)
			}
			codes[f.Code], places[f.Pos] = true, true
		}
		if len(places) < 10 || len(codes) < 6 {
			t.Errorf("%s: %d places and %d kinds of faults:\n%v", path, len(places), len(codes), faults)
		}
	}
}

// atMost is generous for a loaded machine; what is not linear takes much longer.
const atMost = 3 * time.Second

// TestHostileTexts are refused, and without much work.
func TestHostileTexts(t *testing.T) {
	many := func(text string, times int) string { return strings.Repeat(text, times) }
	deep := 10_000
	texts := map[string]struct{ text, code string }{
		"10 MB of numbers":           {"[" + many("1,", 5<<20) + "1]", "too-large"},
		"10 MB of text":              {`{"intent": "` + many("x", 10<<20) + `"}`, "too-large"},
		"deep lists":                 {many("[", deep) + many("]", deep), "too-deep"},
		"deep lists, open":           {many("[", 200_000), "too-deep"},
		"deep maps":                  {many(`{"a":`, deep) + "1" + many("}", deep), "too-deep"},
		"one level too deep":         {many("[", 65) + many("]", 65), "too-deep"},
		"invalid UTF-8":              {"{\"intent\": \"\xff\"}", "not-unicode"},
		"an overlong form":           {"{\"intent\": \"\xc0\xaf\"}", "not-unicode"},
		"an encoded surrogate":       {"{\"intent\": \"\xed\xa0\x80\"}", "not-unicode"},
		"an escaped surrogate":       {`{"intent": "\udc00\ud800"}`, "not-unicode"},
		"NaN":                        {`{"seed": NaN}`, "syntax"},
		"a repeated key":             {`{"intent": {"type": "a", "type": "b"}}`, "duplicate-key"},
		"a repeated key, escaped":    {`{"intent": {"type": "a", "typ\u0065": "b"}}`, "duplicate-key"},
		"many repeated keys":         {"{" + many(`"a":1,`, 50_000) + `"b":1}`, "duplicate-key"},
		"many unknown keys":          {"{" + numbered(`"k%d":{},`, 30_000) + `"b":1}`, "unknown-key"},
		"many unknown labels":        {`{"intent": {"type": "a"}, "data": {"labels": [` + many(`"a",`, 200_000) + `"a"]}}`, "unknown-label"},
		"many wrong ids":             {`{"intent": {"type": "a"}, "exclude": [` + many(`"A",`, 200_000) + `"A"]}`, "id"},
		"many wrong types":           {`{"intent": {"type": "a"}, "exclude": [` + many(`1,`, 200_000) + `1]}`, "wrong-type"},
		"too many values":            {`{"intent": {"type": "a"}, "exclude": [` + many(`1,`, 1_000_000) + `1]}`, "too-large"},
		"many wrong parameters":      {`{"intent": {"type": "a"}, "requirements": {"capabilities": [` + numbered(`"c%d",`, 100_000) + `"c"], "capability_parameters": {` + numbered(`"d%d":{},`, 100_000) + `"d":{}}}}`, "unknown-capability"},
		"many halves of surrogates":  {`{"intent": "` + many(`\ud800`, 500_000) + `"}`, "not-unicode"},
		"a long number":              {`{"seed": ` + many("9", 100_000) + "}", "wrong-type"},
		"a number with an exponent":  {`{"seed": 1e999999999}`, "wrong-type"},
		"a decimal with an exponent": {`{"limits": {"max_cost_usd": 1e-999999999}}`, "out-of-range"},
	}
	for name, c := range texts {
		for _, file := range []string{"contract.json", "request.json", "principal.json"} {
			start := time.Now()
			var faults Diagnostics
			switch file {
			case "contract.json":
				_, faults = ParseContract(file, []byte(c.text))
			case "request.json":
				_, faults = ParseRequest(file, []byte(c.text), Admission{MaySeed: true})
			default:
				_, faults = ParsePrincipal(file, []byte(c.text))
			}
			if took := time.Since(start); took > atMost {
				t.Errorf("%s, as %s: took %v", name, file, took)
			}
			if !faults.HasErrors() {
				t.Errorf("%s, as %s, was accepted", name, file)
			}
			if file == "request.json" && !hasCode(faults, c.code) {
				t.Errorf("%s: got %.500v, want the code %s", name, faults, c.code)
			}
		}
	}
}

// TestHostileYAML is refused before a parser that recurses sees it.
func TestHostileYAML(t *testing.T) {
	many := func(text string, times int) string { return strings.Repeat(text, times) }
	for name, c := range map[string]struct{ text, code string }{
		"flow lists":       {many("[", 100_000), "too-deep"},
		"flow maps":        {many("{a: ", 50_000), "too-deep"},
		"compact lists":    {many("- ", 100_000) + "a", "too-deep"},
		"a staircase":      {staircaseOf("a:\n", 300), "too-deep"},
		"lists by indent":  {staircaseOf("-\n", 200), "too-deep"},
		"aliases":          {"a: &a [x, x]\nb: [*a, *a, *a]\n", "yaml-feature"},
		"too much":         {many("# comment\n", 30_000), "too-large"},
		"a binary number":  {"id: 0b1\n", "number-form"},
		"a null character": {"id: \"a\x00\"\n", "syntax"},
		"nothing":          {"# nothing\n", "empty"},
	} {
		start := time.Now()
		_, faults := ParseContract("contract.yaml", []byte(c.text))
		if took := time.Since(start); took > atMost {
			t.Errorf("%s: took %v", name, took)
		}
		if !hasCode(faults, c.code) {
			t.Errorf("%s: got %.500v, want the code %s", name, faults, c.code)
		}
	}
}

func numbered(format string, times int) string {
	var text strings.Builder
	for i := range times {
		fmt.Fprintf(&text, format, i)
	}
	return text.String()
}

func staircaseOf(step string, times int) string {
	var text strings.Builder
	for i := range times {
		text.WriteString(strings.Repeat(" ", i) + step)
	}
	return text.String()
}

func hasCode(faults Diagnostics, code string) bool {
	for _, f := range faults {
		if f.Code == code {
			return true
		}
	}
	return false
}
