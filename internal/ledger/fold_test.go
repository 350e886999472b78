package ledger_test

import (
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"pgregory.net/rapid"
)

func registration(tenant, id string) ledger.Entry {
	e := entry(tenant, "registered "+id)
	e.Event = &store.Event{Kind: store.Registered, Subject: id, Digest: "digest of " + id, Actor: "somebody", Reason: "new", Time: epoch}
	e.Blobs = []ledger.Blob{{Digest: "digest of " + id, Kind: "contract", Bytes: []byte("contract of " + id)}}
	return e
}

// service is what of a service's state can be compared.
type service struct {
	contract, pending string
	attestation       contracts.Attestation
	owned             bool
	index             int64
}

func TestFold(t *testing.T) {
	const own, other = true, false
	register := func(digest string) store.Event {
		return store.Event{Kind: store.Registered, Subject: "s", Digest: digest}
	}
	pending := func(digest string) store.Event {
		return store.Event{Kind: store.Registered, Subject: "s", Digest: digest, Pending: true}
	}
	of := func(kind store.EventKind, digest string) store.Event {
		return store.Event{Kind: kind, Subject: "s", Digest: digest}
	}
	attest := func(digest, level string) store.Event {
		return store.Event{Kind: store.Attested, Subject: "s", Digest: digest, Level: level}
	}
	for name, test := range map[string]struct {
		events []store.Event
		want   *service // nil: there is none
	}{
		"nothing":                          {nil, nil},
		"registered":                       {[]store.Event{register("A")}, &service{"A", "", "self", own, 0}},
		"changed":                          {[]store.Event{register("A"), register("B")}, &service{"B", "", "self", own, 1}},
		"removed":                          {[]store.Event{register("A"), of(store.Removed, "")}, nil},
		"registered anew":                  {[]store.Event{register("A"), of(store.Removed, ""), register("B")}, &service{"B", "", "self", own, 2}},
		"attested":                         {[]store.Event{register("A"), attest("A", "audited")}, &service{"A", "", "audited", own, 0}},
		"attested twice":                   {[]store.Event{register("A"), attest("A", "verified"), attest("A", "self")}, &service{"A", "", "self", own, 0}},
		"attested, another contract":       {[]store.Event{register("A"), attest("B", "audited")}, &service{"A", "", "self", own, 0}},
		"attested, none there":             {[]store.Event{attest("A", "audited"), register("A")}, &service{"A", "", "self", own, 1}},
		"changed after it was attested":    {[]store.Event{register("A"), attest("A", "audited"), register("B")}, &service{"B", "", "self", own, 2}},
		"changed back":                     {[]store.Event{register("A"), attest("A", "audited"), register("B"), register("A")}, &service{"A", "", "audited", own, 3}},
		"removed after it was attested":    {[]store.Event{register("A"), attest("A", "audited"), of(store.Removed, ""), register("A")}, &service{"A", "", "self", own, 3}},
		"pending":                          {[]store.Event{pending("A")}, &service{"", "A", "self", own, -1}},
		"pending, approved":                {[]store.Event{pending("A"), of(store.Approved, "A")}, &service{"A", "", "self", own, 1}},
		"pending, another approved":        {[]store.Event{pending("A"), pending("B"), of(store.Approved, "A")}, &service{"", "B", "self", own, -1}},
		"change pending":                   {[]store.Event{register("A"), pending("B")}, &service{"A", "B", "self", own, 0}},
		"change approved":                  {[]store.Event{register("A"), pending("B"), of(store.Approved, "B")}, &service{"B", "", "self", own, 2}},
		"change pending, the old attested": {[]store.Event{register("A"), pending("B"), attest("A", "audited")}, &service{"A", "B", "audited", own, 0}},
		"attested while pending":           {[]store.Event{register("A"), pending("B"), attest("B", "audited"), of(store.Approved, "B")}, &service{"B", "", "audited", own, 3}},
		"approved twice":                   {[]store.Event{pending("A"), of(store.Approved, "A"), of(store.Approved, "A")}, &service{"A", "", "self", own, 1}},
		"approved, none there":             {[]store.Event{of(store.Approved, "A")}, nil},
		"granted":                          {[]store.Event{of(store.Granted, "A")}, &service{"A", "", "self", other, 0}},
		"granted, attested":                {[]store.Event{of(store.Granted, "A"), attest("A", "verified")}, &service{"A", "", "verified", other, 0}},
		"granted, changed":                 {[]store.Event{of(store.Granted, "A"), of(store.Granted, "B")}, &service{"B", "", "self", other, 1}},
		"revoked":                          {[]store.Event{of(store.Granted, "A"), of(store.Revoked, "")}, nil},
		"granted what is owned":            {[]store.Event{register("A"), of(store.Granted, "B")}, &service{"A", "", "self", own, 0}},
		"revoked what is owned":            {[]store.Event{register("A"), of(store.Revoked, "")}, &service{"A", "", "self", own, 0}},
		"registered what is granted":       {[]store.Event{of(store.Granted, "A"), register("B")}, &service{"A", "", "self", other, 0}},
		"removed what is granted":          {[]store.Event{of(store.Granted, "A"), of(store.Removed, "")}, &service{"A", "", "self", other, 0}},
	} {
		for i := range test.events {
			test.events[i].Index = int64(i)
		}
		s, found := ledger.Fold(test.events).Services["s"]
		if found != (test.want != nil) || found && (service{s.Contract, s.Pending, s.Attestation, s.Owned, s.Index}) != *test.want {
			t.Errorf("%s: %+v, want %+v", name, s, test.want)
		}
	}
}

