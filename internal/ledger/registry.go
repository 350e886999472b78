package ledger

import (
	"maps"
	"slices"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/verify"
)

// Registry is the services of a tenant as documents name them.
type Registry struct {
	Snapshot     map[string]string          // contract in force, by service
	Attestations []verify.AttestationRecord // of those, where somebody looked; in order of service
}

// Registry is the part of s that [verify.RegistryMark] speaks of.
func (s *State) Registry() Registry {
	r := Registry{map[string]string{}, []verify.AttestationRecord{}}
	for _, id := range slices.Sorted(maps.Keys(s.Services)) {
		service := s.Services[id]
		if service.Contract == "" {
			continue // the first contract awaits its approval
		}
		r.Snapshot[id] = service.Contract
		if service.Attestation != contracts.SelfAttested {
			r.Attestations = append(r.Attestations, verify.AttestationRecord{Service: id, Contract: service.Contract, Level: service.Attestation})
		}
	}
	return r
}

// Mark is the digests of r.
func (r Registry) Mark() (verify.RegistryMark, error) {
	attestations, err := verify.AttestationsDigest(r.Attestations)
	return verify.RegistryMark{Snapshot: verify.Digest(verify.SnapshotText(r.Snapshot)), Attestations: attestations}, err
}

// Clone is a state of its own: events that are applied to one don't show in the other.
func (s *State) Clone() *State {
	c := *s
	c.Services, c.Bundles, c.Shadows, c.Pushed = maps.Clone(s.Services), maps.Clone(s.Bundles), maps.Clone(s.Shadows), maps.Clone(s.Pushed)
	return &c
}
