package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/server"
)

// A log in the form that code scanning reads: OASIS, Static Analysis Results Interchange Format (SARIF) 2.1.0, of which this is what findings need.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}

	sarifRun struct {
		Tool       sarifTool     `json:"tool"`
		ColumnKind string        `json:"columnKind"`
		Results    []sarifResult `json:"results"`
	}

	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}

	sarifDriver struct {
		Name           string      `json:"name"`
		Version        string      `json:"version,omitempty"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}

	sarifRule struct {
		ID               string     `json:"id"`
		ShortDescription sarifText  `json:"shortDescription"`
		FullDescription  sarifText  `json:"fullDescription"`
		Help             sarifText  `json:"help"`
		HelpURI          string     `json:"helpUri"`
		Default          sarifLevel `json:"defaultConfiguration"`
	}

	sarifText struct {
		Text string `json:"text"`
	}

	sarifLevel struct {
		Level string `json:"level"` // error | warning
	}

	sarifResult struct {
		RuleID    string          `json:"ruleId"`
		RuleIndex *int            `json:"ruleIndex,omitempty"`
		Level     string          `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations,omitempty"`
	}

	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}

	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}

	sarifArtifact struct {
		URI string `json:"uri"` // relative to the folder that the command was called in, where it is below it
	}

	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn,omitempty"`
	}
)

func (c *policyCheck) sarif(w io.Writer) error {
	driver := sarifDriver{Name: "caio", InformationURI: "https://github.com/smarthausgroup/caio"}
	if build, err := server.ReadBuild(); err == nil {
		driver.Version = build.Version
	}
	all := rego.Explanations()
	for _, e := range all {
		driver.Rules = append(driver.Rules, sarifRule{e.Code, sarifText{e.Title}, sarifText{e.Why}, sarifText{e.Remedy}, helpURL(e.Code), sarifLevel{string(e.Severity)}})
	}
	run := sarifRun{Tool: sarifTool{driver}, ColumnKind: "unicodeCodePoints", Results: []sarifResult{}}
	for _, d := range c.faults {
		result := sarifResult{RuleID: d.Code, Level: string(d.Severity), Message: sarifText{message(d)}}
		if i := slices.IndexFunc(all, func(e rego.Explanation) bool { return e.Code == d.Code }); i >= 0 {
			result.RuleIndex = &i
		}
		if d.Pos.File != "" {
			place := sarifPhysical{Artifact: sarifArtifact{relativeURI(d.Pos.File)}}
			if d.Pos.Line > 0 {
				place.Region = &sarifRegion{d.Pos.Line, d.Pos.Column}
			}
			result.Locations = []sarifLocation{{place}}
		}
		run.Results = append(run.Results, result)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}})
}

// relativePath is a path as seen from the folder that the command was called in, if it is below it.
func relativePath(file string) string {
	if filepath.IsAbs(file) {
		if here, err := os.Getwd(); err == nil {
			if below, err := filepath.Rel(here, file); err == nil && filepath.IsLocal(below) {
				file = below
			}
		}
	}
	return filepath.ToSlash(filepath.Clean(file))
}

func relativeURI(file string) string { return (&url.URL{Path: relativePath(file)}).String() }

// workflowCommands writes what GitHub's runners turn into annotations of a change.
func (c *policyCheck) workflowCommands(w io.Writer) {
	for _, d := range c.faults {
		properties := []string{}
		add := func(name, value string) { properties = append(properties, name+"="+workflowProperty.Replace(value)) }
		if d.Pos.File != "" {
			add("file", relativePath(d.Pos.File))
		}
		if d.Pos.Line > 0 {
			add("line", fmt.Sprint(d.Pos.Line))
		}
		if d.Pos.Column > 0 {
			add("col", fmt.Sprint(d.Pos.Column))
		}
		add("title", d.Code)
		command := "error"
		if d.Severity == contracts.SeverityWarning {
			command = "warning"
		}
		text := message(d)
		if _, ok := rego.Explain(d.Code); ok {
			text += "\n" + helpURL(d.Code)
		}
		fmt.Fprintf(w, "::%s %s::%s\n", command, strings.Join(properties, ","), workflowData.Replace(text))
	}
}

// What has a meaning in workflow commands is written in hexadecimal: in the text, and in properties, which colons and commas end.
var (
	workflowData     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	workflowProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)
