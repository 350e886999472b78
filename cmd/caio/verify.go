package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/replay"
	"github.com/smarthausgroup/caio/verify/tlog"
	"github.com/spf13/cobra"
)

// verification is a call of `caio verify`.
type verification struct {
	file, trust, log, policy string
	policyKeys               []string
	timeout                  time.Duration
	machine                  bool
}

func newVerify(o *options) *cobra.Command {
	var v verification
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Check the evidence of a decision, layer by layer, offline",
		Long: `Check the evidence of a decision, layer by layer, offline.

Keys come from the trust file alone, never from the evidence. Where it has keys of policies, or --policy-key gives others, every bundle of policies has to be signed with one of them. Policies are run only if the document is the one that was signed.

That nothing else was put in force between the entries that the document names and the decision is asserted by the operator, and the layer currency inconclusive, unless the whole log is at hand (--log).

Exit 0: every layer passed, but that witnesses may be skipped where no policy asks for them, and outcome where nothing is said of it; 1: a layer failed; 2: the command was wrong; 3: a file is missing, or is no trust file, policy or key; 4: a layer was skipped or could not be told, as where the log could not be read.`,
		Example: "  caio verify caio-demo/routed.caio --trust caio-demo/trust.json\n  caio verify decision.caio --trust trust.json --log log   # as caio log export writes it",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if v.machine {
				o.format = "json"
			}
			v.file = args[0]
			return v.run(o, cmd)
		},
	}
	cmd.Flags().StringVar(&v.trust, "trust", "", "the auditor's trust `FILE`")
	cmd.Flags().StringVar(&v.log, "log", "", "the whole log, `DIR|URL` (https://HOST/log/ORIGIN): only so can it be told that nothing else was in force")
	cmd.Flags().StringVar(&v.policy, "policy", "", "whose cosignatures are required: a tlog-policy `FILE`, in place of the trust file's")
	cmd.Flags().StringArrayVar(&v.policyKeys, "policy-key", nil, policyKeysUsage)
	cmd.Flags().DurationVar(&v.timeout, "timeout", replayTimeout, "how long the re-evaluation may take")
	cmd.Flags().BoolVar(&v.machine, "json", false, "the same as --format json")
	markRequired(cmd, "trust")
	return cmd
}

// checkedEvidence is what `caio verify` says: the report, and what was held to what by whom.
type checkedEvidence struct {
	verify.Report
	Checked checkedWith `json:"checked"`
	// Remedies are what the caller can give to settle more.
	Remedies []string `json:"remedies"`
}

// checkedWith names what a verification was given. Digests are SHA-256, in hex.
type checkedWith struct {
	File        string `json:"file"`
	Digest      string `json:"sha256"`
	Trust       string `json:"trust"`
	TrustDigest string `json:"trust_sha256"`
	Log         string `json:"log,omitempty"`
	Version     string `json:"caio"`
	// LogSize and LogRoot are of the log as it was read, and held.
	LogSize int64  `json:"log_size,omitempty"`
	LogRoot string `json:"log_root,omitempty"`
}

// logText is which log was held, as far as it was.
func (c checkedWith) logText() string {
	switch {
	case c.Log == "":
		return "none at hand"
	case c.LogSize == 0:
		return c.Log + ", of which nothing could be held: see currency"
	}
	return fmt.Sprintf("%s, %s, root %s", c.Log, plural(c.LogSize, "entry"), c.LogRoot)
}

