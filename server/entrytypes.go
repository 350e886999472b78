package server

import (
	"bytes"
	"context"

	"github.com/smarthausgroup/caio/verify"
)

// entriesAtOnce is how many entries a start reads at once.
const entriesAtOnce = 4096

// holdTypes holds the type under which each entry of the tenant's log is listed to the one that the leaf itself states: an entry listed as something else, a hold say, would not be read where it counts.
// It reads the whole log: about 5 s for each million entries.
func (s *Server) holdTypes(ctx context.Context, t *tenant) error {
	stated := map[string]string{} // by the header, of which there is one for each key and type
	for from := int64(0); ; {
		entries, err := s.ledger.Entries(ctx, t.name, from, entriesAtOnce)
		if err != nil {
			return err
		}
		for i := range entries {
			e := &entries[i]
			header, _, _ := bytes.Cut(e.Leaf, []byte("."))
			typ, known := stated[string(header)]
			if !known {
				if typ, err = verify.TypOf(e.Leaf); err != nil {
					return t.misplaced(e.Index, "no signed entry", err)
				}
				stated[string(header)] = typ
			}
			if e.Type != typ {
				return t.misplaced(e.Index, "an entry listed as "+e.Type+", which was signed as "+typ, nil)
			}
		}
		if len(entries) < entriesAtOnce {
			return nil
		}
		from += entriesAtOnce
	}
}
