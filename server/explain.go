package server

import (
	"context"
	"net/http"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/contracts/canonical"
	"github.com/smarthausgroup/caio/engine"
	"github.com/smarthausgroup/caio/internal/ledger"
	"github.com/smarthausgroup/caio/verify"
)

// Explanation is what would be decided now, and why, for every service. It is not a decision: it has no proof and obliges nobody.
type Explanation struct {
	Proof   bool   `json:"proof"` // always false
	Note    string `json:"note"`
	Outcome string `json:"outcome" jsonschema:"enum=routed,enum=denied"`
	Winner  string `json:"winner,omitempty"`
	Time    string `json:"time" jsonschema:"format=date-time"`
	// Services are all that the tenant's snapshot holds, in order of id.
	Services []ExplainedService `json:"services"`
	Control  [8]int64           `json:"control"` // each in micro: 1000000 is 1
	Warnings []verify.Warning   `json:"warnings"`
	// Index is that of the log's entry that counts this call.
	Index int64 `json:"index"`
}

// ExplainedService is one service: eliminated at a stage, over something, or scored.
type ExplainedService struct {
	Service    string          `json:"service"`
	Stage      contracts.Stage `json:"stage"` // where it fell, or score
	Violations []Violated      `json:"violations,omitempty"`
	// Score is what the service was ranked by; its objective is in nano, as documents have it.
	Score *verify.Score `json:"score,omitempty"`
}

const explanationNote = "This is what would be decided now, not a decision: it has no proof."

// postExplain counts as an entry of the log, so that nobody tries requests out unseen.
func (s *Server) postExplain(c *call) error {
	body, err := c.body(s.config.Limits.RequestBytes)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.ctx(), s.config.Limits.Decision)
	defer cancel()
	read := func(a contracts.Admission) (contracts.Submission, contracts.Diagnostics) {
		request, diagnostics := contracts.ParseRequest("", body, a)
		return contracts.Submission{Request: request}, diagnostics
	}
	in, err := s.normalise(ask{tenant: c.tenant, who: c.who, read: read})
	if err != nil {
		return err
	}
	done, err := s.turn(ctx, c.tenant)
	if err != nil {
		return err
	}
	explained, err := s.engine.Explain(ctx, s.arguments(c.who, in))
	done()
	if err != nil {
		return err
	}
	answer, err := s.explanation(in, explained)
	if err != nil {
		return err
	}
	digest, err := canonical.Digest(in.request.View())
	if err != nil {
		return err
	}
	indices, err := s.appendSigned(ctx, func() ([]ledger.Entry, error) {
		entry, err := s.entry(c.tenant, verify.TypExplanation, verify.ExplanationRecord{RecordHead: c.tenant.head(in.base, s.now()), Request: digest})
		return []ledger.Entry{entry}, err
	})
	if err != nil {
		return notStored(err)
	}
	answer.Index = indices[0]
	return c.answer(http.StatusOK, answer)
}

func (s *Server) explanation(in *admitted, e engine.Explanation) (*Explanation, error) {
	d := e.Decision
	answer := &Explanation{
		Note: explanationNote, Outcome: d.Outcome, Winner: d.Choice.Service, Time: in.time.Format(verify.TimeFormat),
		Services: []ExplainedService{}, Control: d.Choice.Control, Warnings: d.Warnings,
	}
	if answer.Warnings == nil {
		answer.Warnings = []verify.Warning{}
	}
	candidates := map[string]*verify.Candidate{}
	for i := range d.Candidates {
		candidates[d.Candidates[i].Service] = &d.Candidates[i]
	}
	words := s.readerOf(in.inForce)
	for _, service := range in.inForce.snapshot.Services() {
		row := ExplainedService{Service: service.Contract.ID, Stage: contracts.StageMatch}
		violations := e.Unmatched[row.Service]
		if c := candidates[row.Service]; c != nil && c.Eliminated != nil {
			row.Stage, violations = c.Eliminated.Stage, c.Eliminated.Violations
		} else if c != nil {
			row.Stage, row.Score = contracts.StageScore, c.Score
		}
		if len(violations) > 0 {
			var err error
			if row.Violations, err = words.violated(row.Service, service.Digest, violations); err != nil {
				return nil, err
			}
			for i := range violations {
				row.Violations[i].False = falseText(service, violations[i])
			}
		}
		answer.Services = append(answer.Services, row)
	}
	return answer, nil
}
