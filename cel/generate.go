package cel

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/smarthausgroup/caio/contracts"
)

// generated is a predicate of the table in spec/contract.md: its conjuncts are joined by &&.
type generated struct {
	id        string
	stage     contracts.Stage
	conjuncts []string
	message   string
}

// generate writes the predicates of a contract, with its values as literals.
func generate(c *contracts.Contract) []generated {
	all := slices.Concat(capabilities(c), guarantees(c), limits(c.Limits), access(c.Access))
	add := func(id string, stage contracts.Stage, message string, conjuncts ...string) {
		all = append(all, generated{id, stage, conjuncts, message})
	}
	add("excluded", contracts.StageMatch, "the request does not exclude the service",
		exclusion(c.ID))
	attributes := []string{"request.requirements.attributes.only(" + keys(c.Attributes) + ")"}
	for _, name := range slices.Sorted(maps.Keys(c.Attributes)) {
		attributes = append(attributes, "request.attribute("+quote(name)+").equals("+literal(c.Attributes[name].V)+")")
	}
	add("attribute", contracts.StageMatch, "every attribute that the request requires is the service's", attributes...)
	if !c.Privacy.Protected() {
		var labels []string
		for _, label := range []string{"confidential", "pii", "phi", "secret"} {
			labels = append(labels, "!("+quote(label)+" in request.data.labels)")
		}
		add("privacy.sensitive", contracts.StageSecurity, "sensitive data goes only to a service that is local or encrypts in transit and at rest", labels...)
	}
	add("bounds.cost", contracts.StageBounds, "the estimated cost is at most what the request allows",
		"!has(request.limits.max_cost_micro_usd) || estimate.cost_micro_usd <= request.limits.max_cost_micro_usd")
	add("bounds.latency", contracts.StageBounds, "the expected latency is known and at most what the request allows",
		"!has(request.limits.max_latency_ms) || has(estimate.latency_ms) && estimate.latency_ms <= request.limits.max_latency_ms")
	return all
}

const beforeExcluded, afterExcluded = "!(", " in request.exclude)"

// exclusion says that the request does not exclude a service.
func exclusion(id string) string { return beforeExcluded + quote(id) + afterExcluded }

// excluded is the id in a text that [exclusion] wrote, "" for any other.
func excluded(text string) string {
	text, begins := strings.CutPrefix(text, beforeExcluded)
	text, ends := strings.CutSuffix(text, afterExcluded)
	id, err := strconv.Unquote(text)
	if !begins || !ends || err != nil {
		return ""
	}
	return id
}

func capabilities(c *contracts.Contract) []generated {
	types := make([]string, len(c.Capabilities))
	var all []generated
	for i, capability := range c.Capabilities {
		types[i] = quote(capability.Type)
		conjuncts := []string{"request.parameters(" + types[i] + ").only(" + keys(capability.Parameters) + ")"}
		for _, name := range slices.Sorted(maps.Keys(capability.Parameters)) {
			conjuncts = append(conjuncts, "request.parameter("+types[i]+", "+quote(name)+")"+offer(capability.Parameters[name]))
		}
		all = append(all, generated{"capability." + capability.Type, contracts.StageMatch, conjuncts, "every parameter that the request requires of " + capability.Type + " is offered"})
	}
	slices.Sort(types)
	return append(all, generated{"capability", contracts.StageMatch,
		[]string{"request.requirements.capabilities.only([" + strings.Join(types, ", ") + "])"}, "every capability that the request requires is offered"})
}

// offer says what a contract's parameter demands of a required one.
func offer(offered contracts.Value) string {
	switch v := offered.V.(type) {
	case []any:
		return ".among(" + literal(v) + ")"
	case map[string]any:
		if isRange(v) {
			return ".within(" + literal(v) + ")"
		}
	}
	return ".equals(" + literal(offered.V) + ")"
}

// isRange reports whether a map has min, max or both, and nothing else. What they are does not matter: no number is within bounds that are not numbers.
func isRange(m map[string]any) bool {
	for key := range m {
		if key != "min" && key != "max" {
			return false
		}
	}
	return len(m) > 0
}

