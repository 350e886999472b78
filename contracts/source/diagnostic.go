package source

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Position is a place in a source text. Line and Column count from 1, Column in bytes; 0 is unknown.
type Position struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// String is file:line:column, as far as known.
func (p Position) String() string {
	text := p.File
	for _, n := range []int{p.Line, p.Column} {
		if n == 0 {
			break
		}
		text += fmt.Sprintf(":%d", n)
	}
	return strings.TrimPrefix(text, ":")
}

// Severity of a diagnostic.
type Severity string

// An error refuses the input, a warning does not.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// Diagnostic is one fault of something that a user wrote: where it is, what is wrong and what to do.
type Diagnostic struct {
	Severity Severity `json:"severity"`
	// Code is stable and short: "unknown-key", "out-of-range".
	Code string `json:"code"`
	// Summary is one sentence without a final stop.
	Summary string `json:"summary"`
	// Detail says what to do, where Summary does not.
	Detail string `json:"detail,omitempty"`
	// Pointer is the JSON pointer (RFC 6901) of the value in its document, where there is one.
	Pointer string   `json:"pointer,omitempty"`
	Pos     Position `json:"position"`
}

// String is "file:3:7: summary (/pointer): detail".
func (d Diagnostic) String() string {
	text := d.Summary
	if d.Pointer != "" {
		text += " (" + d.Pointer + ")"
	}
	if d.Detail != "" {
		text += ": " + d.Detail
	}
	if at := d.Pos.String(); at != "" {
		text = at + ": " + text
	}
	if d.Severity == SeverityWarning {
		text = "warning: " + text
	}
	return text
}

// Diagnostics are all the faults of one input, in the order of their positions.
type Diagnostics []Diagnostic

// Errorf adds an error.
func (ds *Diagnostics) Errorf(code, pointer string, pos Position, format string, args ...any) {
	*ds = append(*ds, Diagnostic{Severity: SeverityError, Code: code, Pointer: pointer, Pos: pos, Summary: fmt.Sprintf(format, args...)})
}

// codeMore marks the entry that ends a list cut at [MaxFaults].
const codeMore = "more-faults"

// Sort puts ds in the order of their positions, and then of their pointers.
func (ds Diagnostics) Sort() {
	last := func(d Diagnostic) int {
		if d.Code == codeMore {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(ds, func(a, b Diagnostic) int {
		return cmp.Or(cmp.Compare(last(a), last(b)), cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Column, b.Pos.Column), cmp.Compare(a.Pointer, b.Pointer))
	})
}

// HasErrors reports whether the input is refused.
func (ds Diagnostics) HasErrors() bool {
	for _, d := range ds {
		if d.Severity != SeverityWarning {
			return true
		}
	}
	return false
}

// Err returns ds as an error if it has errors, and nil otherwise.
func (ds Diagnostics) Err() error {
	if !ds.HasErrors() {
		return nil
	}
	return ds
}

// Error is one diagnostic a line.
func (ds Diagnostics) Error() string {
	lines := make([]string, len(ds))
	for i, d := range ds {
		lines[i] = d.String()
	}
	return strings.Join(lines, "\n")
}
