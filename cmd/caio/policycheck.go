package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/rego"
	"github.com/spf13/cobra"
)

// checksURL is where the pages on findings are.
const checksURL = "https://github.com/smarthausgroup/caio/blob/main/docs/checks/"

func newPolicyCheck(o *options) *cobra.Command {
	var c policyCheck
	cmd := &cobra.Command{
		Use:   "check DIR...",
		Short: "Compile bundles strictly: every fault with its place, its explanation and its remedy",
		Long: `Compile bundles together under the rules of CAIO, and report every fault with its place, what it would lead to, and what to do.

An error keeps a bundle from being used by a server, and from being built. A warning does not: what can never be true, what changes nothing, a constraint that no test mentions.
"# caio ignore: CODE" at the end of a line silences a warning there. Every code has a page: ` + checksURL + `

Exit 1 on an error, where there is no constraint, and with --strict on a warning.`,
		Example: "  caio policy check policies\n  caio policy check policies acme --settings settings.yaml --strict\n  caio policy check policies --format sarif > check.sarif",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.run(o, cmd, args); err != nil {
				return err
			}
			return c.tell(o, cmd)
		},
	}
	cmd.Flags().StringVar(&c.settings, "settings", "", "`FILE` (YAML or JSON, - for standard input) of the tenant's settings, which are checked too; without it the bundles' defaults hold")
	cmd.Flags().BoolVar(&c.strict, "strict", false, "fail on warnings too")
	o.addFormats(cmd, "sarif github")
	return cmd
}

// policyCheck is the flags, and what was found.
type policyCheck struct {
	settings string
	strict   bool

	bundles     []*rego.Bundle
	constraints []contracts.Constraint // never nil
	faults      contracts.Diagnostics
}

// run reads the bundles and the settings, and checks them together.
func (c *policyCheck) run(o *options, cmd *cobra.Command, paths []string) error {
	if err := wholeBundles(paths); err != nil {
		return err
	}
	bundles, faults, err := readBundles(paths)
	if err != nil {
		return err
	}
	c.bundles, c.faults, c.constraints = bundles, faults, []contracts.Constraint{}
	if faults.HasErrors() {
		return nil
	}
	options := rego.Options{}
	if c.settings != "" {
		node, err := o.readSettingsFile(cmd, c.settings)
		if err != nil {
			return err
		}
		// Bundles that can't say what their settings are have faults of their own, which the check below finds.
		if form, _ := rego.NewSettingsForm(bundles, nil); form != nil {
			settings, faults := form.Read(node)
			options.Settings, c.faults = settings, append(c.faults, faults...)
		}
	}
	policies, faults := rego.Check(bundles, options)
	c.faults = append(c.faults, faults...)
	if policies != nil {
		c.constraints = policies.Constraints()
	}
	return nil
}

// tell writes what was found, in the form that was asked for.
func (c *policyCheck) tell(o *options, cmd *cobra.Command) error {
	var err error
	switch o.format {
	case "sarif":
		err = c.sarif(cmd.OutOrStdout())
	case "github":
		c.workflowCommands(cmd.OutOrStdout())
	case "pretty":
		c.pretty(o, cmd)
	default:
		err = o.emit(cmd, map[string]any{"diagnostics": append(contracts.Diagnostics{}, c.faults...), "explanations": c.explanations(), "constraints": c.constraints})
	}
	switch {
	case err != nil:
		return err
	case c.faults.HasErrors():
		return no()
	case len(c.constraints) == 0:
		return errNoConstraint()
	case c.strict && len(c.faults) > 0:
		if o.format == "pretty" && !o.quiet {
			return not("there are warnings, and --strict was given")
		}
		return no()
	}
	return nil
}

// explanations are those of the codes that were found, in order of code.
func (c *policyCheck) explanations() []rego.Explanation {
	found := []rego.Explanation{}
	for _, e := range rego.Explanations() {
		if slices.ContainsFunc(c.faults, func(d contracts.Diagnostic) bool { return d.Code == e.Code }) {
			found = append(found, e)
		}
	}
	return found
}

func (c *policyCheck) pretty(o *options, cmd *cobra.Command) {
	w := cmd.ErrOrStderr()
	o.showFaults(newPresenter(w, !o.noColor && isTerminal(w)), isTerminal(w), c.faults, func(d contracts.Diagnostic) string { return " [" + d.Code + "]" })
	if o.quiet {
		return
	}
	for _, e := range c.explanations() {
		fmt.Fprintf(cmd.ErrOrStderr(), "\n%s: %s\n  %s\n  %s\n  %s\n", e.Code, e.Title, e.Why, e.Remedy, helpURL(e.Code))
	}
	if len(c.faults) > 0 {
		fmt.Fprintf(w, "\n%s\n", count(c.faults))
	}
	if c.faults.HasErrors() || len(c.constraints) == 0 {
		return
	}
	p := o.present(cmd)
	rows := [][]string{}
	for _, c := range c.constraints {
		rows = append(rows, []string{c.ID, string(c.Family), c.Severity, c.Title})
	}
	p.table([]string{"CONSTRAINT", "FAMILY", "SEVERITY", "TITLE"}, rows)
	for _, bundle := range c.bundles {
		p.printf("  %s %s\n", p.bold.Render(bundle.Name), p.faint.Render(bundle.Digest))
	}
}

func helpURL(code string) string { return checksURL + code + ".md" }

// message is a diagnostic without its place.
func message(d contracts.Diagnostic) string {
	d.Pos, d.Severity = contracts.Position{}, ""
	text := d.String()
	if !strings.HasSuffix(text, ".") && !strings.HasSuffix(text, "?") {
		text += "."
	}
	return text
}
