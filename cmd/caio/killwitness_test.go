package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/internal/witness"
	"github.com/smarthausgroup/caio/verify/tlog"
	"golang.org/x/mod/sumdb/note"
	sumdb "golang.org/x/mod/sumdb/tlog"
)

// foreign is a log as golang.org/x/mod writes and signs it, with all of its checkpoints ready: entries from a place on are its own.
type foreign struct {
	key         tlog.Key
	checkpoints []tlog.Checkpoint // by size
	hashes      []sumdb.Hash      // by sumdb.StoredHashIndex
}

// ReadHashes makes l a sumdb.HashReader.
func (l *foreign) ReadHashes(indexes []int64) ([]sumdb.Hash, error) {
	list := make([]sumdb.Hash, len(indexes))
	for i, index := range indexes {
		list[i] = l.hashes[index]
	}
	return list, nil
}

func (l *foreign) prove(_ context.Context, from, to int64) ([]tlog.Hash, error) {
	proof, err := sumdb.ProveTree(to, from, l)
	list := make([]tlog.Hash, len(proof))
	for i, hash := range proof {
		list[i] = tlog.Hash(hash)
	}
	return list, err
}

func writeForeign(t *testing.T, origin string, size, fork int64) *foreign {
	t.Helper()
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	key, err := tlog.NewKey(origin, tlog.Ed25519, publicOf(private))
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", origin, key.ID(), base64.StdEncoding.EncodeToString(append([]byte{1}, private.Seed()...))))
	if err != nil {
		t.Fatal(err)
	}
	l := &foreign{key: key, checkpoints: make([]tlog.Checkpoint, 1)}
	for n := range size {
		hashes, err := sumdb.StoredHashes(n, fmt.Appendf(nil, "entry %d, %t", n, n >= fork), l)
		if err != nil {
			t.Fatal(err)
		}
		l.hashes = append(l.hashes, hashes...)
		root, err := sumdb.TreeHash(n+1, l)
		if err != nil {
			t.Fatal(err)
		}
		text, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", origin, n+1, root)}, signer)
		if err != nil {
			t.Fatal(err)
		}
		checkpoint, err := tlog.ParseCheckpoint(text)
		if err != nil {
			t.Fatal(err)
		}
		l.checkpoints = append(l.checkpoints, checkpoint)
	}
	return l
}

const (
	witnessed     = 4   // logs
	witnessedSize = 600 // of each
	killedRounds  = 6
	killedAfter   = 40 // cosignatures of a round, at least
)

// TestKilledWitness ends a witness with SIGKILL while it cosigns, again and again: what it has let out it knows after that, and a fork of it is refused.
func TestKilledWitness(t *testing.T) {
	dir := t.TempDir()
	logs, forks := make([]*foreign, witnessed), make([]*foreign, witnessed)
	var vkeys bytes.Buffer
	for i := range logs {
		origin := fmt.Sprintf("log.example/%d", i)
		logs[i], forks[i] = writeForeign(t, origin, witnessedSize, witnessedSize), writeForeign(t, origin, witnessedSize, 1)
		fmt.Fprintln(&vkeys, logs[i].key)
	}
	if err := os.WriteFile(filepath.Join(dir, "logs.txt"), vkeys.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	given, total := make([]int64, witnessed), 0
	for range killedRounds {
		p, client := startTestWitness(t, dir)
		total += cosignUntilKilled(t, client, p, logs, given)
		p, client = startTestWitness(t, dir)
		for i := range logs {
			holdsTo(t, client, logs[i], forks[i], given[i])
		}
		if err := p.terminate(); err != nil {
			t.Errorf("after SIGTERM: %v", err)
		}
	}
	t.Logf("%d cosignatures were given, of sizes up to %d", total, given)
}

func startTestWitness(t *testing.T, dir string) (*process, *witness.Client) {
	t.Helper()
	p, err := startWitness(dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}, "--name", "witness.example/w1", "--logs", "logs.txt")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	private, err := openKey(filepath.Join(dir, "caio-witness.pem"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := tlog.NewKey("witness.example/w1", tlog.CosignatureV1, publicOf(private))
	if err != nil {
		t.Fatal(err)
	}
	client, err := witness.NewClient(p.url, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p, client
}

// cosignUntilKilled has logs grow one entry at a time, all at once, ends the witness in the middle, and notes the largest size of each that was cosigned.
func cosignUntilKilled(t *testing.T, client *witness.Client, p *process, logs []*foreign, given []int64) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var count atomic.Int64
	var group sync.WaitGroup
	for i, log := range logs {
		group.Go(func() {
			for size := given[i] + 1; size <= witnessedSize; size++ {
				_, err := client.Cosign(ctx, log.key, log.checkpoints[size], given[i], log.prove)
				var ahead *witness.SizeError
				if errors.As(err, &ahead) && ahead.Size == size+1 {
					continue // written before the signal, and not answered
				}
				if err != nil {
					return // it is gone
				}
				given[i] = size
				if count.Add(1) == killedAfter {
					group.Go(p.kill)
				}
			}
		})
	}
	group.Wait()
	if count.Load() < killedAfter {
		t.Fatalf("the witness ended by itself after %d cosignatures: %v", count.Load(), ctx.Err())
	}
	return int(count.Load())
}

// holdsTo demands that the witness knows a log at the size that it cosigned last, or at the one after, which it did not come to answer; and that it cosigns nothing that contradicts that.
func holdsTo(t *testing.T, client *witness.Client, log, fork *foreign, given int64) {
	t.Helper()
	var ahead *witness.SizeError
	if _, err := client.Cosign(t.Context(), log.key, log.checkpoints[1], 0, log.prove); given > 1 && (!errors.As(err, &ahead) || ahead.Size < given || ahead.Size > given+1) {
		t.Fatalf("%s was cosigned at size %d, and the witness knows: %v", log.key.Name, given, err)
	}
	for _, size := range []int64{given, given + 1, witnessedSize} {
		if size < 2 {
			continue
		}
		_, err := client.Cosign(t.Context(), log.key, fork.checkpoints[size], given, fork.prove)
		var refused *witness.RefusedError
		if !errors.As(err, &ahead) && (!errors.As(err, &refused) || !refused.Forked()) {
			t.Fatalf("a fork at size %d after %d: %v", size, given, err)
		}
	}
}
