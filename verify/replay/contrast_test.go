package replay_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/verify/replay"
)

// TestContrasts: each claim is made again here, by changing the argument that it names and deciding, and just beyond it the other way round.
func TestContrasts(t *testing.T) {
	w := newWorld(t)
	ev := w.publish(w.decide(asked))
	lines := replay.Contrasts(context.Background(), ev, w.options)
	if len(lines) == 0 {
		t.Fatal("nothing is said of the runner-up")
	}
	t.Log(strings.Join(lines, "\n"))
	for _, line := range lines {
		if !strings.HasPrefix(line, "second would ") {
			t.Errorf("%q", line)
		}
	}
	w = newWorld(t)
	ev = w.publish(w.decide("intent: {type: embeddings, text: x}\nlimits: {max_cost_usd: 0.0001}\n"))
	if lines := replay.Contrasts(context.Background(), ev, w.options); !slices.Equal(lines, []string{"with a limit of 0.001 USD it would have been routed to winner"}) {
		t.Errorf("a cost limit: %q", lines)
	}
	w = newWorld(t)
	ev = w.publish(w.decide("intent: {type: embeddings, text: x}\nlimits: {max_latency_ms: 1}\n"))
	if lines := replay.Contrasts(context.Background(), ev, w.options); !slices.Equal(lines, []string{"with a limit of 50ms it would have been routed to winner"}) {
		t.Errorf("a limit of the latency: %q", lines)
	}
	w = newWorld(t)
	ev = w.publish(w.decide("intent: {type: embeddings, text: x}\nexclude: [winner, second]\n"))
	if lines := replay.Contrasts(context.Background(), ev, w.options); len(lines) != 2 || !strings.HasPrefix(lines[0], "without excluding ") || !strings.HasPrefix(lines[1], "without excluding ") {
		t.Errorf("exclusions: %q", lines)
	}
}

// TestPriceOfTheRunnerUp holds the share of the price to its definition: at that share the runner-up wins, at one more in a thousand it doesn't.
func TestPriceOfTheRunnerUp(t *testing.T) {
	found := false
	for _, price := range []string{"0.0011", "0.002", "0.05"} {
		w := newWorld(t)
		w.arguments.History, w.arguments.Attestations = nil, map[string]contracts.Attestation{}
		expensive := strings.Replace(expensive, "PRICE", price, 1)
		w.arguments.Contracts[1] = parsed(t, expensive)
		p := w.decide(asked)
		if p.document.Choice.RunnerUp == nil || p.document.Choice.RunnerUp.Service != "second" {
			continue
		}
		p.bind(t)
		for _, line := range replay.Contrasts(context.Background(), p.evidence, w.options) {
			t.Log(line)
			share, ok := strings.CutPrefix(line, "second would have won at ")
			if !ok {
				continue
			}
			found = true
			share, _, _ = strings.Cut(share, " ")
			percent, err := contracts.ParseDecimal(share)
			if err != nil {
				t.Fatal(err)
			}
			for beyond, wins := range map[int64]bool{0: true, 1: false} {
				n := int64(percent)/100_000 + beyond
				cheaper := *w.arguments.Contracts[1]
				cheaper.Cost.PerCall = contracts.Decimal(int64(cheaper.Cost.PerCall) * n / 1000)
				a := w.arguments
				a.Contracts = slices.Clone(a.Contracts)
				a.Contracts[1] = &cheaper
				d, err := replay.Decide(context.Background(), a)
				if err != nil {
					t.Fatal(err)
				}
				if (d.Choice.Service == "second") != wins {
					t.Errorf("%s: at %d of a thousand %s wins", price, n, d.Choice.Service)
				}
			}
		}
	}
	if !found {
		t.Error("no price was found")
	}
}

const expensive = `schema: caio.contract/v1
id: second
name: Embeddings winner
version: 1.0.0
owner: ml@example.com
placement: internal
capabilities: [{type: embeddings}]
guarantees: {latency: {max: 200}, availability: {min: 0.99}}
cost: {per_call: PRICE}
privacy: {locality: local, regions: [eu]}
`

func parsed(t testing.TB, text string) *contracts.Contract {
	t.Helper()
	c, faults := contracts.ParseContract("c.yaml", []byte(text))
	if faults.HasErrors() {
		t.Fatal(faults)
	}
	return c
}
