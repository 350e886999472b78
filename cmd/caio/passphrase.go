package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/charmbracelet/x/term"
	"github.com/smarthausgroup/caio/internal/keyfile"
	"github.com/smarthausgroup/caio/verify"
)

const (
	passphraseVariable = "CAIO_KEY_PASSPHRASE"
	leastPassphrase    = 8 // bytes
)

// passphraseOf is the passphrase of a key file: from CAIO_KEY_PASSPHRASE, from a file that is named, or asked at a terminal.
func passphraseOf(file, from string) ([]byte, error) {
	if secret := os.Getenv(passphraseVariable); secret != "" {
		return []byte(secret), nil
	}
	if from == "" {
		from = os.Getenv(passphraseVariable + "_FILE")
	}
	if from != "" {
		secret, err := os.ReadFile(from)
		if secret = bytes.TrimRight(secret, "\r\n"); err == nil && len(secret) == 0 {
			err = fmt.Errorf("%s is empty", from)
		}
		return secret, err
	}
	if !term.IsTerminal(os.Stdin.Fd()) {
		return nil, unable("%s is sealed: give its passphrase in %s, in a file that %s_FILE names, the configuration's key_passphrase_file for a server, or --passphrase-file for a command that has it, or at a terminal", file, passphraseVariable, passphraseVariable)
	}
	return ask("Passphrase of " + file + ": ")
}

func ask(prompt string) ([]byte, error) {
	fmt.Fprint(os.Stderr, prompt)
	defer fmt.Fprintln(os.Stderr)
	return term.ReadPassword(os.Stdin.Fd())
}

// newPassphrase is that of a file to be made. At a terminal it is asked twice.
func newPassphrase(file, from string) ([]byte, error) {
	secret, err := passphraseOf(file, from)
	if err != nil {
		return nil, err
	}
	if len(secret) < leastPassphrase {
		return nil, misused("a passphrase has at least %d bytes", leastPassphrase)
	}
	if os.Getenv(passphraseVariable) == "" && from == "" && os.Getenv(passphraseVariable+"_FILE") == "" {
		again, err := ask("Once more: ")
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(again, secret) {
			return nil, misused("the two are not the same")
		}
	}
	return secret, nil
}

// readKey reads a private key, sealed or not.
func readKey(file, passphraseFile string) (ed25519.PrivateKey, error) {
	return keyfile.Read(file, func() ([]byte, error) { return passphraseOf(file, passphraseFile) })
}

// openKey reads a key, or makes it at the first start.
func openKey(file string) (ed25519.PrivateKey, error) { return openSealedKey(file, "") }

// openSealedKey does the same; where the file is sealed its passphrase stands in another.
func openSealedKey(file, passphraseFile string) (ed25519.PrivateKey, error) {
	private, err := readKey(file, passphraseFile)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(file), 0o700); err == nil {
			private, err = verify.GenerateKeyFile(file, rand.Reader)
		}
	}
	return private, err
}
