package server

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/verify"
)

// violating is a decision in which every one of some services violates these constraints.
func violating(services int, ids ...string) *verify.Decision {
	d := &verify.Decision{Outcome: verify.Denied}
	for n := range services {
		c := verify.Candidate{Service: fmt.Sprintf("%064d", n)}
		if len(ids) > 0 {
			c.Eliminated = &verify.Elimination{Stage: contracts.StagePolicy}
			for _, id := range ids {
				c.Eliminated.Violations = append(c.Eliminated.Violations, contracts.Violation{ID: id, Kind: contracts.KindRego})
			}
		}
		d.Candidates = append(d.Candidates, c)
	}
	return d
}

func idsOf(prefix string, n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprintf("%s%0*d", prefix, 64-len(prefix), i))
	}
	return ids
}

// Every constraint that differs is counted, however many services it differs for.
func TestShadowFindingCountsEveryConstraint(t *testing.T) {
	inForce, shadow := idsOf("OLD", 40), idsOf("NEW", 50)
	f := findingOf(violating(30, inForce...), violating(30, shadow...))
	if len(f.Constraints) != maxShadowDifferences || f.Omitted != 30*90-maxShadowDifferences {
		t.Errorf("%d are listed, %d not", len(f.Constraints), f.Omitted)
	}
	if !slices.IsSortedFunc(f.Constraints, func(a, b ShadowDifference) int { return strings.Compare(a.Service, b.Service) }) {
		t.Error("they are not in order of service")
	}
	sides := f.sides()
	for _, id := range inForce {
		if sides[id] != (side{inForce: true}) {
			t.Errorf("%s: %+v", id, sides[id])
		}
	}
	for _, id := range shadow {
		if sides[id] != (side{shadow: true}) {
			t.Errorf("%s: %+v", id, sides[id])
		}
	}
	// A constraint that differs one way for most services, and the other way for the last.
	before, after := violating(300), violating(300, "TURNED")
	before.Candidates[299], after.Candidates[299] = after.Candidates[299], before.Candidates[299]
	turned := findingOf(before, after)
	if got := turned.sides()["TURNED"]; got != (side{true, true}) {
		t.Errorf("%+v", got)
	}
}

// The largest record there can be is one that the log takes.
func TestShadowFindingFitsAnEntry(t *testing.T) {
	signer, err := verify.NewSigner(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	f := findingOf(violating(2), violating(2, idsOf("N", 2*maxShadowDifferences)...))
	if len(f.Constraints) != maxShadowDifferences {
		t.Fatalf("%d are listed", len(f.Constraints))
	}
	long := strings.Repeat("x", 64)
	tenant := &tenant{name: long, origin: strings.Repeat("x", 256)}
	leaf, err := signer.Sign(verify.TypShadow, shadowRecord{
		RecordHead: tenant.head(1<<40, time.Now()), Decision: long, Document: long, Bundle: long, Digest: long, Key: strings.Repeat("x", 256), ShadowFinding: f,
	})
	if err != nil || len(leaf) > ledger.MaxLeaf {
		t.Errorf("%d bytes, at most %d: %v", len(leaf), ledger.MaxLeaf, err)
	} else {
		t.Logf("%d bytes of %d", len(leaf), ledger.MaxLeaf)
	}
}
