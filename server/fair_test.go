package server_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/server/auth"
)

// Who has to take a bundle back doesn't wait behind what others try out.
func TestUndoingDoesNotQueueBehindPushes(t *testing.T) {
	i := start(t)
	token := i.token("acme", auth.Author, auth.Approver, auth.Operator)
	first, second := i.pushed(token, "regional", refusing("us")), i.pushed(token, "regional", refusing("eu"))
	for _, digest := range []string{first, second} {
		if r := i.call("POST", "/v1/bundles/"+digest+"/activate", token, `{"reason": "x"}`); r.status != 200 {
			t.Fatalf("%d %s", r.status, r.body)
		}
	}
	defer i.server.HoldGate()()
	if r := i.call("POST", "/v1/bundles/rollback", token, `{"name": "regional", "reason": "it refuses too much"}`); r.status != 200 {
		t.Errorf("rolled back: %d %s", r.status, r.body)
	}
	if r := i.call("POST", "/v1/bundles/"+first+"/deactivate", token, `{"reason": "so does this"}`); r.status != 200 {
		t.Errorf("taken out: %d %s", r.status, r.body)
	}
}

// Who waits for the gate in vain is told, before the connection is cut.
func TestWaitingForTheGateIsAnswered(t *testing.T) {
	i := start(t, func(i *installation) { i.config.Limits.Write, i.config.Addr = 2*time.Second, "127.0.0.1:0" })
	token := i.token("acme", auth.Author, auth.Approver, auth.Operator)
	digest := i.pushed(token, "regional", refusing("us"))
	defer i.server.HoldGate()()
	real := &http.Server{Handler: i.server.Handler(), WriteTimeout: i.config.Limits.Write, ReadHeaderTimeout: time.Minute}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	go func() { _ = real.Serve(listener) }()
	defer real.Close()
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+listener.Addr().String()+"/v1/bundles/"+digest+"/activate", strings.NewReader(`{"reason": "x"}`))
	must(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	defer response.Body.Close()
	if response.StatusCode != http.StatusServiceUnavailable {
		t.Error(response.Status)
	}
}

// One tenant's slow policies don't take every place from the others.
func TestEvaluationsAreShared(t *testing.T) {
	i := start(t, func(i *installation) { i.config.Limits.Evaluations = 4 })
	i.register(i.token("acme", auth.Operator), contract("eu", "eu", ""))
	i.register(i.token("beta", auth.Operator), contract("eu", "eu", ""))
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if taken := i.server.HoldTurns(ctx, "acme"); taken != 2 {
		t.Errorf("one tenant has %d places of 4", taken)
	}
	i.decide(i.token("beta", auth.App), embed)
}
