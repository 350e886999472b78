package engine

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/smarthausgroup/caio/cel"
	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine/field"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
)

// Service is a registered contract with its attestation, compiled once. It is immutable.
type Service struct {
	Contract    *contracts.Contract
	Digest      string
	Attestation contracts.Attestation

	program  *cel.Program
	policies *rego.Service
	text     *contracts.Field // the encoding of what the contract says of itself
}

// NewService compiles a contract. The diagnostics are those of its author's predicates.
func NewService(c *contracts.Contract, a contracts.Attestation) (*Service, contracts.Diagnostics) {
	program, diagnostics := cel.Compile(c)
	if diagnostics.HasErrors() {
		return nil, diagnostics
	}
	return newService(c, a, program), diagnostics
}

// ReadService reads and compiles a contract, with every fault of both.
func ReadService(file string, text []byte) (*Service, contracts.Diagnostics) {
	c, program, diagnostics := cel.Read(file, text)
	if diagnostics.HasErrors() {
		return nil, diagnostics
	}
	return newService(c, contracts.SelfAttested, program), diagnostics
}

func newService(c *contracts.Contract, a contracts.Attestation, program *cel.Program) *Service {
	return &Service{c, c.Digest(), a, program, rego.NewService(c, a), field.EncodeContract(c)}
}

// Attested is the service with another attestation.
func (s *Service) Attested(a contracts.Attestation) *Service {
	attested := *s
	attested.Attestation, attested.policies = a, rego.NewService(s.Contract, a)
	return &attested
}

// Predicates are those that the contract compiles into.
func (s *Service) Predicates() []cel.Predicate { return s.program.Predicates() }

// Conjunct is the text of a predicate's conjunct, which a violation names by its index.
func (s *Service) Conjunct(id string, index int) string { return s.program.Conjunct(id, index) }

// Snapshot is the registry at one moment. It is immutable.
type Snapshot struct {
	services []*Service // sorted by id
	digest   func() string
}

// NewSnapshot sorts services into a snapshot. An id that occurs twice is an error.
func NewSnapshot(services ...*Service) (*Snapshot, error) {
	sorted := slices.Clone(services)
	slices.SortFunc(sorted, func(a, b *Service) int { return strings.Compare(a.Contract.ID, b.Contract.ID) })
	for i := range sorted {
		if i > 0 && sorted[i].Contract.ID == sorted[i-1].Contract.ID {
			return nil, fmt.Errorf("engine: service id %s occurs twice", sorted[i].Contract.ID)
		}
	}
	return newSnapshot(sorted), nil
}

func newSnapshot(sorted []*Service) *Snapshot {
	s := &Snapshot{services: sorted}
	s.digest = sync.OnceValue(func() string {
		digests := make(map[string]string, len(s.services))
		for _, service := range s.services {
			digests[service.Contract.ID] = service.Digest
		}
		return contracts.SnapshotDigest(digests)
	})
	return s
}

// Services lists them in order of id; the caller must not change the list.
func (s *Snapshot) Services() []*Service { return s.services }

// Len is the number of services.
func (s *Snapshot) Len() int { return len(s.services) }

// Digest names the snapshot (spec/proof.md, "The document"); it is computed when first asked for.
func (s *Snapshot) Digest() string { return s.digest() }

// Service returns the service with an id.
func (s *Snapshot) Service(id string) (*Service, bool) {
	i, found := s.search(id)
	if !found {
		return nil, false
	}
	return s.services[i], true
}

func (s *Snapshot) search(id string) (int, bool) {
	return slices.BinarySearchFunc(s.services, id, func(service *Service, id string) int { return strings.Compare(service.Contract.ID, id) })
}

// Attestations is the list that documents commit to: of the services, those whose contract somebody looked at, in order of id (spec/proof.md, "The document").
func (s *Snapshot) Attestations() []verify.AttestationRecord {
	records := []verify.AttestationRecord{}
	for _, service := range s.services {
		if service.Attestation != contracts.SelfAttested {
			records = append(records, verify.AttestationRecord{Service: service.Contract.ID, Contract: service.Digest, Level: service.Attestation})
		}
	}
	return records
}

// With is the snapshot with service added, or in place of the one with its id.
func (s *Snapshot) With(service *Service) *Snapshot {
	i, found := s.search(service.Contract.ID)
	if found {
		services := slices.Clone(s.services)
		services[i] = service
		return newSnapshot(services)
	}
	return newSnapshot(slices.Concat(s.services[:i], []*Service{service}, s.services[i:]))
}

// Without is the snapshot without a service, itself if there is none with that id.
func (s *Snapshot) Without(id string) *Snapshot {
	i, found := s.search(id)
	if !found {
		return s
	}
	return newSnapshot(slices.Concat(s.services[:i], s.services[i+1:]))
}

// Registry holds the current snapshot. Changing it makes a new one, atomically; decisions in flight go on with theirs.
type Registry struct {
	current atomic.Pointer[Snapshot]
	change  sync.Mutex
}

// NewRegistry starts with s.
func NewRegistry(s *Snapshot) *Registry {
	r := &Registry{}
	r.current.Store(s)
	return r
}

// Snapshot is the current one.
func (r *Registry) Snapshot() *Snapshot { return r.current.Load() }

// Put registers a service, or replaces the one with its id.
func (r *Registry) Put(service *Service) *Snapshot {
	return r.update(func(s *Snapshot) *Snapshot { return s.With(service) })
}

// Remove takes a service out.
func (r *Registry) Remove(id string) *Snapshot {
	return r.update(func(s *Snapshot) *Snapshot { return s.Without(id) })
}

func (r *Registry) update(change func(*Snapshot) *Snapshot) *Snapshot {
	r.change.Lock()
	defer r.change.Unlock()
	next := change(r.current.Load())
	r.current.Store(next)
	return next
}
