package server

import (
	"net/http"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/verify"
)

// BundleList is what is in force for the tenant: the bundles, and every constraint of theirs, in order of id.
type BundleList struct {
	Bundles     []BundleSummary        `json:"bundles"`
	Constraints []contracts.Constraint `json:"constraints"`
}

// BundleSummary is a bundle in force. Key is the id of the key that signed it; absent where none did, which a server allows for development only.
type BundleSummary struct {
	Name     string `json:"name"`
	Revision string `json:"revision"`
	Digest   string `json:"digest"`
	Key      string `json:"key,omitempty"`
	// Index is that of the log's entry that put the bundle in force.
	Index int64 `json:"index"`
}

// SettingsAnswer are the operational settings in force, which policies read as data.caio.settings over the defaults of their bundles.
type SettingsAnswer struct {
	Settings map[string]any   `json:"settings"`
	InForce  verify.Reference `json:"in_force"`
}

func (s *Server) getBundles(c *call) error {
	now, _, err := c.tenant.read(s.ledger)
	if err != nil {
		return err
	}
	list := BundleList{Bundles: []BundleSummary{}, Constraints: append([]contracts.Constraint{}, now.rules.policies.Constraints()...)}
	for _, b := range now.bundles {
		summary := BundleSummary{Name: b.Name, Digest: b.Digest, Key: b.Key, Index: b.Index}
		for _, bundle := range now.rules.bundles {
			if bundle.Digest == b.Digest {
				summary.Revision = bundle.Revision
			}
		}
		list.Bundles = append(list.Bundles, summary)
	}
	return c.answer(http.StatusOK, list)
}

func (s *Server) getSettings(c *call) error {
	now, _, err := c.tenant.read(s.ledger)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, SettingsAnswer{Settings: now.rules.settings, InForce: now.settings})
}
