// Package server is CAIO over HTTP: it knows who asks, normalises what is asked, and takes a request along its one path, each step one call: engine.Decide, verify.NewDocument, ledger.Append, answer (spec/interface.md, "HTTP").
//
// Clock and randomness enter here, from [Config]. It holds no rule of its own about which service may do what: that is for contracts and policies.
// routes.go lists every route with the roles that it needs, problem.go maps errors to answers, and each resource has a file.
package server

import (
	"crypto"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"time"

	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/seal"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/smarthausgroup/caio/verify"
)

// Config says of what a server is made. What is marked as required has no default.
type Config struct {
	// Addr is where the server listens, "127.0.0.1:8080" when empty; DiagnosticAddr is where metrics are served without a token, nowhere when empty.
	Addr           string
	DiagnosticAddr string
	// TLS serves HTTPS when set.
	TLS *tls.Config

	// Store is required. The server opens its ledger over it, and closes that; the store stays the caller's to close.
	Store store.Store
	// Subjects is required: the keys under which the content of decisions is sealed. It stays the caller's to close, after the server.
	Subjects *seal.Subjects
	// Retention says for how long content is kept: until it is erased where nothing is said.
	Retention Retention
	// Witnesses cosign the checkpoints.
	Witnesses Witnesses
	// Clock and Rand are required: the time of decisions, and a cryptographic source for ids, salts, seeds and origins.
	Clock func() time.Time
	Rand  io.Reader
	// Signer is required: it signs what goes into the logs, until [Server.Rotate].
	Signer *verify.Signer
	// Outgoing is the signer before, needed once after a change of key: it signs the entry that hands over.
	Outgoing *verify.Signer
	// Root is the public key of the offline root, which lets keys in where the outgoing one can't or must not, and revokes them; nil where there is none.
	Root ed25519.PublicKey
	// FormerRoots are the public keys of roots before it. What they signed in a log is read under them, and nothing new is taken from them.
	FormerRoots []ed25519.PublicKey
	// Authorizations are what the root signed to let Signer in: caio-key+jws, one for each log, needed once.
	Authorizations [][]byte
	// LogSigner is required: an Ed25519 key that signs the checkpoints of the logs, and nothing else.
	LogSigner crypto.Signer
	// CheckpointDir is a folder, apart from the store, that keeps the latest checkpoint of every log; a start holds the logs to them. Nowhere when empty.
	CheckpointDir string
	// Issuer is the name of the installation in its documents, "caio" when empty.
	Issuer string

	// Bundles are the installation's baseline, which applies to every tenant.
	Bundles []*rego.Bundle
	// AllowUnsigned lets bundles be in force that no key signed. The proofs say so.
	AllowUnsigned bool
	// PolicyKeys verify the bundles that are pushed, by id.
	PolicyKeys map[string]rego.Key
	// ApproverKeys verify what approvers sign of an activation.
	ApproverKeys verify.Keys
	// Settings are the operational settings of every tenant that has none of its own in TenantSettings. Values are as contracts.Exact makes them.
	Settings       map[string]any
	TenantSettings map[string]map[string]any
	// LockedSettings names packs, or core, whose settings only people of the installation's own tenant change over the API.
	LockedSettings []string

	// Auth says whose tokens are taken. Its clock and its API keys are the server's.
	Auth auth.Config
	// Installation is the tenant whose approvers attest and grant, for every tenant, "default" when empty.
	Installation string

	Limits Limits
	// Logger is for the operator; nothing is logged when nil. No payload and nothing personal goes there.
	Logger *slog.Logger
	// Build goes into every document; [ReadBuild] when zero.
	Build verify.Build
}

