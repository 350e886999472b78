package server_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/canonical"
	"github.com/smarthausgroup/caio/internal/seal"
	"github.com/smarthausgroup/caio/internal/store/sqlite"
	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/server/auth"
	"github.com/smarthausgroup/caio/verify"
)

// canaries are strings that stand where content stands in a request, each in one place. That of the field is how its numbers stand in what is sealed, quantised.
var canaries = map[string]string{
	"subject": "canary-of-who-asks@example.com", "data subject": "canary-whom-it-is-about", "intent": "canary of the intent", "context": "canary of the context",
	"conversation": "canary-of-a-conversation", "payload": "canary of the payload", "field": numbers(quantised(canaryField())),
}

// everyCanary is a request with all of them but who asks.
var everyCanary = fmt.Sprintf(`{"intent": {"type": "embeddings", "text": %q}, "context": {"text": %q, "conversation_id": %q}, "data": {"subjects": [%q]}, "payload": {"text": %q}, "fields": {"intent": {"re": [%s]}}}`,
	canaries["intent"], canaries["context"], canaries["conversation"], canaries["data subject"], canaries["payload"], numbers(canaryField()))

func canaryField() []float64 {
	field := make([]float64, 64)
	for n := range field {
		field[n] = float64((n*7919)%1009) / 1009
	}
	return field
}

func quantised(re []float64) []int32 {
	field, err := contracts.NewField(re, nil)
	if err != nil {
		panic(err)
	}
	return field.Re
}

func numbers[T any](list []T) string {
	texts := make([]string, len(list))
	for n, v := range list {
		texts[n] = fmt.Sprint(v)
	}
	return strings.Join(texts, ",")
}

// Content stands nowhere in the clear: not in documents, leaves, the files of either store, logs, metrics or stored answers; and after an erasure it can't be opened with every key that is left.
func TestContentStandsNowhere(t *testing.T) {
	checkpoints := t.TempDir()
	i := start(t, func(i *installation) { i.config.CheckpointDir = checkpoints })
	operator := i.token("default", auth.Operator)
	i.register(operator, contract("eu", "eu", ""))
	p := principal("default", auth.App)
	p.Subject = canaries["subject"]
	app := i.tokenOf(p)
	var decisions []server.Answer
	for n, detail := range []string{"none", "brief", "full"} {
		r := i.call("POST", "/v1/decisions?detail="+detail, app, everyCanary, "Idempotency-Key", fmt.Sprint("k", n))
		if r.status != http.StatusOK {
			t.Fatalf("%d %s", r.status, r.body)
		}
		var a server.Answer
		r.into(t, &a)
		decisions = append(decisions, a)
		i.call("POST", "/v1/decisions/explain", operator, everyCanary)
		i.call("POST", "/v1/decisions", app, strings.Replace(everyCanary, "embeddings", "weapons", 1))
		i.call("POST", "/v1/decisions", app, strings.Replace(everyCanary, `"payload"`, `"paylod"`, 1))
		i.call("POST", "/v1/decisions/"+a.DecisionID+"/outcome", app, `{"status": "succeeded", "latency_ms": 3}`, "Idempotency-Key", fmt.Sprint("o", n))
	}
	sealed, err := json.Marshal(i.content(operator, decisions[0]))
	must(t, err)
	for what, canary := range canaries {
		if !bytes.Contains(sealed, []byte(canary)) {
			t.Fatalf("the %s is not in what was sealed: %s", what, sealed)
		}
	}
	i.call("GET", "/v1/decisions?subject="+url.QueryEscape(canaries["subject"]), operator, "")
	if r := i.call("POST", "/v1/decisions/batch", app, `{"requests": [`+everyCanary+`]}`, "Idempotency-Key", "batch"); r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	document := i.call("GET", decisions[0].Links.Document, operator, "").body
	nowhere := func(when string) {
		t.Helper()
		places := map[string][]byte{
			"documents": document, "leaves": []byte(i.leaves("default")), "logs": []byte(i.logs.String()), "metrics": i.call("GET", "/metrics", operator, "").body,
		}
		files, err := filepath.Glob(strings.TrimSuffix(i.path, ".db") + "*")
		must(t, err)
		outside, err := filepath.Glob(filepath.Join(checkpoints, "*"))
		must(t, err)
		if files = append(files, outside...); len(files) < 5 {
			t.Fatalf("only the files %v were searched", files)
		}
		for _, file := range files {
			places[filepath.Base(file)], err = os.ReadFile(file)
			must(t, err)
		}
		for where, text := range places {
			for what, canary := range canaries {
				for _, form := range formsOf(canary) {
					if at := bytes.Index(text, form); at >= 0 {
						t.Errorf("%s, %s: the %s stands there: %q", when, where, what, text[max(0, at-60):min(len(text), at+60)])
					}
				}
			}
		}
	}
	nowhere("before the erasure")
	copied := i.copyOf()

	for _, who := range []string{"subject"} {
		if r := i.erase(operator, canaries[who], false); r.status != http.StatusCreated {
			t.Fatalf("%d %s", r.status, r.body)
		}
	}
	nowhere("after the erasure")
	if opened := openedWith(t, copied, subjectsOf(i.path), i); opened != 0 {
		t.Errorf("a copy of the main store of before the erasure opens %d decisions with the keys that are left", opened)
	}
	if opened := openedWith(t, copied, copied+".subjects", i); opened == 0 {
		t.Error("nothing opens with the keys of before either: nothing was tried")
	}
}

