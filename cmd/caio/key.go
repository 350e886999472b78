package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/smarthausgroup/caio/verify"
	"github.com/spf13/cobra"
)

func newKey(o *options) *cobra.Command {
	return group("key", "Make and show signing keys", newKeyGenerate(o), newKeyList(o), newKeyExport(o), newKeyPublic(o))
}

func newKeyGenerate(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "generate FILE",
		Short:   "Make an Ed25519 key: PKCS #8 in PEM, readable by its owner alone; an existing file is never overwritten",
		Example: "  caio key generate keys/statements.pem",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(filepath.Dir(args[0]), 0o700); err != nil {
				return err
			}
			private, err := verify.GenerateKeyFile(args[0], rand.Reader)
			if errors.Is(err, os.ErrExist) {
				return not("%s is there already, and a key is never overwritten: give another name", args[0])
			}
			if err != nil {
				return err
			}
			return o.showKey(cmd, args[0], private)
		},
	}
}

func newKeyList(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "list DIR",
		Short:   "List the keys in a folder by their ids",
		Example: "  caio key list caio-keys",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			files, err := filepath.Glob(filepath.Join(args[0], "*.pem"))
			if err != nil || len(files) == 0 {
				return unable("there is no key (*.pem) in %s", args[0])
			}
			for _, file := range files {
				private, err := verify.ReadKeyFile(file)
				if err != nil {
					return err
				}
				if err := o.showKey(cmd, file, private); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func newKeyExport(*options) *cobra.Command {
	return &cobra.Command{
		Use:     "export FILE...",
		Short:   "Write the public halves as a JWK Set",
		Example: "  caio key export caio-keys/statements.pem > jwks.json",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			keys, err := publicKeys(args)
			if err != nil {
				return err
			}
			text, err := verify.EncodeJWKS(keys)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", text)
			return err
		},
	}
}

func newKeyPublic(*options) *cobra.Command {
	return &cobra.Command{
		Use:     "public FILE",
		Short:   "Write the public half as PEM, the form that --policy-key and policy_keys read",
		Example: "  caio key public release.pem > release.pub",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			private, err := verify.ReadKeyFile(args[0])
			if err != nil {
				return err
			}
			text, err := publicPEM(private)
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
}

// publicPEM is the public half as a block PUBLIC KEY (PKIX).
func publicPEM(private ed25519.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

func (o *options) showKey(cmd *cobra.Command, file string, private ed25519.PrivateKey) error {
	id := verify.KeyID(publicOf(private))
	if o.machine() {
		return o.emit(cmd, map[string]string{"file": file, "kid": id})
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s  %s\n", id, file)
	return err
}

// publicKeys are the public halves of the keys in files.
func publicKeys(files []string) (verify.Keys, error) {
	var keys verify.Keys
	for _, file := range files {
		private, err := verify.ReadKeyFile(file)
		if err != nil {
			return nil, err
		}
		keys = append(keys, verify.Key{Public: publicOf(private)})
	}
	return keys, nil
}

func publicOf(private ed25519.PrivateKey) ed25519.PublicKey {
	return private.Public().(ed25519.PublicKey)
}
