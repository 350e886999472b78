package contracts

import (
	"bytes"
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// seeds gives every input of the golden files and of the schema tests to a fuzz target, with whether it is YAML.
func seeds(f *testing.F, kind string) {
	count := 0
	add := func(name string, text []byte) {
		f.Add(text, filepath.Ext(name) == ".yaml")
		count++
	}
	archives, err := filepath.Glob("testdata/faults/" + kind + "*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range archives {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		add(archive.Files[0].Name, archive.Files[0].Data)
	}
	files, err := filepath.Glob("testdata/schema/" + kind + "/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		add(path, text)
	}
	if count == 0 {
		f.Fatalf("no seeds for %s", kind)
	}
}

// placed checks that every fault says something, and stands inside the text.
func placed(t *testing.T, text []byte, faults Diagnostics) {
	for _, d := range faults {
		lines := bytes.Split(text, []byte("\n"))
		if d.Summary == "" || d.Code == "" || d.Pos.Line > len(lines) || d.Pos.Line > 0 && d.Pos.Column > len(lines[d.Pos.Line-1])+1 {
			t.Fatalf("%+v does not stand in %q", d, text)
		}
	}
}

func FuzzParseContract(f *testing.F) {
	seeds(f, "contract")
	f.Fuzz(func(t *testing.T, text []byte, yaml bool) {
		name := map[bool]string{true: "contract.yaml", false: "contract.json"}[yaml]
		contract, faults := ParseContract(name, text)
		placed(t, text, faults)
		if (contract == nil) != faults.HasErrors() {
			t.Fatalf("a contract and errors, or neither: %v", faults)
		}
		if contract == nil {
			return
		}
		again, err := DecodeContract(contract.Canonical())
		if err != nil || !reflect.DeepEqual(again.View(), contract.View()) {
			t.Fatalf("%s: %v", contract.Canonical(), err)
		}
	})
}

func FuzzParseRequest(f *testing.F) {
	seeds(f, "request")
	f.Fuzz(func(t *testing.T, text []byte, yaml bool) {
		name := map[bool]string{true: "request.yaml", false: "request.json"}[yaml]
		request, faults := ParseRequest(name, text, Admission{Operator: true})
		placed(t, text, faults)
		if (request == nil) != faults.HasErrors() {
			t.Fatalf("a request and errors, or neither: %v", faults)
		}
		if request == nil {
			return
		}
		if request.Payload != nil && !json.Valid(request.Payload) {
			t.Fatalf("the payload is no JSON: %q", request.Payload)
		}
		form, err := json.Marshal(formOf(request))
		if err != nil {
			t.Fatal(err)
		}
		again, faults := ParseRequest("request.json", form, Admission{Operator: true})
		if again == nil || !reflect.DeepEqual(again.View(), request.View()) && request.Supersedes == "" {
			t.Fatalf("%s is not normal: %v", form, faults)
		}
	})
}

func FuzzParseDecimal(f *testing.F) {
	for _, text := range []string{"0", "-0", "1.5", "1e12", "1000000000000.000001", "1e-6", "0.0000010", "01", "1e0001", ".5", "+1", "0x10", "1_0", "1e13"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDecimal(text)
		if err != nil {
			return
		}
		exact, ok := new(big.Rat).SetString(text)
		if !ok || exact.Cmp(big.NewRat(int64(d), Micro)) != 0 || !json.Valid([]byte(text)) {
			t.Fatalf("%q is not %s", text, d)
		}
		if again, err := ParseDecimal(d.String()); err != nil || again != d {
			t.Fatalf("%s becomes %s: %v", d, again, err)
		}
	})
}

func FuzzDecodeContract(f *testing.F) {
	for _, c := range vectors(f)[:8] {
		for _, text := range c.Contracts {
			if contract, _ := ParseContract("contract.json", text); contract != nil {
				f.Add(contract.Canonical())
			}
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		contract, err := DecodeContract(text)
		if err == nil && !bytes.Equal(contract.Canonical(), text) {
			t.Fatalf("%s was accepted for %s", text, contract.Canonical())
		}
	})
}
