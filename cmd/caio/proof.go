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
			data, err := readEvidence(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			evidence, err := verify.ReadEvidence(data)
			if err != nil {
				return not("%s: %w", args[0], err)
			}
			if evidence.Document == nil {
				return o.showErased(cmd, args[0], evidence)
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
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", escapedJSON(indented.Bytes()))
				return err
			}
			p := o.present(cmd)
			p.said(evidence)
			p.printf("\n")
			p.decision(&document.Decision, whyFromEvidence(evidence, document))
			p.unchecked(args[0])
			return nil
		},
	}
}

// logFacts are what the evidence holds of the log: where the decision stands in it, and the checkpoints around it.
func logFacts(ev *verify.Evidence) (facts []verify.Fact) {
	signed := func(c tlog.Checkpoint) string {
		names := make([]string, len(c.Signatures))
		for i, s := range c.Signatures {
			names[i] = shown(s.Name)
		}
		return fmt.Sprintf("%d entries, signed by %s", c.Size, strings.Join(names, ", "))
	}
	if proof, err := tlog.ParseProof(ev.Receipt); err == nil {
		facts = append(facts, verify.Fact{Name: "receipt", Text: fmt.Sprintf("at index %d of %s", proof.Index, signed(proof.Checkpoint))})
	}
	for _, part := range []struct {
		name string
		text []byte
	}{{"earlier", ev.Earlier}, {"first", ev.First}} {
		if c, err := verify.ParseEarlier(part.text); err == nil {
			facts = append(facts, verify.Fact{Name: part.name, Text: signed(c.Checkpoint)})
		}
	}
	return facts
}

// showErased shows what is left of a proof whose document was erased: its statement, and where that stands.
func (o *options) showErased(cmd *cobra.Command, file string, ev *verify.Evidence) error {
	facts := verify.Describe(ev)
	if facts == nil {
		return not("%s: its statement can't be read", file)
	}
	if o.machine() {
		return o.emit(cmd, facts)
	}
	p := o.present(cmd)
	p.said(ev)
	p.printf("\n")
	p.prose("  ", "  ", "The document was erased, and with it why it was decided so. The statement is left, which names it by its digest.", p.plain)
	p.unchecked(file)
	return nil
}

// said shows the facts of the evidence.
func (p *presenter) said(ev *verify.Evidence) {
	p.printf("%s\n", p.title.Render("What the evidence says"))
	if facts := verify.Describe(ev); facts != nil {
		p.facts(append(facts.List(), logFacts(ev)...))
	}
}

func (p *presenter) unchecked(file string) {
	p.printf("\n")
	p.prose("", "", "This was shown, not checked: caio verify "+file+" --trust TRUST", p.faint)
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
