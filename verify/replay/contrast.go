package replay

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/smarthausgroup/caio/cel"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/verify"
)

// Contrasts says of a decision what one change would have made of it: what the runner-up would have needed, or what a request that was denied would have needed. Each sentence is of one dimension, and was checked by deciding again with that
// change and no other (spec/proof.md, "What a verifier checks"). They are worth what the layer replay is worth: ask only where it passed. The end of ctx, or of o.Timeout, ends the search; what was found until then is returned.
func Contrasts(ctx context.Context, ev *verify.Evidence, o Options) []string {
	d, err := verify.DecodeDocument(ev.Document)
	if err != nil {
		return nil
	}
	if o.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.Timeout)
		defer cancel()
	}
	r := replaying{ev: ev, document: d, options: o}
	if r.collect() != nil {
		return nil
	}
	rules, err := Compile(r.arguments)
	if err != nil {
		return nil
	}
	c := contrasts{ctx: ctx, rules: rules, facts: r.arguments}
	if d.Outcome == verify.Routed {
		c.runnerUp(d)
	} else {
		c.denied(d)
	}
	return c.sentences
}

// contrasts decides what was decided again, each time with one thing changed.
type contrasts struct {
	ctx       context.Context
	rules     *Rules
	facts     Arguments
	sentences []string
}

func (c *contrasts) say(format string, args ...any) {
	c.sentences = append(c.sentences, fmt.Sprintf(format, args...))
}

// decide is the decision after a change, which is made to copies. The zero decision, which routes nowhere, is what can't be decided.
func (c *contrasts) decide(change func(a *Arguments)) verify.Decision {
	a := c.facts
	request := *c.facts.Request
	a.Request, a.Contracts = &request, slices.Clone(a.Contracts)
	a.Attestations, a.History = maps.Clone(a.Attestations), maps.Clone(a.History)
	change(&a)
	if admitted(a.Request, a.Settings) != nil {
		return verify.Decision{}
	}
	rules := &Rules{maps.Clone(c.rules.programs), c.rules.policies}
	for _, contract := range a.Contracts {
		if rules.programs[contract] == nil {
			program, faults := cel.Compile(contract)
			if faults.HasErrors() {
				return verify.Decision{}
			}
			rules.programs[contract] = program
		}
	}
	d, err := rules.Decide(c.ctx, a)
	if err != nil {
		return verify.Decision{}
	}
	return d
}

// runnerUp seeks what would have made the second the first: its price, its expected latency, what somebody says of its contract.
func (c *contrasts) runnerUp(d *verify.Document) {
	if d.Choice.RunnerUp == nil {
		return
	}
	second := d.Choice.RunnerUp.Service
	i := slices.IndexFunc(c.facts.Contracts, func(k *contracts.Contract) bool { return k.ID == second })
	if i < 0 {
		return
	}
	contract := c.facts.Contracts[i]
	// The others don't enter into it: what becomes of a service depends on no other, and of the rest none is better than the winner.
	wins := func(change func(a *Arguments), alone bool) bool {
		return c.decide(func(a *Arguments) {
			change(a)
			if alone {
				a.Contracts = slices.DeleteFunc(a.Contracts, func(k *contracts.Contract) bool { return k.ID != second && k.ID != d.Choice.Service })
			}
		}).Choice.Service == second
	}
	c.price(second, contract.Cost, func(cost contracts.Cost, alone bool) bool {
		return wins(func(a *Arguments) { a.Contracts[i] = altered(contract, func(k *contracts.Contract) { k.Cost = cost }) }, alone)
	})
	c.latency(second, d, func(ms int64, alone bool) bool {
		return wins(func(a *Arguments) { a.expect(i, ms) }, alone)
	})
	c.attestation(second, func(level contracts.Attestation) bool {
		return wins(func(a *Arguments) { a.Attestations[second] = level }, false)
	})
}

func altered(contract *contracts.Contract, change func(k *contracts.Contract)) *contracts.Contract {
	k := *contract
	change(&k)
	return &k
}

// largest is the largest n in [low, high) for which holds is true, where it is true up to some n and false from there on; false where it isn't true of low.
func largest(low, high int64, holds func(n int64) bool) (int64, bool) {
	if low >= high || !holds(low) {
		return 0, false
	}
	n := sort.Search(int(high-low), func(i int) bool { return !holds(low + int64(i)) })
	return low + int64(n) - 1, true
}

// price is told in percent of all that a contract charges.
func (c *contrasts) price(service string, cost contracts.Cost, wins func(contracts.Cost, bool) bool) {
	if cost == (contracts.Cost{}) {
		return
	}
	const whole = 1000
	share := func(n int64) contracts.Cost {
		part := func(d contracts.Decimal) contracts.Decimal {
			return contracts.Decimal(mulDiv(int64(d), n, whole))
		}
		return contracts.Cost{PerCall: part(cost.PerCall), PerMillionInputTokens: part(cost.PerMillionInputTokens), PerMillionOutputTokens: part(cost.PerMillionOutputTokens), PerUnit: part(cost.PerUnit)}
	}
	n, ok := largest(0, whole, func(n int64) bool { return wins(share(n), true) })
	switch {
	case ok && wins(share(n), false) && n == 0:
		c.say("%s would have won free of charge", service)
	case ok && wins(share(n), false):
		c.say("%s would have won at %s %% of its price", service, contracts.Decimal(n*contracts.Micro/10))
	case !ok && c.ctx.Err() == nil && !wins(share(0), false):
		c.say("%s would not have won free of charge either", service)
	}
}

