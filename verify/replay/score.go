package replay

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/verify"
)

// coefficients of the objective, in thousandths.
type coefficients struct{ alpha, beta, gamma, delta, lambda, rho, eta int64 }

// profiles are those of spec/calculus.md, section 4.
var profiles = map[string]coefficients{
	contracts.Balanced:  {200, 150, 400, 250, 450, 250, 300},
	contracts.Economy:   {200, 150, 400, 250, 750, 150, 100},
	contracts.Realtime:  {200, 150, 400, 250, 150, 150, 700},
	contracts.Assurance: {200, 150, 400, 250, 100, 800, 100},
}

// objective is J, in nano.
func (c coefficients) objective(t verify.Terms) int64 {
	return c.alpha*t.Intent + c.beta*t.Attention + c.gamma*t.Learned + c.delta*t.Resonance - c.lambda*t.Cost - c.rho*t.Risk - c.eta*t.Latency
}

// mul is floor(a*b/1e6), for micro a, b >= 0 (spec/calculus.md, section 1).
func mul(a, b int64) int64 { return mulDiv(a, b, 1_000_000) }

// mulDiv is floor(a*b/c) for a, b >= 0 and c > 0.
func mulDiv(a, b, c int64) int64 {
	product := new(big.Int).Mul(big.NewInt(a), big.NewInt(b))
	return product.Div(product, big.NewInt(c)).Int64()
}

// ceilMillionths is ceil(a*b/1e6).
func ceilMillionths(a, b int64) int64 {
	product := new(big.Int).Mul(big.NewInt(a), big.NewInt(b))
	product.Add(product, big.NewInt(999_999))
	return product.Div(product, big.NewInt(1_000_000)).Int64()
}

// lg is the binary logarithm of x/1e6, interpolated between powers of two, in micro, for x >= 1e6 (spec/calculus.md, section 1).
func lg(x int64) int64 {
	k, power := int64(0), int64(1)
	for x/2 >= 1_000_000*power {
		k, power = k+1, power*2
	}
	return k*1_000_000 + (x-1_000_000*power)/power
}

// psi holds the fields that a decision compares: Psi_i, Psi_C, Psi_M and Psi_t, nil where absent.
type psi struct {
	intent, context, memory, traits *contracts.Field
	supplied                        bool // whether the request supplies fields.intent
}

// requestFields are the request's fields, or else the encodings of its texts.
func requestFields(r *contracts.Request) psi {
	if r.Fields.Intent != nil {
		return psi{r.Fields.Intent, r.Fields.Context, r.Fields.Memory, r.Fields.Traits, true}
	}
	return psi{intent: encode(r.Intent.Type + " " + r.Intent.Text), context: encode(r.Context.Text)}
}

// of is Psi_m of a contract.
func (p psi) of(c *contracts.Contract) *contracts.Field {
	if p.supplied {
		if c.Field != nil && len(c.Field.Re) == len(p.intent.Re) {
			return c.Field
		}
		return nil
	}
	types := make([]string, len(c.Capabilities))
	for i, capability := range c.Capabilities {
		types[i] = capability.Type
	}
	return encode(c.Name + " " + c.Description + " " + strings.Join(types, " ") + " " + strings.Join(c.Tags, " "))
}

// clarity is I, the share of the intent field's energy in its high bands.
func (p psi) clarity() int64 {
	if !p.supplied {
		return 0
	}
	b := bands(p.intent)
	return b[2] + b[3] + b[4] + b[5] + b[6] + b[7]
}

// gates are what A and W pass on by route.
var gates = map[contracts.Placement]int64{contracts.Internal: 1_000_000, contracts.Hybrid: 500_000, contracts.External: 0}

// terms of one survivor (spec/calculus.md, section 4). clarity is I, the same for every one.
func terms(r *contracts.Request, p psi, clarity int64, c *contracts.Contract, attested contracts.Attestation, h contracts.History, e contracts.ServiceEstimate) verify.Terms {
	gate := gates[c.Placement]
	attention := gate
	if r.Context.Shareable {
		attention = 1_000_000
	}
	quality := mulDiv(1+h.OK, 1_000_000, 2+h.N)
	return verify.Terms{
		Intent:    clarity,
		Attention: mul(cos(p.intent, p.context), attention),
		Learned:   (cos(p.intent, p.of(c)) + quality) / 2,
		Resonance: mul(cos(p.intent, p.memory), gate),
		Cost:      min(1_000_000, lg(1_000_000+min(e.CostMicroUSD, 1_000_000_000_000)*10_000)/30),
		Risk:      risk(r, c, attested, h),
		Latency:   latencyTerm(e.LatencyMS, attested, h),
	}
}

