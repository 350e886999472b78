package verify

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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
	// PolicyKeys are the keys under which signatures of bundles are accepted. Where there are none, they are not checked, and the verdict says so.
	PolicyKeys []PolicyKey
	// Policy says whose cosignatures are required, in the text of C2SP tlog-policy; "" for nobody's.
	Policy string
	// Root is the public key of the offline root, which lets keys in and revokes them; nil where none is pinned.
	Root ed25519.PublicKey
	// FormerRoots were the root before, and are believed where their intervals say: up to the last word of each in a log.
	FormerRoots Keys
	// Revocations are what the root has revoked, or one before it.
	Revocations []Revocation

	outcasts []outcast // as [LogKeys] found them; no file holds them
}

// Log is a log whose entries are accepted.
type Log struct {
	Origin string `json:"origin"`
	// Key signs the log's checkpoints: a vkey line of C2SP signed-note, whose name is the origin; "" where there are none, as of decisions that were made without a server.
	Key string `json:"key,omitempty"`
	// Follows is the origin of another log of the trust file, which was given up for this one; "" for none (spec/proof.md, "The log").
	Follows string `json:"follows,omitempty"`
}

// trustFile is trust.json: a JWK Set with who and where around it.
type trustFile struct {
	Schema string `json:"schema"`
	Issuer string `json:"issuer"`
	Logs   []Log  `json:"logs"`
	Keys   []jwk  `json:"keys"`

	Approvers  []jwk       `json:"approvers,omitempty"`
	PolicyKeys []PolicyKey `json:"policy_keys,omitempty"` // in order of id
	Policy     string      `json:"policy,omitempty"`

	Root        []jwk    `json:"root,omitempty"`        // one without intervals, and with them those before it
	Revocations []string `json:"revocations,omitempty"` // compact JWS, sorted
}

// Encode writes trust.json, indented, keys in order of id and logs of origin.
func (t Trust) Encode() ([]byte, error) {
	keys, err := t.believed().encode()
	if err == nil {
		err = t.CheckPolicy()
	}
	if err != nil {
		return nil, err
	}
	approvers, err := t.Approvers.encode()
	if err != nil {
		return nil, fmt.Errorf("approvers: %w", err)
	}
	file := trustFile{Schema: TrustV1, Issuer: t.Issuer, Logs: slices.Clone(t.Logs), Keys: keys, Approvers: approvers, PolicyKeys: slices.Clone(t.PolicyKeys), Policy: t.Policy}
	if file.Root, err = t.roots().encode(); err != nil {
		return nil, fmt.Errorf("root: %w", err)
	}
	for _, r := range t.Revocations {
		file.Revocations = append(file.Revocations, r.JWS)
	}
	slices.Sort(file.Revocations)
	slices.SortFunc(file.PolicyKeys, func(a, b PolicyKey) int { return cmp.Compare(a.ID, b.ID) })
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
	trust := Trust{Issuer: file.Issuer, Logs: file.Logs, Keys: keys, Approvers: approvers, PolicyKeys: file.PolicyKeys, Policy: file.Policy}
	if err = file.offline(&trust); err == nil {
		err = trust.CheckPolicy()
	}
	if err != nil {
		return Trust{}, fmt.Errorf("trust file: %w", err)
	}
	return trust, nil
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
	for i, log := range f.Logs {
		if _, err := log.key(); err != nil {
			return fmt.Errorf("logs: %s: %w", log.Origin, err)
		}
		follows := func(l Log) bool { return l.Origin == log.Follows }
		switch {
		case log.Follows == "":
		case log.Follows == log.Origin || !slices.ContainsFunc(f.Logs, follows):
			return fmt.Errorf("logs: %s follows %q, which is no other log of the file", log.Origin, log.Follows)
		case slices.ContainsFunc(f.Logs[:i], func(l Log) bool { return l.Follows == log.Follows }):
			return fmt.Errorf("logs: two follow %s", log.Follows)
		}
	}
	if err := checkPolicyKeys(f.PolicyKeys); err != nil {
		return fmt.Errorf("policy_keys: %w", err)
	}
	return f.offline(new(Trust))
}

