package engine_test

import (
	"testing"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/canonical"
	"github.com/smarthausgroup/caio/engine"
)

func decimal(micro int64) *contracts.Decimal { d := contracts.Decimal(micro); return &d }

func equals(v any) contracts.Bounds { return contracts.Bounds{Equals: &contracts.Value{V: v}} }

func TestCompose(t *testing.T) {
	type chain = []map[string]contracts.Bounds
	for name, test := range map[string]struct {
		chain chain
		want  string
	}{
		"nobody":                      {nil, `{}`},
		"latency is a sum of max":     {chain{{"latency": {Min: decimal(1), Max: decimal(1_500_000)}}, {"latency": {Min: decimal(1), Max: decimal(2_000_000)}}}, `{"latency":{"max":{"decimal":"3.5"}}}`},
		"availability is a product":   {chain{{"availability": {Min: decimal(999_999), Max: decimal(1)}}, {"availability": {Min: decimal(999_999)}}, {"availability": {Min: decimal(999_999)}}}, `{"availability":{"min":{"decimal":"0.999996"}}}`},
		"one lacks it":                {chain{{"accuracy": {Min: decimal(1)}}, {}}, `{}`},
		"one lacks a bound":           {chain{{"accuracy": {Min: decimal(1), Max: decimal(1_000_000)}}, {"accuracy": {Max: decimal(2_000_000)}}}, `{"accuracy":{"max":2}}`},
		"the widest of anything else": {chain{{"x": {Min: decimal(3_000_000), Max: decimal(4_000_000)}}, {"x": {Min: decimal(1_000_000), Max: decimal(5_000_000)}}}, `{"x":{"max":5,"min":1}}`},
		"all true":                    {chain{{"d": equals(true)}, {"d": equals(true)}}, `{"d":{"equals":true}}`},
		"one false":                   {chain{{"d": equals(true)}, {"d": equals(false)}, {"d": equals(true)}}, `{"d":{"equals":false}}`},
		"a common value":              {chain{{"d": equals("a")}, {"d": equals("a")}}, `{"d":{"equals":"a"}}`},
		"they differ":                 {chain{{"d": equals("a")}, {"d": equals("b")}, {"d": equals("a")}}, `{}`},
		"truth and text differ":       {chain{{"d": equals(true)}, {"d": equals("true")}}, `{}`},
		"no bound of a single one":    {chain{{"latency": {Min: decimal(1)}}}, `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := canonical.Encode(engine.Compose(test.chain...))
			if err != nil || string(got) != test.want {
				t.Fatalf("got %s, want %s (%v)", got, test.want, err)
			}
		})
	}
}
