package main

import (
	"context"
	"io"
	"os"
	"slices"
	"time"

	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/replay"
	"github.com/smarthausgroup/caio/verify/tlog"
	"github.com/spf13/cobra"
)

func newVerify(o *options) *cobra.Command {
	var trustFile, policyFile, logAt string
	var policyKeys []string
	var machine bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Check the evidence of a decision, layer by layer, offline",
		Long: `Check the evidence of a decision, layer by layer, offline.

Keys come from the trust file alone, never from the evidence; with --policy-key every bundle of policies has to be signed with one of those.
Policies are run only if the document is the one that was signed. That nothing else was put in force between the entries that the document names and the
decision is asserted by the operator, and the layer currency inconclusive, unless the whole log is at hand (--log). Exit 0: every layer passed,
but that witnesses may be skipped where no policy asks for them, and outcome where there is none; 1: a layer failed; 2: the command was wrong; 3: a file could not
be read; 4: a layer was skipped or could not be told.`,
		Example: "  caio verify caio-demo/routed.caio --trust caio-demo/trust.json\n  caio verify decision.caio --trust trust.json --log log   # as caio log export writes it",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if machine {
				o.format = "json"
			}
			data, err := readEvidence(args[0])
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
			if policyFile != "" {
				text, err := os.ReadFile(policyFile)
				if err != nil {
					return err
				}
				if _, err := tlog.ParsePolicy(text); err != nil {
					return unable("%s: %w", policyFile, err)
				}
				trust.Policy = string(text)
			}
			var whole verify.Options
			var follows *verify.Former
			if logAt != "" {
				if whole.Log, err = o.logSource(logAt, trust); err != nil {
					return err
				}
				meter := o.meter(cmd, "reading the log", "entries")
				defer meter.end()
				whole.Progress = func(done, size int64) { meter.step(done, size) }
				whole.Follows = func(f verify.Former) { follows = &f }
			}
			checked, err := check(cmd.Context(), data, trust, keys, timeout, whole)
			if err != nil {
				return err
			}
			checked.Follows = follows
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
	cmd.Flags().StringVar(&logAt, "log", "", "the whole log, a folder or `URL` (https://HOST/log/ORIGIN): only so can it be told that nothing else was in force")
	cmd.Flags().StringVar(&policyFile, "policy", "", "whose cosignatures are required: a tlog-policy `FILE`, in place of the trust file's")
	cmd.Flags().StringArrayVar(&policyKeys, "policy-key", nil, policyKeysUsage)
	cmd.Flags().DurationVar(&timeout, "timeout", replayTimeout, "how long the re-evaluation may take")
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

// replayTimeout bounds the re-evaluation, where nothing else is said.
const replayTimeout = time.Minute

// readEvidence reads a file, but not one that is too large to be evidence.
func readEvidence(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > verify.MaxEvidenceBytes {
		return nil, not("%s: %w", path, verify.TooLarge(info.Size()))
	}
	return io.ReadAll(io.LimitReader(file, verify.MaxEvidenceBytes+1))
}

// check runs every layer over the bytes of an evidence file.
func check(ctx context.Context, data []byte, trust verify.Trust, policyKeys map[string]rego.Key, timeout time.Duration, log verify.Options) (verify.Report, error) {
	build, err := server.ReadBuild()
	if err != nil {
		return verify.Report{}, err
	}
	o := replay.Options{Build: build, Timeout: timeout, Options: log}
	if len(policyKeys) > 0 {
		o.VerifyBundle = func(b *rego.Bundle) (string, error) {
			verified, err := rego.Verify(b, policyKeys)
			if err != nil {
				return "", err
			}
			return verified.Key, nil
		}
	}
	evidence, verdicts := replay.CheckFile(ctx, data, trust, o)
	report := verify.NewReport(evidence, trust, verdicts)
	replayed := slices.ContainsFunc(verdicts, func(v verify.Verdict) bool { return v.Layer == verify.LayerReplay && v.Status == verify.Pass })
	if len(report.Sentences) > 0 && replayed {
		report.Sentences = append(report.Sentences, replay.Contrasts(ctx, evidence, o)...)
	}
	return report, nil
}

func (p *presenter) checked(c verify.Report) {
	if c.DecisionID != "" {
		p.printf("%s %s\n%s\n\n", p.title.Render("decision"), c.DecisionID, p.faint.Render("document "+c.Document))
	}
	p.verdicts(c.Verdicts)
	if c.Follows != nil {
		p.printf("\n%s\n", p.title.Render("The log"))
		p.sentences([]string{c.Follows.String()}, p.plain)
	}
	if len(c.Sentences) > 0 {
		p.printf("\n%s\n", p.title.Render("What was decided"))
	}
	p.sentences(c.Sentences, p.plain)
	if len(c.NotShown) > 0 {
		p.printf("\n%s\n", p.title.Render("What this does not show"))
	}
	p.sentences(c.NotShown, p.faint)
}
