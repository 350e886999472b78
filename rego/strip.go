package rego

import (
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/contracts"
)

// WithoutTests is the bundle in the form that plain OPA evaluates as [Compile] does: without the tests and scenarios, which need caio.testing and the engine, and with all data in one file, where OPA finds the settings' defaults at the path that rules read them from.
func WithoutTests(b *Bundle) (*Bundle, contracts.Diagnostics) {
	c := &compilation{bundles: []*Bundle{b}}
	c.readData(Options{})
	if c.faults.HasErrors() {
		return nil, c.faults
	}
	for _, f := range families {
		packs, _ := c.data[string(f)].(map[string]any)
		for _, pack := range sortedKeys(packs) {
			if _, isMap := packs[pack].(map[string]any); isMap {
				delete(packs, pack) // it is at caio.settings now, and would be read as its default twice
			}
		}
		if len(packs) == 0 {
			delete(c.data, string(f))
		}
	}
	p := packing{bundle: b.Name}
	for _, file := range b.Files {
		if !slices.Contains(dataFiles, path.Base(file.Path)) && !strings.HasSuffix(file.Path, testSuffix) && !isScenario(file.Path) {
			p.files = append(p.files, file)
		}
	}
	if len(c.data) > 0 {
		text, err := json.Marshal(c.data)
		if err != nil {
			return p.finish(err)
		}
		p.files = append(p.files, File{Path: dataFiles[0], Text: text})
	}
	return p.finish(nil)
}

// isScenario reports whether a file is a test of whole decisions.
func isScenario(name string) bool {
	return strings.HasSuffix(name, ".scenario.yaml") || strings.HasSuffix(name, ".scenario.json")
}
