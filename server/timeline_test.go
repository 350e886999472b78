package server

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/verify"
	"pgregory.net/rapid"
)

// TestTimeline holds what a timeline says of every index against the fold of the events below it.
func TestTimeline(t *testing.T) {
	kinds := []store.EventKind{store.Registered, store.Approved, store.Removed, store.Attested, store.Granted, store.Revoked, store.Settings, store.Activated, store.Deactivated}
	rapid.Check(t, func(t *rapid.T) {
		var events []store.Event
		index := int64(0)
		for range rapid.IntRange(0, 30).Draw(t, "events") {
			index += rapid.Int64Range(1, 3).Draw(t, "gap")
			events = append(events, store.Event{
				Index: index, Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), Subject: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "subject"),
				Digest: rapid.SampledFrom([]string{"1", "2"}).Draw(t, "digest"), Level: rapid.SampledFrom([]string{"self", "audited"}).Draw(t, "level"), Pending: rapid.Bool().Draw(t, "pending"),
			})
		}
		line, state := timeline{}, ledger.Fold(nil)
		for i := range events {
			line.follow(state, &events[i])
		}
		for base := range index + 3 {
			below := slices.DeleteFunc(slices.Clone(events), func(e store.Event) bool { return e.Index >= base })
			want := ledger.Fold(below)
			attested := []verify.AttestationRecord{}
			for id, service := range want.Services {
				if service.Contract != "" && service.Attestation != contracts.SelfAttested {
					attested = append(attested, verify.AttestationRecord{Service: id, Contract: service.Contract, Level: service.Attestation})
				}
			}
			slices.SortFunc(attested, func(a, b verify.AttestationRecord) int { return strings.Compare(a.Service, b.Service) })
			for _, id := range []string{"a", "b", "c"} {
				if got := line.at(id, base); got.Contract != want.Services[id].Contract || got.Contract != "" && got.Attestation != want.Services[id].Attestation {
					t.Fatalf("%s below %d is %+v, not %+v", id, base, got, want.Services[id])
				}
			}
			if got := line.attestations(base); !reflect.DeepEqual(got, attested) {
				t.Fatalf("below %d are attested %+v, not %+v", base, got, attested)
			}
		}
	})
}
