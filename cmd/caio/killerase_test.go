package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/server"
	"github.com/smarthausgroup/caio/verify"
)

const (
	erasingRounds   = 6
	erasingSubjects = 24 // of a round
)

// TestKilledWhileErasing ends a server with SIGKILL while one subject after the other is erased. After each restart every subject is there whole, or is erased whole: what the log says was erased can't be opened or found any more, what was answered as erased stands in the log, and the rest opens.
func TestKilledWhileErasing(t *testing.T) {
	dir := t.TempDir()
	layHouse(t, dir)
	p := startTestServer(t, dir)
	client := &options{server: p.url, token: p.token}
	if err := client.call(t.Context(), http.MethodPut, "/v1/services/eu", "application/json", []byte(houseContract("eu", "eu")), nil); err != nil {
		t.Fatal(err)
	}
	gone, kept := 0, 0
	for round := range erasingRounds {
		decided := map[string]string{} // decision by subject
		for n := range erasingSubjects {
			who := fmt.Sprintf("person-%d-%d@example.com", round, n)
			var a server.Answer
			body := fmt.Sprintf(`{"intent": {"type": "embeddings", "text": "about %s"}, "data": {"subjects": [%q]}}`, who, who)
			if err := client.call(t.Context(), http.MethodPost, "/v1/decisions", "application/json", []byte(body), &a); err != nil {
				t.Fatal(err)
			}
			decided[who] = a.DecisionID
		}
		answered := eraseUntilKilled(t, client, p, decided)
		p = startTestServer(t, dir)
		client.server = p.url
		stated := map[string]bool{} // ids of subjects
		var list server.ErasureList
		if err := client.call(t.Context(), http.MethodGet, "/v1/erasures?limit=1000", "", nil, &list); err != nil {
			t.Fatal(err)
		}
		for _, e := range list.Erasures {
			if stated[e.Subject] {
				t.Errorf("the subject %s was erased twice", e.Subject)
			}
			stated[e.Subject] = true
		}
		for _, e := range answered {
			if !stated[e.Subject] {
				t.Errorf("an erasure that was answered is not in the log: %+v", e)
			}
		}
		for who, id := range decided {
			erased := wholeOrErased(t, client, who, id)
			if _, done := answered[who]; done && !erased {
				t.Errorf("%s was answered as erased, and is there", who)
			}
			if erased {
				gone++
			} else {
				kept++
			}
		}
		if len(list.Erasures) != gone {
			t.Fatalf("the log states %d erasures, and %d subjects are erased", len(list.Erasures), gone)
		}
	}
	if gone == 0 || kept == 0 {
		t.Fatalf("%d subjects erased, %d not: no round was interrupted", gone, kept)
	}
	t.Logf("%d subjects erased, %d not", gone, kept)
}

// eraseUntilKilled erases subjects until the server, which is killed at some moment, is gone, and returns what it answered.
func eraseUntilKilled(t *testing.T, client *options, p *process, decided map[string]string) map[string]server.Erased {
	answered := map[string]server.Erased{}
	var erasing sync.WaitGroup
	some := make(chan struct{})
	erasing.Go(func() {
		once := sync.OnceFunc(func() { close(some) })
		defer once()
		for who := range decided {
			var e server.Erased
			if err := client.call(t.Context(), http.MethodPost, "/v1/erasures", "application/json", fmt.Appendf(nil, `{"subject": %q, "reason": "asked for"}`, who), &e); err != nil {
				if refused := (*refusal)(nil); errors.As(err, &refused) {
					t.Error(err)
				}
				return // the server is gone
			}
			if answered[who] = e; len(answered) == 4 {
				once()
			}
		}
	})
	<-some
	time.Sleep(rand.N(15 * time.Millisecond)) // anywhere in one of the next
	p.kill()
	erasing.Wait()
	return answered
}

// wholeOrErased reports whether a subject was erased, and fails where that is so by half.
func wholeOrErased(t *testing.T, client *options, who, id string) bool {
	t.Helper()
	file, err := client.fetch(t.Context(), http.MethodGet, "/v1/decisions/"+id+"/evidence", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	ev, err := verify.ReadEvidence(file)
	if err != nil {
		t.Fatal(err)
	}
	var found server.DecisionList
	if err := client.call(t.Context(), http.MethodGet, "/v1/decisions?subject="+url.QueryEscape(who), "", nil, &found); err != nil {
		t.Fatal(err)
	}
	d, err := verify.DecodeDocument(ev.Document)
	if err != nil {
		t.Fatal(err)
	}
	request, _, err := d.Reveal(ev.Disclosures)
	opens := err == nil && strings.Contains(request.Intent.Text, who)
	if opens != (len(found.Decisions) == 1) || opens != (len(ev.Disclosures) > 0) || opens != (ev.Erasure == nil) {
		t.Fatalf("%s, decision %s: opens %t (%v), %d disclosures, found %d times, erasure %t", who, id, opens, err, len(ev.Disclosures), len(found.Decisions), ev.Erasure != nil)
	}
	return !opens
}
