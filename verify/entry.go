package verify

// The `typ` of every kind of log entry (spec/proof.md, "The log"). A verifier pins the one it expects, so that no entry can stand for one of another kind.
const (
	TypDecision    = "caio-decision+jws"    // a [Statement]
	TypFailure     = "caio-failure+jws"     // an admitted request ended without a decision
	TypExplanation = "caio-explanation+jws" // what would be decided was told, without deciding
	TypContract    = "caio-contract+jws"    // a contract was registered, changed or removed
	TypAttestation = "caio-attestation+jws" // an approver's word on a contract
	TypGrant       = "caio-grant+jws"       // a tenant was given sight of a service, or lost it
	TypSettings    = "caio-settings+jws"    // operational settings
	TypActivation  = "caio-activation+jws"  // what was done with a bundle: pushed, put in force, taken out, evaluated beside those in force
	TypShadow      = "caio-shadow+jws"      // a bundle that is not in force would have decided otherwise
	TypErasure     = "caio-erasure+jws"     // content that can no longer be opened
	TypHold        = "caio-hold+jws"        // nothing of something is erased, or it may be again
	TypKey         = "caio-key+jws"         // a signing key came into use, or left it
	TypRecovery    = "caio-recovery+jws"    // the first of a log that follows a lost one
	TypAttempt     = "caio-attempt+jws"     // a call of a service, its start or its end
	TypOutcome     = "caio-outcome+jws"     // what came of it
)

// TypApproval is the `typ` of what an approver signs with a key of their own (spec/policy.md, "Bundles"). It is no entry: it stands inside that of the activation.
const TypApproval = "caio-approval+jws"
