package witness

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/smarthausgroup/caio/verify/tlog"
)

// Log is what rounds need of a log.
type Log interface {
	// Key is that of its checkpoints, whose name is the origin.
	Key() tlog.Key
	// Checkpoint is the latest that was published, signed by the log.
	Checkpoint(ctx context.Context) (tlog.Checkpoint, error)
	// Prove is a [Prover].
	Prove(ctx context.Context, from, to int64) ([]tlog.Hash, error)
}

// Result is what came of asking a witness.
type Result string

// The results. Behind and Forked are faults of the log, not of the witness; WentBack is told beside what came of asking it then.
const (
	Cosigned Result = "cosigned"
	Failed   Result = "failed"  // not reached in time, or not well: asked again
	Refused  Result = "refused" // does not know the log, or its key
	Behind   Result = "behind"  // has cosigned a larger checkpoint of the log than there is
	Forked   Result = "forked"  // has cosigned something else under the log's name
	Clock    Result = "clock"   // cosigned at a time that is not this one: left out
	WentBack Result = "back"    // knows less of the log than it cosigned before
)

// maxSkew is how far a witness's clock may be off from the server's. A verifier forgives a minute between a decision's time and those of the cosignatures around it, and a server lets a decision take 50 s of that until it is in the log: a checkpoint may be cosigned meanwhile that does not hold it. With more than what is left the decision would seem to be dated back.
const maxSkew = 10 * time.Second

// ClockError says that a witness cosigned at a time that is not the one at which it was asked.
type ClockError struct{ Time, Now time.Time }

// Error tells what to do.
func (e *ClockError) Error() string {
	return fmt.Sprintf("it cosigned at %s, when it was %s here: one of the two clocks is wrong, and the cosignature is left out, since decisions would seem to be dated back under it", e.Time.UTC().Format(time.RFC3339), e.Now.UTC().Format(time.RFC3339))
}

// BackError says that a witness does not know any more what it cosigned before.
type BackError struct{ Was, Is int64 } // sizes

// Error tells what to do.
func (e *BackError) Error() string {
	return fmt.Sprintf("it cosigned the log at size %d, and knows it at size %d now: its state is an older copy, so that it would vouch for another log in place of this one from there on. Whoever runs it has to put the newest state back, or to begin with a new key", e.Was, e.Is)
}

// resultOf says what an error of [Client.Cosign] comes to.
func resultOf(err error) Result {
	var refused *RefusedError
	var size *SizeError
	var clock *ClockError
	var back *BackError
	switch {
	case err == nil:
		return Cosigned
	case errors.As(err, &clock):
		return Clock
	case errors.As(err, &back):
		return WentBack
	case errors.As(err, &size):
		return Behind
	case errors.As(err, &refused) && refused.Forked():
		return Forked
	case errors.As(err, &refused):
		return Refused
	}
	return Failed
}

// Answer is what a witness said to a checkpoint. Err is nil where it cosigned. Of one that went back there are two.
type Answer struct {
	Witness *Client
	Origin  string
	Size    int64
	Result  Result
	Err     error
}

// Options of rounds. What is marked as required has no default.
type Options struct {
	Witnesses []*Client // required
	// Quorum is how many of the witnesses must have cosigned a checkpoint before it is kept, all of them when 0.
	Quorum  int
	Archive *Archive                                 // required
	Logs    func(ctx context.Context) ([]Log, error) // required: those there are by now
	Clock   func() time.Time                         // required
	Observe func(Answer)                             // required: told of every answer; concurrently

	Interval  time.Duration // between the rounds: 10 s
	Heartbeat time.Duration // after which a checkpoint is cosigned again though the log has not grown: 1 min
	Timeout   time.Duration // of asking one witness: 10 s
	MaxRest   time.Duration // of a witness that fails: doubles from one interval on to 5 min
	Parallel  int           // logs that are taken round at once: 8
}

// Rounds takes the latest checkpoints of logs round the witnesses, and keeps those that a quorum cosigned. All witnesses are given the same checkpoint.
type Rounds struct {
	Options

	mu    sync.Mutex
	sizes map[place]int64 // that a witness last cosigned, as far as is known
	rests map[place]rest
	kept  map[string]kept // by origin
}

// place is a witness, and a log with it; the origin is "" for what concerns all logs of the witness.
type place struct {
	witness int
	origin  string
}

// rest is how long a witness is not asked.
type rest struct {
	length time.Duration
	until  time.Time
}

type kept struct {
	size int64
	at   time.Time
}

// NewRounds checks the options and fills in the defaults.
func NewRounds(o Options) (*Rounds, error) {
	if o.Quorum == 0 {
		o.Quorum = len(o.Witnesses)
	}
	if len(o.Witnesses) == 0 || o.Quorum < 1 || o.Quorum > len(o.Witnesses) {
		return nil, fmt.Errorf("witness: %d of %d witnesses are no quorum", o.Quorum, len(o.Witnesses))
	}
	for i, w := range o.Witnesses {
		if slices.ContainsFunc(o.Witnesses[:i], func(other *Client) bool { return other.key.Public.Equal(w.key.Public) }) {
			return nil, fmt.Errorf("witness: another witness has the key of %s, and would count twice", w.key.Name)
		}
	}
	for value, usual := range map[*time.Duration]time.Duration{&o.Interval: 10 * time.Second, &o.Heartbeat: time.Minute, &o.Timeout: 10 * time.Second, &o.MaxRest: 5 * time.Minute} {
		if *value == 0 {
			*value = usual
		}
	}
	if o.Parallel == 0 {
		o.Parallel = 8
	}
	return &Rounds{Options: o, sizes: map[place]int64{}, rests: map[place]rest{}, kept: map[string]kept{}}, nil
}

