package witness

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/smarthausgroup/caio/verify/tlog"
)

const (
	// maxTurns is how often a client proves anew from the size that the witness states: another that serves the same log may come in between.
	maxTurns  = 3
	maxReason = 300 // bytes of a witness's own words
)

// RefusedError is an answer of a witness that will be the same the next time: it does not know the log, or its key, or does not find that the checkpoint extends the one before.
type RefusedError struct {
	Status int
	Reason string
}

// Error is the witness's own words.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("the witness refuses with %d: %s", e.Status, e.Reason)
}

// Forked reports whether the checkpoint is of another log than the one that was cosigned before, as far as the witness can tell.
func (e *RefusedError) Forked() bool { return e.Status == http.StatusUnprocessableEntity }

// Prover gives the consistency proof from a size of a log to a larger one (RFC 6962, section 2.1.2), none from 0 and to itself.
type Prover func(ctx context.Context, from, to int64) ([]tlog.Hash, error)

// Client asks one witness. It is safe for concurrent use.
type Client struct {
	key    tlog.Key
	prefix string
	http   *http.Client
}

// NewClient is a client of the witness with that key, at its submission prefix, an http or https URL, which is taken for its monitoring prefix too. Redirects are not followed.
func NewClient(prefix string, key tlog.Key, transport http.RoundTripper) (*Client, error) {
	u, err := url.Parse(prefix)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("witness: %q is not an http or https URL without user, query and fragment", prefix)
	}
	if key.Algorithm != tlog.CosignatureV1 {
		return nil, fmt.Errorf("witness: %s is not the key of a witness: its algorithm is %d, not %d", key, key.Algorithm, tlog.CosignatureV1)
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{key, strings.TrimSuffix(prefix, "/"), &http.Client{Transport: transport, CheckRedirect: stay}}, nil
}

// Key verifies what the witness signs.
func (c *Client) Key() tlog.Key { return c.key }

// URL is its submission prefix, without a slash at the end.
func (c *Client) URL() string { return c.prefix }

// Given is what a witness gave for a checkpoint.
type Given struct {
	Signature tlog.Signature
	Time      time.Time // that it states, by its own clock
	// Known is the size of the latest checkpoint that it said to have cosigned where that was not the one that the client believed in, otherwise -1. It stands beside an error too.
	Known int64
}

// Cosign has the witness cosign a checkpoint, and verifies what it answers. From is the size of the latest one that it cosigned, as far as is known; where the witness knows another, the client proves from that.
// Log is the key that signed the checkpoint.
//
// Errors: [*RefusedError]; [*SizeError] where the witness has cosigned a larger checkpoint than this one, so that entries were lost or the log is served twice; tlog.ErrMalformed and tlog.ErrSignature for an answer that is none. Others pass: the witness can't be reached, or is not well.
func (c *Client) Cosign(ctx context.Context, log tlog.Key, checkpoint tlog.Checkpoint, from int64, prove Prover) (Given, error) {
	known := int64(-1)
	for range maxTurns {
		request := Request{Old: from, Checkpoint: checkpoint}
		var err error
		if from > 0 && from < checkpoint.Size {
			if request.Proof, err = prove(ctx, from, checkpoint.Size); err != nil {
				return Given{Known: known}, fmt.Errorf("proving %s from size %d to %d: %w", checkpoint.Origin, from, checkpoint.Size, err)
			}
		}
		v, s, err := c.ask(ctx, log, request)
		var size *SizeError
		if !errors.As(err, &size) || size.Size > checkpoint.Size {
			return Given{s, v.Time, known}, err
		}
		if size.Size == from {
			return Given{Known: known}, fmt.Errorf("the witness answers that it knows %s at size %d, and takes no proof from there", checkpoint.Origin, from)
		}
		from, known = size.Size, size.Size
	}
	return Given{Known: known}, fmt.Errorf("the size at which the witness knows %s changed %d times while it was asked: is the log served twice?", checkpoint.Origin, maxTurns)
}

// ask sends one request.
func (c *Client) ask(ctx context.Context, log tlog.Key, r Request) (tlog.Verified, tlog.Signature, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.prefix+"/add-checkpoint", bytes.NewReader(r.Encode()))
	if err != nil {
		return tlog.Verified{}, tlog.Signature{}, err
	}
	request.Header.Set("Content-Type", "text/plain; charset=utf-8")
	answer, err := c.do(request)
	if err != nil {
		return tlog.Verified{}, tlog.Signature{}, err
	}
	switch status := answer.status; {
	case status == http.StatusOK:
		return c.open(log, r.Checkpoint, answer.body)
	case status == http.StatusConflict && answer.kind == sizeType:
		size, err := parseSize(strings.TrimSuffix(string(answer.body), "\n"))
		if err != nil {
			return tlog.Verified{}, tlog.Signature{}, fmt.Errorf("the witness's answer: %w", err)
		}
		return tlog.Verified{}, tlog.Signature{}, &SizeError{size}
	case status >= 400 && status < 500 && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout && status != http.StatusConflict:
		return tlog.Verified{}, tlog.Signature{}, &RefusedError{status, reason(answer.body)}
	}
	return tlog.Verified{}, tlog.Signature{}, answer.other()
}

