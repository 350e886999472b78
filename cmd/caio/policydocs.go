package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine/scenario"
	"github.com/smarthausgroup/caio/rego"
	"github.com/spf13/cobra"
)

func newPolicyDocs(o *options) *cobra.Command {
	var d policyDocs
	cmd := &cobra.Command{
		Use:   "docs DIR",
		Short: "Write a page on every constraint, from the annotations",
		Long: `Write a page on every constraint of the bundle in a folder, by package: title, description, severity, controls, remedy, what to read, the settings that it reads, where it is, and the tests and scenarios that mention it.

--format says markdown, html, json or yaml; without it the name of --output does, and else it is Markdown. HTML is one file that needs nothing else, for screens and for paper; #ID leads to a constraint.
A test mentions a constraint if its id stands in the test or in a rule of the test's package that it uses; a scenario, if it expects its violation.
The same sources give the same page. Exit 1 if the bundle has a fault.`,
		Example: "  caio policy docs policies -o policies.md\n  caio policy docs policies -o policies.html\n  caio policy docs policies --format json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return d.run(o, cmd, args[0])
		},
	}
	cmd.Flags().StringVarP(&d.output, "output", "o", "", "`FILE` to write the page to, in place of standard output")
	o.addFormats(cmd, "markdown html")
	return cmd
}

type policyDocs struct{ output string }

func (d *policyDocs) run(o *options, cmd *cobra.Command, dir string) error {
	bundle, documented, err := o.documented(cmd, dir)
	if err != nil {
		return err
	}
	var text []byte
	switch form := d.form(o, cmd); form {
	case "html":
		text, err = policyHTML(bundle, documented)
	case "json", "yaml":
		if text, err = json.Marshal(map[string]any{"constraints": documented}); err == nil && form == "yaml" {
			text, err = toYAML(text)
		} else {
			text = append(text, '\n')
		}
	default:
		text = []byte(policyPage(documented))
	}
	switch {
	case err != nil:
		return err
	case d.output == "":
		_, err = cmd.OutOrStdout().Write(text)
		return err
	}
	return replaceFile(d.output, text, 0o644)
}

// form is what was asked for, or what the name of the file says.
func (d *policyDocs) form(o *options, cmd *cobra.Command) string {
	if !cmd.Flags().Changed("format") {
		switch filepath.Ext(d.output) {
		case ".html", ".htm":
			return "html"
		case ".json":
			return "json"
		case ".yaml", ".yml":
			return "yaml"
		}
	}
	return o.format
}

// documented describes the constraints of the bundle in a folder. Places are relative to it.
func (o *options) documented(cmd *cobra.Command, dir string) (*rego.Bundle, []rego.Documented, error) {
	if info, err := os.Stat(dir); err != nil {
		return nil, nil, err
	} else if !info.IsDir() {
		return nil, nil, misused("%s is not a folder", dir)
	}
	bundles, err := o.bundles(cmd, []string{dir})
	if err != nil {
		return nil, nil, err
	}
	documented, diagnostics := rego.Document(bundles, rego.Options{})
	if o.diagnose(cmd, diagnostics) {
		return nil, nil, no()
	}
	if len(documented) == 0 {
		return nil, nil, errNoConstraint()
	}
	files, err := scenarioFiles([]string{dir})
	if err != nil {
		return nil, nil, err
	}
	var scenarios []scenario.Scenario
	if len(files) > 0 {
		if scenarios, err = o.readScenarios(cmd, files); err != nil {
			return nil, nil, err
		}
	}
	relative := func(pos *contracts.Position) {
		pos.File = strings.TrimPrefix(pos.File, filepath.ToSlash(filepath.Clean(dir))+"/")
	}
	for i := range documented {
		d := &documented[i]
		for _, s := range scenarios {
			if expectsViolation(&s, d.ID) {
				d.Tests = append(d.Tests, rego.Mention{Name: s.Name, Pos: s.Pos})
			}
		}
		relative(&d.Pos)
		for j := range d.Tests {
			relative(&d.Tests[j].Pos)
		}
	}
	return bundles[0], documented, nil
}

// expectsViolation reports whether a scenario expects that some service violates the constraint.
func expectsViolation(s *scenario.Scenario, id string) bool {
	for _, ids := range s.Expect.Violations {
		if slices.Contains(ids, id) {
			return true
		}
	}
	return slices.ContainsFunc(s.Expect.Candidates, func(c scenario.Candidate) bool {
		return c.Eliminated != nil && slices.Contains(c.Eliminated.IDs, id)
	})
}

