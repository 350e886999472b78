package verify_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/tlog"
)

func exampleTrust(t testing.TB) verify.Trust {
	last := int64(99)
	return verify.Trust{
		Issuer: "https://caio.example.com",
		Logs:   []verify.Log{{Origin: "caio.example.com/b"}, {Origin: "caio.example.com/a"}},
		Keys: verify.Keys{
			{Public: signer(t, 2).Public()},
			{Public: signer(t, 1).Public(), Intervals: map[string]verify.Interval{"caio.example.com/a": {NotAfter: &last}, "caio.example.com/b": {NotBefore: 5}}},
		},
	}
}

func TestTrustGolden(t *testing.T) {
	text := must(exampleTrust(t).Encode())(t)
	golden(t, "trust.json", text)
	back := must(verify.ParseTrust(text))(t)
	if again := must(back.Encode())(t); !bytes.Equal(again, text) {
		t.Errorf("got %s", again)
	}
	retired, ok := back.Keys.Find(signer(t, 1).KeyID())
	if !ok || *retired.Intervals["caio.example.com/a"].NotAfter != 99 || retired.Intervals["caio.example.com/b"].NotAfter != nil {
		t.Errorf("%+v", back)
	}
	if _, ok := back.Keys.Find("x"); ok {
		t.Error("found a key that is not there")
	}
}

// The key of a log, the keys of approvers and the policy of witnesses come back as they were written; what is none of these is refused.
func TestTrustOfALog(t *testing.T) {
	trust := exampleTrust(t)
	key := must(tlog.NewKey("caio.example.com/a", tlog.Ed25519, signer(t, 3).Public()))(t)
	trust.Logs[1].Key = key.String()
	trust.Approvers = verify.Keys{{Public: signer(t, 4).Public()}}
	trust.PolicyKeys = []verify.PolicyKey{policyKey(t, "b", 6), policyKey(t, "a", 7)}
	witness := must(tlog.NewKey("witness.example.com", tlog.CosignatureV1, signer(t, 5).Public()))(t)
	trust.Policy = "log " + key.String() + "\nwitness w " + witness.String() + "\nquorum w\n"
	text := must(trust.Encode())(t)
	back := must(verify.ParseTrust(text))(t)
	if again := must(back.Encode())(t); !bytes.Equal(again, text) || back.Logs[0].Key != key.String() || len(back.Approvers) != 1 || len(back.PolicyKeys) != 2 || back.PolicyKeys[1] != trust.PolicyKeys[0] || back.Policy != trust.Policy {
		t.Errorf("%s\n%+v", again, back)
	}
	root := signer(t, chainRoot).Public()
	asWitness := func(public ed25519.PublicKey) string {
		return "witness w " + must(tlog.NewKey("w.example", tlog.CosignatureV1, public))(t).String() + "\nquorum w\n"
	}
	for name, change := range map[string]func(*verify.Trust){
		"the key of another log":    func(t *verify.Trust) { t.Logs[0].Key = key.String() },
		"a witness's key":           func(v *verify.Trust) { v.Logs[1].Key = witness.String() },
		"no key":                    func(t *verify.Trust) { t.Logs[1].Key = "x" },
		"a policy that is none":     func(t *verify.Trust) { t.Policy = "quorum w\n" },
		"the issuer as his witness": func(t *verify.Trust) { t.Policy = asWitness(t.Keys[0].Public) },
		"the log as its witness":    func(t *verify.Trust) { t.Policy = asWitness(key.Public) },
		"the root as a witness":     func(t *verify.Trust) { t.Root, t.Policy = root, asWitness(root) },
		"an approver twice":         func(t *verify.Trust) { t.Approvers = append(t.Approvers, t.Approvers[0]) },
		"a key of policies twice":   func(t *verify.Trust) { t.PolicyKeys = append(t.PolicyKeys[:1:1], t.PolicyKeys[0]) },
		"one without an id": func(t *verify.Trust) {
			t.PolicyKeys = []verify.PolicyKey{{Algorithm: "EdDSA", Public: t.PolicyKeys[0].Public}}
		},
		"one of another algorithm": func(t *verify.Trust) { t.PolicyKeys = []verify.PolicyKey{{"a", "HS256", t.PolicyKeys[0].Public}} },
		"one that is no key":       func(t *verify.Trust) { t.PolicyKeys = []verify.PolicyKey{{"a", "EdDSA", "AAAA"}} },
		"one in another form": func(t *verify.Trust) {
			t.PolicyKeys = []verify.PolicyKey{{"a", "EdDSA", t.PolicyKeys[0].Public + "\n"}}
		},
		"an approver without his key": func(t *verify.Trust) { t.Approvers = verify.Keys{{}} },
	} {
		changed := trust
		changed.Logs = slices.Clone(trust.Logs)
		change(&changed)
		if _, err := changed.Encode(); err == nil {
			t.Errorf("%s was written", name)
		}
	}
}

