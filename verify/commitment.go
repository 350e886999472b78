package verify

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/canonical"
)

// Names of disclosures: the content that stands in documents as commitments. Those of fields and of the payload exist only where the request has them.
const (
	NameIntentText   = "intent.text"
	NameContextText  = "context.text"
	NameConversation = "context.conversation_id"
	NameSubjects     = "data.subjects"
	NameSubject      = "principal.subject"
	NamePayload      = "payload"

	prefixField = "fields." // fields.intent, fields.context, fields.memory, fields.traits
)

// SaltBytes is the length of a salt: 128 bits.
const SaltBytes = 16

// Commitments are the commitments of one decision's content, by name.
type Commitments map[string]Commitment

// Disclosure opens a commitment: RFC 9901, section 4.2.1. Value is a text, a list of texts or a field; the payload is the text of its JSON.
type Disclosure struct {
	Salt  string // base64url of SaltBytes bytes
	Name  string
	Value any
}

// Undisclosed are names of commitments for which no disclosure was given: erased, or not for this reader.
type Undisclosed []string

// Error names them.
func (u Undisclosed) Error() string { return "not disclosed: " + strings.Join(u, ", ") }

// Commit makes the commitments of a request's and a principal's content, and their disclosures in order of name. salt gives [SaltBytes] secret bytes for a name, never the same for two commitments.
func Commit(r *contracts.Request, subject string, salt func(name string) []byte) (Commitments, []Disclosure, error) {
	content := map[string]any{
		NameIntentText:   r.Intent.Text,
		NameContextText:  r.Context.Text,
		NameConversation: r.Context.ConversationID,
		NameSubjects:     r.Data.Subjects,
		NameSubject:      subject,
	}
	if r.Payload != nil {
		content[NamePayload] = string(r.Payload)
	}
	for key, field := range fieldsOf(&r.Fields) {
		if *field != nil {
			content[prefixField+key] = *field
		}
	}
	commitments := make(Commitments, len(content))
	disclosures := make([]Disclosure, 0, len(content))
	for name, value := range content {
		secret := salt(name)
		if len(secret) != SaltBytes {
			return nil, nil, fmt.Errorf("the salt of %s has %d bytes, not %d", name, len(secret), SaltBytes)
		}
		d := Disclosure{encoding.EncodeToString(secret), name, value}
		c, err := d.Commitment()
		if err != nil {
			return nil, nil, err
		}
		commitments[name] = c
		disclosures = append(disclosures, d)
	}
	slices.SortFunc(disclosures, func(a, b Disclosure) int { return strings.Compare(a.Name, b.Name) })
	return commitments, disclosures, nil
}

// Text is the disclosure as it is hashed, stored and handed over: base64url(JSON([salt, name, value])), the JSON canonical.
func (d Disclosure) Text() (string, error) {
	text, err := canonical.Encode([]any{d.Salt, d.Name, d.Value})
	if err != nil {
		return "", fmt.Errorf("disclosure of %s: %w", d.Name, err)
	}
	return encoding.EncodeToString(text), nil
}

// Commitment is base64url(SHA-256(d.Text())).
func (d Disclosure) Commitment() (Commitment, error) {
	text, err := d.Text()
	if err != nil {
		return "", err
	}
	return commitmentOf(text), nil
}

func commitmentOf(disclosure string) Commitment {
	sum := sha256.Sum256([]byte(disclosure))
	return Commitment(encoding.EncodeToString(sum[:]))
}

// ParseDisclosure is the inverse of [Disclosure.Text], strictly.
func ParseDisclosure(text string) (Disclosure, error) {
	raw, err := encoding.DecodeString(text)
	if err != nil {
		return Disclosure{}, fmt.Errorf("disclosure: %w", err)
	}
	var parts []contracts.Value
	if err := canonical.Decode(raw, &parts); err != nil {
		return Disclosure{}, fmt.Errorf("disclosure: %w", err)
	}
	if len(parts) != 3 {
		return Disclosure{}, fmt.Errorf("a disclosure has a salt, a name and a value, not %d parts", len(parts))
	}
	salt, ok := parts[0].V.(string)
	name, named := parts[1].V.(string)
	if !ok || !named || !isBase64(salt, SaltBytes) {
		return Disclosure{}, fmt.Errorf("a disclosure begins with a salt of %d bytes in base64url and a name", SaltBytes)
	}
	d := Disclosure{salt, name, parts[2].V}
	if again, err := d.Text(); err != nil || again != text {
		return Disclosure{}, errors.New("a disclosure's base64url has another form too")
	}
	return d, nil
}

