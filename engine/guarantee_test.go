package engine_test

import (
	"testing"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/canonical"
	"github.com/smarthausgroup/caio/engine"
)

func bound(micro int64) *contracts.Decimal { d := contracts.Decimal(micro); return &d }

func equal(v any) contracts.Bounds { return contracts.Bounds{Equals: &contracts.Value{V: v}} }

func TestCompose(t *testing.T) {
	type chain = []map[string]contracts.Bounds
	for name, test := range map[string]struct {
		chain chain
		want  string
	}{
		"nobody":                      {nil, `{}`},
		"latency is a sum of max":     {chain{{"latency": {Min: bound(1), Max: bound(1_500_000)}}, {"latency": {Min: bound(1), Max: bound(2_000_000)}}}, `{"latency":{"max":{"decimal":"3.5"}}}`},
		"availability is a product":   {chain{{"availability": {Min: bound(999_999), Max: bound(1)}}, {"availability": {Min: bound(999_999)}}, {"availability": {Min: bound(999_999)}}}, `{"availability":{"min":{"decimal":"0.999997"}}}`},
		"one lacks it":                {chain{{"accuracy": {Min: bound(1)}}, {}}, `{}`},
		"one lacks a bound":           {chain{{"accuracy": {Min: bound(1), Max: bound(1_000_000)}}, {"accuracy": {Max: bound(2_000_000)}}}, `{"accuracy":{"max":2}}`},
		"the widest of anything else": {chain{{"x": {Min: bound(3_000_000), Max: bound(4_000_000)}}, {"x": {Min: bound(1_000_000), Max: bound(5_000_000)}}}, `{"x":{"max":5,"min":1}}`},
		"all true":                    {chain{{"d": equal(true)}, {"d": equal(true)}}, `{"d":{"equals":true}}`},
		"one false":                   {chain{{"d": equal(true)}, {"d": equal(false)}, {"d": equal(true)}}, `{"d":{"equals":false}}`},
		"a common value":              {chain{{"d": equal("a")}, {"d": equal("a")}}, `{"d":{"equals":"a"}}`},
		"they differ":                 {chain{{"d": equal("a")}, {"d": equal("b")}, {"d": equal("a")}}, `{}`},
		"truth and text differ":       {chain{{"d": equal(true)}, {"d": equal("true")}}, `{}`},
		"no bound of a single one":    {chain{{"latency": {Min: bound(1)}}}, `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := canonical.Encode(engine.Compose(test.chain...))
			if err != nil || string(got) != test.want {
				t.Fatalf("got %s, want %s (%v)", got, test.want, err)
			}
		})
	}
}
