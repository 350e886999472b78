package server

import (
	"net/http"

	"github.com/smarthausgroup/caio/contracts"
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
