package verify

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/smarthausgroup/caio/contracts"
)

// Argmax is the layer of that name: from the terms that d states it recomputes every objective, the order, the winner with its runner-up and margin, or the nearest candidates of a denial.
// That the terms are those of the arguments is for replay. d is valid ([Document.Validate]).
func Argmax(d *Document) Verdict {
	coefficients, ok := ProfileCoefficients(d.Request.Profile)
	if !ok {
		return Verdict{Layer: LayerArgmax, Status: Fail, Reason: "the calculus has no such profile", Pointer: "/request/profile", Got: d.Request.Profile}
	}
	var f findings
	ranking := []*Candidate{}
	for i := range d.Candidates {
		c := &d.Candidates[i]
		at := pointer("candidates", i)
		if c.Score != nil {
			checkScore(&f, at+"/score", c.Score, coefficients, d.Request.Fields)
			ranking = append(ranking, c)
			equal(&f, at+"/score/terms/intent", "intent clarity is the same for every survivor", ranking[0].Score.Terms.Intent, c.Score.Terms.Intent)
		} else {
			f.require(c.Eliminated != nil && len(c.Eliminated.Violations) > 0, at, "a candidate without a score has a violation")
		}
	}
	if f.first == nil {
		slices.SortFunc(ranking, func(a, b *Candidate) int { return Compare(a, b, d.Request.Seed) })
		if len(ranking) > 0 {
			checkWinner(&f, d, ranking)
		} else {
			checkDenial(&f, d)
		}
	}
	return Judge(LayerArgmax, f.err())
}

func checkScore(f *findings, at string, s *Score, coefficients Coefficients, fields map[string]Commitment) {
	t := s.Terms
	for _, term := range []struct {
		key   string
		value int64
	}{{"intent", t.Intent}, {"attention", t.Attention}, {"learned", t.Learned}, {"resonance", t.Resonance}, {"cost", t.Cost}, {"risk", t.Risk}, {"latency", t.Latency}} {
		between(f, at+"/terms/"+term.key, term.value, 0, contracts.Micro)
	}
	equal(f, at+"/objective", "the objective does not follow from the terms", coefficients.Objective(t), s.Objective)
	if fields["intent"] == "" {
		equal(f, at+"/terms/intent", "without a field of the intent its clarity is 0", 0, t.Intent)
	}
	if fields["memory"] == "" {
		equal(f, at+"/terms/resonance", "without a field of memory resonance is 0", 0, t.Resonance)
	}
}

// checkWinner holds the decision against the first and the second of the ranking.
func checkWinner(f *findings, d *Document, ranking []*Candidate) {
	choice, winner := &d.Choice, ranking[0]
	equal(f, "/outcome", "a candidate survived every stage", Routed, d.Outcome)
	equal(f, "/decision/service", "not the first in the total order", winner.Service, choice.Service)
	equal(f, "/decision/contract", "not the winner's contract", winner.Contract, choice.Contract)
	equal(f, "/decision/route", "not the winner's route", winner.Route, choice.Route)
	equal(f, "/decision/objective", "not the winner's objective", strconv.FormatInt(winner.Score.Objective, 10), optional(choice.Objective))
	if len(ranking) == 1 {
		f.require(choice.RunnerUp == nil, "/decision/runner_up", "nobody else survived")
		return
	}
	if choice.RunnerUp == nil {
		f.fault("/decision/runner_up", "the second in the total order is not named", ranking[1].Service, "")
		return
	}
	equal(f, "/decision/runner_up/service", "not the second in the total order", ranking[1].Service, choice.RunnerUp.Service)
	equal(f, "/decision/runner_up/margin", "not the difference of the objectives", winner.Score.Objective-ranking[1].Score.Objective, choice.RunnerUp.Margin)
}

func optional(n *int64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatInt(*n, 10)
}

// checkDenial wants the candidates that fell at the last stage that anybody reached, as they stand among the candidates, and no control.
func checkDenial(f *findings, d *Document) {
	equal(f, "/outcome", "nobody survived every stage", Denied, d.Outcome)
	equal(f, "/decision/control", "the control signal of a denial is zero", [8]int64{}, d.Choice.Control)
	last := -1
	for _, c := range d.Candidates {
		last = max(last, slices.Index(stages, c.Eliminated.Stage))
	}
	want := []Nearest{}
	for _, c := range d.Candidates {
		if slices.Index(stages, c.Eliminated.Stage) == last {
			want = append(want, Nearest{c.Service, c.Eliminated.Stage, c.Eliminated.Violations})
		}
	}
	got := d.Choice.Nearest
	for i := range min(len(want), len(got)) {
		at := pointer("decision", "nearest", i)
		equal(f, at+"/service", "not one of the candidates that fell last", want[i].Service, got[i].Service)
		equal(f, at+"/stage", "not the stage at which it fell", want[i].Stage, got[i].Stage)
		if !slices.Equal(want[i].Violations, got[i].Violations) {
			f.fault(at+"/violations", "not the violations of that stage", fmt.Sprint(want[i].Violations), fmt.Sprint(got[i].Violations))
		}
	}
	equal(f, "/decision/nearest", "the number of the candidates that fell last", len(want), len(got))
}
