package contracts

import (
	"slices"
	"strconv"
	"strings"

	"github.com/smarthausgroup/caio/contracts/source"
)

// checker holds a decoded document against its page. Faults have the position of the value that they are about, where the document was read from a text.
type checker struct {
	root   *source.Node // nil for a document that was not read from a text
	base   string       // the pointer of root, where it stands inside another document
	faults Diagnostics
}

// fail adds a fault about the value at a pointer, unless there is one already: what is missing or could not be decoded is not also empty or out of range.
func (c *checker) fail(pointer, code, format string, args ...any) {
	if c.full() {
		return
	}
	for _, f := range c.faults {
		undecoded := f.Code == "required" || f.Code == "wrong-type" || f.Code == "null"
		if at := c.base + pointer; f.Pointer == at || undecoded && strings.HasPrefix(at, f.Pointer+"/") {
			return
		}
	}
	if c.root == nil {
		c.faults.Errorf(code, pointer, Position{}, format, args...)
		return
	}
	c.root.FaultAt(&c.faults, pointer, code, format, args...)
}

// full reports that no further fault will be listed.
func (c *checker) full() bool { return len(c.faults) > source.MaxFaults }

// sound reports that no fault was found in the value at a pointer, so that others can be held against it.
func (c *checker) sound(pointer string) bool {
	pointer = c.base + pointer
	return !slices.ContainsFunc(c.faults, func(f Diagnostic) bool {
		return f.Pointer == pointer || strings.HasPrefix(f.Pointer, pointer+"/") || strings.HasPrefix(pointer, f.Pointer+"/")
	})
}

// identifier checks the grammar of ids: [a-z0-9][a-z0-9._-]{0,63}.
func (c *checker) identifier(pointer, id string) {
	if !isIdentifier(id) {
		c.fail(pointer, "id", "%q is not an id: 1 to 64 of a-z, 0-9, point, underscore and hyphen, the first a letter or a digit", clip(id))
	}
}

func isIdentifier(id string) bool {
	return id != "" && len(id) <= 64 && strings.IndexByte("._-", id[0]) < 0 && isPurpose(id)
}

// isPurpose is the grammar of a request's purpose: [a-z0-9._-]{0,64}.
func isPurpose(text string) bool {
	for i := range len(text) {
		if ch := text[i]; (ch < 'a' || ch > 'z') && (ch < '0' || ch > '9') && ch != '.' && ch != '_' && ch != '-' {
			return false
		}
	}
	return len(text) <= 64
}

// name checks that a text which names something is there and can be printed on a line.
func (c *checker) name(pointer, text string) {
	switch {
	case text == "":
		c.fail(pointer, "empty", "the text is empty")
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }):
		c.fail(pointer, "control-character", "the text holds a control character")
	}
}

func (c *checker) names(pointer string, list []string) {
	c.each(pointer, list, c.name)
}

// each checks the elements of a list.
func (c *checker) each(pointer string, list []string, check func(pointer, text string)) {
	for i, text := range list {
		if c.full() {
			return
		}
		check(pointer+"/"+strconv.Itoa(i), text)
	}
}

// oneOf checks a text against a list of words.
func (c *checker) oneOf(pointer, text string, words ...string) bool {
	if slices.Contains(words, text) {
		return true
	}
	expected := words[0]
	if len(words) > 1 {
		expected = "one of " + strings.Join(words, ", ") + source.DidYouMean(text, words)
	}
	c.fail(pointer, "unknown-value", "%q is not %s", clip(text), expected)
	return false
}

// atMost checks that a decimal is between 0 and high, the ends included.
func (c *checker) atMost(pointer string, d, high Decimal) {
	if d < 0 || d > high {
		c.fail(pointer, "out-of-range", "%s is not between 0 and %s", d, high)
	}
}

// count checks the range of an optional integer, its ends included.
func (c *checker) count(pointer string, n *int64, low, high int64) {
	if n != nil && (*n < low || *n > high) {
		c.fail(pointer, "out-of-range", "%d is not between %d and %d", *n, low, high)
	}
}

// Ranges of spec/calculus.md, section 1.
const (
	maxTokens       = 1_000_000_000 // and bytes
	maxUnits        = 1_000_000
	maxLatencyMS    = 1_000_000_000
	maxPrice        = Decimal(1_000_000_000) // per call and per unit, in micro-USD
	maxMillionPrice = Decimal(1_000_000_000_000)
	maxTrust        = Decimal(10 * Micro)
	maxSeed         = 1<<53 - 1
)

// bounds checks the bounds of a guarantee, promised or required: latency is in ms, availability a ratio.
func (c *checker) bounds(pointer, name string, b Bounds) {
	var high Decimal
	switch name {
	case "latency":
		high = maxLatencyMS * Micro
	case "availability":
		high = Micro
	default:
		return
	}
	if b.Min != nil {
		c.atMost(pointer+"/min", *b.Min, high)
	}
	if b.Max != nil {
		c.atMost(pointer+"/max", *b.Max, high)
	}
	if b.Equals != nil {
		if d, number := b.Equals.V.(Decimal); number {
			c.atMost(pointer+"/equals", d, high)
		}
	}
}
