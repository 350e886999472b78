package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine/impact"
	"github.com/smarthausgroup/caio/server"
)

// onServer lets the server decide its decisions again.
func (i *policyImpact) onServer(ctx context.Context) (*impact.Answer, error) {
	path := "/v1/settings/impact"
	if i.bundle != "" {
		digest, err := i.onServerAs(ctx)
		if err != nil {
			return nil, err
		}
		path = "/v1/bundles/" + url.PathEscape(digest) + "/impact"
	}
	body := map[string]any{"examples": i.examples}
	for key, value := range map[string]string{"since": i.since, "from": i.from, "to": i.to} {
		if value != "" {
			body[key] = value
		}
	}
	if len(i.tenants) > 0 {
		body["tenants"] = i.tenants
	}
	if i.settings != "" {
		settings, err := i.settingsIn(nil)
		if err != nil {
			return nil, err
		}
		values := map[string]contracts.Value{}
		for key, value := range settings {
			values[key] = contracts.Value{V: value}
		}
		body["settings"] = values
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	response, err := i.open(ctx, http.MethodPost, i.of(path), "application/json", mediaLines, text)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return i.follow(response.Body)
}

// mediaLines is asked for where the server is to tell how far it has come.
const mediaLines = "application/x-ndjson"

// onServerAs is the digest under which the server has the bundle: that of one it has, by how it begins, or of a folder or tarball that is pushed.
func (i *policyImpact) onServerAs(ctx context.Context) (string, error) {
	if _, err := os.Stat(i.bundle); err != nil {
		if !errors.Is(err, os.ErrNotExist) || !digestPrefix.MatchString(i.bundle) {
			return "", err
		}
		list, err := i.bundlesOfServer(ctx)
		if err != nil {
			return "", err
		}
		b, err := oneBundle(list.Pushed, i.bundle)
		return b.Digest, err
	}
	name, text, err := i.push.pack(i.bundle)
	if err != nil {
		return "", err
	}
	defer i.waiting(i.cmd, "the server tests "+name)()
	var answer server.BundlePushed
	err = i.call(ctx, http.MethodPost, i.of("/v1/bundles?name="+url.QueryEscape(name)), "application/gzip", text, &answer)
	return answer.Digest, err
}

// follow reads the lines of an answer up to the report.
func (i *policyImpact) follow(body io.Reader) (*impact.Answer, error) {
	meter := i.meter(i.cmd, "deciding again", "decisions")
	defer meter.end()
	lines := bufio.NewReader(body)
	for {
		text, err := lines.ReadBytes('\n')
		if err != nil {
			return nil, unable("the server's answer broke off: %w", err)
		}
		var line server.ImpactLine
		if err := json.Unmarshal(text, &line); err != nil {
			return nil, fmt.Errorf("the server's answer: %w", err)
		}
		switch {
		case line.Progress != nil:
			meter.step(line.Progress.Done, line.Progress.Total)
		case line.Problem != nil:
			return nil, not("%s", problemText(*line.Problem))
		case line.Report != nil:
			return line.Report, nil
		}
	}
}
