package verify

import (
	"fmt"
)

// What can rest on an entry, with the member of the document that names it.
const (
	aService    = "the service"
	theSettings = "the settings"
	aBundle     = "the bundle"
)

var restsAt = map[string]string{aService: "/snapshot", theSettings: "/settings", aBundle: "/bundles"}

// rest is something that an entry put in force, or out of it: a service, the attestation of one of its contracts, settings, a bundle.
type rest struct{ what, name, attested string }

// resting is the entry on which something rests, and why that is not to be believed.
type resting struct {
	index int64
	why   error
}

// rest notes that something rests on an entry now. Where that is to be believed, it does no longer rest on another.
func (w *whole) rest(on rest, r *record, unbelieved error) {
	if unbelieved == nil {
		delete(w.rests, on)
		return
	}
	w.rests[on] = resting{r.Index, unbelieved}
}

// service takes in an entry about a service: a contract that awaits its approval changes nothing of what is in force.
func (w *whole) service(index int64, leaf []byte, d *Document, trust Trust) error {
	r, unbelieved, err := inForce(index, leaf, d, trust)
	if err != nil {
		return err
	}
	on := rest{what: aService, name: claims(leaf, "service")}
	if r.typ == TypAttestation {
		on.attested = claims(leaf, "contract")
	}
	if !r.pending {
		w.rest(on, r, unbelieved)
	}
	return r.fold(&w.registry)
}

// unbelieved is something in force, or out of it, below base by an entry that is not to be believed, and where the document is about it; "" for nothing.
func (w *whole) unbelieved() (at, reason string) {
	least := int64(-1)
	for on, by := range w.rests {
		if on.attested != "" && w.registry.services[on.name].contract != on.attested {
			continue // of another contract than the one in force
		}
		if least >= 0 && by.index >= least {
			continue
		}
		least, at = by.index, restsAt[on.what]
		what := on.what
		if on.name != "" {
			what += " " + plain(on.name)
		}
		if on.attested != "" {
			at, what = "/attestations", "the attestation of "+what
		}
		reason = fmt.Sprintf("%s rests on the entry at index %d: %v", what, by.index, by.why)
	}
	return at, reason
}
