package rego

import (
	"bytes"
	"encoding/json"
	"errors"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/source"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// settingsPath is where the operational settings of a tenant stand in data.
const settingsPath = "caio/settings"

var dataFiles = []string{"data.json", "data.yaml", "data.yml"}

// dataSchema is the schema of one bundle's data.
type dataSchema struct {
	schema
	bundle   *Bundle
	file     string
	compiled *jsonschema.Schema // with the built-in labels
}

// readData merges the data of every bundle and the options, and holds it to every schema.
func (c *compilation) readData(o Options) {
	c.readDefaults()
	c.merge(o)
	for _, s := range c.schemas {
		for _, fault := range s.breaches(c.data) {
			c.faults = append(c.faults, c.placed(fault, o))
		}
	}
}

// dataMap is a map of a data file, and where in data it is merged.
type dataMap struct {
	node   *source.Node
	folder string
}

// placed gives a fault of the data the place in the data file that its value was written in, unless the options have put another there.
func (c *compilation) placed(d contracts.Diagnostic, o Options) contracts.Diagnostic {
	settings, inSettings := strings.CutPrefix(d.Pointer, "/"+settingsPath)
	if has(o.Data, d.Pointer) || inSettings && has(o.Settings, settings) {
		return d
	}
	for _, w := range c.maps {
		below, ok := strings.CutPrefix(d.Pointer, path.Join("/", w.folder))
		if w.folder == "" {
			below, ok = d.Pointer, true
		}
		node, exact := w.node.Find(below)
		if !ok || !exact || below == "" {
			continue
		}
		d.Pos = node.Pos()
		if d.Code == codeUnknown || d.Code == codeFixed {
			d.Pos = node.KeyPos()
		}
	}
	return d
}

// readDefaults merges the data of every bundle, and reads every schema.
func (c *compilation) readDefaults() {
	c.data = map[string]any{}
	for _, b := range c.bundles {
		for _, file := range b.Files {
			folder, base := path.Split(file.Path)
			switch {
			case slices.Contains(dataFiles, base):
				c.readDataFile(b, file, strings.TrimSuffix(folder, "/"))
			case file.Path == schemaFile, file.Path == manifestFile:
				c.readSchema(b, file)
			}
		}
	}
}

// merge puts the options over the data.
func (c *compilation) merge(o Options) {
	overlay(c.data, plain(o.Data).(map[string]any))
	if len(o.Settings) > 0 {
		overlay(c.data, map[string]any{"caio": map[string]any{"settings": plain(o.Settings)}})
	}
}

// unreadable reports what is wrong with the text of a data file or a schema, under one code.
func (c *compilation) unreadable(faults contracts.Diagnostics) {
	for _, d := range faults {
		d.Code = "data-syntax"
		c.faults = append(c.faults, d)
	}
}

func (c *compilation) readDataFile(b *Bundle, file File, folder string) {
	name := place(b.Name, file.Path)
	node, faults := source.Parse(name, file.Text, MaxBundleBytes)
	c.unreadable(faults)
	if node == nil {
		return
	}
	if node.Kind != source.Map {
		node.Fault(&c.faults, "data", "data is a map, not %v", node.Kind)
		return
	}
	c.mergeFile(b, node, folder)
	c.mergeDefaults(b, node, folder)
}

// mergeDefaults adds the data of packs, which stands at <family>/<pack>, to the settings too: it is their default, which the tenant's are merged over. Which file it is written in does not matter: `opa build` writes all data into one.
func (c *compilation) mergeDefaults(b *Bundle, node *source.Node, at string) {
	family, pack, _ := strings.Cut(at, "/")
	switch {
	case node.Kind != source.Map || at != "" && !slices.Contains(families, contracts.Family(family)):
	case pack != "":
		c.mergeFile(b, node, settingsPath+"/"+pack)
	default:
		for i := range node.Children {
			child := &node.Children[i]
			c.mergeDefaults(b, child, path.Join(at, child.Key))
		}
	}
}

// has reports whether there is something at a pointer, or above it where a list or a plain value takes the place of all.
func has(value any, pointer string) bool {
	for step := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		object, ok := value.(map[string]any)
		if !ok {
			break
		}
		if value, ok = object[strings.NewReplacer("~1", "/", "~0", "~").Replace(step)]; !ok {
			return false
		}
	}
	return true
}

// mergeFile adds the map of a data file to the data, at its folder.
func (c *compilation) mergeFile(b *Bundle, node *source.Node, folder string) {
	c.maps = append(c.maps, dataMap{node, folder})
	into := c.data
	if folder != "" {
		for step := range strings.SplitSeq(folder, "/") {
			below, ok := into[step].(map[string]any)
			if _, taken := into[step]; taken && !ok {
				node.Fault(&c.faults, "data-conflict", "data.%s is also defined elsewhere", dotted(folder))
				return
			}
			if !ok {
				below = map[string]any{}
				into[step] = below
			}
			into = below
		}
	}
	c.mergeNode(b, into, node, folder)
}

// mergeNode adds a map of a data file to the data. Two definitions of a value are a fault, and so is one outside the bundle's roots.
func (c *compilation) mergeNode(b *Bundle, into map[string]any, node *source.Node, at string) {
	for i := range node.Children {
		child := &node.Children[i]
		name := strings.TrimPrefix(at+"/"+child.Key, "/")
		old, taken := into[child.Key]
		below, ok := old.(map[string]any)
		inside := b.owns(name)
		switch {
		case child.Kind == source.Map && (!taken || ok) && (len(child.Children) > 0 || inside):
			if !taken {
				below = map[string]any{}
				into[child.Key] = below
			}
			c.mergeNode(b, below, child, name)
		case !inside:
			child.Fault(&c.faults, "root", "data.%s is outside the roots of its bundle, %s", dotted(name), strings.Join(b.Roots, ", "))
		case taken:
			child.Fault(&c.faults, "data-conflict", "data.%s is also defined elsewhere", dotted(name))
		default:
			into[child.Key] = child.Any()
		}
	}
}

