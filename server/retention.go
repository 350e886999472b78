package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/smarthausgroup/caio/internal/seal"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/verify"
)

// Retention says for how long content and documents of decisions are kept (spec/proof.md, "Commitments and erasure"). Nothing is erased for its age where nothing is said.
type Retention struct {
	// Classes are ages by the name of a class, which statements claim. The class standard needs no entry.
	Classes map[string]RetentionClass
	// Tenants are classes by tenant; standard for those that are not named.
	Tenants map[string]string
}

// RetentionClass is after how many days what is erased, counted from the end of the month (UTC) in which it was decided; 0 is never. Documents go with, or after, the content.
type RetentionClass struct{ ContentDays, DocumentDays int }

var classForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

func (r Retention) class(tenant string) string {
	if class, ok := r.Tenants[tenant]; ok {
		return class
	}
	return verify.RetentionStandard
}

// Check is why a retention is none: a class without a form, documents that would go before their content, a tenant of a class that there is not.
func (r Retention) Check() error {
	for _, name := range slices.Sorted(maps.Keys(r.Classes)) {
		c := r.Classes[name]
		switch {
		case !classForm.MatchString(name):
			return fmt.Errorf("server: a class of retention has a name of the form %s, not %q", classForm, name)
		case c.ContentDays < 0 || c.DocumentDays < 0:
			return fmt.Errorf("server: the class of retention %s: days are 0 or more", name)
		case c.DocumentDays > 0 && (c.ContentDays == 0 || c.ContentDays > c.DocumentDays):
			return fmt.Errorf("server: the class of retention %s: documents can't go before the content that they commit to", name)
		}
	}
	for tenant, name := range r.Tenants {
		if _, ok := r.Classes[name]; !ok && name != verify.RetentionStandard {
			return fmt.Errorf("server: the retention of the tenant %s is %q, and there is no such class", tenant, name)
		}
	}
	return nil
}

// due is the last month of which everything is older than so many days; false for 0 days.
func due(now time.Time, days int) (month int64, ok bool) {
	return seal.MonthOf(now.AddDate(0, 0, -days)) - 1, days > 0
}

// monthForm is how an entry states a month.
const monthForm = "2006-01"

// sweepEvery is how often the server looks for what has expired.
const sweepEvery = time.Hour

// startSweeping sweeps at once and then at intervals.
func (s *Server) startSweeping() {
	ctx, cancel := context.WithCancel(context.Background())
	var sweeping sync.WaitGroup
	s.stopSweeping = func() { cancel(); sweeping.Wait() }
	sweeping.Go(func() {
		ticker := time.NewTicker(sweepEvery)
		defer ticker.Stop()
		for {
			if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
				s.config.Logger.Error("what has expired could not be erased; it is tried again", slog.Any("error", err))
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
		}
	})
}

// Sweep erases what is older than its class of retention is kept, of every tenant, and states each in its log; where that fails for one tenant, the others' is erased all the same. It overwrites what an erasure before could not. The server does it by itself, every hour.
func (s *Server) Sweep(ctx context.Context) error {
	if err := s.config.Subjects.Scrub(ctx); err != nil {
		return err
	}
	var errs []error
	for _, t := range s.openTenants() {
		errs = append(errs, s.sweep(ctx, t))
	}
	return errors.Join(errs...)
}

