package verify

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Fault is what is wrong with a document or with evidence: where, and, if two things should have been equal, both.
type Fault struct {
	Pointer string // JSON pointer (RFC 6901) into the document, or into the statement's payload where the reason says so
	Reason  string
	Want    string
	Got     string
}

// Error is "/outcome: reason (want x, got y)".
func (f *Fault) Error() string {
	text := f.Reason
	if f.Pointer != "" {
		text = f.Pointer + ": " + text
	}
	if f.Want != "" || f.Got != "" {
		text += fmt.Sprintf(" (want %q, got %q)", f.Want, f.Got)
	}
	return text
}

var escapes = strings.NewReplacer("~", "~0", "/", "~1")

// pointer joins keys and indices.
func pointer(parts ...any) string {
	var b strings.Builder
	for _, part := range parts {
		b.WriteByte('/')
		switch part := part.(type) {
		case int:
			b.WriteString(strconv.Itoa(part))
		case string:
			b.WriteString(escapes.Replace(part))
		}
	}
	return b.String()
}

// findings collects the faults of one document; the first is the one reported.
type findings struct{ first *Fault }

func (f *findings) err() error {
	if f.first == nil {
		return nil
	}
	return f.first
}

func (f *findings) fault(at, reason, want, got string) {
	if f.first == nil {
		f.first = &Fault{at, reason, want, got}
	}
}

// require records a fault unless ok.
func (f *findings) require(ok bool, at, reason string) {
	if !ok {
		f.fault(at, reason, "", "")
	}
}

// equal records a fault unless want and got are the same.
func equal[T comparable](f *findings, at, reason string, want, got T) {
	if want != got {
		f.fault(at, reason, fmt.Sprint(want), fmt.Sprint(got))
	}
}

// among records a fault unless got is one of the allowed values.
func among[T ~string](f *findings, at string, got T, allowed ...T) {
	if !slices.Contains(allowed, got) {
		f.fault(at, "not a value that the page names", fmt.Sprint(allowed), string(got))
	}
}

// sorted records a fault unless the keys of list strictly ascend.
func sorted[T any](f *findings, at string, list []T, key func(T) string) {
	for i := 1; i < len(list); i++ {
		if key(list[i-1]) >= key(list[i]) {
			f.fault(at+pointer(i), "a list is sorted and repeats nothing", "more than "+key(list[i-1]), key(list[i]))
			return
		}
	}
}

func texts(f *findings, at string, list []string) {
	sorted(f, at, list, func(text string) string { return text })
}
