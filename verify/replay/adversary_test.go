package replay_test

import (
	"cmp"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/smarthausgroup/caio/verify"
)

// layersInOrder is the order of the page, in which the table names the first that caught something.
var layersInOrder = []string{verify.LayerEvidence, verify.LayerSignature, verify.LayerDocument, verify.LayerReceipt, verify.LayerWitnesses, verify.LayerCurrency, verify.LayerArgmax, verify.LayerCompleteness, verify.LayerReplay, verify.LayerOutcome}

// caughtBy is the first layer that failed, "" if none did.
func caughtBy(verdicts []verify.Verdict) string {
	for _, layer := range layersInOrder {
		if slices.ContainsFunc(verdicts, func(v verify.Verdict) bool { return v.Layer == layer && v.Status == verify.Fail }) {
			return layer
		}
	}
	return ""
}

// TestHonest: nothing was changed, and every layer passes; that nothing came in between is asserted where there is no log.
func TestHonest(t *testing.T) {
	w := newWorld(t)
	file := written(t, w.publish(w.decide(asked)))
	code, verdicts := w.verdicts(file, true)
	for _, v := range verdicts {
		if v.Status != verify.Pass {
			t.Errorf("%+v", v)
		}
	}
	if code != verify.ExitVerified || len(verdicts) != len(layersInOrder) {
		t.Errorf("exit %d: %+v", code, verdicts)
	}
	code, verdicts = w.verdicts(file, false)
	for _, v := range verdicts {
		if want := map[bool]verify.Status{true: verify.Inconclusive, false: verify.Pass}[v.Layer == verify.LayerCurrency]; v.Status != want {
			t.Errorf("without the log: %+v", v)
		}
	}
	if code != verify.ExitUntold {
		t.Errorf("without the log: exit %d", code)
	}
}

// tally counts what was changed, by part and layer that caught it.
type tally map[string]map[string]int

func (y tally) count(part, layer string) {
	if y[part] == nil {
		y[part] = map[string]int{}
	}
	y[part][layer]++
}

func (y tally) log(t *testing.T) {
	t.Helper()
	var b strings.Builder
	for _, part := range slices.Sorted(maps.Keys(y)) {
		all := 0
		var by []string
		for _, layer := range slices.Sorted(maps.Keys(y[part])) {
			all += y[part][layer]
			by = append(by, fmt.Sprintf("%s %d", cmp.Or(layer, "NONE"), y[part][layer]))
		}
		fmt.Fprintf(&b, "%-28s %6d  %s\n", part, all, strings.Join(by, ", "))
	}
	t.Logf("changes by part, and by the first layer that caught them\n%s", b.String())
}

// smallPart is the size up to which all bits of every byte of a part are changed; of a larger one, one bit of every byte. Of signatures of bundles, which no digest fixes, it is all of them too.
const smallPart = 256

// folder is the part of which a file is.
func folder(name string) string {
	switch {
	case strings.HasPrefix(name, "contracts/"):
		return "contracts/*.json"
	case strings.HasPrefix(name, "bundles/"):
		return "bundles/*" + name[strings.LastIndexByte(name, '/'):]
	case strings.HasSuffix(name, ".jws") && strings.HasPrefix(name, "entries/"):
		return "entries/*.jws"
	case strings.HasSuffix(name, ".receipt"):
		return "entries/*.receipt"
	}
	return name
}

// change is a part with one bit turned.
type change struct {
	part, at, bit int
}

// changes are those of every byte of every part. A run with -short or under the race detector takes a part of them.
func changes(parts []part) (list []change) {
	for i, p := range parts {
		for at := range p.text {
			for bit := range 8 {
				if len(p.text) <= smallPart || bit == at%8 || strings.HasSuffix(p.name, verify.SignaturesFile) {
					list = append(list, change{i, at, bit})
				}
			}
		}
	}
	if testing.Short() || raceDetector {
		short := list[:0]
		for i := 0; i < len(list); i += 97 {
			short = append(short, list[i])
		}
		return short
	}
	return list
}

// TestEveryByte changes every byte of every part of an evidence file, with a checksum that fits again: each change is caught. Without the log, since nothing of it may rest on that.
func TestEveryByte(t *testing.T) {
	w := newWorld(t)
	parts := unpack(t, written(t, w.publish(w.decide(asked))))
	if code, _ := w.verdicts(pack(t, parts), true); code != verify.ExitVerified {
		t.Fatalf("unchanged: exit %d", code)
	}
	var mu sync.Mutex
	seen := tally{}
	var workers sync.WaitGroup
	list := changes(parts)
	n := runtime.GOMAXPROCS(0)
	for worker := range n {
		workers.Go(func() {
			for i := worker; i < len(list); i += n {
				c := list[i]
				changed := slices.Clone(parts)
				changed[c.part].text = slices.Clone(parts[c.part].text)
				changed[c.part].text[c.at] ^= 1 << c.bit
				code, verdicts := w.verdicts(pack(t, changed), false)
				layer := caughtBy(verdicts)
				mu.Lock()
				seen.count(folder(parts[c.part].name), layer)
				mu.Unlock()
				if code != verify.ExitFailed || layer == "" {
					t.Errorf("%s, byte %d, bit %d: exit %d", parts[c.part].name, c.at, c.bit, code)
				}
			}
		})
	}
	workers.Wait()
	seen.log(t)
	if len(seen) < 13 {
		t.Errorf("only %d parts", len(seen))
	}
}

// TestTheFileItself changes every bit of the archive's own bytes: what is no part.
func TestTheFileItself(t *testing.T) {
	w := newWorld(t)
	file := written(t, w.publish(w.decide(asked)))
	step := 1
	if testing.Short() || raceDetector {
		step = 97
	}
	for at := 0; at < len(file); at += step {
		changed := slices.Clone(file)
		changed[at] ^= 1 << (at % 8)
		if code, verdicts := w.verdicts(changed, false); code != verify.ExitFailed || caughtBy(verdicts) != verify.LayerEvidence {
			t.Errorf("byte %d: exit %d", at, code)
		}
	}
}
