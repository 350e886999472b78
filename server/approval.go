package server

import (
	"fmt"
	"net/http"

	"github.com/smarthausgroup/caio/verify"
)

// approved holds a signed approval, if one is given, to the activation that it is given for.
func (s *Server) approved(t *tenant, compact, name, digest, previous, reason string) error {
	if compact == "" {
		return nil
	}
	refuse := func(format string, args ...any) error {
		return newProblem(http.StatusUnprocessableEntity, "approval-invalid", fmt.Sprintf(format, args...)+" Nothing was done.")
	}
	var said verify.Approval
	if _, err := verify.Verify(verify.TypApproval, []byte(compact), s.configured().ApproverKeys, &said); err != nil {
		return refuse("The approval does not verify under a key of approver_keys: %v.", err)
	}
	for _, claim := range []struct{ name, said, is string }{
		{"v", fmt.Sprint(said.V), "1"}, {"tenant", said.Tenant, t.name}, {"log", said.Log, t.origin}, {"bundle", said.Bundle, name},
		{"digest", said.Digest, digest}, {"previous", said.Previous, previous}, {"reason", said.Reason, reason},
	} {
		if claim.said != claim.is {
			return refuse("The approval was signed for something else: its %s is %q, and here it is %q.", claim.name, clip(claim.said), clip(claim.is))
		}
	}
	return nil
}
