package contracts

import "github.com/smarthausgroup/caio/contracts/source"

// Diagnostics are made where texts are read, in package source, and used everywhere under these names.
type (
	// Position is a place in a source text.
	Position = source.Position
	// Severity of a diagnostic.
	Severity = source.Severity
	// Diagnostic is one fault of something that a user wrote.
	Diagnostic = source.Diagnostic
	// Diagnostics are all the faults of one input.
	Diagnostics = source.Diagnostics
)

// An error refuses the input, a warning does not.
const (
	SeverityError   = source.SeverityError
	SeverityWarning = source.SeverityWarning
)
