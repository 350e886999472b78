package server

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/smarthausgroup/caio/verify"
)

// clockBack is by how much a clock may be behind what the logs say before the operator is told. An auditor who has the whole log allows for a minute.
const clockBack = 30 * time.Second

// lastTimes is how many entries of a log are looked at for the time of the newest.
const lastTimes = 32

// clockwork is the latest time that an entry may state, and that of which the operator was told; in ms since 1970.
type clockwork struct{ latest, told atomic.Int64 }

// now is the time of a decision: UTC, in whole milliseconds, as documents state it. Where it goes backwards it is believed, and the operator is told, once for each time: the log's times then do so too, and the decisions around that place can't be told from such as were dated back.
func (s *Server) now() time.Time {
	now := s.config.Clock().UTC().Truncate(time.Millisecond)
	latest := s.clockwork.reach(now.UnixMilli())
	if behind := time.Duration(latest-now.UnixMilli()) * time.Millisecond; behind > clockBack && s.clockwork.told.Swap(latest) != latest {
		s.config.Logger.Error("the clock is behind what the logs say: it was set back, or was ahead before. Whoever holds a decision of this time to the whole log takes it for dated back: set the clock right", "clock", now, "behind", behind.String())
	}
	return now
}

// reach moves the latest time on, and returns it.
func (c *clockwork) reach(ms int64) int64 {
	for {
		latest := c.latest.Load()
		if ms <= latest || c.latest.CompareAndSwap(latest, ms) {
			return max(ms, latest)
		}
	}
}

// lastTime takes in what time the newest entries of a log state; the root's are of another clock.
func (s *Server) lastTime(ctx context.Context, tenant string) error {
	size := s.ledger.Size(tenant)
	entries, err := s.ledger.Entries(ctx, tenant, max(0, size-lastTimes), lastTimes)
	if err != nil {
		return err
	}
	for i := range entries {
		if iat, ok := verify.MadeAt(entries[i].Leaf); ok && !slices.Contains(keyTypes, entries[i].Type) {
			s.clockwork.reach(iat * 1000)
		}
	}
	return nil
}
