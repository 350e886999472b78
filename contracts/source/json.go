package source

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// ReadJSON is [Read] of JSON (RFC 8259). Numbers keep the form in which they were written. What encoding/json would let pass but is refused here: nesting deeper than [MaxDepth], repeated keys, text that is not well-formed Unicode, also as an escape.
func ReadJSON(file string, text []byte, limit int) (*Node, Diagnostics) {
	doc, faults := admit(file, text, limit)
	if doc == nil {
		return nil, faults
	}
	doc.json = true
	r := jsonReader{doc: doc, text: doc.text, values: limit / BytesPerValue}
	root := new(Node)
	err := r.value(root, 0)
	root.keyAt = root.at
	if r.space(); err == nil && r.at < len(r.text) {
		err = r.errorf("syntax", "text after the value: %s", r.next())
	}
	if err != nil {
		r.findings, root = append(r.findings, *err), nil
	}
	doc.root = root
	doc.report(&faults, r.findings)
	return root, faults
}

// jsonReader is a recursive-descent reader. Children are collected on one stack and copied when their number is known, so that a list costs one allocation.
type jsonReader struct {
	doc      *document
	text     string
	at       int
	values   int // that may still come
	stack    []Node
	findings []finding
}

func (r *jsonReader) errorf(code, format string, args ...any) *finding {
	return &finding{r.at, code, fmt.Sprintf(format, args...)}
}

func (r *jsonReader) space() {
	for r.at < len(r.text) && (r.text[r.at] == ' ' || r.text[r.at] == '\n' || r.text[r.at] == '\t' || r.text[r.at] == '\r') {
		r.at++
	}
}

// next describes what stands at the reader's place.
func (r *jsonReader) next() string {
	if r.at >= len(r.text) {
		return "the end of the text"
	}
	word := r.text[r.at:]
	if end := strings.IndexFunc(word, func(c rune) bool { return strings.ContainsRune(" \t\r\n,:[]{}\"", c) }); end > 0 {
		word = word[:end]
	} else if end == 0 {
		word = word[:1]
	}
	if len([]rune(word[:min(len(word), 80)])) > 20 {
		word = string([]rune(word[:min(len(word), 80)])[:20]) + "…"
	}
	return fmt.Sprintf("%q", word)
}

func (r *jsonReader) value(n *Node, depth int) *finding {
	r.space()
	n.doc, n.at = r.doc, int32(r.at)
	n.textAt = n.at
	if r.at >= len(r.text) {
		return r.errorf("syntax", "a value is missing: found the end of the text")
	}
	if r.values--; r.values < 0 {
		return r.errorf("too-large", "the text holds too many values")
	}
	var err *finding
	switch c := r.text[r.at]; {
	case c == '"':
		n.Kind, n.textAt = Text, n.at+1
		n.Text, err = r.quoted()
	case c == '{':
		n.Kind = Map
		err = r.members(n, depth+1)
	case c == '[':
		n.Kind = List
		err = r.elements(n, depth+1)
	case c == '-' || '0' <= c && c <= '9':
		n.Kind = Number
		n.Text, err = r.number()
	case r.word("true"), r.word("false"):
		n.Kind, n.Text = Bool, r.text[n.at:r.at]
	case r.word("null"):
		n.Kind = Null
	default:
		return r.errorf("syntax", "expected a value, found %s", r.next())
	}
	n.end = int32(r.at)
	return err
}

// word steps over a literal.
func (r *jsonReader) word(word string) bool {
	if !strings.HasPrefix(r.text[r.at:], word) {
		return false
	}
	r.at += len(word)
	return true
}

func (r *jsonReader) elements(n *Node, depth int) *finding {
	return r.container(n, ']', depth, func(child *Node) *finding {
		child.keyAt = int32(r.at)
		return r.value(child, depth)
	})
}

func (r *jsonReader) members(n *Node, depth int) *finding {
	err := r.container(n, '}', depth, func(child *Node) *finding {
		child.keyAt = int32(r.at)
		if r.at >= len(r.text) || r.text[r.at] != '"' {
			return r.errorf("syntax", "expected a key in double quotes, found %s", r.next())
		}
		var err *finding
		if child.Key, err = r.quoted(); err != nil {
			return err
		}
		if r.space(); r.at >= len(r.text) || r.text[r.at] != ':' {
			return r.errorf("syntax", "expected a colon after the key %q, found %s", child.Key, r.next())
		}
		r.at++
		return r.value(child, depth)
	})
	if err == nil {
		r.findings = repeated(r.findings, n)
	}
	return err
}

// container reads what stands between brackets.
func (r *jsonReader) container(n *Node, closing byte, depth int, read func(*Node) *finding) *finding {
	if depth > MaxDepth {
		return r.errorf("too-deep", "lists and maps nest deeper than %d", MaxDepth)
	}
	r.at++
	base := len(r.stack)
	if r.space(); r.at < len(r.text) && r.text[r.at] == closing {
		r.at++
		return nil
	}
	var child Node // one for all: it is copied
	for {
		r.space()
		child = Node{}
		if err := read(&child); err != nil {
			return err
		}
		r.stack = append(r.stack, child)
		r.space()
		switch {
		case r.at < len(r.text) && r.text[r.at] == ',':
			comma := r.at
			r.at++
			if r.space(); r.at < len(r.text) && r.text[r.at] == closing {
				return &finding{comma, "syntax", fmt.Sprintf("a comma stands before %q: take it out", closing)}
			}
		case r.at < len(r.text) && r.text[r.at] == closing:
			r.at++
			n.Children = append([]Node(nil), r.stack[base:]...)
			r.stack = r.stack[:base]
			return nil
		default:
			return r.errorf("syntax", "expected a comma or %q, found %s", closing, r.next())
		}
	}
}

