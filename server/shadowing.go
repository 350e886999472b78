package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/smarthausgroup/caio/engine"
	"github.com/smarthausgroup/caio/engine/impact"
	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/verify"
)

// decidedCase is a decision that was stored, with everything that it followed from.
type decidedCase struct {
	tenant    *tenant
	inForce   *inForce
	id        string
	document  string // digest
	arguments engine.Arguments
	decision  *engine.Decision
}

// shadowing evaluates bundles beside those in force, once the decision is stored, and records what differs (spec/policy.md, "Shadow"). One goroutine does, so that decisions keep the processors; what it can't keep up with is dropped, and counted.
type shadowing struct {
	s     *Server
	ended chan struct{} // closed when the goroutine is done

	// stopping ends what is under way when the time for a shutdown is over.
	stopping context.Context
	stop     context.CancelFunc

	mu      sync.Mutex
	waiting map[string][]decidedCase // by tenant, at most Limits.Shadows of each
	order   []string                 // the tenants with something waiting, each once, in the order of their turns
	more    *sync.Cond               // over mu: something waits, or nothing will come any more
	closed  bool

	counts sync.Map // shadowKey -> *shadowState

	// The rest is the goroutine's alone.
	rules    map[shadowKey]*shadowRules
	diverged []divergence // to be recorded
	recorded time.Time    // when they were last
}

// divergence is one that was found, and not yet signed.
type divergence struct {
	tenant *tenant
	record shadowRecord
}

// shadowKey names a bundle of a tenant.
type shadowKey struct{ tenant, digest string }

// shadowState is what became of a bundle's evaluations since the start.
type shadowState struct {
	same, diverged, failed, dropped atomic.Int64
	fault                           atomic.Pointer[string] // why it can't be evaluated; nil if it can
}

// shadowRules are the rules in force with one bundle put in.
type shadowRules struct {
	from  *rules // those in force that they were made of
	index int64  // of the entry that began it
	rules *rules
	err   error
	late  int // evaluations in a row that ended by their time
}

const (
	// shadowGroup is how many divergences one transaction records at most.
	shadowGroup = 64
	// maxShadowRules bounds how many rules are kept; they are made anew when needed.
	maxShadowRules = 64
	// shadowTime bounds one evaluation. What takes longer would keep the others waiting, and after maxLate times in a row it is set aside.
	shadowTime = time.Second
	maxLate    = 5
)

// errAside says that a bundle is not evaluated any more, until something else is in force, it is shadowed anew, or the server is started again.
var errAside = fmt.Errorf("its evaluations did not end within %v, %d times in a row: it is set aside until it is shadowed anew, or something else is in force", shadowTime, maxLate)

func newShadowing(s *Server) *shadowing {
	w := &shadowing{s: s, waiting: map[string][]decidedCase{}, ended: make(chan struct{}), rules: map[shadowKey]*shadowRules{}}
	w.more = sync.NewCond(&w.mu)
	w.stopping, w.stop = context.WithCancel(context.Background())
	go w.run()
	return w
}

// offer takes a decision to be evaluated again, if there is a bundle to evaluate and room; it never waits.
func (w *shadowing) offer(c decidedCase) {
	if len(c.inForce.shadows) == 0 {
		return
	}
	w.mu.Lock()
	name := c.tenant.name
	queue := w.waiting[name]
	full := w.closed || len(queue) >= w.s.config.Limits.Shadows
	if !full {
		if len(queue) == 0 {
			w.order = append(w.order, name)
		}
		w.waiting[name] = append(queue, c)
		w.more.Signal()
	}
	w.mu.Unlock()
	if full {
		w.drop(c)
	}
}

// next waits for a case, of one tenant after the other, so that none waits for all that another has. It is the last of those that wait now if last.
func (w *shadowing) next() (c decidedCase, last, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.order) == 0 {
		if w.closed {
			return c, true, false
		}
		w.more.Wait()
	}
	name := w.order[0]
	queue := w.waiting[name]
	c, w.order = queue[0], w.order[1:]
	queue[0] = decidedCase{} // it holds much
	if len(queue) == 1 {
		delete(w.waiting, name)
	} else {
		w.waiting[name], w.order = queue[1:], append(w.order, name)
	}
	return c, len(w.order) == 0, true
}

func (w *shadowing) drop(c decidedCase) {
	for _, b := range c.inForce.shadows {
		w.s.metrics.shadowDropped.Inc()
		w.state(shadowKey{c.tenant.name, b.Digest}).dropped.Add(1)
	}
}

func (w *shadowing) state(key shadowKey) *shadowState {
	state, _ := w.counts.LoadOrStore(key, &shadowState{})
	return state.(*shadowState)
}

