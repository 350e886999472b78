package impact

import "github.com/smarthausgroup/caio/verify"

// Between says how one decision differs from another on the same request, both of which are wholly known, and what candidates violate in one of them alone.
func Between(before, after *verify.Decision) (Kind, []Difference) {
	r := result{of: &Case{Recorded: *before}}
	r.compare(&outcome{*after, true})
	return r.kind, r.differences
}
