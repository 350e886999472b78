package server_test

import (
	"context"
	"database/sql"
	"os"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/tlog"
)

// again stops the server, and starts it on its store.
func (i *installation) again(options ...option) *installation {
	i.t.Helper()
	i.stop()
	return startAt(i.t, i.path, i, options...)
}

// What witnesses cosigned that are none any more holds under the trust file of afterwards, and counts for nothing there.
func TestFormerWitness(t *testing.T) {
	ws := newWitnesses(t)
	both := ws.list
	ws.list = both[:1]
	i := start(t, ws.of)
	token, origin, _ := ws.begun(i)
	a := i.decide(token, embed)
	ws.cosigned(i, token, origin, *a.Index)
	then, err := i.server.Trust(context.Background(), "default")
	must(t, err)
	kept := i.evidenceOf(token, a.DecisionID)

	ws.list = both[1:]
	i = i.again(ws.of)
	ws.know(i, "default")
	for _, ev := range []*verify.Evidence{kept, i.evidenceOf(token, a.DecisionID)} {
		if v := i.judged("default", ev); v.Status != verify.Inconclusive || !strings.Contains(v.Reason, "witness.example/w0") {
			t.Errorf("%+v", v)
		}
	}
	for _, v := range verify.Check(context.Background(), kept, then, verify.Options{}) {
		if v.Layer == verify.LayerWitnesses && v.Status != verify.Pass {
			t.Errorf("under the trust file of then: %+v", v)
		}
	}
	b := i.decide(token, embed)
	ws.cosigned(i, token, origin, *b.Index)
	if v := i.witnessesLayer(token, "default", b.DecisionID); v.Status == verify.Fail {
		t.Errorf("%+v", v)
	}

	i = i.again(func(i *installation) { i.config.Witnesses = server.Witnesses{Archive: ws.archive} })
	for _, ev := range []*verify.Evidence{kept, i.evidenceOf(token, b.DecisionID)} {
		if v := i.judged("default", ev); v.Status != verify.Skipped {
			t.Errorf("without witnesses: %+v", v)
		}
	}
	trust, err := i.server.Trust(context.Background(), "default")
	must(t, err)
	policy, err := tlog.ParsePolicy([]byte(trust.Policy))
	if err != nil || len(policy.Witnesses) != 2 || policy.Quorum != tlog.None {
		t.Errorf("%q: %v", trust.Policy, err)
	}
}

// Witnesses have seen more of a log than an older copy of the store holds. Once it was given up it is served, and proved, as far as it is left.
func TestCosignedBeyondTheFormerLog(t *testing.T) {
	ws, folder := newWitnesses(t), t.TempDir()
	pinned := func(i *installation) { i.config.CheckpointDir = folder }
	i := start(t, ws.of, pinned)
	token, origin, _ := ws.begun(i)
	kept := i.decide(token, embed)
	ws.cosigned(i, token, origin, *kept.Index)
	left := i.decide(token, embed) // which nobody cosigned before the copy was made
	i.stop()
	older, err := os.ReadFile(i.path)
	must(t, err)
	i = i.again(ws.of, pinned)
	lost := i.decide(token, embed)
	ws.cosigned(i, token, origin, *lost.Index)
	i.stop()
	must(t, os.WriteFile(i.path, older, 0o600))
	if _, err := i.recovered("default"); err != nil {
		t.Fatal(err)
	}
	i = i.again(ws.of, pinned)
	r := i.call("GET", "/log/"+origin+"/cosigned", token, "")
	c, err := tlog.ParseCheckpoint(r.body)
	if err != nil || c.Size > *lost.Index || c.Size <= *kept.Index || len(c.Signatures) < 2 {
		t.Errorf("%d %s: %v", r.status, r.body, err)
	}
	trust, err := i.server.Trust(context.Background(), "default")
	must(t, err)
	for _, a := range []server.Answer{kept, left} {
		for _, v := range verify.Check(context.Background(), i.evidenceOf(token, a.DecisionID), trust, verify.Options{}) {
			if v.Status == verify.Fail {
				t.Errorf("%+v", v)
			}
		}
	}
}

// A checkpoint that somebody changed in the archive goes into no evidence.
func TestArchiveChanged(t *testing.T) {
	ws := newWitnesses(t)
	i := start(t, ws.of)
	token, origin, c := ws.begun(i)
	i = i.again(func(i *installation) { i.config.Witnesses = server.Witnesses{Archive: ws.archive} })
	for what, change := range map[string]func(c *tlog.Checkpoint){
		"a changed cosignature": func(c *tlog.Checkpoint) { c.Signatures[len(c.Signatures)-1].Bytes[20] ^= 1 },
		"a stranger's":          func(c *tlog.Checkpoint) { c.Signatures[len(c.Signatures)-1].Name = "x" },
	} {
		t.Run(what, func(t *testing.T) {
			changed, err := tlog.ParseCheckpoint(c.Encode())
			must(t, err)
			change(&changed)
			db, err := sql.Open("sqlite", ws.file)
			must(t, err)
			_, err = db.Exec("UPDATE cosigned SET first = ?1, last = ?1", changed.Encode())
			must(t, err)
			must(t, db.Close())
			if r := i.call("GET", "/log/"+origin+"/cosigned", token, ""); r.status != 404 {
				t.Errorf("%d %s", r.status, r.body)
			}
			if v := i.witnessesLayer(token, "default", i.decide(token, embed).DecisionID); v.Status == verify.Fail {
				t.Errorf("%+v", v)
			}
		})
	}
}
