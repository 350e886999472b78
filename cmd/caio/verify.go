package main

import (
	"context"
	"os"

	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/replay"
	"github.com/spf13/cobra"
)

func newVerify(o *options) *cobra.Command {
	var trustFile string
	var policyKeys []string
	var machine bool
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Check the evidence of a decision, layer by layer, offline",
		Long: `Check the evidence of a decision, layer by layer, offline.

Keys come from the trust file alone, never from the evidence. Exit 0: every layer but witnesses and outcome passed, and those did not fail;
1: a layer failed; 2: the command was wrong; 4: a layer was skipped or could not be told.`,
		Example: "  caio verify caio-demo/routed.caio --trust caio-demo/trust.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if machine {
				o.format = "json"
			}
			data, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			trust, err := readTrust(trustFile)
			if err != nil {
				return err
			}
			keys, err := readPolicyKeys(policyKeys)
			if err != nil {
				return err
			}
			checked, err := check(cmd.Context(), data, trust, keys)
			if err != nil {
				return err
			}
			if o.machine() {
				if err := o.emit(cmd, checked); err != nil {
					return err
				}
			} else {
				o.present(cmd).checked(checked)
			}
			if code := verify.ExitCode(checked.Verdicts); code != 0 {
				return &exitError{code: code}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&trustFile, "trust", "", "the auditor's trust `FILE`")
	cmd.Flags().StringArrayVar(&policyKeys, "policy-key", nil, policyKeysUsage)
	cmd.Flags().BoolVar(&machine, "json", false, "the same as --format json")
	markRequired(cmd, "trust")
	return cmd
}

func readTrust(file string) (verify.Trust, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return verify.Trust{}, err
	}
	trust, err := verify.ParseTrust(text)
	if err != nil {
		return verify.Trust{}, unable("%s: %w", file, err)
	}
	return trust, nil
}

// checked is the result of a verification.
type checked struct {
	DecisionID string           `json:"decision_id,omitempty"`
	Document   string           `json:"document,omitempty"` // digest
	Verdicts   []verify.Verdict `json:"layers"`
	Sentences  []string         `json:"sentences"`
	NotShown   []string         `json:"not_shown"`
}

// check runs every layer over the bytes of an evidence file.
func check(ctx context.Context, data []byte, trust verify.Trust, policyKeys map[string]rego.Key) (checked, error) {
	build, err := server.ReadBuild()
	if err != nil {
		return checked{}, err
	}
	o := replay.Options{Build: build}
	if len(policyKeys) > 0 {
		o.VerifyBundle = func(b *rego.Bundle) (string, error) {
			verified, err := rego.Verify(b, policyKeys)
			if err != nil {
				return "", err
			}
			return verified.Key, nil
		}
	}
	evidence, verdicts := verify.CheckFile(data, trust)
	c := checked{Verdicts: verdicts}
	if evidence == nil {
		return c, nil
	}
	c.Verdicts = verify.Arrange(append(verdicts, replay.Check(ctx, evidence, o)...))
	c.Document = verify.Digest(evidence.Document)
	if document, err := verify.DecodeDocument(evidence.Document); err == nil {
		c.DecisionID = document.DecisionID
		if verify.ExitCode(c.Verdicts) != exitNo {
			c.Sentences = verify.Sentences(evidence, document)
		}
		c.NotShown = verify.NotShown(document, c.Verdicts)
	}
	return c, nil
}

func (p *presenter) checked(c checked) {
	if c.DecisionID != "" {
		p.printf("%s %s\n%s\n\n", p.title.Render("decision"), c.DecisionID, p.faint.Render("document "+c.Document))
	}
	p.verdicts(c.Verdicts)
	if len(c.Sentences) > 0 {
		p.printf("\n%s\n", p.title.Render("What was decided"))
	}
	p.sentences(c.Sentences, p.plain)
	if len(c.NotShown) > 0 {
		p.printf("\n%s\n", p.title.Render("What this does not show"))
	}
	p.sentences(c.NotShown, p.faint)
}