// offline reads the root, those before it, and what they signed.
func (f trustFile) offline(t *Trust) error {
	roots, err := decodeKeys(f.Root)
	if err != nil {
		return fmt.Errorf("root: %w", err)
	}
	for _, root := range roots {
		switch {
		case root.Intervals != nil:
			t.FormerRoots = append(t.FormerRoots, root)
		case t.Root != nil:
			return errors.New("root: two have no intervals: one is the root, and those before it have the intervals up to their last words")
		default:
			t.Root = root.Public
		}
	}
	switch {
	case t.Root == nil && len(roots) > 0:
		return errors.New("root: all have intervals, as those before the root have, and there is none without")
	case t.Root == nil && len(f.Revocations) > 0:
		return errors.New("revocations, and no root that could have signed them")
	}
	if err := ascending(f.Revocations, func(text string) string { return text }); err != nil {
		return fmt.Errorf("revocations: %w", err)
	}
	for i, text := range f.Revocations {
		r, _, err := parseRevocation(roots, text)
		if err != nil {
			return fmt.Errorf("revocations[%d]: %w", i, err)
		}
		t.Revocations = append(t.Revocations, r)
	}
	return nil
}

// roots are the root and those before it.
func (t Trust) roots() Keys { return slices.Concat(rootKeys(t.Root), t.FormerRoots) }

// interval is that in which the key was in use in the log, whether it was revoked later or not: everywhere, where none is stated.
func (k Key) interval(log string) (Interval, bool) {
	if k.Intervals == nil {
		return Interval{}, true
	}
	used, ok := k.Intervals[log]
	return used, ok
}

// Used is the interval of the log in which what the key signed is accepted: that in which it was in use, as far as the root has not revoked it, or the one that let it in. It is false where there is none.
func (t Trust) Used(key Key, log string) (Interval, bool) {
	used, ok := key.interval(log)
	from, _, revoked := t.disbelief(key.ID(), log)
	if !ok || !revoked || used.NotAfter != nil && *used.NotAfter < from {
		return used, ok
	}
	last := from - 1
	used.NotAfter = &last
	return used, used.NotBefore <= last
}

// believed are the keys without those that a revoked key let in.
func (t Trust) believed() Keys {
	var list Keys
	for _, key := range t.Keys {
		cut := func(o outcast) bool { return o.kid == key.ID() && key.Intervals[o.log].NotBefore >= o.from }
		if slices.ContainsFunc(t.outcasts, cut) {
			key.Intervals = maps.Clone(key.Intervals)
			for _, o := range t.outcasts {
				if cut(o) {
					delete(key.Intervals, o.log)
				}
			}
			if len(key.Intervals) == 0 {
				continue
			}
		}
		list = append(list, key)
	}
	return list
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

// Current is the log that no other of the trust file follows; false where that is not one log.
func (t Trust) Current() (current Log, ok bool) {
	for _, log := range t.Logs {
		if slices.ContainsFunc(t.Logs, func(l Log) bool { return l.Follows == log.Origin }) {
			continue
		}
		if ok {
			return Log{}, false
		}
		current, ok = log, true
	}
	return current, ok
}

// follows reports whether one log follows another, at whatever distance, as the trust file says.
func (t Trust) follows(later, earlier string) bool {
	for range t.Logs { // a file whose logs go round says nothing
		log, ok := t.log(later)
		if !ok || log.Follows == "" {
			return false
		}
		if later = log.Follows; later == earlier {
			return true
		}
	}
	return false
}

// policy is that of the trust file, of nobody where it has none.
func (t Trust) policy() (tlog.Policy, error) {
	if t.Policy == "" {
		return tlog.Policy{Quorum: tlog.None}, nil
	}
	policy, err := tlog.ParsePolicy([]byte(t.Policy))
	if err != nil {
		return policy, err
	}
	own := map[string]string{}
	for _, key := range slices.Concat(t.Keys, t.roots()) {
		own[string(key.Public)] = "that signs for the issuer, or its root"
	}
	for _, log := range t.Logs {
		if key, err := log.key(); err == nil {
			own[string(key.Public)] = "of the checkpoints of the log " + log.Origin
		}
	}
	for _, w := range policy.Witnesses {
		if of := own[string(w.Key.Public)]; of != "" {
			return policy, fmt.Errorf("the witness %s of the policy has the key %s: nobody is a witness of what he does himself", w.Name, of)
		}
	}
	return policy, nil
}

// CheckPolicy is why the policy can't be read, or asks somebody to cosign who signs himself.
func (t Trust) CheckPolicy() error {
	_, err := t.policy()
	return err
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