// isBase64 reports whether text is the one base64url form of size bytes.
func isBase64(text string, size int) bool {
	raw, err := encoding.DecodeString(text)
	return err == nil && len(raw) == size && encoding.EncodeToString(raw) == text
}

// fieldsOf gives the places of a request's fields by their keys.
func fieldsOf(f *contracts.Fields) map[string]**contracts.Field {
	return map[string]**contracts.Field{"intent": &f.Intent, "context": &f.Context, "memory": &f.Memory, "traits": &f.Traits}
}

// committed is r with its content replaced by c.
func committed(r *contracts.Request, c Commitments) Request {
	request := Request{
		Intent:       RequestIntent{Type: r.Intent.Type, Text: c[NameIntentText]},
		Requirements: r.Requirements,
		Estimate:     r.Estimate,
		Limits:       r.Limits,
		Data:         RequestData{Labels: r.Data.Labels, Subjects: c[NameSubjects], Regions: r.Data.Regions, Findings: r.Data.Findings},
		Context:      RequestContext{Text: c[NameContextText], Shareable: r.Context.Shareable, ConversationID: c[NameConversation]},
		Traits:       r.Traits,
		Profile:      r.Profile,
		Purpose:      r.Purpose,
		Seed:         r.Seed,
		Exclude:      r.Exclude,
		Supersedes:   r.Supersedes,
		Previous:     r.Previous,
		Fields:       map[string]Commitment{},
		Sources:      r.Sources,
	}
	for name, commitment := range c {
		if key, ok := strings.CutPrefix(name, prefixField); ok {
			request.Fields[key] = commitment
		}
	}
	if commitment, ok := c[NamePayload]; ok {
		request.Payload = &Payload{commitment, int64(len(r.Payload))}
	}
	return request
}

// commitments are those that stand in d.
func (d *Document) commitments() Commitments {
	c := Commitments{
		NameIntentText:   d.Request.Intent.Text,
		NameContextText:  d.Request.Context.Text,
		NameConversation: d.Request.Context.ConversationID,
		NameSubjects:     d.Request.Data.Subjects,
		NameSubject:      d.Principal.Subject,
	}
	if d.Request.Payload != nil {
		c[NamePayload] = d.Request.Payload.Commitment
	}
	for key, commitment := range d.Request.Fields {
		c[prefixField+key] = commitment
	}
	return c
}

// normalised is the request without its content.
func (r *Request) normalised() *contracts.Request {
	return &contracts.Request{
		Intent:       contracts.Intent{Type: r.Intent.Type},
		Requirements: r.Requirements,
		Estimate:     r.Estimate,
		Limits:       r.Limits,
		Data:         contracts.Data{Labels: r.Data.Labels, Subjects: []string{}, Regions: r.Data.Regions, Findings: r.Data.Findings},
		Context:      contracts.Context{Shareable: r.Context.Shareable},
		Traits:       r.Traits,
		Profile:      r.Profile,
		Purpose:      r.Purpose,
		Seed:         r.Seed,
		Exclude:      r.Exclude,
		Supersedes:   r.Supersedes,
		Previous:     r.Previous,
		Sources:      r.Sources,
	}
}

