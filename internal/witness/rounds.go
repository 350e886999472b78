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

// The results. Behind and Forked are faults of the log, not of the witness.
const (
	Cosigned Result = "cosigned"
	Failed   Result = "failed"  // not reached in time, or not well: asked again
	Refused  Result = "refused" // does not know the log, or its key
	Behind   Result = "behind"  // has cosigned a larger checkpoint of the log than there is
	Forked   Result = "forked"  // has cosigned something else under the log's name
)

// resultOf says what an error of [Client.Cosign] comes to.
func resultOf(err error) Result {
	var refused *RefusedError
	var size *SizeError
	switch {
	case err == nil:
		return Cosigned
	case errors.As(err, &size):
		return Behind
	case errors.As(err, &refused) && refused.Forked():
		return Forked
	case errors.As(err, &refused):
		return Refused
	}
	return Failed
}

// Answer is what a witness said to a checkpoint. Err is nil where it cosigned.
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
	r.mu.Lock()
	from := min(r.sizes[here], c.Size)
	r.mu.Unlock()
	within, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	s, err := w.Cosign(within, log.Key(), c, from, log.Prove)
	if ctx.Err() != nil {
		return s, ctx.Err() // the server is ending: that says nothing of the witness
	}
	r.Observe(Answer{w, c.Origin, c.Size, resultOf(err), err})
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.sizes[here] = c.Size
		delete(r.rests, here)
		delete(r.rests, place{i, ""})
		return s, nil
	}
	if resultOf(err) == Failed {
		here.origin = "" // whatever it is, the other logs would meet it too
	}
	if now := r.Clock(); !now.Before(r.rests[here].until) { // others were asked at the same time, and failed
		length := min(max(2*r.rests[here].length, r.Interval), r.MaxRest)
		r.rests[here] = rest{length, now.Add(length)}
	}
	return s, err
}

// resting reports whether a witness is not to be asked yet.
func (r *Rounds) resting(i int, origin string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.Clock()
	return now.Before(r.rests[place{i, origin}].until) || now.Before(r.rests[place{i, ""}].until)
}
