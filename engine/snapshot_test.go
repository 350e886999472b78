package engine_test

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine"
	"pgregory.net/rapid"
)

// TestSnapshotAgainstMap takes a snapshot through random changes beside a map.
func TestSnapshotAgainstMap(t *testing.T) {
	pool := make([]*engine.Service, 12)
	for i := range pool {
		pool[i] = compiled(t, plainContract(t, fmt.Sprintf("s%d", i%6), i, "chat"), contracts.SelfAttested)
	}
	rapid.Check(t, func(t *rapid.T) {
		registry := engine.NewRegistry(must(engine.NewSnapshot()))
		model := map[string]*engine.Service{}
		for range rapid.IntRange(1, 20).Draw(t, "changes") {
			before := registry.Snapshot()
			ids, digest := idsOf(before), before.Digest()
			s := rapid.SampledFrom(pool).Draw(t, "service")
			if rapid.Bool().Draw(t, "put") {
				registry.Put(s)
				model[s.Contract.ID] = s
			} else {
				registry.Remove(s.Contract.ID)
				delete(model, s.Contract.ID)
			}
			if !slices.Equal(idsOf(before), ids) || before.Digest() != digest {
				t.Fatal("a snapshot changed")
			}
			now := registry.Snapshot()
			if got, want := idsOf(now), slices.Sorted(maps.Keys(model)); !slices.Equal(got, want) {
				t.Fatalf("got %v, want %v", got, want)
			}
			for id, want := range model {
				if got, ok := now.Service(id); !ok || got != want {
					t.Fatalf("service %s is not the one that was put", id)
				}
			}
			rebuilt := must(engine.NewSnapshot(slices.Collect(maps.Values(model))...))
			if rebuilt.Digest() != now.Digest() {
				t.Fatal("the digest depends on the way")
			}
		}
	})
}

func TestSnapshotRefusesRepeatedID(t *testing.T) {
	s := compiled(t, plainContract(t, "a", 1, "chat"), contracts.SelfAttested)
	if _, err := engine.NewSnapshot(s, s); err == nil {
		t.Fatal("a repeated id was accepted")
	}
}

func TestRegistryConcurrently(t *testing.T) {
	registry := engine.NewRegistry(must(engine.NewSnapshot()))
	var wg sync.WaitGroup
	for i := range 8 {
		s := compiled(t, plainContract(t, fmt.Sprintf("s%d", i), i, "chat"), contracts.SelfAttested)
		wg.Go(func() {
			for range 100 {
				registry.Put(s)
				registry.Snapshot().Digest()
			}
		})
	}
	wg.Wait()
	if got := registry.Snapshot().Len(); got != 8 {
		t.Fatalf("%d services, want 8", got)
	}
}

func idsOf(s *engine.Snapshot) []string {
	ids := []string{}
	for _, service := range s.Services() {
		ids = append(ids, service.Contract.ID)
	}
	return ids
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
