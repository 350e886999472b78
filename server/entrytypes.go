package server

import (
	"bytes"
	"context"
	"slices"

	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/verify"
)

// entriesAtOnce is how many entries a start reads at once.
const entriesAtOnce = 4096

// holdTypes holds the type under which each entry of the tenant's log is listed to the one that the leaf itself states: an entry listed as something else, a hold say, would not be read where it counts. And it holds the rows of attempts to their entries. It reads the whole log.
func (s *Server) holdTypes(ctx context.Context, t *tenant) error {
	outcomes := &outcomeRows{s: s, t: t}
	return s.eachEntry(ctx, t.name, func(e *store.Entry, typ string, err error) error {
		switch {
		case err != nil:
			return t.misplaced(e.Index, "no signed entry", err)
		case e.Type != typ:
			return t.misplaced(e.Index, "an entry listed as "+e.Type+", which was signed as "+typ, nil)
		case slices.Contains(outcomeTypes, typ):
			return outcomes.hold(ctx, e)
		}
		return nil
	})
}

// eachEntry reads a whole log, by the name under which the store keeps it: each entry with the type that its leaf states, or with why it states none. About 5 s for each million entries.
func (s *Server) eachEntry(ctx context.Context, name string, take func(e *store.Entry, typ string, err error) error) error {
	stated := map[string]string{} // by the header, of which there is one for each key and type
	for from := int64(0); ; from += entriesAtOnce {
		entries, err := s.ledger.Entries(ctx, name, from, entriesAtOnce)
		if err != nil {
			return err
		}
		for i := range entries {
			header, _, _ := bytes.Cut(entries[i].Leaf, []byte("."))
			typ, known := stated[string(header)]
			var unsigned error
			if !known {
				if typ, unsigned = verify.TypOf(entries[i].Leaf); unsigned == nil {
					stated[string(header)] = typ
				}
			}
			if err := take(&entries[i], typ, unsigned); err != nil {
				return err
			}
		}
		if len(entries) < entriesAtOnce {
			return nil
		}
	}
}
