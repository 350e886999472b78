package verify

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/smarthausgroup/caio/contracts"
)

// Sentences tells the decision in plain words, one fact of d a sentence: the outcome, the survivors in their order, the rejected, those that did not match, warnings. What d says is only as good as the layers
// that passed. ev, which may be nil, gives authors' predicates. Control characters of the texts are replaced, so that a terminal can show them.
func Sentences(ev *Evidence, d *Document) []string {
	sentences := survivors(d)
	for _, c := range d.Candidates {
		if c.Eliminated != nil {
			sentences = append(sentences, fmt.Sprintf("rejected %s: %s", c.Service, reasons(c.Service, c.Eliminated.Violations, ev.predicates(c.Contract))))
		}
	}
	sentences = append(sentences, unmatched(ev, d)...)
	for _, w := range d.Warnings {
		about := cmp.Or(w.Service, string(w.Route))
		sentences = append(sentences, fmt.Sprintf("warning %s, %s: %s", w.ID, about, strings.TrimPrefix(w.Reason, w.Service+" ")))
	}
	for i := range sentences {
		sentences[i] = plain(sentences[i])
	}
	return sentences
}

// survivors says who won, and who else could have.
func survivors(d *Document) []string {
	if d.Outcome != Routed {
		return []string{deniedText(len(d.Candidates))}
	}
	var ranking []*Candidate
	for i := range d.Candidates {
		if d.Candidates[i].Score != nil {
			ranking = append(ranking, &d.Candidates[i])
		}
	}
	slices.SortFunc(ranking, func(a, b *Candidate) int { return Compare(a, b, d.Request.Seed) })
	sentences := []string{fmt.Sprintf("routed to %s, %s", d.Choice.Service, d.Choice.Route)}
	for _, c := range ranking {
		if c.Service != d.Choice.Service && d.Choice.Objective != nil {
			mine, winners := ObjectiveTexts(c.Score.Objective, *d.Choice.Objective)
			sentences = append(sentences, fmt.Sprintf("%s was feasible, with the objective %s against %s%s", c.Service, mine, winners, tie(ranking[0], c)))
		}
	}
	return sentences
}

func deniedText(candidates int) string {
	switch candidates {
	case 0:
		return "denied: no service matched"
	case 1:
		return "denied: the one candidate did not survive every stage"
	}
	return fmt.Sprintf("denied: of %d candidates none survived every stage", candidates)
}

// ObjectiveText writes an objective in nano as people read it: as a decimal with three places, half away from zero.
func ObjectiveText(nano int64) string { return rounded(nano, 3) }

// ObjectiveTexts writes two objectives like [ObjectiveText], or with as many more places as tell them apart.
func ObjectiveTexts(a, b int64) (string, string) {
	for places := 3; ; places++ {
		x, y := rounded(a, places), rounded(b, places)
		if x != y || a == b {
			return x, y
		}
	}
}

// tie says by what the winner w came before c, if not by its objective.
func tie(w, c *Candidate) string {
	l, m := w.Score.Estimate.LatencyMS, c.Score.Estimate.LatencyMS
	switch {
	case w.Score.Objective != c.Score.Objective:
		return ""
	case w.Score.Estimate.CostMicroUSD != c.Score.Estimate.CostMicroUSD:
		return ", and costs more"
	case (l == nil) != (m == nil) || l != nil && *l != *m:
		return ", and is slower, or nobody knows how fast"
	}
	return ", and lost the draw"
}

// rounded writes nano as a decimal with so many places, 1 to 9, half away from zero.
func rounded(nano int64, places int) string {
	sign, unit := "", int64(1)
	for range 9 - places {
		unit *= 10
	}
	if nano < 0 {
		sign, nano = "-", -nano
	}
	n := (nano + unit/2) / unit
	digits := fmt.Sprintf("%0*d", places+1, n)
	return sign + digits[:len(digits)-places] + "." + digits[len(digits)-places:]
}

