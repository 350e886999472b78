package replay

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
)

// Options of [Check].
type Options struct {
	// Build is this program. Where a document names other versions of the evaluators, a difference is inconclusive.
	Build verify.Build
	// VerifyBundle checks the signature of a bundle under the keys that the auditor trusts, and returns the id of the key. With it every bundle has to be signed; without it
	// signatures are not checked, and the verdict says so.
	VerifyBundle func(*rego.Bundle) (key string, err error)
	// Timeout bounds the re-evaluation; 0 does not.
	Timeout time.Duration
	// Log and Progress are those of the other layers.
	verify.Options
}

// Check runs the layers completeness and replay (spec/proof.md, "What a verifier checks"). It trusts nothing of the evidence but what the document names by digest; whether that is the one that was signed is for
// [verify.Check], and [CheckFile] asks it first: this evaluates the policies of whoever wrote the evidence.
func Check(ctx context.Context, ev *verify.Evidence, o Options) []verify.Verdict {
	d, err := verify.DecodeDocument(ev.Document)
	if err != nil {
		return unread(ev)
	}
	return []verify.Verdict{verify.Judge(verify.LayerCompleteness, verify.Complete(ev, d)), check(ctx, ev, d, o)}
}

// replaying re-evaluates one document.
type replaying struct {
	ev        *verify.Evidence
	document  *verify.Document
	options   Options
	arguments Arguments
	assumed   []verify.Unmatched // what the document says of services that can't be evaluated
	unsure    []string           // unmatched services whose match may depend on a history that the document does not hold
	hidden    []string           // names of content that scoring reads and that was not disclosed
	// gaps are why the verdict can't be pass, though nothing differs; notes what else to say.
	gaps, notes []string
	gap         verify.Status
}

// lacks notes what keeps the verdict from being pass: skipped where something was left out, inconclusive where it is not known to anybody.
func (r *replaying) lacks(status verify.Status, format string, args ...any) {
	r.gaps = append(r.gaps, fmt.Sprintf(format, args...))
	if r.gap != verify.Skipped {
		r.gap = status
	}
}

func (r *replaying) check(ctx context.Context) verify.Verdict {
	if err := r.collect(); err != nil {
		return verify.Judge(verify.LayerReplay, err)
	}
	difference, err := r.compare(ctx)
	if difference != nil && r.unsure != nil {
		r.assumeUnsure()
		difference, err = r.compare(ctx)
	}
	switch {
	case ctx.Err() != nil:
		return ended(ctx, r.options.Timeout)
	case err != nil:
		return r.differs(&verify.Fault{Reason: "under these arguments there is no decision: " + err.Error()})
	case difference != nil:
		return r.differs(difference)
	case r.gaps != nil:
		return verify.Verdict{Layer: verify.LayerReplay, Status: r.gap, Reason: "what could be re-evaluated came out the same; " + strings.Join(append(r.gaps, r.notes...), "; ")}
	}
	return verify.Verdict{Layer: verify.LayerReplay, Status: verify.Pass, Reason: strings.Join(r.notes, "; ")}
}

// compare decides again and gives the first difference, nil if there is none.
func (r *replaying) compare(ctx context.Context) (*verify.Fault, error) {
	again, err := r.evaluate(ctx)
	if err != nil {
		return nil, err
	}
	want := *r.document
	want.Decision = again
	return firstDifference(want, *r.document)
}

// collect makes the arguments of the decision from the evidence. Errors are [*verify.Fault] where there is a pointer.
func (r *replaying) collect() error {
	if err := r.ev.Bound(r.document); err != nil {
		return err
	}
	t, err := time.Parse(verify.TimeFormat, r.document.Time)
	if err != nil {
		return err
	}
	r.arguments = Arguments{Attestations: map[string]contracts.Attestation{}, Settings: r.ev.Settings, History: map[string]contracts.History{}, Time: t}
	for _, collect := range []func() error{r.reveal, r.contracts, r.bundles} {
		if err := collect(); err != nil {
			return err
		}
	}
	for _, record := range r.ev.Attestations {
		r.arguments.Attestations[record.Service] = record.Level
	}
	for _, candidate := range r.document.Candidates {
		if candidate.History != nil {
			r.arguments.History[candidate.Service] = *candidate.History
		}
	}
	return nil
}

