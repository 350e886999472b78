package rego

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	oparego "github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/open-policy-agent/opa/v1/types"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/source"
)

//go:embed testing.rego
var testingText string

// testingModule is package caio.testing, with which tests make their input (spec/policy.md).
func testingModule() *ast.Module {
	return ast.MustParseModuleWithOpts(testingText, ast.ParserOptions{RegoVersion: ast.RegoV1, Capabilities: testCapabilities()})
}

// fill is the built-in behind package caio.testing, which no policy can call: it is no part of their capabilities.
var fill = &ast.Builtin{
	Name:        "caio.testing.fill",
	Description: "Fills in a well-formed input for policies; a key or a value that it can't have is an error.",
	Decl:        types.NewFunction(types.Args(types.Named("parts", types.A), types.Named("labels", types.A)), types.Named("input", types.A)),
}

// testCapabilities are those of policies, and what tests need.
var testCapabilities = sync.OnceValue(func() *ast.Capabilities {
	c := *capabilities()
	c.Builtins = append(slices.Clone(c.Builtins), fill)
	slices.SortFunc(c.Builtins, func(a, b *ast.Builtin) int { return strings.Compare(a.Name, b.Name) })
	return &c
})

var testBuiltins = []*tester.Builtin{{
	Decl: fill,
	Func: oparego.Function2(&oparego.Function{Name: fill.Name, Description: fill.Description, Decl: fill.Decl}, func(_ oparego.BuiltinContext, parts, labels *ast.Term) (*ast.Term, error) {
		value, err := ast.JSON(parts.Value)
		if err != nil {
			return nil, err
		}
		added, err := ast.JSON(labels.Value)
		if err != nil {
			return nil, err
		}
		whole, err := given(value, slices.Concat(contracts.Labels(), textsIn(added)))
		if err != nil {
			return nil, err
		}
		filled, err := ast.InterfaceToValue(whole)
		if err != nil {
			return nil, err
		}
		return ast.NewTerm(filled), nil
	}),
}}

// defaults are a whole input but for what follows from other parts: the capabilities, placement, locality and route.
//
//go:embed given.json
var defaults []byte

// given merges the parts of an input over well-formed defaults, and holds them and the result to the schema of the input, and labels to those that a request may carry.
func given(parts any, labels []string) (any, error) {
	if err := conform(parts, serviceSchema(), "input", false); err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(defaults))
	decoder.UseNumber()
	whole := map[string]any{}
	if err := decoder.Decode(&whole); err != nil {
		return nil, err
	}
	overlay(whole, parts.(map[string]any))
	object := func(path ...string) map[string]any {
		below := whole
		for _, step := range path {
			below = below[step].(map[string]any)
		}
		return below
	}
	kind := object("request", "intent")["type"]
	fillIn(object("request", "requirements"), map[string]any{"capabilities": []any{kind}})
	service := object("service")
	fillIn(service, map[string]any{"capabilities": []any{map[string]any{"type": kind}}})
	for _, capability := range service["capabilities"].([]any) {
		fillIn(capability.(map[string]any), map[string]any{"model": "", "parameters": map[string]any{}})
	}
	placement, locality := placed(service["placement"], object("service", "privacy")["locality"])
	fillIn(service, map[string]any{"placement": string(placement)})
	fillIn(object("service", "privacy"), map[string]any{"locality": string(locality)})
	fillIn(whole, map[string]any{"route": string(placement)})
	if placement == "" {
		return nil, fmt.Errorf("input.service: the placement %v and the locality %v don't go together", service["placement"], object("service", "privacy")["locality"])
	}
	if err := conform(whole, serviceSchema(), "input", true); err != nil {
		return nil, err
	}
	for i, label := range textsIn(object("request", "data")["labels"]) {
		if !slices.Contains(labels, label) {
			unknown := unknownLabel{label, labels}
			return nil, fmt.Errorf("input.request.data.labels[%d]: %s: %s", i, unknown.LocalizedString(nil), unknown.remedy())
		}
	}
	return whole, nil
}

// fillIn adds what is not there.
func fillIn(object, values map[string]any) {
	for key, value := range values {
		if _, ok := object[key]; !ok {
			object[key] = value
		}
	}
}

// placed is the placement and locality of a service of which one, both or none is given; none if they don't go together (spec/contract.md).
func placed(placement, locality any) (contracts.Placement, contracts.Locality) {
	for _, pair := range []struct {
		contracts.Placement
		contracts.Locality
	}{
		{contracts.Internal, contracts.Private}, {contracts.Internal, contracts.OnDevice}, {contracts.Internal, contracts.Local},
		{contracts.External, contracts.Cloud}, {contracts.Hybrid, contracts.Cloud}, {contracts.Hybrid, contracts.Private},
	} {
		if (placement == nil || placement == string(pair.Placement)) && (locality == nil || locality == string(pair.Locality)) {
			return pair.Placement, pair.Locality
		}
	}
	return "", ""
}

// conform holds a value to the schema of the input. Of a part, required keys may be left out.
func conform(value any, s schema, path string, complete bool) error {
	alternatives := s.alternatives()
	if len(alternatives) == 0 {
		return nil
	}
	node := alternatives[0]
	kind, _ := node["type"].(string)
	var ok bool
	switch value := value.(type) {
	case map[string]any:
		if ok = kind == "object" || kind == ""; ok {
			return conformObject(value, s, node, path, complete)
		}
	case []any:
		if ok = kind == "array" || kind == ""; ok {
			for i, element := range value {
				_, below := s.step(nil)
				for _, item := range below {
					if err := conform(element, item, fmt.Sprintf("%s[%d]", path, i), complete); err != nil {
						return err
					}
				}
			}
		}
	case string:
		ok = kind == "string" || kind == ""
		if names, _ := node["enum"].([]any); ok && names != nil && !slices.Contains(names, any(value)) {
			return fmt.Errorf("%s: %q is none of %v", path, value, names)
		}
	case json.Number:
		_, err := strconv.ParseInt(value.String(), 10, 64)
		ok = kind == "number" || kind == "" || kind == "integer" && err == nil
	case bool:
		ok = kind == "boolean" || kind == ""
	default:
		ok = kind == ""
	}
	if !ok {
		return fmt.Errorf("%s is to be of type %s", path, kind)
	}
	return nil
}

func conformObject(value map[string]any, s schema, node map[string]any, path string, complete bool) error {
	for _, name := range sortedKeys(value) {
		v, below := s.step(&name)
		if v == absent {
			return fmt.Errorf("%s has no key %s%s", path, name, source.DidYouMean(name, s.keys()))
		}
		for _, member := range below {
			if err := conform(value[name], member, path+"."+name, complete); err != nil {
				return err
			}
		}
	}
	names, _ := node["required"].([]any)
	for _, name := range names {
		if _, ok := value[name.(string)]; complete && !ok {
			return fmt.Errorf("%s lacks the key %s", path, name)
		}
	}
	return nil
}
