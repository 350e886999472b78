package impact

import "github.com/smarthausgroup/caio/verify"

// Between says how one decision differs from another on the same request, both of which are wholly known, and what candidates violate in one of them alone.
func Between(before, after *verify.Decision) (Kind, []Difference) {
	list := differences(before, after)
	return kindOf(&outcome{*before, true}, &outcome{*after, true}, list), list
}
