package server

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/server/auth"
)

// AttestationRequest is an approver's word on a contract. It says which contract was looked at, so that one that was changed meanwhile is not attested unseen.
type AttestationRequest struct {
	Contract string                `json:"contract" jsonschema:"required,pattern=^[0-9a-f]{64}$"` // digest
	Level    contracts.Attestation `json:"level" jsonschema:"required,enum=self,enum=audited,enum=verified"`
	Reason   string                `json:"reason" jsonschema:"required,minLength=1,maxLength=1000"`
}

// GrantsRequest lists all tenants that see the service besides its owner.
type GrantsRequest struct {
	Tenants []string `json:"tenants" jsonschema:"required"`
	Reason  string   `json:"reason" jsonschema:"required,minLength=1,maxLength=1000"`
}

// GrantsAnswer is the list in force.
type GrantsAnswer struct {
	Service string   `json:"service"`
	Tenants []string `json:"tenants"`
}

const maxReason = 1000

// owner is the tenant whose service an approver speaks about: the one that the parameter names, the caller's own without. What a tenant's people can't say of its services, the installation's say (spec/contract.md, "What the owner can't say of itself"): approvers of other tenants are refused.
// A tenant that never was is not made by asking: it has no such service.
func (s *Server) owner(c *call) (*tenant, error) {
	if c.who.Principal.Tenant != s.config.Installation {
		return nil, newProblem(http.StatusForbidden, "forbidden", "Only approvers of the installation's own tenant, "+s.config.Installation+", attest and grant.")
	}
	return s.named(c)
}

// named is the tenant that the parameter names, the caller's own without.
func (s *Server) named(c *call) (*tenant, error) {
	name, err := s.namedTenant(c)
	if err != nil {
		return nil, err
	}
	return s.opened(name)
}

// nameable is another tenant, where the caller may name it.
func (s *Server) nameable(c *call, name string) (*tenant, error) {
	if err := s.mayName(c, name); err != nil {
		return nil, err
	}
	return s.opened(name)
}

func (s *Server) opened(name string) (*tenant, error) {
	if t, ok := s.tenants.Load(name); ok {
		return t.(*tenant), nil
	}
	return nil, notFound()
}

// namedTenant is its name. Approvers and operators of the installation's tenant name any other.
func (s *Server) namedTenant(c *call) (string, error) {
	name := c.query.Get("tenant")
	if name == "" {
		return c.tenant.name, nil
	}
	return name, s.mayName(c, name)
}

func (s *Server) mayName(c *call, name string) error {
	if name != c.tenant.name && (c.tenant.name != s.config.Installation || !c.who.Has(auth.Approver, auth.Operator)) {
		return newProblem(http.StatusForbidden, "forbidden", "Only approvers and operators of the installation's own tenant, "+s.config.Installation+", name another: leave the parameter out.")
	}
	return nil
}

func (s *Server) putAttestation(c *call) error {
	owner, err := s.owner(c)
	if err != nil {
		return err
	}
	var request AttestationRequest
	found, err := c.form(s.config.Limits.RequestBytes, &request)
	if err != nil {
		return err
	}
	found.oneOf("/level", string(request.Level), string(contracts.SelfAttested), string(contracts.Audited), string(contracts.Verified))
	found.reason(request.Reason)
	if !digestForm.MatchString(request.Contract) {
		found.add("/contract", "invalid-value", "expected the digest of the contract that was looked at: 64 hexadecimal digits")
	}
	if err := found.problem(); err != nil {
		return err
	}
	a := act{actor: c.who.Principal.Subject, reason: request.Reason}
	summary, err := s.attest(c.ctx(), owner, a, c.Param("id"), request.Contract, request.Level)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, summary)
}

func (s *Server) putGrants(c *call) error {
	owner, err := s.owner(c)
	if err != nil {
		return err
	}
	var request GrantsRequest
	found, err := c.form(s.config.Limits.RequestBytes, &request)
	if err != nil {
		return err
	}
	found.reason(request.Reason)
	for i, name := range request.Tenants {
		if !tenantForm.MatchString(name) || name == owner.name {
			found.add(fmt.Sprintf("/tenants/%d", i), "invalid-value", "expected a tenant other than the owner, of the form [a-z0-9][a-z0-9._-]{0,63}")
		}
	}
	if err := found.problem(); err != nil {
		return err
	}
	to := slices.Clone(request.Tenants)
	slices.Sort(to)
	to = slices.Compact(to)
	a := act{actor: c.who.Principal.Subject, reason: request.Reason}
	if err := s.grant(c.ctx(), owner, a, c.Param("id"), to); err != nil {
		return err
	}
	return c.answer(http.StatusOK, GrantsAnswer{Service: c.Param("id"), Tenants: to})
}
