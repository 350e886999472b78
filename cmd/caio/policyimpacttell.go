package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/smarthausgroup/caio/engine/impact"
	"github.com/smarthausgroup/caio/verify"
)

// impact lays out what a change would have done.
func (p *presenter) impact(a *impact.Answer) {
	p.compared(a)
	if a.Total == 0 {
		p.printf("\n  %s\n", p.warn.Render("There is no decision to try it on."))
		return
	}
	p.outcomes(&a.Counts)
	p.already(&a.Report)
	p.byConstraint(a.Constraints)
	p.byService(a.Services)
	if a.Changed > 0 {
		p.groups("INTENT", a.Intents)
	}
	if len(a.Tenants) > 1 {
		p.groups("TENANT", a.Tenants)
	}
	for i := range a.Examples {
		// What changed nothing but the reasons is shown to people only where there is nothing else to show.
		if e := &a.Examples[i]; e.Kind != impact.OtherConstraints || a.Examples[0].Kind == impact.OtherConstraints {
			p.example(e)
		}
	}
	if len(a.Examples) > 0 {
		p.printf("\n  %s\n", p.faint.Render("Explanations whose place begins with # are in what --format json gives."))
	}
	for _, f := range a.Failures {
		p.printf("\n  %s %s %s\n", p.bad.Render("could not be decided again"), p.bold.Render(f.Decision), f.Error)
	}
}

// compared says what was tried in place of what, and on what.
func (p *presenter) compared(a *impact.Answer) {
	of := fmt.Sprintf("%s decisions", grouped(a.Total))
	if a.Total == 1 {
		of = "1 decision"
	}
	switch a.From {
	case "":
	case a.To:
		of += ", of " + a.From
	default:
		of += fmt.Sprintf(", from %s to %s", a.From, a.To)
	}
	p.printf("%s, decided again\n", p.title.Render(of))
	for _, c := range a.Rules {
		tenant := ""
		if len(a.Rules) > 1 {
			tenant = p.faint.Render(" for " + c.Tenant)
		}
		for _, change := range [][2]string{
			{p.named(c.Candidate.Bundles, c.InForce.Bundles), p.named(c.InForce.Bundles, c.Candidate.Bundles)},
			{p.settings(c.Candidate, c.InForce), p.settings(c.InForce, c.Candidate)},
		} {
			line := "  with " + change[0]
			if change[1] != "" {
				line += " in place of " + change[1]
			}
			if change[0] != "" {
				p.printf("%s%s\n", line, tenant)
			}
		}
	}
}

// named lists the bundles that the others are not.
func (p *presenter) named(bundles, others []impact.RuleBundle) string {
	var list []string
	for _, b := range bundles {
		if !slices.Contains(others, b) {
			list = append(list, p.bold.Render(b.Name)+" "+p.faint.Render(short(b.Digest)))
		}
	}
	return strings.Join(list, " and ")
}

// settings names those that are not the other's.
func (p *presenter) settings(of, other impact.RuleSet) string {
	if of.Settings == other.Settings {
		return ""
	}
	return "the settings " + p.faint.Render(short(of.Settings))
}

// outcomes draws how many came out how.
func (p *presenter) outcomes(c *impact.Counts) {
	p.printf("\n")
	for _, line := range []struct {
		what  string
		n     int64
		style lipgloss.Style
		note  string
	}{
		{"unchanged", c.Unchanged, p.plain, ""},
		{"routed → denied", c.RoutedToDenied, p.bad, ""},
		{"denied → routed", c.DeniedToRouted, p.good, ""},
		{"another service", c.AnotherService, p.warn, ""},
		{"other constraints", c.OtherConstraints, p.plain, "the same outcome and service, for other reasons"},
		{"winner unknown", c.WinnerUnknown, p.warn, "routed either way; a text is gone that scoring reads"},
		{"erased", c.Erased, p.plain, "their documents are gone; not decided again"},
		{"errors", c.Errors, p.bad, "could not be decided again"},
	} {
		if line.n == 0 && line.note != "" {
			continue
		}
		text := strings.TrimRight(fmt.Sprintf("%-18s %11s  %7s  %s", line.what, grouped(line.n), percent(line.n, c.Total), line.note), " ")
		if line.n > 0 {
			text = line.style.Render(text)
		}
		p.printf("  %s\n", text)
	}
}

// percent is n's share of total; what is there is never shown as none, nor what is missing as all.
func percent(n, total int64) string {
	share := 100 * float64(n) / float64(max(1, total))
	switch {
	case n > 0 && share < 0.1:
		return "<0.1 %"
	case n < total && share > 99.9:
		return ">99.9 %"
	}
	return fmt.Sprintf("%.1f %%", share)
}

