package engine

import (
	"github.com/smarthausgroup/caio/contracts"
)

// carried are the winner's guarantees that have a bound.
func carried(c *contracts.Contract) map[string]contracts.Bounds {
	guarantees := map[string]contracts.Bounds{}
	for name, guarantee := range c.Guarantees {
		if guarantee.Bounds != (contracts.Bounds{}) {
			guarantees[name] = guarantee.Bounds
		}
	}
	return guarantees
}

// Compose gives the guarantees of services that work one after another (spec/calculus.md, section 6). A guarantee or a bound that one of them lacks is absent.
func Compose(chain ...map[string]contracts.Bounds) map[string]contracts.Bounds {
	composed := map[string]contracts.Bounds{}
	if len(chain) == 0 {
		return composed
	}
	for name, bounds := range chain[0] {
		kept := onlyBounds(name, bounds)
		for _, next := range chain[1:] {
			kept = compose(name, kept, next[name])
		}
		if kept != (contracts.Bounds{}) {
			composed[name] = kept
		}
	}
	return composed
}

// onlyBounds drops what the composition of a guarantee never has.
func onlyBounds(name string, b contracts.Bounds) contracts.Bounds {
	switch name {
	case "latency", "energy_conservation", "interference":
		return contracts.Bounds{Max: b.Max}
	case "availability":
		return contracts.Bounds{Min: b.Min}
	}
	return b
}

func compose(name string, a, b contracts.Bounds) contracts.Bounds {
	switch name {
	case "latency", "energy_conservation", "interference":
		return contracts.Bounds{Max: both(a.Max, b.Max, func(x, y contracts.Decimal) contracts.Decimal { return x + y })}
	case "availability":
		return contracts.Bounds{Min: both(a.Min, b.Min, func(x, y contracts.Decimal) contracts.Decimal {
			return contracts.Decimal(mul(int64(x), int64(y)))
		})}
	}
	return contracts.Bounds{
		Min:    both(a.Min, b.Min, func(x, y contracts.Decimal) contracts.Decimal { return min(x, y) }),
		Max:    both(a.Max, b.Max, func(x, y contracts.Decimal) contracts.Decimal { return max(x, y) }),
		Equals: composeEquals(a.Equals, b.Equals),
	}
}

func both(a, b *contracts.Decimal, f func(a, b contracts.Decimal) contracts.Decimal) *contracts.Decimal {
	if a == nil || b == nil {
		return nil
	}
	c := f(*a, *b)
	return &c
}

// composeEquals is whether all truth values are true; of anything else, the common value.
func composeEquals(a, b *contracts.Value) *contracts.Value {
	if a == nil || b == nil {
		return nil
	}
	x, xIs := a.V.(bool)
	y, yIs := b.V.(bool)
	if xIs && yIs {
		return &contracts.Value{V: x && y}
	}
	if !a.Equal(*b) {
		return nil
	}
	return a
}
