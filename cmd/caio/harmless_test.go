package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/tlog"
	"pgregory.net/rapid"
)

// commands are what strangers write for terminals to obey.
const commands = "\x1b[2J\x1b[H\x1b]0;title\x07\u009b2J\u202eevil\u2066\x7f\r\b\u2028\U000E0041"

func TestHarmless(t *testing.T) {
	for in, want := range map[string]string{
		"two\nlines":               "two\nlines",
		"naïve – 中文 👍":             "naïve – 中文 👍",
		"a\tb":                     "a\tb",
		"\x1b[2J":                  "\uFFFD[2J",
		"\x1b[32mgreen\x1b[0m":     "\uFFFD[32mgreen\uFFFD[0m",
		"\u009b2J\u202e\u2028\x7f": "\uFFFD2J\uFFFD\uFFFD\uFFFD",
		"cut \xff\x9b":             "cut \uFFFD",
	} {
		if got := harmless(in, false); got != want && got != want+"\uFFFD" {
			t.Errorf("%q: %q", in, got)
		}
	}
	if got := harmless("\x1b[1;32mgreen\x1b[0m\x1b[2J\r", true); got != "\x1b[1;32mgreen\x1b[0m\uFFFD[2J\uFFFD" {
		t.Errorf("%q", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		if got := harmless(text+commands, false); strings.ContainsFunc(strings.NewReplacer("\n", "", "\t", "").Replace(got), obeyed) {
			t.Errorf("%q", got)
		}
	})
}

// JSON is the same with the escapes, and a terminal shows it.
func TestEscapedJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text") + commands
		for _, form := range []string{"json", "yaml"} {
			out, err := encode(form, map[string]string{text: text})
			if err != nil || bytes.ContainsFunc(bytes.ReplaceAll(out, []byte("\n"), nil), obeyed) {
				t.Fatalf("%s: %q: %v", form, out, err)
			}
			var back map[string]string
			if form == "json" && (json.Unmarshal(out, &back) != nil || back[text] != text) {
				t.Fatalf("%q", out)
			}
		}
	})
}

// What strangers write into logs, evidence and answers reaches no terminal as a command: whatever way it is told.
func TestNothingDrivesTheTerminal(t *testing.T) {
	folder := t.TempDir()
	file := func(name string, text []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key, err := trustWithKey(t).Encode()
	if err != nil {
		t.Fatal(err)
	}
	trust := file("trust.json", key)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusConflict)
		json.NewEncoder(w).Encode(map[string]any{"title": "x" + commands, "detail": "evidence pass" + commands, "code": commands, "errors": []any{map[string]string{"pointer": commands, "detail": commands}}})
	}))
	defer server.Close()
	if err := os.Mkdir(filepath.Join(folder, "log"), 0o700); err != nil {
		t.Fatal(err)
	}
	file("log/checkpoint", []byte("evil\u009b2J\u202e\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n\u2014 evil\u009b2J\u202e AAAAAAAA\n"))
	for _, args := range [][]string{
		{"log", "verify", server.URL + "/log/x", "--trust", trust},
		{"log", "verify", filepath.Join(folder, "log"), "--trust", trust},
		{"trust", "export", "--server", server.URL},
		{"verify", file("evil"+"\u009b", []byte(commands)), "--trust", trust},
		{"verify", file("evil.caio", []byte(commands)), "--trust", trust, "--json"},
		{"proof", "show", file("evil.caio", []byte(commands))},
		{"decide", "-f", file("evil.json", []byte(`{"`+strings.ReplaceAll(commands, "\x1b", "")+`": 1}`))},
		{"contract", "check", file("evil.yaml", []byte("id: x\nnam\u009b: y\n\u202e: z\n"))},
		{commands},
	} {
		var out, told bytes.Buffer
		run(args, &out, &told)
		for _, text := range []string{out.String(), told.String()} {
			if strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && obeyed(r) }) {
				t.Errorf("caio %q: %q", args, text)
			}
		}
		if out.Len()+told.Len() == 0 {
			t.Errorf("caio %q says nothing", args)
		}
	}
}

func trustWithKey(t *testing.T) verify.Trust {
	t.Helper()
	text, err := os.ReadFile("../../verify/testdata/trust.json")
	if err != nil {
		t.Fatal(err)
	}
	trust, err := verify.ParseTrust(text)
	if err != nil {
		t.Fatal(err)
	}
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := tlog.NewKey(trust.Logs[0].Origin, tlog.Ed25519, public)
	if err != nil {
		t.Fatal(err)
	}
	trust.Logs[0].Key = key.String()
	return trust
}
