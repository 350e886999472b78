package server_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/engine/impact/export"
	"github.com/smarthausgroup/caio/internal/seal"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/smarthausgroup/caio/verify"
)

// about is a request whose data are about some people.
func about(text string, people ...string) string {
	return fmt.Sprintf(`{"intent": {"type": "embeddings", "text": %q}, "data": {"subjects": ["%s"]}}`, text, strings.Join(people, `", "`))
}

func (i *installation) erase(token, subject string, documents bool) reply {
	i.t.Helper()
	return i.call("POST", "/v1/erasures", token, fmt.Sprintf(`{"subject": %q, "reason": "asked for", "documents": %t}`, subject, documents))
}

// content is the disclosures that the evidence of a decision holds.
func (i *installation) content(token string, a server.Answer) []verify.Disclosure {
	i.t.Helper()
	r := i.call("GET", a.Links.Evidence, token, "")
	if r.status != http.StatusOK {
		i.t.Fatalf("%d %s\n%s", r.status, r.body, i.logs)
	}
	ev, err := verify.ReadEvidence(r.body)
	must(i.t, err)
	return ev.Disclosures
}

func (i *installation) found(token, subject string) []string {
	i.t.Helper()
	var list server.DecisionList
	i.call("GET", "/v1/decisions?subject="+url.QueryEscape(subject), token, "").into(i.t, &list)
	ids := []string{}
	for _, d := range list.Decisions {
		ids = append(ids, d.DecisionID)
	}
	return ids
}

// An erasure takes the content of every decision of a subject, whoever else takes part in it, and of no other; statements and documents stay, and the subject that comes again is somebody new.
func TestErasure(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	i.register(token, contract("eu", "eu", ""))
	ann, both, bob := i.decide(token, about("a", "ann")), i.decide(token, about("b", "ann", "bob")), i.decide(token, about("c", "bob"))
	if found := i.found(token, "ann"); !slices.Equal(found, []string{both.DecisionID, ann.DecisionID}) {
		t.Errorf("of ann: %v", found)
	}
	if found := i.found(token, "someone@default.example"); len(found) != 3 {
		t.Errorf("of who asked: %v", found)
	}
	if found := i.found(token, "nobody"); len(found) != 0 {
		t.Errorf("of nobody: %v", found)
	}
	before := i.call("GET", ann.Links.Document, token, "")

	if r := i.erase(token, "nobody", false); r.problem() != "subject-unknown" {
		t.Errorf("%d %s", r.status, r.body)
	}
	var erased server.Erased
	r := i.erase(token, "ann", false)
	r.into(t, &erased)
	if r.status != http.StatusCreated || erased.Decisions != 2 || len(erased.Subject) != 32 || erased.Documents {
		t.Fatalf("%d %s", r.status, r.body)
	}
	for _, a := range []server.Answer{ann, both} {
		if left := i.content(token, a); len(left) != 0 {
			t.Errorf("after the erasure: %v", left)
		}
	}
	if len(i.content(token, bob)) == 0 {
		t.Error("somebody else's content is gone")
	}
	if after := i.call("GET", ann.Links.Document, token, ""); !bytes.Equal(before.body, after.body) {
		t.Errorf("the document is another: %s", after.body)
	}
	if r := i.erase(token, "ann", false); r.problem() != "subject-unknown" {
		t.Errorf("a second time: %d %s", r.status, r.body)
	}
	again := i.decide(token, about("d", "ann"))
	if found := i.found(token, "ann"); !slices.Equal(found, []string{again.DecisionID}) {
		t.Errorf("of ann, after the erasure: %v", found)
	}
	var list server.ErasureList
	i.call("GET", "/v1/erasures", token, "").into(t, &list)
	if len(list.Erasures) != 1 || list.Erasures[0] != erased.Erasure || list.Erasures[0].Kind != verify.KindErased {
		t.Errorf("%+v", list)
	}
	if strings.Contains(i.leaves("default"), `"ann"`) {
		t.Error("the log names the subject")
	}
}

