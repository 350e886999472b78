// Package store says what a durable store of CAIO keeps and what it MUST do; package sqlite is one, and package storetest holds the tests that every one must pass.
//
// It knows rows, not their meaning: indices are given out, groups are made and histories are counted by package ledger.
//
// Every row belongs to a tenant. A read names one and MUST never see a row of another; only [Reader.Logs], [Reader.Windows], [Reader.APIKey] and [Reader.PublicKeys] are about the installation. What isn't there, or is another tenant's, is [ErrNotFound].
// Source: spec/proof.md, "The log".
package store

import (
	"context"
	"errors"
)

// What a store reports, to be compared with errors.Is.
var (
	// ErrNotFound says that the tenant has no such thing.
	ErrNotFound = errors.New("not found")
	// ErrExists says that a row of the batch is there already; nothing of the batch was written.
	ErrExists = errors.New("exists already")
	// ErrConflict says that a log's head is not where the batch expects it, so that somebody else has written; nothing of the batch was written.
	ErrConflict = errors.New("the log's head has moved: another process has written to this store")
	// ErrInUse says that another process has the store open for writing.
	ErrInUse = errors.New("the store is in use by another process: stop that one, or give this one a store of its own")
	// ErrNewer says that the store was written by a newer release.
	ErrNewer = errors.New("the store was written by a newer release of caio: use that release, or a store of an earlier one")
	// ErrForeign says that what was opened isn't a store of CAIO, or is damaged beyond reading.
	ErrForeign = errors.New("not a store of caio, or a damaged one: check the path, or restore a backup")
	// ErrInconsistent says that rows contradict one another.
	ErrInconsistent = errors.New("the store is not as caio left it: it is damaged, or something else has written to it; restore a backup, and look who can write to it")
	// ErrCursor says that a cursor wasn't made by this store.
	ErrCursor = errors.New("not a cursor of this list")
)

// Store is a durable store with one writer. All methods are safe for concurrent use, but Commit, which has one caller at a time.
type Store interface {
	Reader

	// Commit writes the whole batch in one transaction. It MUST NOT return nil before the batch is durable: on the disk, synced, so that it survives a loss of power. When it returns an error, nothing of the batch is visible,
	// unless the connection was lost while committing: the caller compares the heads before it goes on. An empty batch changes nothing that can be read, but is written all the same, so that it shows whether the store can be.
	//
	// A log that the batch gives up keeps its entries, decisions, events, tiles and whatever else names it, under its new name; where the tenant has none, the error is ErrConflict.
	//
	// Each log of the batch MUST be advanced by compare-and-set: where its size isn't From, or a New one exists, the error is ErrConflict. A decision, entry, answer or key that is there already is ErrExists.
	Commit(ctx context.Context, b *Batch) error

	// What a batch erases, and what it seals in place of clear text, MUST be overwritten, not only forgotten, as far as the store can.
	// Close waits for reads and gives the store free. Commit MUST NOT be called any more.
	Close() error
}