// formsOf are a text as it stands in other texts: as it is, in hex, and in base64, at each of the three places where it can begin.
func formsOf(text string) [][]byte {
	forms := [][]byte{[]byte(text), []byte(hex.EncodeToString([]byte(text)))}
	for skip := range 3 {
		whole := text[skip:]
		whole = whole[:len(whole)/3*3]
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			forms = append(forms, []byte(encoding.EncodeToString([]byte(whole))))
		}
	}
	return forms
}

// copyOf copies both stores, as they are.
func (i *installation) copyOf() string {
	i.t.Helper()
	to := filepath.Join(i.t.TempDir(), "copy.db")
	for _, suffix := range []string{"", "-wal"} {
		copyFile(i.t, i.path+suffix, to+suffix)
		copyFile(i.t, subjectsOf(i.path)+suffix, to+".subjects"+suffix)
	}
	return to
}

// openedWith tries every sealed row of a store with every key of a store of subjects.
func openedWith(t *testing.T, path, subjects string, i *installation) (opened int) {
	t.Helper()
	s, err := sqlite.Open(context.Background(), path)
	must(t, err)
	defer s.Close()
	keys := i.subjects
	if subjects != subjectsOf(i.path) {
		keys, err = seal.Open(context.Background(), subjects, rand.Reader)
		must(t, err)
		defer keys.Close()
	}
	entries, err := s.Entries(context.Background(), "default", 0, 1000)
	must(t, err)
	tried := 0
	for _, e := range entries {
		if e.Type != verify.TypDecision {
			continue
		}
		var claims verify.Statement
		_, err := verify.Verify(verify.TypDecision, e.Leaf, verify.Keys{{Public: i.config.Signer.Public()}}, &claims)
		must(t, err)
		sealed, err := s.Disclosures(context.Background(), "default", claims.ID)
		must(t, err)
		tried++
		if _, err := keys.Unseal(context.Background(), "default", claims.ID, "disclosures", sealed); err == nil {
			opened++
		}
	}
	if tried == 0 {
		t.Fatal("no decision was tried")
	}
	return opened
}

// A store of a release that kept content in the clear is sealed at the start: the same opens as before, subjects are found, and nothing is left in the clear.
func TestClearContentIsSealed(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	i.register(token, contract("eu", "eu", ""))
	a := i.decide(token, everyCanary)
	before := i.content(token, a)
	i.stop()
	texts := i.cleared(before)
	i = startAt(t, i.path, i)
	if after := i.content(token, a); !reflect.DeepEqual(after, before) {
		t.Errorf("it opens as %v, not %v", after, before)
	}
	for _, who := range []string{canaries["data subject"], "someone@default.example"} {
		if found := i.found(token, who); !slices.Equal(found, []string{a.DecisionID}) {
			t.Errorf("%s: %v", who, found)
		}
	}
	for _, suffix := range []string{"", "-wal"} {
		text, err := os.ReadFile(i.path + suffix)
		must(t, err)
		for _, encoded := range texts {
			if bytes.Contains(text, []byte(encoded)) {
				t.Errorf("%s holds a disclosure in the clear", i.path+suffix)
			}
		}
	}
	i.erase(token, canaries["data subject"], false)
	if left := i.content(token, a); len(left) != 0 {
		t.Errorf("after its erasure: %v", left)
	}
}

// cleared makes of the stopped installation's stores those of a release that kept content in the clear: these disclosures, for each decision. It returns their texts.
func (i *installation) cleared(list []verify.Disclosure) []string {
	i.t.Helper()
	texts := make([]string, len(list))
	for n, d := range list {
		var err error
		texts[n], err = d.Text()
		must(i.t, err)
	}
	disclosures, err := canonical.Encode(texts)
	must(i.t, err)
	db, err := sql.Open("sqlite", i.path)
	must(i.t, err)
	for _, statement := range []string{"INSERT INTO clear_disclosures SELECT tenant, decision, ? FROM disclosures", "DELETE FROM disclosures WHERE ? <> ''", "DELETE FROM decision_subjects WHERE ? <> ''"} {
		_, err := db.Exec(statement, disclosures)
		must(i.t, err)
	}
	must(i.t, db.Close())
	files, err := filepath.Glob(subjectsOf(i.path) + "*")
	must(i.t, err)
	for _, file := range files {
		must(i.t, os.Remove(file))
	}
	return texts
}
