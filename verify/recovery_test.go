package verify_test

import (
	"crypto/ed25519"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/tlog"
)

// recovery is the first entry of the log b, which follows a, and the trust file that has both.
func recovery(t testing.TB) (verify.RecoveryRecord, verify.Trust) {
	trust := exampleTrust(t)
	trust.Keys = verify.Keys{{Public: signer(t, 1).Public(), Intervals: map[string]verify.Interval{"caio.example.com/b": {NotBefore: 1}}}}
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	vkey := func(origin string) tlog.Key {
		return must(tlog.NewKey(origin, tlog.Ed25519, key.Public().(ed25519.PublicKey)))(t)
	}
	for i := range trust.Logs {
		trust.Logs[i].Key = vkey(trust.Logs[i].Origin).String()
	}
	trust.Logs[0].Follows = trust.Logs[1].Origin
	head := tlog.Checkpoint{Origin: "caio.example.com/a", Size: 7, Root: tlog.LeafHash([]byte("x"))}
	head.Signatures = []tlog.Signature{{Name: head.Origin, ID: vkey(head.Origin).ID(), Bytes: ed25519.Sign(key, head.Body())}}
	return verify.RecoveryRecord{
		RecordHead: verify.RecordHead{V: 1, Tenant: "acme", Log: "caio.example.com/b", IAT: time.Date(2026, 5, 3, 0, 0, 0, 0, time.UTC).Unix()},
		Lost:       head.Origin, Checkpoint: string(head.Encode()), Kept: 5, Key: trust.Logs[1].Key, Why: verify.LostBehind, Actor: "ann", Reason: "the disk\nwas lost",
	}, trust
}

// What the first entry of a log says of the one before comes out, and says what is lost; what it can't have said is refused.
func TestFormer(t *testing.T) {
	record, trust := recovery(t)
	const log = "caio.example.com/b"
	read := func(r verify.RecoveryRecord, index int64) (*verify.Former, error) {
		return trust.Former(log, index, must(signer(t, 1).Sign(verify.TypRecovery, r))(t))
	}
	former, err := read(record, 0)
	root := tlog.LeafHash([]byte("x"))
	if err != nil || former.Log != record.Lost || former.Size != 7 || former.Root != hex.EncodeToString(root[:]) || former.Kept != 5 || !former.Signed || former.Time != "2026-05-03T00:00:00Z" {
		t.Fatalf("%+v, %v", former, err)
	}
	for _, part := range []string{record.Lost, "given up on 2026-05-03T00:00:00Z by ann", "older copy", "7 entries", "signed by its key", "keeps 5", "2 which callers were answered are lost"} {
		if text := former.String(); !strings.Contains(text, part) || strings.Contains(text, "\n") {
			t.Errorf("%q is not in %q", part, text)
		}
	}
	if other, err := trust.Former(log, 0, must(signer(t, 1).Sign(verify.TypFailure, verify.FailureRecord{RecordHead: record.RecordHead}))(t)); other != nil || err != nil {
		t.Errorf("a log that follows none: %+v, %v", other, err)
	}
	headless := record
	headless.Checkpoint, headless.Why = "", ""
	if former, err := read(headless, 0); err != nil || former.Root != "" || !strings.Contains(former.String(), "no head is known") {
		t.Errorf("without a head: %+v, %v", former, err)
	}
	stranger := record
	stranger.Checkpoint = strings.Replace(record.Checkpoint, "\n7\n", "\n8\n", 1)
	if former, err := read(stranger, 0); err != nil || former.Signed || !strings.Contains(former.String(), "not signed by a key") {
		t.Errorf("a head that its key did not sign: %+v, %v", former, err)
	}
	for name, change := range map[string]func(*verify.RecoveryRecord){
		"the head of another log": func(r *verify.RecoveryRecord) { r.Lost = "caio.example.com/c" },
		"a head that is none":     func(r *verify.RecoveryRecord) { r.Checkpoint = "x" },
		"itself":                  func(r *verify.RecoveryRecord) { r.Lost = r.Log },
		"another log's entry":     func(r *verify.RecoveryRecord) { r.Log = "caio.example.com/a" },
		"another version":         func(r *verify.RecoveryRecord) { r.V = 2 },
	} {
		changed := record
		change(&changed)
		if former, err := read(changed, 0); err == nil {
			t.Errorf("%s: %+v", name, former)
		}
	}
	if _, err := read(record, 1); err == nil || !strings.Contains(err.Error(), "first entry") {
		t.Errorf("later than first: %v", err)
	}
	if _, err := trust.Former(log, 0, must(signer(t, 2).Sign(verify.TypRecovery, record))(t)); err == nil {
		t.Error("signed by nobody whom the trust file knows")
	}
}

// A trust file says which of its logs follows which, and so which is in use.
func TestTrustFollows(t *testing.T) {
	_, trust := recovery(t)
	back := must(verify.ParseTrust(must(trust.Encode())(t)))(t)
	if current, ok := back.Current(); !ok || current.Origin != "caio.example.com/b" || current.Follows != "caio.example.com/a" {
		t.Errorf("%+v", back.Logs)
	}
	if _, ok := exampleTrust(t).Current(); ok {
		t.Error("of two logs that say nothing of each other one is in use")
	}
	for name, follows := range map[string][2]string{
		"itself":  {"caio.example.com/b", ""},
		"nothing": {"caio.example.com/c", ""},
	} {
		trust.Logs[0].Follows, trust.Logs[1].Follows = follows[0], follows[1]
		if _, err := trust.Encode(); err == nil {
			t.Errorf("a log that follows %s was written", name)
		}
	}
	trust.Logs = append(trust.Logs, verify.Log{Origin: "caio.example.com/c", Follows: "caio.example.com/a"})
	trust.Logs[0].Follows = "caio.example.com/a"
	if _, err := trust.Encode(); err == nil {
		t.Error("two logs follow one")
	}
}
