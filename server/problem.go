package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/server/auth"
)

// Problem is an error as callers see it: RFC 9457, `application/problem+json`. Code is stable; Type is the same as a URN.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	// Code is stable: programs compare it.
	Code string `json:"code"`
	// Detail is for people, and says what to do.
	Detail string `json:"detail,omitempty"`
	// Errors are all the faults of the input.
	Errors []Fault `json:"errors,omitempty"`
	// DecisionID is the id under which the log holds that the request failed, where it was admitted.
	DecisionID string `json:"decision_id,omitempty"`

	reason string // of a failed authentication, for WWW-Authenticate and metrics
	cause  error  // for the operator's log
}

// Fault is one fault of the input.
type Fault struct {
	// Pointer is the JSON pointer (RFC 6901) of the value, Parameter the name of a parameter of the query.
	Pointer   string `json:"pointer,omitempty"`
	Parameter string `json:"parameter,omitempty"`
	Detail    string `json:"detail"`
	Code      string `json:"code"`
	// File is that of a bundle, with the bundle's name before its path.
	File string `json:"file,omitempty"`
	// Line and Column count from 1, the column in bytes; absent where they are not known.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
}

// Error is the title and the detail.
func (p *Problem) Error() string { return p.Title + ": " + p.Detail }

// Unwrap is what the operator's log is told.
func (p *Problem) Unwrap() error { return p.cause }

// titles names every code that this server answers with.
var titles = map[string]string{
	"approval-invalid":        "The approval is not one of this change",
	"awaiting-approval":       "The service awaits approval",
	"already-reported":        "An outcome of this decision has been reported",
	"baseline-bundle":         "The bundle is the installation's",
	"body-too-large":          "The body is too large",
	"bundle-in-force":         "The bundle is in force",
	"bundle-moved":            "Another bundle is in force than the caller looked at",
	"bundle-name-taken":       "The bundle has been pushed under another name",
	"bundle-not-in-force":     "The bundle is not in force",
	"bundle-signature":        "No configured key signed the bundle",
	"bundle-tests":            "The bundle does not pass its own tests",
	"bundle-unfit":            "The bundles do not compile together",
	"cursor-invalid":          "The cursor is not one of this list",
	"decision-denied":         "The decision is a denial",
	"digest-mismatch":         "The contract is not the one that was looked at",
	"erased":                  "It was erased",
	"execution-unavailable":   "This server does not call services",
	"forbidden":               "The caller may not do this",
	"gate-busy":               "Other bundles are being tested",
	"held":                    "A hold forbids the erasure",
	"hold-exists":             "A hold of this name is in force",
	"id-mismatch":             "The contract has another id than the address",
	"idempotency-key-invalid": "The idempotency key can't be used",
	"idempotency-key-reused":  "The idempotency key was used for another request",
	"impact-running":          "The tenant's decisions are being decided again already",
	"internal":                "The server failed",
	"invalid-bundle":          "The bundle has faults",
	"invalid-contract":        "The contract has faults",
	"invalid-parameter":       "The query has faults",
	"invalid-request":         "The request has faults",
	"invalid-settings":        "The settings have faults",
	"issuer-unavailable":      "It can't be told who asks",
	"key-in-use":              "The key is in use",
	"log-damaged":             "Nothing of the log can be proved any more",
	"method-not-allowed":      "The resource does not know this method",
	"not-concerned":           "The decision does not concern this person",
	"not-erased":              "The erasure was not carried out to its end",
	"not-found":               "There is no such thing",
	"not-owned":               "The service belongs to somebody else",
	"no-root":                 "There is no offline root",
	"nothing-to-roll-back":    "Nothing was changed under this name",
	"not-stored":              "What was done could not be stored, so it was not done",
	"own-bundle":              "The author of a bundle can't put it in force",
	"own-contract":            "The owner of a contract can't attest it",
	"revocation-invalid":      "Not a revocation of the offline root",
	"policies-unfit":          "The policies in force do not fit together",
	"service-id-taken":        "The id is taken by another service",
	"settings-locked":         "These settings are the installation's to change",
	"settings-moved":          "The settings in force are others by now",
	"settings-unfit":          "The bundles in force do not take these settings",
	"shutting-down":           "The server is shutting down",
	"subject-unknown":         "Nothing is kept of the subject",
	"timed-out":               "The time ran out",
	"unauthenticated":         "It is not known who asks",
	"unsupported-media-type":  "The body's media type is not understood",
	"unwitnessed":             "No witness has vouched for the log",
	"wrong-tenant":            "The token is of another tenant",
}

