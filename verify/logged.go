package verify

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/smarthausgroup/caio/contracts/canonical"
	"github.com/smarthausgroup/caio/verify/tlog"
)

// LoggedEntry is an entry of the log besides the decision: its leaf, and its receipt, a C2SP tlog-proof under the same checkpoint as that of the statement. It is one that put something in force that the decision read, or says what came of the decision.
type LoggedEntry struct {
	Index   int64
	JWS     []byte // compact
	Receipt []byte // tlog-proof@v1
}

// Earlier is a checkpoint of the decision's log, earlier than the receipt's, with the proof that the receipt's extends it. Evidence has two at most: the last that was cosigned before the decision was in the log, and the first that was cosigned with it. Their times bracket the decision's (spec/proof.md, "The log").
//
//	caio.earlier/v1
//	<base64 of a hash of the consistency proof>, as many as there are
//
//	<the checkpoint>
type Earlier struct {
	Hashes     []tlog.Hash
	Checkpoint tlog.Checkpoint
}

const earlierHeader = "caio.earlier/v1"

// Encode writes e.
func (e Earlier) Encode() []byte {
	text := []byte(earlierHeader + "\n")
	for _, hash := range e.Hashes {
		text = append(standard.AppendEncode(text, hash[:]), '\n')
	}
	return append(append(text, '\n'), e.Checkpoint.Encode()...)
}

// maxEarlierHashes is more than any consistency proof has.
const maxEarlierHashes = 128

// MaxEarlierBytes bounds what [ParseEarlier] looks at.
const MaxEarlierBytes = tlog.MaxCheckpointBytes + 64*(maxEarlierHashes+2)

// ParseEarlier reads what [Earlier.Encode] writes, and nothing else. It verifies nothing.
func ParseEarlier(text []byte) (Earlier, error) {
	var e Earlier
	head, rest, found := strings.Cut(string(text), "\n\n")
	lines := strings.Split(head, "\n")
	if !found || lines[0] != earlierHeader || len(lines) > 1+maxEarlierHashes || len(text) > MaxEarlierBytes {
		return e, fmt.Errorf("an earlier checkpoint begins with %q and at most %d hashes", earlierHeader, maxEarlierHashes)
	}
	for i, line := range lines[1:] {
		raw, err := standard.DecodeString(line)
		if err != nil || len(raw) != len(tlog.Hash{}) {
			return Earlier{}, fmt.Errorf("line %d is no hash in base64", i+2)
		}
		e.Hashes = append(e.Hashes, tlog.Hash(raw))
	}
	var err error
	if e.Checkpoint, err = tlog.ParseCheckpoint([]byte(rest)); err == nil && string(e.Encode()) != string(text) {
		err = errors.New("a hash has another form too")
	}
	return e, err
}

// files are the entries of the archive that hold what the log says, in their order.
func (ev *Evidence) files() []entry {
	var files []entry
	for _, e := range ev.Entries {
		name := folderEntries + strconv.FormatInt(e.Index, 10)
		files = append(files, entry{name + suffixJWS, e.JWS}, entry{name + suffixReceipt, e.Receipt})
	}
	return files
}

// parseLogged reads a file of an entry: its leaf, or the receipt that stands behind it.
func (ev *Evidence) parseLogged(file string, text []byte) error {
	number, receipt := strings.CutSuffix(file, suffixReceipt)
	if !receipt {
		var leaf bool
		if number, leaf = strings.CutSuffix(file, suffixJWS); !leaf {
			return errors.New("an entry has a leaf and a receipt, and nothing else")
		}
	}
	index, err := strconv.ParseInt(number, 10, 64)
	if err != nil || index < 0 || strconv.FormatInt(index, 10) != number {
		return errors.New("it is not named by an index")
	}
	last := len(ev.Entries) - 1
	switch {
	case !receipt && (last < 0 || ev.Entries[last].Index < index && ev.Entries[last].Receipt != nil):
		ev.Entries = append(ev.Entries, LoggedEntry{Index: index, JWS: text})
	case receipt && last >= 0 && ev.Entries[last].Index == index && ev.Entries[last].Receipt == nil:
		ev.Entries[last].Receipt = text
	default:
		return errors.New("entries stand in order of index, each leaf before its receipt")
	}
	return nil
}

