package server_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/witness"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/tlog"
	fwitness "github.com/transparency-dev/formats/witness"
)

// bystander is a witness over HTTP, which can be made to be away.
type bystander struct {
	*witness.Witness
	http *httptest.Server
	away atomic.Bool
}

func (b *bystander) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if b.away.Load() {
		http.Error(w, "away", http.StatusBadGateway)
		return
	}
	b.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(w, r)
}

// witnesses are two of them, with an archive for a server. They learn of a tenant's log by knows.
type witnesses struct {
	t       *testing.T
	list    []*bystander
	archive *witness.Archive
	file    string       // of the archive
	ahead   atomic.Int64 // by how much their clocks are ahead, ns
}

func newWitnesses(t *testing.T) *witnesses {
	t.Helper()
	ws := &witnesses{t: t, file: filepath.Join(t.TempDir(), "cosigned.db")}
	var err error
	ws.archive, err = witness.OpenArchive(context.Background(), ws.file)
	must(t, err)
	t.Cleanup(func() { must(t, ws.archive.Close()) })
	for n := range byte(2) {
		private := ed25519.NewKeyFromSeed([]byte(strings.Repeat(string('a'+rune(n)), ed25519.SeedSize)))
		b := &bystander{}
		b.Witness, err = witness.Open(context.Background(), witness.Config{Name: fmt.Sprintf("witness.example/w%d", n), Key: private, State: filepath.Join(t.TempDir(), "witness.db"), Clock: func() time.Time { return time.Now().Add(time.Duration(ws.ahead.Load())) }})
		must(t, err)
		t.Cleanup(func() { must(t, b.Close()) })
		b.http = httptest.NewServer(b)
		t.Cleanup(b.http.Close)
		ws.list = append(ws.list, b)
	}
	return ws
}

// of has a server ask them, often.
func (ws *witnesses) of(i *installation) {
	w := &i.config.Witnesses
	w.Clients = nil
	for _, b := range ws.list {
		client, err := witness.NewClient(b.http.URL, b.Key(), nil)
		must(ws.t, err)
		w.Clients = append(w.Clients, client)
	}
	w.Archive, w.Interval, w.Heartbeat = ws.archive, 5*time.Millisecond, time.Minute
}

// know makes the tenants' logs known to the witnesses.
func (ws *witnesses) know(i *installation, tenants ...string) {
	ws.t.Helper()
	var keys []tlog.Key
	for _, tenant := range tenants {
		_, key := i.trustedKeys(tenant)
		keys = append(keys, key...)
	}
	for _, b := range ws.list {
		must(ws.t, b.Know(keys...))
	}
}

// await waits until something is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !so(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// cosigned waits until the witnesses have cosigned what holds an index, and returns it as it is served.
func (ws *witnesses) cosigned(i *installation, token, origin string, index int64) (c tlog.Checkpoint) {
	ws.t.Helper()
	await(ws.t, fmt.Sprintf("index %d is cosigned", index), func() bool {
		r := i.call("GET", "/log/"+origin+"/cosigned", token, "")
		if r.status == http.StatusNotFound && r.problem() == "unwitnessed" {
			return false
		}
		var err error
		c, err = tlog.ParseCheckpoint(r.body)
		must(ws.t, err)
		return c.Size > index
	})
	return c
}

// begun has them know the log of a server, and cosign its first service.
func (ws *witnesses) begun(i *installation) (token, origin string, c tlog.Checkpoint) {
	ws.t.Helper()
	token = i.token("default", auth.Operator)
	first := i.register(token, contract("eu", "eu", ""))
	origin, _ = i.trustedKeys("default")
	ws.know(i, "default")
	return token, origin, ws.cosigned(i, token, origin, *first.Index)
}

// evidenceOf is the evidence of a decision.
func (i *installation) evidenceOf(token, decision string) *verify.Evidence {
	i.t.Helper()
	ev, err := verify.ReadEvidence(i.call("GET", "/v1/decisions/"+decision+"/evidence", token, "").body)
	must(i.t, err)
	return ev
}

// witnessesLayer is what the layer says of the evidence of a decision, by the trust file that the server gives.
func (i *installation) witnessesLayer(token, tenant, decision string) verify.Verdict {
	i.t.Helper()
	return i.judged(tenant, i.evidenceOf(token, decision))
}

