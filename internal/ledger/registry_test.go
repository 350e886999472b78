package ledger_test

import (
	"testing"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/verify"
	"pgregory.net/rapid"
)

// A verifier that reads the log comes to the registry that the ledger comes to, whatever happened.
func TestVerifierFoldsAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var read verify.Registry
		state := ledger.Fold(nil)
		for i := range rapid.IntRange(0, 40).Draw(t, "events") {
			e := store.Event{
				Index:   int64(i),
				Kind:    rapid.SampledFrom([]store.EventKind{store.Registered, store.Approved, store.Removed, store.Granted, store.Revoked, store.Attested}).Draw(t, "kind"),
				Subject: rapid.SampledFrom([]string{"r", "s"}).Draw(t, "service"),
				Digest:  rapid.SampledFrom([]string{"", "A", "B", "C"}).Draw(t, "contract"),
			}
			var err error
			switch e.Kind {
			case store.Attested:
				level := rapid.SampledFrom([]contracts.Attestation{contracts.SelfAttested, contracts.Audited, contracts.Verified}).Draw(t, "level")
				e.Level = string(level)
				read.Attestation(verify.AttestationEntry{Service: e.Subject, Contract: e.Digest, Level: level})
			case store.Granted, store.Revoked:
				err = read.Grant(verify.GrantRecord{Kind: string(e.Kind), Service: e.Subject, Contract: e.Digest})
			default:
				e.Pending = e.Kind == store.Registered && rapid.Bool().Draw(t, "pending")
				err = read.Contract(verify.ContractRecord{Kind: string(e.Kind), Service: e.Subject, Contract: e.Digest, Pending: e.Pending})
			}
			if err != nil {
				t.Fatal(err)
			}
			state.Apply(&e)
			want, failed := state.Registry().Mark()
			if failed != nil {
				t.Fatal(failed)
			}
			if got, err := read.Mark(); err != nil || got != want {
				t.Fatalf("after %+v: %+v, %v, want %+v", e, got, err, want)
			}
		}
	})
}
