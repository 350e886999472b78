package witness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/smarthausgroup/caio/verify/tlog"
	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

// TestClientCatchesUp: whatever size the client believes in, it proves from the one that the witness knows.
func TestClientCatchesUp(t *testing.T) {
	good := newLog(100)
	for _, known := range []int64{0, 1, 64, 99, 100} {
		for _, believed := range []int64{0, 1, 63, 100} {
			w, _, client := serve(t, 1, newClock())
			if known > 0 {
				must(w.Add(t.Context(), Request{0, nil, good.at(t, known)}))(t)
			}
			c := good.at(t, 100)
			s, err := client.Cosign(t.Context(), logKey(t), c, believed, good.Prove)
			if err != nil {
				t.Errorf("known %d, believed %d: %v", known, believed, err)
				continue
			}
			c.Signatures = append(c.Signatures, s.Signature)
			if s.Time.Unix() != noon || (s.Known >= 0) != (believed != known) || s.Known >= 0 && s.Known != known {
				t.Errorf("known %d, believed %d: %+v", known, believed, s)
			}
			verified, unknown, err := c.Verify(logKey(t), w.Key())
			if err != nil || len(verified) != 2 || len(unknown) != 0 || verified[1].Time.Unix() != noon {
				t.Errorf("known %d, believed %d: %v %v %v", known, believed, verified, unknown, err)
			}
		}
	}
}

// TestClientTellsFaults: a log that lost entries, one that forked, and one that the witness does not know are told apart.
func TestClientTellsFaults(t *testing.T) {
	good, fork := newLog(100), forked(30, 100)
	w, _, client := serve(t, 1, newClock())
	must(w.Add(t.Context(), Request{0, nil, good.at(t, 80)}))(t)
	stranger := &written{origin: "log.example/other", seed: 1}
	stranger.write(10)
	for name, test := range map[string]struct {
		log  *written
		size int64
		want Result
	}{
		"grown":                {good, 100, Cosigned},
		"behind":               {good, 40, Behind},
		"behind and forked":    {fork, 79, Behind},
		"forked":               {fork, 100, Forked},
		"forked, of that size": {fork, 80, Forked},
		"not known":            {stranger, 10, Refused},
	} {
		if name == "grown" {
			continue // last, since it moves the witness
		}
		_, err := client.Cosign(t.Context(), test.log.Key(), test.log.at(t, test.size), 0, test.log.Prove)
		if got := resultOf(err); got != test.want {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	if _, err := client.Cosign(t.Context(), logKey(t), good.at(t, 100), 0, good.Prove); err != nil {
		t.Error(err)
	}
}

// TestClientTakesNoOtherAnswer: none of these may pass for a cosignature, nor for a fault of the log.
func TestClientTakesNoOtherAnswer(t *testing.T) {
	good := newLog(100)
	checkpoint, other := good.at(t, 100), good.at(t, 99)
	line := func(c tlog.Checkpoint, name string, seed byte) string {
		return string(must(tlog.Cosign(c, name, private(seed), time.Unix(noon, 0)))(t).Encode())
	}
	mine := line(checkpoint, witnessName, 11)
	answers := map[string]http.HandlerFunc{}
	text := func(name string, status int, kind, body string) {
		answers[name] = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	text("nothing", 200, "text/plain", "")
	text("HTML", 200, "text/html", "<html>\n")
	text("of another checkpoint", 200, "text/plain", line(other, witnessName, 11))
	text("of another key", 200, "text/plain", line(checkpoint, witnessName, 12))
	text("of another name", 200, "text/plain", line(checkpoint, "witness.example/w2", 11))
	text("cut short", 200, "text/plain", mine[:len(mine)-1])
	text("twice", 200, "text/plain", mine+mine)
	text("with more", 200, "text/plain", mine+"\n")
	text("too long", 200, "text/plain", mine+strings.Repeat(line(checkpoint, "x", 12), 1000))
	text("a cosignature with another status", 201, "text/plain", mine)
	text("a size without its type", 409, "text/plain", "100\n")
	text("a size that is none", 409, sizeType, "0x64\n")
	text("a size that is too large", 409, sizeType, "99999999999999999999\n")
	text("the size that was said", 409, sizeType, "0\n")
	text("too many requests", 429, "text/plain", "later\n")
	text("a fault", 500, "text/plain", "\x1b[31mred\n")
	answers["a redirect"] = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}
	turn := 0
	answers["sizes that change"] = func(w http.ResponseWriter, _ *http.Request) {
		turn++
		w.Header().Set("Content-Type", sizeType)
		w.WriteHeader(409)
		fmt.Fprintf(w, "%d\n", turn)
	}
	for name, answer := range answers {
		server := httptest.NewServer(answer)
		client := must(NewClient(server.URL, key(t, witnessName, tlog.CosignatureV1, 11), nil))(t)
		s, err := client.Cosign(t.Context(), logKey(t), checkpoint, 0, good.Prove)
		if got := resultOf(err); got != Failed || s.Signature.Name != "" {
			t.Errorf("%s: %s, %v", name, got, err)
		} else if strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%s: %q", name, err)
		}
		server.Close()
	}
	// Cosignatures of keys that are not known are ignored.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, line(checkpoint, "a.example", 12)+mine+line(checkpoint, witnessName, 13))
	}))
	defer server.Close()
	client := must(NewClient(server.URL+"/", key(t, witnessName, tlog.CosignatureV1, 11), nil))(t)
	if s, err := client.Cosign(t.Context(), logKey(t), checkpoint, 0, good.Prove); err != nil || string(s.Signature.Encode()) != mine {
		t.Errorf("%v, %s", err, s.Signature.Encode())
	}
}

