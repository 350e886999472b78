// Package source reads a YAML or JSON text that people or programs wrote into a tree in which every value knows its place, and decodes that tree strictly into Go values, reporting every fault at once.
//
// It refuses what could be read in two ways or would cost too much to read: repeated keys, aliases, numbers that are not JSON numbers, text that is not well-formed Unicode, deep nesting.
// It is for texts of bounded size. It knows nothing of contracts and requests; what these may hold is in package contracts. Source: spec/contract.md, and section 1 of spec/calculus.md for numbers and text.
package source

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxDepth is how deep lists and maps may nest.
const MaxDepth = 64

// BytesPerValue bounds the number of values of a JSON text: one for so many of the bytes that it may have. A value costs many times more memory than text, and a list of nothing but digits is no honest document.
const BytesPerValue = 16

// MaxFaults is how many faults of one input are listed.
const MaxFaults = 100

// Kind of a node.
type Kind uint8

// The kinds, as JSON has them.
const (
	Null Kind = iota
	Bool
	Number
	Text
	List
	Map
)

// String names the kind in a sentence.
func (k Kind) String() string {
	return [...]string{"null", "true or false", "a number", "text", "a list", "a map"}[k]
}

// Node is a value at a place of a document. A node must not be changed.
type Node struct {
	Kind Kind
	// Key of the member, if the node is one of a map.
	Key string
	// Text is the text of a Text, a Number as it was written, in the form of JSON, "true" or "false" of a Bool, and empty otherwise.
	Text string
	// Children of a List or a Map, in their order.
	Children []Node

	doc            *document
	broken         bool  // a fault of the value was found when it was read: no further one is reported
	keyAt, at, end int32 // byte offsets; end is known in JSON only
	textAt         int32 // where the characters of Text start
}

// document is what the nodes of one text share.
type document struct {
	file string
	text string
	json bool
	root *Node
}

// Parse reads a text of at most limit bytes: YAML if the file's name ends in .yaml or .yml, JSON if it ends in .json, and otherwise JSON if the text starts with a brace or a bracket. It returns nil and what is wrong if the text is refused.
func Parse(file string, text []byte, limit int) (*Node, Diagnostics) {
	return sound(Read(file, text, limit))
}

// ParseJSON is [Parse] of JSON, whatever the file's name.
func ParseJSON(file string, text []byte, limit int) (*Node, Diagnostics) {
	return sound(ReadJSON(file, text, limit))
}

// sound takes back a tree that has faults.
func sound(root *Node, faults Diagnostics) (*Node, Diagnostics) {
	if faults.HasErrors() {
		return nil, faults
	}
	return root, nil
}

// Read is [Parse], but where the faults leave a tree it is returned with them, so that decoding it finds the others too. A tree that came with faults is good for nothing else.
func Read(file string, text []byte, limit int) (*Node, Diagnostics) {
	switch strings.ToLower(filepath.Ext(file)) {
	case ".yaml", ".yml":
		return ReadYAML(file, text, limit)
	case ".json":
		return ReadJSON(file, text, limit)
	}
	if start := bytes.TrimLeft(text, " \t\r\n"); len(start) > 0 && (start[0] == '{' || start[0] == '[') {
		return ReadJSON(file, text, limit)
	}
	return ReadYAML(file, text, limit)
}

// admit makes the document of a text whose size and encoding are as they must be.
func admit(file string, text []byte, limit int) (*document, Diagnostics) {
	var faults Diagnostics
	if len(text) > limit {
		faults.Errorf("too-large", "", Position{File: file}, "the text has %d bytes, and at most %d are read", len(text), limit)
		return nil, faults
	}
	doc := &document{file: file, text: string(text)}
	if strings.HasPrefix(doc.text, "\ufeff") {
		faults.Errorf("byte-order-mark", "", doc.position(0), "the text starts with a byte order mark: save it as UTF-8 without one")
		return nil, faults
	}
	if !utf8.ValidString(doc.text) {
		at := 0
		for at < len(doc.text) {
			r, size := utf8.DecodeRuneInString(doc.text[at:])
			if r == utf8.RuneError && size == 1 {
				break
			}
			at += size
		}
		faults.Errorf("not-unicode", "", doc.position(at), "byte 0x%02x is not UTF-8", doc.text[at])
		return nil, faults
	}
	return doc, nil
}

// position turns a byte offset into line and column. It is computed when there is a fault to report, and not before.
func (d *document) position(at int) Position {
	before := d.text[:min(at, len(d.text))]
	return Position{File: d.file, Line: 1 + strings.Count(before, "\n"), Column: len(before) - strings.LastIndexByte(before, '\n')}
}

// Pos is where the value stands.
func (n *Node) Pos() Position { return n.doc.position(int(n.at)) }

// KeyPos is where the key of a member stands, and where the value stands for any other node.
func (n *Node) KeyPos() Position { return n.doc.position(int(n.keyAt)) }

// TextPos is where the characters of a Text start: behind a quotation mark, and in the first line of a block.
func (n *Node) TextPos() Position { return n.doc.position(int(n.textAt)) }

// Get returns the member of a map with the given key, nil without one or if n is nil or no map.
func (n *Node) Get(key string) *Node {
	if n == nil || n.Kind != Map {
		return nil
	}
	for i := range n.Children {
		if n.Children[i].Key == key {
			return &n.Children[i]
		}
	}
	return nil
}

