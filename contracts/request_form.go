package contracts

import "github.com/smarthausgroup/caio/contracts/source"

// requestForm is a request as a client writes it (spec/contract.md, "The request, normalised"): money in USD, defaults left out, and keys that only a server or an operator may set.
type requestForm struct {
	Intent struct {
		Type string `json:"type" jsonschema:"required"`
		Text string `json:"text"`
	} `json:"intent" jsonschema:"required"`
	Requirements Requirements `json:"requirements"`
	Estimate     estimateForm `json:"estimate"`
	Limits       struct {
		MaxCostUSD   *Decimal `json:"max_cost_usd"`
		MaxLatencyMS *int64   `json:"max_latency_ms"`
	} `json:"limits"`
	Data    dataForm `json:"data"`
	Context struct {
		Text           string `json:"text"`
		Shareable      *bool  `json:"shareable"`
		ConversationID string `json:"conversation_id"`
	} `json:"context"`
	Traits struct {
		Conservative  *Decimal `json:"conservative"`
		Confidential  *Decimal `json:"confidential"`
		RiskTolerance *Decimal `json:"risk_tolerance"`
	} `json:"traits"`
	Profile    *string  `json:"profile"`
	Purpose    *string  `json:"purpose"`
	Seed       *int64   `json:"seed"`
	Exclude    []string `json:"exclude"`
	Supersedes *string  `json:"supersedes"`
	Control    struct {
		Previous *[]int64 `json:"previous"`
	} `json:"control"`
	Fields struct {
		Intent  *Field `json:"intent"`
		Context *Field `json:"context"`
		Memory  *Field `json:"memory"`
		Traits  *Field `json:"traits"`
	} `json:"fields"`
	Payload *source.Node `json:"payload"`
	Execute bool         `json:"execute"`
}

type estimateForm struct {
	InputTokens  *int64    `json:"input_tokens"`
	OutputTokens *int64    `json:"output_tokens"`
	Units        *int64    `json:"units"`
	PayloadBytes *int64    `json:"payload_bytes"` // operators only
	Defaulted    *[]string `json:"defaulted"`     // operators only
}

type dataForm struct {
	Labels   []string   `json:"labels"`
	Subjects []string   `json:"subjects"`
	Regions  []string   `json:"regions"`
	Findings *[]Finding `json:"findings"` // operators only
}
