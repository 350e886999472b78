package verify

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/smarthausgroup/caio/contracts/canonical"
	"github.com/smarthausgroup/caio/verify/tlog"
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
	// Approvers are the keys under which approvals of bundles are accepted. Where there are none, approvals are not checked, and the verdict says so.
	Approvers Keys
	// Policy says whose cosignatures are required, in the text of C2SP tlog-policy; "" for nobody's.
	Policy string
}

// Log is a log whose entries are accepted.
type Log struct {
	Origin string `json:"origin"`
	// Key signs the log's checkpoints: a vkey line of C2SP signed-note, whose name is the origin; "" where there are none, as of decisions that were made without a server.
	Key string `json:"key,omitempty"`
}

// trustFile is trust.json: a JWK Set with who and where around it.
type trustFile struct {
	Schema string `json:"schema"`
	Issuer string `json:"issuer"`
	Logs   []Log  `json:"logs"`
	Keys   []jwk  `json:"keys"`

	Approvers []jwk  `json:"approvers,omitempty"`
	Policy    string `json:"policy,omitempty"`
}

// Encode writes trust.json, indented, keys in order of id and logs of origin.
func (t Trust) Encode() ([]byte, error) {
	keys, err := t.Keys.encode()
	if err != nil {
		return nil, err
	}
	approvers, err := t.Approvers.encode()
	if err != nil {
		return nil, fmt.Errorf("approvers: %w", err)
	}
	file := trustFile{Schema: TrustV1, Issuer: t.Issuer, Logs: slices.Clone(t.Logs), Keys: keys, Approvers: approvers, Policy: t.Policy}
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
	approvers, err := decodeKeys(file.Approvers)
	if err != nil {
		return Trust{}, fmt.Errorf("trust file: approvers: %w", err)
	}
	return Trust{Issuer: file.Issuer, Logs: file.Logs, Keys: keys, Approvers: approvers, Policy: file.Policy}, nil
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
	for _, log := range f.Logs {
		if _, err := log.key(); err != nil {
			return fmt.Errorf("logs: %s: %w", log.Origin, err)
		}
	}
	if f.Policy != "" {
		if _, err := tlog.ParsePolicy([]byte(f.Policy)); err != nil {
			return err
		}
	}
	return nil
}

// key is the zero key where the log has none.
func (l Log) key() (tlog.Key, error) {
	if l.Key == "" {
		return tlog.Key{}, nil
	}
	key, err := tlog.ParseKey(l.Key)
	if err == nil && (key.Name != l.Origin || key.Algorithm != tlog.Ed25519) {
		err = errors.New("the key of a log is an Ed25519 key whose name is its origin")
	}
	return key, err
}

// log finds an accepted log.
func (t Trust) log(origin string) (Log, bool) {
	i := slices.IndexFunc(t.Logs, func(l Log) bool { return l.Origin == origin })
	if i < 0 {
		return Log{}, false
	}
	return t.Logs[i], true
}

func (t Trust) origins() []string {
	origins := make([]string, len(t.Logs))
	for i, log := range t.Logs {
		origins[i] = log.Origin
	}
	return origins
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
