package server

// InForce reads what a decision of the tenant would be made under: the index of the last event in it, and the base that its document would state.
func (s *Server) InForce(name string) (last, base int64, err error) {
	t, _ := s.tenants.Load(name)
	now, base, err := t.(*tenant).read(s.ledger)
	if err != nil {
		return 0, 0, err
	}
	return now.last, base, nil
}
