package tlog

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// Signature is a line under a checkpoint: "— <name> <base64 of key id and bytes>". What the bytes are depends on the algorithm of the key.
type Signature struct {
	Name  string
	ID    uint32
	Bytes []byte
}

const dash = "— "

// Encode is the line with its line feed.
func (s Signature) Encode() []byte {
	raw := append(binary.BigEndian.AppendUint32(nil, s.ID), s.Bytes...)
	return fmt.Appendf(nil, "%s%s %s\n", dash, s.Name, encoding.EncodeToString(raw))
}

// ParseSignatures reads one line or more that [Signature.Encode] writes, and no key twice. So also the answer of a witness. Errors wrap [ErrMalformed].
func ParseSignatures(text []byte) ([]Signature, error) {
	if len(text) > MaxCheckpointBytes {
		return nil, malformed("signatures", "%d bytes, at most %d", len(text), MaxCheckpointBytes)
	}
	var list []Signature
	for line := range strings.Lines(string(text)) {
		s, err := parseSignature(line)
		if err != nil {
			return nil, err
		}
		for _, other := range list {
			if s.Name == other.Name && s.ID == other.ID {
				return nil, malformed("signatures", "the key %s+%08x signed twice", s.Name, s.ID)
			}
		}
		if list = append(list, s); len(list) > MaxSignatures {
			return nil, malformed("signatures", "more than %d", MaxSignatures)
		}
	}
	if len(list) == 0 {
		return nil, malformed("signatures", "there is none")
	}
	return list, nil
}

func parseSignature(line string) (Signature, error) {
	rest, found := strings.CutPrefix(strings.TrimSuffix(line, "\n"), dash)
	name, b64, _ := strings.Cut(rest, " ")
	raw, err := encoding.DecodeString(b64)
	if !found || err != nil || len(raw) < 5 || !isName(name) {
		return Signature{}, malformed("signatures", "%.200q is not a dash, a name and base64 of key id and signature", line)
	}
	s := Signature{name, binary.BigEndian.Uint32(raw), raw[4:]}
	if string(s.Encode()) != line {
		return Signature{}, malformed("signatures", "%q is written %q", line, s.Encode())
	}
	return s, nil
}

// verify returns the key that made s, nil if it is none of keys, and the time that it states. A log's key counts only for the log of its name.
func (s Signature) verify(origin string, body []byte, keys []Key) (*Key, time.Time, error) {
	known := false
	for i, key := range keys {
		if key.Name != s.Name || key.ID() != s.ID || key.Algorithm == Ed25519 && key.Name != origin {
			continue
		}
		known = true
		message, signature, at, ok := s.open(key.Algorithm, body)
		if ok && ed25519.Verify(key.Public, message, signature) {
			return &keys[i], at, nil
		}
	}
	if known {
		return nil, time.Time{}, fmt.Errorf("%w: of %s+%08x under %s", ErrSignature, s.Name, s.ID, origin)
	}
	return nil, time.Time{}, nil
}

// open takes the bytes apart into what was signed, the signature over it and the time that it states.
func (s Signature) open(algorithm Algorithm, body []byte) (message, signature []byte, at time.Time, ok bool) {
	if algorithm == Ed25519 {
		return body, s.Bytes, time.Time{}, len(s.Bytes) == ed25519.SignatureSize
	}
	if len(s.Bytes) != 8+ed25519.SignatureSize {
		return nil, nil, time.Time{}, false
	}
	seconds := binary.BigEndian.Uint64(s.Bytes)
	if seconds == 0 || seconds > maxTime {
		return nil, nil, time.Time{}, false
	}
	at = time.Unix(int64(seconds), 0).UTC()
	return cosigned(body, at), s.Bytes[8:], at, true
}

// maxTime is the end of the year 9999, in seconds since 1970.
const maxTime = 253402300799

// cosigned is what a witness signs (C2SP tlog-cosignature, "Ed25519 signed message"). [Cosign] and [Checkpoint.Verify] both make it here and nowhere else.
//
//	cosignature/v1
//	time <seconds since 1970>
//	<body of the checkpoint>
func cosigned(body []byte, at time.Time) []byte {
	return append(fmt.Appendf(nil, "cosignature/v1\ntime %d\n", at.Unix()), body...)
}

// Cosign is a witness's signature on c at a time, in whole seconds. The witness has made sure that c extends what it cosigned before. The key may live outside the process.
func Cosign(c Checkpoint, name string, private crypto.Signer, at time.Time) (Signature, error) {
	public, ok := private.Public().(ed25519.PublicKey)
	if !ok {
		return Signature{}, fmt.Errorf("a key that cosigns is an Ed25519 key, not %T", private.Public())
	}
	key, err := NewKey(name, CosignatureV1, public)
	if err != nil {
		return Signature{}, err
	}
	if at.Unix() <= 0 || at.Unix() > maxTime {
		return Signature{}, fmt.Errorf("cosigning at %s: between 1970 and 9999", at)
	}
	signature, err := private.Sign(rand.Reader, cosigned(c.Body(), at), crypto.Hash(0))
	if err != nil {
		return Signature{}, fmt.Errorf("cosigning with key %s: %w", name, err)
	}
	s := Signature{name, key.ID(), append(binary.BigEndian.AppendUint64(nil, uint64(at.Unix())), signature...)}
	// A key kept elsewhere can answer with anything: what would not verify is not let out.
	if _, _, err := s.verify(c.Origin, c.Body(), []Key{key}); err != nil {
		return Signature{}, err
	}
	return s, nil
}
