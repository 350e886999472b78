package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/engine/impact"
	"github.com/smarthausgroup/caio/engine/impact/export"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/rego"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/server/auth"
)

// dozing reads stored decisions slowly, and says when it has begun.
type dozing struct {
	store.Store
	began chan struct{}
	doze  time.Duration
}

func (d dozing) Kept(ctx context.Context, tenant string, span store.Span, after string, limit int) ([]store.Kept, error) {
	select {
	case d.began <- struct{}{}:
	default:
	}
	select {
	case <-time.After(d.doze):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return d.Store.Kept(ctx, tenant, span, after, 1)
}

// TestImpactTakesItsTime: a run that takes longer than an answer may goes on, tells how far it has come, is alone with its tenant, and ends with its caller.
func TestImpactTakesItsTime(t *testing.T) {
	began := make(chan struct{}, 1)
	i := start(t, somewhere, withStore(func(s store.Store) store.Store { return dozing{s, began, 250 * time.Millisecond} }), func(i *installation) {
		i.config.Limits.Write, i.config.Limits.Read = 600*time.Millisecond, 300*time.Millisecond
	})
	i.http.Close()
	i.http = httptest.NewUnstartedServer(i.server.Handler())
	i.http.Config.WriteTimeout, i.http.Config.ReadTimeout = i.config.Limits.Write, i.config.Limits.Read
	i.http.Start()
	operator := i.token("default", auth.Operator)
	i.register(operator, priced("eu", "0.001"))
	for range 5 {
		i.decide(operator, embed)
	}
	body := `{"settings": {"somewhere": {"regions": ["us"]}}}`
	done := make(chan reply, 1)
	go func() {
		r, err := i.try("POST", "/v1/settings/impact", operator, body, "Accept", "application/x-ndjson")
		if err != nil {
			t.Error(err)
		}
		done <- r
	}()
	<-began
	if r := i.call("POST", "/v1/settings/impact", operator, body); r.status != http.StatusTooManyRequests || r.problem() != "impact-running" || r.header.Get("Retry-After") == "" {
		t.Errorf("a second run: %d %s", r.status, r.body)
	}
	i.decide(operator, embed) // goes on, and is not in the report
	r := <-done
	var last server.ImpactLine
	progress := 0
	for line := range bytes.Lines(r.body) {
		last = server.ImpactLine{}
		must(t, json.Unmarshal(line, &last))
		if last.Progress != nil {
			progress++
			if last.Progress.Total != 5 {
				t.Errorf("%s", line)
			}
		}
	}
	if r.status != http.StatusOK || progress < 3 || last.Report == nil || last.Report.RoutedToDenied != 5 || last.Report.Total != 5 {
		t.Errorf("%d %s", r.status, r.body)
	}
	// Without lines the answer comes at the end, however long that takes.
	if answer := i.settingsImpact(operator, body); answer.Total != 6 {
		t.Errorf("%+v", answer.Counts)
	}
	if n, err := decisionsIn(i.call("GET", "/v1/decisions/export", operator, "").body); n != 6 || err != nil {
		t.Errorf("an export of %d decisions, %v", n, err)
	}
	i.leaveEarly(operator, body, began)
}

// leaveEarly gives up on a run; the next one is let in once it has ended.
func (i *installation) leaveEarly(token, body string, began chan struct{}) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, i.http.URL+"/v1/settings/impact", strings.NewReader(body))
	must(i.t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	for len(began) > 0 {
		<-began
	}
	go func() {
		<-began
		cancel()
	}()
	if response, err := http.DefaultClient.Do(request); err == nil {
		_ = response.Body.Close()
		i.t.Errorf("a run whose caller left was answered %d", response.StatusCode)
	}
	deadline := time.Now().Add(20 * time.Second)
	for i.call("POST", "/v1/settings/impact", token, `{"settings": {}, "to": "2020-01-01T00:00:00Z"}`).status != http.StatusOK {
		if time.Now().After(deadline) {
			i.t.Fatal("a run whose caller left goes on")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestImpactOfAnExport: from the file, without the server, comes what the server says.
func TestImpactOfAnExport(t *testing.T) {
	i := start(t)
	i.changing()
	operator := i.token("default", auth.Operator)
	digest := i.pushed(operator, "trusting", trusting())
	online := i.impact(operator, digest, `{"examples": 100}`)
	r := i.call("GET", "/v1/decisions/export", operator, "")
	if r.status != http.StatusOK || r.header.Get("Content-Type") != export.MediaType {
		t.Fatalf("%d %v", r.status, r.header)
	}
	file, err := export.NewReader(bytes.NewReader(r.body))
	must(t, err)
	var bundles []*rego.Bundle
	for _, b := range file.Bundles {
		bundle, faults := rego.ReadFiles(b.Name, b.Files)
		must(t, faults.Err())
		bundles = append(bundles, bundle)
	}
	files := map[string][]byte{}
	for path, text := range trusting() {
		files[path] = []byte(text)
	}
	candidate, faults := rego.ReadFiles("trusting", files)
	must(t, faults.Err())
	rules := &impact.Rules{}
	rules.InForce, faults = rego.Compile(bundles, rego.Options{Settings: file.Settings})
	must(t, faults.Err())
	rules.Candidate, faults = rego.Compile(append(bundles, candidate), rego.Options{Settings: file.Settings})
	must(t, faults.Err())
	offline, err := impact.Run(context.Background(), impact.FromExport(file, rules), impact.Options{Examples: 100})
	must(t, err)
	a, err := json.Marshal(online.Report)
	must(t, err)
	b, err := json.Marshal(offline)
	must(t, err)
	if !bytes.Equal(a, b) || online.Changed == 0 {
		t.Errorf("the server says\n%s\nand the file\n%s", a, b)
	}
	// Without what was asked it says less.
	bare, err := export.NewReader(bytes.NewReader(i.call("GET", "/v1/decisions/export?disclosures=none", operator, "").body))
	must(t, err)
	d, err := bare.Next()
	must(t, err)
	if _, disclosures, err := d.Decode(); err != nil || len(disclosures) != 0 {
		t.Errorf("%d disclosures, %v", len(disclosures), err)
	}
}
