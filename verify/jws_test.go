package verify_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/smarthausgroup/caio/verify"
	"pgregory.net/rapid"
)

var base64URL = base64.RawURLEncoding

// The key, its thumbprint and so its id are those of RFC 8037, appendix A.
func TestKeyIDIsTheThumbprintOfRFC8037(t *testing.T) {
	public := must(base64URL.DecodeString("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"))(t)
	if got, want := verify.KeyID(public), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAnIndependentLibraryVerifiesWhatWeSign(t *testing.T) {
	s := signer(t, 1)
	compact := example(t).evidence.Statement
	payload, err := jws.Verify(compact, jws.WithKey(jwa.EdDSAEd25519(), s.Public()))
	if err != nil {
		t.Fatal(err)
	}
	var statement verify.Statement
	if _, err := verify.Verify(verify.TypDecision, compact, verify.Keys{{Public: s.Public()}}, &statement); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(payload), `"doc":"`+statement.Doc+`"`) {
		t.Errorf("%s", payload)
	}
	parsed := must(jws.Parse(compact))(t)
	protected := parsed.Signatures()[0].ProtectedHeaders()
	if typ, _ := protected.Type(); typ != verify.TypDecision {
		t.Error(typ)
	}
	if kid, _ := protected.KeyID(); kid != s.KeyID() {
		t.Error(kid)
	}
}

func TestWeVerifyWhatAnIndependentLibrarySigns(t *testing.T) {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	s := signer(t, 1)
	headers := jws.NewHeaders()
	for key, value := range map[string]string{"kid": s.KeyID(), "typ": verify.TypOutcome} {
		if err := headers.Set(key, value); err != nil {
			t.Fatal(err)
		}
	}
	compact, err := jws.Sign([]byte(`{"a":1}`), jws.WithKey(jwa.EdDSAEd25519(), private, jws.WithProtectedHeaders(headers)))
	if err != nil {
		t.Fatal(err)
	}
	var payload map[string]string
	if _, err := verify.Verify(verify.TypOutcome, compact, verify.Keys{{Public: s.Public()}}, &payload); err == nil {
		t.Error("a number was read as a text")
	}
	var whole struct {
		A int64 `json:"a"`
	}
	if _, err := verify.Verify(verify.TypOutcome, compact, verify.Keys{{Public: s.Public()}}, &whole); err != nil || whole.A != 1 {
		t.Error(whole, err)
	}
	if again := must(s.Sign(verify.TypOutcome, whole))(t); !bytes.Equal(again, compact) {
		t.Errorf("got %s, want %s", again, compact)
	}
}

func TestAnIndependentLibraryReadsOurKeys(t *testing.T) {
	s := signer(t, 1)
	last := int64(9)
	text := must(verify.EncodeJWKS(verify.Keys{{Public: s.Public()}, {Public: signer(t, 2).Public(), Intervals: map[string]verify.Interval{"log": {NotBefore: 3, NotAfter: &last}}}}))(t)
	set := must(jwk.Parse(text))(t)
	if set.Len() != 2 {
		t.Fatal(set.Len())
	}
	key, ok := set.LookupKeyID(s.KeyID())
	if !ok {
		t.Fatal("not found")
	}
	var public ed25519.PublicKey
	if err := jwk.Export(key, &public); err != nil || !public.Equal(s.Public()) {
		t.Error(public, err)
	}
	if sum := must(key.Thumbprint(crypto.SHA256))(t); base64URL.EncodeToString(sum) != s.KeyID() {
		t.Error(sum)
	}
}

type counter struct {
	N int64 `json:"n"`
}

