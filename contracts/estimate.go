package contracts

import (
	"fmt"

	"github.com/smarthausgroup/caio/contracts/source"
)

// estimate says how large the work is: what the caller says, else what the payload shows, else [DefaultTokens].
func (n *normaliser) estimate() Estimate {
	f, payload := n.form.Estimate, n.form.Payload
	e := Estimate{Defaulted: []string{}, Units: 1}
	e.InputTokens = n.tokens(&e, "input_tokens", f.InputTokens, func() (int64, bool) {
		return (textBytes(payload) + 3) / 4, payload != nil
	})
	e.OutputTokens = n.tokens(&e, "output_tokens", f.OutputTokens, func() (int64, bool) { return allowedTokens(payload) })
	n.sources["estimate.defaulted"] = SourceServer
	if f.Defaulted != nil && n.operators("/estimate/defaulted", "estimate.defaulted") {
		for i, name := range *f.Defaulted {
			n.oneOf(fmt.Sprintf("/estimate/defaulted/%d", i), name, "input_tokens", "output_tokens")
		}
		e.Defaulted = set(*f.Defaulted)
	}
	n.from("estimate.units", f.Units != nil, SourceDefault)
	if f.Units != nil {
		n.count("/estimate/units", f.Units, 0, maxUnits)
		e.Units = *f.Units
	}
	n.sources["estimate.payload_bytes"] = SourceServer
	if payload != nil {
		e.PayloadBytes = int64(len(payload.JSON()))
	}
	if f.PayloadBytes != nil && n.operators("/estimate/payload_bytes", "estimate.payload_bytes") {
		n.count("/estimate/payload_bytes", f.PayloadBytes, 0, maxTokens)
		e.PayloadBytes = *f.PayloadBytes
	}
	return e
}

func (n *normaliser) tokens(e *Estimate, name string, given *int64, derive func() (int64, bool)) int64 {
	n.count("/estimate/"+name, given, 0, maxTokens)
	n.from("estimate."+name, given != nil, SourceServer)
	if given != nil {
		return *given
	}
	if derived, ok := derive(); ok {
		return derived
	}
	n.sources["estimate."+name] = SourceDefault
	e.Defaulted = append(e.Defaulted, name)
	return DefaultTokens
}

// textBytes counts the bytes of every text in the payload, wherever it stands, in UTF-8; keys are not counted. It is the payload's text, from which input tokens are derived.
func textBytes(n *source.Node) int64 {
	if n == nil {
		return 0
	}
	var sum int64
	if n.Kind == source.Text {
		sum = int64(len(n.Text))
	}
	for i := range n.Children {
		sum += textBytes(&n.Children[i])
	}
	return sum
}

// outputKeys are where the payloads of common APIs say how many tokens they allow in an answer.
var outputKeys = [][]string{
	{"max_tokens"}, {"max_completion_tokens"}, {"max_output_tokens"}, {"max_new_tokens"}, {"maxOutputTokens"},
	{"generationConfig", "maxOutputTokens"}, {"generation_config", "max_output_tokens"}, {"inferenceConfig", "maxTokens"}, {"parameters", "max_new_tokens"}, {"options", "num_predict"},
}

// allowedTokens is the largest number of output tokens that the payload allows, if it says one.
func allowedTokens(payload *source.Node) (allowed int64, said bool) {
	for _, path := range outputKeys {
		n := payload
		for _, key := range path {
			n = n.Get(key)
		}
		if n == nil || n.Kind != source.Number {
			continue
		}
		d, err := ParseDecimal(n.Text)
		tokens, whole := d.Int()
		if err == nil && whole && tokens >= 0 && tokens <= maxTokens {
			allowed, said = max(allowed, tokens), true
		}
	}
	return allowed, said
}
