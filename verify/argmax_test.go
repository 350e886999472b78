package verify_test

import (
	"slices"
	"testing"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/verify"
	"pgregory.net/rapid"
)

func at[T any](v T) *T { return &v }

// Each forgery is one that the issuer could sign, and leaves a valid document.
func TestArgmaxCatches(t *testing.T) {
	for name, c := range map[string]struct {
		forge func(*verify.Document)
		want  string // pointer
	}{
		"objective":             {func(d *verify.Document) { d.Candidates[1].Score.Objective++ }, "/candidates/1/score/objective"},
		"term":                  {func(d *verify.Document) { d.Candidates[1].Score.Terms.Risk++ }, "/candidates/1/score/objective"},
		"profile":               {func(d *verify.Document) { d.Request.Profile = contracts.Economy }, "/candidates/0/score/objective"},
		"term below 0":          {func(d *verify.Document) { d.Candidates[0].Score.Terms.Cost = -1 }, "/candidates/0/score/terms/cost"},
		"term above 1":          {func(d *verify.Document) { d.Candidates[0].Score.Terms.Latency = contracts.Micro + 1 }, "/candidates/0/score/terms/latency"},
		"term that overflows":   {func(d *verify.Document) { d.Candidates[0].Score.Terms.Learned = 1<<53 - 1 }, "/candidates/0/score/terms/learned"},
		"clarity of one's own":  {func(d *verify.Document) { d.Candidates[1].Score.Terms.Intent++; d.Candidates[1].Score.Objective += 200 }, "/candidates/1/score/terms/intent"},
		"clarity of no field":   {func(d *verify.Document) { d.Request.Fields = nil }, "/candidates/0/score/terms/intent"},
		"resonance of nothing":  {func(d *verify.Document) { delete(d.Request.Fields, "memory") }, "/candidates/0/score/terms/resonance"},
		"winner":                {func(d *verify.Document) { d.Choice.Service = "gte-local" }, "/decision/service"},
		"a rejected winner":     {func(d *verify.Document) { d.Choice.Service = "voyage" }, "/decision/service"},
		"a winner from nowhere": {func(d *verify.Document) { d.Choice.Service = "nobody" }, "/decision/service"},
		"contract":              {func(d *verify.Document) { d.Choice.Contract = d.Candidates[1].Contract }, "/decision/contract"},
		"route":                 {func(d *verify.Document) { d.Choice.Route = contracts.External }, "/decision/route"},
		"objective of winner":   {func(d *verify.Document) { d.Choice.Objective = at(*d.Choice.Objective + 1) }, "/decision/objective"},
		"runner-up":             {func(d *verify.Document) { d.Choice.RunnerUp.Service = "voyage" }, "/decision/runner_up/service"},
		"margin":                {func(d *verify.Document) { d.Choice.RunnerUp.Margin++ }, "/decision/runner_up/margin"},
		"no runner-up":          {func(d *verify.Document) { d.Choice.RunnerUp = nil }, "/decision/runner_up"},
		"winner dropped":        {func(d *verify.Document) { d.Candidates = d.Candidates[1:] }, "/decision/service"},
		"runner-up dropped":     {func(d *verify.Document) { d.Candidates = slices.Delete(d.Candidates, 1, 2) }, "/decision/runner_up"},
		"all survivors dropped": {func(d *verify.Document) { d.Candidates = d.Candidates[2:] }, "/outcome"},
		"denied all the same":   {deny, "/outcome"},
	} {
		d := example(t).document
		c.forge(d)
		if v := verify.Argmax(d); v.Status != verify.Fail || v.Pointer != c.want {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func deny(d *verify.Document) {
	d.Outcome, d.Choice, d.Satisfied = verify.Denied, verify.Choice{}, verify.Satisfied{}
}

func TestArgmaxOfADenial(t *testing.T) {
	denial := func() *verify.Document {
		d := example(t).document
		d.Candidates = d.Candidates[2:]
		deny(d)
		d.Choice.Nearest = []verify.Nearest{{Service: "voyage", Stage: contracts.StageBounds, Violations: slices.Clone(d.Candidates[1].Eliminated.Violations)}}
		if err := d.Validate(); err != nil {
			t.Fatal(err)
		}
		return d
	}
	if v := verify.Argmax(denial()); v.Status != verify.Pass {
		t.Errorf("%+v", v)
	}
	empty := denial()
	empty.Candidates, empty.Choice.Nearest = nil, nil
	if v := verify.Argmax(empty); v.Status != verify.Pass {
		t.Errorf("%+v", v)
	}
	for name, c := range map[string]struct {
		forge func(*verify.Document)
		want  string
	}{
		"no violation":       {func(d *verify.Document) { d.Candidates[0].Eliminated.Violations = nil }, "/candidates/0"},
		"control":            {func(d *verify.Document) { d.Choice.Control[3] = 1 }, "/decision/control"},
		"nearest dropped":    {func(d *verify.Document) { d.Choice.Nearest = nil }, "/decision/nearest"},
		"nearest violations": {func(d *verify.Document) { d.Choice.Nearest[0].Violations = d.Choice.Nearest[0].Violations[:1] }, "/decision/nearest/0/violations"},
		"nearest another": {func(d *verify.Document) {
			d.Choice.Nearest[0] = verify.Nearest{Service: "openai-embed", Stage: contracts.StagePolicy, Violations: d.Candidates[0].Eliminated.Violations}
		}, "/decision/nearest/0/service"},
		"one that fell before": {func(d *verify.Document) { d.Choice.Nearest = append(d.Choice.Nearest, verify.Nearest{Service: "x"}) }, "/decision/nearest"},
		"stage":                {func(d *verify.Document) { d.Choice.Nearest[0].Stage = contracts.StageSecurity }, "/decision/nearest/0/stage"},
	} {
		d := denial()
		c.forge(d)
		if v := verify.Argmax(d); v.Status != verify.Fail || v.Pointer != c.want {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// Whatever is drawn: the ranking of the test, made its own way, is accepted, and no other winner is.
func TestArgmaxAcceptsOneWinner(t *testing.T) {
	others := 0
	rapid.Check(t, func(t *rapid.T) {
		d := randomProof(t).document
		if v := verify.Argmax(d); v.Status != verify.Pass {
			t.Fatalf("%+v", v)
		}
		for _, c := range d.Candidates {
			if c.Score == nil || c.Service == d.Choice.Service {
				continue
			}
			others++
			forged := *d
			forged.Choice.Service, forged.Choice.Contract, forged.Choice.Route, forged.Choice.Objective = c.Service, c.Contract, c.Route, &c.Score.Objective
			if v := verify.Argmax(&forged); v.Status != verify.Fail {
				t.Fatalf("%s instead of %s was accepted", c.Service, d.Choice.Service)
			}
		}
	})
	if others == 0 {
		t.Error("no other winner was tried")
	}
}

// The order is total: of two different services exactly one comes first, and what comes before what comes before comes before.
func TestCompareIsATotalOrder(t *testing.T) {
	candidate := rapid.Custom(func(t *rapid.T) *verify.Candidate {
		c := &verify.Candidate{Service: rapid.StringMatching(`[a-d]`).Draw(t, "service"), Score: &verify.Score{Objective: rapid.Int64Range(0, 1).Draw(t, "j")}}
		c.Score.Estimate.CostMicroUSD = rapid.Int64Range(0, 1).Draw(t, "cost")
		if rapid.Bool().Draw(t, "known") {
			c.Score.Estimate.LatencyMS = at(rapid.Int64Range(0, 1).Draw(t, "latency"))
		}
		return c
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := candidate.Draw(t, "a"), candidate.Draw(t, "b"), candidate.Draw(t, "c")
		seed := rapid.Int64Range(0, 3).Draw(t, "seed")
		if a.Service != b.Service && (verify.Compare(a, b, seed) < 0) == (verify.Compare(b, a, seed) < 0) {
			t.Fatal("both or neither")
		}
		if verify.Compare(a, a, seed) < 0 {
			t.Fatal("before itself")
		}
		if verify.Compare(a, b, seed) < 0 && verify.Compare(b, c, seed) < 0 && !(verify.Compare(a, c, seed) < 0) {
			t.Fatal("not transitive")
		}
	})
}

func TestProfiles(t *testing.T) {
	extremes := []verify.Terms{{}, {Intent: contracts.Micro, Attention: contracts.Micro, Learned: contracts.Micro, Resonance: contracts.Micro}, {Cost: contracts.Micro, Risk: contracts.Micro, Latency: contracts.Micro}}
	for _, profile := range []string{contracts.Balanced, contracts.Economy, contracts.Realtime, contracts.Assurance} {
		c, ok := verify.ProfileCoefficients(profile)
		if !ok {
			t.Fatal(profile)
		}
		for i, want := range []int64{0, 1_000_000_000, -1_000_000_000} {
			if got := c.Objective(extremes[i]); got != want {
				t.Errorf("%s: %+v gives %d, want %d", profile, extremes[i], got, want)
			}
		}
	}
	if _, ok := verify.ProfileCoefficients(""); ok {
		t.Error("there is no profile without a name")
	}
}
