package replay

import (
	"github.com/smarthausgroup/caio/contracts"
)

// control is the control signal of a routed decision, in micro (spec/calculus.md, section 5). previous is nil, or the eight numbers of control.previous.
func control(p psi, winner *contracts.Contract, previous []int64) [8]int64 {
	var u [8]int64
	field := p.of(winner)
	if !p.supplied || field == nil {
		return u
	}
	e, q := bands(p.intent), bands(field)
	if p.traits != nil {
		for j, traits := range bands(p.traits) {
			q[j] = (q[j] + traits) / 2
		}
	}
	for j := range u {
		// Division of integers truncates.
		u[j] = clamp((q[j]-e[j])/2, -250_000, 250_000)
		if previous != nil {
			u[j] = clamp(u[j], previous[j]-100_000, previous[j]+100_000)
		}
	}
	return u
}

func clamp(x, low, high int64) int64 { return max(low, min(x, high)) }

// guarantees are those that a decision carries: the winner's that state a bound (spec/calculus.md, section 6).
func guarantees(winner *contracts.Contract) map[string]contracts.Bounds {
	carried := map[string]contracts.Bounds{}
	for name, guarantee := range winner.Guarantees {
		if guarantee.Bounds != (contracts.Bounds{}) {
			carried[name] = guarantee.Bounds
		}
	}
	return carried
}