// policyPage is the page on constraints, which are in order of package.
func policyPage(documented []rego.Documented) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Constraints\n\n| constraint | title | severity | about |\n|---|---|---|---|\n")
	for _, d := range documented {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", escaped(d.ID), escaped(flat(d.Title)), d.Severity, d.Family)
	}
	pkg := ""
	for _, d := range documented {
		if d.Package != pkg {
			pkg = d.Package
			fmt.Fprintf(&b, "\n## %s\n", escaped(pkg))
		}
		fmt.Fprintf(&b, "\n### %s: %s\n\n", escaped(d.ID), escaped(flat(d.Title)))
		for _, paragraph := range paragraphs(d.Description) {
			fmt.Fprintf(&b, "%s\n\n", escaped(paragraph))
		}
		writeFacts(&b, &d)
	}
	return b.String()
}

// paragraphs are those of a text, each on one line.
func paragraphs(text string) (list []string) {
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		if strings.TrimSpace(paragraph) != "" {
			list = append(list, flat(paragraph))
		}
	}
	return list
}

// link leads to a page or an address of mail; what would do anything else when someone follows it is shown, and leads nowhere.
func link(text, ref string) string {
	if !followed(ref) {
		if text != ref {
			ref = text + ": " + ref
		}
		return escaped(flat(ref))
	}
	return fmt.Sprintf("[%s](<%s>)", escaped(flat(text)), ref)
}

// followed reports whether a reference may become a link.
func followed(ref string) bool {
	u, err := url.Parse(ref)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https" || u.Scheme == "mailto") && !strings.ContainsAny(ref, "<>\n\r")
}

func writeFacts(b *strings.Builder, d *rego.Documented) {
	fmt.Fprintf(b, "- Severity: %s\n- Controls: %s\n- Remedy: %s\n", d.Severity, escaped(or(strings.Join(d.Controls, "; "), "none")), escaped(flat(d.Remedy)))
	for _, s := range d.Settings {
		fmt.Fprintf(b, "- Setting: `%s`, by default `%s`\n", s.Name, s.Default)
	}
	for _, r := range d.Related {
		fmt.Fprintf(b, "- Read: %s\n", link(or(r.Description, r.Ref), r.Ref))
	}
	fmt.Fprintf(b, "- Rule: `%s:%d`\n", d.Pos.File, d.Pos.Line)
	if len(d.Tests) == 0 {
		fmt.Fprintf(b, "- Tests: none mentions it\n")
		return
	}
	fmt.Fprintf(b, "- Tests:\n")
	for _, t := range d.Tests {
		name := escaped(flat(t.Name))
		if strings.HasSuffix(t.Pos.File, ".rego") {
			name = "`" + t.Name + "`"
		}
		fmt.Fprintf(b, "  - %s (`%s:%d`)\n", name, t.Pos.File, t.Pos.Line)
	}
}

var markdown = strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "<", `\<`, ">", `\>`, "|", `\|`, "#", `\#`, "&", `\&`)

// escaped is text that Markdown takes for nothing else.
func escaped(text string) string { return markdown.Replace(text) }

//go:embed policydocs.html
var policyTemplate string

// documentedPackage is what one package holds.
type documentedPackage struct {
	Name        string
	Constraints []rego.Documented
}

// policyHTML is the page as one file of HTML.
func policyHTML(bundle *rego.Bundle, documented []rego.Documented) ([]byte, error) {
	page, err := template.New("constraints").Funcs(template.FuncMap{
		"followed":   followed,
		"paragraphs": paragraphs,
		"rego":       func(file string) bool { return strings.HasSuffix(file, ".rego") },
	}).Parse(policyTemplate)
	if err != nil {
		return nil, err
	}
	var packages []documentedPackage
	for _, d := range documented {
		if n := len(packages); n == 0 || packages[n-1].Name != d.Package {
			packages = append(packages, documentedPackage{Name: d.Package})
		}
		last := &packages[len(packages)-1]
		last.Constraints = append(last.Constraints, d)
	}
	var text bytes.Buffer
	err = page.Execute(&text, map[string]any{"Revision": bundle.Revision, "Digest": bundle.Digest, "Packages": packages, "Constraints": documented})
	return text.Bytes(), err
}