// Limits bound what one caller can take up. A zero is the default, which stands beside it.
type Limits struct {
	HeaderBytes  int           // 32 KiB
	RequestBytes int64         // of a request's body: 1 MiB
	BatchBytes   int64         // of a batch: 16 MiB
	BatchSize    int           // requests of a batch: 1,000
	BundleBytes  int64         // of a bundle that is pushed, compressed: 8 MiB
	ReadHeader   time.Duration // 5 s
	Read         time.Duration // of a whole request: 30 s
	Write        time.Duration // 60 s
	Idle         time.Duration // 2 min
	Decision     time.Duration // until a decision is stored, at most 50 s: 5 s
	Gate         time.Duration // for the tests of a bundle, at most Write: 30 s, or Write where that is less
	Shutdown     time.Duration // for requests in flight, and what is queued behind them: 30 s
	Shadows      int           // decisions of one tenant that wait for a second evaluation: 1,024
	// Evaluations is how many decisions are evaluated at once, the number of CPUs times four; others wait, inside their time. One of several tenants has half of them at most.
	Evaluations int
}

// DefaultLimits are those of a server whose configuration sets none.
func DefaultLimits() Limits { return Limits{}.filled() }

func fill[T comparable](value *T, usual T) {
	var zero T
	if *value == zero {
		*value = usual
	}
}

func (l Limits) filled() Limits {
	fill(&l.HeaderBytes, 32<<10)
	fill(&l.RequestBytes, 1<<20)
	fill(&l.BatchBytes, 16<<20)
	fill(&l.BatchSize, 1000)
	fill(&l.BundleBytes, 8<<20)
	fill(&l.ReadHeader, 5*time.Second)
	fill(&l.Read, 30*time.Second)
	fill(&l.Write, 60*time.Second)
	fill(&l.Gate, min(30*time.Second, l.Write))
	fill(&l.Idle, 2*time.Minute)
	fill(&l.Decision, 5*time.Second)
	fill(&l.Shutdown, 30*time.Second)
	fill(&l.Shadows, 1024)
	fill(&l.Evaluations, 4*runtime.GOMAXPROCS(0))
	return l
}

// own are the keys of the configuration that cosign nothing.
func (c Config) own() verify.Trust {
	const log = "log" // whichever
	own := verify.Trust{Keys: verify.Keys{{Public: c.Signer.Public()}}, Root: c.Root, Logs: []verify.Log{{Origin: log}}}
	if public, ok := c.LogSigner.Public().(ed25519.PublicKey); ok { // if not, that is told where logs are opened
		own.Logs[0].Key = ledger.VKey(log, public)
	}
	return own
}

// filled checks what can be checked without opening anything, and fills in the defaults.
func (c Config) filled() (Config, error) {
	for name, missing := range map[string]bool{"Store": c.Store == nil, "Subjects": c.Subjects == nil, "Clock": c.Clock == nil, "Rand": c.Rand == nil, "Signer": c.Signer == nil, "LogSigner": c.LogSigner == nil} {
		if missing {
			return c, fmt.Errorf("server: Config.%s is required", name)
		}
	}
	fill(&c.Addr, "127.0.0.1:8080")
	fill(&c.Issuer, "caio")
	fill(&c.Installation, "default")
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Build == (verify.Build{}) {
		build, err := ReadBuild()
		if err != nil {
			return c, err
		}
		c.Build = build
	}
	if err := c.checkRoots(); err != nil {
		return c, err
	}
	if err := errors.Join(c.Retention.Check(), c.Witnesses.check(c.own())); err != nil {
		return c, err
	}
	c.Limits = c.Limits.filled()
	if c.Limits.Decision > promise {
		return c, fmt.Errorf("server: a decision may take %v, and what is signed of it has to be in the log within a minute: allow it %v at most", c.Limits.Decision, promise)
	}
	if c.Limits.Gate > c.Limits.Write {
		return c, fmt.Errorf("server: the tests of a bundle may take %v, and its request ends after %v: allow them less", c.Limits.Gate, c.Limits.Write)
	}
	names := map[string]bool{}
	for _, b := range c.Bundles {
		if b.Key == "" && !c.AllowUnsigned {
			return c, fmt.Errorf("server: no key signed the bundle %s: sign it, or allow unsigned bundles for development", b.Name)
		}
		if names[b.Name] {
			return c, fmt.Errorf("server: two bundles are named %s", b.Name)
		}
		names[b.Name] = true
	}
	if c.Auth.Clock != nil || c.Auth.APIKeys != nil {
		return c, errors.New("server: Config.Auth must leave clock and API keys to the server")
	}
	return c, nil
}
