package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/smarthausgroup/caio/verify"
)

// shadow evaluates a pushed bundle beside those in force.
func (i *installation) shadow(token, digest string) (change server.ShadowChange) {
	i.t.Helper()
	r := i.call("POST", "/v1/bundles/"+digest+"/shadow", token, `{"reason": "to be sure"}`)
	if r.status != http.StatusOK {
		i.t.Fatalf("%d %s", r.status, r.body)
	}
	r.into(i.t, &change)
	return change
}

// shadowedBundle sees to it that a bundle of the tenant's own is evaluated beside those in force, and returns its digest.
func (i *installation) shadowedBundle(tenant string) string {
	i.t.Helper()
	token := i.token(tenant, auth.Operator)
	if list := i.bundles(token); len(list.Shadows) > 0 {
		return list.Shadows[0].Digest
	}
	return i.shadow(token, i.pushed(token, "regional", refusing("venus of "+tenant))).Digest
}

func (i *installation) shadowReport(token, digest, query string) (report server.ShadowReport) {
	i.t.Helper()
	r := i.call("GET", "/v1/bundles/"+digest+"/shadow"+query, token, "")
	if r.status != http.StatusOK {
		i.t.Fatalf("%d %s\n%s", r.status, r.body, i.logs)
	}
	r.into(i.t, &report)
	return report
}

// evaluated waits until so many decisions were evaluated again, one way or the other.
func (i *installation) evaluated(token, digest string, n int64) server.ShadowReport {
	i.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		report := i.shadowReport(token, digest, "")
		if c := report.Started; c.Same+c.Diverged+c.Failed+c.Dropped >= n {
			return report
		}
		if time.Now().After(deadline) {
			i.t.Fatalf("%+v, and not %d\n%s", report.Started, n, i.logs)
		}
	}
}

// shadowEntries are the leaves of divergences in a tenant's log.
func (i *installation) shadowEntries(tenant string) []store.Entry {
	i.t.Helper()
	entries, err := i.store.EntriesOf(context.Background(), tenant, verify.TypShadow)
	must(i.t, err)
	return entries
}

// house gives a tenant services in three regions, and a bundle in force that refuses one.
func (i *installation) house(token string) {
	i.t.Helper()
	for n, region := range []string{"eu", "us", "ch"} { // in the order in which they are preferred
		i.register(token, contract(region, region, fmt.Sprintf("guarantees:\n  latency: {max: %d}\n", 1000*(n+1))))
	}
	i.activate(token, i.pushed(token, "regional", refusing("ch")), `{"reason": "x"}`)
}

