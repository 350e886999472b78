//go:build js && wasm

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"strings"
)

// part is a file of the evidence.
type part struct {
	Name string `json:"name"`
	Size int    `json:"size"`
	text []byte
}

// unpack lists the parts of a file that layer evidence let pass: it is a plain archive, within its bounds.
func unpack(file []byte) []part {
	var parts []part
	z, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		return nil
	}
	for archive := tar.NewReader(z); ; {
		header, err := archive.Next()
		if err != nil {
			return parts
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			return parts
		}
		parts = append(parts, part{header.Name, len(text), text})
	}
}

// maxShown bounds what a page shows of one part.
const maxShown = 256 << 10

// shown lays the part out to be read: JSON indented, a JWS opened.
func (p part) shown() string {
	text := p.text
	switch path.Ext(p.Name) {
	case ".json":
		text = indented(text)
	case ".jws":
		text = opened(text)
	}
	if len(text) > maxShown {
		return fmt.Sprintf("%s\n\nThe first %d bytes of %d.", text[:maxShown], maxShown, len(text))
	}
	return string(text)
}

func indented(text []byte) []byte {
	var to bytes.Buffer
	if json.Indent(&to, text, "", "  ") != nil {
		return text
	}
	return to.Bytes()
}

// opened is header and payload of a compact JWS, and then the JWS.
func opened(text []byte) []byte {
	parts := strings.Split(string(text), ".")
	if len(parts) != 3 {
		return text
	}
	var to bytes.Buffer
	for _, encoded := range parts[:2] {
		decoded, err := base64.RawURLEncoding.DecodeString(encoded)
		if err != nil {
			return text
		}
		to.Write(indented(decoded))
		to.WriteString("\n\n")
	}
	to.Write(text)
	return to.Bytes()
}
