package verify

import (
	"fmt"
	"maps"
	"slices"

	"github.com/smarthausgroup/caio/contracts"
)

// Registry folds the entries about services, from a log's first on, into what they put in force: a reader of the log needs nobody's word for it (spec/contract.md, "What the owner can't say of itself"). The zero Registry is that of an empty log. It is not safe for concurrent use.
type Registry struct{ services map[string]registered }

// registered is a service as the entries left it. It is in the snapshot if it has a contract in force.
type registered struct {
	contract, pending string // digests; "" for none
	owned             bool   // by the tenant; otherwise it was granted
	attested          map[string]contracts.Attestation
}

// Contract applies an entry of typ [TypContract]. An error says that there is no such entry.
func (r *Registry) Contract(e ContractRecord) error {
	s, known := r.services[e.Service]
	switch {
	case e.Kind != KindRegistered && e.Kind != KindApproved && e.Kind != KindRemoved:
		return fmt.Errorf("a contract is registered, approved or removed, and not %q", e.Kind)
	case known && !s.owned: // an id that was granted can't be owned until the grant is revoked
	case e.Kind == KindRemoved:
		delete(r.services, e.Service)
	case e.Kind == KindRegistered && e.Pending:
		s.owned, s.pending = true, e.Contract
		r.put(e.Service, s)
	case e.Kind == KindRegistered, known && s.pending == e.Contract:
		s.owned, s.contract, s.pending = true, e.Contract, ""
		r.put(e.Service, s)
	}
	return nil
}

// Grant applies an entry of typ [TypGrant]. An error says that there is no such entry.
func (r *Registry) Grant(e GrantRecord) error {
	s, known := r.services[e.Service]
	switch {
	case e.Kind != KindGranted && e.Kind != KindRevoked:
		return fmt.Errorf("a service is granted or revoked, and not %q", e.Kind)
	case known && s.owned: // nor the other way round
	case e.Kind == KindRevoked:
		delete(r.services, e.Service)
	default:
		s.contract, s.pending = e.Contract, ""
		r.put(e.Service, s)
	}
	return nil
}

// Attestation applies an entry of typ [TypAttestation]: a word on the bytes of the contract in force, or of the one that awaits its approval.
func (r *Registry) Attestation(e AttestationEntry) {
	s, known := r.services[e.Service]
	if !known || e.Contract != s.contract && e.Contract != s.pending {
		return
	}
	if s.attested == nil {
		s.attested = map[string]contracts.Attestation{}
	}
	s.attested[e.Contract] = e.Level
	r.put(e.Service, s)
}

func (r *Registry) put(service string, s registered) {
	if r.services == nil {
		r.services = map[string]registered{}
	}
	r.services[service] = s
}

// Mark is what an entry at this place has to state.
func (r *Registry) Mark() (RegistryMark, error) {
	snapshot, list := map[string]string{}, []AttestationRecord{}
	for _, service := range slices.Sorted(maps.Keys(r.services)) {
		s := r.services[service]
		if s.contract == "" {
			continue // the first contract awaits its approval
		}
		snapshot[service] = s.contract
		if level := s.attested[s.contract]; level != "" && level != contracts.SelfAttested {
			list = append(list, AttestationRecord{Service: service, Contract: s.contract, Level: level})
		}
	}
	attestations, err := AttestationsDigest(list)
	return RegistryMark{Snapshot: contracts.SnapshotDigest(snapshot), Attestations: attestations}, err
}
