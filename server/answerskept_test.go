package server_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/internal/seal"
	"github.com/smarthausgroup/caio/server/auth"
)

// answerRow is what is stored of an idempotency key.
type answerRow struct{ key, request, body string }

func answerRows(t *testing.T, path string) (rows []answerRow) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	must(t, err)
	defer db.Close()
	found, err := db.Query("SELECT key, request, body FROM answers ORDER BY idx")
	must(t, err)
	defer found.Close()
	for found.Next() {
		var r answerRow
		must(t, found.Scan(&r.key, &r.request, &r.body))
		rows = append(rows, r)
	}
	must(t, found.Err())
	return rows
}

// plainDigest is the SHA-256 of parts, each with its length: what a release of before kept, and who guesses would compute.
func plainDigest(parts ...string) []byte {
	digest := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(digest, "%d:%s", len(part), part)
	}
	return digest.Sum(nil)
}

// What is kept of an idempotency key tells nobody who asked or what: no digest of it stands in a copy of the store, and what is sealed opens with the keys of the people whom it is about alone, each of them, so that an erasure ends it in every copy.
func TestAnswersAreNoOracle(t *testing.T) {
	i := start(t)
	operator := i.token("default", auth.Operator)
	i.register(operator, contract("eu", "eu", ""))
	p := contracts.Principal{Tenant: "default", Subject: "zoe@example.com", Roles: []string{"app"}, Permissions: []string{"ai.embed"}}
	zoe := i.tokenOf(p)
	secret := about("a text that can be guessed", "ann")
	post := func(path, body, key string) reply {
		r := i.call("POST", path, zoe, body, "Idempotency-Key", key)
		if r.status/100 != 2 {
			t.Fatalf("%d %s", r.status, r.body)
		}
		return r
	}
	first := post("/v1/decisions", secret, "k")
	post("/v1/decisions/batch", `{"requests": [`+secret+`, `+about("b", "bob")+`]}`, "b")
	var answer struct {
		DecisionID string `json:"decision_id"`
	}
	first.into(t, &answer)
	outcome := `{"status": "succeeded", "latency_ms": 3}`
	post("/v1/decisions/"+answer.DecisionID+"/outcome", outcome, "o")
	copied := i.copyOf()
	rows := answerRows(t, copied)
	if len(rows) != 4 {
		t.Fatalf("%d answers are kept", len(rows))
	}
	var guesses [][]byte
	for _, parts := range [][]string{
		{"application/json", "/v1/decisions", secret}, {secret}, {"2", secret}, {"application/json", "/v1/decisions/" + answer.DecisionID + "/outcome", outcome},
		{"jwt", "caio-development", p.Subject, "k"}, {p.Subject, "k"},
	} {
		guesses = append(guesses, plainDigest(parts...))
	}
	for _, r := range rows {
		for _, guess := range guesses {
			for _, form := range [][]byte{guess, []byte(hex.EncodeToString(guess)), []byte(base64.RawStdEncoding.EncodeToString(guess))} {
				if bytes.Contains([]byte(r.key+r.request), form) {
					t.Errorf("a digest that can be guessed: %+v", r)
				}
			}
		}
	}

	// opens counts the rows of the copy whose request opens with the keys of a store of subjects.
	opens := func(subjects string) (n int) {
		keys, err := seal.Open(context.Background(), subjects, rand.Reader)
		must(t, err)
		defer keys.Close()
		for _, r := range rows {
			id, sealed, decided := strings.Cut(r.request, " ")
			if !decided {
				continue
			}
			text, err := base64.RawStdEncoding.DecodeString(sealed)
			must(t, err)
			if _, err := keys.Unseal(context.Background(), "default", id, "request", text); err == nil {
				n++
			} else if !errors.Is(err, seal.ErrGone) {
				t.Error(err)
			}
		}
		return n
	}
	if n := opens(copied + ".subjects"); n != 3 {
		t.Fatalf("%d of 3 open with every key", n)
	}
	erased := func(who string, left int) {
		if r := i.erase(operator, who, false); r.status != http.StatusCreated {
			t.Fatalf("%s: %d %s", who, r.status, r.body)
		}
		i.stop()
		if n := opens(subjectsOf(i.path)); n != left {
			t.Errorf("without %s: %d open, expected %d", who, n, left)
		}
		i = startAt(t, i.path, i)
	}
	erased("ann", 1)
	if again := post("/v1/decisions", secret, "k"); bytes.Equal(first.body, again.body) {
		t.Error("the answer outlived whom it was about")
	}
	before := answerRows(t, i.path)
	erased("zoe@example.com", 0)
	// Who asks under the same name again is somebody new, with keys of their own.
	if again := post("/v1/decisions", secret, "k"); bytes.Equal(first.body, again.body) {
		t.Error("the answer outlived who asked")
	}
	for _, r := range answerRows(t, i.path) {
		for _, old := range append(before, rows...) {
			if r.key == old.key && !strings.Contains(r.body, "counted") {
				t.Errorf("a key is found again after the erasure: %s", r.key)
			}
		}
	}
}

