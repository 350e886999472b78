package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/verify"
	"github.com/spf13/cobra"
)

func newTrust(o *options) *cobra.Command {
	return group("trust", "Pin what an auditor trusts", newTrustExport(o), newTrustUpdate(o))
}

func newTrustExport(o *options) *cobra.Command {
	var output string
	var keys []string
	var roots pinnedRoots
	var force bool
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the trust file: the issuer, the tenant's log, and the keys with their intervals",
		Long: `Write the trust file: the issuer, the tenant's log, and the keys with their intervals.

Take it once, over a channel that you trust, and keep it: a verifier takes keys from this file alone.

Over a file that is there already it says what would change, and is refused where the new one would lose something: a key, a log, a revocation, the
root, or that a key was in use only so long. A server can say anything; caio trust update takes what the log itself shows. --force writes it all the same.

With --root it is refused where the server names another offline root than the one that its keeper gave you. Where that one replaced another, whose
words stand in the logs, give the other with --former-root: nobody else is believed as a root. So, and not otherwise, a file gets another root than it had.

With --key it asks no server: the file is then for evidence that caio decide signed with these keys.`,
		Example: "  caio trust export -o trust.json --token $CAIO_TOKEN\n  caio trust export -o trust.json --key mine.pem",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := o.trust(cmd.Context(), keys)
			if err == nil {
				err = o.heldTo(text, roots)
			}
			if err != nil {
				return err
			}
			if output == "" {
				_, err = cmd.OutOrStdout().Write(escapedJSON(text))
				return err
			}
			return o.replaceTrust(cmd, output, text, roots, force)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "`FILE` to write; standard output if not given")
	cmd.Flags().StringSliceVar(&keys, "key", nil, "key `FILES` that signed offline decisions, in place of a server")
	cmd.Flags().StringVar(&roots.root, "root", "", "`FILE` with the public key of the offline root, or the id of that, to which the server's is held")
	cmd.Flags().StringSliceVar(&roots.former, "former-root", nil, "`FILES` with the public keys of the roots before that one, or the ids of these, to which the server's are held")
	cmd.Flags().BoolVar(&force, "force", false, "write over a file that holds what the new one loses")
	return cmd
}

// changedTrust is what a command did with a trust file.
type changedTrust struct {
	File    string   `json:"file"`
	Changes []string `json:"changes"` // in sentences; none for a new file
	// Successor is what the server says of a log that follows the trust file's; "" for nothing.
	Successor string `json:"successor,omitempty"`
}

// String says it for people.
func (c changedTrust) String() string {
	text := strings.Join(append([]string{c.File}, c.Changes...), "\n  ")
	if c.Successor != "" {
		text += "\n" + c.Successor
	}
	return text
}

// changesOf are what one trust file says otherwise than another.
func changesOf(old, now verify.Trust) (list []string) {
	for _, change := range old.Changes(now) {
		list = append(list, change.Text)
	}
	return list
}

// replaceTrust writes a trust file that a server sent. One that is there is not replaced by one that loses something.
func (o *options) replaceTrust(cmd *cobra.Command, file string, text []byte, roots pinnedRoots, force bool) error {
	done := changedTrust{File: file, Changes: []string{}}
	if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
		old, err := readTrust(cmd.Context(), file)
		if err != nil && !force {
			return unable("%w: it is not replaced without --force", err)
		}
		if err == nil {
			done.Changes, err = replacing(old, text, roots)
		}
		switch {
		case force: // what it replaces is told, as far as it could be read
		case err != nil:
			return not("%s is not replaced:\n%w\nAsk the operator why. What the log itself shows caio trust update takes over; --force takes the server's word", file, err)
		case len(done.Changes) == 0:
			done.Changes = []string{nothingChanged}
		}
	}
	if err := replaceFile(resolved(file), text, 0o644); err != nil {
		return err
	}
	return o.tell(cmd, done, "%s", done)
}

// replacing is what a new trust file changes of an old one. The error is what it loses.
func replacing(old verify.Trust, text []byte, roots pinnedRoots) (changes []string, lost error) {
	changes = []string{}
	now, err := verify.ParseTrust(text)
	if err != nil {
		return changes, err
	}
	if roots.root != "" && !now.Root.Equal(old.Root) && old.Root != nil { // it is not the server's word that is taken for it
		changes = append(changes, "the offline root was "+verify.KeyID(old.Root)+", and is "+verify.KeyID(now.Root)+", as "+roots.root+" says")
		old.Root = now.Root
	}
	for _, change := range old.Changes(now) {
		changes = append(changes, change.Text)
		if change.Loses {
			lost = errors.Join(lost, errors.New(change.Text))
		}
	}
	return changes, lost
}

const nothingChanged = "nothing changed"

