package rego

import (
	"fmt"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/source"
)

// ignoring begins the comment that silences warnings, by their codes, on its own line: `# caio ignore: no-test, shadowed`.
const ignoring = "caio ignore:"

// silence is such a comment, for one code.
type silence struct {
	pos  contracts.Position
	code string
	used bool
}

// applyIgnores takes out the warnings that a comment silences. Errors stay: what a server refuses no comment makes right. A comment that silences nothing is reported, since it would hide the next fault.
func (c *compilation) applyIgnores() {
	silences := c.silences()
	if len(silences) == 0 {
		return
	}
	c.faults = slices.DeleteFunc(c.faults, func(d contracts.Diagnostic) bool {
		if d.Severity != contracts.SeverityWarning {
			return false
		}
		silenced := false
		for _, s := range silences {
			if s.code == d.Code && s.pos.File == d.Pos.File && s.pos.Line == d.Pos.Line {
				s.used, silenced = true, true
			}
		}
		return silenced
	})
	for _, s := range silences {
		if s.used {
			continue
		}
		detail := "It is to stand at the end of the line that the warning points to; remove it where there is none."
		switch explanation, ok := Explain(s.code); {
		case !ok:
			detail = "No check is called so" + source.DidYouMean(s.code, codes())
		case explanation.Severity == contracts.SeverityError && s.code != "optional-data":
			detail = s.code + " is an error, which can't be silenced."
		}
		c.untidyAt("unused-ignore", s.pos, fmt.Sprintf("the comment silences no %s", s.code), detail)
	}
}

// silences are the comments of all files.
func (c *compilation) silences() (all []*silence) {
	for _, m := range c.modules {
		for _, comment := range m.ast.Comments {
			list, ok := strings.CutPrefix(strings.TrimSpace(string(comment.Text)), ignoring)
			if !ok {
				continue
			}
			for code := range strings.SplitSeq(list, ",") {
				all = append(all, &silence{pos: at(comment.Location), code: strings.TrimSpace(code)})
			}
		}
	}
	return all
}
