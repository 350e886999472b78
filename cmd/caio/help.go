package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// helpToWidth lays the help of every command out for the terminal: paragraphs and flags are wrapped, examples are left as they are, so that they can be copied.
func helpToWidth(root *cobra.Command) {
	flags := root.UsageTemplate()
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		p := newPresenter(cmd.OutOrStdout(), false)
		for i, paragraph := range strings.Split(or(cmd.Long, cmd.Short), "\n\n") {
			if i > 0 {
				p.printf("\n")
			}
			if strings.Contains("\n"+paragraph, "\n ") { // laid out by its author
				p.printf("%s\n", paragraph)
				continue
			}
			p.prose("", "", strings.ReplaceAll(paragraph, "\n", " "), p.plain)
		}
		if cmd.Runnable() || cmd.HasSubCommands() {
			cells := 0 // does not wrap
			if p.width > 0 {
				cells = p.line()
			}
			root.SetUsageTemplate(strings.ReplaceAll(flags, ".FlagUsages", fmt.Sprintf(".FlagUsagesWrapped %d", cells)))
			p.printf("\n")
			p.usage(cmd.UsageString())
		}
	})
}

// usage writes cobra's lines, those of commands wrapped below what they say.
func (p *presenter) usage(text string) {
	listed := false
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		name, says, _ := strings.Cut(strings.TrimLeft(line, " "), " ")
		switch {
		case line == "":
			listed = false
		case listed:
			head := "  " + name + strings.Repeat(" ", len(line)-2-len(name)-len(strings.TrimLeft(says, " ")))
			p.prose(head, strings.Repeat(" ", len(head)), says, p.plain)
			continue
		case strings.HasPrefix(line, "Available Commands:"):
			listed = true
		}
		p.printf("%s\n", line)
	}
}
