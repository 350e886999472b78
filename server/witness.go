package server

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/internal/witness"
	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/tlog"
)

// Witnesses says who cosigns the checkpoints of the logs. The zero value is nobody.
type Witnesses struct {
	Clients []*witness.Client
	// Quorum is how many of them must have cosigned a checkpoint before it is kept, all of them when 0.
	Quorum int
	// Archive keeps the cosigned checkpoints. It is required with Clients, serves what it holds without them, and stays the caller's to close, after the server.
	Archive *witness.Archive
	// Interval is between the checkpoints of a log that are sent, Heartbeat after which one is cosigned again though the log has not grown: 10 s and 1 min when 0.
	Interval, Heartbeat time.Duration
}

func (w Witnesses) check(own verify.Trust) error {
	if len(w.Clients) == 0 {
		return nil
	}
	if w.Archive == nil {
		return errors.New("server: Config.Witnesses needs an archive of what they cosign")
	}
	own.Policy = w.policy(nil)
	if err := own.CheckPolicy(); err != nil {
		return fmt.Errorf("server: the witnesses and their quorum make no policy: %w", err)
	}
	return nil
}

// keys are those of the witnesses.
func (w Witnesses) keys() []tlog.Key {
	keys := make([]tlog.Key, len(w.Clients))
	for i, c := range w.Clients {
		keys[i] = c.Key()
	}
	return keys
}

// policy asks for the quorum of the witnesses, as a verifier reads it (C2SP tlog-policy); "" without any. Those of known that are none any more it names, since what they cosigned stands in evidence, and counts on none of them.
func (w Witnesses) policy(known []tlog.Key) string {
	const all = "witnesses"
	p := tlog.Policy{Quorum: tlog.None}
	taken := map[string]bool{tlog.None: true, all: true}
	for _, c := range w.Clients {
		name := c.Key().Name
		taken[name] = true
		p.Witnesses = append(p.Witnesses, tlog.Witness{Name: name, Key: c.Key(), URL: c.URL()})
	}
	if len(w.Clients) > 0 {
		g := tlog.Group{Name: all, Need: cmp.Or(w.Quorum, len(w.Clients))}
		for _, one := range p.Witnesses {
			g.Members = append(g.Members, one.Name)
		}
		p.Groups, p.Quorum = []tlog.Group{g}, all
	}
	for i, key := range known {
		if slices.ContainsFunc(w.Clients, func(c *witness.Client) bool { return c.Key().Public.Equal(key.Public) }) {
			continue
		}
		name := key.Name
		if taken[name] { // a name is the policy's own, and another witness may have taken it over
			name = fmt.Sprintf("%s/former/%d", key.Name, i)
		}
		taken[name] = true
		p.Witnesses = append(p.Witnesses, tlog.Witness{Name: name, Key: key})
	}
	if len(p.Witnesses) == 0 {
		return ""
	}
	return string(p.Encode())
}

// rememberWitnesses has the archive keep their keys, and reads those of former ones.
func (s *Server) rememberWitnesses(ctx context.Context) (err error) {
	if w := s.config.Witnesses; w.Archive != nil {
		s.witnesses, err = w.Archive.Remember(ctx, w.keys()...)
	}
	return err
}

const (
	// witnessStart is how long a start waits for what the witnesses say of the logs.
	witnessStart = 10 * time.Second
	// witnessTime is how long one of them has to show what it cosigned.
	witnessTime = 5 * time.Second
	// witnessAsked is how many are asked at once at a start.
	witnessAsked = 8
)

// heedWitnesses holds the logs to what the witnesses have cosigned, before anything is appended: a store that was put back from a copy, with the checkpoints beside it, is found here. Witnesses that can't be reached are told of, and asked again in the rounds.
func (s *Server) heedWitnesses(ctx context.Context) error {
	logs, err := s.ledger.Logs(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, witnessStart)
	defer cancel()
	var mu sync.Mutex
	var errs []error
	var group sync.WaitGroup
	places := make(chan struct{}, witnessAsked)
	for _, log := range logs {
		for _, client := range s.config.Witnesses.Clients {
			if log.Was != "" {
				continue
			}
			places <- struct{}{}
			group.Go(func() {
				defer func() { <-places }()
				if err := s.heed(s.contradiction(ctx, client, log)); err != nil {
					mu.Lock()
					defer mu.Unlock()
					errs = append(errs, err)
				}
			})
		}
	}
	group.Wait()
	return errors.Join(errs...)
}

