package main

import (
	"fmt"
	"slices"

	"github.com/smarthausgroup/caio/verify"
)

const forgedWinner = "mistral-embeddings"

// forgeByStranger names another winner in the document. The signature stays what it was.
func forgeByStranger(evidence *verify.Evidence) (*verify.Evidence, error) {
	document, err := verify.DecodeDocument(evidence.Document)
	if err != nil {
		return nil, err
	}
	document.Choice.Service = forgedWinner
	forged := *evidence
	forged.Document, err = document.Canonical()
	return &forged, err
}

// forgeByInsider rewrites the decision so that it is right in itself, with the score that the winner had before the policy was changed, and signs it with the real key.
func forgeByInsider(now, before proved, signer *verify.Signer) (*verify.Evidence, error) {
	document, err := verify.DecodeDocument(now.evidence.Document)
	if err != nil {
		return nil, err
	}
	is := func(c verify.Candidate) bool { return c.Service == forgedWinner }
	i, j := slices.IndexFunc(document.Candidates, is), slices.IndexFunc(before.document.Candidates, is)
	if i < 0 || j < 0 || before.document.Candidates[j].Score == nil {
		return nil, fmt.Errorf("%s did not survive before the change", forgedWinner)
	}
	runnerUp := document.Choice
	document.Candidates[i] = before.document.Candidates[j]
	document.Choice = before.document.Choice
	document.Choice.RunnerUp = &verify.RunnerUp{Service: runnerUp.Service, Margin: *document.Choice.Objective - *runnerUp.Objective}
	document.Satisfied = before.document.Satisfied
	forged := *now.evidence
	if forged.Document, err = document.Canonical(); err != nil {
		return nil, err
	}
	statement, err := verify.NewStatement(document, verify.Digest(forged.Document), verify.RetentionStandard)
	if err != nil {
		return nil, err
	}
	forged.Statement, err = signer.Sign(verify.TypDecision, statement)
	return &forged, err
}