// reveal opens the commitments. Content that scoring does not read may stay closed, and so may all of it when nothing was scored.
func (r *replaying) reveal() error {
	request, principal, err := r.document.Reveal(r.ev.Disclosures)
	var undisclosed verify.Undisclosed
	if err != nil && !errors.As(err, &undisclosed) {
		return err
	}
	r.arguments.Request, r.arguments.Principal = request, principal
	if err := admitted(request, r.ev.Settings); err != nil {
		return err
	}
	if !slices.ContainsFunc(r.document.Candidates, func(c verify.Candidate) bool { return c.Score != nil }) {
		return nil
	}
	for _, name := range undisclosed {
		if r.document.Scored(name) {
			r.hidden = append(r.hidden, name)
		}
	}
	if r.hidden != nil {
		what := verify.Undisclosed(r.hidden).Error()
		if r.ev.Erasure != nil {
			what = "erased: " + strings.Join(r.hidden, ", ")
		}
		r.lacks(verify.Skipped, "%s: without it the terms that compare fields, and the control signal, are taken from the document", what)
	}
	return nil
}

// admitted holds the request's labels to the tenant's settings, as admission should have (spec/contract.md, `data.labels`).
func admitted(r *contracts.Request, settings map[string]any) error {
	core, _ := settings["core"].(map[string]any)
	required, _ := core["require_label"].(bool)
	list, _ := core["labels"].([]any)
	added := make([]string, 0, len(list))
	for _, label := range list {
		if text, ok := label.(string); ok {
			added = append(added, text)
		}
	}
	if faults := r.ValidateLabels(added, required); len(faults) > 0 {
		return &verify.Fault{Pointer: "/request" + faults[0].Pointer, Reason: "under these settings the request is not admitted: " + faults[0].Summary}
	}
	return nil
}

// contracts decodes those of the snapshot. Those of unmatched services may have been left out of the evidence.
func (r *replaying) contracts() error {
	var left []string
	for _, service := range slices.Sorted(maps.Keys(r.ev.Snapshot)) {
		digest := r.ev.Snapshot[service]
		text, ok := r.ev.Contracts[digest]
		unmatched := slices.ContainsFunc(r.document.Unmatched, func(u verify.Unmatched) bool { return u.Service == service })
		if !ok && unmatched {
			left = append(left, service)
			continue
		}
		contract, err := contracts.DecodeContract(text)
		if err != nil || contract.Digest() != digest || contract.ID != service {
			return &verify.Fault{Pointer: "/snapshot/digest", Reason: fmt.Sprintf("the contract of service %s is missing, not valid, or another one", service), Want: digest}
		}
		r.arguments.Contracts = append(r.arguments.Contracts, contract)
		if unmatched && readsLatency(contract) {
			r.unsure = append(r.unsure, service)
		}
	}
	if left != nil {
		r.lacks(verify.Skipped, "the evidence leaves out the contracts of %s, of which the document says that they did not match", strings.Join(left, ", "))
		r.assume(left)
	}
	return nil
}

// assume takes what the document says of unmatched services.
func (r *replaying) assume(services []string) {
	for _, unmatched := range r.document.Unmatched {
		if slices.Contains(services, unmatched.Service) {
			r.assumed = append(r.assumed, unmatched)
		}
	}
}

// readsLatency says whether matching may depend on the history: whether an author's predicate of that stage may read the expected latency. No generated one does.
func readsLatency(c *contracts.Contract) bool {
	return slices.ContainsFunc(c.Predicates, func(p contracts.Predicate) bool {
		return p.Stage == contracts.StageMatch && strings.Contains(strings.ReplaceAll(p.Expr, "request.estimate", ""), "estimate")
	})
}

// assumeUnsure gives up on the services whose history is not known.
func (r *replaying) assumeUnsure() {
	r.lacks(verify.Inconclusive, "predicates of %s, which did not match, read the expected latency, and the document holds no history of services that did not match", strings.Join(r.unsure, ", "))
	r.assume(r.unsure)
	r.arguments.Contracts = slices.DeleteFunc(r.arguments.Contracts, func(c *contracts.Contract) bool { return slices.Contains(r.unsure, c.ID) })
}

