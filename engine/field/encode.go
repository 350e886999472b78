package field

import (
	"hash/fnv"
	"strings"
	"unicode/utf8"

	"github.com/smarthausgroup/caio/contracts"
)

// TextDimension is that of a text's encoding.
const TextDimension = 1024

// Encode hashes the tokens of text and the pairs of neighbouring tokens, each once, into a field of [TextDimension] components. Text without a token gives nil.
func Encode(text string) *contracts.Field {
	tokens := tokenise(text)
	if len(tokens) == 0 {
		return nil
	}
	features := make(map[string]bool, 2*len(tokens))
	for i, token := range tokens {
		features[token] = true
		if i > 0 {
			features[tokens[i-1]+" "+token] = true
		}
	}
	re := make([]int32, TextDimension)
	for feature := range features {
		hash := fnv.New64a()
		hash.Write([]byte(feature))
		h := hash.Sum64()
		if h>>63 == 0 {
			re[h%TextDimension]++
		} else {
			re[h%TextDimension]--
		}
	}
	return &contracts.Field{Re: re}
}

// tokenise lower-cases A to Z and splits into maximal runs of ASCII letters, ASCII digits and code points from U+0080 on.
func tokenise(text string) []string {
	return strings.FieldsFunc(strings.Map(lower, text), func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r >= utf8.RuneSelf)
	})
}

func lower(r rune) rune {
	if r >= 'A' && r <= 'Z' {
		return r - 'A' + 'a'
	}
	return r
}

// EncodeContract encodes what a contract says of itself: name, description, capability types and tags.
func EncodeContract(c *contracts.Contract) *contracts.Field {
	types := make([]string, len(c.Capabilities))
	for i, capability := range c.Capabilities {
		types[i] = capability.Type
	}
	return Encode(c.Name + " " + c.Description + " " + strings.Join(types, " ") + " " + strings.Join(c.Tags, " "))
}
