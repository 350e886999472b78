package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/verify"
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

// The log's own checkpoint is read in place of the cosigned one only where more is known of the log than that has, and nobody's word but the witnesses' is told of it.
func TestCosignedCheckpointPassedOver(t *testing.T) {
	logPublic, logPrivate, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	witnessPublic, witnessPrivate, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	logKey, err := tlog.NewKey("log", tlog.Ed25519, logPublic)
	if err != nil {
		t.Fatal(err)
	}
	witnessKey, err := tlog.NewKey("w", tlog.CosignatureV1, witnessPublic)
	if err != nil {
		t.Fatal(err)
	}
	trust := verify.Trust{Logs: []verify.Log{{Origin: "log", Key: logKey.String()}}, Policy: "witness w " + witnessKey.String() + "\nquorum w\n"}
	checkpoint := func(size int64, by ed25519.PrivateKey) []byte {
		c := tlog.Checkpoint{Origin: "log", Size: size}
		c.Signatures = []tlog.Signature{{Name: "log", ID: logKey.ID(), Bytes: ed25519.Sign(logPrivate, c.Body())}}
		if by != nil {
			s, err := tlog.Cosign(c, "w", by, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			c.Signatures = append(c.Signatures, s)
		}
		return c.Encode()
	}
	_, stranger, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	own := checkpoint(5, nil)
	for name, test := range map[string]struct {
		cosigned []byte
		known    []tlog.Checkpoint
		own      bool // read in its place
		told     int
	}{
		"nothing known":       {checkpoint(3, witnessPrivate), nil, false, 0},
		"as much":             {checkpoint(3, witnessPrivate), []tlog.Checkpoint{{Origin: "log", Size: 3}}, false, 0},
		"more":                {checkpoint(3, witnessPrivate), []tlog.Checkpoint{{Origin: "log", Size: 2}, {Origin: "log", Size: 4}}, true, 1},
		"more than either":    {checkpoint(3, witnessPrivate), []tlog.Checkpoint{{Origin: "log", Size: 9}}, true, 1},
		"of another log":      {checkpoint(3, witnessPrivate), []tlog.Checkpoint{{Origin: "other", Size: 9}}, false, 0},
		"a stranger cosigned": {checkpoint(3, stranger), []tlog.Checkpoint{{Origin: "log", Size: 4}}, true, 0},
		"no checkpoint":       {[]byte("x"), []tlog.Checkpoint{{Origin: "log", Size: 4}}, false, 0},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Write(map[string][]byte{"/cosigned": test.cosigned, "/checkpoint": own}[r.URL.Path])
		}))
		defer server.Close()
		source := &httpSource{options: &options{server: server.URL}, base: server.URL, cosigned: true, patience: newPatience()}
		theirs, err := servedBy(&copySource{source: source}).passedOver(t.Context(), test.known, trust)
		if err != nil || len(theirs) != test.told {
			t.Errorf("%s: %v %v", name, theirs, err)
		}
		want := test.cosigned
		if test.own {
			want = own
		}
		if text, err := source.Read(t.Context(), tlog.CheckpointPath, tlog.MaxCheckpointBytes); err != nil || string(text) != string(want) {
			t.Errorf("%s: %q %v", name, text, err)
		}
	}
}
