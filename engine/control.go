package engine

import (
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine/field"
)

const (
	maxControl = 250_000
	maxSlew    = 100_000
)

// control is the signal u in micro: half the way from the intent's bands to the target's, bounded, and limited in its rate by the previous signal (spec/calculus.md, section 5).
// winner is Psi_m, nil when absent.
func control(r *contracts.Request, winner *contracts.Field) (u [field.Bands]int64) {
	if r.Fields.Intent == nil || winner == nil {
		return u
	}
	now, target := field.Spectrum(r.Fields.Intent), field.Spectrum(winner)
	if r.Fields.Traits != nil {
		for j, share := range field.Spectrum(r.Fields.Traits) {
			target[j] = (target[j] + share) / 2
		}
	}
	for j := range u {
		u[j] = clamp((target[j]-now[j])/2, -maxControl, maxControl)
		if r.Previous != nil {
			u[j] = clamp(u[j], r.Previous[j]-maxSlew, r.Previous[j]+maxSlew)
		}
	}
	return u
}

func clamp(x, low, high int64) int64 { return max(low, min(x, high)) }
