package server

import (
	"context"
	"fmt"
	"net/http"

	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/verify"
)

func approvalProblem(format string, args ...any) error {
	return newProblem(http.StatusUnprocessableEntity, "approval-invalid", fmt.Sprintf(format, args...)+" Nothing was done.")
}

// approved holds a signed approval, if one is given, to the activation that it is given for. A nil previous is any: where nothing is changed, the approval was given for what stood there before.
func (s *Server) approved(t *tenant, compact, name, digest string, previous *string, reason string) error {
	if compact == "" {
		return nil
	}
	var said verify.Approval
	if _, err := verify.Verify(verify.TypApproval, []byte(compact), s.configured().ApproverKeys, &said); err != nil {
		return approvalProblem("The approval does not verify under a key of approver_keys: %v.", err)
	}
	if previous == nil {
		previous = &said.Previous
	}
	for _, claim := range []struct{ name, said, is string }{
		{"v", fmt.Sprint(said.V), "1"}, {"tenant", said.Tenant, t.name}, {"log", said.Log, t.origin}, {"bundle", said.Bundle, name},
		{"digest", said.Digest, digest}, {"previous", said.Previous, *previous}, {"reason", said.Reason, reason},
	} {
		if claim.said != claim.is {
			return approvalProblem("The approval was signed for something else: its %s is %q, and here it is %q.", claim.name, clip(claim.said), clip(claim.is))
		}
	}
	return nil
}

// unused refuses an approval that stands in the log under an earlier activation: what was rolled back needs another word of an approver. It compares what was signed, since a signature has more than one form. The caller holds s.changing.
func (s *Server) unused(ctx context.Context, t *tenant, a act, v activation) error {
	if v.approval == "" {
		return nil
	}
	keys, err := s.publicKeys(ctx)
	if err != nil {
		return err
	}
	entries, err := s.ledger.EntriesOf(ctx, t.name, verify.TypActivation)
	if err != nil {
		return err
	}
	for i := range entries {
		var r verify.ActivationRecord
		if _, err := verify.Verify(verify.TypActivation, entries[i].Leaf, keys, &r); err != nil {
			return t.misplaced(entries[i].Index, "the entry does not hold", err)
		}
		if r.Approval != "" && r.Kind == string(store.Activated) && r.Bundle == v.name && r.Digest == v.digest && r.Previous == v.previous && r.Reason == a.reason {
			return approvalProblem("The approval was used before, at index %d of the log: have another one signed, for a reason of its own.", entries[i].Index)
		}
	}
	return nil
}