func TestVerifyRefuses(t *testing.T) {
	s := signer(t, 1)
	keys := verify.Keys{{Public: s.Public()}}
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	good := must(s.Sign(verify.TypOutcome, counter{5}))(t)
	if _, err := verify.Verify(verify.TypOutcome, good, keys, new(counter)); err != nil {
		t.Fatal(err)
	}
	// signed makes a JWS with any header and payload, its signature right.
	signed := func(header, payload string) string {
		input := base64URL.EncodeToString([]byte(header)) + "." + base64URL.EncodeToString([]byte(payload))
		return input + "." + base64URL.EncodeToString(ed25519.Sign(private, []byte(input)))
	}
	header := `{"alg":"Ed25519","kid":"` + s.KeyID() + `","typ":"caio-outcome+jws"}`
	if signed(header, `{"n":5}`) != string(good) {
		t.Fatal("the test signs otherwise")
	}
	parts := strings.Split(string(good), ".")
	for name, c := range map[string]struct {
		compact string
		want    error
	}{
		"another typ":         {string(must(s.Sign(verify.TypAttempt, counter{5}))(t)), verify.ErrMalformed},
		"alg none":            {signed(strings.Replace(header, "Ed25519", "none", 1), `{"n":5}`), verify.ErrMalformed},
		"alg HS256":           {signed(strings.Replace(header, "Ed25519", "HS256", 1), `{"n":5}`), verify.ErrMalformed},
		"alg EdDSA":           {signed(strings.Replace(header, "Ed25519", "EdDSA", 1), `{"n":5}`), verify.ErrMalformed},
		"a key in the header": {signed(strings.Replace(header, `"kid"`, `"jwk":{},"kid"`, 1), `{"n":5}`), verify.ErrMalformed},
		"crit":                {signed(strings.Replace(header, `"kid"`, `"crit":["b64"],"kid"`, 1), `{"n":5}`), verify.ErrMalformed},
		"header re-ordered":   {signed(`{"typ":"caio-outcome+jws","alg":"Ed25519","kid":"`+s.KeyID()+`"}`, `{"n":5}`), verify.ErrMalformed},
		"header with space":   {signed(strings.Replace(header, `,`, `, `, 1), `{"n":5}`), verify.ErrMalformed},
		"no kid":              {signed(`{"alg":"Ed25519","kid":"","typ":"caio-outcome+jws"}`, `{"n":5}`), verify.ErrUntrusted},
		"payload with space":  {signed(header, `{"n": 5}`), verify.ErrMalformed},
		"payload with more":   {signed(header, `{"m":1,"n":5}`), verify.ErrMalformed},
		"payload of a float":  {signed(header, `{"n":5.0}`), verify.ErrMalformed},
		"stranger":            {string(must(signer(t, 2).Sign(verify.TypOutcome, counter{5}))(t)), verify.ErrUntrusted},
		"another payload":     {parts[0] + "." + base64URL.EncodeToString([]byte(`{"n":6}`)) + "." + parts[2], verify.ErrSignature},
		"no signature":        {parts[0] + "." + parts[1] + ".", verify.ErrSignature},
		"detached":            {parts[0] + ".." + parts[2], verify.ErrSignature},
		"two parts":           {parts[0] + "." + parts[1], verify.ErrMalformed},
		"four parts":          {string(good) + ".", verify.ErrMalformed},
		"empty":               {"", verify.ErrMalformed},
		"padding":             {string(good) + "=", verify.ErrMalformed},
		"line feed":           {string(good) + "\n", verify.ErrMalformed},
		"line feed within":    {string(good[:9]) + "\r\n" + string(good[9:]), verify.ErrMalformed},
		"JSON form":           {`{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, verify.ErrMalformed},
		"huge":                {strings.Repeat("A", verify.MaxJWSBytes+1), verify.ErrMalformed},
	} {
		if _, err := verify.Verify(verify.TypOutcome, []byte(c.compact), keys, new(counter)); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// S and S+L satisfy the same equation; only S is a signature. And every other bit counts.
func TestSignaturesAreNotMalleable(t *testing.T) {
	s := signer(t, 1)
	keys := verify.Keys{{Public: s.Public()}}
	good := must(s.Sign(verify.TypOutcome, counter{5}))(t)
	for i := range good {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			if _, err := verify.Verify(verify.TypOutcome, bad, keys, new(counter)); err == nil {
				t.Errorf("byte %d, bit %d: accepted %s", i, bit, bad)
			}
		}
	}
	dot := bytes.LastIndexByte(good, '.')
	raw := must(base64URL.DecodeString(string(good[dot+1:])))(t)
	order := []byte{0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10}
	carry := 0
	for i := range order {
		sum := int(raw[32+i]) + int(order[i]) + carry
		raw[32+i], carry = byte(sum), sum>>8
	}
	if _, err := verify.Verify(verify.TypOutcome, append(good[:dot+1:dot+1], base64URL.EncodeToString(raw)...), keys, new(counter)); !errors.Is(err, verify.ErrSignature) {
		t.Errorf("S+L: %v", err)
	}
}

func TestSignIsDeterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := counter{rapid.Int64Range(-1<<53+1, 1<<53-1).Draw(t, "n")}
		s := signer(t, 1)
		compact := must(s.Sign(verify.TypAttempt, n))(t)
		if again := must(s.Sign(verify.TypAttempt, n))(t); !bytes.Equal(again, compact) {
			t.Fatal("two signatures")
		}
		var back counter
		key, err := verify.Verify(verify.TypAttempt, compact, verify.Keys{{Public: signer(t, 2).Public()}, {Public: s.Public()}}, &back)
		if err != nil || back != n || key.ID() != s.KeyID() {
			t.Fatal(back, key, err)
		}
	})
}

// remote is a key kept elsewhere, which answers with whatever it likes.
type remote struct {
	public crypto.PublicKey
	sign   func(message []byte) []byte
}

func (r remote) Public() crypto.PublicKey { return r.public }
func (r remote) Sign(_ io.Reader, message []byte, _ crypto.SignerOpts) ([]byte, error) {
	return r.sign(message), nil
}

func TestSignerOfAKeyKeptElsewhere(t *testing.T) {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	right := must(verify.NewSigner(remote{private.Public(), func(m []byte) []byte { return ed25519.Sign(private, m) }}))(t)
	if got, want := must(right.Sign(verify.TypKey, counter{}))(t), must(signer(t, 1).Sign(verify.TypKey, counter{}))(t); !bytes.Equal(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
	wrong := must(verify.NewSigner(remote{private.Public(), func([]byte) []byte { return make([]byte, 64) }}))(t)
	if compact, err := wrong.Sign(verify.TypKey, counter{}); err == nil {
		t.Errorf("let out %s", compact)
	}
	other := must(rsa.GenerateKey(rand.Reader, 2048))(t)
	if _, err := verify.NewSigner(other); err == nil {
		t.Error("an RSA key was accepted")
	}
}

func FuzzVerify(f *testing.F) {
	s := signer(f, 1)
	f.Add(must(s.Sign(verify.TypOutcome, counter{5}))(f))
	f.Add(example(f).evidence.Statement)
	keys := verify.Keys{{Public: s.Public()}}
	f.Fuzz(func(t *testing.T, compact []byte) {
		var n counter
		if _, err := verify.Verify(verify.TypOutcome, compact, keys, &n); err == nil {
			if again := must(s.Sign(verify.TypOutcome, n))(t); !bytes.Equal(again, compact) {
				t.Fatalf("accepted %s, which is written %s", compact, again)
			}
		}
	})
}
