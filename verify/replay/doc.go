// Package replay is the decision calculus (spec/calculus.md) again, as plainly as its page reads: every service, every predicate, every constraint, no index and no cache.
// It is the definition that the engine is tested against, and what a verifier runs to re-evaluate a decision (spec/proof.md, "What a verifier checks").
//
// It is not for serving requests: it is slow on purpose. It imports nothing of the engine, so that a fault of the engine can't hide in it. The files follow the page's sections:
// field.go is section 3, score.go section 4, control.go sections 5 and 6, decide.go section 2; check.go holds the layers of a proof that need re-evaluation.
package replay