// contradiction is a *ledger.HeadError where a witness shows a checkpoint that the log's own key signed, and that the log here does not extend. A witness's word without that is told to the operator, and changes nothing: otherwise it could stop the server.
func (s *Server) contradiction(ctx context.Context, client *witness.Client, log store.Log) error {
	ctx, cancel := context.WithTimeout(ctx, witnessTime)
	defer cancel()
	key, err := tlog.NewKey(log.Origin, tlog.Ed25519, s.logKey())
	if err != nil {
		return err
	}
	theirs, err := client.Latest(ctx, key)
	if err != nil {
		if !errors.Is(err, witness.ErrNotKept) {
			s.config.Logger.Warn("what a witness knows of a log can't be told", "witness", client.Key().Name, "log", log.Origin, slog.Any("error", err))
		}
		return nil
	}
	ours, err := tlog.ParseCheckpoint(s.ledger.Checkpoint(log.Tenant))
	if err != nil {
		return err
	}
	if theirs.Size > ours.Size {
		return &ledger.HeadError{Log: log, Published: theirs.Encode(), Err: ledger.ErrBehind, Says: fmt.Sprintf(
			"it has %d entries in the store, and the witness %s has cosigned %d: %d are missing, as in a copy of the database from before. Nothing is appended to it, since that would give their places to others. Put the newest copy of the database back. If there is none, `caio log recover` begins a new log, which commits to the lost one", ours.Size, client.Key().Name, theirs.Size, theirs.Size-ours.Size)}
	}
	proof, err := s.ledger.Consistency(ctx, log.Tenant, theirs.Size, ours.Size)
	if err == nil {
		err = ours.Extends(theirs, proof)
	}
	if errors.Is(err, tlog.ErrProof) {
		return &ledger.HeadError{Log: log, Published: theirs.Encode(), Err: ledger.ErrForked, Says: fmt.Sprintf(
			"the witness %s has cosigned another log of its name, of %d entries, which this server's key signed (%v). Put the database back that belongs to that. If there is none, `caio log recover` begins a new log, which commits to the cosigned one", client.Key().Name, theirs.Size, err)}
	}
	return err
}

// heed has nothing appended any more where a log is contradicted, and keeps the checkpoint that says so outside the store, for the next start and for a recovery.
func (s *Server) heed(err error) error {
	if head := (*ledger.HeadError)(nil); errors.As(err, &head) {
		return errors.Join(err, s.ledger.Refuse(head))
	}
	return err
}

