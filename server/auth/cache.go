package auth

import (
	"crypto/sha256"
	"sync"
	"time"
)

// cache remembers tokens that were verified, by the digest of the whole token, so that the signature of a busy caller is not checked thousands of times a second.
type cache struct {
	mu      sync.RWMutex
	size    int
	entries map[[sha256.Size]byte]cached
	// forgotten counts what was forgotten: what was looked at before the last time is not remembered after it.
	forgotten int
}

type cached struct {
	identity Identity
	until    time.Time
}

func newCache(size int) *cache {
	return &cache{size: size, entries: make(map[[sha256.Size]byte]cached)}
}

// get returns what is remembered of a token, and the mark with which what is found out of it now can be put.
func (c *cache) get(token string, now time.Time) (known Identity, ok bool, mark int) {
	c.mu.RLock()
	entry, ok := c.entries[sha256.Sum256([]byte(token))]
	mark = c.forgotten
	c.mu.RUnlock()
	if !ok || !now.Before(entry.until) {
		return Identity{}, false, mark
	}
	return entry.identity, true, mark
}

func (c *cache) forget(hash [sha256.Size]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.entries, hash)
	c.forgotten++
}

// put makes room, where there is none, by forgetting what is past its time, and otherwise any one entry: which one matters little, since it is only verified again.
func (c *cache) put(token string, identity Identity, until, now time.Time, mark int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.forgotten != mark {
		return
	}
	if len(c.entries) >= c.size {
		for key, entry := range c.entries {
			if !now.Before(entry.until) {
				delete(c.entries, key)
			}
		}
		for key := range c.entries {
			if len(c.entries) < c.size {
				break
			}
			delete(c.entries, key)
		}
	}
	c.entries[sha256.Sum256([]byte(token))] = cached{identity, until}
}
