package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/tlog"
	"github.com/spf13/cobra"
)

// recovering are the flags of caio log recover.
type recovering struct {
	reason, actor, oldKey string
	all                   bool
}

// unknownKey stands in place of a file for a key that nobody has.
const unknownKey = "unknown"

func newLogRecover(o *options) *cobra.Command {
	var flags recovering
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Begin a tenant's log anew, where the one in the store can't be appended to",
		Long: `Begin a tenant's log anew, under another origin, where the one in the store can't be appended to: it is an older copy, or not the one that was
published, and the right one is lost for good; or the key of its checkpoints, log.pem, is another one now. The server must not be running.

The first entry of the new log commits to the last known checkpoint of the lost one, and says why. What is in force according to the store is put in
force again. The log before stays in the store and is served under its origin. Auditors need a new trust file, and should ask for the reason.

Where log.pem was replaced, give the key of before with --old-key: its file, the file of its public half, or a trust file that was exported before.
Each log is held to what that key signed, and the new one names it. Where nobody has any of these, --old-key unknown: then the new log can't say
under which key the one before is to be read.`,
		Example: "  caio log recover --config caio.yaml --tenant acme --reason 'disk lost on 3 May, restored from the night before'\n  caio log recover --config caio.yaml --all --old-key caio-keys/log.old.pem --reason 'log.pem copied by a guest, ticket 99'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if flags.all && cmd.Flags().Changed("tenant") {
				return misused("--all is for the logs of all tenants, --tenant for one")
			}
			c, faults, err := readConfig(o.config, os.Environ())
			if err == nil && o.diagnose(cmd, faults) {
				err = &exitError{code: exitUsage}
			}
			if err != nil {
				return err
			}
			return o.recoverLogs(cmd, c, &flags)
		},
	}
	cmd.Flags().StringVar(&flags.reason, "reason", "", "`TEXT` that stands in the log")
	cmd.Flags().StringVar(&flags.actor, "actor", "operator", "`NAME` of who does this, which stands in the log")
	cmd.Flags().StringVar(&flags.oldKey, "old-key", "", "`FILE` with the key of the checkpoints of before, where log.pem was replaced, or with its public half, or a trust file of before")
	cmd.Flags().BoolVar(&flags.all, "all", false, "the logs of all tenants, as far as they can't be appended to")
	markRequired(cmd, "reason")
	return cmd
}

func (o *options) recoverLogs(cmd *cobra.Command, c config, flags *recovering) error {
	setup, closing, err := o.opened(cmd, c)
	if err != nil {
		return err
	}
	return errors.Join(o.recoverOpened(cmd, setup, flags), closing())
}

// recoverOpened recovers the logs one by one. What was done stays done where a later one fails, and is not done again by a second call.
func (o *options) recoverOpened(cmd *cobra.Command, setup server.Config, flags *recovering) error {
	logs, err := setup.Store.Logs(cmd.Context())
	if err != nil {
		return err
	}
	slices.SortStableFunc(logs, func(a, b store.Log) int { return cmp.Compare(a.Was, b.Was) }) // those in use first
	former, err := formerLogKey(flags.oldKey, logs)
	if err != nil {
		return err
	}
	tenants := []string{o.tenantOrDefault()}
	if flags.all {
		tenants = tenants[:0]
		for _, log := range logs {
			if log.Was == "" {
				tenants = append(tenants, log.Tenant)
			}
		}
	}
	recovered := 0
	for _, tenant := range tenants {
		done, err := server.Recover(cmd.Context(), setup, former, tenant, flags.actor, flags.reason)
		if errors.Is(err, ledger.ErrSound) {
			continue
		}
		if errors.Is(err, server.ErrFormerKey) {
			err = unable("the log of tenant %q: %w (--old-key)", tenant, err)
		}
		if err == nil {
			err = o.tell(cmd, done, "the log %s of tenant %q, of which the store has %s entries, was given up:\n  %s\nits successor is %s, and begins with %s entries",
				done.Lost, done.Tenant, grouped(done.Kept), done.Why, done.Origin, grouped(done.Entries))
		}
		if err != nil {
			return err
		}
		recovered++
	}
	switch {
	case recovered > 0 && !o.machine() && !o.quiet:
		_, err = fmt.Fprintln(cmd.OutOrStdout(), "start the server, and give auditors a new trust file (caio trust export), and witnesses the new logs' keys")
	case recovered > 0:
	case flags.all:
		err = not("the logs of all tenants are as they were published: there is nothing to recover")
	default:
		err = not("the log of tenant %q is as it was published: there is nothing to recover", o.tenantOrDefault())
	}
	return err
}

// formerLogKey reads the key that signed the checkpoints before: from a key file, or from a trust file that names one of the logs, of which the first counts.
func formerLogKey(file string, logs []store.Log) (server.FormerLogKey, error) {
	if file == "" || file == unknownKey {
		return server.FormerLogKey{Unknown: file == unknownKey}, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return server.FormerLogKey{}, err
	}
	if !strings.HasPrefix(strings.TrimSpace(string(text)), "{") {
		public, err := readPublic(file)
		return server.FormerLogKey{Public: public}, err
	}
	trust, err := verify.ParseTrust(text)
	if err != nil {
		return server.FormerLogKey{}, unable("%s: %w", file, err)
	}
	for _, log := range logs {
		for _, pinned := range trust.Logs {
			if pinned.Origin == log.Origin && pinned.Key != "" {
				key, err := tlog.ParseKey(pinned.Key)
				return server.FormerLogKey{Public: key.Public}, err
			}
		}
	}
	return server.FormerLogKey{}, unable("%s holds the key of none of the logs in the store", file)
}