func newTrustUpdate(o *options) *cobra.Command {
	var output string
	var logs []string
	cmd := &cobra.Command{
		Use:   "update FILE",
		Short: "Bring a trust file up to date with what the log itself says of its keys",
		Long: `Bring a trust file up to date with what the log itself says of its keys, and take nobody's word for it.

The whole log is read under the key of its checkpoints that the file holds. A key is taken over that one of the file's let in, or one that these let
in, or the offline root that the file pins; an interval ends where its key was retired; what the root has revoked is written down, and is never taken
out; and a key leaves the file that a revoked one let in. What does not follow from the keys in the file is refused. The file is written as a whole, or not at all.

A log that was begun anew is another log: whether to believe what it says of the one before is for you to judge, with a new file (caio trust export).

Exit 0: the file is up to date; 1: the log, or what it says of its keys, does not hold; 2: the command was wrong; 3: the log could not be read;
4: the log holds words of an offline root, and the file pins none; or the witnesses that the file asks have not cosigned it; or it is an older copy than the file.`,
		Example: "  caio trust update trust.json --token $CAIO_TOKEN\n  caio trust update trust.json --log log -o trust-new.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			old, err := readTrust(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if len(logs) == 0 {
				logs = []string{""}
			}
			now, done := old, changedTrust{File: or(output, args[0])}
			for _, log := range logs {
				if now, err = o.updated(cmd, now, log, &done); err != nil {
					return err
				}
			}
			return o.writeUpdate(cmd, old, now, args[0], done)
		},
	}
	cmd.Flags().StringSliceVar(&logs, "log", nil, "the log, a `DIR|URL`; if not given, that of the trust file on the server")
	cmd.Flags().StringVarP(&output, "output", "o", "", "`FILE` to write; if not given, the trust file itself")
	return cmd
}

// updated is a trust file after a log was read. What the server says of a log that follows it is noted in done.
func (o *options) updated(cmd *cobra.Command, trust verify.Trust, where string, done *changedTrust) (verify.Trust, error) {
	source, err := o.logSource(where, trust)
	if err != nil {
		return trust, err
	}
	origin, err := originAt(cmd.Context(), source)
	if err != nil {
		return trust, logError(err)
	}
	if err := named(origin, trust); err != nil {
		return trust, err
	}
	if text := o.successor(cmd.Context(), source, origin, trust); text != "" {
		done.Successor = text
	}
	meter := o.meter(cmd, "reading the log", "entries")
	keys, err := trust.ReadKeys(cmd.Context(), source, origin, meter.step)
	meter.end()
	switch {
	case err != nil:
		return trust, logError(err)
	case keys.Fault() != nil:
		return trust, not("the keys of the log %s: %w", origin, keys.Fault())
	case keys.Untold() != nil:
		return trust, &exitError{exitInconclusive, untold(origin, keys.Untold())}
	case keys.Older() != nil:
		return trust, &exitError{exitInconclusive, fmt.Errorf("the log %s: %w. Nothing was changed: bring the copy up to date (caio log export)", origin, keys.Older())}
	case keys.Unseen() != nil:
		return trust, &exitError{exitInconclusive, fmt.Errorf("the log %s, as it is here, is not one that the witnesses of the trust file have seen: %w. Nothing was changed. Take a copy that they have cosigned (caio log export)", origin, keys.Unseen())}
	}
	return keys.Trust(), nil
}

func (o *options) writeUpdate(cmd *cobra.Command, old, now verify.Trust, from string, done changedTrust) error {
	to := done.File
	done.Changes = changesOf(old, now)
	if len(done.Changes) == 0 {
		done.Changes = []string{nothingChanged}
		if to == from {
			return o.tell(cmd, done, "%s", done)
		}
	}
	text, err := now.Encode()
	if err == nil {
		_, err = verify.ParseTrust(text)
	}
	if err == nil {
		err = replaceFile(resolved(to), text, 0o644)
	}
	if err != nil {
		return err
	}
	return o.tell(cmd, done, "%s", done)
}

// pinnedRoots are files with the public keys of offline roots, or the ids of these, as their keepers gave them.
type pinnedRoots struct {
	root   string
	former []string
}

// heldTo refuses a trust file that does not pin that root, or believes another former one.
func (o *options) heldTo(text []byte, pinned pinnedRoots) error {
	if pinned.root == "" {
		if len(pinned.former) > 0 {
			return misused("--former-root goes with --root, the one in use")
		}
		return nil
	}
	root, err := idOf(pinned.root)
	if err != nil {
		return err
	}
	former := make([]string, len(pinned.former))
	for i, given := range pinned.former {
		if former[i], err = idOf(given); err != nil {
			return err
		}
	}
	trust, err := verify.ParseTrust(text)
	if err != nil {
		return err
	}
	if trust.Root == nil || root != verify.KeyID(trust.Root) {
		return not("%s names another offline root than %s, or none", o.server, pinned.root)
	}
	for _, key := range trust.FormerRoots {
		if !slices.Contains(former, key.ID()) {
			return not("%s names the former offline root %s: ask the keeper of the root about it, and give its public half, or this id, with --former-root", o.server, key.ID())
		}
	}
	return nil
}

// idOf is the id of the key in a file, or what was given where that is no file, and an id itself.
func idOf(given string) (string, error) {
	if _, err := os.Stat(given); err != nil {
		if sum, err := base64.RawURLEncoding.DecodeString(given); err == nil && len(sum) == sha256.Size {
			return given, nil
		}
	}
	public, err := readPublic(given)
	if err != nil {
		return "", err
	}
	return verify.KeyID(public), nil
}

// trust asks the server for its trust file, or makes one for offline decisions.
func (o *options) trust(ctx context.Context, files []string) ([]byte, error) {
	if len(files) > 0 {
		keys, err := publicKeys(files)
		if err != nil {
			return nil, err
		}
		return verify.Trust{Issuer: offline, Logs: []verify.Log{{Origin: offline}}, Keys: keys}.Encode()
	}
	text, err := o.fetch(ctx, http.MethodGet, "/v1/trust", "", nil)
	if err != nil {
		return nil, err
	}
	if _, err := verify.ParseTrust(text); err != nil {
		return nil, unable("%s: %w", o.server, err)
	}
	return text, nil
}