// Reveal gives back the request and the principal that d was made from. Each disclosure must open the commitment of its name in d, and the request be
// one that normalisation could have made ([contracts.Request.Validate]).
//
// Where disclosures are missing, the error is [Undisclosed], in order of name, and request and principal come without that content. Only intent.text, context.text and fields are read by scoring;
// no rule reads any content. With any other error request and principal are zero.
func (d *Document) Reveal(disclosures []Disclosure) (*contracts.Request, contracts.Principal, error) {
	r := d.Request.normalised()
	p := contracts.Principal{Tenant: d.Tenant, Roles: d.Principal.Roles, Permissions: d.Principal.Permissions, Trust: d.Principal.Trust, Method: d.Principal.Method, Issuer: d.Principal.Issuer}
	missing := d.commitments()
	for _, disclosure := range disclosures {
		want, ok := missing[disclosure.Name]
		if !ok {
			return nil, contracts.Principal{}, fmt.Errorf("the disclosure of %q opens nothing here, or repeats another", disclosure.Name)
		}
		delete(missing, disclosure.Name)
		got, err := disclosure.Commitment()
		if err != nil {
			return nil, contracts.Principal{}, err
		}
		if got != want {
			return nil, contracts.Principal{}, &Fault{commitmentPointer(disclosure.Name), "the disclosure does not open the commitment", string(want), string(got)}
		}
		if err := disclosure.fill(r, &p); err != nil {
			return nil, contracts.Principal{}, fmt.Errorf("disclosure of %s: %w", disclosure.Name, err)
		}
	}
	if size := d.Request.Payload; size != nil && r.Payload != nil && int64(len(r.Payload)) != size.Bytes {
		return nil, contracts.Principal{}, &Fault{"/request/payload/bytes", "the payload has another size", fmt.Sprint(len(r.Payload)), fmt.Sprint(size.Bytes)}
	}
	var f findings
	if diagnosed(&f, r.Validate()); f.first != nil {
		return nil, contracts.Principal{}, f.first
	}
	if len(missing) == 0 {
		return r, p, nil
	}
	names := make(Undisclosed, 0, len(missing))
	for name := range missing {
		names = append(names, name)
	}
	slices.Sort(names)
	return r, p, names
}

// Scored reports whether scoring reads the content of that name: the fields where the request supplies any, and otherwise the texts that are encoded (spec/calculus.md, section 3).
func (d *Document) Scored(name string) bool {
	if _, supplied := d.Request.Fields["intent"]; supplied {
		return strings.HasPrefix(name, prefixField)
	}
	return name == NameIntentText || name == NameContextText
}

func commitmentPointer(name string) string {
	switch name {
	case NameSubject:
		return "/principal/subject"
	case NamePayload:
		return "/request/payload/commitment"
	}
	return "/request/" + strings.ReplaceAll(name, ".", "/")
}

// fill puts the disclosed value in its place, if it has the type of that place.
func (d Disclosure) fill(r *contracts.Request, p *contracts.Principal) error {
	text, err := canonical.Encode(d.Value)
	if err != nil {
		return err
	}
	switch d.Name {
	case NameIntentText:
		return canonical.Decode(text, &r.Intent.Text)
	case NameContextText:
		return canonical.Decode(text, &r.Context.Text)
	case NameConversation:
		return canonical.Decode(text, &r.Context.ConversationID)
	case NameSubject:
		return canonical.Decode(text, &p.Subject)
	case NameSubjects:
		return canonical.Decode(text, &r.Data.Subjects)
	case NamePayload:
		var payload string
		if err := canonical.Decode(text, &payload); err != nil {
			return err
		}
		r.Payload = []byte(payload)
		return nil
	}
	place, ok := fieldsOf(&r.Fields)[strings.TrimPrefix(d.Name, prefixField)]
	if !ok {
		return errors.New("no content has this name")
	}
	*place = new(contracts.Field)
	if err := canonical.Decode(text, *place); err != nil {
		return err
	}
	return checkField(*place)
}

// checkField holds a field against the definition: one that has been quantised quantises to itself.
func checkField(f *contracts.Field) error {
	again, err := contracts.NewField(floats(f.Re), floats(f.Im))
	if err != nil {
		return err
	}
	if !slices.Equal(f.Re, again.Re) || !slices.Equal(f.Im, again.Im) {
		return errors.New("the field is not quantised")
	}
	return nil
}

func floats(part []int32) []float64 {
	if part == nil {
		return nil
	}
	list := make([]float64, len(part))
	for i, n := range part {
		list[i] = float64(n)
	}
	return list
}
