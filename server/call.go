package server

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/server/auth"
)

// call is one request on its way: what a handler works with.
type call struct {
	echo.Context
	route  *route
	who    auth.Identity
	tenant *tenant // nil on routes that need no role
	query  url.Values
}

// ctx is the request's.
func (c *call) ctx() context.Context { return c.Request().Context() }

// router serves the routes.
func (s *Server) router(routes []route) *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = func(err error, c echo.Context) { s.refuse(c, err) }
	for i := range routes {
		e.Add(routes[i].method, routes[i].path, s.handle(&routes[i]))
	}
	return e
}

// handle takes a request to its handler: who asks, whether they may, whether the request is of the right form. Whatever goes wrong becomes a problem here, and nowhere else.
func (s *Server) handle(r *route) echo.HandlerFunc {
	return func(c echo.Context) error {
		start := time.Now()
		id := requestID(c.Request().Header.Get("X-Request-Id"))
		header := c.Response().Header()
		header.Set("X-Request-Id", id)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Cache-Control", "no-store")
		if !r.long {
			// The connection is cut after Write; what takes too long ends early enough for its caller to be told.
			ctx, cancel := context.WithTimeout(c.Request().Context(), s.config.Limits.Write-s.config.Limits.Write/10)
			defer cancel()
			c.SetRequest(c.Request().WithContext(ctx))
		}
		k := &call{Context: c, route: r}
		err := s.recovered(k)
		if err != nil {
			s.refuse(c, err)
		}
		s.observed(k, id, time.Since(start), err)
		return nil
	}
}

// recovered runs the handler; a panic is an error.
func (s *Server) recovered(c *call) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = s.panicked(value)
		}
	}()
	if err := s.admit(c); err != nil {
		return err
	}
	return c.route.handler(c)
}

// panicked is the error of a panic whose value was recovered. Its place goes to the log; of its value only the type, since the value may quote what was sent.
func (s *Server) panicked(value any) error {
	s.config.Logger.Error("panic", slog.String("type", fmt.Sprintf("%T", value)), slog.String("stack", string(debug.Stack())))
	return newProblem(http.StatusInternalServerError, "internal", "The operator's log says why.")
}

func (s *Server) admit(c *call) (err error) {
	if len(c.route.roles) > 0 {
		if c.who, err = s.auth.Authenticate(c.ctx(), c.Request().Header.Get("Authorization")); err != nil {
			return err
		}
		if err := c.checkTenant(); err != nil {
			return err
		}
		if !c.who.Has(c.route.roles...) {
			return newProblem(http.StatusForbidden, "forbidden", "This needs "+anyRole(c.route.roles)+".")
		}
	}
	if c.query, err = readQuery(c.Request().URL.RawQuery, c.route.query); err != nil {
		return err
	}
	if err := c.checkMedia(); err != nil {
		return err
	}
	if len(c.route.roles) > 0 {
		c.tenant, err = s.tenantOf(c.ctx(), c.who.Principal.Tenant)
	}
	return err
}

// headerTenant lets a caller say which tenant is meant, so that a token of another is not taken for it.
const headerTenant = "Caio-Tenant"

func (c *call) checkTenant() error {
	own := c.who.Principal.Tenant
	for _, named := range c.Request().Header.Values(headerTenant) {
		if named != own {
			return newProblem(http.StatusForbidden, "wrong-tenant", "The token speaks for the tenant "+own+", and the header "+headerTenant+" names another: send a token of that tenant, or leave the header out. "+
				"Approvers and operators of the installation's tenant speak about others by the parameter `tenant`, where a call has it.")
		}
	}
	return nil
}

// anyRole is "the role operator", or "one of the roles app, operator".
func anyRole(roles []auth.Role) string {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	if len(names) == 1 {
		return "the role " + names[0]
	}
	return "one of the roles " + strings.Join(names, ", ")
}

// readQuery refuses what a route does not know, and what is given twice.
func readQuery(raw string, known []string) (url.Values, error) {
	values, err := url.ParseQuery(raw)
	p := newProblem(http.StatusBadRequest, "invalid-parameter", "Each fault is listed; nothing was done.")
	if err != nil {
		p.Errors = append(p.Errors, Fault{Code: "malformed", Detail: "the query is not of the form name=value&…"})
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if !slices.Contains(known, name) {
			p.Errors = append(p.Errors, Fault{Parameter: clip(name), Code: "unknown-parameter", Detail: "there is no such parameter here"})
		} else if len(values[name]) > 1 {
			p.Errors = append(p.Errors, Fault{Parameter: name, Code: "repeated-parameter", Detail: "the parameter is given more than once"})
		} else if problem := checkParameter(name, values.Get(name)); problem != "" {
			p.Errors = append(p.Errors, Fault{Parameter: name, Code: "invalid-value", Detail: problem})
		}
	}
	if len(p.Errors) > 0 {
		return nil, p
	}
	return values, nil
}

