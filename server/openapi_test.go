package server

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/invopop/jsonschema"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/source"
	"github.com/smarthausgroup/caio/engine/impact"
	"github.com/smarthausgroup/caio/verify"
)

var update = flag.Bool("update", false, "write openapi.json and the golden files anew")

// object is a part of the description that no Go type stands for.
type object = map[string]any

func TestOpenAPIIsThatOfTheRoutes(t *testing.T) {
	text := describe(t, (&Server{}).routes())
	if *update {
		if err := os.WriteFile("openapi.json", text, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if !bytes.Equal(text, openAPI) {
		t.Error("openapi.json is not that of the routes and types: go generate ./server")
	}
}

// describe makes the OpenAPI 3.1 document.
func describe(t *testing.T, routes []route) []byte {
	d := description{schemas: object{}, comments: comments(t, ".", "../verify", "../contracts", "../engine/impact")}
	d.schemas["Request"] = embedded(t, contracts.RequestSchema())
	d.schemas["ContractText"] = embedded(t, contracts.ContractSchema())
	paths := map[string]object{}
	seen := map[string]int{}
	for i := range routes {
		path := describedPath(routes[i].path)
		if paths[path] == nil {
			paths[path] = object{}
		}
		seen[routes[i].id]++
		paths[path][strings.ToLower(routes[i].method)] = d.operation(&routes[i], seen[routes[i].id])
	}
	d.schema(Problem{}, false)
	text, err := json.MarshalIndent(object{
		"openapi":           "3.1.0",
		"jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
		"info": object{
			"title": "CAIO", "version": "1",
			"description": "Decides which AI service may handle a request, and proves that the decision was the right one under the rules in force.",
		},
		"paths":      paths,
		"components": object{"schemas": d.schemas, "securitySchemes": object{"bearer": object{"type": "http", "scheme": "bearer", "description": "A JWT of a configured issuer, or an API key."}}},
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

type description struct {
	schemas  object
	comments map[string]string
}

func embedded(t *testing.T, schema []byte) object {
	var o object
	if err := json.Unmarshal(schema, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// operation describes a route; a second address of the same operation has an id of its own, as OpenAPI demands.
func (d *description) operation(r *route, nth int) object {
	id := r.id
	if nth > 1 {
		id = fmt.Sprintf("%s-%d", id, nth)
	}
	o := object{"operationId": id, "summary": r.summary, "responses": d.responses(r)}
	if len(r.roles) > 0 {
		o["security"] = []object{{"bearer": []string{}}}
		o["x-caio-roles"] = r.roles
	}
	var list []object
	for _, name := range parameterForm.FindAllStringSubmatch(named(r.path), -1) {
		list = append(list, object{"name": name[1], "in": "path", "required": true, "schema": text, "description": "The id of what the address names."})
	}
	for _, name := range r.query {
		list = append(list, object{"name": name, "in": "query", "schema": parameters[name].schema, "description": parameters[name].description})
	}
	if len(r.roles) > 0 {
		list = append(list, object{"name": headerTenant, "in": "header", "schema": text, "description": "The tenant that the caller means to speak for: another than the token's is refused (`wrong-tenant`)."})
	}
	if r.creates {
		list = append(list, object{"name": "Idempotency-Key", "in": "header", "schema": object{"type": "string", "maxLength": maxIdempotencyKey}, "description": "A repeated key returns the first answer."})
	}
	if list != nil {
		o["parameters"] = list
	}
	if r.media != nil {
		content := object{}
		for _, media := range r.media {
			content[media] = body(d.schema(r.takes, true), r.asked)
		}
		o["requestBody"] = object{"required": true, "content": content}
	}
	return o
}

// body is a schema, with an example where there is one.
func body(schema object, example string) object {
	o := object{"schema": schema}
	if example != "" {
		o["example"] = json.RawMessage(example)
	}
	return o
}

func (d *description) responses(r *route) object {
	responses := object{"default": object{"description": "A problem (RFC 9457).", "content": object{"application/problem+json": object{"schema": d.schema(Problem{}, false)}}}}
	for _, status := range r.status {
		answer := object{"description": http.StatusText(status)}
		if r.gives != nil {
			media := r.givesMedia
			if media == "" {
				media = "application/json"
			}
			answer["content"] = object{media: body(d.schema(r.gives, false), r.answered)}
		}
		responses[fmt.Sprint(status)] = answer
	}
	return responses
}

// schema is a reference to the component of a value's type, made if it is not there. Of what callers send, tags say what is required; of what they are answered, everything is that is not left out when empty.
func (d *description) schema(v any, input bool) object {
	if given, ok := v.(json.RawMessage); ok {
		switch {
		case bytes.Equal(given, contracts.RequestSchema()):
			return reference("Request")
		case bytes.Equal(given, contracts.ContractSchema()):
			return reference("ContractText")
		}
		return object{}
	}
	reflector := jsonschema.Reflector{
		Anonymous: true, RequiredFromJSONSchemaTags: input,
		Namer: componentName, Mapper: d.mapped,
		LookupComment: func(t reflect.Type, field string) string { return d.comments[t.Name()+"."+field] },
	}
	schema := reflector.Reflect(v)
	for name, definition := range schema.Definitions {
		if _, there := d.schemas[name]; !there {
			d.schemas[name] = rebase(definition)
		}
	}
	return reference(componentName(reflect.TypeOf(v)))
}

func reference(name string) object { return object{"$ref": "#/components/schemas/" + name} }

// componentName tells the types of other packages apart by what they are part of.
func componentName(t reflect.Type) string {
	switch t.PkgPath() {
	case reflect.TypeFor[verify.Document]().PkgPath():
		if t != reflect.TypeFor[verify.Document]() {
			return "Document" + t.Name()
		}
	case reflect.TypeFor[impact.Report]().PkgPath():
		return "Impact" + strings.TrimPrefix(t.Name(), "Impact")
	case reflect.TypeFor[contracts.Contract]().PkgPath():
		if t != reflect.TypeFor[contracts.Contract]() {
			return "Contract" + t.Name()
		}
	}
	return t.Name()
}

// mapped are the types whose JSON is not that of their Go type.
func (d *description) mapped(t reflect.Type) *jsonschema.Schema {
	decimal := jsonschema.NewProperties()
	decimal.Set("decimal", &jsonschema.Schema{Type: "string"})
	switch t {
	case reflect.TypeFor[contracts.Decimal]():
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
			{Type: "number"},
			{Type: "object", Properties: decimal, Required: []string{"decimal"}, AdditionalProperties: jsonschema.FalseSchema, Description: "In a proof document, where every number is an integer."},
		}}
	case reflect.TypeFor[contracts.Value]():
		return &jsonschema.Schema{Not: &jsonschema.Schema{Type: "null"}}
	case reflect.TypeFor[*source.Node](), reflect.TypeFor[source.Node]():
		return &jsonschema.Schema{Ref: "#/components/schemas/Request"}
	case reflect.TypeFor[SettingsText]():
		return &jsonschema.Schema{Type: "object", Description: "Pack -> its settings, as the `schema` of GET /v1/settings has them."}
	case reflect.TypeFor[CanonicalText]():
		d.schema(verify.Document{}, false)
		return &jsonschema.Schema{Ref: "#/components/schemas/Document"}
	case reflect.TypeFor[json.RawMessage]():
		return &jsonschema.Schema{Ref: "#/components/schemas/Answer"}
	case reflect.TypeFor[time.Time]():
		return &jsonschema.Schema{Type: "string", Format: "date-time"}
	}
	return nil
}

// rebase moves references to where OpenAPI keeps its schemas.
func rebase(schema *jsonschema.Schema) object {
	text, err := json.Marshal(schema)
	if err != nil {
		panic(err)
	}
	var o object
	if err := json.Unmarshal(bytes.ReplaceAll(text, []byte("#/$defs/"), []byte("#/components/schemas/")), &o); err != nil {
		panic(err)
	}
	return o
}

// comments of types' fields ("Answer.Index"), a line each.
func comments(t *testing.T, folders ...string) map[string]string {
	found := map[string]string{}
	for _, folder := range folders {
		names, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				kind, ok := n.(*ast.TypeSpec)
				if !ok {
					return true
				}
				if fields, ok := kind.Type.(*ast.StructType); ok {
					for _, field := range fields.Fields.List {
						for _, name := range field.Names {
							if key, comment := kind.Name.Name+"."+name.Name, strings.Join(strings.Fields(field.Doc.Text()+field.Comment.Text()), " "); found[key] == "" {
								found[key] = comment
							}
						}
					}
				}
				return false
			})
		}
	}
	return found
}