func guarantees(c *contracts.Contract) []generated {
	all := []generated{{"guarantee.offered", contracts.StageMatch,
		[]string{"request.requirements.guarantees.only(" + keys(c.Guarantees) + ")"}, "every guarantee that the request requires is offered"}}
	for name, g := range c.Guarantees {
		conjunct := func(bound, offered string) string {
			return "request.guarantee(" + quote(name) + ", " + quote(bound) + ")" + offered
		}
		conjuncts := []string{conjunct("min", ".absent()"), conjunct("max", ".absent()"), conjunct("equals", ".absent()")}
		if g.Min != nil {
			conjuncts[0] = conjunct("min", ".atMost("+literal(*g.Min)+")")
		}
		if g.Max != nil {
			conjuncts[1] = conjunct("max", ".atLeast("+literal(*g.Max)+")")
		}
		if g.Equals != nil {
			conjuncts[2] = conjunct("equals", ".equals("+literal(g.Equals.V)+")")
		}
		all = append(all, generated{"guarantee." + name, contracts.StageMatch, conjuncts, "the guarantee " + name + " is at least what the request requires"})
	}
	return all
}

func limits(l contracts.ServiceLimits) []generated {
	var all []generated
	add := func(name, estimate string, limit *int64, defaulted bool) {
		if limit == nil {
			return
		}
		text := fmt.Sprintf("request.estimate.%s <= %d", estimate, *limit)
		if defaulted {
			text += fmt.Sprintf(" || %s in request.estimate.defaulted", quote(estimate))
		}
		all = append(all, generated{"limit." + name, contracts.StageMatch, []string{text}, fmt.Sprintf("%s is at most %d", estimate, *limit)})
	}
	add("max_input_tokens", "input_tokens", l.MaxInputTokens, true)
	add("max_output_tokens", "output_tokens", l.MaxOutputTokens, true)
	add("max_units", "units", l.MaxUnits, false)
	add("max_payload_bytes", "payload_bytes", l.MaxPayloadBytes, false)
	return all
}

func access(a contracts.Access) []generated {
	var all []generated
	held := func(permissions []string) []string {
		texts := make([]string, len(permissions))
		for i, p := range permissions {
			texts[i] = quote(p) + " in principal.permissions"
		}
		return texts
	}
	if len(a.PermissionsAny) > 0 {
		all = append(all, generated{"access.permissions_any", contracts.StageSecurity,
			[]string{strings.Join(held(a.PermissionsAny), " || ")}, "the principal holds one of the permissions"})
	}
	if len(a.PermissionsAll) > 0 {
		all = append(all, generated{"access.permissions_all", contracts.StageSecurity, held(a.PermissionsAll), "the principal holds all of the permissions"})
	}
	if a.MinTrust > 0 {
		all = append(all, generated{"access.trust", contracts.StageSecurity,
			[]string{"principal.trust >= " + literal(a.MinTrust)}, "the principal's trust is at least " + a.MinTrust.String()})
	}
	return all
}

// expr is the whole predicate. Only a conjunct that is alone may be a disjunction.
func (g generated) expr() string { return strings.Join(g.conjuncts, " && ") }

// literal writes a value of a contract in CEL.
func literal(v any) string {
	switch v := v.(type) {
	case nil: // no contract that was read holds it; nothing that is required equals it
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case contracts.Decimal:
		if _, whole := v.Int(); whole || v < exactDoubles && v > -exactDoubles {
			return v.String()
		}
		return "decimal(" + quote(v.String()) + ")"
	case string:
		return quote(v)
	case []any:
		elements := make([]string, len(v))
		for i, e := range v {
			elements[i] = literal(e)
		}
		return "[" + strings.Join(elements, ", ") + "]"
	case map[string]any:
		entries := make([]string, 0, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			entries = append(entries, quote(key)+": "+literal(v[key]))
		}
		return "{" + strings.Join(entries, ", ") + "}"
	}
	panic(fmt.Sprintf("cel: a contract holds a %T", v)) // contracts.Value says what there can be
}

// keys is the sorted list of the keys of a map, in CEL.
func keys[V any](m map[string]V) string {
	names := slices.Sorted(maps.Keys(m))
	for i, name := range names {
		names[i] = quote(name)
	}
	return "[" + strings.Join(names, ", ") + "]"
}

// quote writes a text in CEL, whose escapes include all that Go writes.
func quote(text string) string { return strconv.Quote(text) }
