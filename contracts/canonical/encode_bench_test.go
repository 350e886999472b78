package canonical_test

import (
	"fmt"
	"testing"

	"github.com/smarthausgroup/caio/contracts/canonical"
)

// BenchmarkEncode writes a list such as documents of a large registry hold.
func BenchmarkEncode(b *testing.B) {
	type entry struct {
		Service string   `json:"service"`
		IDs     []string `json:"ids"`
	}
	list := make([]entry, 1000)
	for i := range list {
		list[i] = entry{fmt.Sprintf("service-%04d", i), []string{"capability"}}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := canonical.Encode(list); err != nil {
			b.Fatal(err)
		}
	}
}
