package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"caio": main})
}

// TestScripts runs the commands as people do. In them ROOT is the repository.
//
//	serve [args]      starts `caio serve` with CAIO_SERVER, and CAIO_TOKEN if it printed one; its messages go to serve.err
//	witness [args]    starts `caio witness serve` at WITNESS; its messages go to witness.err
//	hangup            sends the one that was started last SIGHUP, and waits until it says what came of that
//	terminate         ends it with SIGTERM, and demands success
//	ask VAR FILE      has the server decide on the request in FILE; VAR is the decision's id
//	report ID FILE    reports what came of a decision
//	mode FILE MODE    demands the permissions of a file
//	read VAR FILE     sets a variable to the text of a file
//	lines N           demands N lines on the last command's standard error
//	workflow FILE     runs the commands of caio's in a workflow of CI
//	digest OUT FILE   demands that FILE, if there is one, states the digest that a demonstration printed
func TestScripts(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("there is no script: %v", err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("ROOT", root)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": scriptServe, "witness": scriptWitness, "hangup": scriptHangup, "terminate": scriptTerminate, "ask": scriptAsk, "report": scriptReport, "mode": scriptMode, "read": scriptRead, "lines": scriptLines, "digest": scriptDigest, "workflow": scriptWorkflow,
		},
	})
}

// running is the server or witness that each script started last.
var running sync.Map

func scriptServe(ts *testscript.TestScript, _ bool, args []string) {
	p, err := startServer(ts.MkAbs("."), []string{"PATH=" + ts.Getenv("PATH"), "HOME=" + ts.Getenv("HOME"), "CAIO_CONFIG=" + ts.Getenv("CAIO_CONFIG")}, args...)
	ts.Check(err)
	ts.Defer(p.kill)
	ts.Setenv("CAIO_SERVER", p.url)
	if p.token != "" {
		ts.Setenv("CAIO_TOKEN", p.token)
	}
	running.Store(ts, p)
}

func scriptWitness(ts *testscript.TestScript, _ bool, args []string) {
	p, err := startWitness(ts.MkAbs("."), []string{"PATH=" + ts.Getenv("PATH"), "HOME=" + ts.Getenv("HOME")}, args...)
	ts.Check(err)
	ts.Defer(p.kill)
	ts.Setenv("WITNESS", p.url)
	running.Store(ts, p)
}

func scriptHangup(ts *testscript.TestScript, _ bool, _ []string) {
	p, ok := running.Load(ts)
	if !ok {
		ts.Fatalf("no server is running")
	}
	messages := filepath.Base(p.(*process).stderr)
	told := func() int {
		return strings.Count(ts.ReadFile(messages), "SIGHUP: reloaded") + strings.Count(ts.ReadFile(messages), "SIGHUP: nothing")
	}
	before := told()
	ts.Check(p.(*process).cmd.Process.Signal(syscall.SIGHUP))
	for deadline := time.Now().Add(10 * time.Second); told() == before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("nothing was said of SIGHUP")
		}
	}
}

func scriptTerminate(ts *testscript.TestScript, _ bool, _ []string) {
	p, ok := running.LoadAndDelete(ts)
	if !ok {
		ts.Fatalf("no server is running")
	}
	ts.Check(p.(*process).terminate())
}

func scriptAsk(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: ask VAR FILE")
	}
	var answer struct {
		DecisionID string `json:"decision_id"`
	}
	text := post(ts, "/v1/decisions", args[1], http.StatusOK)
	ts.Check(json.Unmarshal(text, &answer))
	if answer.DecisionID == "" {
		ts.Fatalf("%s", text)
	}
	ts.Setenv(args[0], answer.DecisionID)
}

func scriptReport(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: report DECISION FILE")
	}
	post(ts, "/v1/decisions/"+args[0]+"/outcome", args[1], http.StatusCreated)
}

// post sends a file to the server, which answers with the status.
func post(ts *testscript.TestScript, path, file string, status int) []byte {
	request, err := http.NewRequest(http.MethodPost, ts.Getenv("CAIO_SERVER")+path, strings.NewReader(ts.ReadFile(file)))
	ts.Check(err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+ts.Getenv("CAIO_TOKEN"))
	response, err := http.DefaultClient.Do(request)
	ts.Check(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	ts.Check(err)
	if response.StatusCode != status {
		ts.Fatalf("%s: %s", response.Status, text)
	}
	return text
}

func scriptMode(ts *testscript.TestScript, neg bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := info.Mode().Perm().String(); (got == args[1]) == neg {
		ts.Fatalf("%s has the mode %s", args[0], got)
	}
}

func scriptRead(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: read VAR FILE")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
}

func scriptLines(ts *testscript.TestScript, _ bool, args []string) {
	lines := strings.Split(strings.TrimSuffix(ts.ReadFile("stderr"), "\n"), "\n")
	if got := strconv.Itoa(len(lines)); got != args[0] {
		ts.Fatalf("%s lines, not %s", got, args[0])
	}
}

var demoDigest = regexp.MustCompile(`digest ([0-9a-f]{64})`)

func scriptDigest(ts *testscript.TestScript, _ bool, args []string) {
	printed := demoDigest.FindStringSubmatch(ts.ReadFile(args[0]))
	if printed == nil {
		ts.Fatalf("no digest was printed")
	}
	stated, err := os.ReadFile(ts.MkAbs(args[1]))
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	ts.Check(err)
	if !strings.Contains(string(stated), printed[1]) {
		ts.Fatalf("%s does not state the digest %s", filepath.Base(args[1]), printed[1])
	}
}

// TestHelp walks all commands: each says in one line what it does, and has an example that calls it.
func TestHelp(t *testing.T) {
	walked := 0
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		walked++
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: short help %q", cmd.CommandPath(), cmd.Short)
		}
		calls := slices.DeleteFunc(strings.Split(cmd.Example, "\n"), func(line string) bool {
			return !strings.Contains(line, cmd.CommandPath()) && !strings.HasPrefix(line, "  caio help")
		})
		if len(calls) == 0 {
			t.Errorf("%s has no example that calls it", cmd.CommandPath())
		}
		for _, line := range calls {
			example(t, line)
		}
		for _, below := range cmd.Commands() {
			walk(below)
		}
	}
	walk(newRoot())
	if walked < 25 {
		t.Errorf("only %d commands were walked", walked)
	}
}

var quoted = regexp.MustCompile(`'[^']*'`)

// example demands that the flags of an example exist, and that its arguments are of the right number.
func example(t *testing.T, line string) {
	t.Helper()
	words := strings.Fields(quoted.ReplaceAllString(line, "text"))
	for len(words) > 0 && words[0] != "caio" { // assignments to variables
		words = words[1:]
	}
	for i, word := range words {
		if word == ">" || word == "#" || word == "|" {
			words = words[:i]
			break
		}
	}
	cmd, args, err := newRoot().Find(words[1:])
	if err == nil {
		if err = cmd.ParseFlags(args); err == nil {
			err = cmd.ValidateArgs(cmd.Flags().Args())
		}
	}
	if err == nil {
		err = cmd.ValidateRequiredFlags()
	}
	if err == nil {
		err = cmd.ValidateFlagGroups()
	}
	if err != nil {
		t.Errorf("%q: %v", line, err)
	}
}
