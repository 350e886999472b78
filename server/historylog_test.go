package server_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/smarthausgroup/caio/server/auth"
	"github.com/smarthausgroup/caio/verify"
)

// What the ledger counts for scoring is what a reader of the log counts.
func TestHistoryIsThatOfTheLog(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	i.register(token, contract("eu", "eu", "guarantees:\n  latency: {max: 40}\n"))
	i.register(token, contract("us", "us", ""))
	trust, err := i.server.Trust(context.Background(), "default")
	must(t, err)
	random := rand.New(rand.NewPCG(1, 2))
	rows := 0
	for range 40 {
		a := i.decide(token, embed)
		ev, err := verify.ReadEvidence(i.call("GET", a.Links.Evidence, token, "").body)
		must(t, err)
		d, err := verify.DecodeDocument(ev.Document)
		must(t, err)
		for _, c := range d.Candidates {
			if c.History != nil {
				rows++
			}
		}
		for _, v := range verify.Check(context.Background(), ev, trust, verify.Options{Log: served{i, token, d.Log}}) {
			if v.Layer == verify.LayerCurrency && v.Status != verify.Pass {
				t.Fatalf("%+v", v)
			}
		}
		status := []string{"succeeded", "succeeded", "failed", "timed_out"}[random.IntN(4)]
		if r := i.call("POST", "/v1/decisions/"+a.DecisionID+"/outcome", token, fmt.Sprintf(`{"status": %q, "latency_ms": %d}`, status, random.IntN(100))); r.status != 201 {
			t.Fatalf("%d %s", r.status, r.body)
		}
	}
	if rows == 0 {
		t.Error("no decision read a history")
	}
}
