package server

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/verify"
)

var (
	tenantForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// Sizes of a page.
const (
	usualLimit = 100
	maxLimit   = store.MaxLimit
)

// parameter of a query, wherever it occurs.
type parameter struct {
	description string
	schema      map[string]any
	check       func(value string) string // what is wrong, "" for nothing
}

func choice(of ...string) func(string) string {
	return func(value string) string { return notOneOf(value, of) }
}

func name(value string) string {
	if value == "" || len(value) > 128 {
		return "expected 1 to 128 bytes"
	}
	return ""
}

func subjectName(value string) string {
	if value == "" || len(value) > 256 {
		return "expected 1 to 256 bytes"
	}
	return ""
}

func reason(value string) string {
	if strings.TrimSpace(value) == "" || len(value) > maxReason {
		return fmt.Sprintf("say why, in 1 to %d bytes: it stands in the log", maxReason)
	}
	return ""
}

func tenantName(value string) string {
	if !tenantForm.MatchString(value) {
		return "expected a tenant, of the form [a-z0-9][a-z0-9._-]{0,63}"
	}
	return ""
}

func instant(value string) string {
	if _, err := time.Parse(time.RFC3339, value); err != nil {
		return "expected a time as RFC 3339 writes it: 2026-01-31T12:00:00Z"
	}
	return ""
}

func since(value string) string {
	if !sinceForm.MatchString(value) {
		return "expected a time back from now, as 12h, 7d or 4w"
	}
	return ""
}

func limit(value string) string {
	if n, err := strconv.Atoi(value); err != nil || n < 1 || n > maxLimit {
		return fmt.Sprintf("expected a number from 1 to %d", maxLimit)
	}
	return ""
}

var text = map[string]any{"type": "string"}

// contractsOfCandidates is the parameter's value that leaves the others out.
const contractsOfCandidates = "candidates"

// parameters are all that any route knows. The same name means the same everywhere.
var parameters = map[string]parameter{
	"detail":      {"How much comes along: `none`, `brief` (the default), or `full`, which adds the document.", map[string]any{"type": "string", "enum": []string{detailNone, detailBrief, detailFull}, "default": detailBrief}, choice(detailNone, detailBrief, detailFull)},
	"cursor":      {"The `next` of the page before.", text, name},
	"limit":       {"The size of a page.", map[string]any{"type": "integer", "minimum": 1, "maximum": maxLimit, "default": usualLimit}, limit},
	"since":       {"How far back from now: 12h, 7d, 4w.", map[string]any{"type": "string", "pattern": sinceForm.String()}, since},
	"from":        {"Decisions at this time or later.", map[string]any{"type": "string", "format": "date-time"}, instant},
	"to":          {"Decisions before this time.", map[string]any{"type": "string", "format": "date-time"}, instant},
	"service":     {"Decisions for this service.", text, name},
	"outcome":     {"Decisions of this outcome.", map[string]any{"type": "string", "enum": []string{verify.Routed, verify.Denied}}, choice(verify.Routed, verify.Denied)},
	"constraint":  {"Decisions in which a candidate violated this predicate or constraint.", text, name},
	"subject":     {"Decisions that this person takes part in, as who asked or as whom the data are about; none of before an erasure of the person's.", text, subjectName},
	"intent":      {"Decisions on this type of intent.", text, name},
	"name":        {"The name of a bundle.", text, name},
	"reason":      {"Why; it stands in the log.", map[string]any{"type": "string", "minLength": 1, "maxLength": maxReason}, reason},
	"tenant":      {"The tenant that is asked or spoken about; the caller's own when left out. Approvers and operators of the installation's tenant may name another.", text, tenantName},
	"contracts":   {"Which contracts come along: `all` of the snapshot, or only those of the `candidates`: then the services that did not match can't be re-evaluated.", map[string]any{"type": "string", "enum": []string{"all", contractsOfCandidates}, "default": "all"}, choice("all", contractsOfCandidates)},
	"for_subject": {"Whom the decision is about, or who asked for it: the file is then for that person, without what concerns others.", text, subjectName},
	"disclosures": {"Whether the content that the document commits to comes along: `all`, or `none` for a file to hand on.", map[string]any{"type": "string", "enum": []string{"all", "none"}, "default": "all"}, choice("all", "none")},
}

func checkParameter(name, value string) string { return parameters[name].check(value) }

// limit is the size of a page that the caller asks for; the query was checked.
func (c *call) limit() int {
	if n, err := strconv.Atoi(c.query.Get("limit")); err == nil {
		return n
	}
	return usualLimit
}

func (c *call) instant(name string) time.Time {
	t, _ := time.Parse(time.RFC3339, c.query.Get(name))
	return t
}

// cursorIndex reads a cursor that is an index of the log.
func (c *call) cursorIndex() (int64, error) {
	cursor := c.query.Get("cursor")
	if cursor == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(cursor, 10, 64)
	if err != nil || n < 0 {
		return 0, store.ErrCursor
	}
	return n, nil
}

func formatIndex(n int64) string { return strconv.FormatInt(n, 10) }
