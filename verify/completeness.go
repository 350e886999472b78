package verify

import "fmt"

// Complete says whether candidates and unmatched together are exactly the services of the committed snapshot (layer [LayerCompleteness]).
func Complete(ev *Evidence, d *Document) error {
	if digest := Digest(SnapshotText(ev.Snapshot)); digest != d.Snapshot.Digest {
		return &Fault{Pointer: "/snapshot/digest", Reason: "the evidence holds another snapshot than the document names", Want: d.Snapshot.Digest, Got: digest}
	}
	left := map[string]bool{}
	for service := range ev.Snapshot {
		left[service] = true
	}
	account := func(list string, i int, service string) error {
		if !left[service] {
			return &Fault{Pointer: fmt.Sprintf("/%s/%d/service", list, i), Reason: "the service is not in the snapshot, or it is accounted for already", Got: service}
		}
		delete(left, service)
		return nil
	}
	for i, candidate := range d.Candidates {
		if err := account("candidates", i, candidate.Service); err != nil {
			return err
		}
	}
	for i, unmatched := range d.Unmatched {
		if err := account("unmatched", i, unmatched.Service); err != nil {
			return err
		}
	}
	for service := range ev.Snapshot {
		if left[service] {
			return &Fault{Pointer: "/candidates", Reason: "a service of the snapshot is neither a candidate nor unmatched", Want: service}
		}
	}
	return nil
}
