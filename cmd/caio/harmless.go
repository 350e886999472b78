package main

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// obeyed reports whether a terminal might do something else with a character than show it: move, clear, turn the direction of a text, or hide what is beside it.
func obeyed(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) }

// style is what lays colours and weights on a text.
var style = regexp.MustCompile(`^\x1b\[[0-9;]*m`)

// harmless is a text as it may go to a terminal, whoever wrote what is in it: other servers, logs, files. What would be obeyed is replaced, but the ends of lines, tabs, and styles where there are any. Everything that is told to people passes here.
func harmless(text string, styled bool) string {
	replaced := func(r rune) bool { return r != '\n' && r != '\t' && obeyed(r) }
	if !strings.ContainsFunc(text, replaced) {
		return strings.ToValidUTF8(text, "\uFFFD")
	}
	var out strings.Builder
	for text != "" {
		if found := style.FindString(text); styled && found != "" {
			out.WriteString(found)
			text = text[len(found):]
			continue
		}
		r, size := utf8.DecodeRuneInString(text)
		if replaced(r) {
			r = unicode.ReplacementChar
		}
		out.WriteRune(r)
		text = text[size:]
	}
	return out.String()
}

// escapedJSON is a JSON text with escapes in the place of what a terminal would obey: the same text to every reader of JSON.
func escapedJSON(text []byte) []byte {
	var out strings.Builder
	for _, r := range string(text) {
		switch high, low := utf16.EncodeRune(r); {
		case r < 0x7f || !obeyed(r): // controls of ASCII stand between values alone
			out.WriteRune(r)
		case high != unicode.ReplacementChar:
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return []byte(out.String())
}
