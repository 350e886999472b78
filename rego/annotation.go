package rego

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/source"
)

var (
	severities = []string{"critical", "high", "medium", "low"}
	customKeys = []string{"severity", "controls", "remedy", "id"}
)

// describesConstraint reports whether an annotation is one of a constraint: by the keys that others don't have.
func describesConstraint(a *ast.Annotations) bool {
	return slices.ContainsFunc(customKeys[:3], func(key string) bool { _, ok := a.Custom[key]; return ok })
}

// checkPackageAnnotations refuses annotations of constraints that are put in front of a package.
func (c *compilation) checkPackageAnnotations(m *module) {
	for _, a := range m.ast.Annotations {
		if (a.Scope == "package" || a.Scope == "subpackages") && describesConstraint(a) {
			c.fault("misplaced-annotation", a.Location, "the annotation of a constraint stands in front of the package", "Move it directly above a rule of the constraint.")
		}
	}
}

// describe reads a constraint's annotation.
func (c *compilation) describe(p *found, id string, a annotated) *constraint {
	missing := func(key, what string) {
		c.fault("annotation", a.Location, fmt.Sprintf("the annotation of %s has no %s: %s", id, key, what), misspelt(a.Custom, key))
	}
	k := &constraint{Constraint: contracts.Constraint{
		ID: id, Family: p.family, Package: dotted(p.name), Title: strings.TrimSpace(a.Title), Description: strings.TrimSpace(a.Description), Controls: []string{}, Pos: at(a.rule.Location),
	}, related: a.RelatedResources}
	if k.Title == "" {
		missing("title", "one sentence that people will read")
	}
	k.Severity, _ = a.Custom["severity"].(string)
	switch {
	case slices.Contains(severities, k.Severity):
	case k.Severity != "":
		c.fault("annotation", a.Location, fmt.Sprintf("custom.severity of %s: %q is none of %s", id, k.Severity, strings.Join(severities, ", ")), strings.TrimPrefix(source.DidYouMean(strings.ToLower(k.Severity), severities), ": "))
	default:
		missing("custom.severity", "one of "+strings.Join(severities, ", "))
	}
	remedy, _ := a.Custom["remedy"].(string)
	if k.Remedy = strings.TrimSpace(remedy); k.Remedy == "" {
		missing("custom.remedy", "what the caller can do about it")
	}
	controls, ok := a.Custom["controls"].([]any)
	for _, control := range controls {
		text, isText := control.(string)
		ok = ok && isText
		k.Controls = append(k.Controls, text)
	}
	if !ok {
		missing("custom.controls", "a list of texts, which may be empty")
	}
	return k
}

// misspelt says which key of an annotation was probably meant to be the missing one.
func misspelt(custom map[string]any, missing string) string {
	for _, key := range sortedKeys(custom) {
		if !slices.Contains(customKeys, key) && source.DidYouMean(key, []string{strings.TrimPrefix(missing, "custom.")}) != "" {
			return fmt.Sprintf("custom.%s is not read", key)
		}
	}
	return ""
}
