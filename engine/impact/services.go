package impact

import (
	"sync"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine"
)

// Services compiles contracts once for many cases. It is safe for concurrent use.
type Services struct {
	read  func(digest string) ([]byte, error)
	mutex sync.Mutex
	known map[attested]func() (*engine.Service, error)
}

type attested struct {
	contract string
	level    contracts.Attestation
}

// maxServices bounds what is kept compiled: when there are more it begins anew.
const maxServices = 4096

// NewServices compiles what read gives, the canonical bytes of a contract by its digest.
func NewServices(read func(digest string) ([]byte, error)) *Services {
	return &Services{read: read, known: map[attested]func() (*engine.Service, error){}}
}

// Get is a contract's service with an attestation.
func (s *Services) Get(contract string, level contracts.Attestation) (*engine.Service, error) {
	return s.once(attested{contract, level})()
}

func (s *Services) once(key attested) func() (*engine.Service, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	known, ok := s.known[key]
	if !ok {
		if len(s.known) >= maxServices {
			clear(s.known)
		}
		known = sync.OnceValues(func() (*engine.Service, error) { return s.compile(key) })
		s.known[key] = known
	}
	return known
}

func (s *Services) compile(key attested) (*engine.Service, error) {
	if key.level != contracts.SelfAttested {
		service, err := s.Get(key.contract, contracts.SelfAttested)
		if err != nil {
			return nil, err
		}
		return service.Attested(key.level), nil
	}
	text, err := s.read(key.contract)
	if err != nil {
		return nil, err
	}
	contract, err := contracts.DecodeContract(text)
	if err != nil {
		return nil, err
	}
	service, diagnostics := engine.NewService(contract, contracts.SelfAttested)
	return service, diagnostics.Err()
}