func (v *verification) run(o *options, cmd *cobra.Command) error {
	data, err := readEvidence(cmd.Context(), v.file)
	if err != nil {
		return err
	}
	trust, text, err := readTrustText(cmd.Context(), v.trust)
	if err != nil {
		return err
	}
	keys, err := v.keysOfPolicies(trust)
	if err != nil {
		return err
	}
	if v.policy != "" {
		if err := readWitnessPolicy(cmd.Context(), v.policy, &trust); err != nil {
			return err
		}
	}
	var whole verify.Options
	var held tlog.Checkpoint
	meter := o.meter(cmd, "reading the log", "entries")
	if v.log != "" {
		if whole.Log, err = o.logSource(v.log, trust); err != nil {
			return err
		}
		_, _ = servedBy(whole.Log).passedOver(cmd.Context(), receipted(data), trust) // what can't be read is told by the layers
		whole.Progress = meter.step
		whole.Held = func(c tlog.Checkpoint) { held = c }
	}
	report, err := check(cmd.Context(), data, trust, keys, v.timeout, whole)
	meter.end()
	if err != nil {
		return err
	}
	build, err := server.ReadBuild()
	if err != nil {
		return err
	}
	checked := checkedEvidence{
		Report:   report,
		Checked:  checkedWith{File: v.file, Digest: verify.Digest(data), Trust: v.trust, TrustDigest: verify.Digest(text), Log: v.log, Version: build.Version},
		Remedies: v.remedies(report, len(keys) > 0),
	}
	if held.Size > 0 {
		checked.Checked.LogSize, checked.Checked.LogRoot = held.Size, fmt.Sprintf("%x", held.Root)
	}
	if o.machine() {
		if err := o.emit(cmd, checked); err != nil {
			return err
		}
	} else {
		o.present(cmd).evidence(checked)
	}
	if checked.ExitCode != 0 {
		return &exitError{code: checked.ExitCode}
	}
	return nil
}

// receipted is how much of the log evidence says there was when it was made; none where it can't be read.
func receipted(data []byte) []tlog.Checkpoint {
	ev, err := verify.ReadEvidence(data)
	if err != nil || ev.Receipt == nil {
		return nil
	}
	proof, err := tlog.ParseProof(ev.Receipt)
	if err != nil {
		return nil
	}
	return []tlog.Checkpoint{proof.Checkpoint}
}

// keysOfPolicies are those of the command line, or else of the trust file.
func (v *verification) keysOfPolicies(trust verify.Trust) (map[string]rego.Key, error) {
	if len(v.policyKeys) > 0 {
		return readPolicyKeys(v.policyKeys)
	}
	keys := map[string]rego.Key{}
	for _, key := range trust.PolicyKeys {
		keys[key.ID] = rego.Key{Algorithm: key.Algorithm, PEM: key.PEM()}
	}
	return keys, nil
}

// remedies are what would settle layers that could not be told.
func (v *verification) remedies(r verify.Report, policyKeys bool) []string {
	list := []string{}
	open := func(layer string, statuses ...verify.Status) bool {
		return slices.ContainsFunc(r.Verdicts, func(v verify.Verdict) bool { return v.Layer == layer && slices.Contains(statuses, v.Status) })
	}
	if r.ExitCode != verify.ExitUntold || r.Facts == nil {
		return list
	}
	if v.log == "" && open(verify.LayerCurrency, verify.Inconclusive) {
		list = append(list, "give the whole log with --log, which settles currency (caio log export makes a copy)")
	}
	signed := slices.ContainsFunc(r.Facts.Bundles, func(b verify.BundleReference) bool { return b.Key != "" })
	if signed && !policyKeys && open(verify.LayerReplay, verify.Skipped) {
		list = append(list, "give the keys that sign policies with --policy-key, which replay needs")
	}
	return list
}

func readTrust(ctx context.Context, file string) (verify.Trust, error) {
	trust, _, err := readTrustText(ctx, file)
	return trust, err
}

func readTrustText(ctx context.Context, file string) (verify.Trust, []byte, error) {
	text, err := readBounded(ctx, file, verify.MaxTrustBytes)
	if err != nil {
		return verify.Trust{}, nil, err
	}
	trust, err := verify.ParseTrust(text)
	if err != nil {
		return verify.Trust{}, nil, unable("%s: %w", file, err)
	}
	return trust, text, nil
}

