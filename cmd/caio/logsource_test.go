package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/verify/tlog"
)

// asked is a server that keeps the tokens that it was given.
func asked(t *testing.T, answer http.HandlerFunc) (*httptest.Server, *[]string) {
	t.Helper()
	tokens := &[]string{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*tokens = append(*tokens, r.Header.Get("Authorization"))
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s, tokens
}

// The token is for the server that --server names. Whoever else serves a log gets none, nor gets who redirects there, or is redirected to.
func TestTokenGoesToTheServerAlone(t *testing.T) {
	log := func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "log") }
	server, own := asked(t, log)
	stranger, others := asked(t, log)
	guide, _ := asked(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, stranger.URL+r.URL.Path, http.StatusTemporaryRedirect)
	})
	for name, test := range map[string]struct {
		server, log string
		code        int // 0 for an answer
	}{
		"its own":                  {server.URL + "/", server.URL + "/log/x", 0},
		"in other letters":         {strings.ToUpper(server.URL), server.URL + "/log/x", 0},
		"another port":             {server.URL, stranger.URL + "/log/x", 0},
		"another name of it":       {server.URL, strings.Replace(stranger.URL, "127.0.0.1", "localhost", 1) + "/log/x", 0},
		"no server":                {":", stranger.URL + "/log/x", 0},
		"its own, to another":      {guide.URL, guide.URL + "/log/x", exitEnvironment},
		"not its own, and further": {server.URL, guide.URL + "/log/x", exitEnvironment},
	} {
		t.Run(name, func(t *testing.T) {
			*own = nil
			o := &options{server: test.server, token: "secret"}
			source := &httpSource{options: o, base: test.log, patience: newPatience()}
			text, err := source.Read(t.Context(), tlog.CheckpointPath, 100)
			if got := codeOf(err); got != test.code || test.code == 0 && string(text) != "log" {
				t.Errorf("exit code %d, %q: %v", got, text, err)
			}
			if test.code != 0 && !strings.Contains(err.Error(), "redirects to "+stranger.URL) {
				t.Errorf("it does not say where to: %v", err)
			}
			if strings.HasPrefix(test.log, server.URL) && (len(*own) != 1 || (*own)[0] != "Bearer secret") {
				t.Errorf("the server itself got %q", *own)
			}
		})
	}
	for _, token := range *others {
		if token != "" {
			t.Errorf("a stranger got the token %q", token)
		}
	}
	if len(*others) != 3 {
		t.Errorf("the stranger was asked %d times", len(*others))
	}
	for _, to := range []string{"/v1/services", ""} { // what is no log either
		if _, err := (&options{server: guide.URL, token: "secret"}).fetch(t.Context(), http.MethodGet, to, "", nil); codeOf(err) != exitEnvironment {
			t.Errorf("a redirect of the server: %v", err)
		}
	}
}

// codeOf is the exit code of an error, 0 for none.
func codeOf(err error) int {
	if exit := (*exitError)(nil); errors.As(err, &exit) {
		return exit.code
	}
	return 0
}

// Who asks another server than the token is for is told so.
func TestTokenOfAnother(t *testing.T) {
	stranger, _ := asked(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	source := &httpSource{options: &options{server: "http://caio.example", token: "secret"}, base: stranger.URL, patience: newPatience()}
	if _, err := source.Read(t.Context(), tlog.CheckpointPath, 100); codeOf(err) != exitEnvironment || !strings.Contains(fmt.Sprint(err), "the token is for http://caio.example") {
		t.Error(err)
	}
}

// A log that never answers, and one that never comes to an end, could not be read; one that is slow but goes on can.
func TestLogThatStalls(t *testing.T) {
	released := make(chan struct{})
	defer close(released)
	for name, answer := range map[string]http.HandlerFunc{
		"never answers": func(http.ResponseWriter, *http.Request) { <-released },
		"drips": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				fmt.Fprint(w, "x")
				w.(http.Flusher).Flush()
				time.Sleep(time.Millisecond)
			}
		},
	} {
		server := httptest.NewServer(answer)
		defer func() { server.CloseClientConnections() }()
		source := &httpSource{options: &options{server: server.URL}, base: server.URL, patience: patience{50 * time.Millisecond}}
		_, err := source.Read(t.Context(), tlog.CheckpointPath, tlog.MaxBundleBytes)
		if codeOf(err) != exitEnvironment || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "the log has stalled") {
			t.Errorf("%s: %v", name, err)
		}
	}
	ended, end := context.WithCancel(t.Context())
	end()
	source := &httpSource{options: &options{}, base: "http://127.0.0.1:1", patience: newPatience()}
	if _, err := source.Read(ended, tlog.CheckpointPath, 100); !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "stalled") {
		t.Errorf("who ended it is not the log: %v", err)
	}
}

// What comes in good time leaves as much patience as there was. Whatever does not uses it up, however it spreads its delays.
func TestPatience(t *testing.T) {
	p := newPatience()
	for range 10_000 {
		p.spend(patienceAnswer+time.Second, 64<<10)
	}
	if p != newPatience() {
		t.Errorf("a slow log that goes on: %v left", p.left)
	}
	p.spend(0, 1<<30)
	if p != newPatience() {
		t.Errorf("patience is hoarded: %v", p.left)
	}
	reads := 0
	for ; p.left > 0; reads++ {
		p.spend(3*patienceAnswer, 100)
	}
	if reads > int(mostPatience/patienceAnswer) {
		t.Errorf("%d answers that were too late each", reads)
	}
}

// A log that is not there, or that the token may not see, is not at fault.
func TestLogThatIsNotThere(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	_, err := originAt(t.Context(), &httpSource{options: &options{server: server.URL}, base: server.URL + "/log/x", patience: newPatience()})
	if codeOf(err) != exitEnvironment || !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "another tenant") {
		t.Error(err)
	}
}
