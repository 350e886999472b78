package verify_test

import (
	"encoding/base64"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/verify"
	"pgregory.net/rapid"
)

// The example of RFC 9901, section 4.2.1, in its form without white space. What is hashed is the characters of the base64url text, not what they decode to.
func TestCommitmentIsThatOfSDJWT(t *testing.T) {
	d := verify.Disclosure{Salt: "_26bc4LT-ac6q2KI6cBW5es", Name: "family_name", Value: "Möbius"}
	if got, want := must(d.Text())(t), "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsImZhbWlseV9uYW1lIiwiTcO2Yml1cyJd"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := must(d.Commitment())(t), verify.Commitment("TZjouOTrBKEwUNjNDs9yeMzBoQn8FFLPaJjRRmAtwrM"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestRevealGivesBackWhatWasCommitted(t *testing.T) {
	p := example(t)
	d := must(verify.DecodeDocument(p.evidence.Document))(t)
	var parsed []verify.Disclosure
	for _, disclosure := range p.disclosures {
		parsed = append(parsed, must(verify.ParseDisclosure(must(disclosure.Text())(t)))(t))
	}
	request, principal, err := d.Reveal(parsed)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(request, p.request) {
		t.Errorf("got  %+v\nwant %+v", request, p.request)
	}
	if !reflect.DeepEqual(principal, p.principal) {
		t.Errorf("got  %+v\nwant %+v", principal, p.principal)
	}
}

// A document made without fields and payload has no commitments of them, and reveals none.
func TestRevealWithoutOptionalContent(t *testing.T) {
	p := example(t)
	r := *p.request
	r.Fields, r.Payload, r.Previous = contracts.Fields{}, nil, nil
	r.Estimate.PayloadBytes, r.Sources = 0, exampleSources()
	r.Sources["estimate.input_tokens"] = contracts.SourceCaller
	made := newProof(t, &r, p.principal, p.document.Decision)
	if len(made.disclosures) != 5 {
		t.Error(len(made.disclosures), "disclosures")
	}
	got, _, err := must(verify.DecodeDocument(made.evidence.Document))(t).Reveal(made.disclosures)
	if err != nil || !reflect.DeepEqual(got, &r) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, &r)
	}
}

func TestRevealSaysWhatIsMissing(t *testing.T) {
	p := example(t)
	rest := slices.DeleteFunc(slices.Clone(p.disclosures), func(d verify.Disclosure) bool { return d.Name == verify.NameSubject || d.Name == verify.NameIntentText })
	request, principal, err := p.document.Reveal(rest)
	var missing verify.Undisclosed
	if !errors.As(err, &missing) || !slices.Equal(missing, []string{verify.NameIntentText, verify.NameSubject}) {
		t.Fatal(err)
	}
	if request == nil || request.Intent.Text != "" || request.Context.Text != "Q4" || principal.Subject != "" || principal.Tenant != "acme" {
		t.Errorf("%+v %+v", request, principal)
	}
}