func reasons(service string, violations []contracts.Violation, written map[string]contracts.Predicate) string {
	parts := make([]string, len(violations))
	for i, v := range violations {
		parts[i] = v.ID + ", " + strings.TrimPrefix(v.Reason, service+" ")
		if v.Kind == contracts.KindCEL {
			parts[i] = v.ID + ", " + FalsePredicate(v.ID, written[v.ID].Message, written[v.ID].Expr)
		}
		if v.Reason == contracts.ReasonError {
			parts[i] = v.ID + ", which could not be evaluated, and so is violated"
		}
	}
	return strings.Join(parts, "; ")
}

// unmatched groups the services that failed stage match by what they failed.
func unmatched(ev *Evidence, d *Document) []string {
	const shown = 5
	groups := map[string][]string{}
	for _, u := range d.Unmatched {
		parts, written := make([]string, len(u.IDs)), ev.predicatesOf(u.Service)
		for i, id := range u.IDs {
			parts[i] = id + ", " + FalsePredicate(id, written[id].Message, written[id].Expr)
		}
		why := strings.Join(parts, "; ")
		groups[why] = append(groups[why], u.Service)
	}
	var sentences []string
	for _, why := range slices.Sorted(maps.Keys(groups)) {
		services := groups[why]
		more := ""
		if len(services) > shown {
			services, more = services[:shown], fmt.Sprintf(" and %d more", len(services)-shown)
		}
		sentences = append(sentences, fmt.Sprintf("did not match: %s%s: %s", strings.Join(services, ", "), more, why))
	}
	return sentences
}

// generated says what it means that a generated predicate is false (spec/contract.md, "What it compiles into").
var generated = map[string]string{
	"capability":              "does not offer what is asked for",
	"excluded":                "the request excludes it",
	"guarantee.offered":       "does not offer a guarantee that is required",
	"limit.max_input_tokens":  "takes fewer input tokens than the request has",
	"limit.max_output_tokens": "gives fewer output tokens than the request expects",
	"limit.max_units":         "takes fewer units a call than the request has",
	"limit.max_payload_bytes": "takes only a smaller payload",
	"attribute":               "lacks an attribute that is required, or has another value",
	"privacy.sensitive":       "is neither local nor encrypted both in transit and at rest, and the data is sensitive",
	"access.permissions_any":  "the principal holds none of the permissions that it asks for",
	"access.permissions_all":  "the principal lacks a permission that it asks for",
	"access.trust":            "the principal is trusted less than it asks for",
	"bounds.cost":             "would cost more than the request allows",
	"bounds.latency":          "is expected to take longer than the request allows, or nobody knows how long",
}

// FalsePredicate says what it means for a service that a predicate of its contract is false. Message and text are those of a predicate that the contract's author wrote, whose message says what should be so; both are empty where they are not known.
func FalsePredicate(id, message, text string) string {
	if text, ok := generated[id]; ok {
		return text
	}
	if capability, ok := strings.CutPrefix(id, "capability."); ok {
		return "offers " + capability + " with other parameters than required"
	}
	if guarantee, ok := strings.CutPrefix(id, "guarantee."); ok {
		return "does not guarantee the " + guarantee + " that is required"
	}
	switch {
	case message != "":
		return message
	case text != "":
		return "not so: " + text
	}
	return "a condition of its contract is not met"
}

// predicates are those that the author of a contract wrote, by id.
func (ev *Evidence) predicates(digest string) map[string]contracts.Predicate {
	if ev == nil {
		return nil
	}
	var contract struct {
		Predicates []contracts.Predicate `json:"predicates"`
	}
	if err := json.Unmarshal(ev.Contracts[digest], &contract); err != nil {
		return nil // a slim evidence lacks it, and layer document tells of a broken one
	}
	written := map[string]contracts.Predicate{}
	for _, p := range contract.Predicates {
		written[p.ID] = p
	}
	return written
}

func (ev *Evidence) predicatesOf(service string) map[string]contracts.Predicate {
	if ev == nil {
		return nil
	}
	return ev.predicates(ev.Snapshot[service])
}

