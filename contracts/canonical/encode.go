// Package canonical writes and reads the one form in which CAIO hashes JSON: RFC 8785 (JCS) order and escapes, integers only, every magnitude at most 2^53-1 (spec/proof.md, "The document").
//
// It is not a general JSON library: floating-point numbers have no canonical form here and can't be encoded.
package canonical

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxInteger is the largest magnitude of an integer: 2^53-1.
const MaxInteger = 1<<53 - 1

// Marshaler is implemented by a type whose canonical form is that of another value.
type Marshaler interface{ MarshalCanonical() any }

// Encode returns the canonical bytes of v: structs by their `json` tags (with omitempty), maps with text keys, slices, texts, booleans, integers, nil. A nil slice is [] and a nil map {}.
func Encode(v any) (text []byte, err error) {
	err = encoded(v, func(t []byte) { text = slices.Clone(t) })
	return text, err
}

// Digest is the hex SHA-256 of v's canonical bytes.
func Digest(v any) (digest string, err error) {
	err = encoded(v, func(t []byte) {
		sum := sha256.Sum256(t)
		digest = hex.EncodeToString(sum[:])
	})
	return digest, err
}

// drafts are what texts are written into before their length is known: a long one would be copied many times while it grows.
var drafts = sync.Pool{New: func() any { return new([]byte) }}

// maxDraft bounds what is kept between two texts.
const maxDraft = 1 << 20

// encoded shows the canonical bytes of v to use, which must not keep them.
func encoded(v any, use func(text []byte)) error {
	draft := drafts.Get().(*[]byte)
	defer drafts.Put(draft)
	text, err := appendValue((*draft)[:0], reflect.ValueOf(v))
	if err != nil {
		clear((*draft)[:cap(*draft)])
		return err
	}
	use(text)
	clear(text) // it may be content
	if cap(text) <= maxDraft {
		*draft = text
	}
	return nil
}

var marshaler = reflect.TypeFor[Marshaler]()

func appendValue(dst []byte, v reflect.Value) ([]byte, error) {
	if !v.IsValid() {
		return append(dst, "null"...), nil
	}
	if v.Type().Implements(marshaler) && !(v.Kind() == reflect.Pointer && v.IsNil()) {
		return appendValue(dst, reflect.ValueOf(v.Interface().(Marshaler).MarshalCanonical()))
	}
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		return appendValue(dst, v.Elem())
	case reflect.Bool:
		return strconv.AppendBool(dst, v.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n := v.Int()
		if n > MaxInteger || n < -MaxInteger {
			return nil, fmt.Errorf("canonical: %d is beyond 2^53-1", n)
		}
		return strconv.AppendInt(dst, n, 10), nil
	case reflect.String:
		return appendText(dst, v.String())
	case reflect.Slice, reflect.Array:
		return appendList(dst, v)
	case reflect.Map:
		return appendMap(dst, v)
	case reflect.Struct:
		return appendStruct(dst, v)
	}
	return nil, fmt.Errorf("canonical: a %s has no canonical form", v.Type())
}

func appendList(dst []byte, v reflect.Value) ([]byte, error) {
	var err error
	dst = append(dst, '[')
	for i := range v.Len() {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendValue(dst, v.Index(i)); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

func appendMap(dst []byte, v reflect.Value) ([]byte, error) {
	if v.Type().Key().Kind() != reflect.String {
		return nil, fmt.Errorf("canonical: a %s has no canonical form", v.Type())
	}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return compareKeys(a.String(), b.String()) })
	var err error
	dst = append(dst, '{')
	for i, key := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = appendText(dst, key.String()); err != nil {
			return nil, err
		}
		if dst, err = appendValue(append(dst, ':'), v.MapIndex(key)); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

func appendStruct(dst []byte, v reflect.Value) ([]byte, error) {
	var err error
	dst = append(dst, '{')
	first := true
	for _, f := range fieldsOf(v.Type()) {
		value := v.FieldByIndex(f.index)
		if f.omitEmpty && isEmpty(value) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, f.quoted...)
		if dst, err = appendValue(dst, value); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	}
	return v.IsZero()
}

type field struct {
	name      string
	quoted    []byte // "name":
	index     []int
	omitEmpty bool
}

var fieldCache sync.Map // reflect.Type -> []field

// fieldsOf lists the fields of a struct in canonical order.
func fieldsOf(t reflect.Type) []field {
	if cached, ok := fieldCache.Load(t); ok {
		return cached.([]field)
	}
	var fields []field
	for _, f := range reflect.VisibleFields(t) {
		name, options, tagged := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" || !f.IsExported() || name == "-" && !tagged {
			continue
		}
		if name == "" {
			name = f.Name
		}
		quoted, _ := appendText(nil, name)
		fields = append(fields, field{name, append(quoted, ':'), f.Index, strings.Contains(options, "omitempty")})
	}
	slices.SortFunc(fields, func(a, b field) int { return compareKeys(a.name, b.name) })
	fieldCache.Store(t, fields)
	return fields
}

// compareKeys orders as RFC 8785 does: by UTF-16 code units, which differs from the order of bytes only beyond the basic plane.
func compareKeys(a, b string) int {
	for i := 0; i < len(a) && i < len(b); i++ {
		if a[i] >= utf8.RuneSelf || b[i] >= utf8.RuneSelf {
			return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
		}
		if a[i] != b[i] {
			return cmp.Compare(a[i], b[i])
		}
	}
	return cmp.Compare(len(a), len(b))
}

// appendText quotes as RFC 8785 does: the short escapes, \u00xx for other control characters, and nothing else escaped.
func appendText(dst []byte, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return nil, fmt.Errorf("canonical: a text is not well-formed Unicode: %.40q", s)
	}
	const hexDigits = "0123456789abcdef"
	dst = append(dst, '"')
	first := 0 // of what is copied as it stands
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[first:i]...)
		first = i + 1
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case strings.IndexByte("\b\t\n\f\r", c) >= 0:
			dst = append(dst, '\\', "btn?fr"[c-'\b'])
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	dst = append(dst, s[first:]...)
	return append(dst, '"'), nil
}
