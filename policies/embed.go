// Package policies holds the policies that come with CAIO, as one bundle: packs of Rego rules with their tests, their default settings and the schema of these (spec/policy.md, "The packs that come with it").
//
// It is content. Package rego reads and compiles it.
package policies

import "embed"

// FS is the bundle. A pack is <family>/<pack>/{<pack>.rego,<pack>_test.rego,data.json,README.md}; .manifest and schema.json are at the root.
//
//go:embed .manifest README.md schema.json policy safety traits
var FS embed.FS
