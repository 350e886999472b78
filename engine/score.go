package engine

import (
	"math/bits"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine/field"
	"github.com/smarthausgroup/caio/verify"
)

const micro = field.Micro

// gates let similarity to private context through, by route (spec/calculus.md, section 4, A and W).
var gates = map[contracts.Placement]int64{contracts.Internal: micro, contracts.Hybrid: 500_000, contracts.External: 0}

var (
	caps        = map[contracts.Attestation]int64{contracts.SelfAttested: 900_000, contracts.Audited: 970_000, contracts.Verified: 1_000_000}
	distrust    = map[contracts.Attestation]int64{contracts.SelfAttested: 300_000, contracts.Audited: 100_000, contracts.Verified: 0}
	floors      = map[contracts.Attestation]int64{contracts.SelfAttested: 500, contracts.Audited: 100, contracts.Verified: 0}
	exposures   = map[contracts.Locality]int64{contracts.OnDevice: 0, contracts.Local: 50_000, contracts.Private: 200_000, contracts.Cloud: 500_000}
	sensitivity = map[string]int64{"internal": 250_000, "confidential": 600_000, "pii": 800_000, "phi": 1_000_000, "secret": 1_000_000, "none": 0}
)

// sensitivityOther is that of a label of the tenant's own vocabulary.
const sensitivityOther = 400_000

// enough is how many attempts make a history that outweighs the contract's word.
const enough = 20

// estimate is c and l: what a call is expected to cost and take (spec/calculus.md, section 4, Cost and Latency).
func estimate(c *contracts.Contract, size contracts.Estimate, h contracts.History) contracts.ServiceEstimate {
	cost := int64(c.Cost.PerCall) +
		perMillion(c.Cost.PerMillionInputTokens, size.InputTokens) +
		perMillion(c.Cost.PerMillionOutputTokens, size.OutputTokens) +
		int64(c.Cost.PerUnit)*size.Units
	return contracts.ServiceEstimate{CostMicroUSD: cost, LatencyMS: latency(c, h)}
}

// perMillion is ceil(price * tokens / 1e6).
func perMillion(price contracts.Decimal, tokens int64) int64 {
	hi, lo := bits.Mul64(uint64(price), uint64(tokens))
	quotient, remainder := bits.Div64(hi, lo, micro)
	if remainder > 0 {
		quotient++
	}
	return int64(quotient)
}

// latency is l in ms, nil when unknown.
func latency(c *contracts.Contract, h contracts.History) *int64 {
	if h.N >= enough && h.P95 > 0 {
		return &h.P95
	}
	promised := c.Guarantees["latency"].Max
	if promised == nil {
		return nil
	}
	l := max(h.P95, ceil(*promised))
	return &l
}

func ceil(d contracts.Decimal) int64 {
	whole := int64(d) / micro
	if int64(d) > whole*micro {
		whole++
	}
	return whole
}

// scorer holds the parts of the objective that are the same for every survivor.
type scorer struct {
	request      *contracts.Request
	coefficients verify.Coefficients
	intent       *contracts.Field // Psi_i
	clarity      int64            // I
	context      int64            // cos(Psi_i, Psi_C)
	memory       int64            // cos(Psi_i, Psi_M)
	sensitivity  int64
}

func newScorer(r *contracts.Request) *scorer {
	coefficients, _ := verify.ProfileCoefficients(r.Profile)
	s := &scorer{request: r, coefficients: coefficients, intent: r.Fields.Intent}
	surroundings := r.Fields.Context
	if s.intent == nil {
		s.intent, surroundings = field.Encode(r.Intent.Type+" "+r.Intent.Text), field.Encode(r.Context.Text)
	} else {
		bands := field.Spectrum(s.intent)
		for _, share := range bands[2:] {
			s.clarity += share
		}
	}
	s.context = field.Cos(s.intent, surroundings)
	s.memory = field.Cos(s.intent, r.Fields.Memory)
	for _, label := range r.Data.Labels {
		level, ok := sensitivity[label]
		if !ok {
			level = sensitivityOther
		}
		s.sensitivity = max(s.sensitivity, level)
	}
	return s
}

// serviceField is Psi_m, nil when absent.
func (s *scorer) serviceField(service *Service) *contracts.Field {
	if s.request.Fields.Intent == nil {
		return service.text
	}
	if f := service.Contract.Field; f != nil && len(f.Re) == len(s.intent.Re) {
		return f
	}
	return nil
}

// score computes the terms and the objective of one survivor (spec/calculus.md, section 4).
func (s *scorer) score(c *candidate) *verify.Score {
	gate := gates[c.service.Contract.Placement]
	attention := gate
	if s.request.Context.Shareable {
		attention = micro
	}
	terms := verify.Terms{
		Intent:    s.clarity,
		Attention: mul(s.context, attention),
		Learned:   (field.Cos(s.intent, s.serviceField(c.service)) + (1+c.history.OK)*micro/(2+c.history.N)) / 2,
		Resonance: mul(s.memory, gate),
		Cost:      min(micro, lg(micro+min(c.estimate.CostMicroUSD, 1_000_000_000_000)*10_000)/30),
		Risk:      s.risk(c),
		Latency:   latencyTerm(c),
	}
	return &verify.Score{Terms: terms, Estimate: c.estimate, Objective: s.coefficients.Objective(terms)}
}

func latencyTerm(c *candidate) int64 {
	if c.estimate.LatencyMS == nil {
		return micro
	}
	l := *c.estimate.LatencyMS
	if c.history.N < enough {
		l = max(l, floors[c.service.Attestation])
	}
	return min(micro, lg(micro+l*100_000)/24)
}

func (s *scorer) risk(c *candidate) int64 {
	contract := c.service.Contract
	available := int64(0)
	if promised := contract.Guarantees["availability"].Min; promised != nil {
		available = int64(*promised)
	}
	available = min(available, caps[c.service.Attestation])
	fail := micro - (enough*available+c.history.OK*micro)/(enough+c.history.N)
	exposure := exposures[contract.Privacy.Locality]
	if e := contract.Privacy.Encryption; e.InTransit && e.AtRest {
		exposure /= 2
	}
	return micro - mul(mul(micro-fail, micro-mul(exposure, s.sensitivity)), micro-distrust[c.service.Attestation])
}

// mul is the product of two numbers in micro, both in [0, 1e6], rounded down.
func mul(a, b int64) int64 { return a * b / micro }

// lg is the binary logarithm of x/1e6, interpolated between powers of two, in micro, for x >= 1e6.
func lg(x int64) int64 {
	k := bits.Len64(uint64(x/micro)) - 1
	return int64(k)*micro + (x-micro<<k)>>k
}