// A key that was used in one month is known in another, in which the keys of people are others.
func TestAnswersOutliveMonths(t *testing.T) {
	now := time.Now().UTC()
	clock := func() time.Time { return now }
	i := start(t, func(i *installation) { i.config.Clock = clock })
	var first reply
	for month := range 3 {
		token, err := i.issuer.Token(principal("default", auth.Operator), now.Add(-time.Second), time.Hour)
		must(t, err)
		if month == 0 {
			i.register(token, contract("eu", "eu", ""))
			first = i.call("POST", "/v1/decisions", token, embed, "Idempotency-Key", "k")
		}
		if r := i.call("POST", "/v1/decisions", token, embed, "Idempotency-Key", "k"); r.status != http.StatusOK || !bytes.Equal(r.body, first.body) {
			t.Errorf("%d months later: %d %s", month, r.status, r.body)
		}
		if r := i.call("POST", "/v1/decisions", token, `{"intent": {"type": "chat"}}`, "Idempotency-Key", "k"); r.problem() != "idempotency-key-reused" {
			t.Errorf("%d months later, another request: %d %s", month, r.status, r.body)
		}
		now = now.AddDate(0, 0, 31)
	}
}

// The answers of a batch are kept one by one: another request in the place of one is refused alone, and in a batch of another length all that were answered are.
func TestRepeatedBatches(t *testing.T) {
	i := start(t)
	token := i.token("default", auth.Operator)
	i.register(token, contract("eu", "eu", ""))
	send := func(requests ...string) []string {
		var answer struct {
			Results []struct {
				Answer *struct {
					DecisionID string `json:"decision_id"`
				}
				Problem *struct{ Code string }
			}
		}
		i.call("POST", "/v1/decisions/batch", token, `{"requests": [`+strings.Join(requests, ", ")+`]}`, "Idempotency-Key", "b").into(t, &answer)
		var told []string
		for _, r := range answer.Results {
			if r.Problem != nil {
				told = append(told, r.Problem.Code)
			} else {
				told = append(told, r.Answer.DecisionID)
			}
		}
		return told
	}
	one, two, other := about("a", "ann"), about("b", "bob"), about("c", "cyd")
	first := send(one, two)
	const reused = "idempotency-key-reused"
	for _, test := range []struct{ got, want []string }{
		{send(one, two), first}, {send(one, other), []string{first[0], reused}}, {send(two, one), []string{reused, reused}}, {send(one), []string{reused}}, {send(one, two), first},
	} {
		if fmt.Sprint(test.got) != fmt.Sprint(test.want) {
			t.Errorf("%v, expected %v", test.got, test.want)
		}
	}
	if longer := send(one, two, other); longer[0] != reused || longer[1] != reused || longer[2] == reused {
		t.Errorf("a longer one: %v", longer)
	}
}
