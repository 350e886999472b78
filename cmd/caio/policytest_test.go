package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/rego"
)

// TestJUnitIsXML reads a report back that holds what XML can't, or gives a meaning.
func TestJUnitIsXML(t *testing.T) {
	odd := "\x00\x1b[31m <a href='x'>&amp;]]> \"\xff\" 漢字"
	report := rego.Report{Results: []rego.TestResult{{Package: "data." + odd, Name: odd, Status: rego.TestFail, Detail: odd + "\nsecond line", Output: odd, Pos: contracts.Position{File: odd, Line: 3}}}}
	var text bytes.Buffer
	if err := writeJUnit(&text, &report); err != nil {
		t.Fatal(err)
	}
	var read junitSuites
	if err := xml.Unmarshal(text.Bytes(), &read); err != nil {
		t.Fatalf("%v:\n%s", err, text.String())
	}
	got := read.Suites[0].Cases[0]
	const want = "\ufffd\ufffd[31m <a href='x'>&amp;]]> \"\ufffd\" 漢字"
	for _, s := range []string{got.Name, got.File, got.Output, got.Failure.Message, strings.TrimSuffix(got.Failure.Text, "\nsecond line")} {
		if s != want {
			t.Errorf("got %q, want %q", s, want)
		}
	}
	if read.Tests != 1 || read.Failures != 1 || got.Line != 3 {
		t.Errorf("got %+v", read)
	}
}

func TestUncovered(t *testing.T) {
	positions := []contracts.Position{{File: "a", Line: 1}, {File: "a", Line: 1}, {File: "a", Line: 3}, {File: "a", Line: 4}, {File: "a", Line: 4}, {File: "a", Line: 5}, {File: "b", Line: 5}, {File: "b", Line: 6}, {File: "c", Line: 9}}
	if got, want := uncovered(positions), []string{"a:1,3-5", "b:5-6", "c:9"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := uncovered(nil); got != nil {
		t.Errorf("got %q of nothing", got)
	}
}

func TestOwnPackage(t *testing.T) {
	for text, want := range map[string]bool{
		"package caio.policy.x":                         true,
		"# package other\n\n  package caio.polices.x\n": true,
		"package\tcaio":                                 true,
		"package caio[\"policy\"]":                      true,
		"package caio # ours":                           true,
		"package caiolina.policy":                       false,
		"package a\n\nx := `\npackage caio\n`":          false,
		"# package caio\n":                              false,
		"":                                              false,
	} {
		if got := inOwnPackage([]byte(text)); got != want {
			t.Errorf("%q: got %v", text, got)
		}
	}
}

// TestWatch runs tests, and again when a file changed: whether it is one that fails, one that can't be read, or a new one.
func TestWatch(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("a_test.rego", "package a\n\ntest_a if true\n")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	reader, writer := io.Pipe()
	root := newRoot()
	root.SetArgs([]string{"policy", "test", "--watch", dir})
	root.SetOut(writer)
	root.SetErr(writer)
	done := make(chan error, 1)
	go func() {
		done <- root.ExecuteContext(ctx)
		writer.Close()
	}()
	lines := bufio.NewScanner(reader)
	until := func(want string) {
		t.Helper()
		found := false
		for lines.Scan() {
			found = found || strings.Contains(lines.Text(), want)
			if strings.HasPrefix(lines.Text(), "watching ") {
				break
			}
		}
		if !found {
			t.Errorf("%q was not told", want)
		}
	}
	until("PASS: 1/1")
	write("a_test.rego", "package a\n\ntest_a if 1 == 2\n")
	until("line 3 is not true: 1 == 2")
	write("a_test.rego", "package a\n\ntest_a if\n")
	until("unexpected eof")
	write("a_test.rego", "package a\n\ntest_a if true\n")
	until("PASS: 1/1")
	write("b_test.rego", "package b\n\ntest_b if true\n")
	until("PASS: 2/2")
	cancel()
	go io.Copy(io.Discard, reader)
	if err := <-done; err != nil {
		t.Errorf("interrupted: %v", err)
	}
}
