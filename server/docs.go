package server

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// The API's description is made from the routes and the Go types of what handlers take and give, with their comments, by a test, which fails when it is not theirs.
//
//go:generate go test -run ^TestOpenAPIIsThatOfTheRoutes$ . -update
var (
	//go:embed openapi.json
	openAPI []byte
	//go:embed docs.html
	docsTemplate string
)

func (s *Server) getOpenAPI(c *call) error {
	return c.Blob(http.StatusOK, "application/json", openAPI)
}

// getDocs is a page that needs nothing but itself: no script, and nothing from elsewhere.
func (s *Server) getDocs(c *call) error {
	c.Response().Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	return c.Blob(http.StatusOK, "text/html; charset=utf-8", s.docs)
}

// docsPage is what the template shows.
type docsPage struct {
	Calls    []docsCall
	Schemas  []docsSchema
	Problems []docsProblem
}

type docsCall struct {
	Method, Path, Summary, Takes string
	Alias                        string // the path that does the same and comes first
	Needs                        string // the roles
	Parameters                   []docsParameter
	Asked                        string // an example
	Answers                      []docsAnswer
}

type docsParameter struct{ Name, In, Description string }

type docsAnswer struct{ Status, Media, Schema, Example string }

type docsSchema struct{ Name, Text string }

type docsProblem struct{ Code, Title string }

// described is what of the description the page shows.
type described struct {
	Paths      map[string]map[string]describedCall
	Components struct{ Schemas map[string]json.RawMessage }
}

type describedCall struct {
	Summary    string
	Parameters []docsParameter
	Body       describedBody `json:"requestBody"`
	Responses  map[string]describedBody
}

type describedBody struct {
	Content map[string]struct {
		Schema  map[string]any
		Example json.RawMessage
	}
}

// parameterForm is a parameter in the path of a route.
var parameterForm = regexp.MustCompile(`:(\w+)`)

// describedPath is a route's path as the description has it.
func describedPath(path string) string { return parameterForm.ReplaceAllString(named(path), "{$1}") }

// named gives the rest of a path, which is a star in a route, a name.
func named(path string) string { return strings.Replace(path, "*", ":path", 1) }

func renderDocs(routes []route) ([]byte, error) {
	var d described
	if err := json.Unmarshal(openAPI, &d); err != nil {
		return nil, fmt.Errorf("server: openapi.json: %w", err)
	}
	page := docsPage{}
	first := map[string]string{}
	for i := range routes {
		r := &routes[i]
		call, err := docsCallOf(r, d.Paths[describedPath(r.path)][strings.ToLower(r.method)])
		if err != nil {
			return nil, err
		}
		if call.Alias = first[r.id]; call.Alias == "" {
			first[r.id] = call.Path
		}
		page.Calls = append(page.Calls, call)
	}
	for name, schema := range d.Components.Schemas {
		text, err := indented(schema)
		if err != nil {
			return nil, err
		}
		page.Schemas = append(page.Schemas, docsSchema{name, text})
	}
	slices.SortFunc(page.Schemas, func(a, b docsSchema) int { return strings.Compare(a.Name, b.Name) })
	for code, title := range titles {
		page.Problems = append(page.Problems, docsProblem{code, title})
	}
	slices.SortFunc(page.Problems, func(a, b docsProblem) int { return strings.Compare(a.Code, b.Code) })
	parsed, err := template.New("docs").Funcs(template.FuncMap{"prose": prose}).Parse(docsTemplate)
	if err != nil {
		return nil, err
	}
	var html bytes.Buffer
	err = parsed.Execute(&html, page)
	return html.Bytes(), err
}

func docsCallOf(r *route, o describedCall) (docsCall, error) {
	call := docsCall{Method: r.method, Path: describedPath(r.path), Summary: o.Summary, Parameters: o.Parameters}
	if len(r.roles) > 0 {
		call.Needs = anyRole(r.roles)
	}
	var err error
	for _, body := range o.Body.Content {
		call.Takes = schemaName(body.Schema)
		if call.Asked, err = indented(body.Example); err != nil {
			return call, err
		}
	}
	for status, answer := range o.Responses {
		for media, body := range answer.Content {
			example, err := indented(body.Example)
			if err != nil {
				return call, err
			}
			call.Answers = append(call.Answers, docsAnswer{status, media, schemaName(body.Schema), example})
		}
	}
	slices.SortFunc(call.Answers, func(a, b docsAnswer) int { return strings.Compare(a.Status, b.Status) })
	return call, nil
}

func indented(text json.RawMessage) (string, error) {
	if len(text) == 0 {
		return "", nil
	}
	var out bytes.Buffer
	err := json.Indent(&out, text, "", "  ")
	return out.String(), err
}

// prose is a text in which what stands between backticks is code.
func prose(text string) template.HTML {
	parts := strings.Split(text, "`")
	for i := range parts {
		if parts[i] = template.HTMLEscapeString(parts[i]); i%2 == 1 {
			parts[i] = "<code>" + parts[i] + "</code>"
		}
	}
	return template.HTML(strings.Join(parts, "")) //nolint:gosec // every part of it was escaped
}

func schemaName(schema map[string]any) string {
	ref, _ := schema["$ref"].(string)
	return ref[strings.LastIndex(ref, "/")+1:]
}