func TestRevealRefuses(t *testing.T) {
	p := example(t)
	edit := func(name string, change func(*verify.Disclosure)) []verify.Disclosure {
		list := slices.Clone(p.disclosures)
		i := slices.IndexFunc(list, func(d verify.Disclosure) bool { return d.Name == name })
		change(&list[i])
		return list
	}
	for what, list := range map[string][]verify.Disclosure{
		"another value":     edit(verify.NameIntentText, func(d *verify.Disclosure) { d.Value = "other" }),
		"another salt":      edit(verify.NameIntentText, func(d *verify.Disclosure) { d.Salt = "AAAAAAAAAAAAAAAAAAAAAA" }),
		"another name":      edit(verify.NameIntentText, func(d *verify.Disclosure) { d.Name = verify.NameContextText }),
		"an unknown name":   edit(verify.NameIntentText, func(d *verify.Disclosure) { d.Name = "fields.context" }),
		"a repeated one":    append(slices.Clone(p.disclosures), p.disclosures[0]),
		"another component": edit("fields.intent", func(d *verify.Disclosure) { d.Value = field(64, func(int) float64 { return 1 }) }),
	} {
		if request, _, err := p.document.Reveal(list); err == nil || request != nil || errors.As(err, new(verify.Undisclosed)) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestRevealComparesTheSizeOfThePayload(t *testing.T) {
	p := example(t)
	p.document.Request.Payload.Bytes++
	var fault *verify.Fault
	if _, _, err := p.document.Reveal(p.disclosures); !errors.As(err, &fault) || fault.Pointer != "/request/payload/bytes" {
		t.Error(err)
	}
}

// An issuer can commit to anything: what has another type than its place, or is no field, is refused although its digest is right.
func TestRevealRefusesContentOfTheWrongType(t *testing.T) {
	p := example(t)
	for what, d := range map[string]verify.Disclosure{
		"number for text":   {Name: verify.NameIntentText, Value: 1},
		"null for text":     {Name: verify.NameIntentText, Value: nil},
		"text for list":     {Name: verify.NameSubjects, Value: "x"},
		"list for field":    {Name: "fields.intent", Value: []string{}},
		"short field":       {Name: "fields.intent", Value: map[string]any{"re": []int{32767}}},
		"unscaled field":    {Name: "fields.intent", Value: map[string]any{"re": slices.Repeat([]int{1}, 64)}},
		"unequal parts":     {Name: "fields.intent", Value: map[string]any{"re": slices.Repeat([]int{32767}, 64), "im": []int{1}}},
		"unknown component": {Name: "fields.intent", Value: map[string]any{"re": slices.Repeat([]int{32767}, 64), "x": 1}},
	} {
		d.Salt = "AAAAAAAAAAAAAAAAAAAAAA"
		document := *p.document
		document.Request.Fields = map[string]verify.Commitment{"intent": document.Request.Fields["intent"]}
		commitment := must(d.Commitment())(t)
		switch d.Name {
		case verify.NameIntentText:
			document.Request.Intent.Text = commitment
		case verify.NameSubjects:
			document.Request.Data.Subjects = commitment
		default:
			document.Request.Fields["intent"] = commitment
		}
		if request, _, err := document.Reveal([]verify.Disclosure{d}); request != nil || err == nil {
			t.Errorf("%s was accepted: %v", what, err)
		}
	}
}

func TestCommitRefusesShortSalts(t *testing.T) {
	if _, _, err := verify.Commit(exampleRequest(), "", func(string) []byte { return make([]byte, 15) }); err == nil {
		t.Error("a salt of 15 bytes was accepted")
	}
}

func TestParseDisclosureRefuses(t *testing.T) {
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	const salt = `"AAAAAAAAAAAAAAAAAAAAAA"`
	good := encode(`[` + salt + `,"n",1]`)
	if _, err := verify.ParseDisclosure(good); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{
		"", "!", good + "=", good + "\n", good[:4] + "\r\n" + good[4:], encode(`[]`), encode(`{}`), encode(`null`), encode(`["AA","n",1]`), encode(`["AAAAAAAAAAAAAAAAAAAAAB","n",1]`),
		encode(`[` + salt + `,1,1]`), encode(`[` + salt + `,"n"]`), encode(`[` + salt + `,"n",1,2]`), encode(`[` + salt + `, "n",1]`), encode(`[` + salt + `,"n",1.5]`), encode(`[` + salt + `,"n",{"b":1,"a":2}]`),
	} {
		if d, err := verify.ParseDisclosure(bad); err == nil {
			t.Errorf("%s was read as %v", bad, d)
		}
	}
}

// Neither a commitment nor anything else of a document lets content through.
func TestDocumentHoldsNoContent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const canary = "canary-5d41402abc4b"
		r, p := exampleRequest(), examplePrincipal()
		r.Intent.Text, r.Context.Text, r.Context.ConversationID, r.Data.Subjects, r.Payload, p.Subject = canary, canary, canary, []string{canary}, []byte(canary), canary
		text := newProof(t, r, p, verify.Decision{Outcome: verify.Denied}).evidence.Document
		if strings.Contains(string(text), canary) {
			t.Fatalf("%s", text)
		}
	})
}

func FuzzParseDisclosure(f *testing.F) {
	for _, d := range example(f).disclosures {
		f.Add(must(d.Text())(f))
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := verify.ParseDisclosure(text)
		if err != nil {
			return
		}
		if again := must(d.Text())(t); again != text {
			t.Fatalf("accepted %s, which is written %s", text, again)
		}
	})
}