// repeated adds the keys that a map has twice.
func repeated(findings []finding, n *Node) []finding {
	const few = 16 // up to here comparing every pair is cheaper than a map
	var seen map[string]bool
	if len(n.Children) > few {
		seen = make(map[string]bool, len(n.Children))
	}
	for i := range n.Children {
		key, again := n.Children[i].Key, false
		if seen != nil {
			again = seen[key]
			seen[key] = true
		} else {
			again = slices.ContainsFunc(n.Children[:i], func(before Node) bool { return before.Key == key })
		}
		if again {
			findings = append(findings, finding{int(n.Children[i].keyAt), "duplicate-key", fmt.Sprintf("the key %q stands here twice", key)})
		}
	}
	return findings
}

// number reads a number and leaves it as it is written.
func (r *jsonReader) number() (string, *finding) {
	start := r.at
	for r.at < len(r.text) && strings.IndexByte("+-.0123456789eE", r.text[r.at]) >= 0 {
		r.at++
	}
	if text := r.text[start:r.at]; IsNumber(text) {
		return text, nil
	}
	r.at = start
	return "", r.errorf("syntax", "%s is not a JSON number", r.next())
}

// IsNumber reports whether text is a number as JSON writes it.
func IsNumber(text string) bool {
	text = strings.TrimPrefix(text, "-")
	whole := leadingDigits(text)
	if whole == 0 || whole > 1 && text[0] == '0' {
		return false
	}
	text = text[whole:]
	if strings.HasPrefix(text, ".") {
		fraction := leadingDigits(text[1:])
		if fraction == 0 {
			return false
		}
		text = text[1+fraction:]
	}
	if text == "" {
		return true
	}
	if text[0] != 'e' && text[0] != 'E' {
		return false
	}
	text = text[1:]
	if text != "" && (text[0] == '+' || text[0] == '-') {
		text = text[1:]
	}
	return text != "" && leadingDigits(text) == len(text)
}

func leadingDigits(text string) int {
	n := 0
	for n < len(text) && '0' <= text[n] && text[n] <= '9' {
		n++
	}
	return n
}

// quoted reads a text. Without escapes it is a part of the document and costs nothing.
func (r *jsonReader) quoted() (string, *finding) {
	r.at++
	start := r.at
	for r.at < len(r.text) {
		switch c := r.text[r.at]; {
		case c == '"':
			r.at++
			return r.text[start : r.at-1], nil
		case c == '\\':
			return r.escaped(start)
		case c < ' ':
			return "", r.errorf("syntax", "the control character 0x%02x must be written as \\u%04x in text", c, c)
		}
		r.at++
	}
	return "", &finding{start - 1, "syntax", "the text that starts here has no closing quotation mark"}
}

// escaped reads on from the first backslash.
func (r *jsonReader) escaped(start int) (string, *finding) {
	text := []byte(r.text[start:r.at])
	for r.at < len(r.text) {
		switch c := r.text[r.at]; {
		case c == '"':
			r.at++
			return string(text), nil
		case c < ' ':
			return "", r.errorf("syntax", "the control character 0x%02x must be written as \\u%04x in text", c, c)
		case c != '\\':
			text = append(text, c)
			r.at++
			continue
		}
		var err *finding
		if text, err = r.escape(text); err != nil {
			return "", err
		}
	}
	return "", &finding{start - 1, "syntax", "the text that starts here has no closing quotation mark"}
}

// escape appends what one escape stands for.
func (r *jsonReader) escape(text []byte) ([]byte, *finding) {
	rest := r.text[r.at+1:]
	if rest == "" {
		return text, r.errorf("syntax", "the text ends inside an escape")
	}
	if i := strings.IndexByte(`"\/bfnrt`, rest[0]); i >= 0 {
		r.at += 2
		return append(text, "\"\\/\b\f\n\r\t"[i]), nil
	}
	unit, ok := hexUnit(rest)
	if !ok {
		_, size := utf8.DecodeRuneInString(rest)
		return text, r.errorf("syntax", `\%s is not an escape of JSON`, rest[:size])
	}
	at := r.at
	r.at += len(`\u0000`)
	if !utf16.IsSurrogate(unit) {
		return utf8.AppendRune(text, unit), nil
	}
	if strings.HasPrefix(r.text[r.at:], `\`) {
		if low, ok := hexUnit(r.text[r.at+1:]); ok {
			if pair := utf16.DecodeRune(unit, low); pair != utf8.RuneError {
				r.at += len(`\u0000`)
				return utf8.AppendRune(text, pair), nil
			}
		}
	}
	r.findings = append(r.findings, finding{at, "not-unicode", fmt.Sprintf(`\u%04x is half of a surrogate pair`, unit)})
	return utf8.AppendRune(text, utf8.RuneError), nil
}

// hexUnit reads "u" and four hexadecimal digits.
func hexUnit(text string) (rune, bool) {
	if len(text) < 5 || text[0] != 'u' {
		return 0, false
	}
	var unit rune
	for i := 1; i < 5; i++ {
		digit := strings.IndexByte("0123456789abcdef0123456789ABCDEF", text[i])
		if digit < 0 {
			return 0, false
		}
		if digit >= 16 {
			digit -= 16
		}
		unit = unit<<4 | rune(digit)
	}
	return unit, true
}
