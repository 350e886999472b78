package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/tlog"
	"github.com/spf13/cobra"
)

func newLog(o *options) *cobra.Command {
	return group("log", "Check a whole log, copy it, begin one anew", newLogVerify(o), newLogExport(o), newLogRecover(o))
}

func newLogVerify(o *options) *cobra.Command {
	var trustFile, policy string
	var earlier []string
	cmd := &cobra.Command{
		Use:   "verify [URL|DIR]",
		Short: "Read a whole log, derive its tree again, and hold every entry to the trusted keys",
		Long: `Read a whole log, derive its tree again, and hold every entry to the trusted keys.

The log is where a server serves it, https://HOST/log/ORIGIN, or a folder in the layout of c2sp.org/tlog-tiles, as caio log export writes it.
Without one it is that of the trust file on the server; logs that were given up before it are read too, and held to what it says of them. Keys come from
the trust file alone. With --earlier the log, or the one before, must still hold what a checkpoint that was kept says: without any, a log that was made
anew as a whole can't be told from the true one.

Keys that came into use after the trust file was made are followed from those that it holds. Entries of keys that the offline root has revoked are
counted apart: they can't be taken out of the log, and nothing that they say is believed.

Exit 0: every tile, every entry and the checkpoint hold; 1: one does not; 2: the command was wrong; 3: the log could not be read; 4: the log holds
words of an offline root, and the trust file pins none; or its witnesses have not cosigned yet all that is known of it.`,
		Example: "  caio log verify --trust trust.json\n  caio log verify log --trust trust.json --earlier checkpoint-january",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			trust, err := readTrust(cmd.Context(), trustFile)
			if err != nil {
				return err
			}
			if policy != "" {
				if err := readWitnessPolicy(cmd.Context(), policy, &trust); err != nil {
					return err
				}
			}
			source, err := o.logSource(slices.Concat(args, []string{""})[0], trust)
			if err != nil {
				return err
			}
			return o.checkLog(cmd, source, trust, earlier, len(args) == 0)
		},
	}
	cmd.Flags().StringVar(&trustFile, "trust", "", "the auditor's trust `FILE`")
	cmd.Flags().StringVar(&policy, "policy", "", "whose cosignatures are required: a tlog-policy `FILE`, in place of the trust file's")
	cmd.Flags().StringSliceVar(&earlier, "earlier", nil, "`FILES` with checkpoints that were kept from before")
	markRequired(cmd, "trust")
	return cmd
}

// checkedLog is what `caio log verify` found.
type checkedLog struct {
	Origin   string           `json:"origin"`
	Size     int64            `json:"size"`
	Root     string           `json:"root"`
	Tiles    int64            `json:"tiles"`
	Entries  map[string]int64 `json:"entries"`  // by type
	Cosigned []string         `json:"cosigned"` // by which witnesses of the trust file's policy
	Unknown  int              `json:"unknown_signatures"`
	// Earlier are the sizes of the checkpoints that were kept, all of which the log still holds.
	Earlier []int64 `json:"earlier,omitempty"`
	// Follows is the log that was given up for this one, as its first entry says; Before are those that were given up, the last one first, where they were read.
	Follows *verify.Former `json:"follows,omitempty"`
	// FollowedBy is the log for which this one was given up, as the trust file says.
	FollowedBy string `json:"followed_by,omitempty"`
	// Successor is what the server says of a log that follows this one, where the trust file does not.
	Successor string      `json:"successor,omitempty"`
	Before    []formerLog `json:"before,omitempty"`
	// Unbelieved are entries of keys that the root has revoked, or that such a key let in. They stand where they are, and say nothing.
	Unbelieved []unbelieved `json:"unbelieved,omitempty"`
	// Outdated is what the log says of its keys and the trust file does not.
	Outdated []string `json:"outdated,omitempty"`
}

// checkLog derives a log again, checks every entry, and tells the result; with former also of the logs that were given up before it.
func (o *options) checkLog(cmd *cobra.Command, source tlog.Source, trust verify.Trust, earlier []string, former bool) error {
	keys, policy, err := logKeys(trust)
	if err != nil {
		return err
	}
	var before []tlog.Checkpoint
	for _, file := range earlier {
		text, err := readBounded(cmd.Context(), file, tlog.MaxCheckpointBytes)
		if err != nil {
			return err
		}
		c, err := tlog.ParseCheckpoint(text)
		if err == nil && !slices.ContainsFunc(trust.Logs, func(l verify.Log) bool { return l.Origin == c.Origin }) {
			return unable("%s is of the log %s, which the trust file does not hold: take the folder, or the trust file, that belongs to the other", file, shown(c.Origin))
		}
		if err == nil {
			_, _, err = c.Verify(keys...)
		}
		if err != nil {
			return unable("%s: %w", file, err)
		}
		before = append(before, c)
	}
	current, _ := trust.Current()
	later := []tlog.Checkpoint{} // of the logs before
	if former {
		later, before = split(before, func(c tlog.Checkpoint) bool { return c.Origin != current.Origin })
	}
	theirs, err := servedBy(source).passedOver(cmd.Context(), before, trust)
	if err != nil {
		return err
	}
	result, checked, err := o.derive(cmd, source, trust, slices.Concat(before, theirs))
	if err != nil {
		return err
	}
	for _, c := range before {
		result.Earlier = append(result.Earlier, c.Size)
	}
	quorum, err := policy.Satisfied(checked.Verified)
	if err != nil && theirs != nil {
		return notCosigned(theirs[0], result.Size)
	}
	if err != nil {
		return not("the checkpoint of %s at size %d: %w. It was not cosigned yet, or is kept from witnesses, or the trust file is older than the witnesses of now: caio trust export over a copy of it says which came and went", result.Origin, result.Size, err)
	}
	result.Cosigned = append(result.Cosigned, quorum.Witnesses...)
	for _, log := range trust.Logs {
		if log.Follows == result.Origin {
			result.FollowedBy = log.Origin
		}
	}
	result.Successor = o.successor(cmd.Context(), source, result.Origin, trust)
	var fault error
	if former {
		result.Before, fault = o.checkFormer(cmd, trust, result.Follows, later)
	}
	return errors.Join(o.tell(cmd, result, "%s", result), fault)
}