// counted is what became of a bundle's evaluations since the start, and why it can't be evaluated, if that is so.
func (w *shadowing) counted(t *tenant, digest string) (counts ShadowCounts, fault string) {
	state := w.state(shadowKey{t.name, digest})
	if told := state.fault.Load(); told != nil {
		fault = *told
	}
	return ShadowCounts{Same: state.same.Load(), Diverged: state.diverged.Load(), Failed: state.failed.Load(), Dropped: state.dropped.Load()}, fault
}

// drain takes nothing more, evaluates what is queued, and records it. What is not done when ctx is, is dropped.
func (w *shadowing) drain(ctx context.Context) error {
	w.mu.Lock()
	w.closed = true
	w.more.Signal()
	w.mu.Unlock()
	select {
	case <-w.ended:
		return nil
	case <-ctx.Done():
		w.stop()
		<-w.ended
		return fmt.Errorf("server: not every decision was evaluated beside what is in force: %w", ctx.Err())
	}
}

func (w *shadowing) run() {
	defer close(w.ended)
	for {
		c, last, ok := w.next()
		if !ok {
			break
		}
		if w.stopping.Err() != nil {
			w.drop(c)
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(c.inForce.shadows)) {
			w.compare(c, c.inForce.shadows[name])
		}
		if len(w.diverged) >= shadowGroup || last || time.Since(w.recorded) > shadowTime/2 {
			w.record()
		}
	}
	w.record()
}

// compare evaluates one decision again with one bundle put in.
func (w *shadowing) compare(c decidedCase, b ledger.Bundle) {
	key := shadowKey{c.tenant.name, b.Digest}
	after, err := w.evaluate(c, b, key)
	if err == nil {
		finding := findingOf(c.decision, &after)
		if finding.Kind == impact.Unchanged {
			w.s.metrics.shadowEvaluations.WithLabelValues(shadowSame).Inc()
			w.state(key).same.Add(1)
			return
		}
		w.add(c, b, finding)
		return
	}
	if errors.Is(err, errAside) {
		w.s.metrics.shadowDropped.Inc()
		w.state(key).dropped.Add(1)
		return
	}
	w.failed(key, err)
}

func (w *shadowing) failed(key shadowKey, err error) {
	w.s.metrics.shadowEvaluations.WithLabelValues(shadowFailed).Inc()
	w.state(key).failed.Add(1)
	w.s.config.Logger.Warn("a bundle could not be evaluated beside those in force", "tenant", key.tenant, "bundle", key.digest, "error", err)
}

// evaluate decides with the arguments of the decision, but for the policies. What goes wrong there stays there.
func (w *shadowing) evaluate(c decidedCase, b ledger.Bundle, key shadowKey) (after engine.Decision, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = w.s.panicked(value)
		}
	}()
	made := w.candidate(c, b, key)
	if made.err != nil {
		return after, made.err
	}
	ctx, cancel := context.WithTimeout(w.stopping, min(shadowTime, w.s.config.Limits.Decision))
	defer cancel()
	arguments := c.arguments
	arguments.Policies = made.rules.policies
	after, err = w.s.engine.Decide(ctx, arguments)
	switch {
	case w.stopping.Err() != nil:
	case ctx.Err() == nil:
		made.late = 0
	default:
		if made.late++; made.late == maxLate {
			made.err = errAside
			w.s.metrics.shadowsAside.Inc()
			text := errAside.Error()
			w.state(key).fault.Store(&text)
		}
	}
	return after, err
}

// candidate makes the rules, or finds them made: as long as what is in force stays the same, they do.
func (w *shadowing) candidate(c decidedCase, b ledger.Bundle, key shadowKey) *shadowRules {
	if made, ok := w.rules[key]; ok && made.from == c.inForce.rules && made.index == b.Index {
		return made
	}
	if len(w.rules) >= maxShadowRules {
		clear(w.rules)
	}
	made := &shadowRules{from: c.inForce.rules, index: b.Index}
	w.rules[key] = made
	bundle, err := w.s.storedBundle(w.stopping, c.tenant, referenceTo(b))
	if err == nil {
		made.rules, err = w.s.candidateRules(c.inForce, bundle, nil)
	}
	made.err = err
	var told *string
	if err != nil {
		text := err.Error()
		told = &text
	}
	w.state(key).fault.Store(told)
	return made
}

// add keeps a divergence to be recorded.
func (w *shadowing) add(c decidedCase, b ledger.Bundle, finding ShadowFinding) {
	t := c.tenant
	w.diverged = append(w.diverged, divergence{t, shadowRecord{
		Decision: c.id, Document: c.document, Bundle: b.Name, Digest: b.Digest, Key: b.Signer, ShadowFinding: finding,
	}})
}

