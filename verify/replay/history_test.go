package replay_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/replay"
	"github.com/smarthausgroup/caio/verify/tlog"
)

// Rows are of the latest 500 outcomes of the candidate and the request's intent type that are at most 30 days old, up to some length of the log between base and the decision.
func TestHistoryOfTheLog(t *testing.T) {
	many := func(w *world, n int, status string, latency int64) {
		for range n {
			w.reported("winner", "embeddings", status, latency)
		}
	}
	const holds, differs = verify.Pass, verify.Fail
	for name, test := range map[string]struct {
		before, meanwhile func(w *world) // below base, and between base and the decision
		row               contracts.History
		want              verify.Status
	}{
		"as many as are counted": {func(w *world) { many(w, 480, "succeeded", 80) }, nil, contracts.History{N: 500, OK: 500, P95: 80}, holds},
		"failures count, and have no latency": {func(w *world) { many(w, 2, "failed", 9_000); many(w, 1, "cancelled", 9_000) },
			nil, contracts.History{N: 33, OK: 30, P95: 50}, holds},
		"others don't": {func(w *world) {
			w.reported("winner", "chat", "failed", 1)
			w.reported("elsewhere", "embeddings", "failed", 1)
		}, nil, contracts.History{N: 30, OK: 30, P95: 50}, holds},
		"each candidate has its own": {func(w *world) { w.reported("second", "embeddings", "failed", 1) }, nil, contracts.History{N: 30, OK: 30, P95: 50}, differs},
		"meanwhile, and counted":     {nil, func(w *world) { many(w, 1, "failed", 1) }, contracts.History{N: 31, OK: 30, P95: 50}, holds},
		"meanwhile, and not counted": {nil, func(w *world) { many(w, 1, "failed", 1) }, contracts.History{N: 30, OK: 30, P95: 50}, holds},
		"meanwhile, and another":     {nil, func(w *world) { many(w, 1, "failed", 1) }, contracts.History{N: 31, OK: 31, P95: 50}, differs},
		"a row for none":             {nil, nil, contracts.History{N: 1, OK: 1, P95: 1}, differs},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if test.before != nil {
				test.before(w)
			}
			w.arguments.History = map[string]contracts.History{"winner": test.row}
			p := w.honest()
			if test.meanwhile != nil {
				test.meanwhile(w)
			}
			_, verdicts := w.verdicts(written(t, w.publish(p)), true)
			if got := ofLayer(verdicts, verify.LayerCurrency); got.Status != test.want || test.want == differs && !strings.HasPrefix(got.Pointer, "/candidates/") {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// The oldest outcome that counts is one of 30 days before the decision. An older one that stands behind younger entries was dated back, or the clock was set back.
func TestHistoryForgets(t *testing.T) {
	for name, test := range map[string]struct {
		age  time.Duration
		want verify.Status
	}{"just counts": {30 * 24 * time.Hour, verify.Pass}, "just doesn't": {30*24*time.Hour + time.Second, verify.Inconclusive}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.now = decided.Add(-test.age)
			w.reported("winner", "embeddings", "succeeded", 50)
			w.now = decided
			w.arguments.History = map[string]contracts.History{"winner": {N: 31, OK: 31, P95: 50}}
			if _, verdicts := w.verdicts(written(t, w.publish(w.honest())), true); ofLayer(verdicts, verify.LayerCurrency).Status != test.want {
				t.Errorf("got %+v", verdicts)
			}
		})
	}
}

// An old base does not excuse the history from outcomes that were there when the decision was made.
func TestHistoryOfAnOldBase(t *testing.T) {
	w := newWorld(t)
	p := w.honest()
	w.now = decided.Add(-12 * time.Hour)
	w.reported("winner", "embeddings", "failed", 50)
	w.now = decided
	code, verdicts := w.verdicts(written(t, w.publish(p)), true)
	if got := ofLayer(verdicts, verify.LayerCurrency); code != verify.ExitFailed || got.Pointer != "/candidates/2/history" {
		t.Errorf("exit %d: %+v", code, got)
	}
}

// failingOnce is a log whose first entries can't be read the first time.
type failingOnce struct {
	tlog.Source
	failed bool
}

func (f *failingOnce) Read(ctx context.Context, path string, limit int64) ([]byte, error) {
	if strings.Contains(path, "entries") && !f.failed {
		f.failed = true
		return nil, errors.New("try again")
	}
	return f.Source.Read(ctx, path, limit)
}

// What a log says of its keys is not passed over because it could not be read the first time.
func TestLogThatFailsOnce(t *testing.T) {
	w := newWorld(t)
	o := w.options
	file := written(t, w.publish(w.honest()))
	o.Log = &failingOnce{Source: w.source()}
	if _, verdicts := replay.CheckFile(t.Context(), file, w.trust, o); ofLayer(verdicts, verify.LayerCurrency).Status != verify.Inconclusive {
		t.Errorf("got %+v", verdicts)
	}
}

// Outcomes that do not say of what intent type they are leave the rows untold.
func TestHistoryUntold(t *testing.T) {
	w := newWorld(t)
	w.reported("winner", "", "succeeded", 50)
	code, verdicts := w.verdicts(written(t, w.publish(w.honest())), true)
	if got := ofLayer(verdicts, verify.LayerCurrency); code != verify.ExitUntold || got.Status != verify.Inconclusive || !strings.Contains(got.Reason, "intent") {
		t.Errorf("exit %d: %+v", code, got)
	}
}

func ofLayer(verdicts []verify.Verdict, layer string) verify.Verdict {
	i := slices.IndexFunc(verdicts, func(v verify.Verdict) bool { return v.Layer == layer })
	if i < 0 {
		return verify.Verdict{}
	}
	return verdicts[i]
}
