package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/tlog"
)

// originAt is whose checkpoint there is. Its signature is checked later.
func originAt(ctx context.Context, source tlog.Source) (string, error) {
	text, err := source.Read(ctx, tlog.CheckpointPath, tlog.MaxCheckpointBytes+1)
	if errors.Is(err, fs.ErrNotExist) {
		return "", unable("no log is to be seen there, so that nothing was checked: %w. Is it the log of another tenant than the token's?", err)
	}
	if err != nil {
		return "", err
	}
	c, err := tlog.ParseCheckpoint(text)
	return c.Origin, err
}

// logSource is a log at an address or in a folder; "" is the log of the trust file on the server, the one in use where others were given up before it.
func (o *options) logSource(where string, trust verify.Trust) (tlog.Source, error) {
	switch {
	case strings.HasPrefix(where, "http://"), strings.HasPrefix(where, "https://"):
		return o.httpSource(where, trust)
	case where != "":
		if info, err := os.Stat(where); err != nil || !info.IsDir() {
			return nil, unable("%s is neither a folder with a log nor an address like https://HOST/log/ORIGIN", where)
		}
		if _, err := os.Stat(filepath.Join(where, tlog.CheckpointPath)); errors.Is(err, fs.ErrNotExist) {
			return nil, unable("%s holds no log, or a copy that was not finished: there is no file %s in it (caio log export makes a copy, and finishes one)", where, tlog.CheckpointPath)
		}
		return tlog.Folder(os.DirFS(where)), nil
	}
	if current, ok := trust.Current(); ok {
		return o.httpSource(strings.TrimSuffix(o.server, "/")+"/log/"+current.Origin, trust)
	}
	return nil, misused("the trust file has %d logs: say which, as %s/log/ORIGIN", len(trust.Logs), strings.TrimSuffix(o.server, "/"))
}

// httpSource is a log where it is served.
type httpSource struct {
	options  *options
	base     string
	cosigned bool // the checkpoint is to be one that witnesses cosigned, of which the latest may be newer
	patience patience
}

// servedBy is the log where it is served; nil for one in a folder.
func servedBy(source tlog.Source) *httpSource {
	if copying, ok := source.(*copySource); ok {
		source = copying.source
	}
	served, _ := source.(*httpSource)
	return served
}

// passedOver is the latest checkpoint that witnesses cosigned, where it ends before what is known of the log, and none otherwise. Witnesses that are away are not the log's fault: its own checkpoint is read from then on.
func (s *httpSource) passedOver(ctx context.Context, known []tlog.Checkpoint, trust verify.Trust) (list []tlog.Checkpoint, err error) {
	keys, policy, err := logKeys(trust)
	if err != nil || s == nil || !s.cosigned || len(known) == 0 {
		return nil, err
	}
	text, err := s.get(ctx, "cosigned", tlog.MaxCheckpointBytes+1)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	c, err := tlog.ParseCheckpoint(text)
	behind := err == nil && slices.ContainsFunc(known, func(k tlog.Checkpoint) bool { return k.Origin == c.Origin && k.Size > c.Size })
	if !behind { // what is no checkpoint is told where it is read again
		return nil, nil
	}
	s.cosigned = false
	verified, _, err := c.Verify(keys...)
	if err == nil {
		_, err = policy.Satisfied(verified)
	}
	if err == nil {
		list = append(list, c)
	}
	return list, nil
}

// notCosigned says that the log has more than the witnesses' checkpoint.
func notCosigned(theirs tlog.Checkpoint, size int64) error {
	return &exitError{exitInconclusive, fmt.Errorf("the log %s holds what is known of it. The witnesses have cosigned %d of its %d entries: the others are not cosigned yet, and that everybody sees them is asserted by its operator alone. Do it again in a minute; where it stays so, the witnesses are away, or it is kept from them", theirs.Origin, theirs.Size, size)}
}

func (o *options) httpSource(where string, trust verify.Trust) (tlog.Source, error) {
	_, policy, err := logKeys(trust)
	return &httpSource{options: o, base: strings.TrimSuffix(where, "/"), cosigned: policy.Quorum != tlog.None, patience: newPatience()}, err
}

// Read implements [tlog.Source]. A log that stalls can't be read: see [patience].
func (s *httpSource) Read(ctx context.Context, path string, limit int64) ([]byte, error) {
	if path == tlog.CheckpointPath && s.cosigned {
		text, err := s.get(ctx, "cosigned", limit)
		if !errors.Is(err, fs.ErrNotExist) {
			return text, err
		}
	}
	return s.get(ctx, path, limit)
}

func (s *httpSource) get(ctx context.Context, path string, limit int64) ([]byte, error) {
	within, cancel := context.WithTimeout(ctx, s.patience.left)
	defer cancel()
	start := time.Now()
	request, err := http.NewRequestWithContext(within, http.MethodGet, s.base+"/"+path, nil)
	if err != nil {
		return nil, misused("%w", err)
	}
	text, status, err := s.answer(request, limit)
	s.patience.spend(time.Since(start), len(text))
	switch {
	case err != nil && within.Err() != nil && ctx.Err() == nil:
		return nil, unable("%s: the log has stalled: %w", request.URL, context.DeadlineExceeded)
	case err != nil:
		return nil, err
	case status == http.StatusNotFound:
		return nil, fmt.Errorf("%s: %w", request.URL, fs.ErrNotExist)
	case status != http.StatusOK:
		return nil, s.options.refused(request, status, text)
	}
	return text, nil
}

func (s *httpSource) answer(request *http.Request, limit int64) ([]byte, int, error) {
	response, err := s.options.send(request)
	if err != nil {
		return nil, 0, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, limit))
	if err != nil {
		return text, 0, unable("%s: %w", request.URL, err)
	}
	return text, response.StatusCode, nil
}

// patience is how long a log may keep its reader waiting: a minute in all, and more with each answer and all that it holds, but never more than that minute again. So what stalls is found soon, and a large log has the time that it takes.
type patience struct{ left time.Duration }

const (
	mostPatience    = time.Minute
	patienceAnswer  = 2 * time.Second
	patienceFor64KB = time.Second
)

func newPatience() patience { return patience{mostPatience} }

// spend counts an answer of so many bytes that took so long.
func (p *patience) spend(took time.Duration, size int) {
	p.left = min(mostPatience, p.left-took+patienceAnswer+time.Duration(size)*patienceFor64KB/(64<<10))
}
