// Package impact says what a change of policies or settings would have done: it decides recorded decisions again under candidate rules, and counts and shows which come out otherwise (spec/policy.md, `caio policy impact`).
//
// It changes nothing and proves nothing: what it reports is no decision. Matching does not depend on policies, so that of each decision only the recorded candidates are decided again, with the history and the time that it recorded.
package impact

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"sync"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/verify"
)

// Case is a recorded decision: what it depended on, and what came out.
type Case struct {
	ID     string
	Tenant string
	// Link leads to the stored explanation: the path of the document. Without one an example carries the recorded decision too.
	Link string

	Request   *contracts.Request
	Principal contracts.Principal
	// Services are the candidates, those that matched, with the attestation that they had.
	Services []*engine.Service
	History  map[string]contracts.History // by service
	Time     time.Time
	Recorded verify.Decision

	// Hidden says that a text is gone which scoring reads: the objectives of services that were not scored then can't be known.
	Hidden bool
	Rules  *Rules
	// OtherRules says that the decision was made under others than Rules.InForce.
	OtherRules bool
}

// ErrErased says that a decision's document was erased, as it should have been.
var ErrErased = errors.New("its document was erased")

// Pending is a case that is still to be read. What is known of it already says, if it can't be read, which one that was.
type Pending struct {
	Name   string // the decision's id, or where it stands
	Tenant string
	Intent string // "" where it is not known yet
	// Read is called once, by any goroutine. Its error is ErrErased where that is why there is nothing to read.
	Read func(context.Context) (*Case, error)
}

// Options of a run. The zero value decides with all processors, and shows [DefaultExamples].
type Options struct {
	// Examples is how many are shown of each kind; 0 is DefaultExamples, less than 0 none.
	Examples int
	// Workers is how many decide at once; 0 is one for each processor.
	Workers int
	// Turn is called before a case is decided and gives back what to call after; nil where nobody else needs the processors.
	Turn func(context.Context) (done func(), err error)
	// Progress is told how many cases are done, by one goroutine at a time; nil for nobody.
	Progress func(done int64)
}

// DefaultExamples is how many examples are shown of each kind unless Options say otherwise.
const DefaultExamples = 5

// window is how many cases are under way for each worker: enough that none waits for a slow one, few enough to bound the memory.
const window = 8

// Run decides every case again and reports what differs. The report depends on the cases and their order alone: how they are scheduled does not show. Memory is bounded by the workers, not by the number of cases.
//
// A case that was erased is counted. One that can't be read or decided is counted and named in the report. The error is that of ctx, or the one with which cases ended.
func Run(ctx context.Context, cases iter.Seq2[Pending, error], o Options) (*Report, error) {
	decider, err := engine.New(engine.Options{})
	if err != nil {
		return nil, err
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &run{Options: o, decider: decider, jobs: make(chan job), queue: make(chan job, window*o.Workers)}
	var workers sync.WaitGroup
	defer workers.Wait()
	defer cancel() // before the wait: whoever waits for the other side gives up
	workers.Go(func() { r.feed(ctx, cases) })
	for range o.Workers {
		workers.Go(func() {
			for j := range r.jobs {
				j.done <- r.judge(ctx, j.Pending)
			}
		})
	}
	return r.collect(ctx)
}

// run is one under way. Each job stands in the queue, in order, until it is done.
type run struct {
	Options
	decider *engine.Engine
	jobs    chan job
	queue   chan job
	ended   error // with which the cases ended; read once the queue is closed
}

type job struct {
	Pending
	done chan result // of one
}

func (r *run) feed(ctx context.Context, cases iter.Seq2[Pending, error]) {
	defer close(r.queue)
	defer close(r.jobs)
	for pending, err := range cases {
		if err != nil {
			r.ended = err
			return
		}
		j := job{pending, make(chan result, 1)}
		for _, to := range []chan job{r.queue, r.jobs} {
			select {
			case to <- j:
			case <-ctx.Done():
				r.ended = ctx.Err()
				return
			}
		}
	}
}

func (r *run) collect(ctx context.Context) (*Report, error) {
	examples := r.Examples
	if examples == 0 {
		examples = DefaultExamples
	}
	t := newTally(max(0, examples))
	for j := range r.queue {
		select {
		case done := <-j.done:
			t.add(&done)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if r.Progress != nil {
			r.Progress(t.Total)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if r.ended != nil {
		return nil, r.ended
	}
	return t.report(), nil
}

// judge reads a case, decides it again, and compares.
func (r *run) judge(ctx context.Context, p Pending) result {
	res := result{name: p.Name, tenant: p.Tenant, intent: p.Intent}
	c, err := r.read(ctx, p)
	if err != nil {
		res.err = err
		return res
	}
	res.of, res.name, res.tenant, res.intent = c, c.ID, c.Tenant, c.Request.Intent.Type
	after, err := r.decide(ctx, c, c.Rules.Candidate)
	if err != nil {
		res.err = err
		return res
	}
	recorded := &outcome{Decision: c.Recorded, known: true}
	now := recorded
	if c.OtherRules && c.Rules.InForce != nil {
		if now, err = r.decide(ctx, c, c.Rules.InForce); err != nil {
			res.err = err
			return res
		}
	}
	res.compare(recorded, now, after)
	return res
}

// read turns a panic of whoever reads, who works on stored bytes, into an error of this one case.
func (r *run) read(ctx context.Context, p Pending) (c *Case, err error) {
	defer func() {
		if value := recover(); value != nil {
			c, err = nil, fmt.Errorf("reading it failed: %v", value)
		}
	}()
	return p.Read(ctx)
}

// decide is the decision under rules, as far as it can be known.
func (r *run) decide(ctx context.Context, c *Case, rules *rego.Policies) (*outcome, error) {
	if r.Turn != nil {
		done, err := r.Turn(ctx)
		if err != nil {
			return nil, err
		}
		defer done()
	}
	snapshot, err := engine.NewSnapshot(c.Services...)
	if err != nil {
		return nil, err
	}
	d, err := r.decider.Decide(ctx, engine.Arguments{Request: c.Request, Principal: c.Principal, Snapshot: snapshot, Policies: rules, History: c.History, Time: c.Time})
	if err != nil {
		return nil, err
	}
	if len(d.Unmatched) > 0 {
		return nil, fmt.Errorf("the service %s was a candidate and does not match the request", d.Unmatched[0].Service)
	}
	after := &outcome{Decision: d, known: true}
	if c.Hidden {
		after.recall(c)
	}
	return after, nil
}
