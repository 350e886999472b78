package server_test

import (
	"context"
	"database/sql"
	"net/http"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/smarthausgroup/caio/verify"
)

// editSubjects is what somebody does to the store of subjects who has the file.
func (i *installation) editSubjects(statements ...string) {
	i.t.Helper()
	db, err := sql.Open("sqlite", subjectsOf(i.path))
	must(i.t, err)
	for _, statement := range statements {
		_, err := db.Exec(statement)
		must(i.t, err)
	}
	must(i.t, db.Close())
}

// Keys can't be destroyed between the two, as on a full disk.
const (
	breakErasure = "CREATE TRIGGER broken BEFORE DELETE ON keys BEGIN SELECT RAISE(ABORT, 'no space'); END"
	mendErasure  = "DROP TRIGGER broken"
)

// checked is what an auditor is told of a decision who has the whole log, and how much of its content is there. No layer may fail: the operator is honest.
func (i *installation) checked(token string, a server.Answer) (layers map[string]verify.Verdict, disclosures int) {
	i.t.Helper()
	r := i.call("GET", a.Links.Evidence, token, "")
	if r.status != http.StatusOK {
		i.t.Fatalf("%d %s", r.status, r.body)
	}
	trust, err := i.server.Trust(context.Background(), "default")
	must(i.t, err)
	ev, verdicts := verify.CheckFile(context.Background(), r.body, trust, verify.Options{Log: served{i, token, i.origin("default")}})
	layers = map[string]verify.Verdict{}
	for _, v := range verdicts {
		layers[v.Layer] = v
		if v.Status == verify.Fail {
			i.t.Errorf("%s fails: %+v", a.DecisionID, v)
		}
	}
	if ev == nil {
		return layers, 0
	}
	return layers, len(ev.Disclosures)
}

// An erasure that stands in the log and can't be carried out: nothing is decided about that person before it is, whoever comes then is somebody new, and what was decided before and after verifies, with a restart in between and without.
func TestErasureFailsHalfWay(t *testing.T) {
	for _, restart := range []bool{false, true} {
		i := start(t)
		token := i.token("default", auth.Operator)
		i.register(token, contract("eu", "eu", ""))
		before := i.decide(token, about("a", "ann"))
		i.editSubjects(breakErasure)
		for range 2 {
			if r := i.erase(token, "ann", false); r.status != http.StatusServiceUnavailable || r.problem() != "not-erased" {
				t.Fatalf("%d %s", r.status, r.body)
			}
		}
		if r := i.call("POST", "/v1/decisions", token, about("b", "ann")); r.status != http.StatusServiceUnavailable || r.problem() != "not-stored" {
			t.Errorf("decided about ann: %d %s", r.status, r.body)
		}
		if r := i.call("PUT", "/v1/holds/ann", token, `{"subject": "ann", "ground": "g", "reason": "r"}`); r.problem() != "subject-unknown" {
			t.Errorf("held: %d %s", r.status, r.body)
		}
		bob := i.decide(token, about("c", "bob"))
		i.editSubjects(mendErasure)
		if restart {
			i.stop()
			i = startAt(t, i.path, i)
		}
		after := i.decide(token, about("d", "ann"))
		i.stop()
		i = startAt(t, i.path, i)
		for name, a := range map[string]server.Answer{"of bob": bob, "after": after} {
			if layers, content := i.checked(token, a); content == 0 || layers[verify.LayerCurrency].Status != verify.Pass {
				t.Errorf("%s: %d disclosures, %+v", name, content, layers[verify.LayerCurrency])
			}
		}
		if layers, content := i.checked(token, before); content != 0 || layers[verify.LayerDocument].Status != verify.Pass {
			t.Errorf("before: %d, %+v", content, layers[verify.LayerDocument])
		}
		var list server.ErasureList
		i.call("GET", "/v1/erasures", token, "").into(t, &list)
		if len(list.Erasures) != 1 {
			t.Errorf("%+v", list.Erasures)
		}
	}
}

// A release of before went on sealing under a key that it could not destroy. The start that destroys it says so in an entry behind what was sealed meanwhile, once, and what is left of that verifies.
func TestErasureCarriedOutLater(t *testing.T) {
	for _, documents := range []bool{false, true} {
		i := start(t)
		token := i.token("default", auth.Operator)
		i.register(token, contract("eu", "eu", ""))
		before := i.decide(token, about("a", "ann"))
		if r := i.erase(token, "ann", documents); r.status != http.StatusCreated {
			t.Fatalf("%d %s", r.status, r.body)
		}
		between := i.decide(token, about("b", "ann"))
		i.stop()
		// The second key of ann's becomes one of the first.
		i.edit("CREATE TEMP TABLE first AS SELECT subject FROM decision_subjects WHERE decision = (SELECT min(decision) FROM decision_subjects) AND subject NOT IN (SELECT subject FROM decision_subjects WHERE decision = (SELECT max(decision) FROM decision_subjects));" +
			"CREATE TEMP TABLE second AS SELECT subject FROM decision_subjects WHERE decision = (SELECT max(decision) FROM decision_subjects) AND subject NOT IN (SELECT subject FROM decision_subjects WHERE decision = (SELECT min(decision) FROM decision_subjects));" +
			"UPDATE decision_subjects SET subject = (SELECT subject FROM first) WHERE subject = (SELECT subject FROM second)")
		i.editSubjects("UPDATE keys SET subject = (SELECT subject FROM destroyed) WHERE subject = (SELECT id FROM subjects ORDER BY rowid DESC LIMIT 1);" +
			"UPDATE subjects SET id = (SELECT subject FROM destroyed) WHERE rowid = (SELECT max(rowid) FROM subjects);" +
			"DELETE FROM destroyed")
		for range 2 {
			i = startAt(t, i.path, i)
			for name, a := range map[string]server.Answer{"before": before, "between": between} {
				layers, content := i.checked(token, a)
				if status := layers[verify.LayerDocument].Status; content != 0 || (status == verify.Skipped) != documents {
					t.Errorf("%s: %d, %s", name, content, status)
				}
			}
			if found := i.found(token, "ann"); len(found) != 0 {
				t.Errorf("found %v", found)
			}
			var list server.ErasureList
			i.call("GET", "/v1/erasures", token, "").into(t, &list)
			if len(list.Erasures) != 2 || list.Erasures[0].Subject != list.Erasures[1].Subject || list.Erasures[0].Documents != documents || !strings.Contains(list.Erasures[0].Reason, "meanwhile") {
				t.Errorf("%+v", list.Erasures)
			}
			i.stop()
		}
	}
}
