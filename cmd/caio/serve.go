package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/internal/seal"
	"github.com/smarthausgroup/caio/internal/store/sqlite"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/spf13/cobra"
)

func newServe(o *options) *cobra.Command {
	var flags config
	var show, schema bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Run the server. Without a configuration it is one to try things on: SQLite in ./caio.db, the policies that come with caio, keys made in ./caio-keys,
and a development token that is printed at the first start.`,
		Example: "  caio serve\n  caio serve --config caio.yaml\n  CAIO_LISTEN=127.0.0.1:9000 caio serve --print-config",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if schema {
				text, err := configSchema()
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", text)
				return err
			}
			read := func() (config, error) {
				c, faults, err := readConfig(o.config, os.Environ())
				if err == nil && o.diagnose(cmd, faults) {
					err = &exitError{code: exitUsage}
				}
				override(cmd, &c, &flags)
				return c, err
			}
			c, err := read()
			if err != nil {
				return err
			}
			if show {
				return o.printConfig(cmd, c)
			}
			return o.serve(cmd, c, read)
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.Listen, "listen", "", "`ADDRESS` of the API")
	f.StringVar(&flags.DiagnosticAddr, "diagnostic-addr", "", "`ADDRESS` of the metrics")
	f.StringVar(&flags.Store, "store", "", "`URL` of the store: sqlite:FILE")
	f.StringVar(&flags.Keys, "keys", "", "`FOLDER` of keys")
	f.StringSliceVar(&flags.Policies, "policies", nil, "policies in force for every tenant: `FOLDERS` or tarballs")
	f.StringArrayVar(&flags.PolicyKeys, "policy-key", nil, policyKeysUsage)
	f.BoolVar(&show, "print-config", false, "print the configuration in force and end")
	f.BoolVar(&schema, "config-schema", false, "print the JSON Schema of the configuration file and end")
	return cmd
}

// printConfig prints what is in force. There is nothing in it to mask: secrets stand in files, which it names.
// printConfig prints the configuration with what follows from it, and refuses one that serve refuses.
func (o *options) printConfig(cmd *cobra.Command, c config) error {
	file, err := storeFile(c.Store)
	if err != nil {
		return err
	}
	c.Subjects = c.subjects(file)
	if c.CheckpointDir, err = c.checkpointDir(); err != nil {
		return err
	}
	if err := c.Retention.retention().Check(); err != nil {
		return misused("%w", err)
	}
	machine := *o
	if !o.machine() {
		machine.format = "yaml"
	}
	if err := machine.emit(cmd, c); err != nil || machine.format != "yaml" || len(c.Policies) > 0 {
		return err
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), "# policies: those that come with caio")
	return err
}

// override puts the flags that were given over the configuration.
func override(cmd *cobra.Command, c, flags *config) {
	for name, set := range map[string]func(){
		"listen":          func() { c.Listen = flags.Listen },
		"diagnostic-addr": func() { c.DiagnosticAddr = flags.DiagnosticAddr },
		"store":           func() { c.Store = flags.Store },
		"keys":            func() { c.Keys = flags.Keys },
		"policies":        func() { c.Policies = flags.Policies },
		"policy-key":      func() { c.PolicyKeys = flags.PolicyKeys },
	} {
		if cmd.Flags().Changed(name) {
			set()
		}
	}
}

func (o *options) serve(cmd *cobra.Command, c config, read func() (config, error)) error {
	hangups := catchHangups() // a start may take long, and must not end by one
	setup, closing, err := o.opened(cmd, c)
	if err != nil {
		return err
	}
	return errors.Join(o.serveOpened(cmd, c, read, setup, hangups), closing())
}

// opened opens what the configuration names, and says of what a server over it is made.
func (o *options) opened(cmd *cobra.Command, c config) (setup server.Config, closing func() error, err error) {
	file, err := storeFile(c.Store)
	if err != nil {
		return setup, nil, err
	}
	subjectsFile, err := storeFile(c.subjects(file))
	if err != nil {
		return setup, nil, err
	}
	store, err := sqlite.Open(cmd.Context(), file)
	if err != nil {
		return setup, nil, err
	}
	if err := c.logKeyStays(cmd.Context(), store); err != nil {
		return setup, nil, errors.Join(err, store.Close())
	}
	subjects, err := seal.Open(cmd.Context(), subjectsFile, rand.Reader)
	if err != nil {
		return setup, nil, errors.Join(err, store.Close())
	}
	witnesses, err := c.witnesses(cmd.Context(), file)
	closing = func() error { return errors.Join(witnesses.Archive.Close(), subjects.Close(), store.Close()) }
	if err != nil {
		return setup, nil, errors.Join(err, closing())
	}
	if setup, err = o.serverConfig(cmd, c); err != nil {
		return setup, nil, errors.Join(err, closing())
	}
	setup.Store, setup.Subjects, setup.Witnesses = store, subjects, witnesses
	return setup, closing, nil
}

func (o *options) serveOpened(cmd *cobra.Command, c config, read func() (config, error), setup server.Config, hangups hangups) error {
	s, err := server.New(cmd.Context(), setup)
	if err != nil {
		return o.undecided(cmd, err)
	}
	if err := c.signing().settled(setup); err != nil {
		return errors.Join(err, s.Shutdown())
	}
	reloading := &reloading{options: o, cmd: cmd, read: read, current: c, setup: setup, server: s}
	defer hangups.answer(func() { reloading.reload(cmd.Context()) })()
	return s.Serve(cmd.Context(), func(address net.Addr) {
		if !o.quiet {
			fmt.Fprintf(cmd.ErrOrStderr(), "listening on http://%s, documentation at http://%s/docs\n", address, address)
		}
	})
}

// serverConfig makes keys, reads policies, and says where the server stands.
func (o *options) serverConfig(cmd *cobra.Command, c config) (server.Config, error) {
	keys, err := c.signing().open()
	if err != nil {
		return server.Config{}, err
	}
	root, err := c.root()
	if err != nil {
		return server.Config{}, err
	}
	former, err := c.formerRoots()
	if err != nil {
		return server.Config{}, err
	}
	logKey, err := openSealedKey(filepath.Join(c.Keys, logKeyFile), c.KeyPassphraseFile)
	if err != nil {
		return server.Config{}, err
	}
	checkpoints, err := c.checkpoints()
	if err != nil {
		return server.Config{}, err
	}
	setup := server.Config{LogSigner: logKey, CheckpointDir: checkpoints, Signer: keys.signer, Outgoing: keys.outgoing, Authorizations: keys.authorizations, Root: root, FormerRoots: former}
	if err := o.policyConfig(cmd, c, &setup); err != nil {
		return server.Config{}, err
	}
	issuers, err := c.Auth.issuers()
	if err != nil {
		return server.Config{}, err
	}
	if c.Development {
		issuer, err := o.development(cmd, c)
		if err != nil {
			return server.Config{}, err
		}
		issuers = append(issuers, issuer)
	}
	setup.Addr, setup.DiagnosticAddr = c.Listen, c.DiagnosticAddr
	setup.Clock, setup.Rand, setup.Issuer, setup.Installation, setup.AllowUnsigned = time.Now, rand.Reader, c.Issuer, c.Installation, c.Development
	setup.Retention = c.Retention.retention()
	setup.Auth, setup.Limits = auth.Config{Issuers: issuers, AllowHS256: c.Auth.AllowHS256}, c.Limits.limits()
	setup.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	return setup, nil
}

// bundlesInForce reads the policies and verifies them. In proofs a bundle has the name of its file or folder, without the way there.
func (o *options) bundlesInForce(cmd *cobra.Command, c config, keys map[string]rego.Key) ([]*rego.Bundle, error) {
	bundles, err := o.bundles(cmd, c.Policies)
	if err != nil {
		return nil, err
	}
	if err := verifyBundles(bundles, keys); err != nil {
		return nil, err
	}
	for _, bundle := range bundles {
		if bundle.Key == "" && !c.Development {
			return nil, misused("policies: no key of policy_keys signed the bundle %s, and only a server with development: true takes such", bundle.Name)
		}
		bundle.Name = strings.TrimSuffix(filepath.Base(bundle.Name), ".tar.gz")
	}
	return bundles, nil
}

// development is the issuer of development tokens. At the first start it prints one, once.
func (o *options) development(cmd *cobra.Command, c config) (auth.Issuer, error) {
	development, created, err := auth.OpenDevelopment(c.Keys, rand.Reader)
	if err != nil {
		return auth.Issuer{}, err
	}
	if created {
		token, err := development.Token(contracts.Principal{
			Tenant: c.Installation, Subject: "developer", Trust: 10 * contracts.Micro,
			Roles:       []string{string(auth.App), string(auth.Approver), string(auth.Operator)},
			Permissions: []string{"ai.chat", "ai.embed", "ai.search"},
		}, time.Now(), 30*24*time.Hour)
		if err != nil {
			return auth.Issuer{}, err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "A development token, valid for 30 days, shown this once (caio token issue makes others):\n\n  export CAIO_TOKEN=%s\n\n", token)
	}
	return development.Issuer(), nil
}
