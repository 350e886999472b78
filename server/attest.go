package server

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/source"
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
	name := c.query.Get("tenant")
	if name == "" {
		return c.tenant, nil
	}
	if t, ok := s.tenants.Load(name); ok {
		return t.(*tenant), nil
	}
	return nil, notFound()
}

func (s *Server) putAttestation(c *call) error {
	owner, err := s.owner(c)
	if err != nil {
		return err
	}
	var request AttestationRequest
	text, err := c.body(s.config.Limits.RequestBytes)
	if err != nil {
		return err
	}
	found, err := decode(text, s.config.Limits.RequestBytes, &request)
	if err != nil {
		return err
	}
	if !slices.Contains([]contracts.Attestation{contracts.SelfAttested, contracts.Audited, contracts.Verified}, request.Level) {
		found = append(found, Fault{Pointer: "/level", Code: "invalid-value", Detail: "level is self, audited or verified"})
	}
	found = append(found, checkReason(request.Reason)...)
	if !digestForm.MatchString(request.Contract) {
		found = append(found, Fault{Pointer: "/contract", Code: "invalid-value", Detail: "contract is the digest of the contract that was looked at: 64 hexadecimal digits"})
	}
	if len(found) > 0 {
		return invalid(found)
	}
	a := act{actor: c.who.Principal.Subject, reason: request.Reason, at: s.now()}
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
	text, err := c.body(s.config.Limits.RequestBytes)
	if err != nil {
		return err
	}
	found, err := decode(text, s.config.Limits.RequestBytes, &request)
	if err != nil {
		return err
	}
	found = append(found, checkReason(request.Reason)...)
	for i, name := range request.Tenants {
		if !tenantForm.MatchString(name) || name == owner.name {
			found = append(found, Fault{Pointer: fmt.Sprintf("/tenants/%d", i), Code: "invalid-value", Detail: "a tenant other than the owner, of the form [a-z0-9][a-z0-9._-]{0,63}"})
		}
	}
	if len(found) > 0 {
		return invalid(found)
	}
	to := slices.Clone(request.Tenants)
	slices.Sort(to)
	to = slices.Compact(to)
	a := act{actor: c.who.Principal.Subject, reason: request.Reason, at: s.now()}
	if err := s.grant(c.ctx(), owner, a, c.Param("id"), to); err != nil {
		return err
	}
	return c.answer(http.StatusOK, GrantsAnswer{Service: c.Param("id"), Tenants: to})
}

func checkReason(reason string) []Fault {
	if strings.TrimSpace(reason) == "" || len(reason) > maxReason {
		return []Fault{{Pointer: "/reason", Code: "invalid-value", Detail: fmt.Sprintf("reason says why, in 1 to %d bytes: it goes into the log", maxReason)}}
	}
	return nil
}

func invalid(found []Fault) *Problem {
	p := newProblem(http.StatusBadRequest, "invalid-request", "Each fault is listed with its place; nothing was done.")
	p.Errors = found
	return p
}

// decode reads a JSON body of a fixed form, strictly. Faults of the form are found together with those that the caller finds in what was read; a text that is no JSON at all is an error.
func decode(text []byte, limit int64, into any) ([]Fault, error) {
	root, diagnostics := source.ParseJSON("", text, int(limit))
	if diagnostics.HasErrors() {
		return nil, faults("invalid-request", diagnostics)
	}
	source.Decode(root, into, &diagnostics)
	if diagnostics.HasErrors() {
		return faults("invalid-request", diagnostics).Errors, nil
	}
	return nil, nil
}
