package server_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/server/auth"
)

// Rows by which decisions are found are changed by somebody who has the file: none is listed, read, or decided again as something else than was signed, and the log of the server says which.
func TestMislisted(t *testing.T) {
	for what, test := range map[string]struct{ statement, query, says string }{
		"the outcome":   {"UPDATE decisions SET outcome = 'denied'", "?outcome=denied", "outcome"},
		"the service":   {"UPDATE decisions SET service = 'us'", "?service=us", "service"},
		"the retention": {"UPDATE decisions SET retention = 'short'", "", "retention"},
		"the route":     {"UPDATE decisions SET route = 'internal'", "", "route"},
		"the intent":    {"UPDATE decisions SET intent = 'chat'", "?intent=chat", "intent"},
		"the time":      {"UPDATE decisions SET time = time + 2000", "", "time"},
		"the ms":        {"UPDATE decisions SET time = time - time % 1000 + (time + 1) % 1000", "", "time"},
		"a violation":   {"INSERT INTO violations SELECT tenant, 'NOTHING', id FROM decisions", "?constraint=NOTHING", "violation"},
	} {
		i := start(t)
		token := i.token("default", auth.Operator)
		i.register(token, contract("eu", "eu", ""))
		a := i.decide(token, embed)
		if r := i.call("GET", "/v1/decisions", token, ""); r.status != http.StatusOK {
			t.Fatalf("%d %s", r.status, r.body)
		}
		i.stop()
		i.edit(test.statement)
		i = startAt(t, i.path, i)
		if r := i.call("GET", "/v1/decisions"+test.query, token, ""); r.status != http.StatusInternalServerError || !strings.Contains(i.logs.String(), "is listed with the "+test.says) {
			t.Errorf("%s: %d %s", what, r.status, r.body)
		}
		if r := i.call("GET", a.Links.Evidence, token, ""); (r.status == http.StatusOK) != (test.says == "violation") {
			t.Errorf("%s: the evidence: %d", what, r.status)
		}
	}
}

// A class of retention that somebody writes into the rows erases nothing before its time, and keeps nothing from it: the sweep stops and says so.
func TestRetentionOfAnotherClass(t *testing.T) {
	now := time.Now().UTC()
	classes := server.Retention{Classes: map[string]server.RetentionClass{"short": {ContentDays: 10}, "long": {ContentDays: 1000}}, Tenants: map[string]string{"default": "long"}}
	options := withRetention(classes, func() time.Time { return now })
	i := start(t, options)
	token := i.token("default", auth.Operator)
	i.register(token, contract("eu", "eu", ""))
	a := i.decide(token, about("a", "ann"))
	i.stop()
	i.edit("UPDATE decisions SET retention = 'short'")
	now = now.AddDate(0, 0, 60)
	i = startAt(t, i.path, i, options)
	if err := i.server.Sweep(context.Background()); err == nil || !strings.Contains(err.Error(), `listed with the retention "short", and was signed with "long"`) {
		t.Errorf("%v", err)
	}
	i.stop()
	i.edit("UPDATE decisions SET retention = 'long'")
	i = startAt(t, i.path, i, options)
	must(t, i.server.Sweep(context.Background()))
	token = i.tokenAt(now.Add(-time.Second), "default")
	if len(i.content(token, a)) == 0 {
		t.Error("it was erased before its time")
	}
}

// Whoever is taken out of those for whom a decision is listed would be missed by holds and erasures: the start notices.
func TestListedForEverybody(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	i.register(token, contract("eu", "eu", ""))
	i.decide(token, about("a", "ann", "bob"))
	i.decide(token, about("b", "bob"))
	i.erase(token, "bob", false)
	i.decide(token, about("c", "cyd", "cyd", "dora"))
	i.stop()
	must(t, i.reopen(i.path))
	i.edit("DELETE FROM decision_subjects WHERE decision = (SELECT max(id) FROM decisions) AND subject = (SELECT min(subject) FROM decision_subjects WHERE decision = (SELECT max(id) FROM decisions))")
	if err := i.reopen(i.path); !errors.Is(err, store.ErrInconsistent) || !strings.Contains(err.Error(), "was sealed for 3 and is listed for 2") {
		t.Errorf("%v", err)
	}
}