func (i *installation) judged(tenant string, ev *verify.Evidence) verify.Verdict {
	i.t.Helper()
	trust, err := i.server.Trust(context.Background(), tenant)
	must(i.t, err)
	for _, v := range verify.Check(context.Background(), ev, trust, verify.Options{}) {
		if v.Layer == verify.LayerReceipt && v.Status != verify.Pass {
			i.t.Errorf("receipt: %+v", v)
		}
		if v.Layer == verify.LayerWitnesses {
			return v
		}
	}
	i.t.Fatal("no such layer")
	return verify.Verdict{}
}

// TestWitnessed: a checkpoint that the server gives satisfies the policy that it exports, here and by another implementation, and the evidence of a decision brackets its time. A decision that is back-dated is caught.
func TestWitnessed(t *testing.T) {
	ws := newWitnesses(t)
	var late atomic.Int64 // of the server's clock, ns
	i := start(t, ws.of, func(i *installation) {
		i.config.Clock = func() time.Time { return time.Now().Add(-time.Duration(late.Load())) }
	})
	token := i.token("default", auth.Operator)
	first := i.register(token, contract("eu", "eu", ""))
	origin, keys := i.trustedKeys("default")
	if r := i.call("GET", "/log/"+origin+"/cosigned", token, ""); r.status != 404 || r.problem() != "unwitnessed" {
		t.Errorf("before anybody knows the log: %d %s", r.status, r.body)
	}
	measured := func(wanted ...string) {
		t.Helper()
		for _, want := range wanted {
			await(t, "there is "+want, func() bool { return strings.Contains(i.metricsText(), want) })
		}
	}
	measured(`caio_witness_answers_total{result="refused",witness="witness.example/w0"}`)
	ws.know(i, "default")
	ws.cosigned(i, token, origin, *first.Index)
	honest := i.decide(token, embed)
	c := ws.cosigned(i, token, origin, *honest.Index)

	trust, err := i.server.Trust(context.Background(), "default")
	must(t, err)
	policy, err := tlog.ParsePolicy([]byte(trust.Policy))
	must(t, err)
	verified, unknown, err := c.Verify(append(keys, policy.Keys()...)...)
	must(t, err)
	quorum, err := policy.Satisfied(verified)
	must(t, err)
	if len(unknown) > 0 || len(quorum.Witnesses) != 2 || time.Since(quorum.By) > time.Minute {
		t.Errorf("%+v, unknown %v", quorum, unknown)
	}
	theirs, err := fwitness.ParsePolicy([]byte("log " + keys[0].String() + "\n" + trust.Policy))
	must(t, err)
	if !theirs.Satisfied(c.Encode()) {
		t.Errorf("transparency-dev/formats is not satisfied:\n%s%s", trust.Policy, c.Encode())
	}
	await(t, "what the log says of itself is cosigned", func() bool {
		r := i.call("GET", "/log/"+origin+"/checkpoint", token, "")
		return theirs.Satisfied(r.body)
	})
	if v := i.witnessesLayer(token, "default", honest.DecisionID); v.Status != verify.Pass {
		t.Errorf("%+v", v)
	}
	late.Store(int64(10 * time.Minute))
	lying := i.decide(token, embed)
	late.Store(0) // who lies does so of decisions alone: what witnesses sign at another time than the server's is left out
	ws.cosigned(i, token, origin, *lying.Index)
	if v := i.witnessesLayer(token, "default", lying.DecisionID); v.Status != verify.Fail || !strings.Contains(v.Reason, "back-dated") {
		t.Errorf("%+v", v)
	}
	late.Store(int64(-10 * time.Minute))
	early := i.decide(token, embed)
	late.Store(0)
	ws.cosigned(i, token, origin, *early.Index)
	if v := i.witnessesLayer(token, "default", early.DecisionID); v.Status != verify.Fail || v.Pointer != "/iat" {
		t.Errorf("%+v", v)
	}
	measured(`caio_witness_answers_total{result="cosigned",witness="witness.example/w1"}`, `caio_witness_latest_cosignature_seconds{witness="witness.example/w0"}`)
}

