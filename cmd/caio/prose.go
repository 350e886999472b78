package main

import (
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/term"
)

// A line of prose is not longer than people like to read, however wide the terminal is, and no terminal is so narrow that every word stands alone.
const (
	widestProse  = 110
	narrowestRow = 20
)

// widthOf is how many cells a line has: those of a terminal, or those that COLUMNS names where the output goes elsewhere. 0 is any number, for what programs read line by line.
func widthOf(w io.Writer) int {
	if f, ok := w.(*os.File); ok && isTerminal(w) {
		if cells, _, err := term.GetSize(f.Fd()); err == nil && cells > 0 {
			return cells
		}
	}
	cells, err := strconv.Atoi(os.Getenv("COLUMNS"))
	if err != nil || cells < 0 {
		return 0
	}
	return cells
}

// wrapped breaks a text into lines of so many cells, between words; only a word that is longer than a line is broken itself. The text's own lines stay apart. 0 cells breaks nothing else.
func wrapped(text string, cells int) (lines []string) {
	for _, paragraph := range strings.Split(text, "\n") {
		line := ""
		for _, word := range strings.Fields(paragraph) {
			together := strings.TrimPrefix(line+" "+word, " ")
			if cells == 0 || ansi.StringWidth(together) <= cells {
				line = together
				continue
			}
			if line != "" {
				lines = append(lines, line)
			}
			pieces := strings.Split(ansi.Hardwrap(word, cells, true), "\n")
			lines, line = append(lines, pieces[:len(pieces)-1]...), pieces[len(pieces)-1]
		}
		lines = append(lines, line)
	}
	return lines
}

// folded is a text whose lines are no longer than so many cells: what goes over stands below, two cells further in than the line began. 0 cells leave it as it is.
func folded(text string, cells int) string {
	if cells == 0 {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if ansi.StringWidth(line) > cells {
			indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
			room := max(min(cells, widestProse)-len(indent)-2, narrowestRow)
			lines[i] = indent + strings.Join(wrapped(line, room), "\n"+indent+"  ")
		}
	}
	return strings.Join(lines, "\n")
}

// line is how many cells a line of prose has at most.
func (p *presenter) line() int {
	if p.width == 0 {
		return widestProse
	}
	return min(p.width, widestProse)
}

// prose writes a text on lines as wide as there is room for, each in a style. The first begins with one text, the others with another.
func (p *presenter) prose(first, others, text string, style lipgloss.Style) {
	cells := 0
	if p.width > 0 {
		cells = max(p.line()-max(lipgloss.Width(first), lipgloss.Width(others)), narrowestRow)
	}
	for _, line := range wrapped(text, cells) {
		p.printf("%s\n", strings.TrimRight(first+style.Render(line), " "))
		first = others
	}
}

// sentences writes each on lines of its own.
func (p *presenter) sentences(list []string, style lipgloss.Style) {
	for _, sentence := range list {
		p.prose("  ", "    ", sentence, style)
	}
}

// heading begins a section.
func (p *presenter) heading(text string) { p.printf("\n%s\n", p.title.Render(text)) }

// plural is a number with what it counts: "1 decision", "2,000 decisions".
func plural(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	if strings.HasSuffix(one, "y") {
		return grouped(n) + " " + strings.TrimSuffix(one, "y") + "ies"
	}
	return grouped(n) + " " + one + "s"
}
