// Package keyfile keeps Ed25519 keys in files, in the clear or sealed with a passphrase (spec/proof.md, "The statement and the signature").
//
// In the clear it is PKCS #8 in PEM, as other programs write it; see [verify.ReadKeyFile]. A sealed file is one PEM block CAIO SEALED KEY, which holds these bytes and nothing else:
//
//	offset  bytes
//	     0      1  version, 1
//	     1      1  log2 of scrypt's N, from 15 to 20; r is 8, and p is 1 (RFC 7914)
//	     2     16  salt of scrypt, of a cryptographic source
//	    18     32  public key (RFC 8032)
//	    50     48  private key, the seed of RFC 8032, sealed with ChaCha20-Poly1305 (RFC 8439): the key is scrypt's, the nonce is zero, and the bytes before are the additional data
//
// The salt makes every key of scrypt another one, so that no nonce is used twice under one. The public key is there to be read without the passphrase; with it, it is checked.
package keyfile

import (
	"bytes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/scrypt"

	"github.com/smarthausgroup/caio/verify"
)

const (
	sealedType  = "CAIO SEALED KEY"
	privateType = "PRIVATE KEY"
	publicType  = "PUBLIC KEY"

	version    = 1
	leastWork  = 15
	usualWork  = 17 // 128 MiB, about half a second
	mostWork   = 20
	saltBytes  = 16
	headBytes  = 2 + saltBytes + ed25519.PublicKeySize
	totalBytes = headBytes + ed25519.SeedSize + chacha20poly1305.Overhead

	maxFileBytes = 16 << 10
)

// ErrPassphrase says that a sealed key does not open.
var ErrPassphrase = errors.New("the passphrase is wrong, or the file was changed")

// Generate makes a key from random and writes it to path, readable by its owner alone, sealed where the passphrase is not empty. It never overwrites: the error is fs.ErrExist.
func Generate(path string, random io.Reader, passphrase []byte) (ed25519.PrivateKey, error) {
	if len(passphrase) == 0 {
		return verify.GenerateKeyFile(path, random)
	}
	drawn := make([]byte, ed25519.SeedSize+saltBytes)
	if _, err := io.ReadFull(random, drawn); err != nil {
		return nil, fmt.Errorf("drawing a key: %w", err)
	}
	key := ed25519.NewKeyFromSeed(drawn[:ed25519.SeedSize])
	sealed, err := seal(key, drawn[ed25519.SeedSize:], usualWork, passphrase)
	if err != nil {
		return nil, err
	}
	return key, Create(path, sealed)
}

// Create writes a file that its owner alone can read, to last. It never overwrites: the error is fs.ErrExist.
func Create(path string, text []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// Read reads a key of either form. Passphrase is asked only for a sealed one. A file that others than its owner can read is refused.
//
// Errors: ErrPassphrase; that of passphrase; or what is wrong with the file.
func Read(path string, passphrase func() ([]byte, error)) (ed25519.PrivateKey, error) {
	block, err := readBlock(path)
	if err != nil || block.Type != sealedType {
		return verify.ReadKeyFile(path) // which says what is wrong
	}
	if err := private(path); err != nil {
		return nil, err
	}
	sealed, err := parse(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	secret, err := passphrase()
	if err != nil {
		return nil, err
	}
	key, err := sealed.open(secret)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// Public reads the public half from a file with a key of either form, or with a public key alone (PKIX in PEM). No passphrase is needed: of a sealed file it is what its name says only for who can open it.
func Public(path string) (public ed25519.PublicKey, sealed bool, err error) {
	block, err := readBlock(path)
	if err != nil {
		return nil, false, err
	}
	switch block.Type {
	case sealedType:
		s, err := parse(block.Bytes)
		if err != nil {
			return nil, false, fmt.Errorf("%s: %w", path, err)
		}
		return s.public(), true, private(path)
	case publicType:
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, false, fmt.Errorf("%s: %w", path, err)
		}
		public, ok := parsed.(ed25519.PublicKey)
		if !ok {
			return nil, false, fmt.Errorf("%s: an Ed25519 key is needed, not %T", path, parsed)
		}
		return public, false, nil
	}
	key, err := verify.ReadKeyFile(path)
	if err != nil {
		return nil, false, err
	}
	return key.Public().(ed25519.PublicKey), false, nil
}

// private refuses a file that others can read. Windows has no such bits: there a folder's access list says who may read.
func private(path string) error {
	info, err := os.Stat(path)
	if err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		err = fmt.Errorf("%s: others can read this key (its mode is %#o): chmod 600 it", path, info.Mode().Perm())
	}
	return err
}

// readBlock reads a file that holds one PEM block in the form in which it is written here.
func readBlock(path string) (*pem.Block, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFileBytes))
	if err != nil {
		return nil, err
	}
	block, err := decode(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return block, nil
}

