package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/smarthausgroup/caio/cel"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/tlog"
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
			p.document(document, logFacts(evidence), whyFromEvidence(evidence, document))
			p.printf("\n%s\n", p.faint.Render("This was shown, not checked: caio verify "+args[0]+" --trust TRUST"))
			return nil
		},
	}
}

// logFacts are what the evidence holds of the log: where the decision stands in it, and the checkpoints around it.
func logFacts(ev *verify.Evidence) (facts [][2]string) {
	signed := func(c tlog.Checkpoint) string {
		names := make([]string, len(c.Signatures))
		for i, s := range c.Signatures {
			names[i] = shown(s.Name)
		}
		return fmt.Sprintf("%d entries, signed by %s", c.Size, strings.Join(names, ", "))
	}
	if proof, err := tlog.ParseProof(ev.Receipt); err == nil {
		facts = append(facts, [2]string{"receipt", fmt.Sprintf("at index %d of %s", proof.Index, signed(proof.Checkpoint))})
	}
	for _, part := range []struct {
		name string
		text []byte
	}{{"earlier", ev.Earlier}, {"first", ev.First}} {
		if c, err := verify.ParseEarlier(part.text); err == nil {
			facts = append(facts, [2]string{part.name, signed(c.Checkpoint)})
		}
	}
	return facts
}

// document shows the arguments in short, more facts of theirs, then the decision.
func (p *presenter) document(d *verify.Document, more [][2]string, why explain) {
	p.printf("%s %s %s\n", p.title.Render("decision"), d.DecisionID, p.faint.Render(d.Time))
	facts := [][2]string{
		{"tenant", d.Tenant}, {"intent", d.Request.Intent.Type}, {"labels", fmt.Sprint(d.Request.Data.Labels)}, {"profile", d.Request.Profile},
		{"snapshot", d.Snapshot.Digest}, {"settings", d.Settings.Digest},
	}
	for _, b := range d.Bundles {
		facts = append(facts, [2]string{"bundle", b.Name + " " + b.Digest})
	}
	for _, fact := range append(facts, more...) {
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
