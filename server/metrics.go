package server

import (
	"context"
	"iter"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/internal/witness"
	"github.com/smarthausgroup/caio/verify"
)

// metrics are counts and durations. Their labels are routes, stages, codes and ids of constraints: sets that people of the installation wrote, or bounded, and nothing that a caller sends.
type metrics struct {
	names        constraintNames
	registry     *prometheus.Registry
	requests     *prometheus.CounterVec
	durations    *prometheus.HistogramVec
	decisions    *prometheus.CounterVec
	decisionTime prometheus.Histogram
	violations   *prometheus.CounterVec
	failures     *prometheus.CounterVec
	// Of bundles that are evaluated beside those in force: no decision is counted here.
	shadowEvaluations *prometheus.CounterVec
	shadowDivergences *prometheus.CounterVec
	shadowDropped     prometheus.Counter
	shadowsAside      prometheus.Counter
	unauthenticated   *prometheus.CounterVec
	groups            prometheus.Histogram
	commits           prometheus.Histogram
	// Of witnesses, by the names of their keys.
	witnessAnswers *prometheus.CounterVec
	witnessLatest  *prometheus.GaugeVec
}

func newMetrics() *metrics {
	seconds := []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "caio_http_requests_total", Help: "Requests by route and status."}, []string{"method", "route", "status"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "caio_http_request_duration_seconds", Help: "Time from the request to its answer.", Buckets: seconds},
			[]string{"method", "route"}),
		decisions:         prometheus.NewCounterVec(prometheus.CounterOpts{Name: "caio_decisions_total", Help: "Decisions by outcome, and by the stage at which the nearest candidates of a denial fell."}, []string{"outcome", "stage"}),
		decisionTime:      prometheus.NewHistogram(prometheus.HistogramOpts{Name: "caio_decision_duration_seconds", Help: "Time from the normalised request until its proof is stored.", Buckets: seconds}),
		violations:        prometheus.NewCounterVec(prometheus.CounterOpts{Name: "caio_constraint_violations_total", Help: "Candidates that violated a constraint, by its id; those of tenants' own bundles beyond the first 500 are _other."}, []string{"constraint"}),
		failures:          prometheus.NewCounterVec(prometheus.CounterOpts{Name: "caio_decision_failures_total", Help: "Admitted requests that ended without a decision, by the code of the problem."}, []string{"code"}),
		shadowEvaluations: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "caio_shadow_evaluations_total", Help: "Decisions that were evaluated again with a bundle that is not in force, by what came of it: same, diverged or failed."}, []string{"result"}),
		shadowDivergences: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "caio_shadow_divergences_total", Help: "Decisions in which a bundle that is not in force would have violated, or not violated, a constraint, by its id; those of tenants' own bundles beyond the first 500 are _other."}, []string{"constraint"}),
		shadowDropped:     prometheus.NewCounter(prometheus.CounterOpts{Name: "caio_shadow_dropped_total", Help: "Decisions that were not evaluated again, since too many others were waiting or the bundle is set aside."}),
		shadowsAside:      prometheus.NewCounter(prometheus.CounterOpts{Name: "caio_shadows_set_aside_total", Help: "Bundles that are not evaluated beside those in force any more, since they took too long several times in a row."}),
		unauthenticated:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "caio_unauthenticated_total", Help: "Requests of callers who are not known, by reason."}, []string{"reason"}),
		groups:            prometheus.NewHistogram(prometheus.HistogramOpts{Name: "caio_commit_entries", Help: "Entries of the log that one transaction wrote.", Buckets: prometheus.ExponentialBuckets(1, 2, 10)}),
		commits:           prometheus.NewHistogram(prometheus.HistogramOpts{Name: "caio_commit_duration_seconds", Help: "Time that one transaction took until it was durable.", Buckets: seconds}),
	}
	m.witnessAnswers = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "caio_witness_answers_total", Help: "Checkpoints that a witness was asked to cosign, by what came of it: cosigned, failed, refused, clock, back, behind or forked. The last two are faults of a log here."}, []string{"witness", "result"})
	m.witnessLatest = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "caio_witness_latest_cosignature_seconds", Help: "When a witness last cosigned a checkpoint, in seconds since 1970; each is asked once a minute even if no log grows."}, []string{"witness"})
	m.registry.MustRegister(m.requests, m.durations, m.decisions, m.decisionTime, m.violations, m.failures, m.shadowEvaluations, m.shadowDivergences, m.shadowDropped, m.shadowsAside, m.unauthenticated, m.groups, m.commits, m.witnessAnswers, m.witnessLatest,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

func (m *metrics) request(r *route, status int, took time.Duration) {
	m.requests.WithLabelValues(r.method, r.path, strconv.Itoa(status)).Inc()
	m.durations.WithLabelValues(r.method, r.path).Observe(took.Seconds())
}

// decided counts a decision that was stored.
func (m *metrics) decided(d *verify.Decision, took time.Duration) {
	stage := string(contracts.StageScore)
	if d.Outcome == verify.Denied {
		stage = string(contracts.StageMatch)
		if len(d.Choice.Nearest) > 0 {
			stage = string(d.Choice.Nearest[0].Stage)
		}
	}
	m.decisions.WithLabelValues(d.Outcome, stage).Inc()
	m.decisionTime.Observe(took.Seconds())
	for i := range d.Candidates {
		fallen := d.Candidates[i].Eliminated
		if fallen == nil {
			continue
		}
		for _, v := range fallen.Violations {
			if v.Kind == contracts.KindRego {
				m.violations.WithLabelValues(m.names.label(v.ID)).Inc()
			}
		}
	}
}

// witnessed counts an answer of a witness.
func (m *metrics) witnessed(a witness.Answer, at time.Time) {
	m.witnessAnswers.WithLabelValues(a.Witness.Key().Name, string(a.Result)).Inc()
	if a.Result == witness.Cosigned {
		m.witnessLatest.WithLabelValues(a.Witness.Key().Name).Set(float64(at.Unix()))
	}
}

// measured is a store whose transactions are counted.
type measured struct {
	store.Store
	metrics *metrics
}

// Commit is the store's.
func (s measured) Commit(ctx context.Context, b *store.Batch) error {
	start := time.Now()
	err := s.Store.Commit(ctx, b)
	s.metrics.commits.Observe(time.Since(start).Seconds())
	s.metrics.groups.Observe(float64(len(b.Entries)))
	return err
}

// What becomes of an evaluation beside what is in force.
const (
	shadowSame     = "same"
	shadowDiverged = "diverged"
	shadowFailed   = "failed"
)

// diverged counts a divergence that was stored.
func (m *metrics) diverged(f ShadowFinding) {
	m.shadowEvaluations.WithLabelValues(shadowDiverged).Inc()
	labels := map[string]bool{}
	for id := range f.sides() {
		labels[m.names.label(id)] = true
	}
	for label := range labels {
		m.shadowDivergences.WithLabelValues(label).Inc()
	}
}

const (
	// maxTenantsNames is how many constraints of tenants' own bundles are counted by name, from start to start; tenants push as many as they like.
	maxTenantsNames = 500
	// otherConstraints is the label of all further ones. No id of a constraint begins so.
	otherConstraints = "_other"
)

// constraintNames are the constraints that are counted by name.
type constraintNames struct {
	mu         sync.Mutex
	configured map[string]bool
	tenants    map[string]bool
}

// configure names constraints of the configuration, of which there may be any number.
func (n *constraintNames) configure(ids iter.Seq[string]) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.configured == nil {
		n.configured = map[string]bool{}
	}
	for id := range ids {
		n.configured[id] = true
	}
}

// label is the constraint's id, or otherConstraints.
func (n *constraintNames) label(id string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.configured[id] || n.tenants[id]:
		return id
	case len(n.tenants) >= maxTenantsNames:
		return otherConstraints
	case n.tenants == nil:
		n.tenants = map[string]bool{}
	}
	n.tenants[id] = true
	return id
}