func policyKey(t testing.TB, id string, seed byte) verify.PolicyKey {
	t.Helper()
	der := must(x509.MarshalPKIXPublicKey(signer(t, seed).Public()))(t)
	key := must(verify.NewPolicyKey(id, "EdDSA", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))))(t)
	if again, err := verify.NewPolicyKey(id, "EdDSA", key.PEM()); err != nil || again != key {
		t.Errorf("%+v: %v", again, err)
	}
	return key
}

func TestParseTrustRefuses(t *testing.T) {
	text := string(must(exampleTrust(t).Encode())(t))
	for name, edit := range map[string][2]string{
		"unknown key":       {`"issuer"`, `"a": 1, "issuer"`},
		"unknown in a key":  {`"alg"`, `"a": 1, "alg"`},
		"duplicate":         {`"issuer"`, `"issuer": "https://caio.example.com", "issuer"`},
		"schema":            {`trust/v1`, `trust/v2`},
		"no issuer":         {`"issuer": "https://caio.example.com"`, `"issuer": ""`},
		"origins unsorted":  {`example.com/a"`, `example.com/c"`},
		"another algorithm": {`"Ed25519",`, `"ES256",`},
		"another curve":     {`"crv": "Ed25519"`, `"crv": "X25519"`},
		"private key":       {`"kid"`, `"d": "AA", "kid"`},
		"use":               {`"sig"`, `"enc"`},
		"interval":          {`"not_before": 5`, `"not_before": -5`},
		"empty interval":    {`"not_after": 99`, `"not_after": -1`},
		"float":             {`"not_after": 99`, `"not_after": 99.0`},
		"kid":               {`"kid": "`, `"kid": "A`},
		"x padded":          {`"x": "`, `"x": "=`},
	} {
		edited := strings.Replace(text, edit[0], edit[1], 1)
		if edited == text {
			t.Errorf("%s: the file no longer holds %s", name, edit[0])
		}
		if _, err := verify.ParseTrust([]byte(edited)); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	none := exampleTrust(t)
	none.Keys = nil
	twice := exampleTrust(t)
	twice.Keys = append(twice.Keys, twice.Keys[0])
	short := exampleTrust(t)
	short.Keys = verify.Keys{{Public: make([]byte, 31)}}
	unused := exampleTrust(t)
	unused.Keys = verify.Keys{{Public: signer(t, 1).Public(), Intervals: map[string]verify.Interval{}}}
	for name, trust := range map[string]verify.Trust{"an unused key": unused, "no key": none, "a key twice": twice, "a short key": short} {
		if _, err := trust.Encode(); err == nil {
			t.Errorf("%s was written", name)
		}
	}
	for _, text := range []string{"", "\x1f\x8b", "not: json"} {
		if _, err := verify.ParseTrust([]byte(text)); err == nil || !strings.Contains(err.Error(), "it is not JSON") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := verify.ParseTrust(bytes.Repeat([]byte(" "), verify.MaxTrustBytes+1)); err == nil {
		t.Error("a huge file was accepted")
	}
}

// What is wrong with an interval is said so that whoever wrote it can mend it.
func TestIntervalsThatHoldNothing(t *testing.T) {
	trust := exampleTrust(t)
	trust.Keys = verify.Keys{{Public: signer(t, 1).Public(), Intervals: map[string]verify.Interval{"log": {NotBefore: 7}}}}
	text := strings.Join(strings.Fields(string(must(trust.Encode())(t))), "")
	for says, intervals := range map[string]string{
		"there is none among them: it was never in use":              `{}`,
		"in the log log is empty: not_before is 5, and not_after 4":  `{"log":{"not_after":4,"not_before":5}}`,
		"in the log log begins at -1, and indices begin at 0":        `{"log":{"not_before":-1}}`,
		"an interval is of a log, by its origin, and one names none": `{"":{"not_before":0}}`,
	} {
		_, err := verify.ParseTrust([]byte(strings.Replace(text, `{"log":{"not_before":7}}`, intervals, 1)))
		if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), signer(t, 1).KeyID()) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}

// What a file says of keys in logs that it doesn't name was never of use.
func TestKeysInLogsThatTheFileDoesNotName(t *testing.T) {
	old, now := exampleTrust(t), exampleTrust(t)
	old.Keys[0].Intervals = map[string]verify.Interval{"caio.example.com/a": {NotBefore: 5}, "theirs": {}}
	old.Keys = append(old.Keys, verify.Key{Public: signer(t, 5).Public(), Intervals: map[string]verify.Interval{"theirs": {}}}, verify.Key{Public: signer(t, 6).Public()})
	now.Keys = old.Keys.In("caio.example.com/a", "caio.example.com/b")
	if len(now.Keys) != len(old.Keys)-1 || len(now.Keys[0].Intervals) != 1 || len(old.Keys[0].Intervals) != 2 {
		t.Errorf("of %+v are left %+v", old.Keys, now.Keys)
	}
	if changes := old.Changes(now); len(changes) > 0 {
		t.Errorf("%+v", changes)
	}
	now.Keys[0].Intervals = nil
	if changes := old.Changes(now); len(changes) != 1 || !changes[0].Loses {
		t.Errorf("%+v", changes)
	}
}

// The points of small order are found here by the curve's equation, -x^2 + y^2 = 1 + d x^2 y^2, as what doubling three times brings to (0, 1), in every encoding that fits into 255 bits.
func TestKeysOfSmallOrderAreRefused(t *testing.T) {
	one := big.NewInt(1)
	p := new(big.Int).Sub(new(big.Int).Lsh(one, 255), big.NewInt(19))
	mod := func(x *big.Int) *big.Int { return x.Mod(x, p) }
	mul := func(a, b *big.Int) *big.Int { return mod(new(big.Int).Mul(a, b)) }
	inv := func(a *big.Int) *big.Int { return new(big.Int).ModInverse(a, p) }
	d := mul(new(big.Int).Neg(big.NewInt(121665)), inv(big.NewInt(121666)))
	// y of 2P: (y^2 + x^2) / (2 - y^2 + x^2), with x^2 = (y^2 - 1) / (d y^2 + 1).
	double := func(y *big.Int) *big.Int {
		yy := mul(y, y)
		xx := mul(mod(new(big.Int).Sub(yy, one)), inv(mod(new(big.Int).Add(mul(d, yy), one))))
		bottom := mod(new(big.Int).Add(new(big.Int).Sub(big.NewInt(2), yy), xx))
		return mul(mod(new(big.Int).Add(yy, xx)), inv(bottom))
	}
	// Points of order 8 double to y = 0: y^2 = -x^2, so d y^4 + 2 y^2 - 1 = 0.
	candidates := []*big.Int{big.NewInt(0), big.NewInt(1), new(big.Int).Sub(p, one)}
	root := new(big.Int).ModSqrt(mod(new(big.Int).Add(d, one)), p)
	for _, r := range []*big.Int{root, new(big.Int).Sub(p, root)} {
		if y := new(big.Int).ModSqrt(mul(mod(new(big.Int).Sub(r, one)), inv(d)), p); y != nil {
			candidates = append(candidates, y, new(big.Int).Sub(p, y))
		}
	}
	if len(candidates) != 5 {
		t.Fatalf("found %d", len(candidates))
	}
	for _, y := range candidates {
		if double(double(double(y))).Cmp(one) != 0 {
			t.Errorf("%d is not of small order", y)
		}
		for encoded := new(big.Int).Set(y); encoded.BitLen() <= 255; encoded.Add(encoded, p) {
			for _, sign := range []byte{0, 0x80} {
				key := encoded.FillBytes(make([]byte, 32))
				slices.Reverse(key)
				key[31] |= sign
				trust := exampleTrust(t)
				trust.Keys = verify.Keys{{Public: key}}
				if _, err := trust.Encode(); err == nil {
					t.Errorf("%s was accepted", hex.EncodeToString(key))
				}
			}
		}
	}
}

func FuzzParseTrust(f *testing.F) {
	f.Add(must(exampleTrust(f).Encode())(f))
	changed := revokingTrust(f)
	changed.Root, changed.FormerRoots = signer(f, 8).Public(), formerRoot(f, changed.Root)
	changed.Logs[0].Follows = changed.Logs[1].Origin
	f.Add(must(changed.Encode())(f))
	f.Fuzz(func(t *testing.T, text []byte) {
		trust, err := verify.ParseTrust(text)
		if err != nil {
			return
		}
		again := must(trust.Encode())(t)
		if squeezed := func(text []byte) string { return strings.Join(strings.Fields(string(text)), "") }; squeezed(again) != squeezed(text) {
			t.Fatalf("accepted %s, which is written %s", text, again)
		}
	})
}
