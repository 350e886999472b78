package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/server"
)

// call sends one request to the server and decodes its JSON answer into answer, unless that is nil. A problem that the server reports is an error with all its details.
func (o *options) call(ctx context.Context, method, path, contentType string, body []byte, answer any) error {
	text, err := o.fetch(ctx, method, path, contentType, body)
	if err != nil || answer == nil {
		return err
	}
	return json.Unmarshal(text, answer)
}

func (o *options) fetch(ctx context.Context, method, path, contentType string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	response, err := o.open(ctx, method, path, contentType, "", body)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return io.ReadAll(response.Body)
}

// open sends a request and gives an answer of success to be read, which the caller closes: for answers that take their time. Accept is the media type that is asked for, "" for any.
func (o *options) open(ctx context.Context, method, path, contentType, accept string, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(o.server, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, misused("--server: %w", err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if accept != "" {
		request.Header.Set("Accept", accept)
	}
	if o.tenant != "" && !request.URL.Query().Has("tenant") {
		request.Header.Set("Caio-Tenant", o.tenant) // the server refuses a token of another
	}
	response, err := o.send(request)
	if errors.Is(err, errUnreached) {
		return nil, unable("%w; is the server running? (caio serve)", err)
	}
	if err != nil {
		return nil, err
	}
	if response.StatusCode < 300 {
		return response, nil
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	return nil, o.refused(request, response.StatusCode, text)
}

// errUnreached is that there was no answer.
var errUnreached = errors.New("no answer")

// send sends a request. The bearer token goes to the server of --server and to no other, and no redirect is followed: it could lead the token, or what was asked for, to anybody. The error wraps [errUnreached] where nobody answers.
func (o *options) send(request *http.Request) (*http.Response, error) {
	if o.token != "" && o.asks(request.URL) {
		request.Header.Set("Authorization", "Bearer "+o.token)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return nil, &exitError{exitEnvironment, unreached{err}}
	}
	if response.StatusCode >= 300 && response.StatusCode < 400 {
		defer response.Body.Close()
		return nil, unable("%s redirects to %s, where nothing is sent: name that address yourself, if it is the right one", request.URL, or(response.Header.Get("Location"), "nowhere"))
	}
	return response, nil
}

// unreached is an [errUnreached] with the words of what was tried.
type unreached struct{ error }

func (u unreached) Is(target error) bool { return target == errUnreached }
func (u unreached) Unwrap() error        { return u.error }

// asks reports whether an address is of the server that --server names: the same scheme, host and port.
func (o *options) asks(u *url.URL) bool {
	server, err := url.Parse(o.server)
	place := func(u *url.URL) string {
		port := u.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[strings.ToLower(u.Scheme)]
		}
		return strings.ToLower(u.Scheme + "://" + u.Hostname() + ":" + port)
	}
	return err == nil && place(server) == place(u)
}

// of is a path with the tenant that --tenant names, for calls by which the installation's people ask or speak about others.
func (o *options) of(path string) string {
	if o.tenant == "" {
		return path
	}
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	return path + separator + "tenant=" + url.QueryEscape(o.tenant)
}

// refused is the error for an answer that is none of success. Who the caller is and how the server fares belong to the environment; any other refusal answers the question with no.
func (o *options) refused(request *http.Request, status int, text []byte) error {
	told := fmt.Sprintf("%s %s: %d %s", request.Method, request.URL, status, http.StatusText(status))
	var problem server.Problem
	if json.Unmarshal(text, &problem) == nil && problem.Title != "" {
		told = problemText(problem)
	}
	switch {
	case status == http.StatusUnauthorized && o.token == "":
		return unable("%s\n  there is no token: give one with --token, or in CAIO_TOKEN (caio token issue)", told)
	case status == http.StatusUnauthorized && request.Header.Get("Authorization") == "":
		return unable("%s\n  the token is for %s, and goes to no other: give --server too, if it is for this one", told, o.server)
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status >= http.StatusInternalServerError:
		return unable("%s", told)
	}
	return &exitError{exitNo, &refusal{problem, told}}
}

// refusal is a problem that the server answered with.
type refusal struct {
	problem server.Problem
	told    string
}

func (r *refusal) Error() string { return r.told }

func problemText(p server.Problem) string {
	lines := []string{or(p.Detail, p.Title)}
	if p.Detail != "" && p.Title != "" {
		lines[0] = strings.TrimSuffix(p.Title, ".") + ". " + p.Detail
	}
	if p.Code != "" {
		lines[0] += " (" + p.Code + ")"
	}
	for _, e := range p.Errors {
		place := or(e.Pointer, e.Parameter)
		if at := (contracts.Position{File: e.File, Line: e.Line, Column: e.Column}).String(); at != "" {
			place = at + " " + place
		}
		lines = append(lines, fmt.Sprintf("  %s: %s", strings.TrimSpace(place), strings.ReplaceAll(e.Detail, "\n", "\n    ")))
	}
	return strings.Join(lines, "\n")
}

// eachPage asks for a list page after page. What takes a page returns the cursor of the next, "" after the last. The path has a query already.
func eachPage[P any](ctx context.Context, o *options, path string, take func(page P) (next string)) error {
	for at := path; ; {
		var page P
		if err := o.call(ctx, http.MethodGet, at, "", nil, &page); err != nil {
			return err
		}
		next := take(page)
		if next == "" {
			return nil
		}
		at = path + "&cursor=" + url.QueryEscape(next)
	}
}