// record is what an entry says, as far as the layers read it.
type record struct {
	LoggedEntry
	RecordHead
	RegistryMark
	typ        string
	fold       func(*Registry) error // of one about a service
	settings   SettingsRecord
	activation ActivationRecord
	outcome    OutcomeRecord
	pending    bool  // a contract that awaits its approval
	unbelieved error // why nothing that its key signed at its place is to be believed; nil if it is
	used       bool
}

// readRecord verifies an entry under a trusted key that was in use at its index.
func readRecord(e LoggedEntry, trust Trust) (*record, error) {
	r := &record{LoggedEntry: e}
	typ, err := TypOf(e.JWS)
	if err != nil {
		return nil, err
	}
	r.typ = typ
	var key Key
	keys := trust.Keys
	switch typ {
	case TypContract:
		var c ContractRecord
		key, err = Verify(typ, e.JWS, keys, &c)
		r.RecordHead, r.RegistryMark = c.RecordHead, c.RegistryMark
		r.pending = c.Pending && c.Kind == KindRegistered
		r.fold = func(registry *Registry) error { return registry.Contract(c) }
	case TypAttestation:
		var a AttestationEntry
		key, err = Verify(typ, e.JWS, keys, &a)
		r.RecordHead, r.RegistryMark = a.RecordHead, a.RegistryMark
		r.fold = func(registry *Registry) error { registry.Attestation(a); return nil }
	case TypGrant:
		var g GrantRecord
		key, err = Verify(typ, e.JWS, keys, &g)
		r.RecordHead, r.RegistryMark = g.RecordHead, g.RegistryMark
		r.fold = func(registry *Registry) error { return registry.Grant(g) }
	case TypSettings:
		key, err = Verify(typ, e.JWS, keys, &r.settings)
		r.RecordHead = r.settings.RecordHead
	case TypActivation:
		key, err = Verify(typ, e.JWS, keys, &r.activation)
		r.RecordHead = r.activation.RecordHead
	case TypOutcome:
		key, err = Verify(typ, e.JWS, keys, &r.outcome)
		r.RecordHead = r.outcome.RecordHead
	default:
		err = fmt.Errorf("an entry of the type %s puts nothing in force, and says nothing of what came of a decision", typ)
	}
	if err == nil {
		err = trust.inUse(key, r.Log, e.Index)
	}
	return r, err
}

// inUse is why the key was not, at that place.
func (t Trust) inUse(key Key, log string, index int64) error {
	if from, why, revoked := t.disbelief(key.ID(), log); revoked && index >= from {
		return &Unbelieved{KID: key.ID(), From: from, Index: index, Why: why}
	}
	in, ok := t.Used(key, log)
	if !ok || index < in.NotBefore || in.NotAfter != nil && index > *in.NotAfter {
		return fmt.Errorf("the key %s was not in use at index %d of the log %s", key.ID(), index, log)
	}
	return nil
}

// belongs is why a record is not one of d's log at its index.
func (r *record) belongs(d *Document) error {
	if r.V != 1 || r.Tenant != d.Tenant || r.Log != d.Log || r.Base > r.Index {
		return fmt.Errorf("it was signed for another place: version %d, tenant %q, log %q, after %d entries", r.V, r.Tenant, r.Log, r.Base)
	}
	return nil
}

// TypOf is the `typ` that a compact JWS claims. Nothing of it is verified.
func TypOf(compact []byte) (string, error) {
	parts, err := splitJWS(compact)
	if err != nil {
		return "", err
	}
	var head header
	if err := canonical.Decode(parts[0], &head); err != nil {
		return "", fmt.Errorf("%w: header: %w", ErrMalformed, err)
	}
	return head.Typ, nil
}
