package main

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/smarthausgroup/caio/cel"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/verify"
	"github.com/spf13/cobra"
)

func newProof(o *options) *cobra.Command {
	return group("proof", "Show and export the proofs of decisions", newProofShow(o), newProofExport(o))
}

func newProofShow(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "show FILE",
		Short: "Show what the evidence of a decision says, without checking it",
		Example: `  caio proof show caio-demo/routed.caio
  caio proof show caio-demo/routed.caio --format json   # the document, indented`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := readEvidence(args[0])
			if err != nil {
				return err
			}
			evidence, err := verify.ReadEvidence(data)
			if err != nil {
				return not("%s: %w", args[0], err)
			}
			document, err := verify.DecodeDocument(evidence.Document)
			if err != nil {
				return not("%s: %w", args[0], err)
			}
			if o.format == "yaml" {
				return o.emit(cmd, json.RawMessage(evidence.Document))
			}
			if o.machine() {
				var indented bytes.Buffer
				if err := json.Indent(&indented, evidence.Document, "", "  "); err != nil {
					return err
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", indented.Bytes())
				return err
			}
			p := o.present(cmd)
			p.document(document, whyFromEvidence(evidence, document))
			p.printf("\n%s\n", p.faint.Render("This was shown, not checked: caio verify "+args[0]+" --trust TRUST"))
			return nil
		},
	}
}

// document shows the arguments in short, then the decision.
func (p *presenter) document(d *verify.Document, why explain) {
	p.printf("%s %s %s\n", p.title.Render("decision"), d.DecisionID, p.faint.Render(d.Time))
	facts := [][2]string{
		{"tenant", d.Tenant}, {"intent", d.Request.Intent.Type}, {"labels", fmt.Sprint(d.Request.Data.Labels)}, {"profile", d.Request.Profile},
		{"snapshot", d.Snapshot.Digest}, {"settings", d.Settings.Digest},
	}
	for _, b := range d.Bundles {
		facts = append(facts, [2]string{"bundle", b.Name + " " + b.Digest})
	}
	for _, fact := range facts {
		p.printf("  %s %s\n", p.faint.Render(fmt.Sprintf("%-9s", fact[0])), fact[1])
	}
	p.printf("\n")
	p.decision(&d.Decision, why)
}

// whyFromEvidence explains violations with the contracts that the evidence holds: a false predicate by the text of its conjunct.
func whyFromEvidence(evidence *verify.Evidence, d *verify.Document) explain {
	programs := map[string]*cel.Program{}
	for _, c := range d.Candidates {
		if contract, err := contracts.DecodeContract(evidence.Contracts[c.Contract]); err == nil {
			if program, diagnostics := cel.Compile(contract); !diagnostics.HasErrors() {
				programs[c.Service] = program
			}
		}
	}
	return whyFromPrograms(func(service string) *cel.Program { return programs[service] })
}
