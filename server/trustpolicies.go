package server

import "github.com/smarthausgroup/caio/verify"

// trustPolicies adds to a trust file who signs and who approves policies. Where bundles may be unsigned their signatures prove nothing, and a verifier that had the keys would refuse those without.
func (s *Server) trustPolicies(trust *verify.Trust) error {
	config := s.configured()
	trust.Approvers = config.ApproverKeys
	if s.config.AllowUnsigned {
		return nil
	}
	for id, key := range config.PolicyKeys {
		pinned, err := verify.NewPolicyKey(id, key.Algorithm, key.PEM)
		if err != nil {
			return err
		}
		trust.PolicyKeys = append(trust.PolicyKeys, pinned)
	}
	return nil
}
