package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// browser is a Chromium without a window, spoken to by its DevTools protocol over a pair of pipes.
type browser struct {
	t       testing.TB
	to      io.Writer
	from    *bufio.Reader
	id      int
	session string
	said    lines
	// complaints are exceptions, refusals of the security policy and the like; requests are the addresses that the page asked for.
	complaints, requests []string
}

// chromium finds one, or skips the test.
func chromium(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("NOT TESTED: there is no Chromium on this machine, so nobody looked at the page that browsers get")
	return ""
}

// lines is what a process said so far; it may be read while the process goes on.
type lines struct {
	mu   sync.Mutex
	text []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	return len(p), nil
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// open starts a browser on a file.
func open(ctx context.Context, t testing.TB, page string) *browser {
	t.Helper()
	args := []string{"--headless=new", "--remote-debugging-pipe", "--disable-gpu", "--no-first-run", "--user-data-dir=" + t.TempDir()}
	if os.Geteuid() == 0 {
		args = append(args, "--no-sandbox") // which root can't have
	}
	input, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, output, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, chromium(t), append(args, "about:blank")...)
	cmd.ExtraFiles = []*os.File{input, output} // 3 to read, 4 to write
	b := &browser{t: t, to: to, from: bufio.NewReader(from)}
	cmd.Stderr = &b.said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	input.Close()
	output.Close()
	t.Cleanup(func() {
		b.session = ""
		b.id++
		_ = b.send("Browser.close", nil)
		to.Close()
		_, _ = io.Copy(io.Discard, from)
		_ = cmd.Wait()
	})
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Runtime", "Log", "Network", "Page", "DOM"} {
		b.call(domain+".enable", nil, nil)
	}
	b.call("Page.navigate", map[string]any{"url": "file://" + page}, nil)
	b.until(`location.protocol === "file:" && document.readyState === "complete"`)
	return b
}

type message struct {
	ID     int
	Method string
	Params struct {
		Request          struct{ URL string }
		Entry            struct{ Level, Text, URL string }
		ExceptionDetails json.RawMessage
	}
	Result json.RawMessage
	Error  *struct{ Message string }
}

func (b *browser) send(method string, params any) error {
	text, err := json.Marshal(struct {
		ID        int    `json:"id"`
		Method    string `json:"method"`
		Params    any    `json:"params,omitempty"`
		SessionID string `json:"sessionId,omitempty"`
	}{b.id, method, params, b.session})
	if err != nil {
		return err
	}
	_, err = b.to.Write(append(text, 0))
	return err
}

// call sends a command and reads until its answer, noting what happens in the meantime.
func (b *browser) call(method string, params, result any) {
	b.t.Helper()
	b.id++
	err := b.send(method, params)
	for err == nil {
		var text []byte
		if text, err = b.from.ReadBytes(0); err != nil {
			break
		}
		var m message
		if err = json.Unmarshal(text[:len(text)-1], &m); err != nil {
			break
		}
		switch {
		case m.ID == b.id && m.Error != nil:
			err = errors.New(m.Error.Message)
		case m.ID == b.id && result == nil:
			return
		case m.ID == b.id:
			if err = json.Unmarshal(m.Result, result); err == nil {
				return
			}
		case m.Method == "Network.requestWillBeSent":
			b.requests = append(b.requests, m.Params.Request.URL)
		case m.Method == "Runtime.exceptionThrown":
			b.complaints = append(b.complaints, string(m.Params.ExceptionDetails))
		case m.Method == "Log.entryAdded":
			b.complaints = append(b.complaints, m.Params.Entry.Text)
		}
	}
	b.t.Fatalf("%s: %v; the browser said:\n%s", method, err, b.said.String())
}

// eval evaluates an expression, awaiting a promise, and decodes its value.
func (b *browser) eval(expression string, to any) {
	b.t.Helper()
	var answer struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true, "allowUnsafeEvalBlockedByCSP": false}, &answer)
	if answer.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, answer.ExceptionDetails)
	}
	if to == nil {
		return
	}
	if err := json.Unmarshal(answer.Result.Value, to); err != nil {
		b.t.Fatalf("%s: %v: %s", expression, err, answer.Result.Value)
	}
}

// until waits for a condition, but not of a page that has gone wrong; the context of the browser ends it if that never comes.
func (b *browser) until(condition string) {
	b.t.Helper()
	for held := false; !held; {
		if len(b.complaints) > 0 {
			b.t.Fatalf("waiting for %s, the browser complains: %q", condition, b.complaints)
		}
		b.eval(`new Promise((done) => setTimeout(() => done(!!(`+condition+`)), 20))`, &held)
	}
}

// choose puts a file into an input, as a user does by its dialogue.
func (b *browser) choose(input, file string) {
	b.t.Helper()
	var found struct{ Result struct{ ObjectID string } }
	b.call("Runtime.evaluate", map[string]any{"expression": fmt.Sprintf("document.getElementById(%q)", input)}, &found)
	b.call("DOM.setFileInputFiles", map[string]any{"objectId": found.Result.ObjectID, "files": []string{file}}, nil)
}

// drop lets go of files that were dragged over the page.
func (b *browser) drop(files ...string) {
	b.t.Helper()
	for _, event := range []string{"dragEnter", "dragOver", "drop"} {
		b.call("Input.dispatchDragEvent", map[string]any{"type": event, "x": 200, "y": 200, "data": map[string]any{"items": []any{}, "files": files, "dragOperationsMask": 1}}, nil)
	}
}

// picture takes one of the whole page, into the folder that CAIO_TEST_SCREENSHOTS names.
func (b *browser) picture(name string, width int, scheme string) {
	dir := os.Getenv("CAIO_TEST_SCREENSHOTS")
	if dir == "" {
		return
	}
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false}, nil)
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]string{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	var shot struct{ Data []byte }
	b.call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true}, &shot)
	if err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".png"), shot.Data, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
