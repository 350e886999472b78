package main

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
)

// toYAML writes a JSON text as a document of YAML, keys in the order that they have. A text that any reader of YAML might take for something else, a digest for a number say, is quoted; a number stays as it is written.
func toYAML(text []byte) ([]byte, error) {
	w := yamlWriter{in: json.NewDecoder(bytes.NewReader(text))}
	w.in.UseNumber()
	w.out.WriteString("---")
	if err := w.value("", false); err != nil {
		return nil, err
	}
	w.out.WriteByte('\n')
	return w.out.Bytes(), nil
}

type yamlWriter struct {
	in  *json.Decoder
	out bytes.Buffer
}

// value writes the next value behind a key or a dash. The entries of a list or a map stand on lines of their own, the first one beside the dash if it follows one.
func (w *yamlWriter) value(indent string, dash bool) error {
	token, err := w.in.Token()
	if err != nil {
		return err
	}
	delimiter, nested := token.(json.Delim)
	switch {
	case !nested:
		w.out.WriteString(" " + scalar(token))
		return nil
	case !w.in.More():
		w.out.WriteString(" " + map[json.Delim]string{'{': "{}", '[': "[]"}[delimiter])
	}
	for w.in.More() {
		if dash {
			w.out.WriteByte(' ')
			dash = false
		} else {
			w.out.WriteString("\n" + indent)
		}
		if delimiter == '[' {
			w.out.WriteByte('-')
		} else {
			key, err := w.in.Token()
			if err != nil {
				return err
			}
			w.out.WriteString(scalar(key) + ":")
		}
		if err := w.value(indent+"  ", delimiter == '['); err != nil {
			return err
		}
	}
	_, err = w.in.Token() // the closing delimiter
	return err
}

// plain is a text that is one in every version of YAML, if it is not one of the words.
var plain = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_./-]*$`)

var words = []string{"true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"}

func scalar(token json.Token) string {
	switch v := token.(type) {
	case string:
		if plain.MatchString(v) && !slices.Contains(words, string(bytes.ToLower([]byte(v)))) {
			return v
		}
		return strconv.Quote(v) // every escape of Go is one of YAML
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return "null"
}
