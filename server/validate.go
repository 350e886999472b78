package server

import (
	"net/http"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine"
)

// Validation is what a check of a contract found. A contract without errors would be registered as it is.
type Validation struct {
	Valid    bool   `json:"valid"`
	Service  string `json:"service,omitempty"`
	Contract string `json:"contract,omitempty"` // digest
	// Diagnostics are all faults and warnings, each with its place.
	Diagnostics contracts.Diagnostics `json:"diagnostics"`
	Predicates  []PredicateText       `json:"predicates,omitempty"`
}

// validateContract checks a contract without registering it. Faults are what was asked for, not a problem.
func (s *Server) validateContract(c *call) error {
	text, err := c.body(contracts.MaxContractBytes)
	if err != nil {
		return err
	}
	compiled, found := engine.ReadService(c.fileName("contract"), text)
	v := Validation{Diagnostics: append(contracts.Diagnostics{}, found...)}
	if !found.HasErrors() {
		v.Valid, v.Service, v.Contract = true, compiled.Contract.ID, compiled.Digest
		v.Predicates = predicatesOf(compiled)
	}
	return c.answer(http.StatusOK, v)
}

func predicatesOf(s *engine.Service) []PredicateText {
	list := []PredicateText{}
	for _, p := range s.Predicates() {
		list = append(list, PredicateText{ID: p.ID, Stage: p.Stage, Expr: p.Expr, Message: p.Message})
	}
	return list
}

func (s *Server) getContractSchema(c *call) error {
	return c.Blob(http.StatusOK, "application/schema+json", contracts.ContractSchema())
}