// plain replaces what could move a cursor or turn the direction of a text.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// shown says what a layer shows when it passes.
var shown = map[string]string{
	LayerEvidence:     "that the file is as it was written",
	LayerSignature:    "that the issuer signed this statement with a key that was in use",
	LayerDocument:     "that this document is the one that was signed, and that it names what this evidence holds",
	LayerReceipt:      "that the statement stands in the log",
	LayerWitnesses:    "that everybody sees the same log",
	LayerCurrency:     "that snapshot, attestations, settings and bundles are those that were in force",
	LayerArgmax:       "that the winner is first by the stated terms, or that nobody survived",
	LayerCompleteness: "that no service was left out",
	LayerReplay:       "that the rules, evaluated again, give this decision",
	LayerOutcome:      "what came of it",
}

// NotShown is the section "What this does not show": first what the layers that did not pass would have shown, whose verdicts say why, then what no proof shows of this decision (spec/proof.md, "What it shows, and what it doesn't").
func NotShown(d *Document, verdicts []Verdict) []string {
	var lines []string
	passed := map[string]bool{}
	for _, layer := range layers {
		i := slices.IndexFunc(verdicts, func(v Verdict) bool { return v.Layer == layer })
		switch {
		case i < 0:
			if layer != LayerEvidence { // checked where it was read
				lines = append(lines, fmt.Sprintf("%s: the layer %s was not checked", shown[layer], layer))
			}
		case verdicts[i].Status == Pass:
			passed[layer] = true
		default:
			lines = append(lines, fmt.Sprintf("%s: the layer %s %s", shown[layer], layer, verb(verdicts[i].Status)))
		}
	}
	if d != nil {
		lines = append(lines, premises(d, passed[LayerWitnesses], passed[LayerCurrency])...)
	}
	for i := range lines {
		lines[i] = plain(lines[i])
	}
	return lines
}

func verb(s Status) string {
	switch s {
	case Fail:
		return "failed"
	case Skipped:
		return "was skipped"
	}
	return "is " + string(s)
}

// premises are what d takes on somebody's word, where witnesses bound its time and the whole log was read, or were not.
func premises(d *Document, witnessed, whole bool) []string {
	var lines []string
	if !witnessed {
		lines = append(lines, "when it was decided: time asserted, "+d.Time+" is the operator's word")
	}
	lines = append(lines, fmt.Sprintf("who asked: roles, permissions and trust are the word of %s (%s)", cmp.Or(d.Principal.Issuer, "the server"), d.Principal.Method))
	for _, source := range []struct {
		of   contracts.Source
		text string
	}{
		{contracts.SourceCaller, "that the caller told the truth about %s"},
		{contracts.SourceToken, "that the token told the truth about %s"},
		{contracts.SourceOperator, "that the operator told the truth about %s"},
		{contracts.SourceDetector, "that the detectors missed nothing in %s"},
		{contracts.SourceDefault, "anything about %s, which nobody gave: the default was taken"},
	} {
		if keys := d.sourced(source.of); len(keys) > 0 {
			lines = append(lines, fmt.Sprintf(source.text, strings.Join(keys, ", ")))
		}
	}
	if services := strings.Join(d.measured(), ", "); services != "" && whole {
		lines = append(lines, "that what callers reported of "+services+" is so: the history counts what the log holds of it")
	} else if services != "" {
		lines = append(lines, "that the history of "+services+" is what the log holds: the numbers of attempts and successes, and the latency, are the operator's word")
	}
	for _, b := range d.Bundles {
		if b.Key == "" {
			lines = append(lines, "who wrote the bundle "+b.Name+": it is unsigned")
		}
	}
	if d.Outcome == Routed {
		lines = append(lines, "that "+d.Choice.Service+" does what its contract says: where it keeps data, what it guarantees, what it costs")
	}
	return append(lines, "that no service was called outside CAIO")
}

// measured are the candidates of which a history was used, in order of service.
func (d *Document) measured() []string {
	var services []string
	for _, c := range d.Candidates {
		if c.History != nil {
			services = append(services, c.Service)
		}
	}
	return services
}

// sourced are the keys of the request whose values have that source, sorted.
func (d *Document) sourced(source contracts.Source) []string {
	var keys []string
	for key, s := range d.Request.Sources {
		if s == source {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