// Find returns the node at a JSON pointer (RFC 6901) below n, and, where there is none, the nearest above it: the place to report what is missing.
func (n *Node) Find(pointer string) (node *Node, exact bool) {
	if pointer == "" {
		return n, true
	}
	for step := range strings.SplitSeq(pointer[1:], "/") {
		var next *Node
		if n.Kind == Map {
			next = n.Get(strings.NewReplacer("~1", "/", "~0", "~").Replace(step))
		} else if i, err := strconv.Atoi(step); err == nil && n.Kind == List && 0 <= i && i < len(n.Children) {
			next = &n.Children[i]
		}
		if next == nil {
			return n, false
		}
		n = next
	}
	return n, true
}

// At is the position of the value at a JSON pointer, or of the nearest one above it.
func (n *Node) At(pointer string) Position {
	found, _ := n.Find(pointer)
	return found.Pos()
}

// Pointer is the JSON pointer of n in its document.
func (n *Node) Pointer() string {
	var path strings.Builder
	for at := n.doc.root; at != n; {
		var step string
		if at, step = at.towards(n.keyAt); at == nil {
			break
		}
		path.WriteString("/" + Escape(step))
	}
	return path.String()
}

// towards is the child that holds what starts at an offset, and its step of a pointer; nil without one.
func (n *Node) towards(at int32) (child *Node, step string) {
	i := sort.Search(len(n.Children), func(i int) bool { return n.Children[i].keyAt > at }) - 1
	if i < 0 {
		return nil, ""
	}
	child = &n.Children[i]
	if n.Kind == Map {
		return child, child.Key
	}
	return child, strconv.Itoa(i)
}

// pointerAt is the JSON pointer of the value, or the member, that starts at an offset.
func (d *document) pointerAt(at int) string {
	n := d.root
	for n != nil && int(n.at) != at && len(n.Children) > 0 {
		child, _ := n.towards(int32(at))
		if child == nil {
			break
		}
		if n = child; int(n.keyAt) == at {
			break
		}
	}
	if n == nil {
		return ""
	}
	return n.Pointer()
}

// Escape writes a key as one step of a JSON pointer.
func Escape(step string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(step)
}

// Fault adds an error at the node. At [MaxFaults] the list ends.
func (n *Node) Fault(faults *Diagnostics, code, format string, args ...any) {
	if !n.broken && len(*faults) <= MaxFaults {
		n.doc.add(faults, n.Pointer(), int(n.at), code, fmt.Sprintf(format, args...))
	}
}

// FaultKey adds an error at the key of a member.
func (n *Node) FaultKey(faults *Diagnostics, code, format string, args ...any) {
	n.doc.add(faults, n.Pointer(), int(n.keyAt), code, fmt.Sprintf(format, args...))
}

// FaultAt adds an error about what stands, or should stand, at a JSON pointer below n: at its position, or that of the nearest value above it. The fault's pointer is that of n's document.
func (n *Node) FaultAt(faults *Diagnostics, pointer, code, format string, args ...any) {
	found, _ := n.Find(pointer)
	n.doc.add(faults, n.Pointer()+pointer, int(found.at), code, fmt.Sprintf(format, args...))
}

func (d *document) add(faults *Diagnostics, pointer string, at int, code, text string) {
	switch {
	case len(*faults) < MaxFaults:
		faults.Errorf(code, pointer, d.position(at), "%s", text)
	case len(*faults) == MaxFaults:
		faults.Errorf(codeMore, "", Position{File: d.file}, "there are more faults, which are not listed")
	}
}

// finding is a fault that is known before the tree is.
type finding struct {
	at         int
	code, text string
}

// report adds findings; with the tree, they have pointers.
func (d *document) report(faults *Diagnostics, findings []finding) {
	for _, f := range findings[:min(len(findings), MaxFaults+1)] {
		d.add(faults, d.pointerAt(f.at), f.at, f.code, f.text)
	}
}

// Any is the value as encoding/json would decode it, numbers being json.Number.
func (n *Node) Any() any {
	switch n.Kind {
	case Bool:
		return n.Text == "true"
	case Number:
		return json.Number(n.Text)
	case Text:
		return n.Text
	case List:
		list := make([]any, len(n.Children))
		for i := range n.Children {
			list[i] = n.Children[i].Any()
		}
		return list
	case Map:
		object := make(map[string]any, len(n.Children))
		for i := range n.Children {
			object[n.Children[i].Key] = n.Children[i].Any()
		}
		return object
	}
	return nil
}

// JSON is the value as JSON text: as it was written, if it was JSON, and in the order of its keys without white space, if it was YAML.
func (n *Node) JSON() []byte {
	if n.doc.json {
		return []byte(n.doc.text[n.at:n.end])
	}
	return n.appendJSON(nil)
}

func (n *Node) appendJSON(dst []byte) []byte {
	switch n.Kind {
	case Null:
		return append(dst, "null"...)
	case Bool, Number:
		return append(dst, n.Text...)
	case Text:
		return appendQuoted(dst, n.Text)
	}
	brackets := "[]"
	if n.Kind == Map {
		brackets = "{}"
	}
	dst = append(dst, brackets[0])
	for i := range n.Children {
		if i > 0 {
			dst = append(dst, ',')
		}
		if n.Kind == Map {
			dst = append(appendQuoted(dst, n.Children[i].Key), ':')
		}
		dst = n.Children[i].appendJSON(dst)
	}
	return append(dst, brackets[1])
}

func appendQuoted(dst []byte, text string) []byte {
	quoted, _ := json.Marshal(text) // a string can always be marshalled
	return append(dst, quoted...)
}
