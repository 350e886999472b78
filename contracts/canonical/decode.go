package canonical

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// Decode reads canonical bytes into v, a pointer. Text that is not the canonical encoding of what it says (unknown or repeated keys, another order, white space, another form of a number) is refused.
func Decode(text []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return fmt.Errorf("canonical: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return fmt.Errorf("canonical: text after the value")
	}
	again, err := Encode(v)
	if err != nil {
		return err
	}
	if at := difference(text, again); at >= 0 {
		return fmt.Errorf("canonical: not the canonical form, from byte %d on: %.60q", at, text[at:])
	}
	return nil
}

// difference is where a and b first differ, -1 if they are equal; at most len(a).
func difference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	if len(a) == len(b) {
		return -1
	}
	return min(len(a), len(b))
}
