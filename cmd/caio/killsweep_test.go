package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/internal/seal"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/internal/store/sqlite"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/smarthausgroup/caio/verify"
)

const (
	sweepingTenants = 16
	sweepingRounds  = 16 // at most
)

// TestKilledWhileSweeping ends servers with SIGKILL while they erase what has expired, one tenant after the other. Each of them is erased whole in the end, stated once, and nothing of the keys is left.
func TestKilledWhileSweeping(t *testing.T) {
	dir := t.TempDir()
	layExpired(t, dir)
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	between := 0
	for range sweepingRounds {
		p, err := startServer(dir, env, "--config", "caio.yaml")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(mathrand.N(30 * time.Millisecond))
		p.kill()
		swept := expiries(t, dir)
		if swept > 0 && swept < sweepingTenants {
			between++
		}
		if swept == sweepingTenants {
			break
		}
	}
	if between == 0 {
		t.Error("no sweep was interrupted")
	}
	p, err := startServer(dir, env, "--config", "caio.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	for deadline := time.Now().Add(30 * time.Second); left(t, p, dir) > 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("what has expired is there still")
		}
	}
	if err := p.terminate(); err != nil {
		t.Fatal(err)
	}
	if n := expiries(t, dir); n != sweepingTenants {
		t.Errorf("%d expiries are stated, of %d tenants", n, sweepingTenants)
	}
	subjects, err := seal.Open(t.Context(), filepath.Join(dir, "caio-subjects.db"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	defer subjects.Close()
	for n := range sweepingTenants {
		if due, err := subjects.Due(t.Context(), tenantNumber(n), "short", seal.MonthOf(time.Now()), nil); due != 0 || err != nil {
			t.Errorf("%s: %d keys are left, %v", tenantNumber(n), due, err)
		}
	}
	t.Logf("%d sweeps were interrupted", between)
}

func tenantNumber(n int) string { return fmt.Sprintf("tenant-%d", n) }

// layExpired leaves a store in a folder with a decision of each tenant of three months ago, which is kept for a month.
func layExpired(t *testing.T, dir string) {
	layHouse(t, dir)
	t.Chdir(dir)
	text := "development: true\npolicies: [house]\nretention:\n  classes: {short: {content_days: 30}}\n  tenants: {"
	for n := range sweepingTenants {
		text += tenantNumber(n) + ": short, "
	}
	if err := os.WriteFile("caio.yaml", []byte(text+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _, err := readConfig("caio.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	cmd := &cobra.Command{}
	cmd.SetContext(context.Background())
	cmd.SetErr(io.Discard)
	setup, closing, err := (&options{}).opened(cmd, c)
	if err != nil {
		t.Fatal(err)
	}
	then := time.Now().AddDate(0, -3, 0)
	setup.Clock = func() time.Time { return then }
	s, err := server.New(t.Context(), setup)
	if err != nil {
		t.Fatal(err)
	}
	issuer, _, err := auth.OpenDevelopment(c.Keys, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	api := httptest.NewServer(s.Handler())
	for n := range sweepingTenants {
		token, err := issuer.Token(contracts.Principal{Tenant: tenantNumber(n), Subject: "ann", Roles: []string{string(auth.App)}}, then, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		client := &options{server: api.URL, token: token}
		if err := client.call(t.Context(), http.MethodPost, "/v1/decisions", "application/json", []byte(`{"intent": {"type": "embeddings", "text": "a letter"}}`), nil); err != nil {
			t.Fatal(err)
		}
	}
	api.Close()
	if err := s.Shutdown(); err != nil {
		t.Fatal(err)
	}
	if err := closing(); err != nil {
		t.Fatal(err)
	}
}

// expiries counts the entries in the store of a folder, whose server has ended, that say that something expired, and fails where one tenant has two.
func expiries(t *testing.T, dir string) (count int) {
	t.Helper()
	s, err := sqlite.Open(context.Background(), filepath.Join(dir, "caio.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for n := range sweepingTenants {
		entries, err := s.EntriesOf(context.Background(), tenantNumber(n), verify.TypErasure)
		if err != nil || len(entries) > 1 {
			t.Fatalf("%s: %d entries, %v", tenantNumber(n), len(entries), err)
		}
		of := store.Erasure{Tenant: tenantNumber(n), Retention: "short", To: time.Now()}
		if left, err := s.Erasable(context.Background(), of); err != nil || left != int64(1-len(entries)) {
			t.Fatalf("%s: %d entries, and the content of %d decisions: %v", tenantNumber(n), len(entries), left, err)
		}
		count += len(entries)
	}
	return count
}

// left counts the tenants of which the running server has content.
func left(t *testing.T, p *process, dir string) (count int) {
	t.Helper()
	issuer, _, err := auth.OpenDevelopment(filepath.Join(dir, "caio-keys"), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for n := range sweepingTenants {
		token, err := issuer.Token(contracts.Principal{Tenant: tenantNumber(n), Subject: "eve", Roles: []string{string(auth.Auditor)}}, time.Now().Add(-time.Second), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		var list server.ErasureList
		if err := (&options{server: p.url, token: token}).call(t.Context(), http.MethodGet, "/v1/erasures", "", nil, &list); err != nil {
			t.Fatal(err)
		}
		if len(list.Erasures) == 0 {
			count++
		}
	}
	return count
}
