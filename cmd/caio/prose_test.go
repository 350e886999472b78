package main

import (
	"bytes"
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
