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

	"github.com/smarthausgroup/caio/internal/keyfile"
	"github.com/smarthausgroup/caio/verify"
	"github.com/spf13/cobra"
)

func newKey(o *options) *cobra.Command {
	return group("key", "Make, show, rotate and revoke signing keys", newKeyGenerate(o), newKeyRotate(o), newKeyList(o), newKeyExport(o), newKeyPublic(o), newKeyRoot(o), newKeyAuthorize(o), newKeyRevoke(o), newKeySubmit(o))
}

// sealing are the flags of a command that makes a key.
type sealing struct {
	encrypt bool
	from    string
}

func (s *sealing) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&s.encrypt, "encrypt", false, "seal the file with a passphrase, which is asked, or stands in CAIO_KEY_PASSPHRASE")
	cmd.Flags().StringVar(&s.from, "passphrase-file", "", "`FILE` with the passphrase (CAIO_KEY_PASSPHRASE_FILE)")
}

// generate makes a key file.
func (s *sealing) generate(path string) (ed25519.PrivateKey, error) {
	var passphrase []byte
	if _, err := os.Stat(path); err == nil {
		return nil, not("%s is there already, and a key is never overwritten: give another name", path)
	}
	if s.encrypt {
		var err error
		if passphrase, err = newPassphrase(path, s.from); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	private, err := keyfile.Generate(path, rand.Reader, passphrase)
	if errors.Is(err, os.ErrExist) {
		return nil, not("%s is there already, and a key is never overwritten: give another name", path)
	}
	return private, err
}

func newKeyGenerate(o *options) *cobra.Command {
	var flags sealing
	cmd := &cobra.Command{
		Use:   "generate FILE",
		Short: "Make an Ed25519 key, readable by its owner alone; an existing file is never overwritten",
		Long: `Make an Ed25519 key, readable by its owner alone; an existing file is never overwritten.

The file is PKCS #8 in PEM. With --encrypt it is sealed with a passphrase (scrypt, ChaCha20-Poly1305), in a form of its own.`,
		Example: "  caio key generate keys/statements.pem\n  caio key generate release.pem --encrypt",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			private, err := flags.generate(args[0])
			if err != nil {
				return err
			}
			return o.showKey(cmd, args[0], publicOf(private), flags.encrypt)
		},
	}
	flags.add(cmd)
	return cmd
}

func newKeyList(o *options) *cobra.Command {
	return &cobra.Command{
		Use:     "list FOLDER",
		Short:   "List the keys in a folder by their ids",
		Example: "  caio key list caio-keys",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			files, err := filepath.Glob(filepath.Join(args[0], "*.pem"))
			if err != nil || len(files) == 0 {
				return unable("there is no key (*.pem) in %s", args[0])
			}
			for _, file := range files {
				public, sealed, err := keyfile.Public(file)
				if err != nil {
					return err
				}
				if err := o.showKey(cmd, file, public, sealed); err != nil {
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
		Short:   "Write the public half as PEM, the form that --policy-key, policy_keys and root_key read",
		Example: "  caio key public release.pem > release.pub",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			public, err := readPublic(args[0])
			if err != nil {
				return err
			}
			text, err := publicPEM(public)
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
}

// publicPEM is a block PUBLIC KEY (PKIX).
func publicPEM(public ed25519.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// shownKey is a key file as it is listed.
type shownKey struct {
	File   string `json:"file"`
	KID    string `json:"kid"`
	Sealed bool   `json:"sealed,omitempty"`
}

func (o *options) showKey(cmd *cobra.Command, file string, public ed25519.PublicKey, sealed bool) error {
	shown := shownKey{file, verify.KeyID(public), sealed}
	if o.machine() {
		return o.emit(cmd, shown)
	}
	note := ""
	if sealed {
		note = "  (sealed)"
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s  %s%s\n", shown.KID, file, note)
	return err
}

// publicKeys are the public halves of the keys in files.
func publicKeys(files []string) (verify.Keys, error) {
	var keys verify.Keys
	for _, file := range files {
		public, err := readPublic(file)
		if err != nil {
			return nil, err
		}
		keys = append(keys, verify.Key{Public: public})
	}
	return keys, nil
}

// readPublic reads the public half from a file of a private key or of a public one.
func readPublic(file string) (ed25519.PublicKey, error) {
	public, _, err := keyfile.Public(file)
	return public, err
}

func publicOf(private ed25519.PrivateKey) ed25519.PublicKey {
	return private.Public().(ed25519.PublicKey)
}
