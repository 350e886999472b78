package main

import (
	"context"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/smarthausgroup/caio/verify"
	"github.com/smarthausgroup/caio/verify/tlog"
)

// successor is what an auditor is told of a log that the server has given up, as it says itself, and the trust file does not; "" where it doesn't say so, or isn't the one that serves the log.
func (o *options) successor(ctx context.Context, source tlog.Source, origin string, trust verify.Trust) string {
	if copying, ok := source.(*copySource); ok {
		source = copying.source
	}
	served, ok := source.(*httpSource)
	if !ok || !strings.HasPrefix(served.base, strings.TrimSuffix(o.server, "/")+"/log/") {
		return ""
	}
	text, err := o.fetch(ctx, http.MethodGet, "/v1/trust", "", nil)
	if err != nil {
		return ""
	}
	now, err := verify.ParseTrust(text)
	if err != nil {
		return ""
	}
	follows := func(l verify.Log) bool { return l.Follows == origin }
	next := slices.IndexFunc(now.Logs, follows)
	if next < 0 || slices.ContainsFunc(trust.Logs, follows) {
		return ""
	}
	return "the server says that it has given up the log " + origin + ", and that " + shown(now.Logs[next].Origin) + " follows it. The trust file is of before: take one of now over a channel that you trust (caio trust export), and ask for the reason"
}

// names reports whether the trust file is about a log.
func names(trust verify.Trust, origin string) bool {
	return slices.ContainsFunc(trust.Logs, func(l verify.Log) bool { return l.Origin == origin })
}

// named refuses a log that the trust file does not name.
func named(origin string, trust verify.Trust) error {
	if names(trust, origin) {
		return nil
	}
	known := make([]string, len(trust.Logs))
	for i, l := range trust.Logs {
		known[i] = l.Origin
	}
	return unable("the log there is %s, and the trust file is about %s. It is a stranger's, or another tenant's, or one that was begun anew after the trust file was made: then take a trust file of now over a channel that you trust (caio trust export), which says which log it follows, and ask for the reason", shown(origin), strings.Join(known, ", "))
}

// readable is the origin of a log; "" where it can't be read, which is no copy yet, or is refused later.
func readable(ctx context.Context, log tlog.Source) string {
	if origin, err := originAt(ctx, log); err == nil {
		return origin
	}
	return ""
}

// ofFolder refuses to bring a copy of one log up to date from another.
func ofFolder(ctx context.Context, folder string, source tlog.Source, trust verify.Trust) error {
	held, served := readable(ctx, tlog.Folder(os.DirFS(folder))), readable(ctx, source)
	if held == "" || served == "" || held == served || !names(trust, held) {
		return nil
	}
	if err := named(served, trust); err != nil {
		return err
	}
	why := "which the trust file names too"
	if slices.ContainsFunc(trust.Logs, func(l verify.Log) bool { return l.Origin == served && l.Follows == held }) {
		why = "which follows it, as the trust file says"
	}
	return unable("%s holds a copy of the log %s, and what is served is %s, %s: give that one a folder of its own, and keep this one", folder, shown(held), shown(served), why)
}