func TestFoldMarks(t *testing.T) {
	events := []store.Event{
		{Index: 2, Kind: store.Registered, Subject: "s", Digest: "A"},
		{Index: 3, Kind: store.Settings, Digest: "S"},
		{Index: 5, Kind: store.Activated, Subject: "gdpr", Digest: "G", Signer: "k"},
		{Index: 6, Kind: store.Activated, Subject: "spend", Digest: "P"},
		{Index: 8, Kind: store.Attested, Subject: "s", Digest: "A", Level: "audited"},
		{Index: 9, Kind: store.Activated, Subject: "gdpr", Digest: "H", Signer: "l"},
		{Index: 11, Kind: store.Registered, Subject: "t", Digest: "B"},
		{Index: 12, Kind: store.Settings, Digest: "T", Scope: store.TenantScope},
		{Index: 13, Kind: store.Deactivated, Subject: "spend"},
	}
	s := ledger.Fold(nil)
	if none := (ledger.Mark{Index: -1}); s.Snapshot != none || s.Attestations != none || s.Settings != none || s.LastIndex != -1 {
		t.Errorf("of nothing: %+v", s)
	}
	s = ledger.Fold(events)
	if s.Snapshot != (ledger.Mark{Revision: 2, Index: 11}) || s.Attestations != (ledger.Mark{Revision: 3, Index: 11}) || s.Settings != (ledger.Mark{Digest: "T", Scope: store.TenantScope, Revision: 2, Index: 12}) || s.LastIndex != 13 {
		t.Errorf("marks: %+v", s)
	}
	if want := map[string]ledger.Bundle{"gdpr": {Name: "gdpr", Digest: "H", Signer: "l", Index: 9}}; !reflect.DeepEqual(s.Bundles, want) {
		t.Errorf("bundles: %v", s.Bundles)
	}
}

func TestFoldBundles(t *testing.T) {
	of := func(kind store.EventKind, digest, actor string) store.Event {
		return store.Event{Kind: kind, Subject: "gdpr", Digest: digest, Signer: "key of " + actor, Scope: store.TenantScope, Actor: actor, Time: epoch}
	}
	type bundles = map[string]ledger.Bundle
	bundle := func(digest, by, author string, index int64) ledger.Bundle {
		return ledger.Bundle{Name: "gdpr", Digest: digest, Signer: "key of " + by, Scope: store.TenantScope, Author: author, Index: index, Time: epoch}
	}
	for name, test := range map[string]struct {
		events                    []store.Event
		inForce, shadowed, pushed bundles
	}{
		"nothing": {nil, bundles{}, bundles{}, bundles{}},
		"pushed":  {[]store.Event{of(store.Pushed, "A", "ann")}, bundles{}, bundles{}, bundles{"A": bundle("A", "ann", "ann", 0)}},
		"pushed again by somebody else, the author stays": {[]store.Event{of(store.Pushed, "A", "ann"), of(store.Pushed, "A", "bob")}, bundles{}, bundles{}, bundles{"A": bundle("A", "bob", "ann", 1)}},
		"activated":                        {[]store.Event{of(store.Pushed, "A", "ann"), of(store.Activated, "A", "eve")}, bundles{"gdpr": bundle("A", "eve", "ann", 1)}, bundles{}, bundles{"A": bundle("A", "ann", "ann", 0)}},
		"another version":                  {[]store.Event{of(store.Activated, "A", "eve"), of(store.Activated, "B", "eve")}, bundles{"gdpr": bundle("B", "eve", "", 1)}, bundles{}, bundles{}},
		"deactivated":                      {[]store.Event{of(store.Activated, "A", "eve"), of(store.Deactivated, "A", "eve")}, bundles{}, bundles{}, bundles{}},
		"shadowed beside the one in force": {[]store.Event{of(store.Activated, "A", "eve"), of(store.Shadowed, "B", "eve")}, bundles{"gdpr": bundle("A", "eve", "", 0)}, bundles{"gdpr": bundle("B", "eve", "", 1)}, bundles{}},
		"shadowed, and in force since":     {[]store.Event{of(store.Shadowed, "B", "eve"), of(store.Activated, "B", "eve")}, bundles{"gdpr": bundle("B", "eve", "", 1)}, bundles{}, bundles{}},
		"another in force than shadowed":   {[]store.Event{of(store.Shadowed, "B", "eve"), of(store.Activated, "A", "eve")}, bundles{"gdpr": bundle("A", "eve", "", 1)}, bundles{"gdpr": bundle("B", "eve", "", 0)}, bundles{}},
		"in force when it is shadowed":     {[]store.Event{of(store.Activated, "B", "eve"), of(store.Shadowed, "B", "eve")}, bundles{"gdpr": bundle("B", "eve", "", 0)}, bundles{}, bundles{}},
		"no longer shadowed":               {[]store.Event{of(store.Shadowed, "B", "eve"), of(store.Unshadowed, "B", "eve")}, bundles{}, bundles{}, bundles{}},
	} {
		for i := range test.events {
			test.events[i].Index = int64(i)
		}
		s := ledger.Fold(test.events)
		if !reflect.DeepEqual(s.Bundles, test.inForce) || !reflect.DeepEqual(s.Shadows, test.shadowed) || !reflect.DeepEqual(s.Pushed, test.pushed) {
			t.Errorf("%s:\n in force %v\n shadowed %v\n pushed %v", name, s.Bundles, s.Shadows, s.Pushed)
		}
		if s.Snapshot.Revision != 0 || s.Settings.Revision != 0 {
			t.Errorf("%s: a bundle moved the marks of something else: %+v", name, s)
		}
	}
}

