package main

import (
	"bytes"
	"database/sql"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/tlog"
	"github.com/spf13/cobra"
)

const recoveringRounds = 10

// TestKilledWhileRecovering ends `caio log recover` with SIGKILL at moments all over its run. Afterwards the log before is in use, and can't be appended to, or the new one is, whole: a second call does what is left to do, and nothing twice.
func TestKilledWhileRecovering(t *testing.T) {
	base := t.TempDir()
	token := layLost(t, base)
	begin := func(dir string) *exec.Cmd {
		cmd := exec.Command("caio", "log", "recover", "--reason", "the disk is gone")
		cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
		return cmd
	}
	whole := copyOf(t, base)
	at := time.Now()
	if text, err := begin(whole).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	takes := time.Since(at)
	before, after := 0, 0
	for round := range recoveringRounds {
		dir := copyOf(t, base)
		cmd := begin(dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(takes * time.Duration(round*12) / (10 * recoveringRounds))
		_ = cmd.Process.Kill() // an error says that it has ended
		_ = cmd.Wait()
		text, err := begin(dir).CombinedOutput()
		switch {
		case err == nil:
			before++
		case bytes.Contains(text, []byte("there is nothing to recover")):
			after++
		default:
			t.Fatalf("after %d of %d: %v\n%s", round, recoveringRounds, err, text)
		}
		checkRecovered(t, dir, token)
	}
	if before == 0 || after == 0 {
		t.Errorf("killed %d times before it was done, and %d after", before, after)
	}
	t.Logf("killed %d times before it was done, and %d after; it takes %v", before, after, takes)
}

// layLost leaves a store in a folder that is an older copy: a service, a hold, and of two decisions one.
func layLost(t *testing.T, dir string) (token string) {
	layHouse(t, dir)
	p := startTestServer(t, dir)
	token = p.token
	client := &options{server: p.url, token: token}
	for path, body := range map[string]string{"/v1/services/eu": houseContract("eu", "eu"), "/v1/holds/case": `{"everything": true, "ground": "case 117", "reason": "asked for by counsel"}`} {
		if err := client.call(t.Context(), http.MethodPut, path, "application/json", []byte(body), nil); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "caio.db")
	var older []byte
	for range 2 {
		if err := client.call(t.Context(), http.MethodPost, "/v1/decisions", "application/json", []byte(`{"intent": {"type": "embeddings"}}`), nil); err != nil {
			t.Fatal(err)
		}
		err := p.terminate()
		if err == nil && older == nil {
			older, err = os.ReadFile(file)
			p = startTestServer(t, dir)
			client.server = p.url
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, older, 0o600); err != nil {
		t.Fatal(err)
	}
	return token
}

func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	keys, err := filepath.Glob(filepath.Join(to, "caio-keys", "*"))
	if err != nil || len(keys) == 0 {
		t.Fatal("no keys", err)
	}
	for _, key := range keys { // which are refused where others can read them
		if err := os.Chmod(key, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// checkRecovered demands of a folder that its server starts with what was in force, in a log that says which one it follows, and that this one holds as it was given up.
func checkRecovered(t *testing.T, dir, token string) {
	t.Helper()
	p := startTestServer(t, dir)
	defer p.kill()
	client := &options{server: p.url, token: token}
	var holds server.HoldList
	if err := client.call(t.Context(), http.MethodGet, "/v1/holds", "", nil, &holds); err != nil || len(holds.Holds) != 1 || holds.Holds[0].Ground != "case 117" {
		t.Errorf("held: %+v, %v", holds, err)
	}
	if err := client.call(t.Context(), http.MethodPost, "/v1/decisions", "application/json", []byte(`{"intent": {"type": "embeddings"}}`), nil); err != nil {
		t.Error(err)
	}
	code, text := client.verifiesLog(t, dir)
	for _, says := range []string{"caio-contract+jws  1\n", "caio-hold+jws  1\n", "caio-recovery+jws  1\n", "so that 1 which callers were answered are lost", "holds as it was given up"} {
		if code != 0 || !strings.Contains(text, says) {
			t.Fatalf("exit %d, %q is not in\n%s", code, says, text)
		}
	}
	if err := p.terminate(); err != nil {
		t.Error(err)
	}
}

// verifiesLog runs `caio log verify` with a trust file of now.
func (o *options) verifiesLog(t *testing.T, dir string) (code int, text string) {
	t.Helper()
	file := filepath.Join(dir, "now.json")
	var stdout, stderr bytes.Buffer
	if code := run([]string{"trust", "export", "-o", file, "--server", o.server, "--token", o.token}, &stdout, &stderr); code != 0 {
		t.Fatal(stderr.String())
	}
	code = run([]string{"log", "verify", "--trust", file, "--server", o.server, "--token", o.token}, &stdout, &stderr)
	return code, stdout.String() + stderr.String()
}

// A log that was given up is not gone on with, shortened or changed behind what its successor says of it.
func TestFormerLogIsHeldToItsSuccessor(t *testing.T) {
	dir := t.TempDir()
	token := layLost(t, dir)
	cmd := exec.Command("caio", "log", "recover", "--reason", "the disk is gone")
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	p := startTestServer(t, dir)
	client := &options{server: p.url, token: token}
	if code, text := client.verifiesLog(t, dir); code != 0 {
		t.Fatalf("exit %d\n%s", code, text)
	}
	trust, err := readTrust(t.Context(), filepath.Join(dir, "now.json"))
	if err != nil {
		t.Fatal(err)
	}
	reading := &cobra.Command{}
	reading.SetContext(t.Context())
	reading.SetErr(io.Discard)
	source, err := client.logSource("", trust)
	if err != nil {
		t.Fatal(err)
	}
	now, _, err := client.derive(reading, source, trust, nil)
	if err != nil || now.Follows == nil || !now.Follows.Signed {
		t.Fatalf("%+v, %v", now.Follows, err)
	}
	for what, change := range map[string]func(f *verify.Former){
		"it was gone on with": func(f *verify.Former) { f.Kept-- },
		"it was shortened":    func(f *verify.Former) { f.Kept++ },
		"it is another one":   func(f *verify.Former) { f.Size, f.Checkpoint.Size, f.Checkpoint.Root = 1, 1, tlog.Hash{} },
		"it is not there":     func(f *verify.Former) { f.Log = trust.Logs[0].Origin[1:] + "0" },
	} {
		changed := *now.Follows
		change(&changed)
		list, err := client.checkFormer(reading, trust, &changed, nil)
		if what == "it is not there" {
			if err != nil || len(list) != 1 || !list[0].Unchecked {
				t.Errorf("%s: %+v, %v", what, list, err)
			}
			continue
		}
		if !isNo(err) || len(list) == 0 || list[0].Fault == "" {
			t.Errorf("%s: %+v, %v", what, list, err)
		}
		changed.Why = verify.LostDamaged
		if list, err := client.checkFormer(reading, trust, &changed, nil); err != nil || list[0].Fault == "" {
			t.Errorf("%s, and was damaged: %+v, %v", what, list, err)
		}
	}
	for what, c := range map[string]struct {
		kept tlog.Checkpoint
		says string
	}{
		"as it is said":        {now.Follows.Checkpoint, ""},
		"larger":               {tlog.Checkpoint{Origin: now.Follows.Log, Size: now.Follows.Size + 1}, "a checkpoint that was kept has"},
		"another of that size": {tlog.Checkpoint{Origin: now.Follows.Log, Size: now.Follows.Size}, "a checkpoint that was kept has"},
		"another before":       {tlog.Checkpoint{Origin: now.Follows.Log, Size: 2}, "is not what its checkpoint says"},
		"of a stranger":        {tlog.Checkpoint{Origin: "stranger", Size: 2}, "neither this log is that one nor any that it follows"},
	} {
		if _, err := client.checkFormer(reading, trust, now.Follows, []tlog.Checkpoint{c.kept}); (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("a checkpoint was kept that is %s: %v", what, err)
		}
	}
	damaged := *now.Follows
	damaged.Why = verify.LostDamaged
	if _, err := client.checkFormer(reading, trust, &damaged, []tlog.Checkpoint{{Origin: damaged.Log, Size: damaged.Size + 1}}); !isNo(err) {
		t.Errorf("of a damaged log more is known than is said: %v", err)
	}
	if err := p.terminate(); err != nil {
		t.Fatal(err)
	}
	base := dir
	for what, c := range map[string]struct{ statement, says string }{
		"an entry changed":       {"UPDATE entries SET leaf = CAST('x.y.z' AS BLOB) WHERE tenant <> 'default' AND idx = 1", "is not what the log that follows says of it"},
		"its checkpoint removed": {"DELETE FROM checkpoints WHERE tenant <> 'default'", "is not what the log that follows says of it"},
	} {
		t.Run(what, func(t *testing.T) {
			dir := copyOf(t, base)
			db, err := sql.Open("sqlite", filepath.Join(dir, "caio.db"))
			if err != nil {
				t.Fatal(err)
			}
			result, err := db.Exec(c.statement)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := result.RowsAffected(); n != 1 || err != nil {
				t.Fatalf("%d rows, %v", n, err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			p := startTestServer(t, dir)
			client := &options{server: p.url, token: token}
			if code, text := client.verifiesLog(t, dir); code != 1 || !strings.Contains(text, c.says) {
				t.Errorf("exit %d\n%s", code, text)
			}
		})
	}
}
