package source

import (
	"fmt"
	"math/big"
	"reflect"
	"strconv"
	"strings"
	"sync"
)

// Decoder is implemented, on the pointer, by types that read themselves. A fault is added with [Node.Fault]; what the receiver holds then is of no account.
type Decoder interface {
	DecodeNode(n *Node, faults *Diagnostics)
}

// Decode reads n into what into points to, and adds every fault that it meets: a key that the type lacks, a required one (`jsonschema:"required"`) that is missing, a value of another type, a null.
//
// Structs go by their `json` tags; lists, maps with text keys, bool, string and the signed integers by their kinds; a *Node takes the node itself, and a [Decoder] reads itself. What stays absent stays as it was.
func Decode(n *Node, into any, faults *Diagnostics) {
	decode(n, reflect.ValueOf(into).Elem(), faults)
}

var decoderType, nodeType = reflect.TypeFor[Decoder](), reflect.TypeFor[*Node]()

func decode(n *Node, v reflect.Value, faults *Diagnostics) {
	t := v.Type()
	if t == nodeType {
		v.Set(reflect.ValueOf(n))
		return
	}
	if n.Kind == Null {
		n.Fault(faults, "null", "null is not a value here: leave the key out")
		return
	}
	if reflect.PointerTo(t).Implements(decoderType) {
		v.Addr().Interface().(Decoder).DecodeNode(n, faults)
		return
	}
	switch t.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		decode(n, v.Elem(), faults)
	case reflect.String:
		if n.expect(Text, faults) {
			v.SetString(n.Text)
		}
	case reflect.Bool:
		if n.expect(Bool, faults) {
			v.SetBool(n.Text == "true")
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		decodeInteger(n, v, faults)
	case reflect.Slice:
		if n.expect(List, faults) {
			v.Set(reflect.MakeSlice(t, len(n.Children), len(n.Children)))
			for i := range n.Children {
				decode(&n.Children[i], v.Index(i), faults)
			}
		}
	case reflect.Map:
		if n.expect(Map, faults) {
			v.Set(reflect.MakeMapWithSize(t, len(n.Children)))
			for i := range n.Children {
				element := reflect.New(t.Elem()).Elem()
				decode(&n.Children[i], element, faults)
				v.SetMapIndex(reflect.ValueOf(n.Children[i].Key).Convert(t.Key()), element)
			}
		}
	case reflect.Struct:
		if n.expect(Map, faults) {
			decodeStruct(n, v, faults)
		}
	default:
		panic(fmt.Sprintf("source: a %s can't be decoded", t))
	}
}

func (n *Node) expect(kind Kind, faults *Diagnostics) bool {
	switch {
	case n.Kind == kind:
		return true
	case kind == Text && (n.Kind == Number || n.Kind == Bool):
		n.Fault(faults, "wrong-type", "expected text, found %s: put %s in quotes", n.Kind, clip(n.Text))
	default:
		n.Fault(faults, "wrong-type", "expected %s, found %s", kind, n.Kind)
	}
	return false
}

func clip(text string) string {
	if len(text) > 40 {
		return text[:40] + "…"
	}
	return text
}

// maxInteger is the largest magnitude of an integer (spec/proof.md, "The document").
const maxInteger = 1<<53 - 1

func decodeInteger(n *Node, v reflect.Value, faults *Diagnostics) {
	if !n.expect(Number, faults) {
		return
	}
	i, err := strconv.ParseInt(n.Text, 10, 64)
	if err != nil {
		var exact bool
		if i, exact = integer(n.Text); !exact {
			n.Fault(faults, "wrong-type", "expected an integer, found %s", clip(n.Text))
			return
		}
	}
	if i > maxInteger || i < -maxInteger || v.OverflowInt(i) {
		n.Fault(faults, "out-of-range", "%s is too large for an integer here", clip(n.Text))
		return
	}
	v.SetInt(i)
}

// integer reads 5.0 and 1e3, which are integers too. A magnitude beyond 64 bits is reported as the largest.
func integer(text string) (i int64, exact bool) {
	if e := strings.IndexAny(text, "eE"); e >= 0 && len(strings.TrimLeft(text[e+1:], "+-0")) > 3 || len(text) > 1000 {
		return 0, false
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok || !r.IsInt() {
		return 0, false
	}
	if !r.Num().IsInt64() {
		return 1<<63 - 1, true
	}
	return r.Num().Int64(), true
}

// structFields of a type, by key.
type structFields struct {
	index    map[string][]int
	names    []string
	required []string
}

var structCache sync.Map // reflect.Type -> *structFields

func fieldsOf(t reflect.Type) *structFields {
	if cached, ok := structCache.Load(t); ok {
		return cached.(*structFields)
	}
	fields := &structFields{index: map[string][]int{}}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "" || name == "-" {
			continue
		}
		fields.index[name] = f.Index
		fields.names = append(fields.names, name)
		for option := range strings.SplitSeq(f.Tag.Get("jsonschema"), ",") {
			if option == "required" {
				fields.required = append(fields.required, name)
			}
		}
	}
	structCache.Store(t, fields)
	return fields
}

func decodeStruct(n *Node, v reflect.Value, faults *Diagnostics) {
	fields := fieldsOf(v.Type())
	for i := range n.Children {
		child := &n.Children[i]
		index, known := fields.index[child.Key]
		if !known && len(*faults) > MaxFaults {
			return
		}
		if !known {
			child.FaultKey(faults, "unknown-key", "there is no key %q here%s", clip(child.Key), DidYouMean(child.Key, fields.names))
			continue
		}
		decode(child, v.FieldByIndex(index), faults)
	}
	for _, name := range fields.required {
		if n.Get(name) == nil {
			n.doc.add(faults, n.Pointer()+"/"+Escape(name), int(n.at), "required", fmt.Sprintf("the key %q is missing", name))
		}
	}
}

// DidYouMean is `: did you mean "…"?` with the candidate nearest to a word that is not among them, or empty where none is near.
func DidYouMean(word string, candidates []string) string {
	nearest := Nearest(word, candidates, 1+min(len(word), 24)/3)
	if nearest == "" {
		return ""
	}
	return fmt.Sprintf(": did you mean %q?", nearest)
}

// Nearest is the first of the candidates that the fewest letters must change for to make it of a word: put in, taken out, replaced or swapped with their neighbour; empty where that takes more than limit.
func Nearest(word string, candidates []string, limit int) string {
	const many = 256 // to look through
	nearest := ""
	for _, candidate := range candidates[:min(len(candidates), many)] {
		if d := distance(word, candidate, limit); d < limit || d == limit && nearest == "" {
			nearest, limit = candidate, d
		}
	}
	return nearest
}

// distance is how many letters must be put in, taken out, replaced or swapped with their neighbour to make b of a; more than limit once it is clear that it is.
func distance(a, b string, limit int) int {
	if max(len(a)-len(b), len(b)-len(a)) > limit {
		return limit + 1
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			change := last[j]
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
