package rego_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/rego"
)

// example is a case of the corpus: bundles that a finding is about, and the same without it. The comment may say "N FILE", which repeats the file N times, or its last line, with {i} counting.
type example struct {
	code    string
	archive *txtar.Archive
	bundles map[string]map[string]map[string][]byte // by "wrong" or "right", by the bundle's name
}

func (e *example) want() string {
	return string(e.archive.Files[len(e.archive.Files)-1].Data)
}

// place splits wrong/house/a.rego, and wrong/house/inner//a.rego, whose bundle is house/inner.
func place(name string) (side, bundle, file string) {
	side, rest, _ := strings.Cut(name, "/")
	if bundle, file, ok := strings.Cut(rest, "//"); ok {
		return side, bundle, file
	}
	bundle, file, _ = strings.Cut(rest, "/")
	return side, bundle, file
}

func examples(t *testing.T) []*example {
	t.Helper()
	files, err := filepath.Glob("testdata/checks/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no example was found: %v", err)
	}
	var all []*example
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		e := &example{strings.TrimSuffix(filepath.Base(file), ".txtar"), archive, map[string]map[string]map[string][]byte{}}
		if last := len(archive.Files) - 1; last < 0 || archive.Files[last].Name != "want" {
			t.Fatalf("%s does not end in what is wanted", file)
		}
		e.read()
		all = append(all, e)
	}
	return all
}

func (e *example) read() {
	count, repeated, _ := strings.Cut(strings.TrimSpace(string(e.archive.Comment)), " ")
	times, _ := strconv.Atoi(count)
	for _, f := range e.archive.Files[:len(e.archive.Files)-1] {
		side, bundle, file := place(f.Name)
		if e.bundles[side] == nil {
			e.bundles[side] = map[string]map[string][]byte{}
		}
		if e.bundles[side][bundle] == nil {
			e.bundles[side][bundle] = map[string][]byte{}
		}
		files := e.bundles[side][bundle]
		switch {
		case f.Name != repeated:
			files[file] = f.Data
		case strings.Contains(file, "{i}"):
			for i := range times {
				files[strings.ReplaceAll(file, "{i}", strconv.Itoa(i))] = f.Data
			}
		default:
			lines := strings.SplitAfter(string(f.Data), "\n")
			line := lines[len(lines)-2]
			text := strings.Join(lines[:len(lines)-2], "")
			for i := range times {
				text += strings.ReplaceAll(line, "{i}", strconv.Itoa(i))
			}
			files[file] = []byte(text)
		}
	}
}

// check is what caio policy check finds.
func (e *example) check(side string) contracts.Diagnostics {
	var bundles []*rego.Bundle
	var faults contracts.Diagnostics
	sides := e.bundles[side]
	if len(sides) == 0 {
		sides = map[string]map[string][]byte{"house": {}}
	}
	for _, name := range slices.Sorted(maps.Keys(sides)) {
		b, ds := rego.ReadFiles(name, sides[name])
		faults = append(faults, ds...)
		if b != nil {
			bundles = append(bundles, b)
		}
	}
	if faults.HasErrors() {
		return faults
	}
	_, ds := rego.Check(bundles, rego.Options{})
	return append(faults, ds...)
}

// TestExplanations holds the codes, their pages and an example of each together: each example shows its finding where it is wrong, and not where it is right; each code that this package can report is explained, and has an example and a page.
func TestExplanations(t *testing.T) {
	explained := map[string]rego.Explanation{}
	for _, e := range rego.Explanations() {
		if explained[e.Code].Code != "" || e.Title == "" || e.Why == "" || e.Remedy == "" {
			t.Errorf("%s is explained twice, or not wholly", e.Code)
		}
		explained[e.Code] = e
	}
	shown := map[string]bool{}
	for _, e := range examples(t) {
		shown[e.code] = true
		t.Run(e.code, func(t *testing.T) { e.test(t, explained[e.code]) })
	}
	for _, code := range slices.Sorted(maps.Keys(explained)) {
		if !shown[code] {
			t.Errorf("%s has no example in testdata/checks", code)
		}
	}
	for _, code := range reported(t) {
		if explained[code].Code == "" {
			t.Errorf("%s is reported, and not explained", code)
		}
	}
	pages(t, "README.md", index(rego.Explanations()))
	files, err := filepath.Glob("../docs/checks/*.md")
	if err != nil || len(files) != len(explained)+1 {
		t.Errorf("there are %d pages for %d codes, %v", len(files), len(explained), err)
	}
}

