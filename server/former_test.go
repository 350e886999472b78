package server_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/internal/seal"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/smarthausgroup/caio/verify"
)

// damaged takes the tree of the tenant's log out of the stopped installation's store, so that it can't be appended to.
func (i *installation) damaged() { i.edit("DELETE FROM tiles WHERE tenant = 'default'") }

// edit is what somebody does to the store of a stopped installation who has the file.
func (i *installation) edit(statements ...string) {
	i.t.Helper()
	db, err := sql.Open("sqlite", i.path)
	must(i.t, err)
	for _, statement := range statements {
		_, err := db.Exec(statement)
		must(i.t, err)
	}
	must(i.t, db.Close())
}

// keptDocument reports whether the store has the document of a decision, under any of the tenant's logs.
func (i *installation) keptDocument(a server.Answer) bool {
	i.t.Helper()
	logs, err := i.store.Logs(context.Background())
	must(i.t, err)
	for _, log := range logs {
		switch _, err := i.store.Document(context.Background(), log.Tenant, a.DecisionID); {
		case err == nil:
			return true
		case !errors.Is(err, store.ErrNotFound):
			i.t.Fatal(err)
		}
	}
	return false
}

// What people asked for outlives the log in which it was asked: holds are in force in the one that follows, they keep what stands in the log that was given up, an erasure reaches that, and so does retention.
func TestFormerLogIsKeptAndErased(t *testing.T) {
	now := time.Now().UTC()
	clock := func() time.Time { return now }
	short := server.Retention{Classes: map[string]server.RetentionClass{"short": {ContentDays: 10, DocumentDays: 100}}, Tenants: map[string]string{"default": "short"}}
	var token string
	i := start(t, withRetention(short, clock))
	again := func(days int) {
		i.stop()
		now = now.AddDate(0, 0, days)
		i = startAt(t, i.path, i, withRetention(short, clock))
		var err error
		token, err = i.issuer.Token(principal("default", auth.Operator), now.Add(-time.Second), time.Hour)
		must(t, err)
		must(t, i.server.Sweep(context.Background()))
	}
	again(0)
	hold := func(name, what string) reply {
		return i.call("PUT", "/v1/holds/"+name, token, fmt.Sprintf(`{%s, "ground": "case of %s", "reason": "asked for by counsel"}`, what, name))
	}
	i.register(token, contract("eu", "eu", ""))
	ann, bob, carol, dora := i.decide(token, about("a", "ann")), i.decide(token, about("b", "bob")), i.decide(token, about("c", "carol")), i.decide(token, about("d", "dora"))
	for name, what := range map[string]string{"carol": `"subject": "carol"`, "bob": fmt.Sprintf(`"decision": %q`, bob.DecisionID), "gone": `"everything": true`} {
		if r := hold(name, what); r.status != http.StatusOK {
			t.Fatalf("%d %s", r.status, r.body)
		}
	}
	if r := i.call("DELETE", "/v1/holds/gone?reason=settled", token, ""); r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	i.stop()
	i.damaged()
	if _, err := i.recovered("default"); err != nil {
		t.Fatal(err)
	}
	again(0)

	var list server.HoldList
	i.call("GET", "/v1/holds", token, "").into(t, &list)
	if len(list.Holds) != 2 || list.Holds[0].Hold != "bob" || list.Holds[0].Decisions[0] != bob.DecisionID || list.Holds[1].Ground != "case of carol" || list.Holds[1].Reason != "asked for by counsel" || list.Holds[1].Actor != "ann@example.com" {
		t.Errorf("held in the new log: %+v", list.Holds)
	}
	for _, who := range []string{"bob", "carol"} {
		if r := i.erase(token, who, true); r.problem() != "held" || !strings.Contains(string(r.body), "case of "+who) {
			t.Errorf("%s is held: %d %s", who, r.status, r.body)
		}
	}
	if r := hold("dora", fmt.Sprintf(`"decision": %q`, dora.DecisionID)); r.status != http.StatusOK {
		t.Errorf("a decision of the log that was given up: %d %s", r.status, r.body)
	}
	var erased server.Erased
	r := i.erase(token, "ann", true)
	r.into(t, &erased)
	if r.status != http.StatusCreated || erased.Decisions != 1 || i.keptDocument(ann) {
		t.Errorf("%d %s; its document is kept: %t", r.status, r.body, i.keptDocument(ann))
	}
	again(200)
	if r := i.call("DELETE", "/v1/holds/carol?reason=settled", token, ""); r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if !i.keptDocument(bob) || !i.keptDocument(carol) || !i.keptDocument(dora) {
		t.Error("retention took what was held")
	}
	again(0)
	if i.keptDocument(carol) || !i.keptDocument(bob) || !i.keptDocument(dora) {
		t.Error("retention left what was released, or took what is held")
	}
	var erasures server.ErasureList
	i.call("GET", "/v1/erasures", token, "").into(t, &erasures)
	if e := erasures.Erasures[0]; !e.Documents || e.Kept != 2 {
		t.Errorf("the last sweep says %+v", e)
	}
}

