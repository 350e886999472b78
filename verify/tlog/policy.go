package tlog

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MaxPolicyBytes bounds a policy.
const MaxPolicyBytes = 64 << 10

// ErrQuorum is why a checkpoint is not enough for a policy.
var ErrQuorum = errors.New("the policy asks for more")

// None is the quorum that asks for no cosignature.
const None = "none"

// Policy says whose checkpoints count and which witnesses must have cosigned them (C2SP tlog-policy).
//
//	log <vkey> [<url>]
//	witness <name> <vkey> [<url>]
//	group <name> any|all|<number> <name>...
//	quorum <name>|none
type Policy struct {
	Logs      []PolicyLog // none: the log is known from elsewhere
	Witnesses []Witness
	Groups    []Group // a group comes after its members
	Quorum    string  // the name of a witness or a group, or [None]
}

// PolicyLog is a log whose checkpoints count.
type PolicyLog struct {
	Key Key
	URL string
}

// Witness is one that a policy knows, under a name that means nothing elsewhere. The URL is where checkpoints are submitted to it.
type Witness struct {
	Name string
	Key  Key
	URL  string
}

// Group has cosigned when Need of its members have, each a witness or a group.
type Group struct {
	Name    string
	Need    int
	Members []string
}

// Encode writes the policy without comments, in the order logs, witnesses, groups, quorum.
func (p Policy) Encode() []byte {
	var text []byte
	line := func(items ...string) {
		text = append(append(text, strings.TrimRight(strings.Join(items, " "), " ")...), '\n')
	}
	for _, l := range p.Logs {
		line("log", l.Key.String(), l.URL)
	}
	for _, w := range p.Witnesses {
		line("witness", w.Name, w.Key.String(), w.URL)
	}
	for _, g := range p.Groups {
		line(append([]string{"group", g.Name, strconv.Itoa(g.Need)}, g.Members...)...)
	}
	line("quorum", p.Quorum)
	return text
}

// ParsePolicy reads a policy. The error says in which line it is wrong, and wraps [ErrMalformed].
func ParsePolicy(text []byte) (Policy, error) {
	if len(text) > MaxPolicyBytes {
		return Policy{}, malformed("policy", "%d bytes, at most %d", len(text), MaxPolicyBytes)
	}
	r := policyReader{free: map[string]bool{}, keys: map[string]bool{}}
	for i, line := range strings.Split(string(text), "\n") {
		if err := r.line(line); err != nil {
			return Policy{}, malformed("policy", "line %d: %v", i+1, err)
		}
	}
	if r.Quorum == "" {
		return Policy{}, malformed("policy", "no quorum line: 'quorum none' asks for no witness")
	}
	return r.Policy, nil
}

// policyReader is what was read of a policy so far.
type policyReader struct {
	Policy
	free map[string]bool // names that are defined: true while no group has them for a member
	keys map[string]bool // "log" or "witness" and the public key
}

func (r *policyReader) line(line string) error {
	for _, b := range []byte(line) {
		if b < ' ' && b != '\t' || b == 0x7f {
			return fmt.Errorf("the byte %#02x", b)
		}
	}
	items := strings.FieldsFunc(line, func(c rune) bool { return c == ' ' || c == '\t' })
	if len(items) == 0 || strings.HasPrefix(items[0], "#") {
		return nil
	}
	switch kind, rest := items[0], items[1:]; kind {
	case "log":
		return r.log(rest)
	case "witness":
		return r.witness(rest)
	case "group":
		return r.group(rest)
	case "quorum":
		return r.quorum(rest)
	default:
		return fmt.Errorf("%.80q is none of log, witness, group, quorum", kind)
	}
}

func (r *policyReader) log(items []string) error {
	if len(items) < 1 || len(items) > 2 {
		return errors.New("it is: log <vkey> [<url>]")
	}
	key, err := r.key("log", items[0], Ed25519)
	if err == nil {
		r.Logs = append(r.Logs, PolicyLog{key, strings.Join(items[1:], "")})
	}
	return err
}

func (r *policyReader) witness(items []string) error {
	if len(items) < 2 || len(items) > 3 {
		return errors.New("it is: witness <name> <vkey> [<url>]")
	}
	key, err := r.key("witness", items[1], CosignatureV1)
	if err != nil {
		return err
	}
	r.Witnesses = append(r.Witnesses, Witness{items[0], key, strings.Join(items[2:], "")})
	return r.define(items[0])
}

func (r *policyReader) group(items []string) error {
	if len(items) < 3 {
		return errors.New("it is: group <name> any|all|<number>, and one member or more")
	}
	g := Group{Name: items[0], Members: items[2:]}
	switch threshold := items[1]; threshold {
	case "any":
		g.Need = 1
	case "all":
		g.Need = len(g.Members)
	default:
		n, err := strconv.Atoi(threshold)
		if err != nil || strconv.Itoa(n) != threshold || n < 1 || n > len(g.Members) {
			return fmt.Errorf("%.80q is not any, all or a number from 1 to %d", threshold, len(g.Members))
		}
		g.Need = n
	}
	for _, member := range g.Members {
		free, defined := r.free[member]
		switch {
		case !defined:
			return fmt.Errorf("%.80q is no witness or group of the lines before", member)
		case !free:
			return fmt.Errorf("%.80q is a member already: it would count twice", member)
		}
		r.free[member] = false
	}
	r.Groups = append(r.Groups, g)
	return r.define(g.Name)
}

