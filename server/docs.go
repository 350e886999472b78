package server

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
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
	Roles                        []string
	Parameters                   []docsParameter
	Answers                      []docsAnswer
}

type docsParameter struct{ Name, In, Description string }

type docsAnswer struct{ Status, Media, Schema string }

type docsSchema struct{ Name, Text string }

type docsProblem struct{ Code, Title string }

// described is what of the description the page shows.
type described struct {
	Paths map[string]map[string]struct {
		Summary    string
		Roles      []string `json:"x-caio-roles"`
		Parameters []docsParameter
		Body       struct {
			Content map[string]struct{ Schema map[string]any }
		} `json:"requestBody"`
		Responses map[string]struct {
			Content map[string]struct{ Schema map[string]any }
		}
	}
	Components struct{ Schemas map[string]json.RawMessage }
}

func renderDocs() ([]byte, error) {
	var d described
	if err := json.Unmarshal(openAPI, &d); err != nil {
		return nil, fmt.Errorf("server: openapi.json: %w", err)
	}
	page := docsPage{}
	for path, methods := range d.Paths {
		for method, o := range methods {
			call := docsCall{Method: strings.ToUpper(method), Path: path, Summary: o.Summary, Roles: o.Roles, Parameters: o.Parameters}
			for _, body := range o.Body.Content {
				call.Takes = schemaName(body.Schema)
			}
			for status, answer := range o.Responses {
				for media, body := range answer.Content {
					call.Answers = append(call.Answers, docsAnswer{status, media, schemaName(body.Schema)})
				}
			}
			slices.SortFunc(call.Answers, func(a, b docsAnswer) int { return strings.Compare(a.Status, b.Status) })
			page.Calls = append(page.Calls, call)
		}
	}
	slices.SortFunc(page.Calls, func(a, b docsCall) int { return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method) })
	for name, schema := range d.Components.Schemas {
		var text bytes.Buffer
		if err := json.Indent(&text, schema, "", "  "); err != nil {
			return nil, err
		}
		page.Schemas = append(page.Schemas, docsSchema{name, text.String()})
	}
	slices.SortFunc(page.Schemas, func(a, b docsSchema) int { return strings.Compare(a.Name, b.Name) })
	for code, title := range titles {
		page.Problems = append(page.Problems, docsProblem{code, title})
	}
	slices.SortFunc(page.Problems, func(a, b docsProblem) int { return strings.Compare(a.Code, b.Code) })
	parsed, err := template.New("docs").Parse(docsTemplate)
	if err != nil {
		return nil, err
	}
	var html bytes.Buffer
	err = parsed.Execute(&html, page)
	return html.Bytes(), err
}

func schemaName(schema map[string]any) string {
	ref, _ := schema["$ref"].(string)
	return ref[strings.LastIndex(ref, "/")+1:]
}
