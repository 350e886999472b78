package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/smarthausgroup/caio/internal/store"
)

// ErrKeyMoved says that an entry is signed with a key that is no longer the one of its log, or not yet: it is to be signed anew. Nothing was appended.
var ErrKeyMoved = errors.New("ledger: the log is signed with another key by now")

// openKeys reads which key signs each log.
func (l *Ledger) openKeys(ctx context.Context, logs []store.Log) error {
	l.keys = make(map[string]string, len(logs))
	for _, log := range logs {
		keys, err := l.store.SigningKeys(ctx, log.Tenant)
		if err != nil {
			return fmt.Errorf("ledger: reading the signing keys of a log: %w", err)
		}
		for _, key := range keys {
			if key.Last == nil {
				l.keys[log.Tenant] = key.KID
			}
		}
	}
	return nil
}

// holdKeys refuses a call of which an entry is not signed with the key of its log, so that no entry stands outside of the interval of its key. A change of key holds from its own entry on.
func (l *Ledger) holdKeys(g *group, c *call) error {
	keys := maps.Clone(g.keys)
	for i := range c.entries {
		e := &c.entries[i]
		if e.Key != nil {
			if !e.Key.Retired {
				keys[e.Tenant] = e.Key.KID
			}
			continue
		}
		inUse, moved := keys[e.Tenant]
		if !moved {
			inUse = l.keys[e.Tenant]
		}
		if inUse != "" && e.KID != inUse && !e.Root {
			return fmt.Errorf("%w: %q, and not %q", ErrKeyMoved, inUse, e.KID)
		}
	}
	g.keys = keys
	return nil
}