// An erasure in a log that was given up is carried out again also where it is listed there as something else; and one entry of it that does not hold is told, and stops nothing.
func TestFormerErasureInHiding(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	i.register(token, contract("eu", "eu", ""))
	i.decide(token, about("a", "ann"))
	i.stop()
	subjects := filepath.Join(t.TempDir(), "subjects.db")
	copyFile(t, subjectsOf(i.path), subjects)
	i = startAt(t, i.path, i)
	if r := i.erase(token, "ann", true); r.status != http.StatusCreated {
		t.Fatalf("%d %s", r.status, r.body)
	}
	i.stop()
	i.damaged()
	_, err := i.recovered("default")
	must(t, err)
	i.edit("UPDATE entries SET type = 'caio-failure+jws' WHERE type = 'caio-erasure+jws'", "UPDATE entries SET leaf = CAST('x' AS BLOB) WHERE tenant <> 'default' AND idx = 2")
	copyFile(t, subjects, subjectsOf(i.path))
	i = startAt(t, i.path, i)
	if found := i.found(token, "ann"); len(found) != 0 || strings.Count(i.leaves("default"), "caio-erasure") != 1 {
		t.Errorf("who was erased is there after the start: %v", found)
	}
	for _, said := range []string{"an entry listed as caio-failure+jws", "not a compact JWS"} {
		if !strings.Contains(i.logs.String(), said) {
			t.Errorf("%q is not in\n%s", said, i.logs)
		}
	}
}

