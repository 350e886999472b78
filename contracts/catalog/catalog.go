// Package catalog holds the contracts that come with CAIO: well-known AI services, as they are publicly known. README.md says what in them is fact and what is an example.
package catalog

import (
	"embed"
	"io/fs"

	"github.com/smarthausgroup/caio/contracts"
)

// FS holds one file for each service, <id>.yaml.
//
//go:embed *.yaml
var FS embed.FS

// All reads every contract, in order of id. The error is [contracts.Diagnostics], of all the files.
func All() ([]*contracts.Contract, error) {
	files, err := fs.Glob(FS, "*.yaml")
	if err != nil {
		return nil, err
	}
	all := make([]*contracts.Contract, 0, len(files))
	var faults contracts.Diagnostics
	for _, file := range files {
		text, err := FS.ReadFile(file)
		if err != nil {
			return nil, err
		}
		contract, ds := contracts.ParseContract(file, text)
		faults = append(faults, ds...)
		all = append(all, contract)
	}
	if err := faults.Err(); err != nil {
		return nil, err
	}
	return all, nil
}
