package verify_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/verify"
)

const chainLog, chainTenant = "log", "acme"

// said is a key entry as it stands at an index: who says what of whom. Signers are numbers of the fixture; 9 is the root, and 8 the one before it.
type said struct {
	index   int64
	by      byte
	kind    string // of a key record, or revoked
	subject byte
	from    int64
}

const chainRoot = 9

func (e said) entry(t testing.TB) (string, []byte) {
	subject := signer(t, e.subject)
	if e.kind == "revoked" {
		return verify.TypRevocation, must(signer(t, e.by).Sign(verify.TypRevocation, verify.RevocationRecord{V: 1, Log: chainLog, KID: subject.KeyID(), From: e.from, Reason: "stolen"}))(t)
	}
	head := verify.RecordHead{V: 1, Tenant: chainTenant, Log: chainLog, Base: e.index}
	if e.by == chainRoot || e.by == chainRoot-1 {
		head.Tenant, head.Base = "", e.from
	}
	record := verify.KeyRecord{RecordHead: head, Kind: e.kind, KID: subject.KeyID(), X: base64.RawURLEncoding.EncodeToString(subject.Public())}
	return verify.TypKey, must(signer(t, e.by).Sign(verify.TypKey, record))(t)
}

// follow reads entries; the error says which one was refused.
func follow(t testing.TB, list []said) (*verify.KeyChain, error) {
	chain := verify.NewKeyChain(chainTenant, chainLog, signer(t, chainRoot).Public())
	if err := followInto(t, chain, list); err != nil {
		return nil, err
	}
	_, err := chain.Keys()
	return chain, err
}

func followInto(t testing.TB, chain *verify.KeyChain, list []said) error {
	for _, e := range list {
		typ, leaf := e.entry(t)
		if err := chain.Follow(e.index, typ, leaf); err != nil {
			return fmt.Errorf("at %d: %w", e.index, err)
		}
	}
	return nil
}

// begun is a log in which 1 let in 2 at 10.
var begun = []said{{0, 1, "activated", 1, 0}, {10, 1, "activated", 2, 0}, {11, 1, "retired", 1, 0}, {12, 2, "succeeds", 1, 0}}