func TestShadow(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	i.house(token)
	first := i.decide(token, embed)
	winner := first.Service.ID
	digest := i.pushed(token, "regional", refusing(winner))
	if r := i.call("GET", "/v1/bundles/"+digest+"/shadow", token, ""); r.status != 404 {
		t.Errorf("before: %d %s", r.status, r.body)
	}
	change := i.shadow(token, digest)
	if change.Name != "regional" || change.Digest != digest || change.Previous != "" || change.Unchanged || change.Index == nil {
		t.Errorf("%+v", change)
	}
	if again := i.shadow(token, digest); !again.Unchanged || *again.Index != *change.Index {
		t.Errorf("%+v", again)
	}
	if list := i.bundles(token); len(list.Shadows) != 1 || list.Shadows[0].Digest != digest || len(list.Bundles) != 2 {
		t.Errorf("%+v", list)
	}

	// The answer is that of what is in force; that the other differs is recorded, with both outcomes and what differs.
	a := i.decide(token, embed)
	if a.Service.ID != winner {
		t.Fatalf("%+v", a)
	}
	report := i.evaluated(token, digest, 1)
	if report.Started != (server.ShadowCounts{Diverged: 1}) || report.Divergences != 1 || !report.Evaluated || report.Fault != "" || report.Kinds["another_service"] != 1 {
		t.Fatalf("%+v", report)
	}
	d := report.Latest[0]
	if d.DecisionID != a.DecisionID || d.InForce != (server.ShadowOutcome{Outcome: "routed", Service: winner, Route: "external"}) || d.Shadow.Outcome != "routed" || d.Shadow.Service == winner || d.Index <= *a.Index {
		t.Errorf("%+v", d)
	}
	want := []server.ShadowDifference{
		{ID: "REGION", Service: "ch", Stage: "policy", InForce: true},
		{ID: "REGION", Service: winner, Stage: "policy", Shadow: true},
	}
	if !slices.Equal(d.Constraints, want) || !slices.Equal(report.Constraints, []server.ShadowConstraintCount{{ID: "REGION", InForce: 1, Shadow: 1}}) {
		t.Errorf("%+v\nwant %+v", d.Constraints, want)
	}
	var document struct{ Outcome string }
	text := i.call("GET", "/v1/decisions/"+a.DecisionID+"/document", token, "").body
	if json.Unmarshal(text, &document); d.Document != verify.Digest(text) {
		t.Errorf("%s is not the digest of %s", d.Document, document.Outcome)
	}

	// Where both say the same there is no entry.
	i.decide(token, `{"intent": {"type": "embeddings"}, "exclude": ["`+winner+`", "ch"]}`)
	if report := i.evaluated(token, digest, 2); report.Started.Same != 1 || len(i.shadowEntries("default")) != 1 {
		t.Errorf("%+v", report)
	}

	// It is no longer evaluated; what was found stays.
	if r := i.call("DELETE", "/v1/bundles/"+digest+"/shadow", token, ""); r.status != 400 || r.problem() != "invalid-parameter" {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := i.call("DELETE", "/v1/bundles/"+digest+"/shadow?reason=enough", token, ""); r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := i.call("DELETE", "/v1/bundles/"+digest+"/shadow?reason=enough", token, ""); r.status != 404 {
		t.Errorf("%d %s", r.status, r.body)
	}
	i.decide(token, embed)
	must(t, i.server.Shutdown())
	if n := len(i.shadowEntries("default")); n != 1 {
		t.Errorf("%d divergences", n)
	}
	if report := i.shadowReport(token, digest, ""); report.Evaluated || report.Divergences != 1 || report.Name != "regional" {
		t.Errorf("%+v", report)
	}
}

// A bundle that comes into force is no longer listed beside what is; what was found stays, and a rollback does not bring it back.
func TestShadowComesIntoForce(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	i.house(token)
	before := i.activeBundle("default")
	digest := i.pushed(token, "regional", refusing("eu"))
	i.shadow(token, digest)
	i.decide(token, embed)
	i.evaluated(token, digest, 1)
	i.activate(token, digest, `{"reason": "seen enough"}`)
	gone := func() {
		t.Helper()
		if list := i.bundles(token); len(list.Shadows) != 0 {
			t.Errorf("beside what is in force: %+v", list.Shadows)
		}
		if report := i.shadowReport(token, digest, ""); report.Evaluated || report.Divergences != 1 {
			t.Errorf("%+v", report)
		}
		if r := i.call("DELETE", "/v1/bundles/"+digest+"/shadow?reason=enough", token, ""); r.status != 404 {
			t.Errorf("%d %s", r.status, r.body)
		}
	}
	gone()
	if r := i.call("POST", "/v1/bundles/rollback", token, `{"name": "regional", "reason": "x"}`); r.status != 200 || i.inForce(token)["regional"] != before {
		t.Fatalf("%d %s", r.status, r.body)
	}
	gone()
	i.stop()
	i = startAt(t, i.path, i)
	gone()
}

// What is not fit to be evaluated is refused, and changes nothing.
func TestShadowRefused(t *testing.T) {
	key := newPolicyKey(t, "ours")
	i := start(t)
	token := i.token("default", auth.Operator)
	i.house(token)
	active := i.activeBundle("default")
	digest := i.pushed(token, "regional", refusing("eu"))
	for name, c := range map[string]struct {
		digest, body string
		status       int
		code         string
	}{
		"in force":      {active, `{"reason": "x"}`, 409, "bundle-in-force"},
		"no reason":     {digest, `{}`, 400, "invalid-request"},
		"an empty one":  {digest, `{"reason": ""}`, 400, "invalid-request"},
		"another key":   {digest, `{"reason": "x", "act": true}`, 400, "invalid-request"},
		"no bundle":     {strings.Repeat("0", 64), `{"reason": "x"}`, 404, "not-found"},
		"the baseline":  {i.inForce(token)["baseline"], `{"reason": "x"}`, 404, "not-found"},
		"half a digest": {digest[:32], `{"reason": "x"}`, 404, "not-found"},
	} {
		if r := i.call("POST", "/v1/bundles/"+c.digest+"/shadow", token, c.body); r.status != c.status || r.problem() != c.code {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	if len(i.bundles(token).Shadows) != 0 {
		t.Error("something is evaluated")
	}
	// A key that was withdrawn since the bundle was handed in.
	i.stop()
	i = startAt(t, i.path, i, func(i *installation) {
		i.config.AllowUnsigned = false
		i.config.PolicyKeys = map[string]rego.Key{"ours": key.public(t)}
		i.config.Bundles = nil
	})
	if r := i.call("POST", "/v1/bundles/"+digest+"/shadow", token, `{"reason": "x"}`); r.status != 422 || r.problem() != "bundle-signature" {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// more is a bundle that stands beside those of the installation.
func more(region string) map[string]string {
	files := refusing(region)
	for name := range files {
		files[name] = strings.NewReplacer("caio/policy/regional", "caio/policy/more", "package caio.policy.regional", "package caio.policy.more", "REGION", "MORE").Replace(files[name])
	}
	return files
}

// It goes on over a restart, and beside other rules; where it no longer fits them it says so, and decisions go on.
func TestShadowOverRestart(t *testing.T) {
	i := start(t, withRegional)
	token := i.token("default", auth.Operator)
	i.register(token, contract("eu", "eu", ""))
	digest := i.pushed(token, "more", more("eu"))
	i.shadow(token, digest)
	i.decide(token, embed)
	i.stop()
	i = startAt(t, i.path, i, withRegional)
	if n := len(i.shadowEntries("default")); n != 1 {
		t.Fatalf("%d divergences were recorded before the end", n)
	}
	a := i.decide(token, embed)
	report := i.evaluated(token, digest, 1)
	if report.Divergences != 2 || report.Latest[0].DecisionID != a.DecisionID || report.Kinds["routed_to_denied"] != 2 {
		t.Errorf("%+v", report)
	}
	i.setSettings(token, onlyUS)
	if a := i.decide(token, embed); a.Outcome != "denied" {
		t.Errorf("%+v", a)
	}
	if report = i.evaluated(token, digest, 2); report.Kinds["other_constraints"] != 1 || !slices.Equal(report.Constraints, []server.ShadowConstraintCount{{ID: "MORE", Shadow: 3}}) {
		t.Errorf("%+v", report)
	}
	i.activate(token, i.pushed(token, "elsewhere", more("us")), `{"reason": "x"}`)
	if a := i.decide(token, embed); a.Outcome != "denied" {
		t.Errorf("%+v", a)
	}
	if report = i.evaluated(token, digest, 3); report.Started.Failed != 1 || !strings.Contains(report.Fault, "overlaps") || report.Divergences != 3 {
		t.Errorf("%+v", report)
	}
	if !strings.Contains(i.metricsText(), `caio_shadow_evaluations_total{result="failed"} 1`) {
		t.Error("the failure was not counted")
	}
}

// Its entries are of their own type: offered as a statement, one is refused.
func TestShadowIsNoDecision(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	i.house(token)
	a := i.decide(token, embed)
	digest := i.pushed(token, "regional", refusing(a.Service.ID))
	i.shadow(token, digest)
	a = i.decide(token, embed)
	i.evaluated(token, digest, 1)
	entries := i.shadowEntries("default")
	if len(entries) != 1 {
		t.Fatalf("%d divergences", len(entries))
	}
	evidence, err := verify.ReadEvidence(i.call("GET", "/v1/decisions/"+a.DecisionID+"/evidence", token, "").body)
	must(t, err)
	trust := i.trust("default")
	if v := verify.Check(context.Background(), evidence, trust, verify.Options{})[0]; v.Layer != verify.LayerSignature || v.Status != verify.Pass {
		t.Fatalf("%+v", v)
	}
	evidence.Statement = entries[0].Leaf
	failed := 0
	for _, v := range verify.Check(context.Background(), evidence, trust, verify.Options{}) {
		if v.Status == verify.Fail {
			failed++
		}
		if v.Layer == verify.LayerSignature && v.Status != verify.Fail {
			t.Errorf("%+v", v)
		}
	}
	if failed == 0 {
		t.Error("a divergence was taken for a statement")
	}
	// Nor does any list of decisions hold it.
	var list server.DecisionList
	i.call("GET", "/v1/decisions", token, "").into(t, &list)
	if len(list.Decisions) != 2 {
		t.Errorf("%+v", list)
	}
}

// volatile is what differs between two runs with the same keys, clock and randomness: places in the log, and the signatures over them.
var volatile = regexp.MustCompile(`"(statement|base|index)":("[^"]*"|-?\d+)`)

// Answers, searches, histories and the metrics of decisions are the same to the byte, whether something is evaluated beside what is in force or not.
func TestShadowChangesNothing(t *testing.T) {
	requests := []string{
		embed, `{"intent": {"type": "embeddings"}, "data": {"labels": ["pii"]}}`, `{"intent": {"type": "embeddings"}, "exclude": ["eu"]}`,
		`{"intent": {"type": "embeddings"}, "exclude": ["eu", "us"]}`, `{"intent": {"type": "weapons"}}`, `{"intent": {"type": "embeddings"}, "profile": "economy"}`,
	}
	var before *installation
	now := time.Now().Add(30 * time.Minute).Truncate(time.Second) // while every token is valid
	run := func(shadow bool) (answers []string, divergences int) {
		i := startAt(t, filepath.Join(t.TempDir(), "caio.db"), before, func(i *installation) {
			i.config.Rand, i.config.Clock = mathrand.NewChaCha8([32]byte{}), func() time.Time { return now }
		}, withKeysOf(mathrand.NewChaCha8([32]byte{1})))
		before = i
		token := i.token("default", auth.Operator)
		i.house(token)
		digest := i.pushed(token, "regional", refusing("eu"))
		if shadow {
			i.shadow(token, digest)
		}
		say := func(r reply) {
			answers = append(answers, fmt.Sprint(r.status, " ", volatile.ReplaceAllString(string(r.body), "…")))
		}
		for range 3 {
			for _, request := range requests {
				r := i.call("POST", "/v1/decisions?detail=full", token, request)
				say(r)
				var a server.Answer
				r.into(t, &a)
				if a.Outcome == "routed" {
					say(i.call("POST", "/v1/decisions/"+a.DecisionID+"/outcome", token, `{"status": "succeeded", "latency_ms": 20}`))
				}
				say(i.call("GET", "/v1/decisions/"+a.DecisionID, token, ""))
			}
		}
		for _, query := range []string{"", "?outcome=denied", "?constraint=REGION", "?service=eu", "?intent=embeddings"} {
			say(i.call("GET", "/v1/decisions"+query, token, ""))
		}
		must(t, i.server.Shutdown())
		for line := range strings.SplitSeq(i.metricsText(), "\n") {
			if strings.HasPrefix(line, "caio_decisions_total") || strings.HasPrefix(line, "caio_constraint_violations_total") || strings.HasPrefix(line, "caio_decision_duration_seconds_count") || strings.HasPrefix(line, "caio_decision_failures_total") {
				answers = append(answers, line)
			}
		}
		return answers, len(i.shadowEntries("default"))
	}
	without, none := run(false)
	with, some := run(true)
	if none != 0 || some < 6 {
		t.Errorf("%d and %d divergences", none, some)
	}
	if len(without) < 50 {
		t.Fatalf("only %d answers were compared", len(without))
	}
	for n := range without {
		if n >= len(with) || with[n] != without[n] {
			t.Fatalf("answer %d\nwithout %s\nwith    %s", n, without[n], with[n])
		}
	}
}

// metricsText is what the diagnostic listener says.
func (i *installation) metricsText() string {
	i.t.Helper()
	recorder := httptest.NewRecorder()
	i.server.DiagnosticHandler().ServeHTTP(recorder, httptest.NewRequest("GET", "/metrics", nil))
	text, err := io.ReadAll(recorder.Body)
	must(i.t, err)
	return string(text)
}

// held is a store that keeps a reader of one blob waiting until it is let.
type held struct {
	store.Store
	digest  atomic.Value // string
	waiting chan struct{}
	let     chan struct{}
}

func (s *held) Blob(ctx context.Context, tenant, digest string) (store.Blob, error) {
	if digest == s.digest.Load() {
		s.waiting <- struct{}{}
		<-s.let
	}
	return s.Store.Blob(ctx, tenant, digest)
}

// What waits at the end is evaluated and recorded before it, whatever the load was.
func TestShadowDrains(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	i.house(token)
	digest := i.pushed(token, "regional", refusing("eu"))
	i.shadow(token, digest)
	const n = 60
	var batch []string
	for range n {
		batch = append(batch, `{"intent": {"type": "embeddings"}, "exclude": ["us"]}`)
	}
	if r := i.call("POST", "/v1/decisions/batch", token, `{"requests": [`+strings.Join(batch, ",")+`]}`); r.status != 200 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	must(t, i.server.Shutdown())
	entries := i.shadowEntries("default")
	if len(entries) != n {
		t.Errorf("%d of %d divergences were recorded", len(entries), n)
	}
	metrics := i.metricsText()
	for _, line := range []string{fmt.Sprintf(`caio_shadow_evaluations_total{result="diverged"} %d`, n), fmt.Sprintf(`caio_shadow_divergences_total{constraint="REGION"} %d`, n), "caio_shadow_dropped_total 0"} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("%s is not in\n%s", line, metrics)
		}
	}
	if report := i.shadowReport(token, digest, "?limit=25"); report.Divergences != n || len(report.Latest) != 25 || report.Next == "" {
		t.Errorf("%+v", report)
	}
	var seen []int64
	for query := "?limit=25"; ; {
		report := i.shadowReport(token, digest, query)
		for _, d := range report.Latest {
			seen = append(seen, d.Index)
		}
		if report.Next == "" {
			break
		}
		query = "?limit=25&cursor=" + report.Next
	}
	if len(seen) != n || !slices.IsSortedFunc(seen, func(a, b int64) int { return int(b - a) }) {
		t.Errorf("%v", seen)
	}
}

// A queue that is full drops, and counts; decisions don't wait for it.
func TestShadowQueueFull(t *testing.T) {
	gate := &held{waiting: make(chan struct{}), let: make(chan struct{})}
	i := start(t, withStore(func(s store.Store) store.Store { gate.Store = s; return gate }), func(i *installation) { i.config.Limits.Shadows = 2 })
	token := i.token("default", auth.Operator)
	i.house(token)
	digest := i.pushed(token, "regional", refusing("eu"))
	i.shadow(token, digest)
	gate.digest.Store(digest)
	request := `{"intent": {"type": "embeddings"}, "exclude": ["us"]}`
	i.decide(token, request)
	<-gate.waiting
	for range 9 {
		i.decide(token, request)
	}
	if c := i.shadowReport(token, digest, "").Started; c != (server.ShadowCounts{Dropped: 7}) {
		t.Errorf("%+v", c)
	}
	gate.digest.Store("")
	close(gate.let)
	if report := i.evaluated(token, digest, 10); report.Started != (server.ShadowCounts{Diverged: 3, Dropped: 7}) || report.Divergences != 3 {
		t.Errorf("%+v", report)
	}
	if !strings.Contains(i.metricsText(), "caio_shadow_dropped_total 7\n") {
		t.Error("what was dropped was not counted")
	}
}

// Where the time for a shutdown is over, what is still queued is dropped, and the end says so.
func TestShadowDrainsInTime(t *testing.T) {
	gate := &held{waiting: make(chan struct{}), let: make(chan struct{})}
	i := start(t, withStore(func(s store.Store) store.Store { gate.Store = s; return gate }), func(i *installation) { i.config.Limits.Shutdown = time.Millisecond })
	token := i.token("default", auth.Operator)
	i.house(token)
	digest := i.pushed(token, "regional", refusing("eu"))
	i.shadow(token, digest)
	gate.digest.Store(digest)
	for range 5 {
		i.decide(token, `{"intent": {"type": "embeddings"}, "exclude": ["us"]}`)
	}
	<-gate.waiting
	ended := make(chan error)
	go func() { ended <- i.server.Shutdown() }()
	time.Sleep(20 * time.Millisecond) // past the time that it has; a longer wait changes nothing
	close(gate.let)
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "not every decision was evaluated") {
		t.Errorf("got %v", err)
	}
	if n := len(i.shadowEntries("default")); n > 1 {
		t.Errorf("%d divergences were recorded", n)
	}
	i.http.Close()
	i.http = nil
	must(t, i.store.Close())
}
