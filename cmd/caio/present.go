package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/verify"
)

// presenter lays decisions and verdicts out for people.
type presenter struct {
	w     io.Writer
	width int // cells of a line, 0 for any number
	color bool

	plain, bold, faint, good, bad, warn, title lipgloss.Style
}

func newPresenter(w io.Writer, color bool) *presenter {
	renderer := lipgloss.NewRenderer(w)
	if !color {
		renderer.SetColorProfile(termenv.Ascii)
	}
	style := renderer.NewStyle
	return &presenter{
		w:     w,
		width: widthOf(w),
		color: color,
		plain: style(),
		bold:  style().Bold(true),
		faint: style().Faint(true),
		good:  style().Foreground(lipgloss.Color("2")),
		bad:   style().Foreground(lipgloss.Color("1")),
		warn:  style().Foreground(lipgloss.Color("3")),
		title: style().Bold(true).Foreground(lipgloss.Color("6")),
	}
}

// printf writes what is harmless of a text.
func (p *presenter) printf(format string, args ...any) {
	fmt.Fprint(p.w, harmless(fmt.Sprintf(format, args...), p.color))
}

// explain turns a violation of a service into plain words.
type explain func(service string, v contracts.Violation) string

// decision shows the outcome, the candidates that fell, the survivors with their terms, and who was not considered.
func (p *presenter) decision(d *verify.Decision, why explain) {
	if d.Outcome == verify.Routed {
		p.printf("  %s to %s %s\n", p.good.Bold(true).Render("ROUTED"), p.bold.Render(d.Choice.Service), p.faint.Render("("+string(d.Choice.Route)+")"))
	} else {
		p.printf("  %s no service may handle this request\n", p.bad.Bold(true).Render("DENIED"))
	}
	p.eliminated(d, why)
	p.survivors(d)
	p.unmatched(d)
	for _, w := range d.Warnings {
		p.printf("  %s %s %s%s: %s\n", p.warn.Render("warning"), w.ID, w.Service, w.Route, w.Reason)
	}
}

func (p *presenter) eliminated(d *verify.Decision, why explain) {
	rows := [][]string{}
	for _, c := range d.Candidates {
		if c.Eliminated == nil {
			continue
		}
		for i, v := range c.Eliminated.Violations {
			name, stage := c.Service, p.bad.Render(string(c.Eliminated.Stage))
			if i > 0 {
				name, stage = "", ""
			}
			rows = append(rows, []string{name, stage, p.bold.Render(v.ID), why(c.Service, v)})
		}
	}
	if len(rows) > 0 {
		p.printf("\n")
		p.table([]string{"FELL", "AT", "CONSTRAINT", "REASON"}, rows)
	}
}

func (p *presenter) survivors(d *verify.Decision) {
	survivors := []verify.Candidate{}
	for _, c := range d.Candidates {
		if c.Score != nil {
			survivors = append(survivors, c)
		}
	}
	if len(survivors) == 0 {
		return
	}
	slices.SortStableFunc(survivors, func(a, b verify.Candidate) int {
		switch {
		case a.Service == d.Choice.Service:
			return -1
		case b.Service == d.Choice.Service:
			return 1
		}
		return cmp.Compare(b.Score.Objective, a.Score.Objective)
	})
	rows := [][]string{}
	for _, c := range survivors {
		t, e := c.Score.Terms, c.Score.Estimate
		name := c.Service
		if name == d.Choice.Service {
			name = p.good.Render("▸ " + name)
		} else {
			name = "  " + name
		}
		latency := "?"
		if e.LatencyMS != nil {
			latency = fmt.Sprintf("%d ms", *e.LatencyMS)
		}
		gain, loss := func(x int64) string { return p.good.Render(bar(x)) }, func(x int64) string { return p.bad.Render(bar(x)) }
		rows = append(rows, []string{name, gain(t.Learned), gain(t.Attention), loss(t.Cost), loss(t.Risk), loss(t.Latency), dollars(e.CostMicroUSD), latency, p.bold.Render(objective(c.Score.Objective))})
	}
	p.printf("\n")
	p.table([]string{"  SURVIVOR", "+FIT", "+CONTEXT", "-COST", "-RISK", "-LATENCY", "PRICE", "EXPECTED", "OBJECTIVE"}, rows)
}

