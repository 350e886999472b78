package verify

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/smarthausgroup/caio/verify/tlog"
)

// Facts are who decided what, when, for what request and under what rules, as the evidence says it: its document or, where that was erased, its statement, which says less.
type Facts struct {
	// Signed reports that the layers signature and document passed, or, where the document was erased, signature: these are the issuer's words then. Otherwise they are those of whoever wrote the file.
	Signed bool `json:"signed"`

	DecisionID string `json:"decision_id"`
	Outcome    string `json:"outcome"`
	Service    string `json:"service,omitempty"`
	Route      string `json:"route,omitempty"`
	Time       string `json:"time"`
	Tenant     string `json:"tenant"`
	Issuer     string `json:"issuer,omitempty"`

	Intent  string   `json:"intent,omitempty"` // its type
	Labels  []string `json:"labels,omitempty"` // of the data
	Purpose string   `json:"purpose,omitempty"`
	Profile string   `json:"profile,omitempty"`

	Key        string `json:"key"`         // id of the one that the statement names
	Log        string `json:"log"`         // origin
	Index      *int64 `json:"index"`       // in the log, by the receipt; null without one, and in a [Report] where it does not hold
	Entries    *int64 `json:"entries"`     // of the log when the receipt was made
	Checkpoint string `json:"root_sha256"` // the tree's root then, hex; "" without a receipt

	Document string            `json:"document,omitempty"` // digest
	Snapshot string            `json:"snapshot"`           // digest
	Settings string            `json:"settings"`           // digest
	Bundles  []BundleReference `json:"bundles"`
	Engine   *Build            `json:"engine,omitempty"` // what made the document
}

// Describe reads the facts of ev and checks nothing. It is nil where neither document nor statement can be read.
func Describe(ev *Evidence) *Facts {
	var s Statement
	err := Claims(ev.Statement, &s)
	f := &Facts{DecisionID: s.ID, Outcome: s.Outcome, Service: s.Service, Tenant: s.Tenant, Log: s.Log, Snapshot: s.Snapshot, Settings: s.Settings, Bundles: []BundleReference{}}
	d, undecoded := DecodeDocument(ev.Document)
	switch {
	case undecoded == nil:
		f.document(d)
		f.Document = Digest(ev.Document)
	case err != nil:
		return nil
	default:
		f.Time = time.Unix(s.IAT, 0).UTC().Format(time.RFC3339)
		for _, digest := range s.Bundles {
			f.Bundles = append(f.Bundles, BundleReference{Digest: digest, Index: -1})
		}
	}
	f.Key = kidOf(ev.Statement)
	if proof, err := tlog.ParseProof(ev.Receipt); err == nil {
		f.Index, f.Entries, f.Checkpoint = &proof.Index, &proof.Checkpoint.Size, fmt.Sprintf("%x", proof.Checkpoint.Root)
	}
	return f
}

func (f *Facts) document(d *Document) {
	f.DecisionID, f.Outcome, f.Service, f.Route = d.DecisionID, d.Outcome, d.Choice.Service, string(d.Choice.Route)
	f.Time, f.Tenant, f.Issuer, f.Log = d.Time, d.Tenant, d.Issuer, d.Log
	f.Intent, f.Labels, f.Purpose, f.Profile = d.Request.Intent.Type, d.Request.Data.Labels, d.Request.Purpose, d.Request.Profile
	f.Snapshot, f.Settings, f.Engine = d.Snapshot.Digest, d.Settings.Digest, &d.Engine
	f.Bundles = append(f.Bundles, d.Bundles...)
}

// Fact is one of them for people.
type Fact struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// maxFact is how many characters of a fact people are shown.
const maxFact = 500

// List is the facts for people, in the order in which they are asked for. Control characters are replaced, and what is longer than any honest fact is cut.
func (f *Facts) List() []Fact {
	var list []Fact
	add := func(name, format string, args ...any) {
		text := plain(fmt.Sprintf(format, args...))
		if runes := []rune(text); len(runes) > maxFact {
			text = string(runes[:maxFact]) + "…"
		}
		if strings.TrimSpace(text) != "" {
			list = append(list, Fact{name, text})
		}
	}
	add("decision", "%s", f.DecisionID)
	add("outcome", "%s", f.outcome())
	add("time", "%s", f.Time)
	add("tenant", "%s", f.Tenant)
	add("issuer", "%s", f.Issuer)
	if f.Intent != "" {
		add("request", "%s; data: %s; purpose: %s; profile: %s", f.Intent, cmp.Or(strings.Join(f.Labels, " "), "no label"), cmp.Or(f.Purpose, "none given"), f.Profile)
	}
	add("document", "%s", f.Document)
	add("key", "%s", f.Key)
	add("log", "%s", f.Log)
	if f.Index != nil {
		add("entry", "index %d of %d entries", *f.Index, *f.Entries)
		add("root", "%s", f.Checkpoint)
	}
	for _, b := range f.Bundles {
		signed := "unsigned, "
		if b.Key != "" {
			signed = "signed with " + b.Key + ", "
		}
		if b.Name != "" {
			signed = b.Name + ", " + signed
		} else {
			signed = "" // a statement says no more than the digest
		}
		add("bundle", "%s%s", signed, b.Digest)
	}
	add("settings", "%s", f.Settings)
	add("snapshot", "%s", f.Snapshot)
	if f.Engine != nil {
		add("made by", "caio %s, %s, OPA %s, cel-go %s", f.Engine.Version, f.Engine.Go, f.Engine.OPA, f.Engine.CEL)
	}
	return list
}

func (f *Facts) outcome() string {
	switch {
	case f.Outcome != Routed:
		return f.Outcome
	case f.Route != "":
		return fmt.Sprintf("%s to %s (%s)", f.Outcome, f.Service, f.Route)
	}
	return f.Outcome + " to " + f.Service
}
