package server

import (
	"fmt"
	"slices"
	"testing"

	"github.com/smarthausgroup/caio/verify"
)

// However many constraints tenants push, the labels of metrics are bounded; those of the configuration keep their names.
func TestConstraintLabelsAreBounded(t *testing.T) {
	m := newMetrics()
	m.names.configure(slices.Values([]string{"HOUSE-1", "HOUSE-2"}))
	const pushed = maxTenantsNames + 300
	for n := range pushed {
		id := fmt.Sprintf("T-%d", n)
		m.decided(violating(1, id, "HOUSE-1"), 0)
		m.diverged(findingOf(&verify.Decision{}, violating(2, id)))
	}
	m.diverged(findingOf(&verify.Decision{}, violating(2, "T-5", "HOUSE-2", "T-600", "T-700")))
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]map[string]float64{}
	for _, family := range families {
		for _, series := range family.GetMetric() {
			for _, label := range series.GetLabel() {
				if label.GetName() != "constraint" {
					continue
				}
				if counted[family.GetName()] == nil {
					counted[family.GetName()] = map[string]float64{}
				}
				counted[family.GetName()][label.GetValue()] = series.GetCounter().GetValue()
			}
		}
	}
	for name, want := range map[string]map[string]float64{
		"caio_constraint_violations_total": {"HOUSE-1": pushed, "T-5": 1, "_other": 300},
		"caio_shadow_divergences_total":    {"HOUSE-2": 1, "T-5": 2, "_other": 301}, // a decision counts once
	} {
		if len(counted[name]) != maxTenantsNames+2 {
			t.Errorf("%s has %d series", name, len(counted[name]))
		}
		for label, n := range want {
			if counted[name][label] != n {
				t.Errorf("%s{constraint=%q} is %v, not %v", name, label, counted[name][label], n)
			}
		}
	}
}
