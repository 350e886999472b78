package main

import (
	"bytes"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"

	"github.com/smarthausgroup/caio/rego"
	"github.com/spf13/cobra"
)

func newPolicyBuild(o *options) *cobra.Command {
	var b policyBuild
	cmd := &cobra.Command{
		Use:   "build DIR",
		Short: "Pack a bundle that `check` finds no fault with, and sign it if a key is given",
		Long: `Pack a bundle that "check" finds no fault with into a tarball in OPA's format, and sign it if a key is given.

The same sources give the same bytes, and the digest is that of the folder. Without a key the bundle is unsigned, also where the folder holds a signature.
With one, the bundle holds a .signatures.json by that key (Ed25519, algorithm EdDSA), under the name that --key-id gives it: the ID of policy_keys and of --policy-key.

With --without-tests the bundle is one that "opa eval" and "opa run" load as it is, and that decides there as here: tests and scenarios are left out, and all data is in one file, with the settings' defaults where the rules read them.
A server that activates bundles over its API wants the tests, and takes the other form.

Exit 1 if the bundle has a fault; nothing is written then.`,
		Example: "  caio policy build policies -o bundle.tar.gz\n  caio policy build policies -o bundle.tar.gz --signing-key release.pem --key-id release\n  caio policy build policies -o plain.tar.gz --without-tests",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return b.run(o, cmd, args[0])
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&b.output, "output", "o", "bundle.tar.gz", "`FILE` to write")
	flags.StringVar(&b.keyFile, "signing-key", "", "private key `FILE` to sign with, as `caio key generate` makes it")
	flags.StringVar(&b.kid, "key-id", "", "`ID` that verifiers know the key by")
	flags.BoolVar(&b.untested, "without-tests", false, "leave tests and scenarios out, for plain OPA")
	cmd.MarkFlagsRequiredTogether("signing-key", "key-id")
	return cmd
}

type policyBuild struct {
	output, keyFile, kid string
	untested             bool
}

// built is what is told of a bundle.
type built struct {
	File   string `json:"file"`
	Digest string `json:"digest"`
	Bytes  int    `json:"bytes"`
	Key    string `json:"key"` // "" where it is unsigned
}

func (b *policyBuild) run(o *options, cmd *cobra.Command, dir string) error {
	for flag, file := range map[string]string{"--output": b.output, "--signing-key": b.keyFile} {
		if file != "" && inside(dir, file) {
			return misused("%s: %s is in %s, and would be packed with it", flag, file, dir)
		}
	}
	var private ed25519.PrivateKey
	if b.keyFile != "" {
		var err error
		if private, err = readKey(b.keyFile, ""); err != nil {
			return err
		}
	}
	bundle, err := b.checked(o, cmd, dir)
	if err != nil {
		return err
	}
	packed, err := packBundle(bundle, b.kid, private)
	if err != nil {
		return not("%w", err)
	}
	if err := replaceFile(b.output, packed, 0o644); err != nil {
		return err
	}
	signed := "unsigned"
	if b.kid != "" {
		signed = "signed by " + b.kid
	}
	return o.tell(cmd, built{b.output, bundle.Digest, len(packed), b.kid}, "%s\ndigest %s\n%d bytes, %s", b.output, bundle.Digest, len(packed), signed)
}

// checked is the bundle to pack, which has no fault in the form that it is packed in.
func (b *policyBuild) checked(o *options, cmd *cobra.Command, dir string) (*rego.Bundle, error) {
	bundle, diagnostics, err := readBundle(dir)
	if err != nil {
		return nil, err
	}
	constraints, diagnostics := compileBundle(bundle, diagnostics)
	if o.diagnose(cmd, diagnostics) {
		return nil, no()
	}
	if len(constraints) == 0 {
		return nil, errNoConstraint()
	}
	if !b.untested {
		return bundle, nil
	}
	stripped, diagnostics := rego.WithoutTests(bundle)
	if stripped != nil {
		_, diagnostics = rego.Compile([]*rego.Bundle{stripped}, rego.Options{})
	}
	if diagnostics.HasErrors() {
		o.diagnose(cmd, diagnostics)
		return nil, not("the bundle has these faults without its tests, and none with them")
	}
	return stripped, nil
}

// packBundle signs a bundle if there is a key, packs it, and reads it back as those who use it will.
func packBundle(bundle *rego.Bundle, kid string, private ed25519.PrivateKey) ([]byte, error) {
	unsigned := *bundle
	unsigned.Signatures = nil
	toPack := &unsigned
	if private != nil {
		var err error
		if toPack, err = rego.Sign(toPack, "EdDSA", kid, private); err != nil {
			return nil, err
		}
	}
	var packed bytes.Buffer
	if err := rego.WriteTarball(&packed, toPack); err != nil {
		return nil, err
	}
	read, diagnostics := rego.ReadTarball(bundle.Name, bytes.NewReader(packed.Bytes()))
	if diagnostics.HasErrors() {
		return nil, diagnostics
	}
	if private != nil {
		public, err := publicPEM(publicOf(private))
		if err != nil {
			return nil, err
		}
		if _, err := rego.Verify(read, map[string]rego.Key{kid: {Algorithm: "EdDSA", PEM: string(public)}}); err != nil {
			return nil, err
		}
	}
	return packed.Bytes(), nil
}

// inside reports whether a file, which need not be there yet, is in a folder or below it, and not hidden there: hidden files and those of hidden folders are not a bundle's.
func inside(dir, file string) bool {
	relative, err := filepath.Rel(resolved(dir), filepath.Join(resolved(filepath.Dir(file)), filepath.Base(file)))
	if err != nil || relative == "." {
		return false
	}
	for step := range strings.SplitSeq(filepath.ToSlash(relative), "/") {
		if strings.HasPrefix(step, ".") {
			return false
		}
	}
	return true
}

// resolved is the absolute path without symbolic links, as far as it can be told.
func resolved(path string) string {
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return path
}

// replaceFile writes a file as a whole: whoever reads it meanwhile sees the old text or the new one. A pipe, a terminal or another device is none, and what is written goes through it.
func replaceFile(path string, text []byte, mode os.FileMode) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return os.WriteFile(path, text, mode)
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // which fails once it has its name
	_, err = file.Write(text)
	if err == nil {
		err = file.Chmod(mode)
	}
	if err == nil {
		err = file.Sync()
	}
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	return err
}
