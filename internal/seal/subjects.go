package seal

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/smarthausgroup/caio/internal/store/sqlite"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	applicationID = 1128352075 // "CAIK", as the first migration writes it
	// maxCached bounds the keys that are held in memory.
	maxCached = 100_000
	// stripes is how many locks subjects share: an erasure waits for the decisions in flight that share one with it, and holds up those that come meanwhile.
	stripes = 256
)

// Subjects is the store of subjects' keys: one SQLite file, which no other backup may hold. What is destroyed in it is overwritten. It is safe for concurrent use.
type Subjects struct {
	file   *sqlite.File
	random io.Reader // read by the one that writes, alone
	lookup []byte
	seed   maphash.Seed

	queue   chan *wanted
	stopped chan struct{}
	closing sync.RWMutex // held for reading while something is put into the queue
	closed  bool

	// locks are held for reading while a record of one of the subjects is written, and for writing while one is destroyed. Who needs several takes them in their order.
	locks [stripes]sync.RWMutex

	mu     sync.RWMutex
	cached map[place]key
	// unfinished are those whose keys are to be destroyed, as somebody was promised, and could not be: nothing is sealed with these any more.
	unfinished map[person]Destroyed
}

// person is a subject by name.
type person struct{ tenant, subject string }

// place is what a key is for.
type place struct {
	tenant, subject, class string
	month                  int64
}

// MonthOf is the month of a moment, in UTC, counted from the year 0: the time for which a key is used.
func MonthOf(t time.Time) int64 { return int64(t.UTC().Year())*12 + int64(t.UTC().Month()) - 1 }

// MonthEnd is the first moment after a month.
func MonthEnd(month int64) time.Time {
	return time.Date(int(month/12), time.Month(month%12)+2, 1, 0, 0, 0, 0, time.UTC)
}

// Open opens the store, makes it if there is none, and brings its schema to this release's. Random is a cryptographic source, of which keys are drawn.
//
// Errors: those of [sqlite.OpenFile].
func Open(ctx context.Context, path string, random io.Reader) (*Subjects, error) {
	s := &Subjects{random: random, seed: maphash.MakeSeed(), queue: make(chan *wanted, 256), stopped: make(chan struct{}), cached: map[place]key{}, unfinished: map[person]Destroyed{}}
	files, err := fs.Sub(migrations, "migrations")
	if err == nil {
		s.file, err = sqlite.OpenFile(ctx, path, sqlite.Schema{ApplicationID: applicationID, Migrations: files, Pragmas: []string{"foreign_keys(ON)", "secure_delete(ON)", "temp_store(MEMORY)"}})
	}
	if err != nil {
		return nil, fmt.Errorf("opening the store of subjects %s: %w", path, err)
	}
	if s.lookup, err = s.drawLookup(ctx); err == nil {
		err = s.Scrub(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the store of subjects %s: %w", path, err), s.file.Close())
	}
	go s.write()
	return s, nil
}

// drawLookup reads the secret by which subjects are found, or draws it when the store is new.
func (s *Subjects) drawLookup(ctx context.Context) (secret []byte, err error) {
	err = s.file.DB.QueryRowContext(ctx, "SELECT secret FROM lookup").Scan(&secret)
	if !errors.Is(err, sql.ErrNoRows) {
		return secret, err
	}
	secret = make([]byte, keySize)
	if _, err := io.ReadFull(s.random, secret); err != nil {
		return nil, err
	}
	_, err = s.file.DB.ExecContext(ctx, "INSERT INTO lookup (one, secret) VALUES (1, ?)", secret)
	return secret, err
}

// Close makes what was asked for durable, and closes the file.
func (s *Subjects) Close() error {
	s.closing.Lock()
	if s.closed {
		s.closing.Unlock()
		return nil
	}
	s.closed = true
	close(s.queue)
	s.closing.Unlock()
	<-s.stopped
	return s.file.Close()
}

// name is what a subject is looked up by.
func (s *Subjects) name(tenant, subject string) []byte {
	mac := hmac.New(sha256.New, s.lookup)
	fmt.Fprintf(mac, "%d:%s%s", len(tenant), tenant, subject)
	return mac.Sum(nil)
}

func (s *Subjects) stripe(tenant, subject string) int {
	return int(maphash.Comparable(s.seed, [2]string{tenant, subject}) % stripes)
}

// Of says of what a record is: a decision, when it was made, the class of its retention, and whom its content is about. One who is named twice counts once.
type Of struct {
	Tenant, Decision, Class string
	Time                    time.Time
	Subjects                []string
}

// Record gives the record of a decision. Keys that its subjects lack for this class and month are made, and are durable when it returns; none of them is destroyed before [Record.Done]. Where the keys of one of them are to be destroyed and could not be, that is done first, and there is no record until it is.
func (s *Subjects) Record(ctx context.Context, of Of) (_ *Record, err error) {
	subjects := slices.Clone(of.Subjects)
	slices.Sort(subjects)
	subjects = slices.Compact(subjects)
	unlock, err := s.lock(ctx, of.Tenant, subjects)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			unlock()
		}
	}()
	keys, missing := s.find(of, subjects)
	if len(missing) > 0 {
		made, err := s.makeKeys(ctx, missing)
		if err != nil {
			return nil, err
		}
		keys = append(keys, made...)
	}
	r, err := newRecord(of.Tenant, of.Decision, keys)
	if err != nil {
		return nil, err
	}
	r.done = unlock
	return r, nil
}

