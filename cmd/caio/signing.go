package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/smarthausgroup/caio/internal/keyfile"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/verify"
)

// The folder of the keys with which a server signs statements. A rotation is a file beside the key in use: the server hands the logs over to it, at SIGHUP or at a start, and only then moves the files. Where it ends in between, the next start goes on.
const (
	inUseFile         = "statements.pem"
	nextFile          = "statements.next.pem" // takes over at SIGHUP, or at the next start
	authorizationFile = "statements.next.jws" // what the offline root signed to let it in, one a line; none where the key in use does
	retiredFolder     = "retired"             // of keys that signed before
)

// signing opens the keys of a folder.
type signing struct {
	folder         string
	passphraseFile string
}

func (s signing) path(name string) string { return filepath.Join(s.folder, name) }

// rotation is what is in the folder: the key that signs, or takes over, and what it takes to let it in.
type rotation struct {
	signer, outgoing *verify.Signer // outgoing is nil where no key takes over, or where it is gone
	authorizations   [][]byte
}

// pending reports whether a key waits to take over.
func (s signing) pending() bool {
	_, err := os.Stat(s.path(nextFile))
	return err == nil
}

// open reads the folder; at the first start it makes a key.
func (s signing) open() (rotation, error) {
	var r rotation
	next, err := s.read(nextFile)
	if errors.Is(err, fs.ErrNotExist) {
		if r.signer, err = s.read(inUseFile); errors.Is(err, fs.ErrNotExist) {
			r.signer, err = s.first()
		}
		return r, err
	}
	if err != nil {
		return r, err
	}
	r.signer = next
	if r.authorizations, err = readLines(s.path(authorizationFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	r.outgoing, err = s.read(inUseFile)
	if errors.Is(err, fs.ErrNotExist) && len(r.authorizations) > 0 {
		err = nil // it was lost
	}
	return r, err
}

func (s signing) read(name string) (*verify.Signer, error) {
	key, err := readKey(s.path(name), s.passphraseFile)
	if err != nil {
		return nil, err
	}
	return verify.NewSigner(key)
}

func (s signing) first() (*verify.Signer, error) {
	key, err := openSealedKey(s.path(inUseFile), s.passphraseFile)
	if err != nil {
		return nil, err
	}
	return verify.NewSigner(key)
}

// logKeyFile is the key of the checkpoints, in the same folder. It is made at the first start, and takes over from no other.
const logKeyFile = "log.pem"

// logKeyStays refuses to make another key of the checkpoints where logs are signed with one: that would be in the place to which the right one has to be put back.
func (c config) logKeyStays(ctx context.Context, s store.Reader) error {
	path := filepath.Join(c.Keys, logKeyFile)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil // what else is wrong with it is told where it is read
	}
	logs, err := s.Logs(ctx)
	if err != nil {
		return err
	}
	for _, log := range logs {
		switch _, err := s.LastCheckpoint(ctx, log.Tenant); {
		case err == nil:
			return unable("%s is missing, which signs the checkpoints of the logs in the store: put it back. Is it lost, each log goes on as a new one: make another key (caio key generate %s), and begin them with caio log recover --all --old-key FILE", path, path)
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
	}
	return nil
}

// settled moves the files after a start that handed the logs over.
func (s signing) settled(setup server.Config) error {
	next, _, err := keyfile.Public(s.path(nextFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && !next.Equal(setup.Signer.Public()) {
		return nil // it came after the folder was read
	}
	return errors.Join(err, s.settle())
}

// settle moves the files, once the logs are handed over. The key before is kept, since a store that is restored from an older copy asks for it; its owner may destroy it.
func (s signing) settle() error {
	before, _, err := keyfile.Public(s.path(inUseFile))
	if err == nil {
		if err = os.MkdirAll(s.path(retiredFolder), 0o700); err == nil {
			err = os.Link(s.path(inUseFile), s.path(filepath.Join(retiredFolder, verify.KeyID(before)+".pem")))
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := os.Remove(s.path(authorizationFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(s.path(nextFile), s.path(inUseFile)); err != nil {
		return err
	}
	return syncFolder(s.folder)
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// readLines reads compact JWS, one a line.
func readLines(file string) ([][]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	lines := bytes.Fields(text)
	if len(lines) == 0 {
		return nil, fmt.Errorf("%s holds nothing", file)
	}
	return lines, nil
}
