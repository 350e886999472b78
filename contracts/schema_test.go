package contracts

import (
	"bytes"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"
	"github.com/smarthausgroup/caio/contracts/source"

	validate "github.com/santhosh-tekuri/jsonschema/v6"
)

var update = flag.Bool("update", false, "write the golden files and the schemas anew")

func TestSchemasAreThoseOfTheTypes(t *testing.T) {
	for name, of := range map[string]struct {
		id     string
		v      any
		stands []byte
	}{
		"contract": {"https://github.com/smarthausgroup/caio/contracts/schema/contract.json", Contract{}, ContractSchema()},
		"request":  {"https://github.com/smarthausgroup/caio/contracts/schema/request.json", requestForm{}, RequestSchema()},
	} {
		text := reflected(t, of.id, of.v)
		if *update {
			if err := os.WriteFile(filepath.Join("schema", name+".json"), text, 0o644); err != nil {
				t.Fatal(err)
			}
		} else if !bytes.Equal(text, of.stands) {
			t.Errorf("schema/%s.json is not the schema of the types: go generate ./contracts", name)
		}
	}
}

// reflected is the schema of a type; what is text in JSON but a type of its own in Go is mapped.
func reflected(t *testing.T, id string, v any) []byte {
	descriptions := comments(t)
	reflector := jsonschema.Reflector{
		RequiredFromJSONSchemaTags: true,
		ExpandedStruct:             true,
		Namer: func(t reflect.Type) string {
			if name := t.Name(); name != "" {
				return strings.ToUpper(name[:1]) + name[1:]
			}
			return ""
		},
		LookupComment: func(t reflect.Type, field string) string { return descriptions[t.Name()+"."+field] },
		Mapper: func(t reflect.Type) *jsonschema.Schema {
			numbers := &jsonschema.Schema{Type: "array", Items: &jsonschema.Schema{Type: "number"}, MaxItems: ptr(uint64(MaxDimension))}
			parts := jsonschema.NewProperties()
			parts.Set("re", numbers)
			parts.Set("im", numbers)
			switch t {
			case reflect.TypeFor[Decimal]():
				return &jsonschema.Schema{Type: "number"}
			case reflect.TypeFor[Value](), reflect.TypeFor[*source.Node](), reflect.TypeFor[source.Node]():
				return &jsonschema.Schema{Not: &jsonschema.Schema{Type: "null"}}
			case reflect.TypeFor[Field](), reflect.TypeFor[*Field]():
				return &jsonschema.Schema{OneOf: []*jsonschema.Schema{numbers, {Type: "object", Properties: parts, Required: []string{"re"}, AdditionalProperties: jsonschema.FalseSchema}}}
			}
			return nil
		},
	}
	schema := reflector.Reflect(v)
	schema.ID = jsonschema.ID(id)
	text, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

func ptr[T any](v T) *T { return &v }

// comments of the fields of the package's types ("Contract.Name"), a line each. Those of types are for people who read the code.
func comments(t *testing.T) map[string]string {
	found := map[string]string{}
	for _, name := range []string{"contract.go", "request.go", "request_form.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range file.Decls {
			general, ok := declaration.(*ast.GenDecl)
			if !ok || general.Tok != token.TYPE {
				continue
			}
			for _, spec := range general.Specs {
				kind := spec.(*ast.TypeSpec)
				if fields, ok := kind.Type.(*ast.StructType); ok {
					for _, field := range fields.Fields.List {
						for _, name := range field.Names {
							found[kind.Name.Name+"."+name.Name] = line(field.Doc.Text() + field.Comment.Text())
						}
					}
				}
			}
		}
	}
	return found
}

func line(text string) string { return strings.Join(strings.Fields(text), " ") }

func compiled(t *testing.T, schema []byte) *validate.Schema {
	document, err := validate.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	compiler := validate.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("schema.json", document); err != nil {
		t.Fatal(err)
	}
	s, err := compiler.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSchemasAgreeWithTheParsers holds schema and parser against each other: both accept good-*, both refuse bad-*, and silent-* is what a schema can't see and the parser refuses.
func TestSchemasAgreeWithTheParsers(t *testing.T) {
	for _, kind := range []struct {
		folder string
		schema []byte
		parse  func(string, []byte) Diagnostics
	}{
		{"testdata/schema/contract", ContractSchema(), func(file string, text []byte) Diagnostics { _, faults := ParseContract(file, text); return faults }},
		{"testdata/schema/request", RequestSchema(), func(file string, text []byte) Diagnostics {
			_, faults := ParseRequest(file, text, Admission{Operator: true})
			return faults
		}},
	} {
		schema := compiled(t, kind.schema)
		files, err := filepath.Glob(kind.folder + "/*.yaml")
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no files: %v", kind.folder, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			root, faults := source.Parse(file, text, MaxContractBytes)
			if root == nil {
				t.Fatal(faults)
			}
			document, err := validate.UnmarshalJSON(bytes.NewReader(root.JSON()))
			if err != nil {
				t.Fatal(file, err)
			}
			bySchema, byParser := schema.Validate(document), kind.parse(file, text).Err()
			base := filepath.Base(file)
			if good := strings.HasPrefix(base, "good"); good != (byParser == nil) {
				t.Errorf("%s: the parser says %v", file, byParser)
			}
			if accepts := !strings.HasPrefix(base, "bad"); accepts != (bySchema == nil) {
				t.Errorf("%s: the schema says %v", file, bySchema)
			}
		}
	}
}
