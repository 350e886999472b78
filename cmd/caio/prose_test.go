package main

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
	"github.com/smarthausgroup/caio/verify"
	"pgregory.net/rapid"
)

func TestWrapped(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		cells int
		want  []string
	}{
		"fits":                 {"one two", 7, []string{"one two"}},
		"between words":        {"one two three", 8, []string{"one two", "three"}},
		"no room is all room":  {"one two three", 0, []string{"one two three"}},
		"a word too long":      {"a 0123456789abc b", 5, []string{"a", "01234", "56789", "abc b"}},
		"its own lines":        {"one\ntwo  three", 20, []string{"one", "two three"}},
		"wide letters":         {"漢字 漢字", 5, []string{"漢字", "漢字"}},
		"hyphens are no break": {"see on-device-embeddings", 20, []string{"see", "on-device-embeddings"}},
		"nothing":              {"", 5, []string{""}},
	} {
		if got := wrapped(c.text, c.cells); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// No line is longer than there is room for, and no letter gets lost.
func TestWrappedKeepsAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, cells := rapid.StringMatching(`[a-z漢 -]{0,80}`).Draw(t, "text"), rapid.IntRange(2, 30).Draw(t, "cells")
		lines := wrapped(text, cells)
		for _, line := range lines {
			if ansi.StringWidth(line) > cells {
				t.Errorf("%q is longer than %d", line, cells)
			}
		}
		letters := func(text string) string { return strings.Join(strings.Fields(text), "") }
		if letters(strings.Join(lines, "")) != letters(text) {
			t.Errorf("%q became %q", text, lines)
		}
	})
}

// What is laid out for a width fits it, and begins further in where it goes on.
func TestVerdictsFitTheTerminal(t *testing.T) {
	verdicts := []verify.Verdict{
		{Layer: verify.LayerSignature, Status: verify.Pass},
		{Layer: verify.LayerDocument, Status: verify.Fail, Reason: "the document's digest is not the one stated", Pointer: "/doc", Want: strings.Repeat("a", 64), Got: strings.Repeat("b", 64)},
		{Layer: verify.LayerCurrency, Status: verify.Inconclusive, Reason: strings.Repeat("what was in force ", 40)},
		{Layer: verify.LayerOutcome, Status: verify.Skipped, Reason: "no\nreceipt"},
	}
	for _, width := range []int{40, 80, 200} {
		var out bytes.Buffer
		p := newPresenter(&out, false)
		p.width = width
		p.verdicts(verdicts)
		for i, line := range strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n") {
			if ansi.StringWidth(line) > width {
				t.Errorf("%d: line %d is too long: %q", width, i, line)
			}
		}
		if !strings.Contains(out.String(), "no receipt\n") {
			t.Errorf("%d: a line break in a reason:\n%s", width, out.String())
		}
	}
	var out bytes.Buffer
	newPresenter(&out, false).verdicts(verdicts)
	if lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n"); len(lines) != len(verdicts) || !strings.HasSuffix(lines[1], "; at /doc it should be "+strings.Repeat("a", 64)+" and is "+strings.Repeat("b", 64)) {
		t.Errorf("for programs each layer is a line:\n%s", out.String())
	}
}

// A table that is too wide is wrapped between words, and where that is not enough becomes records. Nothing of it is lost or too wide.
func TestTableFitsTheTerminal(t *testing.T) {
	head := []string{"ENTRY", "WHAT", "REASON"}
	rows := [][]string{{"12", "\x1b[31mcontent and documents\x1b[0m", "asked for by the person whom they are about"}, {"7", "content", strings.Repeat("x", 30)}}
	for width, want := range map[int]string{
		0:  "  ENTRY  WHAT                   REASON\n  12     \x1b[31mcontent and documents\x1b[0m  asked for by the person whom they are about\n  7      content                xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n",
		55: "  ENTRY  WHAT         REASON\n  12     \x1b[31mcontent and\x1b[0m  asked for by the person whom\n         \x1b[31mdocuments\x1b[0m    they are about\n  7      content      xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n",
		40: "  ENTRY 12\n      WHAT \x1b[31mcontent and documents\x1b[0m\n      REASON asked for by the person\n        whom they are about\n  ENTRY 7\n      WHAT content\n      REASON xxxxxxxxxxxxxxxxxxxxxxxxxxx\n        xxx\n",
	} {
		var out bytes.Buffer
		p := newPresenter(&out, false)
		p.width, p.color = width, true // a cell has a style of its own
		p.table(head, rows)
		for line := range strings.Lines(out.String()) {
			if wide := ansi.StringWidth(strings.TrimSuffix(line, "\n")); width > 0 && wide > width {
				t.Errorf("%d: %d cells: %q", width, wide, line)
			}
		}
		if out.String() != want {
			t.Errorf("%d: got\n%q\nwant\n%q", width, out.String(), want)
		}
	}
}

// The help of every command fits a terminal of 80, but for commands to copy.
func TestHelpFitsTheTerminal(t *testing.T) {
	t.Setenv("COLUMNS", "80")
	var walk func(path []string)
	walk = func(path []string) {
		var out bytes.Buffer
		root := newRoot()
		root.SetOut(&out)
		root.SetArgs(append(slices.Clone(path), "--help"))
		if err := root.Execute(); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			line = strings.TrimSuffix(line, "\n")
			if ansi.StringWidth(line) > 80 && !strings.HasPrefix(line, "  ") && !strings.HasPrefix(line, "Use \"") {
				t.Errorf("caio %s: %q", strings.Join(path, " "), line)
			}
			if ansi.StringWidth(line) > 80 && strings.HasPrefix(line, "      ") {
				t.Errorf("caio %s: %q", strings.Join(path, " "), line)
			}
		}
		cmd, _, err := newRoot().Find(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, below := range cmd.Commands() {
			walk(append(slices.Clone(path), below.Name()))
		}
	}
	for _, cmd := range newRoot().Commands() {
		walk([]string{cmd.Name()})
	}
}

// Prose of every command is folded between words, its own lines stay, and what programs read is left alone.
func TestFolded(t *testing.T) {
	text := "trust.json\n  the key of a log is new, and this line is too long for it\na  b"
	if got := folded(text, 0); got != text {
		t.Errorf("%q", got)
	}
	const want = "trust.json\n  the key of a log is new, and\n    this line is too long for it\na  b"
	if got := folded(text, 34); got != want {
		t.Errorf("%q", got)
	}
	var stderr bytes.Buffer
	t.Setenv("COLUMNS", "40")
	run([]string{"log", "verify", "nowhere", "--trust", "there-is-no-such-file-of-trust.json"}, io.Discard, &stderr)
	for line := range strings.Lines(stderr.String()) {
		if len(strings.TrimSuffix(line, "\n")) > 40 {
			t.Errorf("%q", stderr.String())
		}
	}
}