// Reader reads what was committed. A read sees all of a batch or nothing, and MUST see every batch whose Commit returned before it began.
type Reader interface {
	// Logs lists the logs of all tenants, in order of tenant.
	Logs(ctx context.Context) ([]Log, error)
	// Log is the tenant's, or ErrNotFound.
	Log(ctx context.Context, tenant string) (Log, error)
	// Entries returns up to limit entries of the tenant's log, in order of index, from the index `from` on; none beyond the end.
	Entries(ctx context.Context, tenant string, from int64, limit int) ([]Entry, error)
	// Tile returns a tile of the tenant's log as wide as it is by now, or ErrNotFound.
	Tile(ctx context.Context, tenant string, level int, index int64) (Tile, error)
	// LastCheckpoint is the tenant's latest, or ErrNotFound.
	LastCheckpoint(ctx context.Context, tenant string) (Checkpoint, error)
	// EntriesOf returns all entries of the types, in order of index; never those that state decisions, which are too many. It MUST NOT read the whole log.
	EntriesOf(ctx context.Context, tenant string, types ...string) ([]Entry, error)
	// LatestOf returns up to limit entries of one type, which is not that of decisions, whose index is below `before`, the latest first. It MUST NOT read more than that.
	LatestOf(ctx context.Context, tenant, typ string, before int64, limit int) ([]Entry, error)
	// Check holds the rows of all tenants to one another, and returns ErrInconsistent, with the place, where a log does not have one entry for each index below its size and none beyond; where an event or an attempt has no entry, a grant's owner no log, or the disclosures of a decision no subject;
	// and, when types of entries are given, where an attempt's entry is of none of them, or an entry of one of them has no attempt.
	Check(ctx context.Context, attempts ...string) error

	// Decision, Document, Statement and Disclosures return the parts of one decision, or ErrNotFound. Statement is its leaf, byte for byte. Document and Disclosures are ErrNotFound, too, where they were not kept.
	Decision(ctx context.Context, tenant, id string) (Decision, error)
	Document(ctx context.Context, tenant, id string) ([]byte, error)
	Statement(ctx context.Context, tenant, id string) ([]byte, error)
	Disclosures(ctx context.Context, tenant, id string) ([]byte, error)
	// Search lists decisions, the newest first, that satisfy every condition of the query. It MUST NOT read the whole of the tenant's decisions to answer a query with one condition.
	Search(ctx context.Context, tenant string, q Query) (Page, error)
	// Kept lists the decisions of a span with their statements, documents and disclosures, in order of id, which is that of time, from after the id `after` on, "" for the first: at most limit of them, 1 to MaxLimit, and fewer where they come to MaxPageBytes, but one if there is any.
	// It MUST NOT read the whole of the tenant's decisions to give a page.
	Kept(ctx context.Context, tenant string, s Span, after string, limit int) ([]Kept, error)
	// Subjects lists the opaque ids of whom a decision is about, in order; none for one of before they were kept.
	Subjects(ctx context.Context, tenant, decision string) ([]string, error)
	// Parties lists decisions that have disclosures with how many subjects each is listed for, in order of id, from after the id `after` on, "" for the first: at most limit of them.
	Parties(ctx context.Context, tenant, after string, limit int) ([]Parties, error)
	// Held lists the subjects, by their opaque ids, in order, that take part in any of the decisions.
	Held(ctx context.Context, tenant string, h Holding) ([]string, error)
	// Erasable counts the decisions of which an erasure would delete something: the document where Documents is set, the disclosures otherwise.
	Erasable(ctx context.Context, e Erasure) (int64, error)
	// Clear lists, of all tenants, disclosures that an earlier release stored in the clear, without their subjects: at most limit of them. They are in no other answer until a batch holds them Sealed.
	Clear(ctx context.Context, limit int) ([]Sealed, error)
	// Count is the number of decisions of a span.
	Count(ctx context.Context, tenant string, s Span) (int64, error)

	// Events returns the events with from <= index < to, in order of index.
	Events(ctx context.Context, tenant string, from, to int64) ([]Event, error)
	// Blob returns bytes by their digest, or ErrNotFound.
	Blob(ctx context.Context, tenant, digest string) (Blob, error)
	// Grants lists what the owner lets others see, in order of service and tenant.
	Grants(ctx context.Context, owner string) ([]Grant, error)

	// Attempts lists the attempts of one decision, in log order.
	Attempts(ctx context.Context, tenant, decision string) ([]Attempt, error)
	// AttemptsFrom returns the attempts with from <= index, in log order: at most limit of them.
	AttemptsFrom(ctx context.Context, tenant string, from int64, limit int) ([]Attempt, error)
	// Windows lists what has attempts, of all tenants, in order.
	Windows(ctx context.Context) ([]Window, error)
	// Recent returns, in log order, every attempt of the window that is among the latest n of those not older than some moment, whatever the moment. It may return others too. Where time and log order agree, that is the latest n.
	Recent(ctx context.Context, w Window, n int) ([]Attempt, error)

	// Answer returns what was first answered to an idempotency key, or ErrNotFound.
	Answer(ctx context.Context, tenant, key, call string) (Answer, error)
	// APIKey returns the key with this SHA-256, whosever it is and also when it is revoked, or ErrNotFound.
	APIKey(ctx context.Context, hash [32]byte) (APIKey, error)
	// APIKeys lists the tenant's, in order of id.
	APIKeys(ctx context.Context, tenant string) ([]APIKey, error)
	// SigningKeys lists the keys that signed the tenant's log, in order of their first index.
	SigningKeys(ctx context.Context, tenant string) ([]SigningKey, error)
	// PublicKeys lists the signing keys of the installation, each once, in order of kid.
	PublicKeys(ctx context.Context) ([]PublicKey, error)
}
