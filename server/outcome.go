package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
	"time"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/internal/store"
	"github.com/smarthausgroup/caio/verify"
)

// OutcomeReport is what came of a call that the caller made itself. The log marks it self-reported.
type OutcomeReport struct {
	Status string `json:"status" jsonschema:"required,enum=succeeded,enum=failed,enum=timed_out,enum=cancelled"`
	// LatencyMS is whole milliseconds, rounded up.
	LatencyMS int64 `json:"latency_ms" jsonschema:"required,minimum=0,maximum=1000000000"`
	// CostUSD is what the call cost, a decimal.
	CostUSD contracts.Decimal `json:"cost_usd,omitempty"`
	// Unmet names the guarantees that the request required and the call did not meet. A latency beyond the required one is found without.
	Unmet []string `json:"unmet,omitempty"`
}

// OutcomeAnswer says what was recorded.
type OutcomeAnswer struct {
	DecisionID string `json:"decision_id" jsonschema:"format=uuid"`
	Service    string `json:"service"`
	// Counted says whether the history that scoring reads counts the call as a success that met every guarantee.
	Counted bool     `json:"counted"`
	Unmet   []string `json:"unmet"`
	// Index is that of the log's entry.
	Index *int64 `json:"index,omitempty"`
}

var statuses = []string{"succeeded", "failed", "timed_out", "cancelled"}

const maxLatencyMS = 1e9

// postOutcome records an outcome, once for each decision: the history counts calls, and one call is one.
func (s *Server) postOutcome(c *call) error {
	id, err := c.decisionID()
	if err != nil {
		return err
	}
	body, err := c.body(s.config.Limits.RequestBytes)
	if err != nil {
		return err
	}
	again, err := s.repeat(c, body)
	if err != nil {
		return err
	}
	lock := fnv.New32a()
	lock.Write([]byte(id))
	mu := &s.reporting[lock.Sum32()%uint32(len(s.reporting))]
	mu.Lock()
	defer mu.Unlock()
	if first, ok, err := s.first(c.ctx(), c.tenant, again); err != nil {
		return err
	} else if ok {
		return c.answerStored(first)
	}
	answer, err := s.report(c, id, body, again)
	var repeated *ledger.Repeated
	if errors.As(err, &repeated) {
		answer, err = repeated.First, nil
	}
	if err != nil {
		return err
	}
	return c.answerStored(answer)
}

// report records the outcome of a routed decision that has none. The caller holds the decision's lock.
func (s *Server) report(c *call, id string, body []byte, again *repeat) (answer store.Answer, err error) {
	past, err := s.past(c.ctx(), c.tenant, id)
	if err != nil {
		return answer, err
	}
	if past.row.Outcome != verify.Routed {
		return answer, newProblem(http.StatusConflict, "decision-denied", "Nothing was routed, so nothing can have come of it.")
	}
	attempts, err := s.ledger.Attempts(c.ctx(), c.tenant.name, id)
	if err != nil {
		return answer, err
	}
	if len(attempts) > 0 {
		return answer, newProblem(http.StatusConflict, "already-reported", "It stays as it was reported first.")
	}
	r, err := readOutcome(body, past.document)
	if err != nil {
		return answer, err
	}
	met := r.Status == "succeeded" && len(r.Unmet) == 0
	answer.Status = http.StatusCreated
	if answer.Body, err = json.Marshal(OutcomeAnswer{DecisionID: id, Service: past.row.Service, Counted: met, Unmet: r.Unmet}); err != nil {
		return answer, err
	}
	at := s.now().Truncate(time.Second) // what the entry states, so that whoever reads the log counts as scoring does
	record := verify.OutcomeRecord{
		RecordHead: c.tenant.head(s.ledger.Size(c.tenant.name), at), Decision: id, Document: verify.Digest(past.text), Service: past.row.Service, Intent: past.row.Intent,
		Status: r.Status, LatencyMS: r.LatencyMS, CostMicroUSD: int64(r.CostUSD), Unmet: r.Unmet, Source: verify.SelfReported,
	}
	attempt := &store.Attempt{
		Decision: id, Service: past.row.Service, Intent: past.row.Intent, Time: at,
		Status: r.Status, OK: met, LatencyMS: r.LatencyMS, CostMicroUSD: int64(r.CostUSD), SelfReported: true,
	}
	indices, err := s.appendSigned(c.ctx(), func() ([]ledger.Entry, error) {
		entry, err := s.entry(c.tenant, verify.TypOutcome, record)
		entry.Attempt, entry.Answer = attempt, again.answer(answer)
		return []ledger.Entry{entry}, err
	})
	if err != nil {
		return answer, notStored(err)
	}
	answer.Index = indices[0]
	return answer, nil
}

// readOutcome reads a report and holds it against what the decision's request required.
func readOutcome(body []byte, d *verify.Document) (*OutcomeReport, error) {
	var r OutcomeReport
	found, err := decode(body, contracts.MaxRequestBytes, &r)
	if err != nil {
		return nil, err
	}
	found.oneOf("/status", r.Status, statuses...)
	if r.LatencyMS < 0 || r.LatencyMS > maxLatencyMS {
		found.add("/latency_ms", "out-of-range", "%d is not between 0 and 1e9", r.LatencyMS)
	}
	if r.CostUSD < 0 || r.CostUSD > contracts.MaxDecimal/contracts.Micro {
		found.add("/cost_usd", "out-of-range", "%s is not between 0 and 1e6", r.CostUSD)
	}
	required := d.Request.Requirements.Guarantees
	for i, name := range r.Unmet {
		if _, ok := required[name]; !ok {
			found.add(fmt.Sprintf("/unmet/%d", i), "invalid-value", "the request did not require this guarantee")
		}
	}
	if err := found.problem(); err != nil {
		return nil, err
	}
	unmet := append([]string{}, r.Unmet...)
	if limit := required["latency"].Max; limit != nil && contracts.Decimal(r.LatencyMS)*contracts.Micro > *limit {
		unmet = append(unmet, "latency")
	}
	slices.Sort(unmet)
	r.Unmet = slices.Compact(unmet)
	return &r, nil
}
