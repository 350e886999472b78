package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine"
	"github.com/smarthausgroup/caio/engine/impact"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/replay"
	"pgregory.net/rapid"
)

// change is a world with a candidate for its policies.
type change struct {
	*world
	candidate *rego.Policies
	rules     *replay.Rules // of the candidate
	modules   string
}

func drawChange(t *rapid.T) change {
	c := change{world: drawWorld(t)}
	var ids []string
	for _, contract := range c.contracts {
		ids = append(ids, contract.ID)
	}
	bundle, options := policies(t, ids)
	for _, file := range bundle.Files {
		c.modules += fmt.Sprintf("--- candidate %s\n%s\n", file.Path, file.Text)
	}
	var faults contracts.Diagnostics
	if c.candidate, faults = rego.Compile([]*rego.Bundle{bundle}, options); faults.HasErrors() {
		t.Fatal(faults)
	}
	var err error
	c.rules, err = replay.Compile(replay.Arguments{Contracts: c.contracts, Bundles: []*rego.Bundle{bundle}, Settings: options.Settings, Data: options.Data})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// stored is a decision under the world's policies as a store keeps it, with or without its content.
type stored struct {
	trial
	document *verify.Document
	open     []verify.Disclosure
	hidden   bool
	plain    verify.Decision // under the candidate: the definition's, over the whole snapshot, with the content
}

func (c change) store(t *rapid.T, nth int) stored {
	s := stored{trial: c.draw(t)}
	sourced(t, s.request)
	commitments, disclosures, err := verify.Commit(s.request, s.principal.Subject, func(string) []byte { return make([]byte, verify.SaltBytes) })
	if err != nil {
		t.Fatal(err)
	}
	s.time = s.time.Add(time.Duration(nth) * time.Second)
	s.document = verify.NewDocument(verify.Header{
		DecisionID: verify.NewDecisionID(s.time, [10]byte{byte(nth)}), Issuer: "test", Log: "test", Time: s.time,
	}, s.request, s.principal, commitments, s.decide(t))
	if s.hidden = chance(t, "content is gone", 2); !s.hidden {
		s.open = disclosures
	}
	s.plain = s.replayUnder(t, c.rules)
	return s
}

// sourced names sources, without which a document does not give its request back.
func sourced(t *rapid.T, r *contracts.Request) {
	if len(r.Requirements.Capabilities) == 0 {
		r.Requirements.Capabilities = []string{r.Intent.Type}
	}
	r.Sources = map[string]contracts.Source{}
	for _, source := range []contracts.Source{contracts.SourceCaller, contracts.SourceOperator} {
		for _, fault := range r.Validate() {
			r.Sources[strings.TrimPrefix(fault.Pointer, "/sources/")] = source
		}
	}
	if faults := r.Validate(); faults.HasErrors() {
		t.Fatal(faults)
	}
}

func (c trial) replayUnder(t *rapid.T, rules *replay.Rules) verify.Decision {
	c.world = &world{contracts: c.contracts, rules: rules}
	return c.replay(t)
}

func (s stored) read(rules *impact.Rules) impact.Pending {
	return impact.Pending{Name: s.document.DecisionID, Tenant: s.principal.Tenant, Read: func(context.Context) (*impact.Case, error) {
		read, err := impact.FromDocument(s.document, s.open, func(id, digest string) (*engine.Service, error) {
			for i, contract := range s.contracts {
				if contract.ID == id && contract.Digest() == digest {
					return s.services[i][s.levels[id]], nil
				}
			}
			return nil, fmt.Errorf("there is no contract %s", digest)
		})
		if read != nil {
			read.Rules = rules
		}
		return read, err
	}}
}

func each(all []impact.Pending) iter.Seq2[impact.Pending, error] {
	return func(yield func(impact.Pending, error) bool) {
		for _, p := range all {
			if !yield(p, nil) {
				return
			}
		}
	}
}

// kind is what came of a case, the plain way.
func (s stored) kind() impact.Kind {
	before := s.document.Decision
	switch {
	case before.Outcome != s.plain.Outcome && s.plain.Outcome == verify.Denied:
		return impact.RoutedToDenied
	case before.Outcome != s.plain.Outcome:
		return impact.DeniedToRouted
	case s.plain.Outcome == verify.Routed && s.untold():
		return impact.WinnerUnknown
	case before.Choice.Service != s.plain.Choice.Service:
		return impact.AnotherService
	}
	violated, noLonger := s.differ()
	if len(violated)+len(noLonger) > 0 {
		return impact.OtherConstraints
	}
	return impact.Unchanged
}

// untold: somebody who was not scored before survives beside others, and the text is gone.
func (s stored) untold() bool {
	survivors, unscored := 0, 0
	for i, c := range s.plain.Candidates {
		if c.Score != nil {
			survivors++
			if s.document.Candidates[i].Score == nil {
				unscored++
			}
		}
	}
	return s.hidden && unscored > 0 && survivors > 1
}

// differ lists "service id" of what is violated on one side only.
func (s stored) differ() (violated, noLonger []string) {
	stages := []contracts.Stage{contracts.StageSafety, contracts.StagePolicy, contracts.StageSecurity, contracts.StageTraits, contracts.StageBounds, ""}
	fell := func(c verify.Candidate) (int, []string) {
		if c.Eliminated == nil {
			return len(stages), nil
		}
		var list []string
		for _, v := range c.Eliminated.Violations {
			list = append(list, c.Service+" "+v.ID)
		}
		return slices.Index(stages, c.Eliminated.Stage), slices.Compact(list)
	}
	for i := range s.plain.Candidates {
		wasAt, was := fell(s.document.Candidates[i])
		isAt, is := fell(s.plain.Candidates[i])
		for _, v := range is {
			if !slices.Contains(was, v) {
				violated = append(violated, v)
			}
		}
		for _, v := range was {
			if !slices.Contains(is, v) && isAt >= wasAt {
				noLonger = append(noLonger, v)
			}
		}
	}
	return violated, noLonger
}

// TestImpactAgainstReplay holds a report against decisions by the definition, under the candidate, over the whole snapshot, and against itself under another schedule.
func TestImpactAgainstReplay(t *testing.T) {
	const casesOfWorld = 12
	var mutex sync.Mutex
	seen := map[impact.Kind]int{}
	rapid.Check(t, func(t *rapid.T) {
		c := drawChange(t)
		rules := &impact.Rules{Candidate: c.candidate, InForce: c.policies}
		var cases []stored
		var pending []impact.Pending
		for n := range casesOfWorld {
			s := c.store(t, n)
			cases, pending = append(cases, s), append(pending, s.read(rules))
		}
		report := reportOf(t, pending, impact.Options{Examples: casesOfWorld, Workers: 4})
		expected := expectation(cases)
		if got := summary(report); !reflect.DeepEqual(got, expected) {
			t.Fatalf("the report says\n%v\nand the definition\n%v\n%v\n%s%s", got, expected, report.Failures, c.world.modules, c.modules)
		}
		checkExamples(t, report, cases)
		again := reportOf(t, pending, impact.Options{Examples: casesOfWorld, Workers: 1})
		if one, other := text(t, report), text(t, again); !bytes.Equal(one, other) {
			t.Fatalf("under another schedule the report is\n%s\nnot\n%s", other, one)
		}
		mutex.Lock()
		defer mutex.Unlock()
		for _, s := range cases {
			seen[s.kind()]++
		}
	})
	t.Log(seen)
	for _, kind := range append(slices.Clone(impact.Kinds), impact.Unchanged) {
		if seen[kind] == 0 {
			t.Errorf("no case is %s: the generators have drifted", kind)
		}
	}
}

func reportOf(t *rapid.T, pending []impact.Pending, o impact.Options) *impact.Report {
	report, err := impact.Run(context.Background(), each(pending), o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func text(t *rapid.T, report *impact.Report) []byte {
	text, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// expectation counts, the plain way, what a report counts.
func expectation(cases []stored) map[string]int64 {
	counts := map[string]int64{}
	for _, s := range cases {
		kind := s.kind()
		changed := kind == impact.RoutedToDenied || kind == impact.DeniedToRouted || kind == impact.AnotherService
		for _, of := range []string{"", "intent " + s.request.Intent.Type, "tenant " + s.principal.Tenant} {
			counts[of+" "+string(kind)]++
			counts[of+" total"]++
			if changed {
				counts[of+" changed"]++
			}
		}
		was, is := s.document.Choice.Service, s.plain.Choice.Service
		if s.untold() {
			is = ""
		}
		if was != is && kind != impact.WinnerUnknown {
			counts["lost "+was]++
			counts["won "+is]++
		}
		violated, noLonger := s.differ()
		for word, list := range map[string][]string{"violated ": violated, "no longer ": noLonger} {
			ids := map[string]bool{}
			for _, v := range list {
				_, id, _ := strings.Cut(v, " ")
				ids[id] = true
			}
			for id := range ids {
				counts[word+id]++
			}
		}
	}
	delete(counts, "lost ")
	delete(counts, "won ")
	return counts
}

// summary is a report in the same form.
func summary(r *impact.Report) map[string]int64 {
	counts := map[string]int64{}
	put := func(of string, c impact.Counts) {
		for name, n := range map[string]int64{
			"total": c.Total, "changed": c.Changed, "routed_to_denied": c.RoutedToDenied, "denied_to_routed": c.DeniedToRouted, "another_service": c.AnotherService,
			"other_constraints": c.OtherConstraints, "winner_unknown": c.WinnerUnknown, "unchanged": c.Unchanged, "errors": c.Errors,
		} {
			if n > 0 {
				counts[of+" "+name] = n
			}
		}
	}
	put("", r.Counts)
	for _, g := range r.Intents {
		put("intent "+g.Name, g.Counts)
	}
	for _, g := range r.Tenants {
		put("tenant "+g.Name, g.Counts)
	}
	set := func(key string, n int64) {
		if n > 0 {
			counts[key] = n
		}
	}
	for _, s := range r.Services {
		set("lost "+s.Service, s.Lost)
		set("won "+s.Service, s.Won)
	}
	for _, c := range r.Constraints {
		set("violated "+c.ID, c.Violated)
		set("no longer "+c.ID, c.NoLongerViolated)
	}
	return counts
}

// checkExamples holds the explanation that an example carries against the definition's decision.
func checkExamples(t *rapid.T, report *impact.Report, cases []stored) {
	for _, e := range report.Examples {
		i := slices.IndexFunc(cases, func(s stored) bool { return s.document.DecisionID == e.DecisionID })
		s := cases[i]
		if e.Kind != s.kind() {
			t.Fatalf("the example %s is %s, not %s", e.DecisionID, e.Kind, s.kind())
		}
		got := *e.After.Decision
		if s.hidden {
			if !s.untold() && got.Choice.Service != s.plain.Choice.Service || s.untold() && (got.Choice.Service != "" || !e.After.WinnerUnknown) {
				t.Fatalf("without its text the example %s goes to %q, and the definition's to %q", e.DecisionID, got.Choice.Service, s.plain.Choice.Service)
			}
			continue
		}
		want := s.plain
		want.Unmatched = []verify.Unmatched{}
		if a, b := encode(t, got), encode(t, want); a != b {
			t.Fatalf("the example %s is explained by\n%s\nnot\n%s", e.DecisionID, a, b)
		}
	}
}
