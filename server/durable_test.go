package server_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/internal/seal"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/internal/store/sqlite"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/smarthausgroup/caio/verify"
)

// failing fails the n-th commit, and as many after it.
type failing struct {
	store.Store
	commits, from, count atomic.Int64
}

func (f *failing) Commit(ctx context.Context, b *store.Batch) error {
	if n := f.commits.Add(1); n >= f.from.Load() && n < f.from.Load()+f.count.Load() {
		return errors.New("the disk is gone")
	}
	return f.Store.Commit(ctx, b)
}

// INV-CAIO-0003: the store fails at each write, once or for a while. There is no answer without a proof, and, once the store can be written again, no admitted request without a trace.
func TestStoreFailures(t *testing.T) {
	answered, refused, recorded := 0, 0, 0
	for from := int64(1); from <= 10; from++ {
		for _, count := range []int64{1, 3} {
			f := &failing{}
			i := start(t, withStore(func(s store.Store) store.Store { f.Store = s; return f }))
			f.from.Store(from)
			f.count.Store(count)
			token := i.token("default", auth.Operator)
			i.call("PUT", "/v1/services/eu", token, contract("eu", "eu", ""), "Content-Type", "application/yaml")
			for range 6 {
				r := i.call("POST", "/v1/decisions", token, embed)
				if r.status == http.StatusOK {
					var a server.Answer
					r.into(t, &a)
					if a.Index == nil || i.call("GET", "/v1/decisions/"+a.DecisionID+"/evidence", token, "").status != 200 {
						t.Fatalf("an answer without a proof: %s", r.body)
					}
					answered++
					continue
				}
				var p server.Problem
				r.into(t, &p)
				if r.status != http.StatusServiceUnavailable || p.Code != "not-stored" {
					t.Fatalf("%d %s", r.status, r.body)
				}
				refused++
				if p.DecisionID == "" {
					continue
				}
				recorded++
				if _, err := i.store.Decision(context.Background(), "default", p.DecisionID); !errors.Is(err, store.ErrNotFound) {
					t.Fatalf("a decision that failed is stored: %v", err)
				}
				if !strings.Contains(i.leaves("default"), p.DecisionID) {
					t.Fatalf("the failure of %s is not in the log", p.DecisionID)
				}
			}
			i.stop()
		}
	}
	if answered == 0 || refused == 0 || recorded == 0 {
		t.Fatalf("%d answered, %d refused, %d recorded: nothing was tried", answered, refused, recorded)
	}
}

// Readiness tells that nothing can be written, from the first write that failed until one is made again: a probe of its own, when nobody else is sent here.
func TestReadinessWithoutWrites(t *testing.T) {
	f := &failing{}
	i := start(t, withStore(func(s store.Store) store.Store { f.Store = s; return f }))
	token := i.token("default", auth.Operator)
	i.register(token, contract("eu", "eu", ""))
	ready := func(when string, status int) {
		t.Helper()
		if r := i.call("GET", "/readyz", "", ""); r.status != status || status == 503 && !strings.Contains(string(r.body), `"store":"can't be written"`) {
			t.Errorf("%s: %d %s", when, r.status, r.body)
		}
	}
	ready("at first", 200)
	f.count.Store(1 << 40)
	if r := i.call("POST", "/v1/decisions", token, embed); r.status != 503 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	commits := f.commits.Load()
	for range 5 {
		ready("while the disk is gone", 503)
	}
	if probes := f.commits.Load() - commits; probes < 1 || probes > 2 {
		t.Errorf("%d probes in no time", probes)
	}
	f.count.Store(0)
	deadline := time.Now().Add(10 * time.Second)
	for i.call("GET", "/readyz", "", "").status != 200 && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
	}
	ready("when the disk is back", 200)
	if a := i.decide(token, embed); a.Outcome != verify.Routed {
		t.Errorf("%+v", a)
	}
}

