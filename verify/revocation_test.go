package verify_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/verify"
)

func revocation(t testing.TB, log string, key byte, from int64) verify.Revocation {
	root := signer(t, chainRoot)
	jws := must(root.Sign(verify.TypRevocation, verify.RevocationRecord{V: 1, Log: log, KID: signer(t, key).KeyID(), From: from, Reason: "stolen"}))(t)
	return must(verify.ParseRevocation(root.Public(), string(jws)))(t)
}

func revokingTrust(t testing.TB) verify.Trust {
	trust := exampleTrust(t)
	trust.Root = signer(t, chainRoot).Public()
	trust.Revocations = []verify.Revocation{revocation(t, trust.Logs[1].Origin, 1, 40), revocation(t, trust.Logs[0].Origin, 1, 7), revocation(t, trust.Logs[0].Origin, 2, 0)}
	return trust
}

// Revocations travel in the trust file with the root's signature, and are read under the pinned root alone.
func TestRevocationsInTheTrustFile(t *testing.T) {
	trust := revokingTrust(t)
	text := must(trust.Encode())(t)
	back := must(verify.ParseTrust(text))(t)
	if again := must(back.Encode())(t); !bytes.Equal(again, text) || len(back.Revocations) != 3 || !back.Root.Equal(trust.Root) {
		t.Errorf("read %+v", back)
	}
	one, _ := back.Keys.Find(signer(t, 1).KeyID())
	if in, ok := back.Used(one, "caio.example.com/a"); !ok || *in.NotAfter != 39 {
		t.Errorf("%+v %v", in, ok)
	}
	two, _ := back.Keys.Find(signer(t, 2).KeyID())
	if in, ok := back.Used(two, "caio.example.com/b"); ok {
		t.Errorf("%+v", in)
	}
	if in, ok := back.Used(two, "caio.example.com/a"); !ok || in.NotAfter != nil {
		t.Errorf("%+v %v", in, ok)
	}
	other := trust
	other.Root = signer(t, 8).Public()
	none := trust
	none.Root = nil
	twice := trust
	twice.Revocations = append(twice.Revocations, twice.Revocations[0])
	formerAlone, both := trust, trust
	formerAlone.Root, formerAlone.FormerRoots = nil, formerRoot(t, trust.Root)
	both.FormerRoots = verify.Keys{{Public: signer(t, 8).Public()}}
	for name, trust := range map[string]verify.Trust{"another root": other, "no root": none, "one twice": twice, "a former root alone": formerAlone, "two roots in use": both} {
		if _, err := trust.Encode(); err == nil {
			t.Errorf("%s was written", name)
		}
	}
	for name, edit := range map[string][2]string{
		"another signature": {trust.Revocations[0].JWS, trust.Revocations[0].JWS[:len(trust.Revocations[0].JWS)-8] + "AAAAAAAA"},
		"two roots":         {`"root": [`, `"root": [` + rootJWK(text) + ","},
		"another root":      {rootJWK(text), strings.ReplaceAll(jwkIn(t, 8), "\n", "")},
		"an interval": {`"root": [
    {
      "alg": "Ed25519",
      "crv": "Ed25519",`, `"root": [
    {
      "alg": "Ed25519",
      "crv": "Ed25519",
      "intervals": {"x": {"not_before": 0}},`},
	} {
		edited := strings.Replace(string(text), edit[0], edit[1], 1)
		if edited == string(text) {
			t.Errorf("%s: the file no longer holds %s", name, edit[0])
		}
		if _, err := verify.ParseTrust([]byte(edited)); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

// formerRoot is a root that said its last word at index 7.
func formerRoot(t testing.TB, public ed25519.PublicKey) verify.Keys {
	last := int64(7)
	return verify.Keys{{Public: public, Intervals: map[string]verify.Interval{"caio.example.com/a": {NotBefore: 3, NotAfter: &last}}}}
}

// The root was changed: what the one before signed is read under that, and what it says of a log counts up to its last word there.
func TestFormerRootInTheTrustFile(t *testing.T) {
	trust := revokingTrust(t)
	before := signer(t, chainRoot)
	trust.Root, trust.FormerRoots = signer(t, 8).Public(), formerRoot(t, trust.Root)
	text := must(trust.Encode())(t)
	back := must(verify.ParseTrust(text))(t)
	if again := must(back.Encode())(t); !bytes.Equal(again, text) || len(back.Revocations) != 3 || !back.Root.Equal(trust.Root) || len(back.FormerRoots) != 1 {
		t.Errorf("read %+v", back)
	}
	log := trust.Logs[0].Origin
	for name, c := range map[string]struct {
		log   string
		index int64
		holds bool
	}{"its first word": {"caio.example.com/a", 3, true}, "its last": {"caio.example.com/a", 7, true}, "later": {"caio.example.com/a", 8, false}, "in another log": {log, 5, false}} {
		word := must(before.Sign(verify.TypRevocation, verify.RevocationRecord{V: 1, Log: c.log, KID: "k", From: 5, Reason: "stolen"}))(t)
		if _, err := back.CheckEntry(c.log, c.index, word); (err == nil) != c.holds {
			t.Errorf("%s: %v", name, err)
		}
	}
	now := must(signer(t, 8).Sign(verify.TypRevocation, verify.RevocationRecord{V: 1, Log: log, KID: "k", From: 5, Reason: "stolen"}))(t)
	if _, err := back.CheckEntry(log, 99, now); err != nil {
		t.Errorf("of the root in use: %v", err)
	}
}

// rootJWK is the root in the text of a trust file.
func rootJWK(text []byte) string {
	_, after, _ := strings.Cut(string(text), `"root": [`)
	jwk, _, _ := strings.Cut(after, "]")
	return strings.TrimSpace(jwk)
}

func jwkIn(t testing.TB, key byte) string {
	text := string(must(verify.EncodeJWKS(verify.Keys{{Public: signer(t, key).Public()}}))(t))
	return strings.TrimSuffix(strings.TrimPrefix(text, `{"keys":[`), "]}")
}

// A statement of a revoked key fails from the index of the revocation on. Its base here is 1234, and without a receipt no more is known of its index.
func TestStatementOfARevokedKey(t *testing.T) {
	for name, c := range map[string]struct {
		from int64
		log  string
		want verify.Status
	}{
		"from the beginning": {0, header().Log, verify.Fail},
		"from its base":      {1234, header().Log, verify.Fail},
		"from later":         {1235, header().Log, verify.Inconclusive},
		"in another log":     {0, "x", verify.Pass},
	} {
		p := example(t)
		p.trust.Root = signer(t, chainRoot).Public()
		r := revocation(t, c.log, 1, c.from)
		r.KID = p.trust.Keys[0].ID()
		p.trust.Revocations = []verify.Revocation{r}
		if v := verdict(t, verify.Check(context.Background(), p.evidence, p.trust, verify.Options{}), verify.LayerSignature); v.Status != c.want || v.Status == verify.Fail && (v.Pointer != "/base" || !strings.Contains(v.Reason, "revoked")) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func FuzzParseRevocation(f *testing.F) {
	root := signer(f, chainRoot)
	f.Add(revocation(f, "log", 1, 5).JWS)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := verify.ParseRevocation(root.Public(), text)
		if err != nil {
			return
		}
		if again := must(root.Sign(verify.TypRevocation, r.RevocationRecord))(t); string(again) != text {
			t.Fatalf("accepted %s, which is written %s", text, again)
		}
	})
}