func clip(text string) string {
	if len(text) > 64 {
		return text[:64] + "…"
	}
	return text
}

// checkMedia refuses a body whose media type the route does not read. A parameter other than charset=utf-8 would change its meaning.
func (c *call) checkMedia() error {
	if len(c.route.media) == 0 {
		return nil
	}
	media, parameters, err := mime.ParseMediaType(c.Request().Header.Get("Content-Type"))
	charset, given := parameters["charset"]
	if err != nil || !slices.Contains(c.route.media, media) || given && !strings.EqualFold(charset, "utf-8") || len(parameters) > 1 {
		return newProblem(http.StatusUnsupportedMediaType, "unsupported-media-type", "Send "+strings.Join(c.route.media, " or ")+", in UTF-8.")
	}
	return nil
}

// body reads at most limit bytes; a length that is announced as more is refused before anything is read.
func (c *call) body(limit int64) ([]byte, error) {
	tooLarge := newProblem(http.StatusRequestEntityTooLarge, "body-too-large", fmt.Sprintf("The limit is %d bytes.", limit))
	r := c.Request()
	if r.ContentLength > limit {
		return nil, tooLarge
	}
	text, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, limit))
	var beyond *http.MaxBytesError
	switch {
	case errors.As(err, &beyond):
		return nil, tooLarge
	case err != nil:
		return nil, newProblem(http.StatusBadRequest, "invalid-request", "The body broke off before its end.").because(err)
	}
	return text, nil
}

// answer writes a JSON body.
func (c *call) answer(status int, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return c.Blob(status, "application/json", text)
}

// answerStored writes an answer that is, or could have been, kept for its idempotency key: the index of its entry, known only after it was stored, is its last member.
func (c *call) answerStored(a store.Answer) error {
	return c.Blob(a.Status, "application/json", withIndex(a.Body, a.Index))
}

func withIndex(object []byte, index int64) []byte {
	end := len(object) - 1
	text := append(slices.Clone(object[:end]), `,"index":`...)
	return append(strconv.AppendInt(text, index, 10), '}')
}

// refuse answers with the problem that the error maps to.
func (s *Server) refuse(c echo.Context, err error) {
	if c.Response().Committed {
		return
	}
	if err := asProblem(err).write(c.Response()); err != nil {
		s.config.Logger.Debug("an answer could not be written", slog.Any("error", err))
	}
}

// observed counts a request and logs it: the route, not the address, and nothing of what was sent.
func (s *Server) observed(c *call, id string, took time.Duration, err error) {
	status := c.Response().Status
	s.metrics.request(c.route, status, took)
	attributes := []slog.Attr{
		slog.String("request_id", id), slog.String("method", c.route.method), slog.String("route", c.route.path),
		slog.Int("status", status), slog.Duration("took", took),
	}
	if c.tenant != nil {
		attributes = append(attributes, slog.String("tenant", c.tenant.name))
	}
	level := slog.LevelDebug
	if err != nil {
		p := asProblem(err)
		attributes = append(attributes, slog.String("code", p.Code))
		if p.Status == http.StatusUnauthorized {
			s.metrics.unauthenticated.WithLabelValues(p.reason).Inc()
		}
		if p.cause != nil {
			attributes = append(attributes, slog.String("error", p.cause.Error()))
		}
		if level = slog.LevelInfo; p.Status >= http.StatusInternalServerError {
			level = slog.LevelError
		}
	}
	s.config.Logger.LogAttrs(context.WithoutCancel(c.ctx()), level, "request", attributes...)
}

var requestIDForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// requestID is the caller's, if it is of a form that is safe to log, or a new one.
func requestID(given string) string {
	if requestIDForm.MatchString(given) {
		return given
	}
	return rand.Text()
}

// errorLog is where net/http reports what goes wrong with connections.
func (s *Server) errorLog() *log.Logger {
	return slog.NewLogLogger(s.config.Logger.Handler(), slog.LevelWarn)
}
