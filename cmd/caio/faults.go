package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/charmbracelet/x/ansi"
	"github.com/smarthausgroup/caio/contracts"
)

// showFaults shows diagnostics on standard error, each with what follows it: a line for each where programs read along, and for people on a terminal the line that it is about, with a mark below.
func (o *options) showFaults(p *presenter, terminal bool, faults contracts.Diagnostics, suffix func(contracts.Diagnostic) string) {
	texts := map[string][]string{}
	for _, d := range faults {
		if !terminal {
			p.printf("%s%s\n", d, suffix(d))
			continue
		}
		p.prose("", "", p.fault(d)+p.faint.Render(suffix(d)), p.plain)
		p.excerpt(d.Pos, texts)
	}
}

// fault is a diagnostic with its severity in front, in its colour.
func (p *presenter) fault(d contracts.Diagnostic) string {
	severity := p.bad.Render("error")
	if d.Severity == contracts.SeverityWarning {
		severity = p.warn.Render("warning")
	}
	d.Severity = contracts.SeverityError // String names only the other
	return severity + ": " + d.String()
}

// excerpt shows the line at a place, if its file can be read, with a mark at the column. Texts are the files that were read before.
func (p *presenter) excerpt(pos contracts.Position, texts map[string][]string) {
	lines, read := texts[pos.File]
	if !read {
		if text, err := os.ReadFile(pos.File); err == nil && len(text) <= maxInput {
			lines = strings.Split(string(text), "\n")
		}
		texts[pos.File] = lines
	}
	if pos.Line < 1 || pos.Line > len(lines) {
		return
	}
	line := []rune(strings.TrimRight(lines[pos.Line-1], "\r"))
	number := fmt.Sprintf("%5d | ", pos.Line)
	before := printable(string(line[:max(0, min(pos.Column-1, len(line)))]))
	shown, column := window(printable(string(line)), ansi.StringWidth(before), p.line()-len(number))
	p.printf("%s%s\n", p.faint.Render(number), shown)
	if pos.Column > 0 {
		p.printf("%s%s\n", strings.Repeat(" ", len(number)+column), p.bad.Render("^"))
	}
}

// window is the part of a line around a column that has at most so many columns, and where the column is in it.
func window(line string, column, columns int) (part string, at int) {
	all := ansi.StringWidth(line)
	if all <= columns {
		return line, column
	}
	first := max(0, min(column-columns/2, all-columns))
	from, to := first, first+columns
	var text strings.Builder
	if from > 0 {
		from++
		text.WriteString("…")
	}
	if to < all {
		to--
	}
	end := 0
	for _, r := range line {
		begin := end
		if end += ansi.StringWidth(string(r)); begin >= from && end <= to {
			text.WriteRune(r)
		} else if begin < from && end > from {
			text.WriteString(strings.Repeat(" ", end-from)) // the half of a wide letter
		}
	}
	if to < all {
		text.WriteString("…")
	}
	return text.String(), column - first
}

// printable is a line of a file with blanks for tabs, and without what a terminal would obey.
func printable(line string) string {
	return strings.Map(func(r rune) rune {
		if obeyed(r) {
			return '?'
		}
		return r
	}, strings.ReplaceAll(line, "\t", "    "))
}

// count says how many errors and warnings there are: "1 error, 2 warnings".
func count(faults contracts.Diagnostics) string {
	errors, warnings := 0, 0
	for _, d := range faults {
		if d.Severity == contracts.SeverityWarning {
			warnings++
		} else {
			errors++
		}
	}
	var parts []string
	for _, part := range []struct {
		n    int
		name string
	}{{errors, "error"}, {warnings, "warning"}} {
		switch {
		case part.n == 1:
			parts = append(parts, "1 "+part.name)
		case part.n > 1:
			parts = append(parts, fmt.Sprintf("%d %ss", part.n, part.name))
		}
	}
	return strings.Join(parts, ", ")
}
