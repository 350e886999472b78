package server

import "context"

// InForce reads what a decision of the tenant would be made under: the index of the last event in it, and the base that its document would state.
func (s *Server) InForce(name string) (last, base int64, err error) {
	t, _ := s.tenants.Load(name)
	now, base, err := t.(*tenant).read(s.ledger)
	if err != nil {
		return 0, 0, err
	}
	return now.last, base, nil
}

// HoldGate keeps everything that is new from being tested.
func (s *Server) HoldGate() (leave func()) {
	s.gate.new <- struct{}{}
	return func() { <-s.gate.new }
}

// HoldTurns takes every place for evaluations that a tenant can get.
func (s *Server) HoldTurns(ctx context.Context, name string) (taken int) {
	t, _ := s.tenants.Load(name)
	for {
		if _, err := s.turn(ctx, t.(*tenant)); err != nil {
			return taken
		}
		taken++
	}
}