// readWitnessPolicy puts a tlog-policy in place of the trust file's.
func readWitnessPolicy(ctx context.Context, file string, trust *verify.Trust) error {
	text, err := readBounded(ctx, file, tlog.MaxPolicyBytes)
	if err != nil {
		return err
	}
	trust.Policy = string(text)
	if err := trust.CheckPolicy(); err != nil {
		return unable("%s: %w", file, err)
	}
	return nil
}

// replayTimeout bounds the re-evaluation, where nothing else is said.
const replayTimeout = time.Minute

// readEvidence reads a file, but not one that is too large to be evidence.
func readEvidence(ctx context.Context, path string) ([]byte, error) {
	data, err := readBounded(ctx, path, verify.MaxEvidenceBytes)
	if large := (*largeError)(nil); errors.As(err, &large) {
		return nil, not("%s: %w", path, verify.TooLarge(large.atLeast))
	}
	return data, err
}

// check runs every layer over the bytes of an evidence file.
func check(ctx context.Context, data []byte, trust verify.Trust, policyKeys map[string]rego.Key, timeout time.Duration, log verify.Options) (verify.Report, error) {
	build, err := server.ReadBuild()
	if err != nil {
		return verify.Report{}, err
	}
	var whole verify.Whole
	log.Follows = func(f verify.Former) { whole.Follows = &f }
	log.Erased = func(index int64) { whole.Erased = &index }
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
	report := verify.NewReport(evidence, trust, verdicts, whole)
	replayed := slices.ContainsFunc(verdicts, func(v verify.Verdict) bool { return v.Layer == verify.LayerReplay && v.Status == verify.Pass })
	if len(report.Sentences) > 0 && replayed {
		report.Sentences = append(report.Sentences, replay.Contrasts(ctx, evidence, o)...)
	}
	return report, nil
}

// evidence lays out what was checked, what came of it, and at the end the verdict.
func (p *presenter) evidence(c checkedEvidence) {
	p.printf("%s\n", p.title.Render("What was checked"))
	p.facts([]verify.Fact{
		{Name: "file", Text: c.Checked.File}, {Name: "sha256", Text: c.Checked.Digest},
		{Name: "trust", Text: c.Checked.Trust}, {Name: "sha256", Text: c.Checked.TrustDigest},
		{Name: "log", Text: c.Checked.logText()}, {Name: "by", Text: "caio " + c.Checked.Version},
	})
	if c.Facts != nil {
		vouched := "What it says, signed by the issuer"
		if !c.Facts.Signed {
			vouched = "What it says, and nobody whom you trust vouches for"
		}
		p.heading(vouched)
		p.facts(c.Facts.List())
	}
	p.heading("Layers")
	p.verdicts(c.Verdicts)
	if c.Follows != nil {
		p.heading("The log")
		p.sentences([]string{c.Follows.String()}, p.plain)
	}
	if len(c.Sentences) > 0 {
		p.heading("What was decided")
	}
	p.sentences(c.Sentences, p.plain)
	if len(c.NotShown) > 0 {
		p.heading("What this does not show")
	}
	p.sentences(c.NotShown, p.faint)
	p.printf("\n")
	p.verdict(c)
}

// verdict is the last line: what it comes to, and as which exit code.
func (p *presenter) verdict(c checkedEvidence) {
	style := map[string]func(...string) string{verify.Verified: p.good.Bold(true).Render, verify.Refused: p.bad.Bold(true).Render, verify.Unsettled: p.warn.Bold(true).Render}[c.Verdict]
	code := "exit " + string(rune('0'+c.ExitCode))
	text := c.Summary
	if len(c.Remedies) > 0 {
		text += " What helps: " + strings.Join(c.Remedies, "; ") + "."
	}
	p.prose(style(code)+"  ", strings.Repeat(" ", len(code)+2), text, p.bold)
}

// facts lists names and texts, below each other.
func (p *presenter) facts(list []verify.Fact) {
	for _, fact := range list {
		const wide = 8 // cells of a name
		head := "  " + p.faint.Render(pad(fact.Name, wide)) + "  "
		p.prose(head, strings.Repeat(" ", wide+4), fact.Text, p.plain)
	}
}