// unmatched says how many services were not considered, by reason.
func (p *presenter) unmatched(d *verify.Decision) {
	if len(d.Unmatched) == 0 {
		return
	}
	p.printf("\n")
	if len(d.Candidates) == 0 {
		p.nearlyMatched(d)
	}
	counts := map[string]int{}
	for _, u := range d.Unmatched {
		counts[strings.Join(u.IDs, "+")]++
	}
	parts := []string{}
	for _, ids := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[ids], ids))
	}
	p.prose("  ", "    ", fmt.Sprintf("%d of %d services did not match: %s", len(d.Unmatched), len(d.Unmatched)+len(d.Candidates), strings.Join(parts, ", ")), p.faint)
}

// nearlyMatched lists, where no service matched, those that came nearest: with the fewest false predicates.
func (p *presenter) nearlyMatched(d *verify.Decision) {
	const most = 5
	nearest := slices.Clone(d.Unmatched)
	slices.SortStableFunc(nearest, func(a, b verify.Unmatched) int { return cmp.Compare(len(a.IDs), len(b.IDs)) })
	rows := [][]string{}
	for _, u := range nearest[:min(most, len(nearest))] {
		if len(u.IDs) == len(nearest[0].IDs) {
			rows = append(rows, []string{u.Service, strings.Join(u.IDs, " ")})
		}
	}
	p.table([]string{"NEAREST", "DOES NOT SATISFY"}, rows)
	p.printf("\n")
}

// legend says how to read the table of survivors.
func (p *presenter) legend() {
	p.printf("  %s\n", p.faint.Render("Bars are terms between 0 and 1: + raises the objective, - lowers it, each with its weight."))
}

// verdicts shows each layer of a verification: what it came to, and why.
func (p *presenter) verdicts(verdicts []verify.Verdict) {
	marks, widest := make([]string, len(verdicts)), 0
	for i, v := range verdicts {
		marks[i] = map[verify.Status]string{
			verify.Pass: p.good.Render("✓ pass"), verify.Fail: p.bad.Bold(true).Render("✗ FAIL"),
			verify.Skipped: p.faint.Render("· skipped"), verify.Inconclusive: p.warn.Render("? inconclusive"),
		}[v.Status]
		widest = max(widest, lipgloss.Width(marks[i]))
	}
	for i, v := range verdicts {
		head, text := fmt.Sprintf("  %-12s  %s  ", v.Layer, pad(marks[i], widest)), reason(v)
		if p.width > 0 && lipgloss.Width(head)+lipgloss.Width(text) > p.line() {
			p.printf("%s\n", strings.TrimRight(head, " "))
			head = "      "
		}
		p.prose(head, strings.Repeat(" ", lipgloss.Width(head)), text, p.plain)
	}
}

// reason is why a layer came to its verdict, with the place and both values.
func reason(v verify.Verdict) string {
	text := v.Reason
	values := fmt.Sprintf("it should be %s and is %s", shorten(or(v.Want, "nothing")), shorten(or(v.Got, "nothing")))
	switch valued := v.Want != "" || v.Got != ""; {
	case valued && v.Pointer != "":
		text += "; at " + v.Pointer + " " + values
	case valued:
		text += "; " + values
	case v.Pointer != "":
		text += ", at " + v.Pointer
	}
	return strings.Join(strings.Fields(strings.TrimPrefix(text, "; ")), " ")
}

func pad(styled string, width int) string {
	return styled + strings.Repeat(" ", max(0, width-lipgloss.Width(styled)))
}

// shorten cuts what is much longer than a digest: --json has all of it.
func shorten(text string) string {
	const most = 160
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

const barCells = 6

// bar draws a term in micro as a line of six cells, in halves.
func bar(micro int64) string {
	halves := int(micro * barCells * 2 / 1_000_000)
	text := strings.Repeat("━", halves/2) + strings.Repeat("╸", halves%2)
	if text == "" {
		text = "·"
	}
	return pad(text, barCells)
}

// objective writes nano as a number with three places.
func objective(nano int64) string { return fmt.Sprintf("%+.3f", float64(nano)/1e9) }

// dollars writes micro-USD, with as many places as it takes.
func dollars(micro int64) string {
	if micro == 0 {
		return "free"
	}
	return "$" + contracts.Decimal(micro).String()
}

// whyFromConjuncts explains violations: a false predicate in plain words, an author's by the text of the conjunct that was false, a constraint by its own message.
func whyFromConjuncts(conjunct func(service, id string, index int) string) explain {
	return func(service string, v contracts.Violation) string {
		if v.Reason == contracts.ReasonError {
			return "could not be evaluated, so it is denied"
		}
		if v.Kind == contracts.KindRego {
			return v.Reason
		}
		text := ""
		if index, err := strconv.Atoi(v.Reason); err == nil {
			text = conjunct(service, v.ID, index)
		}
		return verify.FalsePredicate(v.ID, "", text)
	}
}
