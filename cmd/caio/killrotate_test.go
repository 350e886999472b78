package main

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/server"
)

// TestKilledWhileRotating kills a server under load at some moment of a change of keys, again and again: the next start completes it, every entry stands in the interval of its key, and every decision that a client was given is there.
func TestKilledWhileRotating(t *testing.T) {
	dir := t.TempDir()
	layHouse(t, dir)
	p := startTestServer(t, dir)
	client := &options{server: p.url, token: p.token}
	if err := client.call(t.Context(), http.MethodPut, "/v1/services/eu", "application/json", []byte(houseContract("eu", "eu")), nil); err != nil {
		t.Fatal(err)
	}
	keys := signing{folder: filepath.Join(dir, defaultKeys)}
	var given []server.Answer
	for range killCount(t) {
		var next []byte
		given = append(given, load(t, client, func() {
			private, err := (&sealing{}).generate(keys.path(nextFile))
			if err != nil {
				t.Error(err)
			}
			next = publicOf(private)
			if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Duration(rand.N(int64(25 * time.Millisecond)))) // anywhere in the change
			p.kill()
		})...)
		if _, err := os.Stat(keys.path(nextFile)); err == nil {
			t.Log("killed before the files were moved")
		}
		p = startTestServer(t, dir)
		client.server = p.url
		inUse, err := readPublic(keys.path(inUseFile))
		if err != nil || !bytes.Equal(inUse, next) {
			t.Fatalf("the change was not completed: %v", err)
		}
		if _, err := os.Stat(keys.path(nextFile)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", nextFile, err)
		}
		inLog(t, client, given)
	}
}
