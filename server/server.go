package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/labstack/echo/v4"

	"github.com/smarthausgroup/caio/engine"
	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/tlog"
)

// Server answers over HTTP. Make one with [New]; it is safe for concurrent use.
type Server struct {
	config  Config
	current atomic.Pointer[Config] // configured
	engine  *engine.Engine
	ledger  *ledger.Ledger
	auth    *auth.Authenticator
	echo    *echo.Echo
	metrics *metrics
	docs    []byte // the page that shows the API

	signing     *verify.Signer         // see signer
	rotating    sync.RWMutex           // held while the logs are handed over to another signer
	keys        atomic.Pointer[[]byte] // the JWK Set, nil until somebody asks after a key or a log was added
	tenants     sync.Map               // name -> *tenant, open
	evaluations chan struct{}          // holds one for each decision being evaluated
	gate        gate                   // to what is in force
	draining    atomic.Bool
	probed      atomic.Int64 // when readiness last tried to write, in ns since 1970
	clockwork   clockwork

	// changing is held from the look at what is in force until a change of it is durable: the ledger does not refuse a second owner of an id.
	changing sync.Mutex
	ready    *prepared // of the change being made
	opening  *tenant   // the tenant being opened

	impacts sync.Map // names of tenants whose decisions are being decided again

	compiling sync.Mutex
	compiled  map[string]*rules // by rulesKey
	revisions sync.Map          // digest of a bundle -> revision of its manifest

	reporting [64]sync.Mutex // by decision: an outcome is reported once

	shadowing      *shadowing
	stopSweeping   func()     // and wait
	stopWitnessing func()     // and wait
	witnesses      []tlog.Key // of now and of before
	tallies        sync.Map   // shadowKey -> *tally
}

// New opens the ledger, brings every tenant's log up to date with the configuration, and makes the routes. It does not listen yet. The caller ends with [Server.Shutdown], and then closes the store.
func New(ctx context.Context, config Config) (*Server, error) {
	config, err := config.filled()
	if err != nil {
		return nil, err
	}
	s := &Server{config: config, compiled: map[string]*rules{}, evaluations: make(chan struct{}, config.Limits.Evaluations), gate: newGate(), metrics: newMetrics()}
	s.current.Store(&config)
	s.signing = config.Signer
	if s.engine, err = engine.New(engine.Options{}); err != nil {
		return nil, err
	}
	if s.docs, err = renderDocs(s.routes()); err != nil {
		return nil, err
	}
	if err := s.checkConfigured(); err != nil {
		return nil, err
	}
	who := config.Auth
	who.Clock, who.APIKeys, who.APIKeyIssuer = config.Clock, s.apiKey, config.Issuer
	if s.auth, err = auth.New(who); err != nil {
		return nil, err
	}
	if err := config.sealClear(ctx); err != nil {
		return nil, err
	}
	if s.ledger, err = ledger.Open(ctx, measured{config.Store, s.metrics}, s.ledgerOptions()); err != nil {
		return nil, err
	}
	if err := errors.Join(s.rememberWitnesses(ctx), s.heedWitnesses(ctx)); err != nil {
		return nil, errors.Join(err, s.ledger.Close())
	}
	if err := s.openAll(ctx); err != nil {
		return nil, errors.Join(err, s.ledger.Close())
	}
	if err := s.eraseUnfinished(ctx); err != nil {
		return nil, errors.Join(err, s.ledger.Close())
	}
	s.shadowing = newShadowing(s)
	s.echo = s.router(s.routes())
	if err := s.startWitnessing(); err != nil {
		return nil, errors.Join(err, s.shadowing.drain(ctx), s.ledger.Close())
	}
	s.startSweeping()
	return s, nil
}

func (s *Server) openAll(ctx context.Context) error {
	logs, err := s.ledger.Logs(ctx)
	if err != nil {
		return err
	}
	logs = slices.DeleteFunc(logs, func(log store.Log) bool { return log.Was != "" })
	for _, log := range logs {
		if _, err := s.tenantOf(ctx, log.Tenant); err != nil {
			return err
		}
	}
	return s.checkGrants(ctx, logs)
}

// Handler is the API, for a listener of the caller's own.
func (s *Server) Handler() http.Handler { return s.echo }

// DiagnosticHandler is what the diagnostic listener serves: metrics and health, without a token.
func (s *Server) DiagnosticHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics.handler())
	for _, path := range []string{"/livez", "/readyz", "/health"} {
		mux.Handle("GET "+path, s.echo)
	}
	return mux
}

// Serve listens until ctx is done, and then shuts down: it takes nothing more, finishes what is in flight, and closes the ledger. Nothing that a caller was answered is lost.
// Ready, where it is not nil, is called with the address once the server listens.
func (s *Server) Serve(ctx context.Context, ready func(net.Addr)) error {
	listener, err := net.Listen("tcp", s.config.Addr)
	if err != nil {
		return errors.Join(err, s.Shutdown())
	}
	api := s.httpServer(s.Handler())
	servers := []*http.Server{api}
	failed := make(chan error, 2)
	go func() { failed <- s.serve(api, listener) }()
	if s.config.DiagnosticAddr != "" {
		diagnostics, err := net.Listen("tcp", s.config.DiagnosticAddr)
		if err != nil {
			return errors.Join(err, listener.Close(), s.Shutdown())
		}
		diagnostic := s.httpServer(s.DiagnosticHandler())
		servers = append(servers, diagnostic)
		go func() { failed <- diagnostic.Serve(diagnostics) }()
	}
	if ready != nil {
		ready(listener.Addr())
	}
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	return errors.Join(err, s.Shutdown(servers...))
}

func (s *Server) serve(api *http.Server, listener net.Listener) error {
	if s.config.TLS != nil {
		return api.ServeTLS(listener, "", "")
	}
	return api.Serve(listener)
}

func (s *Server) httpServer(handler http.Handler) *http.Server {
	l := s.config.Limits
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(s.config.TLS == nil)
	return &http.Server{
		Handler: handler, TLSConfig: s.config.TLS.Clone(), Protocols: protocols, ErrorLog: s.errorLog(),
		ReadHeaderTimeout: l.ReadHeader, ReadTimeout: l.Read, WriteTimeout: l.Write, IdleTimeout: l.Idle, MaxHeaderBytes: l.HeaderBytes,
	}
}

// Shutdown lets the given HTTP servers finish what is in flight, evaluates what waits for that beside what is in force, and closes the ledger, which writes what is queued. Readiness is refused from the start.
func (s *Server) Shutdown(servers ...*http.Server) error {
	s.draining.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), s.config.Limits.Shutdown)
	defer cancel()
	var err error
	for _, server := range servers {
		if failed := server.Shutdown(ctx); failed != nil {
			err = errors.Join(err, fmt.Errorf("server: requests were still in flight after %v: %w", s.config.Limits.Shutdown, failed), server.Close())
		}
	}
	s.stopSweeping()
	s.stopWitnessing()
	return errors.Join(err, s.shadowing.drain(ctx), s.ledger.Close())
}