func TestKeyChain(t *testing.T) {
	for name, test := range map[string]struct {
		more []said
		says string // of the refusal
		last byte
		// The keys that are believed, as signer: [first, last].
		sound string
	}{
		"handed over":                      {nil, "", 2, "1:[0,11] 2:[10,]"},
		"there and back":                   {[]said{{20, 2, "activated", 1, 0}, {21, 2, "retired", 2, 0}, {22, 1, "succeeds", 2, 0}}, "", 1, "1:[0,] 2:[10,21]"},
		"the root lets in":                 {[]said{{20, 9, "activated", 3, 15}, {21, 3, "succeeds", 2, 0}}, "", 3, "1:[0,11] 2:[10,21] 3:[20,]"},
		"the root lets in too early":       {[]said{{20, 9, "activated", 3, 25}}, "the index 25", 0, ""},
		"the root, and no word of the key": {[]said{{20, 9, "activated", 3, 0}}, "without saying from which", 0, ""},
		"no word of the key":               {[]said{{20, 2, "activated", 3, 0}, {21, 2, "retired", 2, 0}}, "without saying from which", 0, ""},
		"a word before the retirement":     {[]said{{20, 2, "activated", 3, 0}, {21, 3, "succeeds", 2, 0}}, "can't say", 0, ""},
		"a word on another":                {[]said{{20, 2, "activated", 3, 0}, {21, 2, "retired", 2, 0}, {22, 3, "succeeds", 1, 0}}, "can't say", 0, ""},
		"a retired key lets in":            {[]said{{20, 1, "activated", 3, 0}}, "can't say", 0, ""},
		"a key that nobody let in":         {[]said{{20, 3, "activated", 3, 0}}, "does not hold", 0, ""},
		"the last retires itself":          {[]said{{20, 2, "retired", 2, 0}}, "can't say", 0, ""},
		"revoked later":                    {[]said{{20, 9, "revoked", 1, 11}}, "", 2, "1:[0,10] 2:[10,]"},
		"revoked before it let in":         {[]said{{20, 9, "revoked", 1, 10}}, "", 2, "1:[0,9]"},
		"revoked from the beginning":       {[]said{{20, 9, "revoked", 1, 0}}, "", 2, ""},
		"revoked twice":                    {[]said{{20, 9, "revoked", 1, 11}, {21, 9, "revoked", 1, 5}}, "", 2, "1:[0,4]"},
		"what it let in let in":            {[]said{{20, 2, "activated", 3, 0}, {21, 2, "retired", 2, 0}, {22, 3, "succeeds", 2, 0}, {23, 9, "revoked", 1, 10}}, "", 3, "1:[0,9]"},
		"mended by the root":               {[]said{{20, 9, "activated", 3, 0}, {21, 3, "succeeds", 2, 0}, {22, 9, "revoked", 1, 10}}, "", 3, "1:[0,9] 3:[20,]"},
		"a revoked key lets in":            {[]said{{20, 9, "revoked", 2, 20}, {21, 2, "activated", 3, 0}}, "can't say", 0, ""},
		"a key that will be revoked":       {[]said{{20, 9, "revoked", 2, 30}, {21, 2, "activated", 3, 0}, {22, 2, "retired", 2, 0}, {23, 3, "succeeds", 2, 0}}, "", 3, "1:[0,11] 2:[10,22] 3:[21,]"},
		"in place of a revoked key":        {[]said{{20, 9, "revoked", 2, 20}, {21, 9, "activated", 3, 0}, {22, 3, "succeeds", 2, 0}}, "", 3, "1:[0,11] 2:[10,19] 3:[21,]"},
		"a revoked key comes back":         {[]said{{20, 9, "revoked", 1, 11}, {21, 2, "activated", 1, 0}}, "can't say", 0, ""},
		"a revoked key comes back by root": {[]said{{20, 9, "revoked", 1, 11}, {21, 9, "activated", 1, 0}}, "can't say", 0, ""},
		"revoked by the last key":          {[]said{{20, 2, "revoked", 1, 0}}, "which the root alone can sign", 0, ""},
		"revoked by itself":                {[]said{{20, 1, "revoked", 1, 0}}, "which the root alone can sign", 0, ""},
		"a revocation twice":               {[]said{{20, 9, "revoked", 1, 11}, {21, 9, "revoked", 1, 11}}, "twice", 0, ""},
		"a word of the root twice":         {[]said{{20, 9, "activated", 3, 0}, {21, 3, "succeeds", 2, 0}, {22, 3, "activated", 4, 0}, {23, 3, "retired", 3, 0}, {24, 4, "succeeds", 3, 0}, {25, 9, "activated", 3, 0}}, "twice", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			chain, err := follow(t, append(slices.Clone(begun), test.more...))
			if test.says != "" || err != nil {
				if err == nil || test.says == "" || !strings.Contains(strings.ReplaceAll(err.Error(), "that the trust file does not hold", "does not hold"), test.says) {
					t.Fatalf("%v, want %q", err, test.says)
				}
				return
			}
			if chain.Last() != signer(t, test.last).KeyID() {
				t.Errorf("the last is %s", chain.Last())
			}
			if got := believed(t, chain); got != test.sound {
				t.Errorf("%s, want %s", got, test.sound)
			}
		})
	}
}

// believed writes the keys that are left, with the intervals that the revocations leave.
func believed(t testing.TB, chain *verify.KeyChain) string {
	keys := must(chain.Sound())(t)
	trust := verify.Trust{Keys: keys, Revocations: chain.Revocations()}
	var list []string
	for n := byte(1); n < 9; n++ {
		key, ok := keys.Find(signer(t, n).KeyID())
		if !ok {
			continue
		}
		if in, ok := trust.Used(key, chainLog); ok {
			last := ""
			if in.NotAfter != nil {
				last = fmt.Sprint(*in.NotAfter)
			}
			list = append(list, fmt.Sprintf("%d:[%d,%s]", n, in.NotBefore, last))
		}
	}
	return strings.Join(list, " ")
}