// bundles reads the bundles that the document names, and checks their signatures.
func (r *replaying) bundles() error {
	for i, named := range r.document.Bundles {
		bundle, faults := rego.ReadFiles(named.Name, r.ev.Bundles[named.Digest])
		if err := faults.Err(); err != nil {
			return &verify.Fault{Pointer: fmt.Sprintf("/bundles/%d", i), Reason: err.Error()}
		}
		r.arguments.Bundles = append(r.arguments.Bundles, bundle)
		switch {
		case named.Key == "" && r.options.VerifyBundle != nil:
			return &verify.Fault{Pointer: fmt.Sprintf("/bundles/%d/key", i), Reason: fmt.Sprintf("the bundle %s is unsigned, and keys were given that bundles have to be signed with", named.Name)}
		case named.Key == "":
			r.notes = append(r.notes, fmt.Sprintf("the bundle %s is unsigned, as the document says", named.Name))
		case r.options.VerifyBundle == nil:
			r.lacks(verify.Skipped, "no keys of policies were given to check the signature of the bundle %s with", named.Name)
		default:
			key, err := r.options.VerifyBundle(bundle)
			if normal, other := rego.NormalSignatures(bundle.Signatures); err == nil && bundle.Signatures != nil && (other != nil || !bytes.Equal(normal, bundle.Signatures)) {
				err = errors.New("the signatures are not in their one form, in which nothing can be changed unseen")
			}
			if unknown := (*rego.UnknownKeyError)(nil); errors.As(err, &unknown) && unknown.ID == named.Key {
				// It may have been retired since. Who made a key of their own gets no further by it than whoever leaves the keys away.
				r.lacks(verify.Inconclusive, "the bundle %s is signed with the key %q, which is none of those that were given: one that was retired, or a stranger's", named.Name, named.Key)
				continue
			}
			if wrong := (*rego.WrongKeyError)(nil); errors.As(err, &wrong) {
				err = fmt.Errorf("%w. It is forged, or the key of this id may have been replaced since: then ask the operator for the one before, and give it with --policy-key", err)
			}
			if err != nil {
				return &verify.Fault{Pointer: fmt.Sprintf("/bundles/%d/key", i), Reason: err.Error(), Got: named.Key}
			}
			if key != named.Key {
				return &verify.Fault{Pointer: fmt.Sprintf("/bundles/%d/key", i), Reason: "another key signed the bundle", Want: key, Got: named.Key}
			}
		}
	}
	return nil
}

// evaluate decides again, and puts in what had to be assumed.
func (r *replaying) evaluate(ctx context.Context) (verify.Decision, error) {
	rules, err := Compile(r.arguments)
	if err != nil {
		return verify.Decision{}, err
	}
	d, err := rules.eliminate(ctx, r.arguments)
	if err != nil {
		return verify.Decision{}, err
	}
	r.conclude(d)
	d.Unmatched = append(d.Unmatched, r.assumed...)
	slices.SortFunc(d.Unmatched, func(a, b verify.Unmatched) int { return cmp.Compare(a.Service, b.Service) })
	return d.report(), nil
}

// conclude is stage 7, with what hidden content would have given taken from the document.
func (r *replaying) conclude(d *decision) {
	d.score()
	if r.hidden != nil {
		r.assumeContent(d)
	}
	d.choose()
	if r.hidden != nil && d.Outcome == verify.Routed {
		d.Choice.Control = r.document.Choice.Control
	}
}

// assumeContent takes the terms that compare fields from the document; the others, and the objective, stay re-evaluated.
func (r *replaying) assumeContent(d *decision) {
	for _, c := range d.candidates {
		i := slices.IndexFunc(r.document.Candidates, func(said verify.Candidate) bool { return said.Service == c.Service })
		if c.Score == nil || i < 0 || r.document.Candidates[i].Score == nil {
			continue
		}
		said, t := r.document.Candidates[i].Score.Terms, &c.Score.Terms
		t.Intent, t.Attention, t.Learned, t.Resonance = said.Intent, said.Attention, said.Learned, said.Resonance
		c.Score.Objective = profiles[d.Request.Profile].objective(*t)
	}
}