// What a log holds in the clear that was given up before it was sealed is sealed under the keys of the tenant's people, so that erasing one of them reaches it.
func TestFormerClearContentIsSealed(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	i.register(token, contract("eu", "eu", ""))
	list := i.content(token, i.decide(token, about("a", "ann")))
	i.stop()
	i.cleared(list)
	i.damaged()
	_, err := i.recovered("default")
	must(t, err)
	i = startAt(t, i.path, i)
	var erased server.Erased
	r := i.erase(token, "ann", false)
	r.into(t, &erased)
	if r.status != http.StatusCreated || erased.Decisions != 1 {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// What the store of subjects says was erased, of which the log knows nothing, is stated at the start, each once, however much it is.
func TestManyErasuresAreStated(t *testing.T) {
	i := start(t)
	i.register(i.token("default", auth.Operator), contract("eu", "eu", ""))
	i.stop()
	subjects, err := seal.Open(context.Background(), subjectsOf(i.path), rand.Reader)
	must(t, err)
	list := make([]seal.Destroyed, 450)
	for n := range list {
		list[n] = seal.Destroyed{Tenant: "default", Subject: fmt.Sprintf("%032x", n), Documents: n%2 == 0}
	}
	must(t, errors.Join(subjects.Destroy(context.Background(), list...), subjects.Close()))
	for range 2 {
		i = startAt(t, i.path, i)
		text := i.leaves("default")
		if n, with := strings.Count(text, "caio-erasure"), strings.Count(text, `"documents":true`); n != len(list) || with != len(list)/2 {
			t.Errorf("%d erasures are stated, %d with documents", n, with)
		}
		i.stop()
	}
}

// Decisions in a log that was given up are read by id as they were, by their tenant alone, and their evidence verifies under a trust file of now, whatever was erased of them and in whichever log that stands. Nothing is added to them.
func TestFormerDecisionsAreRead(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	i.register(token, contract("eu", "eu", ""))
	whole, content, document, before := i.decide(token, about("a", "ann")), i.decide(token, about("b", "bob")), i.decide(token, about("c", "carol")), i.decide(token, about("d", "dora"))
	if r := i.erase(token, "dora", true); r.status != http.StatusCreated {
		t.Fatalf("%d %s", r.status, r.body)
	}
	paths := []string{whole.Links.Document, "/v1/decisions/" + whole.DecisionID, "/v1/decisions/" + whole.DecisionID + "/statement", "/v1/decisions/" + whole.DecisionID + "/receipt"}
	were := map[string]string{}
	for _, path := range paths {
		were[path] = string(i.call("GET", path, token, "").body)
	}
	i.stop()
	text, err := os.ReadFile(i.path)
	must(t, err)
	i = startAt(t, i.path, i, func(i *installation) { i.config.CheckpointDir = filepath.Dir(i.path) })
	i.decide(token, about("e", "emil"))
	i.stop()
	must(t, os.WriteFile(i.path, text, 0o600))
	i.config.CheckpointDir = filepath.Dir(i.path)
	_, err = i.recovered("default")
	must(t, err)
	i = startAt(t, i.path, i)
	for _, path := range paths {
		if r := i.call("GET", path, token, ""); r.status != http.StatusOK || string(r.body) != were[path] {
			t.Errorf("%s: %d %s, and was %s", path, r.status, r.body, were[path])
		}
		if r := i.call("GET", path, i.token("beta", auth.Operator), ""); r.status != http.StatusNotFound {
			t.Errorf("%s, for another tenant: %d", path, r.status)
		}
	}
	if r := i.call("POST", "/v1/decisions/"+whole.DecisionID+"/outcome", token, `{"status": "succeeded", "latency_ms": 1}`); r.status != http.StatusNotFound {
		t.Errorf("an outcome was taken: %d %s", r.status, r.body)
	}
	for who, documents := range map[string]bool{"bob": false, "carol": true} {
		if r := i.erase(token, who, documents); r.status != http.StatusCreated {
			t.Errorf("%s: %d %s", who, r.status, r.body)
		}
	}
	for range 2 {
		for _, a := range []server.Answer{whole, content} {
			for _, layer := range []string{verify.LayerEvidence, verify.LayerSignature, verify.LayerDocument, verify.LayerReceipt, verify.LayerArgmax} {
				if v := i.left(token, a)[layer]; v.Status != verify.Pass {
					t.Errorf("%+v", v)
				}
			}
		}
		if n, left := len(i.content(token, whole)), len(i.content(token, content)); n == 0 || left != 0 {
			t.Errorf("%d disclosures, and %d of what was erased", n, left)
		}
		for what, a := range map[string]server.Answer{"after it was given up": document, "before": before} {
			if v := i.left(token, a); v[verify.LayerReceipt].Status != verify.Pass || v[verify.LayerDocument].Status != verify.Skipped || !strings.Contains(v[verify.LayerDocument].Reason, "asked for") {
				t.Errorf("erased %s: %+v", what, v)
			}
			if r := i.call("GET", a.Links.Document, token, ""); r.problem() != "erased" {
				t.Errorf("erased %s: %d %s", what, r.status, r.body)
			}
		}
		i.stop()
		i = startAt(t, i.path, i)
	}
}

// A log that follows one that follows another: all of it holds for both.
func TestFormerTwice(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	i.register(token, contract("eu", "eu", ""))
	again := func() {
		i.stop()
		i.damaged()
		if _, err := i.recovered("default"); err != nil {
			t.Fatal(err)
		}
		i = startAt(t, i.path, i)
	}
	var decided []server.Answer
	var origins []string
	for _, who := range []string{"ann", "bob", "carol"} {
		if len(decided) > 0 {
			again()
		}
		decided, origins = append(decided, i.decide(token, about("a letter", who, "dora"))), append(origins, i.origin("default"))
		if len(decided) == 1 {
			if r := i.call("PUT", "/v1/holds/case", token, `{"subject": "ann", "ground": "case 117", "reason": "asked for by counsel"}`); r.status != http.StatusOK {
				t.Fatalf("%d %s", r.status, r.body)
			}
		}
	}
	trust, err := i.server.Trust(context.Background(), "default")
	must(t, err)
	current, ok := trust.Current()
	if !ok || current.Origin != origins[2] || current.Follows != origins[1] || len(trust.Logs) != 3 {
		t.Errorf("%+v, of %v", trust.Logs, origins)
	}
	if r := i.erase(token, "dora", true); r.problem() != "held" {
		t.Errorf("what is held in the first log was erased: %d %s", r.status, r.body)
	}
	if r := i.call("DELETE", "/v1/holds/case?reason=settled", token, ""); r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	var erased server.Erased
	i.erase(token, "dora", true).into(t, &erased)
	if erased.Decisions != 3 {
		t.Errorf("%+v", erased)
	}
	for n, a := range decided {
		// The trees of the first two were damaged: of these nothing can be proved, and that is said.
		damaged := map[bool]string{true: "log-damaged"}[n < 2]
		for _, path := range []string{a.Links.Evidence, "/v1/decisions/" + a.DecisionID + "/receipt"} {
			if r := i.call("GET", path, token, ""); r.problem() != damaged {
				t.Errorf("%s in log %d: %d %s", path, n, r.status, r.body)
			}
		}
		if r := i.call("GET", a.Links.Document, token, ""); r.problem() != "erased" || i.keptDocument(a) {
			t.Errorf("in log %d: %d %s", n, r.status, r.body)
		}
		if r := i.call("GET", "/v1/decisions/"+a.DecisionID+"/statement", token, ""); r.status != http.StatusOK || string(r.body) != a.Statement {
			t.Errorf("in log %d: %d %s", n, r.status, r.body)
		}
	}
}