// estimate is c and l of a service (spec/calculus.md, section 4, Cost and Latency).
func estimate(e contracts.Estimate, c *contracts.Contract, h contracts.History) contracts.ServiceEstimate {
	// A price in USD, exact to a micro-USD, is a decimal in millionths: its number of them is the price in micro-USD.
	cost := int64(c.Cost.PerCall) +
		ceilMillionths(int64(c.Cost.PerMillionInputTokens), e.InputTokens) +
		ceilMillionths(int64(c.Cost.PerMillionOutputTokens), e.OutputTokens) +
		int64(c.Cost.PerUnit)*e.Units
	return contracts.ServiceEstimate{CostMicroUSD: cost, LatencyMS: expectedLatency(c, h)}
}

// expectedLatency is l in ms, nil when unknown.
func expectedLatency(c *contracts.Contract, h contracts.History) *int64 {
	if h.N >= 20 && h.P95 > 0 {
		return &h.P95
	}
	promised := c.Guarantees["latency"].Max
	if promised == nil {
		return nil
	}
	l := max(h.P95, (int64(*promised)+contracts.Micro-1)/contracts.Micro)
	return &l
}

// latencyTerm is Latency(m).
func latencyTerm(l *int64, attested contracts.Attestation, h contracts.History) int64 {
	if l == nil {
		return 1_000_000
	}
	s := *l
	if h.N < 20 {
		switch attested {
		case contracts.Verified:
		case contracts.Audited:
			s = max(s, 100)
		default:
			s = max(s, 500)
		}
	}
	return min(1_000_000, lg(1_000_000+s*100_000)/24)
}

// risk is Risk(m).
func risk(r *contracts.Request, c *contracts.Contract, attested contracts.Attestation, h contracts.History) int64 {
	limit, trust := int64(900_000), int64(300_000)
	switch attested {
	case contracts.Audited:
		limit, trust = 970_000, 100_000
	case contracts.Verified:
		limit, trust = 1_000_000, 0
	}
	availability := int64(0)
	if stated := c.Guarantees["availability"].Min; stated != nil {
		availability = int64(*stated)
	}
	a := min(availability, limit)
	fail := 1_000_000 - (20*a+h.OK*1_000_000)/(20+h.N)
	return 1_000_000 - mul(mul(1_000_000-fail, 1_000_000-mul(exposure(c.Privacy), sensitivity(r.Data.Labels))), 1_000_000-trust)
}

func exposure(p contracts.Privacy) int64 {
	exposure := map[contracts.Locality]int64{contracts.OnDevice: 0, contracts.Local: 50_000, contracts.Private: 200_000, contracts.Cloud: 500_000}[p.Locality]
	if p.Encryption.InTransit && p.Encryption.AtRest {
		exposure /= 2
	}
	return exposure
}

func sensitivity(labels []string) int64 {
	largest := int64(0)
	for _, label := range labels {
		weight := int64(400_000)
		switch label {
		case "none":
			weight = 0
		case "internal":
			weight = 250_000
		case "confidential":
			weight = 600_000
		case "pii":
			weight = 800_000
		case "phi", "secret":
			weight = 1_000_000
		}
		largest = max(largest, weight)
	}
	return largest
}

// compare is the total order of survivors, the better first: by J, then c, then l with unknown last, then the seeded hash of the service's id (spec/calculus.md, section 4, "The winner").
func compare(a, b verify.Candidate, seed int64) int {
	return cmp.Or(
		cmp.Compare(b.Score.Objective, a.Score.Objective),
		cmp.Compare(a.Score.Estimate.CostMicroUSD, b.Score.Estimate.CostMicroUSD),
		cmp.Compare(latencyOrLast(a), latencyOrLast(b)),
		cmp.Compare(draw(seed, a.Service), draw(seed, b.Service)),
	)
}

func latencyOrLast(c verify.Candidate) int64 {
	if l := c.Score.Estimate.LatencyMS; l != nil {
		return *l
	}
	return math.MaxInt64
}

// draw is hex(SHA-256(decimal(seed) + ":" + service id)).
func draw(seed int64, service string) string {
	sum := sha256.Sum256([]byte(strconv.FormatInt(seed, 10) + ":" + service))
	return hex.EncodeToString(sum[:])
}