// overlay merges maps deeply; anything else of the upper one replaces what is below.
func overlay(below, upper map[string]any) {
	for key, value := range upper {
		if object, ok := value.(map[string]any); ok {
			if old, ok := below[key].(map[string]any); ok {
				overlay(old, object)
				continue
			}
		}
		below[key] = value
	}
}

// plain copies a value into the types of OPA's stores: decimals and integers are numbers in text.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		object := make(map[string]any, len(v))
		for key := range v {
			object[key] = plain(v[key])
		}
		return object
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = plain(v[i])
		}
		return list
	case contracts.Value:
		return plain(v.V)
	case contracts.Decimal:
		return json.Number(v.String())
	case int64:
		return json.Number(strconv.FormatInt(v, 10))
	}
	return v
}

// schemaInManifest is where a manifest may hold the bundle's schema: `opa build` keeps the manifest, and leaves schema.json out.
const schemaInManifest = "/metadata/schema"

// readSchema reads the JSON Schema that covers a bundle's references to data, from schema.json or from the manifest.
func (c *compilation) readSchema(b *Bundle, file File) {
	name := place(b.Name, file.Path)
	node, faults := source.ParseJSON(name, file.Text, MaxBundleBytes)
	if file.Path == manifestFile && node != nil {
		var has bool
		if node, has = node.Find(schemaInManifest); !has {
			return
		}
	}
	c.faults = append(c.faults, faults...)
	if node == nil {
		return
	}
	if n := len(c.schemas); n > 0 && c.schemas[n-1].bundle == b {
		node.Fault(&c.faults, "schema", "the bundle has a schema in %s too", c.schemas[n-1].file)
		return
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(node.JSON()))
	if err == nil {
		s := dataSchema{schema: newSchema(document), bundle: b, file: name}
		if s.compiled, err = compileSchema(document, contracts.Labels()); err == nil {
			c.schemas = append(c.schemas, s)
			return
		}
	}
	node.Fault(&c.faults, "schema", "the schema can't be used: %v", err)
}

// compileSchema makes a schema usable that was read as jsonschema.UnmarshalJSON reads it. Labels are those that there are.
func compileSchema(document any, labels []string) (*jsonschema.Schema, error) {
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.RegisterVocabulary(ownKeywords(labels))
	compiler.AssertVocabs()
	compiler.UseLoader(noLoader{})
	if err := compiler.AddResource(schemaURL, document); err != nil {
		return nil, err
	}
	return compiler.Compile(schemaURL)
}

const schemaURL = "caio:schema.json"

// noLoader refuses what a schema would fetch from elsewhere.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, errors.New("a schema refers to itself only, and not to " + url)
}

// breaches are the ways in which data does not satisfy the schema.
func (s dataSchema) breaches(data any) (faults contracts.Diagnostics) {
	text, err := json.Marshal(data)
	if err != nil {
		faults.Errorf(codeSettings, "", contracts.Position{File: s.file}, "the settings and data have no JSON form: %v", err)
		return faults
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		faults.Errorf(codeSettings, "", contracts.Position{File: s.file}, "the settings and data can't be read: %v", err)
		return faults
	}
	compiled := s.compiled
	if len(addedLabels(data)) > 0 {
		if compiled, err = compileSchema(s.node, knownLabels(data)); err != nil {
			faults.Errorf(codeSettings, "", contracts.Position{File: s.file}, "the schema can't be used: %v", err)
			return faults
		}
	}
	var invalid *jsonschema.ValidationError
	if err := compiled.Validate(instance); errors.As(err, &invalid) {
		s.breach(&faults, invalid)
	}
	return faults
}

// breach reports each leaf of a validation's error; of keys that the schema does not have, each one.
func (s dataSchema) breach(faults *contracts.Diagnostics, invalid *jsonschema.ValidationError) {
	if _, named := invalid.ErrorKind.(*kind.PropertyNames); named {
		return // badName says the same, and where
	}
	for _, cause := range invalid.Causes {
		s.breach(faults, cause)
	}
	if len(invalid.Causes) > 0 {
		return
	}
	pointer := ""
	for _, step := range invalid.InstanceLocation {
		pointer += "/" + source.Escape(step)
	}
	reason := invalid.ErrorKind
	if bad, ok := reason.(badName); ok {
		pointer += "/" + source.Escape(bad.name)
		reason = bad.ErrorKind
	}
	d := contracts.Diagnostic{Severity: contracts.SeverityError, Code: codeSettings, Pointer: pointer, Pos: contracts.Position{File: s.file}, Summary: reason.LocalizedString(message.NewPrinter(language.English))}
	switch reason := reason.(type) {
	case *kind.AdditionalProperties:
		_, fragment, _ := strings.Cut(invalid.SchemaURL, "#")
		known := s.resolve(fragment).keys()
		for _, name := range slices.Sorted(slices.Values(reason.Properties)) {
			*faults = append(*faults, unknownSetting(name, known, pointer, s.file))
		}
		return
	case unknownLabel:
		d.Code, d.Detail = codeValue, reason.remedy()
	default:
		if s.bundle != nil {
			d.Summary = "data does not satisfy the bundle's schema: " + d.Summary
		}
	}
	*faults = append(*faults, d)
}