// recordTime bounds how long divergences may take to store.
const recordTime = 10 * time.Second

// record stores the divergences that were found, together.
func (w *shadowing) record() {
	w.recorded = time.Now()
	if len(w.diverged) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), recordTime)
	defer cancel()
	_, err := w.s.appendSigned(ctx, w.sign)
	for _, d := range w.diverged {
		key := shadowKey{d.tenant.name, d.record.Digest}
		if err != nil {
			w.failed(key, fmt.Errorf("a divergence was not stored: %w", err))
			continue
		}
		w.state(key).diverged.Add(1)
		w.s.metrics.diverged(d.record.ShadowFinding)
	}
	w.diverged = w.diverged[:0]
}

// sign makes the entries of what was found.
func (w *shadowing) sign() ([]ledger.Entry, error) {
	entries := make([]ledger.Entry, len(w.diverged))
	for i, d := range w.diverged {
		var err error
		d.record.RecordHead = d.tenant.head(w.s.ledger.Size(d.tenant.name), w.s.now())
		if entries[i], err = w.s.entry(d.tenant, verify.TypShadow, d.record); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// tally counts the divergences of a bundle that the log holds, as far as it was read.
type tally struct {
	mu          sync.Mutex
	size        int64 // of the log when it was read
	divergences int64
	kinds       map[impact.Kind]int64
	constraints map[string]*ShadowConstraintCount
}

// shadowPage is how many entries are read at once.
const shadowPage = 1000

// shadowTally reads what the log has got since it was read last. Every entry is held to its signature.
func (s *Server) shadowTally(ctx context.Context, t *tenant, digest string, size int64) (*tally, error) {
	known, _ := s.tallies.LoadOrStore(shadowKey{t.name, digest}, &tally{kinds: map[impact.Kind]int64{}, constraints: map[string]*ShadowConstraintCount{}})
	y := known.(*tally)
	y.mu.Lock()
	defer y.mu.Unlock()
	var news []ShadowDivergence
	for before := size; ; {
		page, next, err := s.divergences(ctx, t, digest, y.size, before, shadowPage)
		if err != nil {
			return nil, err
		}
		news = append(news, page...)
		if next == "" {
			break
		}
		before = page[len(page)-1].Index
	}
	for i := range news {
		y.count(&news[i])
	}
	y.size = max(y.size, size)
	return y, nil
}

func (y *tally) count(d *ShadowDivergence) {
	y.divergences++
	y.kinds[d.Kind]++
	for id, side := range d.sides() {
		c := y.constraints[id]
		if c == nil {
			c = &ShadowConstraintCount{ID: id}
			y.constraints[id] = c
		}
		if side.inForce {
			c.InForce++
		}
		if side.shadow {
			c.Shadow++
		}
	}
}

type side struct{ inForce, shadow bool }

// sides are the constraints that differ, each once, and under which rules some service violates them alone.
func (f *ShadowFinding) sides() map[string]side {
	all := map[string]side{}
	for _, d := range f.Constraints {
		known := all[d.ID]
		all[d.ID] = side{known.inForce || d.InForce, known.shadow || d.Shadow}
	}
	return all
}

// divergences are at most limit of those of a bundle whose entries stand from one index on and before another, the newest first. Next is the cursor of those that follow, "" without any.
func (s *Server) divergences(ctx context.Context, t *tenant, digest string, from, before int64, limit int) (list []ShadowDivergence, next string, err error) {
	keys, err := s.publicKeys(ctx)
	if err != nil {
		return nil, "", err
	}
	list = []ShadowDivergence{}
	for {
		entries, err := s.ledger.LatestOf(ctx, t.name, verify.TypShadow, before, shadowPage)
		if err != nil {
			return nil, "", err
		}
		for i := range entries {
			if entries[i].Index < from {
				return list, "", nil
			}
			var r shadowRecord
			key, err := verify.Verify(verify.TypShadow, entries[i].Leaf, keys, &r)
			if err == nil {
				err = t.belongs(r.RecordHead, entries[i].Index, key)
			}
			if err != nil {
				return nil, "", t.misplaced(entries[i].Index, "the entry does not hold", err)
			}
			if r.Digest != digest {
				continue
			}
			if len(list) == limit {
				return list, formatIndex(list[limit-1].Index), nil
			}
			list = append(list, ShadowDivergence{
				Index: entries[i].Index, Time: time.Unix(r.IAT, 0).UTC().Format(verify.TimeFormat), DecisionID: r.Decision, Document: r.Document, ShadowFinding: r.ShadowFinding,
			})
		}
		if len(entries) < shadowPage {
			return list, "", nil
		}
		before = entries[len(entries)-1].Index
	}
}