func (e *example) test(t *testing.T, explanation rego.Explanation) {
	if explanation.Code == "" {
		t.Fatal("the code is not explained")
	}
	got, found := "", false
	for _, d := range e.check("wrong") {
		got += d.Code + ": " + d.String() + "\n"
		found = found || d.Code == e.code && (d.Pos.File != "")
		if explained, ok := rego.Explain(d.Code); !ok || explained.Severity == contracts.SeverityWarning && d.Severity == contracts.SeverityError && d.Code != "stray-file" {
			t.Errorf("%s is not explained, or as a warning", d.Code)
		}
	}
	if !found {
		t.Errorf("the example does not show %s:\n%s", e.code, got)
	}
	if len(e.bundles["right"]) == 0 {
		t.Error("the example has no right side")
	}
	for _, d := range e.check("right") {
		if d.Code != "no-test" || e.code == "no-test" {
			t.Errorf("the right side has a fault: %s: %v", d.Code, d)
		}
	}
	if *update {
		e.archive.Files[len(e.archive.Files)-1].Data = []byte(got)
		if err := os.WriteFile(filepath.Join("testdata/checks", e.code+".txtar"), txtar.Format(e.archive), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want := e.want(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	pages(t, e.code+".md", e.page(explanation))
}

// reported are the codes that stand in the package's source, where faults are reported.
func reported(t *testing.T) []string {
	t.Helper()
	packages, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile(`^"[a-z]+(-[a-z0-9]+)*"$`)
	found := map[string]bool{}
	for _, file := range packages {
		if strings.HasSuffix(file, "_test.go") || strings.HasPrefix(file, "expl") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				selector, ok := n.Fun.(*ast.SelectorExpr)
				if !ok || !slices.Contains([]string{"fault", "Errorf", "Fault", "refuse", "untidy", "untidyAt"}, selector.Sel.Name) {
					break
				}
				for _, argument := range n.Args[:min(2, len(n.Args))] {
					if literal, ok := argument.(*ast.BasicLit); ok && code.MatchString(literal.Value) {
						found[strings.Trim(literal.Value, `"`)] = true
					}
				}
			case *ast.KeyValueExpr:
				key, isName := n.Key.(*ast.Ident)
				if literal, ok := n.Value.(*ast.BasicLit); ok && isName && key.Name == "Code" && code.MatchString(literal.Value) {
					found[strings.Trim(literal.Value, `"`)] = true
				}
			}
			return true
		})
	}
	if len(found) < 20 {
		t.Fatalf("only %d codes were found in the source", len(found))
	}
	return slices.Sorted(maps.Keys(found))
}

// pages holds a page of docs/checks to what it is made of.
func pages(t *testing.T, name, want string) {
	t.Helper()
	file := filepath.Join("../docs/checks", name)
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(got, []byte(want)) {
		t.Errorf("%s is not what its example and explanation make of it (go test ./rego -run Explanations -update): %v", file, err)
	}
}

const checksIntroduction = `# Checks

What ` + "`caio policy check`" + ` finds, each with what it would lead to, an example, and what to do. An **error** keeps a bundle from being used: by a server at its start, by an activation, by ` + "`caio policy build`" + `. A **warning** keeps none; with ` + "`--strict`" + ` the command fails on it too.

A warning is silenced where it is on purpose, by a comment at the end of the line that it points to:

` + "```rego" + `
violation["HOUSE"] contains message if { # caio ignore: no-test
` + "```" + `

Errors can't be silenced. A comment that silences nothing is a [warning](unused-ignore.md) itself.

The same for machines: ` + "`--format json`" + `; ` + "`--format sarif`" + `, which code scanning reads, with the paths relative to the folder that the command is called in; ` + "`--format github`" + `, which a runner of GitHub turns into remarks on a change. With ` + "`--settings FILE`" + ` the settings of a tenant are
checked together with the bundles, and what they say is known, such as labels of the tenant's own. The exit code is 1 for an error, for bundles without a constraint, and with ` + "`--strict`" + ` for a warning; 2 for a wrong call, 3 where a file is missing.

` + "```console" + `
$ caio policy check policies --strict
$ caio policy check policies --settings settings.yaml --format sarif > check.sarif
` + "```" + `

`

