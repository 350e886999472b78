package server

import (
	"encoding/json"
	"net/http"
	"runtime"
	"sync"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/source"
	"github.com/smarthausgroup/caio/internal/store"
)

func (c *call) detail() string {
	if detail := c.query.Get("detail"); detail != "" {
		return detail
	}
	return detailBrief
}

func (s *Server) postDecision(c *call) error {
	return s.answerDecision(c, func(body []byte, a contracts.Admission) (contracts.Submission, contracts.Diagnostics) {
		request, diagnostics := contracts.ParseRequest("", body, a)
		return contracts.Submission{Request: request}, diagnostics
	})
}

// postOrchestrate decides. A request that asks for execution too is refused whole: a caller who counts on a result must not take a decision for it.
func (s *Server) postOrchestrate(c *call) error {
	return s.answerDecision(c, func(body []byte, a contracts.Admission) (contracts.Submission, contracts.Diagnostics) {
		return contracts.ParseSubmission("", body, a)
	})
}

func (s *Server) answerDecision(c *call, parse func([]byte, contracts.Admission) (contracts.Submission, contracts.Diagnostics)) error {
	body, err := c.body(s.config.Limits.RequestBytes)
	if err != nil {
		return err
	}
	repeat, err := s.repeat(c, body)
	if err != nil {
		return err
	}
	read := func(a contracts.Admission) (contracts.Submission, contracts.Diagnostics) { return parse(body, a) }
	answer, err := s.decide(c.ctx(), ask{tenant: c.tenant, who: c.who, read: read, detail: c.detail(), repeat: repeat})
	if err != nil {
		return err
	}
	return c.answerStored(answer)
}

// Batch is up to 1,000 requests, each in the form of a single one.
type Batch struct {
	Requests []*source.Node `json:"requests" jsonschema:"required,minItems=1,maxItems=1000"`
}

// BatchAnswer holds an answer or a problem for each request, in their order.
type BatchAnswer struct {
	Results []BatchResult `json:"results"`
}

// BatchResult is one of the two.
type BatchResult struct {
	Answer  json.RawMessage `json:"answer,omitempty"`
	Problem *Problem        `json:"problem,omitempty"`
}

// postBatch decides each request on its own: one that is refused does not touch the others.
func (s *Server) postBatch(c *call) error {
	body, err := c.body(s.config.Limits.BatchBytes)
	if err != nil {
		return err
	}
	var batch Batch
	found, err := decode(body, s.config.Limits.BatchBytes, &batch)
	if err != nil {
		return err
	}
	if n := len(batch.Requests); n == 0 || n > s.config.Limits.BatchSize {
		found.add("/requests", "out-of-range", "a batch has 1 to %d requests, not %d", s.config.Limits.BatchSize, n)
	}
	if err := found.problem(); err != nil {
		return err
	}
	repeat, err := s.repeat(c, body)
	if err != nil {
		return err
	}
	repeats, err := repeat.items(body, len(batch.Requests))
	if err != nil {
		return err
	}
	results := make([]BatchResult, len(batch.Requests))
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(len(results), 16*runtime.GOMAXPROCS(0)) {
		workers.Go(func() {
			for n := range next {
				read := func(a contracts.Admission) (contracts.Submission, contracts.Diagnostics) {
					request, diagnostics := contracts.RequestNode(batch.Requests[n], a)
					return contracts.Submission{Request: request}, diagnostics
				}
				answer, err := s.decide(c.ctx(), ask{tenant: c.tenant, who: c.who, read: read, detail: c.detail(), repeat: repeats[n]})
				results[n] = resultOf(answer, err)
			}
		})
	}
	for n := range results {
		next <- n
	}
	close(next)
	workers.Wait()
	return c.answer(http.StatusOK, BatchAnswer{results})
}

func resultOf(answer store.Answer, err error) BatchResult {
	if err == nil {
		return BatchResult{Answer: withIndex(answer.Body, answer.Index)}
	}
	return BatchResult{Problem: asProblem(err)}
}
