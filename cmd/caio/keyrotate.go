package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/smarthausgroup/caio/internal/keyfile"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/verify"
	"github.com/spf13/cobra"
)

func newKeyRotate(o *options) *cobra.Command {
	var flags sealing
	var key, authorization string
	cmd := &cobra.Command{
		Use:   "rotate [FOLDER]",
		Short: "Lay the next key beside the one that signs: the server takes it over at SIGHUP, or at its next start",
		Long: `Lay the next key beside the one that signs, in ` + defaultKeys + ` or the folder given: the server takes it over at SIGHUP, or at its next start.

Decisions go on meanwhile. The key that signs lets the next one in, in every log; where it was stolen or lost, the offline root does: give what caio key authorize made, and the key that it was made for.
Until SIGHUP it is undone by removing ` + nextFile + `. The key before goes to ` + retiredFolder + `/.`,
		Example: "  caio key rotate caio-keys\n  caio key rotate caio-keys --key next.pem --authorization authorization.jws",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			folder := signing{folder: defaultKeys}
			if len(args) == 1 {
				folder.folder = args[0]
			}
			return o.rotate(cmd, folder, &flags, key, authorization)
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&key, "key", "", "key `FILE` to take over, which is copied; a new one if not given")
	cmd.Flags().StringVar(&authorization, "authorization", "", "`FILE` of caio key authorize: what the root signed for the key, for every log")
	return cmd
}

func (o *options) rotate(cmd *cobra.Command, folder signing, flags *sealing, key, authorization string) error {
	next := folder.path(nextFile)
	if _, err := os.Stat(next); err == nil {
		return not("%s is there already: send the server SIGHUP, or remove it", next)
	}
	if (key == "") != (authorization == "") {
		return misused("--key and --authorization go together: the root signs for a key that is there")
	}
	if _, err := os.Stat(folder.path(inUseFile)); err != nil && authorization == "" {
		return unable("there is no key to rotate from: %w", err)
	}
	// What an earlier rotation left says nothing of this one.
	if err := os.Remove(folder.path(authorizationFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if key == "" {
		private, err := flags.generate(next)
		if err != nil {
			return err
		}
		return o.showKey(cmd, next, publicOf(private), flags.encrypt)
	}
	words, err := readLines(authorization)
	if err != nil {
		return err
	}
	public, sealed, err := keyfile.Public(key)
	if err != nil {
		return err
	}
	if _, err := os.Stat(folder.path(filepath.Join(retiredFolder, verify.KeyID(public)+".pem"))); err == nil {
		return not("%s is a key that signed before and was retired, and none of these comes back: make another (caio key generate)", key)
	}
	text, err := os.ReadFile(key)
	if err != nil {
		return err
	}
	// The words first: without them the key in use would be asked.
	if err := keyfile.Create(folder.path(authorizationFile), append(bytes.Join(words, []byte("\n")), '\n')); err != nil {
		return err
	}
	if err := keyfile.Create(next, text); err != nil {
		return err
	}
	return o.showKey(cmd, next, public, sealed)
}

func newKeyRoot(o *options) *cobra.Command {
	flags := sealing{encrypt: true}
	var clear bool
	generate := &cobra.Command{
		Use:   "generate FILE",
		Short: "Make the offline root's key, sealed with a passphrase, on a machine that is not the server",
		Long: `Make the offline root's key, sealed with a passphrase, on a machine that is not the server.

It signs two things only: which key takes over a log when the one before can't be asked (caio key authorize), and what a key signed that is not to be believed (caio key revoke).
The server gets its public half (root_key), and so do auditors, who compare its id with what the root's keeper tells them.`,
		Example: "  caio key root generate root.pem\n  caio key public root.pem > root.pub",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			flags.encrypt = !clear
			private, err := flags.generate(args[0])
			if err != nil {
				return err
			}
			return o.showKey(cmd, args[0], publicOf(private), flags.encrypt)
		},
	}
	generate.Flags().StringVar(&flags.from, "passphrase-file", "", "`FILE` with the passphrase (CAIO_KEY_PASSPHRASE_FILE)")
	generate.Flags().BoolVar(&clear, "no-passphrase", false, "leave the file in the clear: for trying things")
	return group("root", "The offline root, which lets keys in and revokes them", generate)
}

// rooted are the flags of a command by which the root says something of a key in logs.
type rooted struct {
	root, passphraseFile, output string
	logs                         []string
	from                         int64
}

func (r *rooted) add(cmd *cobra.Command, from string) {
	f := cmd.Flags()
	f.StringVar(&r.root, "root", "", "key `FILE` of the offline root")
	f.StringArrayVar(&r.logs, "log", nil, "`ORIGIN` of a log, may be repeated: the trust file and /.well-known/jwks.json name them")
	f.Int64Var(&r.from, "from", 0, from)
	f.StringVar(&r.passphraseFile, "passphrase-file", "", "`FILE` with the passphrase of the root's key (CAIO_KEY_PASSPHRASE_FILE)")
	f.StringVarP(&r.output, "output", "o", "", "`FILE` to write; standard output if not given")
	_ = cmd.MarkFlagRequired("root")
	_ = cmd.MarkFlagRequired("log")
}

// sign has the root sign a payload for each log, and writes one compact JWS a line.
func (r *rooted) sign(cmd *cobra.Command, typ string, payload func(log string) any) error {
	if r.from < 0 {
		return misused("--from is an index of the log, at least 0")
	}
	private, err := readKey(r.root, r.passphraseFile)
	if err != nil {
		return err
	}
	root, err := verify.NewSigner(private)
	if err != nil {
		return err
	}
	var lines bytes.Buffer
	for _, log := range r.logs {
		jws, err := root.Sign(typ, payload(log))
		if err != nil {
			return err
		}
		fmt.Fprintf(&lines, "%s\n", jws)
	}
	if r.output != "" {
		return os.WriteFile(r.output, lines.Bytes(), 0o644)
	}
	_, err = cmd.OutOrStdout().Write(lines.Bytes())
	return err
}

func newKeyAuthorize(*options) *cobra.Command {
	var flags rooted
	cmd := &cobra.Command{
		Use:   "authorize KEY",
		Short: "Have the offline root let a key into logs, in place of the key before",
		Long: `Have the offline root let a key into logs, in place of the key before: where that was stolen, or lost. KEY is a file with the next key, or with its public half alone.

It needs no server. Give what it writes, one line a log, to caio key rotate --authorization.`,
		Example: "  caio key authorize next.pub --root root.pem --log 3f0c9a… --from 8000 -o authorization.jws",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			public, err := readPublic(args[0])
			if err != nil {
				return err
			}
			iat := time.Now().Unix()
			return flags.sign(cmd, verify.TypKey, func(log string) any {
				return verify.KeyRecord{
					RecordHead: verify.RecordHead{V: 1, Log: log, Base: flags.from, IAT: iat},
					Kind:       verify.KeyActivated, KID: verify.KeyID(public), X: base64.RawURLEncoding.EncodeToString(public),
				}
			})
		},
	}
	flags.add(cmd, "least `INDEX` of the log at which it holds")
	return cmd
}

