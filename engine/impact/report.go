package impact

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/smarthausgroup/caio/verify"
)

// Report is what the candidate rules would have done.
type Report struct {
	Counts
	// InForce is the same decisions, each compared with what the rules in force now decide in place of what was recorded: what putting the candidate in force would change from today on.
	InForce Counts `json:"against_in_force"`
	// OtherRules counts the decisions that were made under others than the rules in force now; Already those of the changed which the rules in force decide as the candidate does, so that the candidate changes them no more.
	OtherRules int64 `json:"made_under_other_rules"`
	Already    int64 `json:"already"`
	// From and To are the times of the first and the last decision; absent where there is none.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`

	Constraints []ConstraintCount `json:"constraints"` // the most frequent first
	Services    []ServiceCount    `json:"services"`    // the most frequent first
	Intents     []GroupCount      `json:"intents"`     // the most changed first
	Tenants     []GroupCount      `json:"tenants"`     // in order of name
	Examples    []Example         `json:"examples"`    // by kind, and of each kind the first
	Failures    []Failure         `json:"failures"`    // the first that could not be decided again
}

// Counts says how many decisions came out how: Total is the sum of Unchanged, Changed, OtherConstraints, WinnerUnknown, Erased and Errors, and Changed that of the three that follow it.
type Counts struct {
	Total          int64 `json:"total"`
	Unchanged      int64 `json:"unchanged"`
	Changed        int64 `json:"changed"`
	RoutedToDenied int64 `json:"routed_to_denied"`
	DeniedToRouted int64 `json:"denied_to_routed"`
	AnotherService int64 `json:"another_service"`
	// OtherConstraints: the same outcome and service, while some candidate violates other constraints.
	OtherConstraints int64 `json:"other_constraints"`
	// WinnerUnknown: routed either way, to whom can't be told, since a text is gone that scoring reads.
	WinnerUnknown int64 `json:"winner_unknown"`
	// Erased: their documents were erased, as the log says, so that they are not decided again.
	Erased int64 `json:"erased"`
	// Errors could not be decided again.
	Errors int64 `json:"errors"`
}

// GroupCount is the counts of one intent or tenant.
type GroupCount struct {
	Name string `json:"name"`
	Counts
}

// ConstraintCount says in how many decisions some candidate violates a predicate or constraint under one of the rules only.
type ConstraintCount struct {
	ID               string `json:"id"`
	Title            string `json:"title,omitempty"`
	Violated         int64  `json:"violated"`           // under the candidate rules only
	NoLongerViolated int64  `json:"no_longer_violated"` // as recorded only
}

// ServiceCount says how many decisions went to a service as recorded and not under the candidate rules, and the other way round.
type ServiceCount struct {
	Service string `json:"service"`
	Lost    int64  `json:"lost"`
	Won     int64  `json:"won"`
}

// Example is one decision that came out otherwise.
type Example struct {
	Kind       Kind   `json:"kind"`
	DecisionID string `json:"decision_id"`
	Tenant     string `json:"tenant"`
	Intent     string `json:"intent"`
	Time       string `json:"time"`
	Before     Side   `json:"before"`
	After      Side   `json:"after"`
	// Already says that the rules in force now give the candidate's result too.
	Already     bool         `json:"already,omitempty"`
	Differences []Difference `json:"differences"`
}

// Side is a decision in short, and where it is explained in full.
type Side struct {
	Outcome string `json:"outcome"`
	// Service is absent for a denial, and where nobody can tell.
	Service       string   `json:"service,omitempty"`
	WinnerUnknown bool     `json:"winner_unknown,omitempty"`
	Reasons       []string `json:"reasons"` // sentences
	// Explanation is the path of the stored document, or a JSON pointer into this report.
	Explanation string `json:"explanation"`
	// Decision is the explanation where none is stored: candidates, what each violates, and its terms.
	Decision *verify.Decision `json:"decision,omitempty"`
}

// Failure names a decision that could not be decided again.
type Failure struct {
	Decision string `json:"decision"` // its id, or where it stands
	Tenant   string `json:"tenant"`
	Error    string `json:"error"`
}

// maxIntents bounds the table of intents, which callers name; those that come after are counted together.
const maxIntents = 1000

// RestOfIntents is the name under which intents beyond the first thousand are counted; no intent has it.
const RestOfIntents = "…"

// add counts one case of a kind; "" is an error.
func (c *Counts) add(kind Kind) {
	c.Total++
	for of, count := range map[Kind]*int64{
		RoutedToDenied: &c.RoutedToDenied, DeniedToRouted: &c.DeniedToRouted, AnotherService: &c.AnotherService,
		OtherConstraints: &c.OtherConstraints, WinnerUnknown: &c.WinnerUnknown, Unchanged: &c.Unchanged, Erased: &c.Erased, "": &c.Errors,
	} {
		if of == kind {
			*count++
		}
	}
	if kind.changed() {
		c.Changed++
	}
}