func index(all []rego.Explanation) string {
	var page strings.Builder
	page.WriteString(checksIntroduction + "| code | | what is wrong |\n|---|---|---|\n")
	for _, e := range all {
		fmt.Fprintf(&page, "| [%s](%s.md) | %s | %s |\n", e.Code, e.Code, e.Severity, e.Title)
	}
	return page.String()
}

// page is the code's page in docs/checks.
func (e *example) page(x rego.Explanation) string {
	var page strings.Builder
	fmt.Fprintf(&page, "# %s: %s\n\n", x.Code, x.Title)
	severity := "An error: a bundle with it is not used."
	if x.Severity == contracts.SeverityWarning {
		severity = "A warning: the bundle is used all the same."
	}
	fmt.Fprintf(&page, "%s %s\n\n## Wrong\n\n", severity, x.Why)
	for _, f := range e.archive.Files {
		if strings.HasPrefix(f.Name, "wrong/") {
			page.WriteString(e.listing(f))
		}
	}
	if len(e.bundles["wrong"]) == 0 {
		page.WriteString("A folder without a file.\n\n")
	}
	page.WriteString("```console\n$ caio policy check " + strings.Join(e.names("wrong"), " ") + "\n")
	for line := range strings.Lines(e.want()) {
		if code, text, ok := strings.Cut(line, ": "); ok && code == e.code {
			page.WriteString(text)
		}
	}
	page.WriteString("```\n\n## Right\n\n" + x.Remedy + "\n\n")
	for _, f := range e.archive.Files {
		if name, ok := strings.CutPrefix(f.Name, "right/"); ok && !e.unchanged(name, f.Data) {
			page.WriteString(e.listing(f))
		}
	}
	page.WriteString("## Silencing it\n\n")
	switch {
	case x.Severity == contracts.SeverityError:
		page.WriteString("An error can't be silenced.\n")
	case x.Code == "stray-file":
		page.WriteString("It points to a file, and not to a line: rename the file, or take it out of the bundle.\n")
	case x.Code == "unused-ignore":
		page.WriteString("Remove the comment.\n")
	default:
		page.WriteString("Where it is on purpose, end the line that it points to with `# caio ignore: " + x.Code + "`.\n")
	}
	return page.String()
}

func (e *example) names(side string) []string {
	names := slices.Sorted(maps.Keys(e.bundles[side]))
	if len(names) == 0 {
		return []string{"house"}
	}
	return names
}

func (e *example) unchanged(name string, text []byte) bool {
	return slices.ContainsFunc(e.archive.Files, func(f txtar.File) bool { return f.Name == "wrong/"+name && bytes.Equal(f.Data, text) })
}

// listing shows one file, and how often it is repeated.
func (e *example) listing(f txtar.File) string {
	_, bundle, file := place(f.Name)
	language := map[string]string{".rego": "rego", ".yaml": "yaml", ".json": "json"}[path.Ext(file)]
	if file == ".manifest" {
		language = "json"
	}
	note := ""
	if count, repeated, _ := strings.Cut(strings.TrimSpace(string(e.archive.Comment)), " "); repeated == f.Name {
		note = ", " + count + " times, {i} being the number"
		if !strings.Contains(f.Name, "{i}") {
			note = ", the last line " + count + " times, {i} being the number"
		}
	}
	return fmt.Sprintf("`%s/%s`%s\n\n```%s\n%s```\n\n", bundle, file, note, language, f.Data)
}