// With the documents erased, a decision is still listed, its statement is there byte for byte, and evidence of what is left.
func TestErasureOfDocuments(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	i.register(token, contract("eu", "eu", ""))
	gone, kept := i.decide(token, about("a", "ann")), i.decide(token, about("b", "bob"))
	if r := i.erase(token, "ann", true); r.status != http.StatusCreated {
		t.Fatalf("%d %s", r.status, r.body)
	}
	for _, path := range []string{gone.Links.Document, "/v1/decisions/" + gone.DecisionID} {
		if r := i.call("GET", path, token, ""); r.status != http.StatusGone || r.problem() != "erased" {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
	if r := i.call("POST", "/v1/decisions/"+gone.DecisionID+"/outcome", token, `{"status": "succeeded", "latency_ms": 3}`); r.status != http.StatusGone {
		t.Errorf("an outcome: %d %s", r.status, r.body)
	}
	if r := i.call("GET", "/v1/decisions/"+gone.DecisionID+"/statement", token, ""); string(r.body) != gone.Statement {
		t.Errorf("the statement: %d %s", r.status, r.body)
	}
	var list server.DecisionList
	i.call("GET", "/v1/decisions", token, "").into(t, &list)
	if len(list.Decisions) != 2 {
		t.Errorf("listed are %+v", list.Decisions)
	}
	if r := i.call("GET", kept.Links.Document, token, ""); r.status != http.StatusOK {
		t.Errorf("another's: %d %s", r.status, r.body)
	}
	reader, err := export.NewReader(bytes.NewReader(i.call("GET", "/v1/decisions/export", token, "").body))
	must(t, err)
	exported := 0
	for _, err = reader.Next(); err == nil; _, err = reader.Next() {
		exported++
	}
	if !errors.Is(err, io.EOF) || exported != 1 {
		t.Errorf("%d decisions were exported, %v", exported, err)
	}
}

// A hold forbids the erasure of whoever takes part in a decision that it covers, and says on what ground.
func TestHolds(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	i.register(token, contract("eu", "eu", ""))
	i.decide(token, about("a", "ann", "bob"))
	alone := i.decide(token, about("b", "cyd"))
	hold := func(name, what string) reply {
		return i.call("PUT", "/v1/holds/"+name, token, `{`+what+`, "ground": "case 117", "reason": "counsel"}`)
	}
	if r := hold("ann", `"subject": "ann"`); r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	for _, who := range []string{"ann", "bob"} {
		if r := i.erase(token, who, false); r.status != http.StatusConflict || r.problem() != "held" || !strings.Contains(string(r.body), "case 117") {
			t.Errorf("%s: %d %s", who, r.status, r.body)
		}
	}
	if r := hold("cyd", fmt.Sprintf(`"decision": %q`, alone.DecisionID)); r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if r := i.erase(token, "cyd", false); r.problem() != "held" {
		t.Errorf("%d %s", r.status, r.body)
	}
	for what, code := range map[string]string{
		`"subject": "nobody"`: "subject-unknown", `"decision": "01a20368-453e-7f21-aad0-9018e60ae18f"`: "not-found",
		`"subject": "ann", "everything": true`: "invalid-request", `"everything": false`: "invalid-request", `"decision": "x"`: "invalid-request",
	} {
		if r := hold("other", what); r.problem() != code {
			t.Errorf("%s: %d %s", what, r.status, r.body)
		}
	}
	if r := hold("ann", `"everything": true`); r.problem() != "hold-exists" {
		t.Errorf("%d %s", r.status, r.body)
	}

	// They are in force after a restart.
	i.stop()
	i = startAt(t, i.path, i)
	var list server.HoldList
	i.call("GET", "/v1/holds", token, "").into(t, &list)
	if len(list.Holds) != 2 || list.Holds[0].Hold != "ann" || list.Holds[0].Ground != "case 117" || list.Holds[1].Decisions[0] != alone.DecisionID {
		t.Fatalf("%+v", list)
	}
	if r := i.erase(token, "bob", false); r.problem() != "held" {
		t.Errorf("after a restart: %d %s", r.status, r.body)
	}
	if r := i.call("DELETE", "/v1/holds/ann", token, ""); r.problem() != "invalid-request" {
		t.Errorf("without a reason: %d %s", r.status, r.body)
	}
	if r := i.call("DELETE", "/v1/holds/ann?reason=settled", token, ""); r.status != http.StatusOK {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := i.erase(token, "bob", false); r.status != http.StatusCreated {
		t.Errorf("after the release: %d %s", r.status, r.body)
	}
	if r := i.erase(token, "cyd", false); r.problem() != "held" {
		t.Errorf("the other hold: %d %s", r.status, r.body)
	}
}

// What a tenant's people erase and hold is theirs, and needs the roles.
func TestErasureRoles(t *testing.T) {
	i := start(t)
	operator := i.token("default", auth.Operator)
	i.register(operator, contract("eu", "eu", ""))
	a := i.decide(operator, about("a", "ann"))
	acme := i.token("acme", auth.Operator)
	if r := i.erase(acme, "ann", false); r.problem() != "subject-unknown" {
		t.Errorf("another tenant's: %d %s", r.status, r.body)
	}
	if r := i.call("PUT", "/v1/holds/x", acme, fmt.Sprintf(`{"decision": %q, "ground": "g", "reason": "r"}`, a.DecisionID)); r.problem() != "not-found" {
		t.Errorf("another tenant's: %d %s", r.status, r.body)
	}
	for _, role := range []auth.Role{auth.App, auth.Author, auth.Auditor} {
		token := i.token("default", role)
		if r := i.erase(token, "ann", false); r.status != http.StatusForbidden {
			t.Errorf("%s erases: %d", role, r.status)
		}
		if r := i.call("PUT", "/v1/holds/x", token, `{"everything": true, "ground": "g", "reason": "r"}`); r.status != http.StatusForbidden {
			t.Errorf("%s holds: %d", role, r.status)
		}
	}
}

func withRetention(r server.Retention, clock func() time.Time) option {
	return func(i *installation) { i.config.Retention, i.config.Clock = r, clock }
}

// What is older than its class keeps it is erased, by month, content before documents, and what is held is not until it is released. Nothing is stated twice.
func TestRetention(t *testing.T) {
	now := time.Now().UTC()
	clock := func() time.Time { return now }
	short := server.Retention{Classes: map[string]server.RetentionClass{"short": {ContentDays: 10, DocumentDays: 100}}, Tenants: map[string]string{"default": "short"}}
	i := start(t, withRetention(short, clock))
	i.stop()
	var token string
	later := func(days int) {
		i.stop()
		now = now.AddDate(0, 0, days)
		i = startAt(t, i.path, i, withRetention(short, clock))
		var err error
		token, err = i.issuer.Token(principal("default", auth.Operator), now.Add(-time.Second), time.Hour)
		must(t, err)
		must(t, i.server.Sweep(context.Background()))
	}
	later(0)
	i.register(token, contract("eu", "eu", ""))
	one, held := i.decide(token, about("a", "ann")), i.decide(token, about("b", "bob"))
	if r := i.call("PUT", "/v1/holds/bob", token, `{"subject": "bob", "ground": "g", "reason": "r"}`); r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	later(9)
	if len(i.content(token, one)) == 0 {
		t.Error("content went before its time")
	}
	later(33)
	entries := func() []server.Erasure {
		var list server.ErasureList
		i.call("GET", "/v1/erasures", token, "").into(t, &list)
		return list.Erasures
	}
	if list := entries(); len(list) != 1 || list[0].Kind != verify.KindExpired || list[0].Retention != "short" || list[0].Kept != 1 || list[0].Documents {
		t.Errorf("%+v", list)
	}
	if left := i.content(token, one); len(left) != 0 {
		t.Errorf("content outlived its time: %v", left)
	}
	if len(i.content(token, held)) == 0 {
		t.Error("what is held was erased")
	}
	must(t, i.server.Sweep(context.Background()))
	if list := entries(); len(list) != 1 {
		t.Errorf("a second sweep: %+v", list)
	}
	if r := i.call("DELETE", "/v1/holds/bob?reason=settled", token, ""); r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	must(t, i.server.Sweep(context.Background()))
	if left := i.content(token, held); len(left) != 0 || len(entries()) != 2 {
		t.Errorf("after its release: %v, %+v", left, entries())
	}
	later(90)
	if r := i.call("GET", one.Links.Document, token, ""); r.status != http.StatusGone {
		t.Errorf("the document: %d %s", r.status, r.body)
	}
	if list := entries(); len(list) != 3 || !list[0].Documents {
		t.Errorf("%+v", list)
	}
	later(0)
	if list := entries(); len(list) != 3 {
		t.Errorf("after a restart: %+v", list)
	}
}

func TestRetentionConfig(t *testing.T) {
	for name, r := range map[string]server.Retention{
		"no such class":   {Tenants: map[string]string{"acme": "long"}},
		"documents first": {Classes: map[string]server.RetentionClass{"x": {ContentDays: 5, DocumentDays: 4}}},
		"documents alone": {Classes: map[string]server.RetentionClass{"x": {DocumentDays: 4}}},
		"a negative age":  {Classes: map[string]server.RetentionClass{"x": {ContentDays: -1}}},
		"not a name":      {Classes: map[string]server.RetentionClass{"X Y": {}}},
	} {
		i := start(t)
		i.stop()
		config := i.config
		config.Retention = r
		if _, err := server.New(context.Background(), config); err == nil || !strings.Contains(err.Error(), "retention") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	must(t, err)
	must(t, os.WriteFile(to, text, 0o600))
}

// A backup of the subjects' store of before an erasure does not bring anybody back: the log says what was erased, and a start carries it out.
func TestErasureAfterSubjectsRestore(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	i.register(token, contract("eu", "eu", ""))
	i.decide(token, about("a", "ann"))
	i.stop()
	backup := filepath.Join(t.TempDir(), "subjects.db")
	copyFile(t, subjectsOf(i.path), backup)
	main := filepath.Join(t.TempDir(), "main.db")
	copyFile(t, i.path, main)

	i = startAt(t, i.path, i)
	if r := i.erase(token, "ann", true); r.status != http.StatusCreated {
		t.Fatalf("%d %s", r.status, r.body)
	}
	i.stop()
	after := filepath.Join(t.TempDir(), "subjects.db")
	copyFile(t, subjectsOf(i.path), after)

	copyFile(t, backup, subjectsOf(i.path))
	known := func() bool {
		s, err := seal.Open(context.Background(), subjectsOf(i.path), rand.Reader)
		must(t, err)
		defer s.Close()
		_, known, err := s.Find(context.Background(), "default", "ann")
		must(t, err)
		return known
	}
	if !known() {
		t.Fatal("the backup does not know the subject")
	}
	i = startAt(t, i.path, i)
	i.stop()
	if known() {
		t.Error("the key that was erased is there after the start")
	}

	// The other way round: the main store of before the erasure, which lacks its entry, and the keys of after it.
	other := filepath.Join(t.TempDir(), "caio.db")
	copyFile(t, main, other)
	copyFile(t, after, subjectsOf(other))
	i = startAt(t, other, i)
	var list server.DecisionList
	i.call("GET", "/v1/decisions", token, "").into(t, &list)
	if r := i.call("GET", "/v1/decisions/"+list.Decisions[0].DecisionID+"/document", token, ""); r.status != http.StatusGone {
		t.Errorf("the document came back: %d", r.status)
	}
	var erasures server.ErasureList
	i.call("GET", "/v1/erasures", token, "").into(t, &erasures)
	if len(erasures.Erasures) != 1 || !strings.Contains(erasures.Erasures[0].Reason, "restored") {
		t.Errorf("%+v", erasures)
	}
}

// left is what an auditor is told of a decision: the status of each layer.
func (i *installation) left(token string, a server.Answer) map[string]verify.Verdict {
	i.t.Helper()
	r := i.call("GET", a.Links.Evidence, token, "")
	if r.status != http.StatusOK {
		i.t.Fatalf("%d %s", r.status, r.body)
	}
	trust, err := i.server.Trust(context.Background(), "default")
	must(i.t, err)
	_, verdicts := verify.CheckFile(context.Background(), r.body, trust, verify.Options{})
	layers := map[string]verify.Verdict{}
	for _, v := range verdicts {
		layers[v.Layer] = v
	}
	return layers
}

// What is left of an erased decision verifies as far as it goes, after a restart too.
func TestErasedEvidenceVerifies(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	i.register(token, contract("eu", "eu", ""))
	content, document := i.decide(token, about("a", "ann")), i.decide(token, about("b", "bob"))
	i.erase(token, "ann", false)
	i.erase(token, "bob", true)
	for range 2 {
		for _, layer := range []string{verify.LayerEvidence, verify.LayerSignature, verify.LayerDocument, verify.LayerReceipt, verify.LayerArgmax} {
			if v := i.left(token, content)[layer]; v.Status != verify.Pass {
				t.Errorf("without content: %+v", v)
			}
		}
		for _, layer := range []string{verify.LayerEvidence, verify.LayerSignature, verify.LayerReceipt} {
			if v := i.left(token, document)[layer]; v.Status != verify.Pass {
				t.Errorf("without a document: %+v", v)
			}
		}
		if v := i.left(token, document)[verify.LayerDocument]; v.Status != verify.Skipped || !strings.Contains(v.Reason, "erased") {
			t.Errorf("%+v", v)
		}
		i.stop()
		i = startAt(t, i.path, i)
	}
}