// Secret is one of the subject's own for a purpose, of [keySize] bytes, the same whenever it is asked for until the subject is erased. It is made where there is none, and durable when it returns.
func (s *Subjects) Secret(ctx context.Context, tenant, subject, purpose string) ([]byte, error) {
	unlock, err := s.lock(ctx, tenant, []string{subject})
	if err != nil {
		return nil, err
	}
	defer unlock()
	keys, missing := s.find(Of{Tenant: tenant}, []string{subject}) // of no class, and so of no age
	if len(missing) > 0 {
		if keys, err = s.makeKeys(ctx, missing); err != nil {
			return nil, err
		}
	}
	return hkdf.Key(sha256.New, keys[0].secret[:], nil, domainSecret+"\x00"+purpose, keySize)
}

// lock keeps the subjects' keys from being destroyed, once none is left that had to be.
func (s *Subjects) lock(ctx context.Context, tenant string, subjects []string) (unlock func(), err error) {
	for {
		unlock := s.hold(tenant, subjects)
		due := s.notFinished(tenant, subjects)
		if len(due) == 0 {
			return unlock, nil
		}
		unlock()
		for _, p := range due {
			if err := s.finish(ctx, p); err != nil {
				return nil, err
			}
		}
	}
}

// notFinished are those of the subjects whose keys are to be destroyed and could not be.
func (s *Subjects) notFinished(tenant string, subjects []string) (due []person) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.unfinished) == 0 {
		return nil
	}
	for _, subject := range subjects {
		if p := (person{tenant, subject}); s.unfinished[p] != (Destroyed{}) {
			due = append(due, p)
		}
	}
	return due
}

func (s *Subjects) hold(tenant string, subjects []string) (unlock func()) {
	taken := make([]int, len(subjects))
	for i, subject := range subjects {
		taken[i] = s.stripe(tenant, subject)
	}
	slices.Sort(taken)
	taken = slices.Compact(taken)
	for _, n := range taken {
		s.locks[n].RLock()
	}
	return func() {
		for _, n := range taken {
			s.locks[n].RUnlock()
		}
	}
}

// find gives the keys that are in memory, and the places of the others.
func (s *Subjects) find(of Of, subjects []string) (keys []key, missing []place) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	month := MonthOf(of.Time)
	for _, subject := range subjects {
		p := place{of.Tenant, subject, of.Class, month}
		if k, ok := s.cached[p]; ok {
			keys = append(keys, k)
		} else {
			missing = append(missing, p)
		}
	}
	return keys, missing
}

// remember keeps keys in memory.
func (s *Subjects) remember(keys map[place]key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.cached)+len(keys) > maxCached {
		clear(s.cached)
	}
	for p, k := range keys {
		s.cached[p] = k
	}
}

// forget drops what is in memory of keys that are destroyed.
func (s *Subjects) forget(gone func(p place, k key) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, k := range s.cached {
		if gone(p, k) {
			delete(s.cached, p)
		}
	}
}

// Unseal gives back what [Record.Seal] sealed under the name: [ErrGone] where a key of it is not there, [ErrDamaged] where it is something else.
func (s *Subjects) Unseal(ctx context.Context, tenant, decision, name string, sealed []byte) ([]byte, error) {
	ids, err := keyIDs(sealed)
	if err != nil {
		return nil, err
	}
	keys := make([]key, len(ids))
	for i, id := range ids {
		var secret []byte
		err := s.file.DB.QueryRowContext(ctx, "SELECT k.secret FROM keys k JOIN subjects s ON s.id = k.subject WHERE k.id = ? AND s.tenant = ?", id[:], tenant).Scan(&secret)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, ErrGone
		}
		if err != nil {
			return nil, fmt.Errorf("seal: reading a key: %w", err)
		}
		keys[i].id = id
		copy(keys[i].secret[:], secret)
	}
	r, err := newRecord(tenant, decision, keys)
	if err != nil {
		return nil, err
	}
	return r.unseal(name, sealed)
}

// Find gives the opaque id of a subject; false where nothing is kept of it, or nothing is to be.
func (s *Subjects) Find(ctx context.Context, tenant, subject string) (id string, known bool, err error) {
	if len(s.notFinished(tenant, []string{subject})) > 0 {
		return "", false, nil
	}
	var raw []byte
	err = s.file.DB.QueryRowContext(ctx, "SELECT id FROM subjects WHERE tenant = ? AND name = ?", tenant, s.name(tenant, subject)).Scan(&raw)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	return hex.EncodeToString(raw), err == nil, err
}