func TestKeyChainBegins(t *testing.T) {
	for name, first := range map[string]said{"of itself": {0, 1, "activated", 1, 0}, "of another": {0, 2, "activated", 1, 0}, "of the root": {0, 9, "activated", 1, 0}, "at its end": {0, 1, "retired", 1, 0}} {
		if _, err := follow(t, []said{first}); (err == nil) != (name == "of itself") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Without a pinned root nobody is the root.
	chain := verify.NewKeyChain(chainTenant, chainLog, nil)
	for i, e := range append(slices.Clone(begun), said{20, 9, "revoked", 1, 0}) {
		typ, leaf := e.entry(t)
		if err := chain.Follow(e.index, typ, leaf); (err == nil) != (i < len(begun)) {
			t.Errorf("%d: %v", i, err)
		}
	}
	// An entry of another log, of another tenant, and another's key under a kid.
	for name, change := range map[string]func(*verify.KeyRecord){
		"log":    func(r *verify.KeyRecord) { r.Log = "x" },
		"tenant": func(r *verify.KeyRecord) { r.Tenant = "x" },
		"base":   func(r *verify.KeyRecord) { r.Base = 21 },
		"key":    func(r *verify.KeyRecord) { r.X = base64.RawURLEncoding.EncodeToString(signer(t, 4).Public()) },
		"v":      func(r *verify.KeyRecord) { r.V = 2 },
	} {
		chain := must(follow(t, begun))(t)
		three := signer(t, 3)
		r := verify.KeyRecord{RecordHead: verify.RecordHead{V: 1, Tenant: chainTenant, Log: chainLog, Base: 20}, Kind: verify.KeyActivated, KID: three.KeyID(), X: base64.RawURLEncoding.EncodeToString(three.Public())}
		change(&r)
		if err := chain.Follow(20, verify.TypKey, must(signer(t, 2).Sign(verify.TypKey, r))(t)); err == nil {
			t.Errorf("another %s was taken", name)
		}
	}
}

// What a root of before said counts up to its last word, for a reader who knows which that was; a server that begins to follow another one takes it anywhere, and tells where it was.
func TestKeyChainUnderFormerRoots(t *testing.T) {
	const before = chainRoot - 1
	upTo := func(n int64) *int64 { return &n }
	list := append(slices.Clone(begun), said{20, before, "activated", 3, 0}, said{21, 3, "succeeds", 2, 0}, said{22, before, "revoked", 1, 11}, said{30, 9, "activated", 4, 0}, said{31, 4, "succeeds", 3, 0})
	for name, test := range map[string]struct {
		former []verify.Key
		says   string
	}{
		"a server":                   {[]verify.Key{{Public: signer(t, before).Public()}}, ""},
		"a reader":                   {[]verify.Key{{Public: signer(t, before).Public(), Intervals: map[string]verify.Interval{chainLog: {NotBefore: 20, NotAfter: upTo(22)}}}}, ""},
		"its last word was before":   {[]verify.Key{{Public: signer(t, before).Public(), Intervals: map[string]verify.Interval{chainLog: {NotBefore: 20, NotAfter: upTo(21)}}}}, "at 22: the root"},
		"its last word was long ago": {[]verify.Key{{Public: signer(t, before).Public(), Intervals: map[string]verify.Interval{chainLog: {NotAfter: upTo(5)}}}}, "at 20: the root"},
		"of another log":             {[]verify.Key{{Public: signer(t, before).Public(), Intervals: map[string]verify.Interval{"x": {}}}}, "at 20: the root"},
		"nobody":                     {nil, "at 20: signed by a key"},
	} {
		chain := verify.NewKeyChain(chainTenant, chainLog, signer(t, chainRoot).Public(), test.former...)
		err := followInto(t, chain, list)
		if (test.says == "") != (err == nil) || err != nil && !strings.HasPrefix(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q", name, err, test.says)
		}
		if err != nil {
			continue
		}
		words := chain.Words()
		if in := words[signer(t, before).KeyID()]; in.String() != "from 20 to 22" || words[signer(t, chainRoot).KeyID()].String() != "from 30 to 30" || len(words) != 2 {
			t.Errorf("%s: they spoke at %v", name, words)
		}
		if got := believed(t, chain); got != "1:[0,10] 2:[10,21] 3:[20,31] 4:[30,]" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// Entries of any bytes are refused or read, and a chain that was refused something did not take it.
func FuzzKeyChain(f *testing.F) {
	const before = chainRoot - 1
	last := int64(30)
	root, former := signer(f, chainRoot).Public(), verify.Key{Public: signer(f, before).Public(), Intervals: map[string]verify.Interval{chainLog: {NotBefore: 15, NotAfter: &last}}}
	type entry struct {
		index int64
		typ   string
		leaf  []byte
	}
	var list []entry
	for _, e := range append(slices.Clone(begun), said{20, chainRoot, "activated", 3, 0}, said{20, chainRoot, "revoked", 1, 5}, said{20, before, "activated", 3, 0}, said{20, before, "revoked", 2, 5}) {
		typ, leaf := e.entry(f)
		f.Add(typ == verify.TypRevocation, leaf)
		list = append(list, entry{e.index, typ, leaf})
	}
	list = list[:len(begun)]
	f.Fuzz(func(t *testing.T, revocation bool, leaf []byte) {
		chain := verify.NewKeyChain(chainTenant, chainLog, root, former)
		for _, e := range list {
			if err := chain.Follow(e.index, e.typ, e.leaf); err != nil {
				t.Fatal(err)
			}
		}
		typ := verify.TypKey
		if revocation {
			typ = verify.TypRevocation
		}
		if err := chain.Follow(20, typ, leaf); err != nil {
			if chain.Last() != signer(t, 2).KeyID() || believed(t, chain) != "1:[0,11] 2:[10,]" || len(chain.Words()) > 0 {
				t.Fatalf("refused with %v, and taken: %q", err, leaf)
			}
		}
	})
}