// derive reads a log and checks every entry; earlier is what the log is known to have said.
func (o *options) derive(cmd *cobra.Command, source tlog.Source, trust verify.Trust, earlier []tlog.Checkpoint) (result checkedLog, checked tlog.Checked, err error) {
	keys, _, err := logKeys(trust)
	if err != nil {
		return result, checked, err
	}
	origin, err := originAt(cmd.Context(), source)
	if err != nil {
		return result, checked, logError(err)
	}
	if err := named(origin, trust); err != nil {
		return result, checked, err
	}
	held := trust
	var entries *entryChecks
	for again := true; again; {
		entries = newEntryChecks(origin, held)
		meter := o.meter(cmd, "verifying", "entries")
		checked, err = tlog.CheckLog(cmd.Context(), source, tlog.Options{Keys: keys, Earlier: earlier, Leaf: entries.take, Progress: meter.step})
		if err == nil {
			err = entries.finish()
		}
		meter.end()
		if err != nil {
			return result, checked, logError(err)
		}
		// What a log says with a late entry holds for those before it.
		now := entries.keys.Trust()
		held, again = now, len(now.Revocations) > len(held.Revocations)
	}
	return checkedLog{
		Unbelieved: entries.listed(), Outdated: changesOf(trust, held),
		Origin: checked.Checkpoint.Origin, Size: checked.Checkpoint.Size, Root: fmt.Sprintf("%x", checked.Checkpoint.Root), Tiles: checked.Tiles,
		Entries: entries.found, Cosigned: []string{}, Unknown: len(checked.Unknown), Follows: entries.follows,
	}, checked, nil
}

// String says it for people.
func (c checkedLog) String() string {
	lines := []string{
		fmt.Sprintf("%s holds: %s, %s of hashes, root %s", c.Origin, plural(c.Size, "entry"), plural(c.Tiles, "tile"), c.Root),
		"every entry is signed by a trusted key that was in use at its index:",
	}
	if c.Unbelieved != nil {
		lines[1] = "every other entry is signed by a trusted key that was in use at its index:"
		for i, u := range c.Unbelieved {
			lines = slices.Insert(lines, 1+i, u.String())
		}
	}
	for _, typ := range slices.SortedFunc(maps.Keys(c.Entries), func(a, b string) int { return cmp.Or(cmp.Compare(c.Entries[b], c.Entries[a]), cmp.Compare(a, b)) }) {
		lines = append(lines, fmt.Sprintf("  %s  %s", typ, grouped(c.Entries[typ])))
	}
	for _, size := range c.Earlier {
		lines = append(lines, "it holds all that the checkpoint of "+plural(size, "entry")+" says, which was kept")
	}
	switch {
	case len(c.Cosigned) > 0:
		lines = append(lines, "cosigned by "+strings.Join(c.Cosigned, ", "))
	default:
		lines = append(lines, "unwitnessed: that everybody sees this log is asserted by its operator alone")
	}
	if c.Unknown > 0 {
		lines = append(lines, plural(int64(c.Unknown), "signature")+" of the checkpoint, of nobody whom the trust file knows")
	}
	if c.FollowedBy != "" {
		lines = append(lines, "it was given up, as the trust file says: "+c.FollowedBy+" follows it")
	}
	if c.Successor != "" {
		lines = append(lines, c.Successor)
	}
	if c.Follows != nil {
		lines = append(lines, c.Follows.String())
	}
	if c.Outdated != nil {
		lines = append(lines, "the trust file is out of date, and caio trust update brings it up to date:")
		for _, change := range c.Outdated {
			lines = append(lines, "  "+change)
		}
	}
	for _, before := range c.Before {
		lines = append(lines, before.String())
	}
	return strings.Join(lines, "\n")
}

// isNo reports whether an error says that something does not hold, and not that it could not be told.
func isNo(err error) bool {
	var exit *exitError
	return errors.As(err, &exit) && exit.code == exitNo
}

// logError gives an error of a log its exit code.
func logError(err error) error {
	if errors.Is(err, errUntold) {
		return &exitError{exitInconclusive, err}
	}
	for _, no := range []error{tlog.ErrLog, tlog.ErrMalformed, tlog.ErrUntrusted, tlog.ErrSignature, errEntry} {
		if errors.Is(err, no) {
			return not("%w", err)
		}
	}
	return err
}

// logKeys are the keys of the trust file's logs, and of the witnesses of its policy.
func logKeys(trust verify.Trust) ([]tlog.Key, tlog.Policy, error) {
	policy := tlog.Policy{Quorum: tlog.None}
	if trust.Policy != "" {
		var err error
		if policy, err = tlog.ParsePolicy([]byte(trust.Policy)); err != nil {
			return nil, policy, err
		}
	}
	var keys []tlog.Key
	for _, log := range trust.Logs {
		if log.Key == "" {
			continue
		}
		key, err := tlog.ParseKey(log.Key)
		if err != nil {
			return nil, policy, err
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, policy, unable("the trust file has no key of a log's checkpoints: caio trust export writes one that has")
	}
	for _, witness := range policy.Witnesses {
		keys = append(keys, witness.Key)
	}
	return keys, policy, nil
}
