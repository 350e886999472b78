package impact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine"
	"github.com/smarthausgroup/caio/engine/impact/export"
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
		if s.Contract.ID != candidate.Service {
			return nil, fmt.Errorf("the contract %s is of the service %s, not %s", candidate.Contract, s.Contract.ID, candidate.Service)
		}
		c.Services = append(c.Services, s)
		if candidate.History != nil {
			c.History[candidate.Service] = *candidate.History
		}
	}
	return c, nil
}

// FromExport gives the decisions of a file, in their order.
func FromExport(r *export.Reader, rules *Rules) iter.Seq2[Pending, error] {
	services, inForce := NewServices(r.Contract), RuleSet{Settings: r.Head.Settings}
	for _, b := range r.Head.Bundles {
		inForce.Bundles = append(inForce.Bundles, RuleBundle{b.Name, b.Digest})
	}
	return func(yield func(Pending, error) bool) {
		for {
			stored, err := r.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			read := func(context.Context) (*Case, error) { return fromExport(r, stored, services, rules, inForce) }
			if err != nil {
				yield(Pending{}, err)
				return
			}
			if !yield(Pending{Name: fmt.Sprintf("line %d", stored.Line), Tenant: r.Head.Tenant, Read: read}, nil) {
				return
			}
		}
	}
}

func fromExport(r *export.Reader, stored *export.Decision, services *Services, rules *Rules, inForce RuleSet) (*Case, error) {
	d, disclosures, err := stored.Decode()
	if err != nil {
		return nil, err
	}
	c, err := FromDocument(d, disclosures, func(id, contract string) (*engine.Service, error) {
		level, err := r.Level(d.Attestations.Digest, id, contract)
		if err != nil {
			return nil, err
		}
		return services.Get(contract, level)
	})
	if err != nil {
		return nil, err
	}
	c.Rules, c.Link, c.OtherRules = rules, DocumentPath(d.DecisionID), !inForce.MadeUnder(d)
	return c, nil
}

// DocumentPath is where a server has the document of a decision (spec/interface.md, "HTTP").
func DocumentPath(id string) string { return "/v1/decisions/" + id + "/document" }