func newKeyRevoke(*options) *cobra.Command {
	var flags rooted
	var reason string
	cmd := &cobra.Command{
		Use:   "revoke KID",
		Short: "Have the offline root revoke a key: nothing that it signed from an index of a log on is to be believed",
		Long: `Have the offline root revoke a key: nothing that it signed from an index of a log on is to be believed.

It needs no server. Hand what it writes to the server with caio key submit, which makes it an entry of the log;
auditors read it there (caio trust update).`,
		Example: "  caio key revoke 5kXr… --from 8123 --log 3f0c9a… --root root.pem --reason 'stolen, ticket 99' -o revocation.jws",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if sum, err := base64.RawURLEncoding.DecodeString(args[0]); err != nil || len(sum) != 32 {
				return misused("%q is not the id of a key: caio key list and /.well-known/jwks.json show them", args[0])
			}
			if reason == "" {
				return misused("--reason says why: it stands in the log for good")
			}
			iat := time.Now().Unix()
			return flags.sign(cmd, verify.TypRevocation, func(log string) any {
				return verify.RevocationRecord{V: 1, Log: log, KID: args[0], From: flags.from, IAT: iat, Reason: reason}
			})
		},
	}
	flags.add(cmd, "first `INDEX` of the log at which it is not believed")
	cmd.Flags().StringVar(&reason, "reason", "", "`TEXT` that says why")
	_ = cmd.MarkFlagRequired("from")
	return cmd
}

func newKeySubmit(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "submit FILE...",
		Short:   "Hand revocations to the server, which records them in the logs that they name",
		Example: "  caio key submit revocation.jws",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, file := range args {
				lines, err := readLines(filepath.Clean(file))
				if err != nil {
					return err
				}
				for _, line := range lines {
					if err := o.submit(cmd, string(line)); err != nil {
						return err
					}
				}
			}
			return nil
		},
	}
}

func (o *options) submit(cmd *cobra.Command, revocation string) error {
	body, err := json.Marshal(server.KeyRevocationRequest{Revocation: revocation})
	if err != nil {
		return err
	}
	var answer server.KeyRevocationAnswer
	if err := o.call(cmd.Context(), http.MethodPost, "/v1/keys/revocations", "application/json", body, &answer); err != nil {
		return err
	}
	if answer.Unchanged {
		return o.tell(cmd, answer, "%s was revoked from index %d of %s on before", answer.KID, answer.From, answer.Log)
	}
	return o.tell(cmd, answer, "%s is revoked from index %d of %s on; entry %d", answer.KID, answer.From, answer.Log, *answer.Index)
}