// leaves are the payloads of a tenant's log, as text.
func (i *installation) leaves(tenant string) string {
	i.t.Helper()
	entries, err := i.store.Entries(context.Background(), tenant, 0, 10000)
	must(i.t, err)
	var all strings.Builder
	for _, e := range entries {
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(string(e.Leaf), ".")[1])
		must(i.t, err)
		fmt.Fprintf(&all, "%s %s\n", e.Type, payload)
	}
	return all.String()
}

// slow makes commits take their time, so that requests are in flight at any moment.
type slow struct{ store.Store }

func (s slow) Commit(ctx context.Context, b *store.Batch) error {
	time.Sleep(5 * time.Millisecond)
	return s.Store.Commit(ctx, b)
}

// A server that is told to stop under load answers what it took, and what it answered is there.
func TestShutdownUnderLoad(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	i.register(token, contract("eu", "eu", ""))
	i.stop()

	opened, err := sqlite.Open(context.Background(), i.path)
	must(t, err)
	subjects, err := seal.Open(context.Background(), subjectsOf(i.path), rand.Reader)
	must(t, err)
	defer subjects.Close()
	config := i.config
	config.Store, config.Subjects, config.Addr = slow{opened}, subjects, "127.0.0.1:0"
	s, err := server.New(context.Background(), config)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	address, stopped := make(chan net.Addr, 1), make(chan error, 1)
	go func() { stopped <- s.Serve(ctx, func(a net.Addr) { address <- a }) }()
	url := "http://" + (<-address).String() + "/v1/decisions"
	var answered sync.Map
	var count atomic.Int64
	var callers sync.WaitGroup
	for range 16 {
		callers.Go(func() {
			for {
				request, err := http.NewRequest("POST", url, strings.NewReader(embed))
				if err != nil {
					t.Error(err)
					return
				}
				request.Header.Set("Authorization", "Bearer "+token)
				request.Header.Set("Content-Type", "application/json")
				response, err := http.DefaultClient.Do(request)
				if err != nil {
					return // the listener is closed
				}
				body, err := io.ReadAll(response.Body)
				response.Body.Close()
				var a server.Answer
				if err != nil || response.StatusCode != 200 || json.Unmarshal(body, &a) != nil {
					t.Errorf("a request that was taken broke off: %v %d %s", err, response.StatusCode, body)
					return
				}
				answered.Store(a.DecisionID, a.Statement)
				count.Add(1)
			}
		})
	}
	for count.Load() < 100 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	must(t, <-stopped)
	callers.Wait()
	must(t, opened.Close())

	again, err := sqlite.Open(context.Background(), i.path)
	must(t, err)
	defer again.Close()
	answered.Range(func(id, statement any) bool {
		stored, err := again.Statement(context.Background(), "default", id.(string))
		if err != nil || string(stored) != statement.(string) {
			t.Errorf("decision %s: %v", id, err)
		}
		return true
	})
}