// startWitnessing takes the checkpoints round the witnesses, beside everything else: no decision waits for them.
func (s *Server) startWitnessing() error {
	s.stopWitnessing = func() {}
	w := s.config.Witnesses
	if len(w.Clients) == 0 {
		return nil
	}
	rounds, err := witness.NewRounds(witness.Options{
		Witnesses: w.Clients, Quorum: w.Quorum, Archive: w.Archive, Logs: s.witnessed, Clock: s.config.Clock, Observe: s.witnessAnswered, Interval: w.Interval, Heartbeat: w.Heartbeat,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	s.stopWitnessing = func() { cancel(); running.Wait() }
	running.Go(func() {
		rounds.Run(ctx, func(err error) {
			s.config.Logger.Error("checkpoints could not be taken to the witnesses; it is tried again", slog.Any("error", err))
		})
	})
	return nil
}

// witnessAnswered counts an answer. Where the witness says that a log is not the one that it cosigned, it is asked for the proof of that; with that, nothing is appended any more.
func (s *Server) witnessAnswered(a witness.Answer) {
	s.metrics.witnessed(a, s.config.Clock())
	switch a.Result {
	case witness.Cosigned:
		return
	case witness.WentBack:
		s.config.Logger.Warn("a witness forgot what it cosigned", "witness", a.Witness.Key().Name, "log", a.Origin, "size", a.Size, "result", string(a.Result), slog.Any("error", a.Err))
		return
	case witness.Behind, witness.Forked:
		if log, ok := s.ledger.Origin(a.Origin); ok {
			if err := s.heed(s.contradiction(context.Background(), a.Witness, log)); err != nil {
				s.config.Logger.Error("a log is not the one that a witness cosigned, or can not be compared with it; where it is another, nothing is appended any more", slog.Any("error", err))
				return
			}
		}
	}
	s.config.Logger.Warn("a witness did not cosign", "witness", a.Witness.Key().Name, "log", a.Origin, "size", a.Size, "result", string(a.Result), slog.Any("error", a.Err))
}

// witnessed lists the logs that are in use.
func (s *Server) witnessed(ctx context.Context) ([]witness.Log, error) {
	logs, err := s.ledger.Logs(ctx)
	if err != nil {
		return nil, err
	}
	var list []witness.Log
	for _, log := range logs {
		key, err := tlog.NewKey(log.Origin, tlog.Ed25519, s.logKey())
		if err != nil {
			return nil, err
		}
		if log.Was == "" {
			list = append(list, &witnessedLog{s.ledger, log.Tenant, key})
		}
	}
	return list, nil
}

// witnessedLog is a tenant's log as [witness.Rounds] sees it.
type witnessedLog struct {
	ledger *ledger.Ledger
	tenant string
	key    tlog.Key
}

func (l *witnessedLog) Key() tlog.Key { return l.key }

func (l *witnessedLog) Checkpoint(context.Context) (tlog.Checkpoint, error) {
	return tlog.ParseCheckpoint(l.ledger.Checkpoint(l.tenant))
}

func (l *witnessedLog) Prove(ctx context.Context, from, to int64) ([]tlog.Hash, error) {
	return l.ledger.Consistency(ctx, l.tenant, from, to)
}

// bracketed puts into evidence of a decision what was cosigned around it: the text of the last checkpoint from before the decision, and of the first that holds it, where that is not the one under which the evidence is given, and where there are any. Their times say between when it was written.
// It returns the one under which it is given, with the entries up to last: the first that was cosigned, or the latest of the log where none was so far.
func (s *Server) bracketed(ctx context.Context, t *tenant, decision, last int64, ev *verify.Evidence) (at tlog.Checkpoint, err error) {
	at, err = tlog.ParseCheckpoint(s.ledger.Checkpoint(t.logName()))
	if err != nil || s.config.Witnesses.Archive == nil {
		return at, err
	}
	_, after, err := s.around(ctx, t.origin, last)
	if err != nil {
		return at, err
	}
	if after != nil && after.Size <= at.Size {
		at = *after
	}
	before, first, err := s.around(ctx, t.origin, decision)
	if err != nil {
		return at, err
	}
	if ev.Earlier, err = s.extended(ctx, t, before, at); err != nil {
		return at, err
	}
	ev.First, err = s.extended(ctx, t, first, at)
	return at, err
}

// extended is a checkpoint with the proof that at extends it, as evidence holds it; nil where there is none, or none that is smaller.
func (s *Server) extended(ctx context.Context, t *tenant, c *tlog.Checkpoint, at tlog.Checkpoint) ([]byte, error) {
	if c == nil || c.Size >= at.Size {
		return nil, nil
	}
	hashes, err := s.ledger.Consistency(ctx, t.logName(), c.Size, at.Size)
	return verify.Earlier{Hashes: hashes, Checkpoint: *c}.Encode(), err
}

// cosigned is the latest checkpoint of a log that the witnesses' quorum cosigned; nil where there is none.
func (s *Server) cosigned(ctx context.Context, log store.Log) (*tlog.Checkpoint, error) {
	if s.config.Witnesses.Archive == nil {
		return nil, nil
	}
	if log.Was != "" { // of one that was given up witnesses may have seen more than is left of it
		latest, _, err := s.config.Witnesses.Archive.Around(ctx, log.Origin, log.Size)
		return s.sound(latest), err
	}
	latest, err := s.config.Witnesses.Archive.Latest(ctx, log.Origin)
	return s.sound(latest), err
}

// around gives the two cosigned checkpoints around an entry, as the archive does.
func (s *Server) around(ctx context.Context, origin string, index int64) (before, after *tlog.Checkpoint, err error) {
	before, after, err = s.config.Witnesses.Archive.Around(ctx, origin, index)
	return s.sound(before), s.sound(after), err
}

// sound is a checkpoint of the archive if all of its signatures hold, and nil otherwise: one that somebody changed there, or that a witness cosigned whose key nobody kept, would make evidence fail.
func (s *Server) sound(c *tlog.Checkpoint) *tlog.Checkpoint {
	if c == nil {
		return nil
	}
	key, err := tlog.NewKey(c.Origin, tlog.Ed25519, s.logKey())
	var unknown []tlog.Signature
	if err == nil {
		_, unknown, err = c.Verify(append(slices.Clip(s.witnesses), key)...)
	}
	if errors.Is(err, tlog.ErrUntrusted) { // of a log that was given up with its key
		return c
	}
	if err == nil && len(unknown) > 0 {
		err = fmt.Errorf("it carries a signature of %q, whose key was never that of a witness here", unknown[0].Name)
	}
	if err != nil {
		s.config.Logger.Error("a cosigned checkpoint of the archive does not hold, and is left out of evidence", "log", c.Origin, "size", c.Size, slog.Any("error", err))
		return nil
	}
	return c
}

// withCosignatures is the latest checkpoint of a log, cosigned where it is the one that the witnesses know.
func (s *Server) withCosignatures(ctx context.Context, log store.Log, latest []byte) ([]byte, error) {
	cosigned, err := s.cosigned(ctx, log)
	if err != nil || cosigned == nil {
		return latest, err
	}
	if text := cosigned.Encode(); bytes.HasPrefix(text, latest) {
		return text, nil
	}
	return latest, nil
}

// getCosigned gives the latest checkpoint that the witnesses' quorum cosigned.
func (s *Server) getCosigned(c *call) error {
	log, err := s.logOf(c)
	if err != nil {
		return err
	}
	latest, err := s.cosigned(c.ctx(), log)
	if err != nil {
		return err
	}
	if latest == nil {
		return newProblem(http.StatusNotFound, "unwitnessed", "No witness has cosigned a checkpoint of this log so far; /log/{origin}/checkpoint is what the log alone says.")
	}
	c.Response().Header().Set("Cache-Control", "no-cache")
	return c.Blob(http.StatusOK, textMedia, latest.Encode())
}