// TestBracketed: evidence shows what was cosigned around a decision, and nothing that came later widens it; while witnesses are away, and where they were, it is not told when a decision was made.
func TestBracketed(t *testing.T) {
	ws := newWitnesses(t)
	i := start(t, ws.of, func(i *installation) {
		i.config.Clock = func() time.Time { return time.Now().Add(time.Duration(ws.ahead.Load())) }
	})
	token, origin, _ := ws.begun(i)
	honest := i.decide(token, embed)
	ws.cosigned(i, token, origin, *honest.Index)
	if ev := i.evidenceOf(token, honest.DecisionID); ev.Earlier == nil || ev.First != nil || i.judged("default", ev).Status != verify.Pass {
		t.Errorf("cosigned: %+v, first %q", i.judged("default", ev), ev.First)
	}

	for _, b := range ws.list {
		b.away.Store(true)
	}
	young := i.decide(token, embed)
	if v := i.witnessesLayer(token, "default", young.DecisionID); v.Status != verify.Inconclusive || !strings.Contains(v.Reason, "fetch its evidence again") {
		t.Errorf("not yet cosigned: %+v", v)
	}
	ws.ahead.Store(int64(10 * time.Minute)) // so long it took
	for _, b := range ws.list {
		b.away.Store(false)
	}
	ws.cosigned(i, token, origin, *young.Index)
	if v := i.witnessesLayer(token, "default", young.DecisionID); v.Status != verify.Inconclusive || !strings.Contains(v.Reason, "apart") {
		t.Errorf("while witnesses were away: %+v", v)
	}

	r := i.call("POST", "/v1/decisions/"+honest.DecisionID+"/outcome", token, `{"status": "succeeded", "latency_ms": 20}`)
	var outcome struct{ Index int64 }
	r.into(t, &outcome)
	if v := i.witnessesLayer(token, "default", honest.DecisionID); v.Status == verify.Fail {
		t.Errorf("with an outcome that may not be cosigned yet: %+v", v)
	}
	ws.cosigned(i, token, origin, outcome.Index)
	ev := i.evidenceOf(token, honest.DecisionID)
	if v := i.judged("default", ev); v.Status != verify.Pass || ev.First == nil {
		t.Errorf("with a late outcome: %+v", v)
	}
	ev.First = nil
	if v := i.judged("default", ev); v.Status != verify.Inconclusive {
		t.Errorf("with a late outcome, and without the first checkpoint: %+v", v)
	}
}

// TestDecisionsDoNotWait: while no witness answers, decisions are made as ever, and what they cosigned before is still given.
func TestDecisionsDoNotWait(t *testing.T) {
	ws := newWitnesses(t)
	i := start(t, ws.of)
	token, origin, before := ws.begun(i)
	for _, b := range ws.list {
		b.away.Store(true)
	}
	var last int64
	for range 20 {
		last = *i.decide(token, embed).Index
	}
	if c := ws.cosigned(i, token, origin, 0); c.Size < before.Size || c.Size > last {
		t.Errorf("cosigned to size %d before, %d now, and %d entries came since", before.Size, c.Size, last)
	}
	if r := i.call("GET", "/readyz", "", ""); r.status != http.StatusOK {
		t.Errorf("not ready: %s", r.body)
	}
	await(t, "it is told", func() bool { return strings.Contains(i.logs.String(), "a witness did not cosign") })
	for _, b := range ws.list {
		b.away.Store(false)
	}
	ws.cosigned(i, token, origin, last)
}

