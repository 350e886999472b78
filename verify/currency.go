package verify

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// asserted is what nobody but a reader of the whole log can tell.
const asserted = "the entries that the document names hold; that nothing else was put in force between these and the decision is asserted: only the whole log shows it"

// currency checks the layer of that name.
type currency struct {
	findings
	d       *Document
	trust   Trust
	records map[int64]*record
	whole   *whole   // nil without a log
	missing []string // what the evidence leaves out
	old     []string // what entries don't say that were made before they said it
	strange []string // bundles that somebody approved whom the trust file does not know
	notes   []string
}

// judgeCurrency is the layer currency: the entries that the document names put in force what it names, each of the right kind and below base. Without the whole log it can't pass.
func judgeCurrency(d *Document, at *proved, records map[int64]*record, unread error, trust Trust, w *whole) Verdict {
	switch {
	case d == nil:
		return Verdict{Layer: LayerCurrency, Status: Skipped, Reason: "the document could not be read"}
	case at == nil:
		return Verdict{Layer: LayerCurrency, Status: Skipped, Reason: "no receipt shows that anything is in the log"}
	case unread != nil:
		return Judge(LayerCurrency, unread)
	}
	c := currency{d: d, trust: trust, records: records, whole: w}
	c.registry()
	c.settings()
	for i := range d.Bundles {
		c.bundle(i, &d.Bundles[i])
	}
	for _, index := range slices.Sorted(maps.Keys(records)) {
		r := records[index]
		c.require(r.used || r.typ == TypOutcome, "", fmt.Sprintf("the evidence holds the entry at index %d, of type %s, which the document does not name", index, r.typ))
	}
	if w != nil {
		c.last()
	}
	return c.verdict()
}

func (c *currency) verdict() Verdict {
	with := func(status Status, reasons ...string) Verdict {
		return Verdict{Layer: LayerCurrency, Status: status, Reason: strings.Join(append(reasons, c.notes...), "; ")}
	}
	switch {
	case c.first != nil:
		return Judge(LayerCurrency, c.err())
	case c.missing != nil:
		return with(Skipped, "the evidence leaves out the entries that put in force "+strings.Join(c.missing, ", "))
	case c.old != nil:
		return with(Inconclusive, "the entry that put in force "+strings.Join(c.old, " and ")+" does not state the digest: it was made before entries did")
	case c.strange != nil:
		return with(Inconclusive, "the approval of "+strings.Join(c.strange, ", ")+" is signed with a key that is no approver's of the trust file: of one who has left, or of a stranger")
	case c.whole == nil:
		return with(Inconclusive, asserted)
	case c.whole.unreadable != nil:
		return with(Inconclusive, asserted, "the log could not be read: "+c.whole.unreadable.Error())
	}
	if c.whole.untold != nil {
		return with(Inconclusive, "whether keys were let in or revoked can't be told: "+c.whole.untold.Error()+". Ask the keeper of the root for its public half, and export the trust file again with that (caio trust export --root)")
	}
	if c.whole.older != nil {
		return with(Inconclusive, "this is not all of the log: "+c.whole.older.Error()+". Bring the copy up to date (caio log export)")
	}
	if h := c.whole.history; h.untold != nil {
		return with(Inconclusive, "the history of the candidates can't be told: "+h.untold.Error())
	}
	return with(Pass, fmt.Sprintf("held to all of the log, %d entries", c.whole.size))
}

// entry is the record at an index that the document names, of one of the types; nil where there is none, which is noted.
func (c *currency) entry(at, what string, index int64, types ...string) *record {
	if index < 0 {
		c.fault(at, "no entry of the log put it in force", "an index", strconv.FormatInt(index, 10))
		return nil
	}
	r, ok := c.records[index]
	if !ok {
		c.missing = append(c.missing, what)
		return nil
	}
	r.used = true
	if !slices.Contains(types, r.typ) {
		c.fault(at, "the entry at this index is of a type that can't put it in force", strings.Join(types, " or "), r.typ)
		return nil
	}
	return r
}

// registry holds snapshot and attestations to the last entries that may have changed them. A log without such an entry has neither.
func (c *currency) registry() {
	snapshot, attestations := c.d.Snapshot, c.d.Attestations
	none, empty := Digest(SnapshotText(nil)), Digest([]byte("[]"))
	if snapshot.Index < 0 && attestations.Index < 0 && snapshot.Digest == none && attestations.Digest == empty {
		return
	}
	s := c.entry("/snapshot/index", "the snapshot", snapshot.Index, TypContract, TypGrant)
	if s != nil && s.Snapshot == "" {
		c.old = append(c.old, "the snapshot")
	} else if s != nil {
		equal(&c.findings, "/snapshot/digest", "the entry put another snapshot in force", s.Snapshot, snapshot.Digest)
	}
	if attestations.Index < snapshot.Index {
		// Before entries stated what is in force, a change of the registry didn't count as one of the attestations.
		if s != nil && s.Snapshot != "" {
			c.fault("/attestations/index", "the registry changed after this entry, and with it the list of attestations", "at least "+strconv.FormatInt(snapshot.Index, 10), strconv.FormatInt(attestations.Index, 10))
		}
		if r := c.records[attestations.Index]; r != nil {
			r.used = true
		}
		c.old = append(c.old, "the attestations")
		return
	}
	a := c.entry("/attestations/index", "the attestations", attestations.Index, TypContract, TypGrant, TypAttestation)
	switch {
	case a == nil:
	case a.Attestations == "":
		c.old = append(c.old, "the attestations")
	default:
		equal(&c.findings, "/attestations/digest", "the entry put another list of attestations in force", a.Attestations, attestations.Digest)
		equal(&c.findings, "/snapshot/digest", "another snapshot was in force after the last entry about the attestations", a.Snapshot, snapshot.Digest)
	}
}

