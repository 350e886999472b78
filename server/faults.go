package server

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/contracts/source"
)

// found collects the faults of a body: those of its form first, then those of what was read, each value's first one alone. What is missing is not also wrong.
type found []Fault

func (f *found) add(pointer, code, format string, args ...any) {
	if !slices.ContainsFunc(*f, func(known Fault) bool { return known.Pointer == pointer }) {
		*f = append(*f, Fault{Pointer: pointer, Code: code, Detail: fmt.Sprintf(format, args...)})
	}
}

// oneOf adds a fault unless the value is one of the words.
func (f *found) oneOf(pointer, value string, words ...string) {
	if wrong := notOneOf(value, words); wrong != "" {
		f.add(pointer, "invalid-value", "%s", wrong)
	}
}

// reason adds a fault unless the text can stand in the log as the reason of an act.
func (f *found) reason(text string) {
	if strings.TrimSpace(text) == "" || len(text) > maxReason {
		f.add("/reason", "invalid-value", "say why, in 1 to %d bytes: it stands in the log", maxReason)
	}
}

// digest adds a fault unless the text is a digest, or empty; what is left out is neither.
func (f *found) digest(pointer string, text *string) {
	if text != nil && *text != "" && !digestForm.MatchString(*text) {
		f.add(pointer, "invalid-value", "expected a digest: 64 hexadecimal digits, or nothing")
	}
}

// problem is the answer to a body with faults, nil without any.
func (f *found) problem() error {
	if len(*f) == 0 {
		return nil
	}
	p := newProblem(http.StatusBadRequest, "invalid-request", "Each fault is listed with its place; nothing was done.")
	p.Errors = *f
	return p
}

// notOneOf says what is wrong with a value that is none of the words, "" for one of them.
func notOneOf(value string, words []string) string {
	if slices.Contains(words, value) {
		return ""
	}
	return fmt.Sprintf("%q is not one of %s%s", clip(value), strings.Join(words, ", "), source.DidYouMean(value, words))
}

// form reads the body of the request as [decode] does.
func (c *call) form(limit int64, into any) (found, error) {
	text, err := c.body(limit)
	if err != nil {
		return nil, err
	}
	return decode(text, limit, into)
}

// decode reads a JSON body of a fixed form, strictly. Faults of the form are found together with those that the caller finds in what was read; a text that is no JSON at all is an error.
func decode(text []byte, limit int64, into any) (found, error) {
	root, diagnostics := source.ParseJSON("", text, int(limit))
	if diagnostics.HasErrors() {
		return nil, faults("invalid-request", diagnostics)
	}
	source.Decode(root, into, &diagnostics)
	if diagnostics.HasErrors() {
		return faults("invalid-request", diagnostics).Errors, nil
	}
	return nil, nil
}
