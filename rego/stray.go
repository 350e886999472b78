package rego

import (
	"path"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/source"
)

// checkFiles reports files that look like ones that are read, and are not: a policy in one would be in force for whoever wrote it, and for nobody else.
func (c *compilation) checkFiles() {
	for _, b := range c.bundles {
		for _, file := range b.Files {
			summary, severity := stray(file.Path)
			if summary != "" {
				c.faults = append(c.faults, contracts.Diagnostic{Severity: severity, Code: "stray-file", Summary: summary, Detail: "Rename it, or take it out of the bundle.", Pos: contracts.Position{File: place(b.Name, file.Path)}})
			}
		}
	}
}

// stray says what a file was probably meant to be, if it is not that. What differs by the case alone is an error: some file systems don't tell the difference.
func stray(name string) (summary string, severity contracts.Severity) {
	folder, base := path.Split(name)
	lower := strings.ToLower(base)
	read := append(slices.Clone(dataFiles), schemaFile, manifestFile)
	switch stem, ending, _ := strings.Cut(lower, "."); {
	case strings.HasSuffix(base, ".rego"):
	case strings.HasSuffix(lower, ".rego"):
		return "only files whose names end in .rego, in small letters, are policies", contracts.SeverityError
	case base != lower && slices.Contains(read, lower):
		return "the file is not read: its name is to be " + lower, contracts.SeverityError
	case strings.Contains(lower, ".rego") || source.Nearest(path.Ext(lower), []string{".rego"}, 1) != "":
		return "the file is no policy: the names of policies end in .rego", contracts.SeverityWarning
	case folder != "" && (lower == schemaFile || lower == manifestFile):
		return "the file is not read: " + lower + " stands at the bundle's root", contracts.SeverityWarning
	case strings.Contains(lower, ".scenario.") && !strings.HasSuffix(base, ".scenario.yaml") && !strings.HasSuffix(base, ".scenario.json"):
		return "the file is no scenario: their names end in .scenario.yaml or .scenario.json", contracts.SeverityWarning
	case stem == "data" && ending != "md" && !slices.Contains(read, lower):
		return "the file is not read: data is in " + strings.Join(dataFiles, ", "), contracts.SeverityWarning
	case folder == "" && stem == "schema" && lower != schemaFile:
		return "the file is not read: a schema is in " + schemaFile, contracts.SeverityWarning
	case folder == "" && (stem == "manifest" || strings.HasPrefix(lower, manifestFile) && ending != "manifest"):
		return "the file is not read: a manifest is in " + manifestFile, contracts.SeverityWarning
	}
	return "", ""
}