// TestFoldInParts folds any events at once and in two parts, and both at another index: only the order matters.
func TestFoldInParts(t *testing.T) {
	kinds := []store.EventKind{store.Registered, store.Approved, store.Removed, store.Attested, store.Granted, store.Revoked, store.Settings, store.Activated, store.Deactivated, store.Pushed, store.Shadowed, store.Unshadowed}
	rapid.Check(t, func(t *rapid.T) {
		events := rapid.SliceOf(rapid.Custom(func(t *rapid.T) store.Event {
			return store.Event{
				Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), Subject: rapid.SampledFrom([]string{"s", "t"}).Draw(t, "subject"), Digest: rapid.SampledFrom([]string{"A", "B"}).Draw(t, "digest"),
				Level: rapid.SampledFrom([]string{"self", "audited", "verified"}).Draw(t, "level"), Pending: rapid.Bool().Draw(t, "pending"),
			}
		})).Draw(t, "events")
		for i := range events {
			events[i].Index = int64(i)
		}
		whole := ledger.Fold(events)
		at := rapid.IntRange(0, len(events)).Draw(t, "at")
		before := ledger.Fold(events[:at])
		parts := before.Clone()
		for i := range events[at:] {
			parts.Apply(&events[at+i])
		}
		if !reflect.DeepEqual(parts, whole) {
			t.Fatalf("in parts %+v, at once %+v", parts, whole)
		}
		if again := ledger.Fold(events[:at]); !reflect.DeepEqual(before, again) {
			t.Fatalf("the events of a clone changed what it was made from: %+v, was %+v", before, again)
		}
		for id, s := range whole.Services {
			if s.Contract == "" && s.Attestation != contracts.SelfAttested {
				t.Fatalf("%s has no contract in force, and the attestation %s", id, s.Attestation)
			}
			if s.Contract == "" && s.Pending == "" || !s.Owned && s.Pending != "" {
				t.Fatalf("%s is %+v", id, s)
			}
		}
	})
}

// TestLoadLargeTenant reads a tenant of 10,000 services, with their contracts, as a server does when it starts.
func TestLoadLargeTenant(t *testing.T) {
	const services = 10_000
	path := filepath.Join(t.TempDir(), "caio.db")
	s := openStore(t, path)
	l := openLedger(t, s, ledger.Options{})
	for i := 0; i < services; i += 500 {
		entries := make([]ledger.Entry, 500)
		for j := range entries {
			entries[j] = registration("a", fmt.Sprintf("service-%05d", i+j))
		}
		mustAppend(t, l, entries...)
	}
	l.Close()
	s.Close()

	start := time.Now()
	s = openStore(t, path)
	defer s.Close()
	l = openLedger(t, s, ledger.Options{})
	defer l.Close()
	events, err := l.Events(t.Context(), "a", 0, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	state := ledger.Fold(events)
	for id, service := range state.Services {
		if blob, err := l.Blob(t.Context(), "a", service.Contract); err != nil || string(blob.Bytes) != "contract of "+id {
			t.Fatalf("%s: %q, %v", id, blob.Bytes, err)
		}
	}
	if len(state.Services) != services {
		t.Fatalf("%d services", len(state.Services))
	}
	t.Logf("%d services in %s", services, time.Since(start))
}
