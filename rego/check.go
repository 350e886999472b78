package rego

import (
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/smarthausgroup/caio/contracts"
)

// untidy reports a warning, where untidiness was asked about.
func (c *compilation) untidy(code string, location *ast.Location, summary, detail string) {
	c.untidyAt(code, at(location), summary, detail)
}

func (c *compilation) untidyAt(code string, pos contracts.Position, summary, detail string) {
	if c.thorough {
		c.faults = append(c.faults, contracts.Diagnostic{Severity: contracts.SeverityWarning, Code: code, Summary: summary, Detail: detail, Pos: pos})
	}
}

// Check compiles bundles as [Compile] does, and reports besides what keeps none from being used but is probably not meant: what can never be true, what changes nothing, constraints without a test. Those are warnings.
func Check(bundles []*Bundle, o Options) (*Policies, contracts.Diagnostics) {
	return examine(bundles, o, true).finish()
}