// ErrNotKept says that a witness shows no checkpoint of a log: it cosigned none, or serves monitors elsewhere.
var ErrNotKept = errors.New("the witness shows no checkpoint of this log")

// Latest is the latest checkpoint of a log that the witness cosigned, as it shows it to monitors, signed by the log and by the witness: so that it is no mere claim of the witness's. Other signatures are left out, and extension lines refused.
//
// Errors: [ErrNotKept]; tlog.ErrMalformed, tlog.ErrUntrusted and tlog.ErrSignature for what is no such checkpoint. Others pass.
func (c *Client) Latest(ctx context.Context, log tlog.Key) (tlog.Checkpoint, error) {
	id := sha256.Sum256([]byte(log.Name))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.prefix+"/"+hex.EncodeToString(id[:])+"/checkpoint", nil)
	if err != nil {
		return tlog.Checkpoint{}, err
	}
	r, err := c.do(request)
	switch {
	case err != nil:
		return tlog.Checkpoint{}, err
	case r.status == http.StatusNotFound:
		return tlog.Checkpoint{}, ErrNotKept
	case r.status != http.StatusOK:
		return tlog.Checkpoint{}, r.other()
	}
	checkpoint, err := tlog.ParseCheckpoint(r.body)
	if err != nil {
		return tlog.Checkpoint{}, fmt.Errorf("the witness's answer: %w", err)
	}
	checkpoint.Signatures = append(of(log, checkpoint.Signatures), of(c.key, checkpoint.Signatures)...)
	verified, _, err := checkpoint.Verify(log, c.key)
	if err == nil && (checkpoint.Origin != log.Name || len(verified) != 2) {
		err = tlog.ErrUntrusted
	}
	if err != nil {
		return tlog.Checkpoint{}, fmt.Errorf("the witness's answer: %w", err)
	}
	return checkpoint, nil
}

// reply is what a witness answered, as much of it as there may be.
type reply struct {
	status int
	kind   string // of the body
	body   []byte
}

// other is an error for a reply that is of no use.
func (r reply) other() error {
	return fmt.Errorf("the witness answers %d %s: %s", r.status, http.StatusText(r.status), reason(r.body))
}

func (c *Client) do(request *http.Request) (reply, error) {
	response, err := c.http.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, tlog.MaxCheckpointBytes+1))
	return reply{response.StatusCode, response.Header.Get("Content-Type"), body}, err
}

// open takes the witness's cosignature out of its answer. Those of keys that are not known are left out.
func (c *Client) open(log tlog.Key, checkpoint tlog.Checkpoint, body []byte) (tlog.Verified, tlog.Signature, error) {
	list, err := tlog.ParseSignatures(body)
	if err != nil {
		return tlog.Verified{}, tlog.Signature{}, fmt.Errorf("the witness's answer: %w", err)
	}
	for _, s := range list {
		if s.Name != c.key.Name || s.ID != c.key.ID() {
			continue
		}
		checkpoint.Signatures = append(of(log, checkpoint.Signatures), s)
		verified, _, err := checkpoint.Verify(log, c.key)
		if err != nil {
			return tlog.Verified{}, tlog.Signature{}, fmt.Errorf("the witness's answer: %w", err)
		}
		return verified[len(verified)-1], s, nil
	}
	return tlog.Verified{}, tlog.Signature{}, fmt.Errorf("the witness's answer: %w: none is of the key %s", tlog.ErrSignature, c.key)
}

// of are the signatures that name a key.
func of(key tlog.Key, list []tlog.Signature) []tlog.Signature {
	var own []tlog.Signature
	for _, s := range list {
		if s.Name == key.Name && s.ID == key.ID() {
			own = append(own, s)
		}
	}
	return own
}

// reason is the first line of what a witness says, cut short, without what a terminal would take for a command.
func reason(body []byte) string {
	line, _, _ := strings.Cut(string(body[:min(len(body), maxReason)]), "\n")
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cc, unicode.Cf) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(line, "?"))
}