func newProblem(status int, code, detail string) *Problem {
	return &Problem{Type: "urn:caio:problem:" + code, Title: titles[code], Status: status, Code: code, Detail: detail}
}

// because adds the cause, which only the operator sees.
func (p *Problem) because(err error) *Problem {
	p.cause = err
	return p
}

func notFound() *Problem {
	return newProblem(http.StatusNotFound, "not-found", "Nothing of this id is visible to the caller's tenant.")
}

// faults is the problem of an input with diagnostics.
func faults(code string, ds contracts.Diagnostics) *Problem {
	p := newProblem(http.StatusBadRequest, code, "Each fault is listed with its place; nothing was done.")
	for _, d := range ds {
		if d.Severity == contracts.SeverityWarning {
			continue
		}
		p.Errors = append(p.Errors, faultOf(d))
	}
	return p
}

func faultOf(d contracts.Diagnostic) Fault {
	detail := d.Summary
	if d.Detail != "" {
		detail += ": " + d.Detail
	}
	return Fault{Pointer: d.Pointer, Detail: detail, Code: d.Code, Line: d.Pos.Line, Column: d.Pos.Column}
}

// bundleFaults is the problem of bundles with diagnostics, which name their files.
func bundleFaults(code, detail string, ds contracts.Diagnostics) *Problem {
	p := newProblem(http.StatusUnprocessableEntity, code, detail)
	for _, d := range ds {
		if d.Severity != contracts.SeverityWarning {
			fault := faultOf(d)
			fault.File = d.Pos.File
			p.Errors = append(p.Errors, fault)
		}
	}
	return p
}

// asProblem is the one mapping from errors to answers.
func asProblem(err error) *Problem {
	var problem *Problem
	var unknown *auth.Error
	var tooLarge *http.MaxBytesError
	var fromEcho *echo.HTTPError
	switch {
	case errors.As(err, &problem):
		return problem
	case errors.As(err, &unknown):
		p := newProblem(http.StatusUnauthorized, "unauthenticated", sentence(unknown.Detail))
		p.reason = unknown.Reason
		return p
	case errors.Is(err, auth.ErrUnavailable):
		return newProblem(http.StatusServiceUnavailable, "issuer-unavailable", "The keys that would tell can't be read at the moment; try again.").because(err)
	case errors.As(err, &tooLarge):
		return newProblem(http.StatusRequestEntityTooLarge, "body-too-large", "").because(err)
	case errors.Is(err, store.ErrNotFound):
		return notFound()
	case errors.Is(err, store.ErrCursor):
		return newProblem(http.StatusBadRequest, "cursor-invalid", "Use the `next` of the page before, as it is.")
	case errors.Is(err, ledger.ErrKeyReused):
		return newProblem(http.StatusUnprocessableEntity, "idempotency-key-reused", "Use a new key for a new request.")
	case errors.Is(err, ledger.ErrClosed):
		return newProblem(http.StatusServiceUnavailable, "shutting-down", "Send the request again; it was not done.").because(err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return newProblem(http.StatusServiceUnavailable, "timed-out", "No decision was made. Send the request again.").because(err)
	case errors.As(err, &fromEcho):
		return fromRouter(fromEcho)
	}
	return newProblem(http.StatusInternalServerError, "internal", "The operator's log says why.").because(err)
}

// sentence begins a detail, which as an error of Go's begins small, with a capital letter and ends it.
func sentence(detail string) string { return strings.ToUpper(detail[:1]) + detail[1:] + "." }

func fromRouter(err *echo.HTTPError) *Problem {
	switch err.Code {
	case http.StatusNotFound:
		return newProblem(http.StatusNotFound, "not-found", "No resource has this address; /openapi.json lists them all.")
	case http.StatusMethodNotAllowed:
		return newProblem(http.StatusMethodNotAllowed, "method-not-allowed", "The header Allow lists those that it knows.")
	}
	return newProblem(http.StatusInternalServerError, "internal", "The operator's log says why.").because(err)
}

// write answers with the problem.
func (p *Problem) write(w http.ResponseWriter) error {
	if p.Status == http.StatusUnauthorized {
		challenge := `Bearer realm="caio"`
		if p.reason != "missing" {
			challenge += `, error="invalid_token", error_description="` + p.reason + `"`
		}
		w.Header().Set("WWW-Authenticate", challenge)
	}
	switch p.Status {
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "10")
	}
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_, err = w.Write(text)
	return err
}
