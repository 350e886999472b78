package ledger_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/internal/store/sqlite"
	"github.com/smarthausgroup/caio/internal/store/storetest"
)

// crashVariable makes the test binary a process that appends to the store at this path until it is killed.
const crashVariable = "CAIO_TEST_CRASH"

func TestMain(m *testing.M) {
	if path := os.Getenv(crashVariable); path != "" {
		appendForever(path)
	}
	os.Exit(m.Run())
}

// appendForever appends from several goroutines and prints of each call, after it was answered, the index in the log of a, that in the log of b, and the number of its decision.
func appendForever(path string) {
	s, err := sqlite.Open(context.Background(), path)
	if err != nil {
		panic(err)
	}
	l, err := ledger.Open(context.Background(), s, ledger.Options{Random: rand.Reader, Signer: logKey})
	if err != nil {
		panic(err)
	}
	for range 8 {
		go func() {
			for {
				n := int(mathrand.Int32())
				e := decision("a", epoch, n)
				e.Answer = &ledger.Answer{Key: fmt.Sprint(n), Call: "POST /v1/decisions", Request: "request", Status: 200, Body: []byte("answer")}
				indices, err := l.Append(context.Background(), e, attempt("b", "chat", "s", n))
				if err != nil {
					panic(err)
				}
				fmt.Printf("%d %d %d\n", indices[0], indices[1], n)
			}
		}()
	}
	select {}
}

// crash runs the process until it has answered some calls, kills it, and returns what it answered: one line a call.
func crash(t *testing.T, path string, answers int) []string {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), crashVariable+"="+path)
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for scanner := bufio.NewScanner(output); scanner.Scan(); {
		lines = append(lines, scanner.Text())
		if len(lines) == answers {
			if err := command.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	var exit *exec.ExitError
	if err := command.Wait(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
		t.Fatalf("the process was not killed: %v", err)
	}
	return lines
}

// TestKill kills a process that appends, several times over one store: every call that was answered is there, at its index and with all its parts; a call that was not is there as a whole or not at all.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "caio.db")
	answered := map[string]bool{}
	for round := range 8 {
		lines := crash(t, path, 1+mathrand.IntN(200))
		for _, line := range lines {
			answered[line] = true
		}
		s := openStore(t, path)
		l := openLedger(t, s, ledger.Options{})
		logs := map[string][]string{"a": leaves(t, l, "a"), "b": leaves(t, l, "b")}
		for line := range answered {
			var a, b, n int
			if _, err := fmt.Sscan(line, &a, &b, &n); err != nil {
				continue // the kill cut the line off
			}
			if a >= len(logs["a"]) || b >= len(logs["b"]) || logs["a"][a] != fmt.Sprintf("statement %d", n) || logs["b"][b] != fmt.Sprintf("attempt %d", n) {
				t.Fatalf("round %d: %q was answered, and is not there", round, line)
			}
		}
		checkWhole(t, l, logs)
		t.Logf("round %d: %d calls answered, %d leaves", round, len(answered), len(logs["a"]))
		if err := errors.Join(l.Close(), s.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// checkWhole looks for every part of every call of which one leaf is there.
func checkWhole(t *testing.T, l *ledger.Ledger, logs map[string][]string) {
	t.Helper()
	var numbers [2][]int
	for i, tenant := range []string{"a", "b"} {
		for _, leaf := range logs[tenant] {
			var word string
			var n int
			if _, err := fmt.Sscan(leaf, &word, &n); err != nil {
				t.Fatal(err)
			}
			numbers[i] = append(numbers[i], n)
		}
		slices.Sort(numbers[i])
	}
	if !slices.Equal(numbers[0], numbers[1]) {
		t.Fatalf("of some calls one leaf is there and the other is not: %d and %d", len(numbers[0]), len(numbers[1]))
	}
	ctx := context.Background()
	for _, n := range numbers[0] {
		id := storetest.DecisionID(epoch, n)
		document, err := l.Document(ctx, "a", id)
		disclosures, err2 := l.Disclosures(ctx, "a", id)
		answer, err3 := l.Answer(ctx, "a", fmt.Sprint(n), "POST /v1/decisions")
		if err := errors.Join(err, err2, err3); err != nil || string(document) != fmt.Sprint("document ", n) || string(disclosures) != fmt.Sprint("disclosures ", n) || string(answer.Body) != "answer" {
			t.Fatalf("the leaf of decision %d is there, and its parts are not: %v", n, err)
		}
		if attempts, err := l.Attempts(ctx, "b", id); err != nil || len(attempts) != 1 {
			t.Fatalf("the attempt of decision %d: %v, %v", n, attempts, err)
		}
	}
	if row := l.HistoryAt("b", "chat", epoch)["s"]; row.N != int64(min(500, len(numbers[1]))) {
		t.Fatalf("the history counts %d of %d attempts", row.N, len(numbers[1]))
	}
	if page, err := l.Search(ctx, "a", store.Query{Limit: store.MaxLimit}); err != nil || len(page.Decisions) != min(store.MaxLimit, len(numbers[0])) {
		t.Fatalf("a search finds %d decisions of %d: %v", len(page.Decisions), len(numbers[0]), err)
	}
}