// expect makes ms the expected latency of a contract's service: that of the history, where one is long enough, or what the contract promises.
func (a *Arguments) expect(i int, ms int64) {
	contract := a.Contracts[i]
	h := a.History[contract.ID]
	if h.P95 > 0 && (h.N >= 20 || h.P95 > ms) {
		h.P95 = ms
		a.History[contract.ID] = h
	}
	if h.N >= 20 && h.P95 > 0 {
		return
	}
	promised := contracts.Decimal(ms) * contracts.Micro
	a.Contracts[i] = altered(contract, func(k *contracts.Contract) {
		k.Guarantees = maps.Clone(k.Guarantees)
		if k.Guarantees == nil {
			k.Guarantees = map[string]contracts.Guarantee{}
		}
		g := k.Guarantees["latency"]
		g.Max = &promised
		k.Guarantees["latency"] = g
	})
}

// slowest is more than any latency that makes a difference, in ms.
const slowest = 1_000_000

func (c *contrasts) latency(service string, d *verify.Document, wins func(ms int64, alone bool) bool) {
	now, told := int64(slowest), "unknown"
	for _, candidate := range d.Candidates {
		if candidate.Service == service && candidate.Score != nil && candidate.Score.Estimate.LatencyMS != nil {
			now = *candidate.Score.Estimate.LatencyMS
			told = (time.Duration(now) * time.Millisecond).String()
		}
	}
	if ms, ok := largest(1, now, func(ms int64) bool { return wins(ms, true) }); ok && wins(ms, false) {
		c.say("%s would have won with an expected latency of %s; it was %s", service, time.Duration(ms)*time.Millisecond, told)
	}
}

func (c *contrasts) attestation(service string, wins func(contracts.Attestation) bool) {
	for _, level := range above(c.facts.Attestations[service]) {
		if wins(level) {
			c.say("%s would have won with a contract that somebody had attested as %s", service, level)
			return
		}
	}
}

// above are the levels above one, the lower first.
func above(level contracts.Attestation) []contracts.Attestation {
	switch level {
	case contracts.Verified:
		return nil
	case contracts.Audited:
		return []contracts.Attestation{contracts.Verified}
	}
	return []contracts.Attestation{contracts.Audited, contracts.Verified}
}

// denied seeks what the request, or one of the services that fell last, would have needed.
func (c *contrasts) denied(d *verify.Document) {
	routes := func(text string, change func(a *Arguments)) {
		if after := c.decide(change); after.Outcome == verify.Routed {
			c.say("%s it would have been routed to %s", text, after.Choice.Service)
		}
	}
	r := c.facts.Request
	for i, label := range r.Data.Labels {
		routes("without the label "+label, func(a *Arguments) { a.Request.Data.Labels = slices.Delete(slices.Clone(r.Data.Labels), i, i+1) })
	}
	for i, service := range r.Exclude {
		routes("without excluding "+service, func(a *Arguments) { a.Request.Exclude = slices.Delete(slices.Clone(r.Exclude), i, i+1) })
	}
	for _, name := range slices.Sorted(maps.Keys(r.Requirements.Guarantees)) {
		routes("without the guarantee "+name, func(a *Arguments) { a.Request.Requirements.Guarantees = without(r.Requirements.Guarantees, name) })
	}
	for _, name := range slices.Sorted(maps.Keys(r.Requirements.Attributes)) {
		routes("without the attribute "+name, func(a *Arguments) { a.Request.Requirements.Attributes = without(r.Requirements.Attributes, name) })
	}
	for _, name := range slices.Sorted(maps.Keys(r.Requirements.CapabilityParameters)) {
		routes("with any parameters of "+name, func(a *Arguments) {
			a.Request.Requirements.CapabilityParameters = without(r.Requirements.CapabilityParameters, name)
		})
	}
	c.limits(routes)
	for _, nearest := range d.Choice.Nearest {
		for _, level := range above(c.facts.Attestations[nearest.Service]) {
			routes(fmt.Sprintf("with the contract of %s attested as %s", nearest.Service, level), func(a *Arguments) { a.Attestations[nearest.Service] = level })
		}
	}
}

func without[V any](m map[string]V, key string) map[string]V {
	m = maps.Clone(m)
	delete(m, key)
	return m
}

// limits seeks the least limit that lets something through: what the one that wins without any costs, or takes.
func (c *contrasts) limits(routes func(text string, change func(a *Arguments))) {
	if limit := c.facts.Request.Limits.MaxCostMicroUSD; limit != nil {
		if e, ok := c.freed(func(a *Arguments) { a.Request.Limits.MaxCostMicroUSD = nil }); ok && e.CostMicroUSD > *limit {
			routes(fmt.Sprintf("with a limit of %s USD", contracts.Decimal(e.CostMicroUSD)), func(a *Arguments) { a.Request.Limits.MaxCostMicroUSD = &e.CostMicroUSD })
		}
	}
	if limit := c.facts.Request.Limits.MaxLatencyMS; limit != nil {
		if e, ok := c.freed(func(a *Arguments) { a.Request.Limits.MaxLatencyMS = nil }); ok && e.LatencyMS != nil && *e.LatencyMS > *limit {
			routes(fmt.Sprintf("with a limit of %s", time.Duration(*e.LatencyMS)*time.Millisecond), func(a *Arguments) { a.Request.Limits.MaxLatencyMS = e.LatencyMS })
		}
	}
}

// freed is the estimate of the winner after a change.
func (c *contrasts) freed(change func(a *Arguments)) (e verify.Estimate, ok bool) {
	d := c.decide(change)
	for _, candidate := range d.Candidates {
		if candidate.Score != nil && candidate.Service == d.Choice.Service {
			return candidate.Score.Estimate, true
		}
	}
	return e, false
}