func decode(text []byte) (*pem.Block, error) {
	block, rest := pem.Decode(text)
	if block == nil || len(rest) > 0 {
		return nil, fmt.Errorf("not a PEM file with one block %q, %q or %q", privateType, sealedType, publicType)
	}
	if block.Type == sealedType && (len(block.Headers) > 0 || !bytes.Equal(pem.EncodeToMemory(block), text)) {
		return nil, errors.New("a sealed key in another form than it is written in")
	}
	return block, nil
}

// sealedKey is the content of a sealed file.
type sealedKey [totalBytes]byte

func parse(content []byte) (*sealedKey, error) {
	if len(content) != totalBytes {
		return nil, fmt.Errorf("a sealed key has %d bytes, not %d", totalBytes, len(content))
	}
	s := (*sealedKey)(content)
	if s[0] != version {
		return nil, fmt.Errorf("a sealed key of version %d, which this release does not know", s[0])
	}
	if s[1] < leastWork || s[1] > mostWork {
		return nil, fmt.Errorf("a sealed key whose work is 2^%d: from 2^%d to 2^%d is taken", s[1], leastWork, mostWork)
	}
	return s, nil
}

func (s *sealedKey) public() ed25519.PublicKey {
	return bytes.Clone(s[2+saltBytes : headBytes])
}

// seal writes the file.
func seal(key ed25519.PrivateKey, salt []byte, work byte, passphrase []byte) ([]byte, error) {
	var s sealedKey
	s[0], s[1] = version, work
	copy(s[2:], salt)
	copy(s[2+saltBytes:], key.Public().(ed25519.PublicKey))
	aead, err := s.aead(passphrase)
	if err != nil {
		return nil, err
	}
	aead.Seal(s[headBytes:headBytes], make([]byte, aead.NonceSize()), key.Seed(), s[:headBytes])
	return pem.EncodeToMemory(&pem.Block{Type: sealedType, Bytes: s[:]}), nil
}

func (s *sealedKey) open(passphrase []byte) (ed25519.PrivateKey, error) {
	aead, err := s.aead(passphrase)
	if err != nil {
		return nil, err
	}
	return s.unseal(aead)
}

func (s *sealedKey) unseal(aead cipher.AEAD) (ed25519.PrivateKey, error) {
	seed, err := aead.Open(nil, make([]byte, aead.NonceSize()), s[headBytes:], s[:headBytes])
	if err != nil {
		return nil, ErrPassphrase
	}
	key := ed25519.NewKeyFromSeed(seed)
	if !s.public().Equal(key.Public()) {
		return nil, errors.New("its public key is not that of its private key")
	}
	return key, nil
}

// aead seals and opens with a key that the passphrase and the file's salt give.
func (s *sealedKey) aead(passphrase []byte) (cipher.AEAD, error) {
	key, err := scrypt.Key(passphrase, s[2:2+saltBytes], 1<<s[1], 8, 1, chacha20poly1305.KeySize)
	if err != nil {
		return nil, err
	}
	return chacha20poly1305.New(key)
}
