package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
	"github.com/smarthausgroup/caio/contracts"
)

// TestShowFaults: on a terminal a fault comes with its line and a mark below the place, tabs and wide letters in front of it or not; elsewhere each is a line.
func TestShowFaults(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile(filepath.Join("a.rego"), []byte("package a\n\tx := \"héé\" == 漢.y\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	faults := contracts.Diagnostics{
		{Severity: contracts.SeverityError, Summary: "first", Pos: contracts.Position{File: "a.rego", Line: 2, Column: 18}},
		{Severity: contracts.SeverityWarning, Summary: "second", Pos: contracts.Position{File: "gone.rego", Line: 1, Column: 1}},
		{Severity: contracts.SeverityError, Summary: "third"},
	}
	code := func(contracts.Diagnostic) string { return " [code]" }
	for terminal, want := range map[bool]string{
		false: "a.rego:2:18: first [code]\nwarning: gone.rego:1:1: second [code]\nthird [code]\n",
		true:  "error: a.rego:2:18: first [code]\n    2 |     x := \"héé\" == 漢.y\n                             ^\nwarning: gone.rego:1:1: second [code]\nerror: third [code]\n",
	} {
		var out bytes.Buffer
		(&options{}).showFaults(newPresenter(&out, false), terminal, faults, code)
		if out.String() != want {
			t.Errorf("terminal %v: got\n%s\nwant\n%s", terminal, out.String(), want)
		}
	}
	long := strings.Repeat("a", 300) + "漢" + strings.Repeat("b", 300)
	for name, test := range map[string]struct {
		column int
		part   string
		at     int
	}{
		"at its beginning": {3, strings.Repeat("a", 19) + "…", 3},
		"in its middle":    {290, "…" + strings.Repeat("a", 18) + "…", 10},
		"at its end":       {602, "…" + strings.Repeat("b", 19), 20},
	} {
		if part, at := window(long, test.column, 20); part != test.part || at != test.at {
			t.Errorf("%s: %q, %d", name, part, at)
		}
	}
	if part, at := window("short", 5, 20); part != "short" || at != 5 {
		t.Errorf("%q, %d", part, at)
	}
	for column := range 603 {
		part, at := window(long, column, 20)
		if ansi.StringWidth(part) > 20 || at < 0 || at > 20 {
			t.Fatalf("column %d: %q has %d columns, and it is %d", column, part, ansi.StringWidth(part), at)
		}
	}
	if got := count(faults); got != "2 errors, 1 warning" {
		t.Error(got)
	}
}
