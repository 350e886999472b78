package verify

import (
	"fmt"
	"slices"
	"time"
)

// RetentionStandard is the retention class of a tenant that has not chosen another.
const RetentionStandard = "standard"

// Statement is the signed promise, the payload of a `caio-decision+jws` (spec/proof.md, "The statement and the signature"). Every claim but V and Retention equals what the document says.
type Statement struct {
	V         int64    `json:"v"`
	ID        string   `json:"id"`
	Tenant    string   `json:"tenant"`
	Log       string   `json:"log"`
	Base      int64    `json:"base"`
	IAT       int64    `json:"iat"` // a NumericDate (RFC 7519): the document's time in whole seconds, rounded down
	Doc       string   `json:"doc"` // digest of the document's canonical bytes
	Bundles   []string `json:"bundles"`
	Settings  string   `json:"settings"`
	Snapshot  string   `json:"snapshot"`
	Outcome   string   `json:"outcome"`
	Service   string   `json:"service"` // "" for a denial
	Retention string   `json:"retention"`
}

// NewStatement is the statement about d, whose canonical bytes have that digest.
func NewStatement(d *Document, digest, retention string) (Statement, error) {
	t, err := time.Parse(TimeFormat, d.Time)
	if err != nil {
		return Statement{}, fmt.Errorf("the document's time: %w", err)
	}
	bundles := make([]string, len(d.Bundles))
	for i, b := range d.Bundles {
		bundles[i] = b.Digest
	}
	return Statement{
		V:         1,
		ID:        d.DecisionID,
		Tenant:    d.Tenant,
		Log:       d.Log,
		Base:      d.Base,
		IAT:       t.Unix(),
		Doc:       digest,
		Bundles:   bundles,
		Settings:  d.Settings.Digest,
		Snapshot:  d.Snapshot.Digest,
		Outcome:   d.Outcome,
		Service:   d.Choice.Service,
		Retention: retention,
	}, nil
}

// compare says which claim of s differs from want. Its pointers lead into the statement's payload.
func (s Statement) compare(want Statement) error {
	var f findings
	const reason = "a claim of the statement is not what the document says"
	equal(&f, "/v", "the statement has another version", want.V, s.V)
	equal(&f, "/id", reason, want.ID, s.ID)
	equal(&f, "/tenant", reason, want.Tenant, s.Tenant)
	equal(&f, "/log", reason, want.Log, s.Log)
	equal(&f, "/base", reason, want.Base, s.Base)
	equal(&f, "/iat", reason, want.IAT, s.IAT)
	equal(&f, "/doc", "the document's digest is not the one stated", s.Doc, want.Doc)
	if !slices.Equal(want.Bundles, s.Bundles) {
		f.fault("/bundles", reason, fmt.Sprint(want.Bundles), fmt.Sprint(s.Bundles))
	}
	equal(&f, "/settings", reason, want.Settings, s.Settings)
	equal(&f, "/snapshot", reason, want.Snapshot, s.Snapshot)
	equal(&f, "/outcome", reason, want.Outcome, s.Outcome)
	equal(&f, "/service", reason, want.Service, s.Service)
	f.require(isName(s.Retention), "/retention", "not the name of a retention class")
	return f.err()
}