func TestReadinessWhileShuttingDown(t *testing.T) {
	i := start(t)
	must(t, i.server.Shutdown())
	if r := i.call("GET", "/readyz", "", ""); r.status != 503 || !strings.Contains(string(r.body), "shutting down") {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := i.call("GET", "/livez", "", ""); r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := i.call("POST", "/v1/decisions", i.token("default", auth.App), embed); r.status != 503 || r.problem() != "shutting-down" {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// A decision that takes too long is none, and is recorded as a failure.
func TestTimeOut(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	i.register(token, contract("eu", "eu", ""))
	i.stop()
	i = startAt(t, i.path, i, func(i *installation) { i.config.Limits.Decision = time.Nanosecond })
	r := i.call("POST", "/v1/decisions", token, embed)
	var p server.Problem
	r.into(t, &p)
	if r.status != 503 || p.Code != "timed-out" || p.DecisionID == "" || !strings.Contains(i.leaves("default"), p.DecisionID) {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// Services come and go while decisions are made: each decision's evidence holds the registry of its moment, exactly.
func TestRegistrationsDoNotDisturbDecisions(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	i.register(token, contract("steady", "eu", ""))
	done := make(chan struct{})
	var changing, deciding sync.WaitGroup
	for n := range 4 {
		changing.Go(func() {
			id := fmt.Sprintf("s%d", n)
			for round := 0; ; round++ {
				select {
				case <-done:
					return
				default:
				}
				put, err := i.try("PUT", "/v1/services/"+id, token, contract(id, "eu", fmt.Sprintf("tags: [r%d]\n", round)), "Content-Type", "application/yaml")
				var r server.Registration
				if err != nil || put.status >= 300 || json.Unmarshal(put.body, &r) != nil {
					t.Errorf("%v %d %s", err, put.status, put.body)
					return
				}
				if round%3 == 1 {
					i.try("PUT", "/v1/services/"+id+"/attestation", token, `{"contract": "`+r.Contract+`", "level": "audited", "reason": "x"}`)
				}
				if round%3 == 2 {
					i.try("DELETE", "/v1/services/"+id, token, "")
				}
			}
		})
	}
	var made sync.Map
	for range 4 {
		deciding.Go(func() {
			for range 25 {
				r, err := i.try("POST", "/v1/decisions", token, embed)
				var a server.Answer
				if err != nil || r.status != 200 || json.Unmarshal(r.body, &a) != nil {
					t.Errorf("%v %d %s", err, r.status, r.body)
					return
				}
				made.Store(a.DecisionID, a)
			}
		})
	}
	deciding.Wait()
	close(done)
	changing.Wait()
	trust, err := i.server.Trust(context.Background(), "default")
	must(t, err)
	checked := 0
	made.Range(func(_, a any) bool {
		checkEvidence(t, i, token, a.(server.Answer), trust)
		checked++
		return !t.Failed()
	})
	if checked < 100 && !t.Failed() {
		t.Errorf("%d decisions were checked", checked)
	}
}

// INV-CAIO-SEC-0003: what is personal stands in no log line, no metric, no document and no leaf.
func TestCanaries(t *testing.T) {
	i := start(t)
	author := i.token("default", auth.Operator)
	i.register(author, contract("eu", "eu", ""))
	p := principal("default", auth.App, auth.Auditor)
	p.Subject = "canary-subject"
	token := i.tokenOf(p)
	request := `{"intent": {"type": "embeddings", "text": "canary-text"}, "context": {"text": "canary-context", "conversation_id": "canary-conversation"},
		"data": {"labels": ["pii"], "subjects": ["canary-person"]}, "payload": {"input": "canary-payload"}%s}`
	var seen strings.Builder
	for _, c := range []struct{ path, body string }{
		{"/v1/decisions?detail=full", fmt.Sprintf(request, "")},
		{"/v1/decisions?detail=full", strings.Replace(fmt.Sprintf(request, ""), `"embeddings"`, `"weapons"`, 1)},
		{"/v1/decisions/batch", `{"requests": [` + fmt.Sprintf(request, "") + `]}`},
		{"/v1/decisions/explain", fmt.Sprintf(request, "")},
		{"/orchestrate", fmt.Sprintf(request, `, "execute": true`)},
	} {
		r := i.call("POST", c.path, token, c.body, "Idempotency-Key", "canary-"+fmt.Sprint(len(c.path)+len(c.body)))
		seen.Write(r.body)
		if strings.HasSuffix(c.path, "full") {
			var a server.Answer
			r.into(t, &a)
			for _, part := range []string{"", "/document", "/statement"} {
				seen.Write(i.call("GET", "/v1/decisions/"+a.DecisionID+part, token, "").body)
			}
			seen.Write(i.call("GET", "/v1/decisions", token, "").body)
			seen.Write(i.call("GET", "/v1/decisions/"+a.DecisionID+"/evidence?disclosures=none", token, "").body)
			ev, err := verify.ReadEvidence(i.call("GET", "/v1/decisions/"+a.DecisionID+"/evidence", token, "").body)
			must(t, err)
			if text := fmt.Sprint(ev.Disclosures); strings.Count(text, "canary") < 6 {
				t.Errorf("the disclosures do not hold what they should: %s", text)
			}
		}
	}
	// What is refused is told to the caller alone.
	for _, body := range []string{`{"intent": {"type": "canary text"}}`, `{"canary": 1}`, `canary`, fmt.Sprintf(request, `, "canary": "canary"`)} {
		i.call("POST", "/v1/decisions", token, body)
		i.call("PUT", "/v1/services/canary", author, body)
	}
	i.call("GET", "/v1/services?canary=canary", token, "")
	i.call("GET", "/canary", token, "")
	i.call("GET", "/livez", "", "", "X-Request-Id", "canary id with spaces")
	for where, text := range map[string]string{"answers": seen.String(), "logs": i.logs.String(), "leaves": i.leaves("default"), "metrics": string(i.call("GET", "/metrics", author, "").body)} {
		if at := strings.Index(text, "canary"); at >= 0 {
			t.Errorf("%s: %s", where, text[max(0, at-200):min(len(text), at+100)])
		}
	}
}

// panicking is a random source that panics when it is told to.
type panicking struct{ after atomic.Int64 }

func (p *panicking) Read(b []byte) (int, error) {
	if p.after.Add(-1) == 0 {
		panic("canary: out of randomness")
	}
	return rand.Read(b)
}

// panickingKey is a key that panics at a signature when it is told to.
type panickingKey struct {
	ed25519.PrivateKey
	after atomic.Int64
}

func (k *panickingKey) Sign(random io.Reader, message []byte, o crypto.SignerOpts) ([]byte, error) {
	if k.after.Add(-1) == 0 {
		panic("canary: no signature")
	}
	return k.PrivateKey.Sign(random, message, o)
}

// A panic ends the request, not the process, and an admitted request still leaves its trace.
func TestPanics(t *testing.T) {
	random := &panicking{}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	key := &panickingKey{PrivateKey: private}
	signer, err := verify.NewSigner(key)
	must(t, err)
	i := start(t, func(i *installation) { i.config.Rand, i.config.Signer = random, signer })
	token := i.token("default", auth.Operator)
	i.register(token, contract("eu", "eu", ""))
	for after, recorded := range map[*atomic.Int64]bool{&random.after: false, &key.after: true} { // drawing the id, signing the statement
		for _, path := range []string{"/v1/decisions", "/v1/decisions/batch"} {
			body := embed
			if strings.HasSuffix(path, "batch") {
				body = `{"requests": [` + embed + `]}`
			}
			before := strings.Count(i.leaves("default"), verify.TypFailure)
			after.Store(1)
			r := i.call("POST", path, token, body)
			if !strings.Contains(string(r.body), `"code":"internal"`) || strings.Contains(string(r.body), `"decision_id"`) != recorded {
				t.Errorf("%s: %d %s", path, r.status, r.body)
			}
			if got := strings.Count(i.leaves("default"), verify.TypFailure) - before; got == 1 != recorded {
				t.Errorf("%s: %d failures were recorded", path, got)
			}
		}
	}
	if strings.Contains(i.logs.String(), "canary") {
		t.Error("what a panic says is in the log")
	}
	if a := i.decide(token, embed); a.Outcome != verify.Routed {
		t.Errorf("%+v", a)
	}
}

// What is in force and the size of the log are read together: no event below the base is missing. In this log every entry after the first few is an event, so that the base follows the last one exactly.
func TestBaseFitsWhatIsInForce(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	i.register(token, contract("a", "eu", ""))
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				last, base, err := i.server.InForce("default")
				if err != nil || base != last+1 {
					t.Errorf("the last event is %d, the base %d: %v", last, base, err)
					return
				}
			}
		})
	}
	for n := range 60 {
		i.register(token, contract("a", "eu", fmt.Sprintf("tags: [r%d]\n", n)))
	}
	close(done)
	readers.Wait()
}
