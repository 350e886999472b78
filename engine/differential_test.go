package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/canonical"
	"github.com/smarthausgroup/caio/engine"
	"github.com/smarthausgroup/caio/engine/field"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/replay"
	"pgregory.net/rapid"
)

// leastCases is how many random cases the engine is held against the definition with, in a whole run.
const leastCases = 10_000

// world is what is compiled once and decided on many times: services, in every attestation, and policies.
type world struct {
	contracts []*contracts.Contract
	services  []map[contracts.Attestation]*engine.Service // as contracts
	policies  *rego.Policies
	rules     *replay.Rules
	options   rego.Options
	modules   string
}

// trial is one case: the arguments of a decision.
type trial struct {
	*world
	present   []int // of the world's services, in the order of their registration
	levels    map[string]contracts.Attestation
	request   *contracts.Request
	principal contracts.Principal
	history   map[string]contracts.History
	time      time.Time
}

func drawWorld(t *rapid.T) *world {
	w := &world{}
	var ids []string
	for i := range 7 - rapid.IntRange(1, 6).Draw(t, "services left out") {
		ids = append(ids, fmt.Sprintf("svc-%d", (5*i+3)%7))
		if i > 0 && chance(t, "is a twin", 2) {
			twin := *w.contracts[rapid.IntRange(0, i-1).Draw(t, "of")]
			twin.ID = ids[i]
			w.contracts = append(w.contracts, &twin)
		} else {
			w.contracts = append(w.contracts, contract(t, ids[i]))
		}
		service, faults := engine.NewService(w.contracts[i], contracts.SelfAttested)
		if faults.HasErrors() {
			t.Fatal(faults)
		}
		attested := map[contracts.Attestation]*engine.Service{}
		for _, level := range levels {
			attested[level] = service.Attested(level)
		}
		w.services = append(w.services, attested)
	}
	bundle, options := policies(t, ids)
	for _, file := range bundle.Files {
		w.modules += fmt.Sprintf("--- %s\n%s\n", file.Path, file.Text)
	}
	var faults contracts.Diagnostics
	if w.policies, faults = rego.Compile([]*rego.Bundle{bundle}, options); faults.HasErrors() {
		t.Fatalf("%v\n%s", faults, w.modules)
	}
	w.options = options
	var err error
	if w.rules, err = replay.Compile(replay.Arguments{Contracts: w.contracts, Bundles: []*rego.Bundle{bundle}, Settings: options.Settings, Data: options.Data}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) draw(t *rapid.T) trial {
	c := trial{world: w, levels: map[string]contracts.Attestation{}, history: map[string]contracts.History{}}
	var ids []string
	for i, contract := range w.contracts {
		c.present = append(c.present, i)
		ids = append(ids, contract.ID)
		c.levels[contract.ID] = oneOf(t, "attestation", levels...)
		if row := history(t); row != (contracts.History{}) {
			c.history[contract.ID] = row
		}
	}
	c.present = rapid.Permutation(c.present).Draw(t, "registered in order")
	if chance(t, "leaves a service out", 2) {
		c.present = c.present[1:]
	}
	c.request, c.principal = request(t, ids), principal(t)
	c.time = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	return c
}

// decide is what the engine concludes.
func (c trial) decide(t *rapid.T) verify.Decision {
	var services []*engine.Service
	for _, i := range c.present {
		services = append(services, c.services[i][c.levels[c.contracts[i].ID]])
	}
	snapshot, err := engine.NewSnapshot(services...)
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	decision, err := e.Decide(context.Background(), engine.Arguments{Request: c.request, Principal: c.principal, Snapshot: snapshot, Policies: c.policies, History: c.history, Time: c.time})
	if err != nil {
		t.Fatal(err)
	}
	return decision
}

// replay is what the definition concludes.
func (c trial) replay(t *rapid.T) verify.Decision {
	a := replay.Arguments{Request: c.request, Principal: c.principal, Attestations: c.levels, History: c.history, Time: c.time}
	for _, i := range c.present {
		a.Contracts = append(a.Contracts, c.contracts[i])
	}
	decision, err := c.rules.Decide(context.Background(), a)
	if err != nil {
		t.Fatal(err)
	}
	return decision
}

// String is the case for people: rapid has made it as small as it can when it is printed.
func (c trial) String() string {
	var text strings.Builder
	for _, i := range c.present {
		id := c.contracts[i].ID
		fmt.Fprintf(&text, "--- contract, %s, history %+v\n%s\n", c.levels[id], c.history[id], c.contracts[i].Canonical())
	}
	request, _ := json.Marshal(c.request)
	fmt.Fprintf(&text, "--- request\n%s\n--- principal\n%+v\n--- settings and data\n%v\n%s", request, c.principal, c.options, c.modules)
	return text.String()
}

func encode(t *rapid.T, d verify.Decision) string {
	text, err := canonical.Encode(d)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// forTrials draws rapid's number of worlds (100) in two halves, side by side, and cases of each.
func forTrials(t *testing.T, casesOfWorld int, check func(*rapid.T, trial)) (cases int64) {
	var count atomic.Int64
	t.Run("worlds", func(t *testing.T) {
		for half := range 2 {
			t.Run(fmt.Sprint(half), func(t *testing.T) {
				t.Parallel()
				rapid.Check(t, func(t *rapid.T) {
					w := drawWorld(t)
					for range casesOfWorld {
						check(t, w.draw(t))
						count.Add(1)
					}
				})
			})
		}
	})
	return count.Load()
}

// TestDifferential holds the engine against the definition, byte by byte.
func TestDifferential(t *testing.T) {
	const sample = 3
	perWorld := 60
	if raceDetector || testing.Short() {
		perWorld = sample
	}
	var mutex sync.Mutex
	seen := map[string]int64{} // how often the cases came to what there is to come to
	cases := forTrials(t, perWorld, func(t *rapid.T, c trial) {
		decided := c.decide(t)
		got, want := encode(t, decided), encode(t, c.replay(t))
		if got != want {
			t.Fatalf("engine and definition differ:\nengine %s\nreplay %s\n%s", got, want, c)
		}
		mutex.Lock()
		defer mutex.Unlock()
		for _, what := range classes(decided) {
			seen[what]++
		}
	})
	t.Logf("%d cases: %v", cases, seen)
	if perWorld == sample {
		return
	}
	if cases < leastCases {
		t.Errorf("%d cases are fewer than %d", cases, leastCases)
	}
	for _, what := range []string{"routed", "denied", "unmatched", "safety", "policy", "security", "traits", "bounds", "runner-up", "drawn by lot", "control", "warned", "margin", "error in cel", "error in rego"} {
		if seen[what] == 0 {
			t.Errorf("no case is %s: the generators have drifted", what)
		}
	}
	if routed := seen[verify.Routed]; routed < cases/8 || routed > cases*7/8 {
		t.Errorf("%d of %d cases are routed: the generators have drifted", routed, cases)
	}
}

// classes are what a decision is an example of.
func classes(d verify.Decision) []string {
	found := map[string]bool{
		d.Outcome: true, "unmatched": len(d.Unmatched) > 0, "runner-up": d.Choice.RunnerUp != nil, "control": d.Choice.Control != [field.Bands]int64{}, "warned": len(d.Warnings) > 0,
		"margin": slices.ContainsFunc(d.Satisfied.Constraints, func(s contracts.SatisfiedConstraint) bool { return s.Margin != nil }),
	}
	scores := map[string]bool{}
	for _, candidate := range d.Candidates {
		if candidate.Score != nil {
			score, _ := canonical.Encode(candidate.Score)
			found["drawn by lot"] = found["drawn by lot"] || scores[string(score)]
			scores[string(score)] = true
			continue
		}
		found[string(candidate.Eliminated.Stage)] = true
		for _, violation := range candidate.Eliminated.Violations {
			found["error in "+violation.Kind] = found["error in "+violation.Kind] || violation.Reason == contracts.ReasonError
		}
	}
	return slices.DeleteFunc(slices.Collect(maps.Keys(found)), func(what string) bool { return !found[what] })
}

// evaluators are the engine and its definition: what the calculus promises, both must keep.
var evaluators = map[string]func(trial, *rapid.T) verify.Decision{"engine": trial.decide, "replay": trial.replay}

// TestRemovingALoser: a service that did not win may leave without changing the winner (spec/calculus.md, section 4).
func TestRemovingALoser(t *testing.T) {
	var tried atomic.Int64
	forTrials(t, 3, func(t *rapid.T, c trial) {
		loser := rapid.IntRange(0, len(c.present)).Draw(t, "loser")
		for name, evaluate := range evaluators {
			before := evaluate(c, t)
			if loser == len(c.present) || c.contracts[c.present[loser]].ID == before.Choice.Service {
				continue
			}
			without := c
			without.present = slices.Delete(slices.Clone(c.present), loser, loser+1)
			if after := evaluate(without, t); after.Choice.Service != before.Choice.Service || after.Choice.Control != before.Choice.Control {
				t.Fatalf("%s: without %s the winner is %q, not %q\n%s", name, c.contracts[c.present[loser]].ID, after.Choice.Service, before.Choice.Service, c)
			}
			tried.Add(1)
		}
	})
	if tried.Load() == 0 {
		t.Error("no case has a loser")
	}
}

// TestRegistrationOrder: the order in which services were registered never matters (spec/calculus.md, section 4).
func TestRegistrationOrder(t *testing.T) {
	forTrials(t, 3, func(t *rapid.T, c trial) {
		reordered := c
		reordered.present = rapid.Permutation(c.present).Draw(t, "other order")
		for name, evaluate := range evaluators {
			if one, other := encode(t, evaluate(c, t)), encode(t, evaluate(reordered, t)); one != other {
				t.Fatalf("%s: in another order\n%s\nis\n%s\n%s", name, one, other, c)
			}
		}
	})
}

// TestControlSignal: bounded, limited in its rate by the previous signal, and without one no step away from the target (spec/calculus.md, section 5).
func TestControlSignal(t *testing.T) {
	var signals atomic.Int64
	forTrials(t, 5, func(t *rapid.T, c trial) {
		if c.request.Fields.Intent == nil {
			c.request.Fields = fields(t)
		}
		for name, evaluate := range evaluators {
			d := evaluate(c, t)
			if d.Choice.Control == [field.Bands]int64{} {
				continue
			}
			signals.Add(1)
			now, target := field.Spectrum(c.request.Fields.Intent), c.target(d.Choice.Service)
			for j, u := range d.Choice.Control {
				switch {
				case u < -250_000 || u > 250_000:
					t.Fatalf("%s: u_%d = %d is out of bounds\n%s", name, j, u, c)
				case c.request.Previous != nil && distance(u, c.request.Previous[j]) > 100_000:
					t.Fatalf("%s: u_%d = %d is more than a step from %d\n%s", name, j, u, c.request.Previous[j], c)
				case c.request.Previous == nil && distance(target[j], now[j]+u) > distance(target[j], now[j]):
					t.Fatalf("%s: u_%d = %d moves %d away from %d\n%s", name, j, u, now[j], target[j], c)
				}
			}
		}
	})
	if signals.Load() == 0 {
		t.Error("no case has a signal")
	}
}

// target is what the signal aims at with a winner.
func (c trial) target(winner string) (target [field.Bands]int64) {
	for _, contract := range c.contracts {
		if contract.ID == winner {
			target = field.Spectrum(contract.Field)
		}
	}
	if c.request.Fields.Traits != nil {
		for j, share := range field.Spectrum(c.request.Fields.Traits) {
			target[j] = (target[j] + share) / 2
		}
	}
	return target
}

func distance(a, b int64) int64 { return max(a-b, b-a) }