// TestWitnessesNoticeAnOlderCopy: the store is put back from a copy, with no checkpoint kept beside it. What the witnesses cosigned says that entries are missing, or, once others are in their place, that the log forked.
func TestWitnessesNoticeAnOlderCopy(t *testing.T) {
	ws := newWitnesses(t)
	i := start(t, ws.of, withCheckpoints(t))
	token := i.token("default", auth.Operator)
	i.register(token, contract("eu", "eu", ""))
	origin, _ := i.trustedKeys("default")
	ws.know(i, "default")
	older := i.copyStores()
	ws.cosigned(i, token, origin, *i.decide(token, embed).Index)
	i.stop()

	var head *ledger.HeadError
	i.config.CheckpointDir = t.TempDir() // as if it had been put back as well
	err := i.reopen(older)
	if !errors.Is(err, ledger.ErrBehind) || !errors.As(err, &head) || len(head.Published) == 0 || !strings.Contains(err.Error(), "has cosigned") {
		t.Errorf("a start on the older copy: %v", err)
	}
	// The witnesses are away when it starts, and it goes on, as another log. When they are back, it stops.
	for _, b := range ws.list {
		b.away.Store(true)
	}
	forked := startAt(t, older, i, ws.of, withCheckpoints(t))
	for range 5 {
		forked.decide(token, embed)
	}
	for _, b := range ws.list {
		b.away.Store(false)
	}
	await(t, "nothing is appended any more", func() bool {
		return forked.call("POST", "/v1/decisions", token, embed).status >= 500
	})
	await(t, "it is not ready", func() bool { return forked.call("GET", "/readyz", "", "").status == http.StatusServiceUnavailable })
	await(t, "the operator is told", func() bool { return strings.Contains(forked.logs.String(), "nothing is appended any more") })
	forked.stop()
	if err := forked.reopen(older); !errors.Is(err, ledger.ErrForked) {
		t.Errorf("a start on the fork: %v", err)
	}
	// It stays so when nobody can be asked, and a recovery commits to what was cosigned.
	for _, b := range ws.list {
		b.away.Store(true)
	}
	if err := forked.reopen(older); !errors.Is(err, ledger.ErrForked) {
		t.Errorf("a start on the fork, without the witnesses: %v", err)
	}
	for _, b := range ws.list {
		b.away.Store(false)
	}
	recovered, err := forked.recovered("default")
	if err != nil || recovered.Lost != origin || !strings.Contains(recovered.Why, "held another log than was published") {
		t.Errorf("%+v, %v", recovered, err)
	}
	if err := forked.reopen(older); err != nil {
		t.Errorf("a start on the recovered store: %v", err)
	}
	i.config.CheckpointDir = t.TempDir()
	if err := i.reopen(i.path); err != nil {
		t.Errorf("a start on the log itself: %v", err)
	}
}

func withCheckpoints(t *testing.T) option {
	folder := t.TempDir()
	return func(i *installation) { i.config.CheckpointDir = folder }
}

// copyStores copies both stores, so that a server can be started on the copy.
func (i *installation) copyStores() string {
	i.t.Helper()
	to := filepath.Join(i.t.TempDir(), "older.db")
	for _, suffix := range []string{"", "-wal"} {
		for from, to := range map[string]string{i.path + suffix: to + suffix, subjectsOf(i.path) + suffix: subjectsOf(to) + suffix} {
			if _, err := os.Stat(from); err == nil {
				copyFile(i.t, from, to)
			}
		}
	}
	return to
}

// TestAWitnessCantStopTheServer: one that claims to know more than there is, without a checkpoint that the log signed, is told of, and not obeyed.
func TestAWitnessCantStopTheServer(t *testing.T) {
	ws := newWitnesses(t)
	liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.Header().Set("Content-Type", "text/x.tlog.size")
			w.WriteHeader(http.StatusConflict)
			fmt.Fprintln(w, 1_000_000)
			return
		}
		private := ed25519.NewKeyFromSeed([]byte(strings.Repeat("a", ed25519.SeedSize)))
		c := tlog.Checkpoint{Origin: "log.example", Size: 1_000_000}
		s, err := tlog.Cosign(c, "witness.example/w0", private, time.Now())
		if err == nil {
			c.Signatures = append(c.Signatures, s)
			_, _ = w.Write(c.Encode())
		}
	}))
	defer liar.Close()
	i := start(t, ws.of, func(i *installation) {
		client, err := witness.NewClient(liar.URL, ws.list[0].Key(), nil)
		must(t, err)
		i.config.Witnesses.Clients[0], i.config.Witnesses.Quorum = client, 1
	})
	token, _, _ := ws.begun(i)
	await(t, "it is told", func() bool { return strings.Contains(i.logs.String(), `"result":"behind"`) })
	i.decide(token, embed)
	i.stop()
	if err := i.reopen(i.path); err != nil {
		t.Errorf("a start: %v", err)
	}
}
