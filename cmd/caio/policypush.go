package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/server"
	"github.com/spf13/cobra"
)

func newPolicyPush(o *options) *cobra.Command {
	var p policyPush
	cmd := &cobra.Command{
		Use:   "push FILE|DIR",
		Short: "Hand a bundle in to a server, which tests it and puts nothing in force yet",
		Long: `Hand a bundle in to a server: a tarball as "caio policy build" or "opa build" makes it, or a folder, which is packed first, and signed if a key is given.

The server takes it if a key of its policy_keys signed it, if it compiles together with what is in force, and if its own tests pass. It changes nothing that is decided: "caio policy activate" does.
Versions of one bundle have the same name; the name of the file or folder is taken if none is given.`,
		Example: "  caio policy push gdpr.tar.gz --name gdpr\n  caio policy push policies/gdpr --signing-key release.pem --key-id release",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.run(o, cmd, args[0])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&p.name, "name", "", "`NAME` of the bundle")
	flags.StringVar(&p.keyFile, "signing-key", "", "private key `FILE` to sign a folder with, as `caio key generate` makes it")
	flags.StringVar(&p.kid, "key-id", "", "`ID` that the server knows the key by")
	cmd.MarkFlagsRequiredTogether("signing-key", "key-id")
	return cmd
}

type policyPush struct{ name, keyFile, kid string }

func (p *policyPush) run(o *options, cmd *cobra.Command, path string) error {
	name, text, err := p.pack(path)
	if err != nil {
		return err
	}
	end := o.waiting(cmd, "the server tests "+name)
	defer end()
	var answer server.BundlePushed
	if err := o.call(cmd.Context(), http.MethodPost, o.of("/v1/bundles?name="+url.QueryEscape(name)), "application/gzip", text, &answer); err != nil {
		return err
	}
	end()
	done := "pushed"
	if answer.Unchanged {
		done = "unchanged: it was pushed before"
	}
	return o.tell(cmd, answer, "%s %s\ndigest %s\n%s, constraints: %d, tests passed: %d\nput it in force with: caio policy activate %s --reason '…'",
		answer.Name, done, answer.Digest, signedBy(answer.Key), len(answer.Constraints), answer.Tests.Pass, short(answer.Digest))
}

func signedBy(key string) string {
	if key == "" {
		return "unsigned"
	}
	return "signed by " + key
}

// pack reads a tarball as it is, or packs a folder.
func (p *policyPush) pack(path string) (name string, text []byte, err error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", nil, err
	}
	name = or(p.name, strings.TrimSuffix(strings.TrimSuffix(filepath.Base(absolute), ".gz"), ".tar"))
	info, err := statPolicies(path)
	if err != nil {
		return "", nil, err
	}
	if !info.IsDir() {
		if p.keyFile != "" {
			return "", nil, misused("--signing-key: %s is packed already, and is pushed as it is: sign it with caio policy build", path)
		}
		text, err = os.ReadFile(path)
		return name, text, err
	}
	text, err = p.packFolder(name, path)
	return name, text, err
}

// packFolder signs what is in a folder if there is a key. Whether it is any good, the server says.
func (p *policyPush) packFolder(name, dir string) ([]byte, error) {
	if p.keyFile != "" && inside(dir, p.keyFile) {
		return nil, misused("--signing-key: %s is in %s, and would be packed with it", p.keyFile, dir)
	}
	b, diagnostics := rego.ReadFS(name, os.DirFS(dir))
	if diagnostics.HasErrors() {
		return nil, not("%w", diagnostics)
	}
	var private ed25519.PrivateKey
	if p.keyFile != "" {
		var err error
		if private, err = readKey(p.keyFile, ""); err != nil {
			return nil, err
		}
		return packBundle(b, p.kid, private)
	}
	var packed bytes.Buffer
	err := rego.WriteTarball(&packed, b)
	return packed.Bytes(), err
}

// post sends what a person does with a bundle of the tenant that --tenant names.
func (o *options) post(cmd *cobra.Command, path string, v, answer any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return o.call(cmd.Context(), http.MethodPost, o.of(path), "application/json", body, answer)
}
