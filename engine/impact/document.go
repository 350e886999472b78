package impact

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine"
	"github.com/smarthausgroup/caio/verify"
)

// FromDocument makes a case of a stored decision, without its rules. Service gives a candidate's contract, by its id and digest, with the attestation that it had. Disclosures may be missing: the case says if that matters.
func FromDocument(d *verify.Document, disclosures []verify.Disclosure, service func(id, contract string) (*engine.Service, error)) (*Case, error) {
	c := &Case{ID: d.DecisionID, Tenant: d.Tenant, History: map[string]contracts.History{}, Recorded: d.Decision}
	var err error
	if c.Time, err = time.Parse(verify.TimeFormat, d.Time); err != nil {
		return nil, err
	}
	c.Request, c.Principal, err = d.Reveal(disclosures)
	var missing verify.Undisclosed
	switch {
	case errors.As(err, &missing):
		c.Hidden = slices.ContainsFunc(missing, d.Scored)
	case err != nil:
		return nil, err
	}
	for i := range d.Candidates {
		candidate := &d.Candidates[i]
		s, err := service(candidate.Service, candidate.Contract)
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", candidate.Service, err)
		}
		c.Services = append(c.Services, s)
		if candidate.History != nil {
			c.History[candidate.Service] = *candidate.History
		}
	}
	return c, nil
}
