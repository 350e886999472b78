package scenario

import (
	"fmt"
	"path"
	"strings"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/rego"
)

// InBundle reads the scenarios among the files of a bundle. The contracts that they name by path are files of the bundle too, so that it can be tested wherever it is taken.
func InBundle(b *rego.Bundle) (all []Scenario, faults contracts.Diagnostics) {
	open := func(name string) ([]byte, error) {
		for _, file := range b.Files {
			if path.Join(b.Name, file.Path) == name {
				return file.Text, nil
			}
		}
		return nil, fmt.Errorf("%s is not in the bundle", name)
	}
	for _, file := range b.Files {
		if strings.HasSuffix(file.Path, ".scenario.yaml") || strings.HasSuffix(file.Path, ".scenario.json") {
			scenarios, diagnostics := Parse(path.Join(b.Name, file.Path), file.Text, open)
			all, faults = append(all, scenarios...), append(faults, diagnostics...)
		}
	}
	return all, faults
}
