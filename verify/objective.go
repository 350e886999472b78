package verify

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"strconv"

	"github.com/smarthausgroup/caio/contracts"
)

// Coefficients of the objective, in thousandths (spec/calculus.md, section 4).
type Coefficients struct {
	Alpha, Beta, Gamma, Delta int64 // intent clarity, attention, learned fit, resonance
	Lambda, Rho, Eta          int64 // cost, risk, latency
}

// ProfileCoefficients is the one table of the page; false for a profile that it does not name.
func ProfileCoefficients(profile string) (Coefficients, bool) {
	c := Coefficients{Alpha: 200, Beta: 150, Gamma: 400, Delta: 250}
	switch profile {
	case contracts.Balanced:
		c.Lambda, c.Rho, c.Eta = 450, 250, 300
	case contracts.Economy:
		c.Lambda, c.Rho, c.Eta = 750, 150, 100
	case contracts.Realtime:
		c.Lambda, c.Rho, c.Eta = 150, 150, 700
	case contracts.Assurance:
		c.Lambda, c.Rho, c.Eta = 100, 800, 100
	default:
		return Coefficients{}, false
	}
	return c, true
}

// Objective is J in nano, in [-1e9, 1e9], for terms in micro, each in [0, 1e6] (spec/calculus.md, section 4).
func (c Coefficients) Objective(t Terms) int64 {
	return c.Alpha*t.Intent + c.Beta*t.Attention + c.Gamma*t.Learned + c.Delta*t.Resonance - c.Lambda*t.Cost - c.Rho*t.Risk - c.Eta*t.Latency
}

// Compare is the total order whose first is the winner: larger objective, smaller cost, smaller latency with the unknown last, smaller [TieBreak]. It is negative if a comes before b.
// Both have a score (spec/calculus.md, section 4, "The winner").
func Compare(a, b *Candidate, seed int64) int {
	s, t := a.Score, b.Score
	if order := cmp.Or(
		cmp.Compare(t.Objective, s.Objective),
		cmp.Compare(s.Estimate.CostMicroUSD, t.Estimate.CostMicroUSD),
		cmp.Compare(known(s.Estimate.LatencyMS), known(t.Estimate.LatencyMS)),
	); order != 0 {
		return order
	}
	return cmp.Compare(TieBreak(seed, a.Service), TieBreak(seed, b.Service))
}

// known puts the unknown latency last.
func known(latency *int64) int64 {
	if latency == nil {
		return math.MaxInt64
	}
	return *latency
}

// TieBreak is hex(SHA-256(decimal(seed) + ":" + service)): the smaller one wins, as text.
func TieBreak(seed int64, service string) string {
	sum := sha256.Sum256([]byte(strconv.FormatInt(seed, 10) + ":" + service))
	return hex.EncodeToString(sum[:])
}
