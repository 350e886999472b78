package main

import (
	"fmt"
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
	var output string
	cmd := &cobra.Command{
		Use:   "docs DIR",
		Short: "Write a page in Markdown on every constraint, from the annotations",
		Long: `Write a page in Markdown on every constraint of the bundle in a folder, by package: title, description, severity, controls, remedy, what to read, where it is, and the tests and scenarios that mention it.

A test mentions a constraint if its id stands in the test or in a rule of the test's package that it uses; a scenario, if it expects its violation.
The same sources give the same page. Exit 1 if the bundle has a fault.`,
		Example: "  caio policy docs policies -o policies.md\n  caio policy docs policies --format json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			documented, err := o.documented(cmd, args[0])
			if err != nil {
				return err
			}
			if o.machine() {
				return o.emit(cmd, map[string]any{"constraints": documented})
			}
			text := policyPage(documented)
			if output == "" {
				_, err = fmt.Fprint(cmd.OutOrStdout(), text)
				return err
			}
			return replaceFile(output, []byte(text), 0o644)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "`FILE` to write the page to, in place of standard output")
	return cmd
}

// documented describes the constraints of the bundle in a folder. Places are relative to it.
func (o *options) documented(cmd *cobra.Command, dir string) ([]rego.Documented, error) {
	if info, err := os.Stat(dir); err != nil {
		return nil, err
	} else if !info.IsDir() {
		return nil, misused("%s is not a folder", dir)
	}
	bundles, err := o.bundles(cmd, []string{dir})
	if err != nil {
		return nil, err
	}
	documented, diagnostics := rego.Document(bundles, rego.Options{})
	if o.diagnose(cmd, diagnostics) {
		return nil, no()
	}
	if len(documented) == 0 {
		return nil, errNoConstraint()
	}
	files, err := scenarioFiles([]string{dir})
	if err != nil {
		return nil, err
	}
	var scenarios []scenario.Scenario
	if len(files) > 0 {
		if scenarios, err = o.readScenarios(cmd, files); err != nil {
			return nil, err
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
	return documented, nil
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
		for paragraph := range strings.SplitSeq(d.Description, "\n\n") {
			if strings.TrimSpace(paragraph) != "" {
				fmt.Fprintf(&b, "%s\n\n", escaped(flat(paragraph)))
			}
		}
		writeFacts(&b, &d)
	}
	return b.String()
}

func writeFacts(b *strings.Builder, d *rego.Documented) {
	fmt.Fprintf(b, "- Severity: %s\n- Controls: %s\n- Remedy: %s\n", d.Severity, escaped(or(strings.Join(d.Controls, "; "), "none")), escaped(flat(d.Remedy)))
	for _, r := range d.Related {
		fmt.Fprintf(b, "- Read: [%s](<%s>)\n", escaped(flat(or(r.Description, r.Ref))), r.Ref)
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
