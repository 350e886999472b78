package witness

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/verify/tlog"
	"github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

// post sends a body to a witness.
func post(t *testing.T, url string, body []byte) (status int, kind, answer string) {
	t.Helper()
	response, err := http.Post(url+"/add-checkpoint", "text/plain", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text := must(io.ReadAll(response.Body))(t)
	return response.StatusCode, response.Header.Get("Content-Type"), string(text)
}

// TestAnswers follows the specification of add-checkpoint from its first demand to its last, on one witness.
func TestAnswers(t *testing.T) {
	good, fork := newLog(100), forked(5, 100)
	stranger := &written{origin: "log.example/other", seed: 1}
	stranger.write(10)
	impostor := &written{origin: origin, seed: 2} // the origin, with another's key
	impostor.write(10)
	broken := good.at(t, 10)
	broken.Signatures[0].Bytes = append([]byte{}, broken.Signatures[0].Bytes...)
	broken.Signatures[0].Bytes[5] ^= 1
	both := good.at(t, 10) // signed by the log, and by one who isn't known
	both.Signatures = append(both.Signatures, must(tlog.Cosign(both, "somebody.example", private(99), time.Unix(noon, 0)))(t))
	foul := good.at(t, 10) // signed well, and beside that wrongly in the same log's name
	foul.Signatures = append(foul.Signatures, broken.Signatures[0])
	empty := impossible(t)

	_, server, _ := serve(t, 1, newClock())
	const cosigned = http.StatusOK
	for _, step := range []struct {
		name   string
		body   []byte
		status int
		size   string // of a conflict
	}{
		{"not a request", []byte("old 0\n"), 400, ""},
		{"a log that is not known", Request{0, nil, stranger.at(t, 10)}.Encode(), 404, ""},
		{"not known comes before everything else", Request{11, nil, stranger.at(t, 10)}.Encode(), 404, ""},
		{"a key that is not known", Request{0, nil, impostor.at(t, 10)}.Encode(), 403, ""},
		{"a signature that is wrong", Request{0, nil, broken}.Encode(), 403, ""},
		{"a key twice", Request{0, nil, foul}.Encode(), 400, ""},
		{"the key comes before the size", Request{11, nil, impostor.at(t, 10)}.Encode(), 403, ""},
		{"smaller than what it extends", Request{11, nil, good.at(t, 10)}.Encode(), 400, ""},
		{"a size that was never cosigned", Request{4, good.prove(t, 4, 10), good.at(t, 10)}.Encode(), 409, "0\n"},
		{"an empty log with a root", Request{0, nil, empty}.Encode(), 422, ""},
		{"a proof from nothing", Request{0, good.prove(t, 3, 10), good.at(t, 10)}.Encode(), 422, ""},
		{"an empty log", Request{0, nil, good.at(t, 0)}.Encode(), cosigned, ""},
		{"the first", Request{0, nil, good.at(t, 8)}.Encode(), cosigned, ""},
		{"the first again, from nothing", Request{0, nil, good.at(t, 8)}.Encode(), 409, "8\n"},
		{"the same", Request{8, nil, good.at(t, 8)}.Encode(), cosigned, ""},
		{"the same with a proof", Request{8, good.prove(t, 3, 8), good.at(t, 8)}.Encode(), 422, ""},
		{"the same size with another root", Request{8, nil, fork.at(t, 8)}.Encode(), 422, ""},
		{"without a proof", Request{8, nil, good.at(t, 10)}.Encode(), 422, ""},
		{"the proof of another size", Request{8, good.prove(t, 7, 10), good.at(t, 10)}.Encode(), 422, ""},
		{"a proof with a hash too many", Request{8, append(good.prove(t, 8, 10), tlog.EmptyRoot), good.at(t, 10)}.Encode(), 422, ""},
		{"a fork", Request{8, fork.prove(t, 8, 10), fork.at(t, 10)}.Encode(), 422, ""},
		{"a fork from a size that it has in common", Request{5, fork.prove(t, 5, 10), fork.at(t, 10)}.Encode(), 409, "8\n"},
		{"the next, also signed by one who is not known", Request{8, good.prove(t, 8, 10), both}.Encode(), cosigned, ""},
		{"with extension lines", Request{10, good.prove(t, 10, 64), good.at(t, 64, "an extension")}.Encode(), cosigned, ""},
		{"back", Request{10, nil, good.at(t, 10)}.Encode(), 409, "64\n"},
		{"back, from where it is", Request{64, nil, good.at(t, 10)}.Encode(), 400, ""},
		{"too long", make([]byte, MaxRequestBytes+1), 413, ""},
	} {
		status, kind, answer := post(t, server.URL, step.body)
		if status != step.status {
			t.Errorf("%s: %d, not %d: %s", step.name, status, step.status, answer)
		}
		if (kind == "text/x.tlog.size") != (step.size != "") || step.size != "" && answer != step.size {
			t.Errorf("%s: %s %q", step.name, kind, answer)
		}
		if lines, err := tlog.ParseSignatures([]byte(answer)); (err == nil) != (step.status == cosigned) || err == nil && len(lines) != 1 {
			t.Errorf("%s: the answer is %q", step.name, answer)
		}
	}
	for path, method := range map[string]string{"/add-checkpoint": http.MethodGet, "/": http.MethodPost} {
		request := must(http.NewRequestWithContext(t.Context(), method, server.URL+path, nil))(t)
		response := must(http.DefaultClient.Do(request))(t)
		response.Body.Close()
		if response.StatusCode/100 != 4 {
			t.Errorf("%s %s: %s", method, path, response.Status)
		}
	}
}

// impossible is a checkpoint of no entries with the root of some, signed by the log.
func impossible(t *testing.T) tlog.Checkpoint {
	c := newLog(3).at(t, 3)
	c.Size = 0
	signer := must(note.NewSigner(secret(t, origin, tlog.Ed25519, 1)))(t)
	return must(tlog.ParseCheckpoint(must(note.Sign(&note.Note{Text: string(c.Body())}, signer))(t)))(t)
}

// TestOthersReadCosignatures: what the witness signs and what it serves to monitors is good for transparency-dev/formats and golang.org/x/mod.
func TestOthersReadCosignatures(t *testing.T) {
	c := newClock()
	w, server, _ := serve(t, 1, c)
	good := newLog(100)
	id := sha256.Sum256([]byte(origin))
	monitored := server.URL + "/" + hex.EncodeToString(id[:]) + "/checkpoint"
	if status, _ := get(t, monitored); status != http.StatusNotFound {
		t.Errorf("before anything was cosigned: %d", status)
	}
	checkpoint := good.at(t, 100, "an extension")
	checkpoint.Signatures = append(checkpoint.Signatures, must(tlog.Cosign(checkpoint, "somebody.example", private(99), c.now()))(t))
	status, _, answer := post(t, server.URL, Request{0, nil, checkpoint}.Encode())
	if status != http.StatusOK {
		t.Fatal(status, answer)
	}
	theirs := must(fnote.NewVerifierForCosignatureV1(w.Key().String()))(t)
	logs := must(note.NewVerifier(logKey(t).String()))(t)
	read := func(text string) {
		t.Helper()
		parsed, _, signed, err := log.ParseCheckpoint([]byte(text), origin, logs, theirs)
		if err != nil {
			t.Fatal(err)
		}
		if parsed.Size != 100 || base64.StdEncoding.EncodeToString(parsed.Hash) != base64.StdEncoding.EncodeToString(checkpoint.Root[:]) || len(signed.Sigs) != 2 {
			t.Errorf("%+v, %d signatures", parsed, len(signed.Sigs))
		}
		for _, s := range signed.Sigs {
			if s.Name == witnessName {
				if at := must(fnote.CoSigV1Timestamp(s))(t); at.Unix() != noon {
					t.Errorf("cosigned at %s", at)
				}
			}
		}
	}
	read(string(checkpoint.Encode()) + answer)
	status, text := get(t, monitored)
	if status != http.StatusOK || strings.Contains(text, "somebody.example") {
		t.Errorf("%d: %s", status, text)
	}
	read(text)
	if status, _ := get(t, server.URL+"/"+strings.Repeat("0", 64)+"/checkpoint"); status != http.StatusNotFound {
		t.Errorf("of a log that is not known: %d", status)
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode, string(must(io.ReadAll(response.Body))(t))
}

// TestConcurrentRequests: two logs under one name, and many sizes of each, at once. One history is cosigned, and each size of it once.
func TestConcurrentRequests(t *testing.T) {
	c := newClock()
	w := open(t, filepath.Join(t.TempDir(), "witness.db"), 1, c)
	sides := []*written{newLog(300), forked(1, 300)}
	var mu sync.Mutex
	given := map[int64]map[tlog.Hash]bool{}
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			side, from := sides[i%2], int64(0)
			random := rand.New(rand.NewPCG(uint64(i), 0))
			for range 30 {
				to := min(from+random.Int64N(12), 300)
				checkpoint := side.at(t, to)
				_, err := w.Add(context.Background(), Request{from, side.prove(t, from, to), checkpoint})
				var size *SizeError
				switch {
				case errors.As(err, &size):
					from = min(size.Size, 300)
				case err == nil:
					mu.Lock()
					if given[to] == nil {
						given[to] = map[tlog.Hash]bool{}
					}
					given[to][checkpoint.Root] = true
					mu.Unlock()
					from = to
				case !errors.Is(err, tlog.ErrProof):
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	won := map[*written]int{}
	for size, roots := range given {
		if len(roots) != 1 {
			t.Errorf("two trees of size %d were cosigned", size)
		}
		for _, side := range sides {
			if size > 1 && roots[side.at(t, size).Root] {
				won[side]++
			}
		}
	}
	if len(won) != 1 || len(given) < 10 {
		t.Errorf("%d sizes were cosigned, of %d logs", len(given), len(won))
	}
}

// TestState: what was cosigned outlives the process, no second process opens it, and nothing takes it back.
func TestState(t *testing.T) {
	c, file, good := newClock(), filepath.Join(t.TempDir(), "witness.db"), newLog(20)
	w := open(t, file, 1, c)
	add := func(w *Witness, from, to int64) error {
		_, err := w.Add(t.Context(), Request{from, good.prove(t, from, to), good.at(t, to)})
		return err
	}
	if err := add(w, 0, 7); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{Name: witnessName, Key: private(11), State: file, Clock: c.now}); !errors.Is(err, store.ErrInUse) {
		t.Errorf("a second process: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if mode := must(os.Stat(file))(t).Mode().Perm(); mode != 0o600 {
		t.Errorf("the state has the mode %s", mode)
	}
	w = open(t, file, 2, c) // with another key: the memory is of the logs
	var size *SizeError
	if err := add(w, 0, 20); !errors.As(err, &size) || size.Size != 7 {
		t.Errorf("after a restart: %v", err)
	}
	if err := w.Know(); err != nil {
		t.Fatal(err)
	}
	if err := add(w, 7, 20); !errors.Is(err, ErrUnknownLog) {
		t.Errorf("of a log that is known no more: %v", err)
	}
	if err := w.Know(logKey(t), logKey(t), key(t, origin, tlog.Ed25519, 3)); err != nil {
		t.Fatal(err)
	}
	if err := add(w, 0, 20); !errors.As(err, &size) || size.Size != 7 {
		t.Errorf("when it is known again: %v", err)
	}
	c.pass(-time.Second)
	if err := add(w, 7, 20); !errors.Is(err, ErrClock) {
		t.Errorf("with the clock set back: %v", err)
	}
	c.pass(time.Second)
	if err := add(w, 7, 20); err != nil {
		t.Error(err)
	}
	if err := w.Know(key(t, witnessName, tlog.CosignatureV1, 11)); err == nil {
		t.Error("a witness is taken for a log")
	}
	// The file itself refuses, whatever the code above it does.
	for _, change := range []string{"size = size - 1", "time = time - 1", "root = zeroblob(32)"} {
		if _, err := w.state.file.DB.ExecContext(t.Context(), "UPDATE latest SET "+change); err == nil || !strings.Contains(err.Error(), "never taken back") {
			t.Errorf("%s: %v", change, err)
		}
	}
}

// TestNothingIsCosignedUnwritten: while the state can't be written, nothing is answered but a fault.
func TestNothingIsCosignedUnwritten(t *testing.T) {
	w, server, _ := serve(t, 1, newClock())
	good := newLog(20)
	for _, statement := range []string{"PRAGMA query_only = ON"} {
		if _, err := w.state.file.DB.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	status, _, answer := post(t, server.URL, Request{0, nil, good.at(t, 7)}.Encode())
	if status != http.StatusInternalServerError || strings.Contains(answer, "—") {
		t.Errorf("%d: %s", status, answer)
	}
	if _, err := w.state.file.DB.ExecContext(t.Context(), "PRAGMA query_only = OFF"); err != nil {
		t.Fatal(err)
	}
	if status, _, answer := post(t, server.URL, Request{0, nil, good.at(t, 7)}.Encode()); status != http.StatusOK {
		t.Errorf("%d: %s", status, answer)
	}
}