// Run makes rounds until ctx is done. What fails is told to failed, and done again.
func (r *Rounds) Run(ctx context.Context, failed func(error)) {
	for ctx.Err() == nil {
		if err := r.Round(ctx); err != nil && ctx.Err() == nil {
			failed(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(r.Interval):
		}
	}
}

// Round takes every log round once that has grown, or was not cosigned for a heartbeat. The error is of what this side could not do; that of a witness goes to Observe.
func (r *Rounds) Round(ctx context.Context) error {
	logs, err := r.Logs(ctx)
	if err != nil {
		return err
	}
	errs := make([]error, len(logs))
	places := make(chan struct{}, r.Parallel)
	var group sync.WaitGroup
	for i, log := range logs {
		places <- struct{}{}
		group.Go(func() {
			defer func() { <-places }()
			errs[i] = r.take(ctx, log)
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// take takes one log round.
func (r *Rounds) take(ctx context.Context, log Log) error {
	c, err := log.Checkpoint(ctx)
	if err != nil {
		return fmt.Errorf("the checkpoint of %s: %w", log.Key().Name, err)
	}
	if !r.due(c) {
		return nil
	}
	c.Signatures = of(log.Key(), c.Signatures)
	given := make([]*tlog.Signature, len(r.Witnesses))
	var group sync.WaitGroup
	for i := range r.Witnesses {
		if r.resting(i, c.Origin) {
			continue
		}
		group.Go(func() {
			if s, err := r.ask(ctx, i, log, c); err == nil {
				given[i] = &s
			}
		})
	}
	group.Wait()
	cosigned := 0
	for _, s := range given {
		if s != nil {
			c.Signatures = append(c.Signatures, *s)
			cosigned++
		}
	}
	if cosigned < r.Quorum {
		return nil
	}
	// What was cosigned is kept though the server is ending.
	if err := r.Archive.Keep(context.WithoutCancel(ctx), c); err != nil {
		return err
	}
	r.mu.Lock()
	r.kept[c.Origin] = kept{c.Size, r.Clock()}
	r.mu.Unlock()
	return nil
}

// due reports whether a checkpoint is to be cosigned: not that of a log without entries.
func (r *Rounds) due(c tlog.Checkpoint) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	k, known := r.kept[c.Origin]
	return c.Size > 0 && (!known || k.size != c.Size || r.Clock().Sub(k.at) >= r.Heartbeat)
}

// ask has a witness cosign, and remembers what came of it.
func (r *Rounds) ask(ctx context.Context, i int, log Log, c tlog.Checkpoint) (tlog.Signature, error) {
	w, here := r.Witnesses[i], place{i, c.Origin}
	was := r.known(ctx, here)
	within, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	asked := r.Clock()
	given, err := w.Cosign(within, log.Key(), c, min(was, c.Size), log.Prove)
	if ctx.Err() != nil {
		return given.Signature, ctx.Err() // the server is ending: that says nothing of the witness
	}
	is := max(was, given.Known)
	if given.Known >= 0 && given.Known < was {
		is = given.Known
		back := &BackError{was, is}
		r.Observe(Answer{w, c.Origin, c.Size, resultOf(back), back})
	}
	if err == nil {
		is = c.Size // also where its clock is wrong
		err = onTime(given.Time, asked, r.Clock())
	}
	r.Observe(Answer{w, c.Origin, c.Size, resultOf(err), err})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sizes[here] = is
	if err == nil {
		delete(r.rests, here)
		delete(r.rests, place{i, ""})
		return given.Signature, nil
	}
	if result := resultOf(err); result == Failed || result == Clock {
		here.origin = "" // whatever it is, the other logs would meet it too
	}
	if !r.rests[here].lasts(r) { // others were asked at the same time, and failed
		length := min(max(2*r.rests[here].length, r.Interval), r.MaxRest)
		r.rests[here] = rest{length, r.Clock().Add(length)}
	}
	return given.Signature, err
}

// known is the size of the latest checkpoint that a witness cosigned, as far as is known: also from before the server was started.
func (r *Rounds) known(ctx context.Context, here place) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	size, known := r.sizes[here]
	if known {
		return size
	}
	// What can't be read is found where it is written.
	if c, err := r.Archive.Latest(ctx, here.origin); err == nil && c != nil && len(of(r.Witnesses[here.witness].key, c.Signatures)) > 0 {
		size = c.Size
	}
	return size
}

// onTime is a [ClockError] where a cosignature's time is not between when it was asked for and when it came.
func onTime(at, asked, came time.Time) error {
	if at.Add(maxSkew).Before(asked) || at.After(came.Add(maxSkew)) {
		return &ClockError{at, came}
	}
	return nil
}

// resting reports whether a witness is not to be asked yet.
func (r *Rounds) resting(i int, origin string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rests[place{i, origin}].lasts(r) || r.rests[place{i, ""}].lasts(r)
}

// lasts reports whether a rest is not over: one that would last longer than any is from before the clock was set back.
func (e rest) lasts(r *Rounds) bool {
	left := e.until.Sub(r.Clock())
	return left > 0 && left <= r.MaxRest
}
