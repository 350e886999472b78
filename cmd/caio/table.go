package main

import (
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/lipgloss/table"
)

// table draws rows without a frame, the head faint. What is too wide for the terminal is wrapped between words, the widest columns first; where that is not enough, each row becomes a record of names and values.
func (p *presenter) table(head []string, rows [][]string) {
	const gap, indent = 2, 2
	widths := widthsOf(head, rows, lipgloss.Width)
	if p.width > 0 {
		least := widthsOf(head, rows, longestWord)
		if !narrow(widths, least, p.width-indent-gap*(len(head)-1)) {
			p.records(head, rows)
			return
		}
		rows = wrappedCells(rows, widths)
	}
	t := table.New().
		Border(lipgloss.HiddenBorder()).BorderTop(false).BorderBottom(false).BorderHeader(false).BorderLeft(false).BorderRight(false).BorderColumn(false).
		Headers(head...).Rows(rows...).
		StyleFunc(func(row, column int) lipgloss.Style {
			style := lipgloss.NewStyle().PaddingRight(gap)
			if row == table.HeaderRow {
				return p.faint.PaddingRight(gap)
			}
			return style
		})
	for _, line := range strings.Split(t.Render(), "\n") {
		p.printf("  %s\n", strings.TrimRight(line, " "))
	}
}

// widthsOf measures the columns.
func widthsOf(head []string, rows [][]string, measure func(string) int) []int {
	widths := make([]int, len(head))
	for i, name := range head {
		widths[i] = lipgloss.Width(name)
		for _, row := range rows {
			widths[i] = max(widths[i], measure(row[i]))
		}
	}
	return widths
}

func longestWord(text string) (longest int) {
	for _, word := range strings.Fields(text) {
		longest = max(longest, lipgloss.Width(word))
	}
	return longest
}

// narrow takes cells off the widest columns, none below the least that it needs, until all have room; false where they don't.
func narrow(widths, least []int, room int) bool {
	for {
		total, widest := 0, -1
		for i, w := range widths {
			total += w
			if w > least[i] && (widest < 0 || w > widths[widest]) {
				widest = i
			}
		}
		if total <= room {
			return true
		}
		if widest < 0 {
			return false
		}
		widths[widest]--
	}
}

// wrappedCells breaks what is wider than its column. A colour goes on on the next line.
func wrappedCells(rows [][]string, widths []int) [][]string {
	wrapping := make([][]string, len(rows))
	for i, row := range rows {
		wrapping[i] = make([]string, len(row))
		for j, cell := range row {
			if lipgloss.Width(cell) <= widths[j] {
				wrapping[i][j] = cell
				continue
			}
			lines, colour := wrapped(cell, widths[j]), ""
			for n, line := range lines {
				lines[n] = colour + line
				if at := strings.LastIndex(lines[n], "\x1b["); at >= 0 {
					colour, _, _ = strings.Cut(lines[n][at:], "m")
					colour += "m"
				}
				if colour == "\x1b[0m" {
					colour = ""
				} else if colour != "" {
					lines[n] += "\x1b[0m"
				}
			}
			wrapping[i][j] = strings.Join(lines, "\n")
		}
	}
	return wrapping
}

// records writes each row as names and values: the first value, and below it the rest, as many on a line as fit.
func (p *presenter) records(head []string, rows [][]string) {
	const indent = 6
	for _, row := range rows {
		p.printf("  %s\n", strings.TrimRight(p.faint.Render(strings.TrimSpace(head[0]))+" "+strings.TrimLeft(row[0], " "), " "))
		line, used := "", 0
		flush := func() {
			if line != "" {
				p.printf("%s%s\n", strings.Repeat(" ", indent), line)
			}
			line, used = "", 0
		}
		for i := 1; i < len(row); i++ {
			name, value := strings.TrimSpace(head[i]), strings.TrimSpace(row[i])
			if value == "" {
				continue
			}
			wide := lipgloss.Width(name) + 1 + lipgloss.Width(value)
			if used > 0 && indent+used+3+wide > p.line() {
				flush()
			}
			if indent+wide > p.line() {
				first := strings.Repeat(" ", indent) + p.faint.Render(name) + " "
				p.prose(first, strings.Repeat(" ", indent+2), value, p.plain)
				continue
			}
			if used > 0 {
				line, used = line+"   ", used+3
			}
			line, used = line+p.faint.Render(name)+" "+value, used+wide
		}
		flush()
	}
}