// tally counts results, which come in order.
type tally struct {
	Report
	most        int // examples of each kind
	constraints map[string]*ConstraintCount
	services    map[string]*ServiceCount
	intents     map[string]*Counts
	tenants     map[string]*Counts
	examples    map[Kind][]Example
	first, last time.Time
}

func newTally(examples int) *tally {
	return &tally{
		most: examples, constraints: map[string]*ConstraintCount{}, services: map[string]*ServiceCount{},
		intents: map[string]*Counts{}, tenants: map[string]*Counts{}, examples: map[Kind][]Example{},
	}
}

// at is the value of a key, made when it is first asked for.
func at[T any](m map[string]*T, key string) *T {
	if m[key] == nil {
		m[key] = new(T)
	}
	return m[key]
}

func (t *tally) add(r *result) {
	kind, live := r.kind, r.live
	if errors.Is(r.err, ErrErased) {
		kind, live = Erased, Erased
	} else if r.err != nil {
		kind, live = "", ""
		if len(t.Failures) < max(1, t.most) {
			t.Failures = append(t.Failures, Failure{r.name, r.tenant, r.err.Error()})
		}
	}
	t.Counts.add(kind)
	t.InForce.add(live)
	at(t.tenants, r.tenant).add(kind)
	if r.intent != "" {
		name := r.intent
		if t.intents[name] == nil && len(t.intents) >= maxIntents {
			name = RestOfIntents
		}
		at(t.intents, name).add(kind)
	}
	if r.err == nil {
		t.decided(r)
	}
}

func (t *tally) decided(r *result) {
	if t.first.IsZero() || r.of.Time.Before(t.first) {
		t.first = r.of.Time
	}
	if r.of.Time.After(t.last) {
		t.last = r.of.Time
	}
	if r.of.OtherRules {
		t.OtherRules++
	}
	if r.already() {
		t.Already++
	}
	t.difference(r)
	if was, is := r.of.Recorded.Choice.Service, r.after.Choice.Service; was != is && r.kind != WinnerUnknown {
		if was != "" {
			at(t.services, was).Lost++
		}
		if is != "" {
			at(t.services, is).Won++
		}
	}
	if r.kind != Unchanged && len(t.examples[r.kind]) < t.most {
		t.examples[r.kind] = append(t.examples[r.kind], r.example())
	}
}

// difference counts each constraint once a decision, whatever the number of candidates.
func (t *tally) difference(r *result) {
	type seen struct {
		id       string
		violated bool
	}
	counted := map[seen]bool{}
	for i := range r.differences {
		d := &r.differences[i]
		if counted[seen{d.ID, d.Violated}] {
			continue
		}
		counted[seen{d.ID, d.Violated}] = true
		count := at(t.constraints, d.ID)
		if count.Title == "" {
			count.Title = r.of.Rules.constraint(d.ID).Title
		}
		if d.Violated {
			count.Violated++
		} else {
			count.NoLongerViolated++
		}
	}
}

// report puts the counts in their order.
func (t *tally) report() *Report {
	r := t.Report
	r.Constraints, r.Services, r.Examples = []ConstraintCount{}, []ServiceCount{}, []Example{}
	r.Failures = append([]Failure{}, r.Failures...)
	if !t.first.IsZero() {
		r.From, r.To = t.first.Format(verify.TimeFormat), t.last.Format(verify.TimeFormat)
	}
	for id, c := range t.constraints {
		c.ID = id
		r.Constraints = append(r.Constraints, *c)
	}
	byMost(r.Constraints, func(c *ConstraintCount) int64 { return c.Violated + c.NoLongerViolated }, func(c *ConstraintCount) string { return c.ID })
	for id, s := range t.services {
		s.Service = id
		r.Services = append(r.Services, *s)
	}
	byMost(r.Services, func(s *ServiceCount) int64 { return s.Lost + s.Won }, func(s *ServiceCount) string { return s.Service })
	r.Intents, r.Tenants = groups(t.intents), groups(t.tenants)
	slices.SortStableFunc(r.Intents, func(a, b GroupCount) int {
		return cmp.Or(cmp.Compare(b.Changed, a.Changed), cmp.Compare(b.Total, a.Total))
	})
	for _, kind := range Kinds {
		r.Examples = append(r.Examples, t.examples[kind]...)
	}
	r.point()
	return &r
}

// groups lists counts in order of name.
func groups(counts map[string]*Counts) []GroupCount {
	list := make([]GroupCount, 0, len(counts))
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		list = append(list, GroupCount{name, *counts[name]})
	}
	return list
}