func (p *presenter) already(r *impact.Report) {
	p.printf("\n  %s\n", p.bold.Render(fmt.Sprintf("%s of %s would have come out otherwise.", grouped(r.Changed), grouped(r.Total))))
	if r.OtherRules > 0 {
		p.printf("  %s\n", fmt.Sprintf("%s were made under other rules than those in force now. Beside what these decide, %s would come out otherwise.", grouped(r.OtherRules), p.bold.Render(grouped(r.InForce.Changed))))
	}
}

func (p *presenter) byConstraint(list []impact.ConstraintCount) {
	rows := [][]string{}
	for _, c := range list {
		rows = append(rows, []string{p.bold.Render(c.ID), p.count(c.Violated), p.count(c.NoLongerViolated), c.Title})
	}
	p.counted([]string{"CONSTRAINT", "NEWLY VIOLATED", "NO LONGER", ""}, rows)
}

func (p *presenter) byService(list []impact.ServiceCount) {
	rows := [][]string{}
	for _, s := range list {
		rows = append(rows, []string{p.bold.Render(s.Service), p.count(s.Lost), p.count(s.Won)})
	}
	p.counted([]string{"SERVICE", "LOSES", "WINS"}, rows)
}

func (p *presenter) groups(what string, list []impact.GroupCount) {
	rows := [][]string{}
	for _, g := range list {
		rows = append(rows, []string{p.bold.Render(g.Name), grouped(g.Total), p.count(g.Changed), p.count(g.RoutedToDenied), p.count(g.DeniedToRouted), p.count(g.AnotherService)})
	}
	p.counted([]string{what, "DECISIONS", "CHANGED", "→ DENIED", "→ ROUTED", "→ ANOTHER"}, rows)
}

// maxRows bounds a table for people; machines get all of it.
const maxRows = 15

func (p *presenter) counted(head []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	p.printf("\n")
	p.table(head, rows[:min(len(rows), maxRows)])
	if more := len(rows) - maxRows; more > 0 {
		p.printf("  %s\n", p.faint.Render(fmt.Sprintf("and %d more; --format json has all", more)))
	}
}

// count is a number, nothing drawn faintly.
func (p *presenter) count(n int64) string {
	if n == 0 {
		return p.faint.Render("·")
	}
	return grouped(n)
}

// example shows one decision before and after, the constraints that make the difference with their remedies, and where both are explained.
func (p *presenter) example(e *impact.Example) {
	p.printf("\n  %s  %s\n", p.bold.Render(e.DecisionID), p.faint.Render(strings.Join(slices.DeleteFunc([]string{e.Intent, e.Tenant, e.Time}, func(s string) bool { return s == "" }), ", ")))
	p.side("before", &e.Before, e.After.Reasons)
	p.side("after", &e.After, e.Before.Reasons)
	if e.Already {
		p.printf("    %s\n", p.faint.Render("The rules in force decide so already."))
	}
	told := map[string]bool{}
	for _, d := range e.Differences {
		if told[d.ID] || d.Title == "" {
			continue
		}
		told[d.ID] = true
		word := "violated"
		if !d.Violated {
			word = "violated no longer"
		}
		p.printf("    %s %s: %s\n", p.bold.Render(d.ID), p.faint.Render(word), d.Title)
		if d.Remedy != "" && d.Violated {
			p.prose("      "+p.faint.Render("remedy")+" ", "        ", d.Remedy, p.plain)
		}
	}
	p.printf("    %s\n", p.faint.Render("explained in "+e.Before.Explanation+" and "+e.After.Explanation))
}

// side shows what came out, and the reasons that the other side does not have.
func (p *presenter) side(when string, s *impact.Side, other []string) {
	outcome := p.bad.Bold(true).Render("DENIED")
	switch {
	case s.WinnerUnknown:
		outcome = p.warn.Bold(true).Render("ROUTED") + " to whom is unknown"
	case s.Outcome == verify.Routed:
		outcome = p.good.Bold(true).Render("ROUTED") + " to " + p.bold.Render(s.Service)
	}
	p.printf("    %s %s\n", p.faint.Render(fmt.Sprintf("%-6s", when)), outcome)
	p.indented(slices.DeleteFunc(slices.Clone(s.Reasons[1:]), func(reason string) bool { return slices.Contains(other, reason) }))
}

// maxSentences bounds the reasons that people are shown of one side.
const maxSentences = 6

// indented writes sentences below an outcome.
func (p *presenter) indented(list []string) {
	if more := len(list) - maxSentences; more > 1 {
		list = append(list[:maxSentences], fmt.Sprintf("and %d more", more))
	}
	for _, sentence := range list {
		p.prose("           ", "             ", sentence, p.plain)
	}
}