func (c *currency) settings() {
	if r := c.entry("/settings/index", "the settings", c.d.Settings.Index, TypSettings); r != nil {
		equal(&c.findings, "/settings/digest", "the entry put other settings in force", r.settings.Settings, c.d.Settings.Digest)
	}
}

// bundle holds a bundle to its activation, and that to the approval that stands in it.
func (c *currency) bundle(i int, b *BundleReference) {
	r := c.entry(pointer("bundles", i, "index"), "the bundle "+b.Name, b.Index, TypActivation)
	if r == nil {
		return
	}
	a := r.activation
	equal(&c.findings, pointer("bundles", i, "index"), "the entry did something else with a bundle", KindActivated, a.Kind)
	equal(&c.findings, pointer("bundles", i, "name"), "the entry put a bundle of another name in force", a.Bundle, b.Name)
	equal(&c.findings, pointer("bundles", i, "digest"), "the entry put another bundle in force", a.Digest, b.Digest)
	equal(&c.findings, pointer("bundles", i, "key"), "the entry names another key", a.Key, b.Key)
	if a.Approval == "" {
		if len(c.trust.Approvers) > 0 {
			c.notes = append(c.notes, "no approver signed that "+b.Name+" be put in force")
		}
		return
	}
	if len(c.trust.Approvers) == 0 {
		c.notes = append(c.notes, "the approval of "+b.Name+" was not checked: the trust file holds no approver's key")
		return
	}
	err := a.approved(c.trust.Approvers)
	if _, own := c.trust.Keys.Find(kidOf([]byte(a.Approval))); errors.Is(err, ErrUntrusted) && !own {
		c.strange = append(c.strange, b.Name)
		return
	}
	if err != nil {
		c.fault(pointer("bundles", i, "index"), "the approval of the bundle "+b.Name+" does not hold: "+err.Error(), "", "")
	}
}

// approved holds the approval in an activation to the keys of approvers, and to the activation (spec/policy.md, "Bundles").
func (a *ActivationRecord) approved(keys Keys) error {
	var said Approval
	if _, err := Verify(TypApproval, []byte(a.Approval), keys, &said); err != nil {
		return err
	}
	if is := (Approval{1, a.Tenant, a.Log, a.Bundle, a.Digest, a.Previous, a.Reason}); said != is {
		return fmt.Errorf("it was signed for something else: %+v, and this is %+v", said, is)
	}
	return nil
}

// last holds the document to the whole log: nothing of its kind came after what it names, and below base.
func (c *currency) last() {
	w := c.whole
	if w.broken != nil {
		c.fault("", w.broken.Error(), "", "")
		return
	}
	if w.unreadable != nil {
		return
	}
	if w.disorder != nil {
		c.fault(w.disorder.Pointer, w.disorder.Reason, w.disorder.Want, w.disorder.Got)
	}
	if w.stale != nil && c.first == nil {
		c.first = w.stale
	}
	if fault := w.history.fault(c.d); fault != nil && w.history.untold == nil && c.first == nil {
		c.first = fault
	}
	if at, reason := w.unbelieved(); reason != "" {
		c.fault(at, reason, "", "")
	}
	const reason = "the log holds a later entry of this kind below base, or this one is none"
	equal(&c.findings, "/snapshot/index", reason, w.snapshot.Index, c.d.Snapshot.Index)
	equal(&c.findings, "/snapshot/revision", "not how often the log changed it below base", w.snapshot.Revision, c.d.Snapshot.Revision)
	equal(&c.findings, "/attestations/index", reason, w.attestations.Index, c.d.Attestations.Index)
	equal(&c.findings, "/attestations/revision", "not how often the log changed it below base", w.attestations.Revision, c.d.Attestations.Revision)
	equal(&c.findings, "/settings/index", reason, w.settings.Index, c.d.Settings.Index)
	equal(&c.findings, "/settings/revision", "not how often the log changed it below base", w.settings.Revision, c.d.Settings.Revision)
	mark, err := w.registry.Mark()
	c.require(err == nil, "", fmt.Sprintf("what the log's entries put in force has no digest: %v", err))
	equal(&c.findings, "/snapshot/digest", "the log's entries, one after the other, put another snapshot in force", mark.Snapshot, c.d.Snapshot.Digest)
	equal(&c.findings, "/attestations/digest", "the log's entries, one after the other, put another list of attestations in force", mark.Attestations, c.d.Attestations.Digest)
	named := map[string]bool{}
	for i, b := range c.d.Bundles {
		named[b.Name] = true
		index, active := w.bundles[b.Name]
		c.require(active, pointer("bundles", i, "name"), "the log says that no bundle of this name was in force: "+b.Name)
		equal(&c.findings, pointer("bundles", i, "index"), reason, index, b.Index)
	}
	for _, name := range slices.Sorted(maps.Keys(w.bundles)) {
		c.require(named[name], "/bundles", fmt.Sprintf("the bundle %s was in force, by the entry at index %d, and the document leaves it out", name, w.bundles[name]))
	}
	for _, index := range w.twins {
		c.fault("/decision_id", fmt.Sprintf("the log holds another decision of this id at index %d", index), "", "")
	}
}
