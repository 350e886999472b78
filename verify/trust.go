package verify

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/smarthausgroup/caio/contracts/canonical"
)

// TrustV1 is the schema of a trust file.
const TrustV1 = "caio.trust/v1"

// MaxTrustBytes bounds a trust file.
const MaxTrustBytes = 4 << 20

// Trust is what an auditor keeps: who issues proofs, in which logs, under which keys. A verifier takes keys from here and never from the evidence (spec/proof.md, "The statement and the signature").
type Trust struct {
	Issuer string
	Logs   []Log
	Keys   Keys
}

// Log is a log whose entries are accepted.
type Log struct {
	Origin string `json:"origin"`
}

// trustFile is trust.json: a JWK Set with who and where around it.
type trustFile struct {
	Schema string `json:"schema"`
	Issuer string `json:"issuer"`
	Logs   []Log  `json:"logs"`
	Keys   []jwk  `json:"keys"`
}

// Encode writes trust.json, indented, keys in order of id and logs of origin.
func (t Trust) Encode() ([]byte, error) {
	keys, err := t.Keys.encode()
	if err != nil {
		return nil, err
	}
	file := trustFile{TrustV1, t.Issuer, slices.Clone(t.Logs), keys}
	slices.SortFunc(file.Logs, func(a, b Log) int { return cmp.Compare(a.Origin, b.Origin) })
	if err := file.check(); err != nil {
		return nil, err
	}
	text, err := canonical.Encode(file)
	if err != nil {
		return nil, err
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, text, "", "  "); err != nil {
		return nil, err
	}
	indented.WriteByte('\n')
	return indented.Bytes(), nil
}

// ParseTrust reads what [Trust.Encode] writes, white space aside, and nothing else.
func ParseTrust(text []byte) (Trust, error) {
	if len(text) > MaxTrustBytes {
		return Trust{}, fmt.Errorf("trust file: %d bytes, at most %d", len(text), MaxTrustBytes)
	}
	var file trustFile
	if err := decodeSpaced(text, &file); err != nil {
		return Trust{}, fmt.Errorf("trust file: %w", err)
	}
	if err := file.check(); err != nil {
		return Trust{}, fmt.Errorf("trust file: %w", err)
	}
	keys, err := decodeKeys(file.Keys)
	if err != nil {
		return Trust{}, fmt.Errorf("trust file: %w", err)
	}
	return Trust{file.Issuer, file.Logs, keys}, nil
}

func (f trustFile) check() error {
	if f.Schema != TrustV1 {
		return fmt.Errorf("schema is %q, not %q", f.Schema, TrustV1)
	}
	if f.Issuer == "" || len(f.Logs) == 0 || len(f.Keys) == 0 {
		return errors.New("it names an issuer, at least one log and at least one key")
	}
	if f.Logs[0].Origin == "" {
		return errors.New("a log's origin is not empty")
	}
	if err := ascending(f.Logs, func(l Log) string { return l.Origin }); err != nil {
		return fmt.Errorf("logs: %w", err)
	}
	return nil
}

func (t Trust) hasLog(origin string) bool {
	return slices.Contains(t.Logs, Log{origin})
}

// ascending reports whether the keys of list strictly ascend.
func ascending[T any](list []T, key func(T) string) error {
	for i := 1; i < len(list); i++ {
		if key(list[i-1]) >= key(list[i]) {
			return fmt.Errorf("%q stands before %q: entries are sorted and none is repeated", key(list[i-1]), key(list[i]))
		}
	}
	return nil
}
