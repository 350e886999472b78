package rego

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/source"
	"golang.org/x/text/message"
)

// labelFormat is the `format` by which a bundle's schema says that a text is a label of data: one of the built-in ones, or of settings.core.labels. For the keys of a map it stands below `propertyNames`.
const labelFormat = "caio-label"

// ownFormats begin with this: a misspelt one, which would hold nothing, is refused.
const ownFormats = "caio-"

// ownKeywords makes schemas hold what they mark as a label to those there are, and says of the keys of maps where they are: of those, the library forgets the place.
func ownKeywords(labels []string) *jsonschema.Vocabulary {
	return &jsonschema.Vocabulary{URL: "urn:caio:formats", Compile: func(ctx *jsonschema.CompilerContext, node map[string]any) (jsonschema.SchemaExt, error) {
		var checks ownChecks
		switch format, _ := node["format"].(string); {
		case format == labelFormat:
			checks.labels = labels
		case strings.HasPrefix(format, ownFormats):
			return nil, fmt.Errorf("there is no format %q: CAIO's own is %s", format, labelFormat)
		}
		if node["propertyNames"] != nil {
			checks.names = ctx.Enqueue([]string{"propertyNames"})
		}
		return checks, nil
	}}
}

// ownChecks are what one schema says besides what the library holds a value to.
type ownChecks struct {
	labels []string           // of which a text is to be one; nil for any text
	names  *jsonschema.Schema // of the keys of a map; nil for any
}

func (c ownChecks) Validate(ctx *jsonschema.ValidatorContext, value any) {
	switch value := value.(type) {
	case string:
		if c.labels != nil && !slices.Contains(c.labels, value) {
			ctx.AddError(unknownLabel{value, c.labels})
		}
	case map[string]any:
		for _, name := range sortedKeys(value) {
			var invalid *jsonschema.ValidationError
			if c.names != nil && errors.As(c.names.Validate(name), &invalid) {
				ctx.AddError(badName{name, leaf(invalid).ErrorKind})
			}
		}
	}
}

func leaf(invalid *jsonschema.ValidationError) *jsonschema.ValidationError {
	for len(invalid.Causes) > 0 {
		invalid = invalid.Causes[0]
	}
	return invalid
}

// badName is a key of a map that is none there.
type badName struct {
	name string
	jsonschema.ErrorKind
}

// unknownLabel is a text that is no label.
type unknownLabel struct {
	label string
	known []string
}

func (unknownLabel) KeywordPath() []string { return []string{"format"} }

func (u unknownLabel) LocalizedString(*message.Printer) string {
	return fmt.Sprintf("there is no label %q", u.label)
}

// remedy says which label was probably meant, or which there are, and where one's own are added.
func (u unknownLabel) remedy() string {
	own := "settings.core.labels adds labels of one's own"
	if near := source.DidYouMean(strings.ToLower(u.label), u.known); near != "" {
		return strings.TrimPrefix(near, ": ") + " Otherwise, " + own + "."
	}
	return "There are: " + strings.Join(u.known, ", ") + "; " + own + "."
}

// addedLabels are those that the settings in some data add to the built-in ones.
func addedLabels(data any) []string {
	for _, step := range []string{"caio", "settings", coreSettings, "labels"} {
		object, _ := data.(map[string]any)
		data = object[step]
	}
	return textsIn(data)
}

// textsIn are the texts of a list.
func textsIn(list any) (texts []string) {
	elements, _ := list.([]any)
	for _, element := range elements {
		if text, ok := element.(string); ok {
			texts = append(texts, text)
		}
	}
	return texts
}

// knownLabels are the built-in labels, and those that the settings in some data add.
func knownLabels(data any) []string { return slices.Concat(contracts.Labels(), addedLabels(data)) }