func (s *Server) sweep(ctx context.Context, t *tenant) error {
	for _, class := range slices.Sorted(maps.Keys(s.config.Retention.Classes)) {
		ages := s.config.Retention.Classes[class]
		if month, ok := due(s.now(), ages.ContentDays); ok {
			if err := s.expire(ctx, t, class, month, false); err != nil {
				return err
			}
		}
		if month, ok := due(s.now(), ages.DocumentDays); ok {
			if err := s.expire(ctx, t, class, month, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// expire erases content, and documents where that is said, of a class up to a month. The class of each decision is held to its statement first, which takes a second for some thousands: nobody waits for that.
func (s *Server) expire(ctx context.Context, t *tenant, class string, month int64, documents bool) error {
	due, err := s.expiring(ctx, t, class, month, documents)
	if err != nil || due == nil {
		return err
	}
	if err := s.holdSpan(ctx, t, store.Span{From: due.aged.From, To: due.aged.To}); err != nil {
		return err
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	if due, err = s.expiring(ctx, t, class, month, documents); err != nil || due == nil {
		return err
	}
	all := due.aged
	all.Keep = store.Holding{}
	left, err := s.erasable(ctx, t.everywhere(all))
	if err != nil {
		return err
	}
	a := act{actor: s.config.Issuer, reason: "retention", at: s.now()}
	r := verify.ErasureRecord{Kind: verify.KindExpired, Retention: class, Through: seal.MonthEnd(month - 1).Format(monthForm), Kept: left - due.rows, Documents: documents}
	if _, err := s.eraseEntries(ctx, t, a, erasing{r, t.everywhere(due.aged)}); err != nil {
		return err
	}
	return s.config.Subjects.Expire(ctx, t.name, class, month, due.keep)
}

// expiring is what is due for its age: which decisions, of how many there is something left, and the subjects whose keys are kept all the same.
type expiring struct {
	aged store.Erasure
	rows int64
	keep map[string]bool
}

// expiring is nil where nothing is due, or everything is held.
func (s *Server) expiring(ctx context.Context, t *tenant, class string, month int64, documents bool) (*expiring, error) {
	now := t.keeping.Load()
	holding, everything := now.holding()
	if everything {
		return nil, nil
	}
	keep, err := s.keptSubjects(ctx, t, holding)
	if err != nil {
		return nil, err
	}
	due := &expiring{keep: keep}
	due.aged = store.Erasure{Retention: class, From: now.expiredUntil(class, documents), To: seal.MonthEnd(month), Keep: holding, Documents: documents}
	if due.rows, err = s.erasable(ctx, t.everywhere(due.aged)); err != nil {
		return nil, err
	}
	keys, err := s.config.Subjects.Due(ctx, t.name, class, month, keep)
	if err != nil || due.rows == 0 && keys == 0 {
		return nil, err
	}
	return due, nil
}

// keptSubjects are the subjects, by their opaque ids, whose keys holds need.
func (s *Server) keptSubjects(ctx context.Context, t *tenant, h store.Holding) (map[string]bool, error) {
	keep := map[string]bool{}
	if len(h.Subjects)+len(h.Decisions) == 0 {
		return keep, nil
	}
	subjects, err := s.heldSubjects(ctx, t, h)
	for _, id := range append(subjects, h.Subjects...) {
		keep[id] = true
	}
	return keep, err
}

// expiredUntil is the moment before which nothing of a class is left to erase: holds kept nothing.
func (k *keeping) expiredUntil(class string, documents bool) (until time.Time) {
	for _, e := range k.expired {
		if month, err := time.Parse(monthForm, e.Through); err == nil && e.Retention == class && e.Kept == 0 && (e.Documents || !documents) {
			if end := seal.MonthEnd(seal.MonthOf(month)); end.After(until) {
				until = end
			}
		}
	}
	return until
}

// expireAgain destroys keys that entries say have expired, and that are there still, or again: entries of the tenant's log, and those of before it.
func (s *Server) expireAgain(ctx context.Context, t *tenant) error {
	now := t.keeping.Load()
	holding, everything := now.holding()
	if everything {
		return nil
	}
	keep, err := s.keptSubjects(ctx, t, holding)
	if err != nil {
		return err
	}
	for _, e := range slices.Concat(now.expired, t.before) {
		if e.Kind != verify.KindExpired {
			continue
		}
		month, err := time.Parse(monthForm, e.Through)
		if err != nil {
			return fmt.Errorf("server: an entry of the log %s says that %q expired, which is no month: %w", e.Log, e.Through, err)
		}
		if err := s.config.Subjects.Expire(ctx, t.name, e.Retention, seal.MonthOf(month), keep); err != nil {
			return err
		}
	}
	return nil
}