// TestClientOfAnotherImplementation: a witness made of transparency-dev/formats, which signs whatever it is sent.
func TestClientOfAnotherImplementation(t *testing.T) {
	signer := must(fnote.NewSignerForCosignatureV1(secret(t, witnessName, tlog.Ed25519, 11)))(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, text, _ := strings.Cut(string(must(io.ReadAll(r.Body))(t)), "\n\n")
		body, signatures, _ := strings.Cut(text, "\n\n")
		signed := must(note.Sign(&note.Note{Text: body + "\n"}, signer))(t)
		_, lines, _ := strings.Cut(string(signed), "\n\n")
		if r.URL.Path != "/base/add-checkpoint" || !strings.Contains(signatures, origin) {
			t.Errorf("%s, %q", r.URL, text)
		}
		_, _ = io.WriteString(w, lines)
	}))
	defer server.Close()
	vkey := must(fnote.VKeyToCosignatureV1(must(tlog.NewKey(witnessName, tlog.Ed25519, key(t, witnessName, tlog.Ed25519, 11).Public))(t).String()))(t)
	client := must(NewClient(server.URL+"/base", must(tlog.ParseKey(vkey))(t), nil))(t)
	good := newLog(9)
	if _, err := client.Cosign(t.Context(), logKey(t), good.at(t, 9), 0, good.Prove); err != nil {
		t.Error(err)
	}
}

// TestClientLatest: what a witness shows counts only if the log signed it as well.
func TestClientLatest(t *testing.T) {
	good := newLog(100)
	w, _, client := serve(t, 1, newClock())
	if _, err := client.Latest(t.Context(), logKey(t)); !errors.Is(err, ErrNotKept) {
		t.Errorf("before anything was cosigned: %v", err)
	}
	must(w.Add(t.Context(), Request{0, nil, good.at(t, 80)}))(t)
	c := must(client.Latest(t.Context(), logKey(t)))(t)
	if c.Size != 80 || len(c.Signatures) != 2 {
		t.Errorf("%+v", c)
	}
	stranger := key(t, "log.example/other", tlog.Ed25519, 1)
	if _, err := client.Latest(t.Context(), stranger); !errors.Is(err, ErrNotKept) {
		t.Errorf("of a log that is not known: %v", err)
	}
	impostor := &written{origin: origin, seed: 2}
	impostor.write(90)
	cosigned := func(c tlog.Checkpoint, seed byte) string {
		c.Signatures = append(c.Signatures, must(tlog.Cosign(c, witnessName, private(seed), time.Unix(noon, 0)))(t))
		return string(c.Encode())
	}
	other := &written{origin: "log.example/other", seed: 1}
	other.write(3)
	for name, test := range map[string]struct {
		text string
		want error
	}{
		"good":                      {cosigned(good.at(t, 90), 11), nil},
		"not by the log's key":      {cosigned(impostor.at(t, 90), 11), tlog.ErrUntrusted},
		"not by the witness":        {cosigned(good.at(t, 90), 12), tlog.ErrUntrusted},
		"by the log alone":          {string(good.at(t, 90).Encode()), tlog.ErrUntrusted},
		"another log":               {cosigned(other.at(t, 3), 11), tlog.ErrUntrusted},
		"changed":                   {strings.Replace(cosigned(good.at(t, 90), 11), "\n90\n", "\n91\n", 1), tlog.ErrSignature},
		"not a checkpoint":          {"<html>", tlog.ErrMalformed},
		"with an extension that is": {cosigned(good.at(t, 90, "an extension"), 11), tlog.ErrMalformed},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, test.text) }))
		client := must(NewClient(server.URL, key(t, witnessName, tlog.CosignatureV1, 11), nil))(t)
		if _, err := client.Latest(t.Context(), logKey(t)); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
		server.Close()
	}
}

func TestClientOfNothing(t *testing.T) {
	for _, url := range []string{"", "witness.example", "ftp://witness.example", "http://", "http://u@witness.example", "http://witness.example?x=y", "http://witness.example#x", "http://a b"} {
		if _, err := NewClient(url, key(t, witnessName, tlog.CosignatureV1, 11), nil); err == nil {
			t.Errorf("%q is taken for an address", url)
		}
	}
	if _, err := NewClient("http://witness.example", logKey(t), nil); err == nil {
		t.Error("the key of a log is taken for a witness's")
	}
	// A proof that can't be made is nobody's fault but this side's, and nobody is asked.
	client := must(NewClient("http://127.0.0.1:1", key(t, witnessName, tlog.CosignatureV1, 11), nil))(t)
	broken := errors.New("no tile")
	_, err := client.Cosign(t.Context(), logKey(t), newLog(9).at(t, 9), 3, func(context.Context, int64, int64) ([]tlog.Hash, error) { return nil, broken })
	if !errors.Is(err, broken) {
		t.Error(err)
	}
}
