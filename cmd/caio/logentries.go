package main

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/tlog"
)

var (
	// errEntry is that an entry doesn't hold.
	errEntry = errors.New("an entry does not hold")
	// errUntold is that the trust file holds too little to tell.
	errUntold = errors.New("it can't be told which keys signed the log")
)

// entryChecks holds entries to the trusted keys, some at once.
type entryChecks struct {
	origin string
	keys   *verify.LogKeys
	first  int64 // index of the first that waits
	wait   [][]byte
	found  map[string]int64
	// follows is what the first entry says of the log before.
	follows    *verify.Former
	unbelieved map[string]*unbelieved
}

func newEntryChecks(origin string, trust verify.Trust) *entryChecks {
	return &entryChecks{origin: origin, keys: trust.Follow(origin), found: map[string]int64{}, unbelieved: map[string]*unbelieved{}}
}

// unbelieved are the entries of one key that say nothing.
type unbelieved struct {
	KID     string `json:"kid"`
	From    int64  `json:"from"` // of which index on nothing of the key's is believed
	Entries int64  `json:"entries"`
	First   int64  `json:"first"` // index
	Last    int64  `json:"last"`
	Why     string `json:"why"`
}

// String says it for people.
func (u unbelieved) String() string {
	if u.Entries == 1 {
		return fmt.Sprintf("1 entry, %d, is not believed: %s", u.First, u.Why)
	}
	return fmt.Sprintf("%s entries, of %d..%d, are not believed: %s", grouped(u.Entries), u.First, u.Last, u.Why)
}

// listed are those of all keys, in the order of the log.
func (c *entryChecks) listed() (list []unbelieved) {
	for _, u := range c.unbelieved {
		list = append(list, *u)
	}
	slices.SortFunc(list, func(a, b unbelieved) int { return int(a.First - b.First) })
	return list
}

// take keeps an entry until as many wait as a tile has.
func (c *entryChecks) take(index int64, entry []byte) error {
	c.wait = append(c.wait, slices.Clone(entry))
	if len(c.wait) < tlog.TileWidth {
		return nil
	}
	return c.flush()
}

// finish checks what waits, and what only the whole log shows.
func (c *entryChecks) finish() error {
	if err := c.flush(); err != nil {
		return err
	}
	if err := c.keys.Untold(); err != nil {
		return untold(c.origin, err)
	}
	if err := c.keys.Fault(); err != nil {
		return fmt.Errorf("%w: the keys of %s: %w", errEntry, c.origin, err)
	}
	return nil
}

func untold(origin string, err error) error {
	return fmt.Errorf("%w %s: %w. Ask the keeper of the root for its public half, and export the trust file again with that (caio trust export --root)", errUntold, origin, err)
}

func (c *entryChecks) flush() error {
	for i, entry := range c.wait {
		if typ, err := verify.TypOf(entry); err == nil {
			c.keys.Take(c.first+int64(i), typ, entry)
		}
	}
	trust := c.keys.Trust()
	types, faults := make([]string, len(c.wait)), make([]error, len(c.wait))
	var workers sync.WaitGroup
	count := runtime.GOMAXPROCS(0)
	for w := range count {
		workers.Go(func() {
			for i := w; i < len(c.wait); i += count {
				types[i], faults[i] = trust.CheckEntry(c.origin, c.first+int64(i), c.wait[i])
			}
		})
	}
	workers.Wait()
	if c.first == 0 && len(c.wait) > 0 && faults[0] == nil {
		c.follows, faults[0] = trust.Former(c.origin, 0, c.wait[0])
	}
	for i, err := range faults {
		if err := c.tell(c.first+int64(i), types[i], err); err != nil {
			return err
		}
	}
	c.first += int64(len(c.wait))
	c.wait = c.wait[:0]
	return nil
}

// tell counts an entry, or says why it does not hold.
func (c *entryChecks) tell(index int64, typ string, err error) error {
	var u *verify.Unbelieved
	switch {
	case errors.As(err, &u):
		of := c.unbelieved[u.KID]
		if of == nil {
			of = &unbelieved{KID: u.KID, From: u.From, First: index, Why: u.Why}
			c.unbelieved[u.KID] = of
		}
		of.Last, of.Entries = index, of.Entries+1
		return nil
	case errors.Is(err, verify.ErrUntrusted) && c.keys.Untold() != nil:
		return untold(c.origin, c.keys.Untold())
	case err != nil:
		return fmt.Errorf("%w: index %d of %s: %w", errEntry, index, c.origin, err)
	}
	c.found[typ]++
	return nil
}
