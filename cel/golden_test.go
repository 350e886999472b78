package cel_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/smarthausgroup/caio/cel"
	"github.com/smarthausgroup/caio/contracts"
)

var update = flag.Bool("update", false, "rewrite the expected parts of testdata")

// TestGolden runs testdata/*.txtar. A file holds contract.yaml and what it compiles into, in predicates; and pairs NAME.yaml, with the keys request, principal and estimate, and NAME.false, the predicates that are false of it
// with the conjunct that says why. A contract that does not compile has diagnostics instead.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no case in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { golden(t, file) })
	}
}

func golden(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string][]byte{}
	for _, f := range archive.Files {
		parts[f.Name] = f.Data
	}
	contract, ds := contracts.ParseContract("contract.yaml", parts["contract.yaml"])
	if ds.HasErrors() {
		t.Fatal(ds)
	}
	made := &txtar.Archive{Comment: archive.Comment, Files: []txtar.File{{Name: "contract.yaml", Data: parts["contract.yaml"]}}}
	add := func(name, text string) {
		made.Files = append(made.Files, txtar.File{Name: name, Data: []byte(text)})
	}
	program, ds := cel.Compile(contract)
	if ds.HasErrors() {
		add("diagnostics", ds.Error()+"\n")
	} else {
		add("predicates", describe(program))
		for _, f := range archive.Files {
			if name, ok := strings.CutSuffix(f.Name, ".yaml"); ok && name != "contract" {
				made.Files = append(made.Files, f)
				add(name+".false", evaluateCase(t, program, f.Name, f.Data))
			}
		}
	}
	got := txtar.Format(made)
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if !bytes.Equal(got, want) {
		t.Errorf("%s is otherwise now (-update rewrites it):\n%s", file, firstDifference(string(want), string(got)))
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return fmt.Sprintf("line %d\n- %s\n+ %s", i+1, w[i], g[i])
		}
	}
	return fmt.Sprintf("%d lines, expected %d", len(g), len(w))
}

func describe(p *cel.Program) string {
	var b strings.Builder
	for _, q := range p.Predicates() {
		fmt.Fprintf(&b, "%s (%s): %s\n", q.ID, q.Stage, q.Message)
		for i := 0; p.Conjunct(q.ID, i) != ""; i++ {
			fmt.Fprintf(&b, "  %d  %s\n", i, p.Conjunct(q.ID, i))
		}
	}
	return b.String()
}

// evaluateCase reads a request and its principal, `---`, and an estimate as JSON lines of their own after "principal:" and "estimate:".
func evaluateCase(t *testing.T, p *cel.Program, name string, text []byte) string {
	t.Helper()
	sections := strings.Split(string(text), "---\n")
	request, ds := contracts.ParseRequest(name, []byte(sections[0]), contracts.Admission{Operator: true})
	if ds.HasErrors() {
		t.Fatal(ds)
	}
	principal := contracts.Principal{Tenant: "acme"}
	if len(sections) > 1 {
		if principal, ds = contracts.ParsePrincipal(name, []byte(sections[1])); ds.HasErrors() {
			t.Fatal(ds)
		}
	}
	var estimate contracts.ServiceEstimate
	if len(sections) > 2 {
		estimate = readEstimate(t, sections[2])
	}
	in := cel.NewInput(request, principal)
	var b strings.Builder
	for _, stage := range []contracts.Stage{contracts.StageMatch, contracts.StageSecurity, contracts.StageBounds} {
		violations, err := p.Evaluate(context.Background(), stage, in, estimate)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range violations {
			text := ""
			if i, err := strconv.Atoi(v.Reason); err == nil {
				text = "  " + p.Conjunct(v.ID, i)
			}
			fmt.Fprintf(&b, "%s: %s %s%s\n", stage, v.ID, v.Reason, text)
		}
	}
	return b.String()
}

func readEstimate(t *testing.T, text string) (e contracts.ServiceEstimate) {
	t.Helper()
	for line := range strings.Lines(text) {
		key, number, _ := strings.Cut(strings.TrimSpace(line), ": ")
		n, err := strconv.ParseInt(number, 10, 64)
		switch {
		case err != nil:
			t.Fatal(err)
		case key == "cost_micro_usd":
			e.CostMicroUSD = n
		case key == "latency_ms":
			e.LatencyMS = &n
		default:
			t.Fatalf("an estimate has no %s", key)
		}
	}
	return e
}