func (r *policyReader) quorum(items []string) error {
	if len(items) != 1 {
		return errors.New("it is: quorum <name>, or quorum none")
	}
	if r.Quorum != "" {
		return errors.New("a second quorum line")
	}
	if _, defined := r.free[items[0]]; !defined && items[0] != None {
		return fmt.Errorf("%.80q is no witness or group of the lines before", items[0])
	}
	r.Quorum = items[0]
	return nil
}

// define takes a name for a witness or a group.
func (r *policyReader) define(name string) error {
	if _, defined := r.free[name]; defined || name == None {
		return fmt.Errorf("the name %.80q is taken", name)
	}
	r.free[name] = true
	return nil
}

func (r *policyReader) key(kind, vkey string, algorithm Algorithm) (Key, error) {
	key, err := ParseKey(vkey)
	if err != nil {
		return Key{}, err
	}
	if key.Algorithm != algorithm {
		return Key{}, fmt.Errorf("the key of a %s has algorithm %d, this one has %d", kind, algorithm, key.Algorithm)
	}
	id := kind + string(key.Public)
	if r.keys[id] {
		return Key{}, fmt.Errorf("another %s has the same public key", kind)
	}
	r.keys[id] = true
	return key, nil
}

// Keys are those of the logs and the witnesses, for [Checkpoint.Verify].
func (p Policy) Keys() []Key {
	var keys []Key
	for _, l := range p.Logs {
		keys = append(keys, l.Key)
	}
	for _, w := range p.Witnesses {
		keys = append(keys, w.Key)
	}
	return keys
}

// Asked are the names of the witnesses that the quorum counts on, directly or in a group; a policy may name others too.
func (p Policy) Asked() (list []string) {
	counts := map[string]bool{p.Quorum: true}
	for _, g := range slices.Backward(p.Groups) { // a group comes after its members
		if counts[g.Name] {
			for _, member := range g.Members {
				counts[member] = true
			}
		}
	}
	for _, w := range p.Witnesses {
		if counts[w.Name] {
			list = append(list, w.Name)
		}
	}
	return list
}

// Quorum is what the cosignatures on one checkpoint show.
type Quorum struct {
	Witnesses []string // that cosigned, as the policy names them and in its order
	Groups    []string // that reached their number, likewise

	// By is the first time at which a quorum had cosigned: every entry of the checkpoint was in the log by then.
	// Since is the last time such that a quorum cosigned then or later: until then, witnesses enough for a quorum had seen no larger tree, hence no entry beyond the checkpoint.
	// Both are zero if the policy asks for no cosignature.
	By, Since time.Time
}

// Satisfied holds what [Checkpoint.Verify] found against the policy. The error wraps [ErrQuorum].
func (p Policy) Satisfied(verified []Verified) (Quorum, error) {
	if err := p.acceptsLog(verified); err != nil {
		return Quorum{}, err
	}
	cosigned := map[string]time.Time{} // by name of the witness
	var q Quorum
	for _, w := range p.Witnesses {
		if i := slices.IndexFunc(verified, func(v Verified) bool { return v.Key.String() == w.Key.String() }); i >= 0 {
			cosigned[w.Name] = verified[i].Time
			q.Witnesses = append(q.Witnesses, w.Name)
		}
	}
	reached := p.reached(cosigned, func(time.Time) bool { return true })
	for _, g := range p.Groups {
		if reached[g.Name] {
			q.Groups = append(q.Groups, g.Name)
		}
	}
	if p.Quorum == None {
		return q, nil
	}
	if !reached[p.Quorum] {
		by := "nobody whom it names"
		if q.Witnesses != nil {
			by = strings.Join(q.Witnesses, ", ")
		}
		return Quorum{}, fmt.Errorf("%w: the quorum %q is not reached, cosigned by %s", ErrQuorum, p.Quorum, by)
	}
	for _, at := range cosigned {
		if (q.By.IsZero() || at.Before(q.By)) && p.reached(cosigned, func(t time.Time) bool { return !t.After(at) })[p.Quorum] {
			q.By = at
		}
		if at.After(q.Since) && p.reached(cosigned, func(t time.Time) bool { return !t.Before(at) })[p.Quorum] {
			q.Since = at
		}
	}
	return q, nil
}

// acceptsLog says whether a log that the policy lists signed, if it lists any.
func (p Policy) acceptsLog(verified []Verified) error {
	for _, l := range p.Logs {
		for _, v := range verified {
			if v.Key.String() == l.Key.String() {
				return nil
			}
		}
	}
	if len(p.Logs) > 0 {
		return fmt.Errorf("%w: signed by none of its logs", ErrQuorum)
	}
	return nil
}

// reached are the names of the witnesses that cosigned at a time that counts, and of the groups that these make up.
func (p Policy) reached(cosigned map[string]time.Time, counts func(time.Time) bool) map[string]bool {
	names := map[string]bool{}
	for name, at := range cosigned {
		names[name] = counts(at)
	}
	for _, g := range p.Groups {
		n := 0
		for _, member := range g.Members {
			if names[member] {
				n++
			}
		}
		names[g.Name] = n >= g.Need
	}
	return names
}
