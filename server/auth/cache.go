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
}

type cached struct {
	identity Identity
	until    time.Time
}

func newCache(size int) *cache {
	return &cache{size: size, entries: make(map[[sha256.Size]byte]cached)}
}

func (c *cache) get(token string, now time.Time) (Identity, bool) {
	c.mu.RLock()
	entry, ok := c.entries[sha256.Sum256([]byte(token))]
	c.mu.RUnlock()
	if !ok || !now.Before(entry.until) {
		return Identity{}, false
	}
	return entry.identity, true
}

// put makes room, where there is none, by forgetting what is past its time, and otherwise any one entry: which one matters little, since it is only verified again.
func (c *cache) put(token string, identity Identity, until, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
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
