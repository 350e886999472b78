package server

import (
	"encoding/json"

	"github.com/smarthausgroup/caio/contracts"
	"github.com/smarthausgroup/caio/engine/impact"
	"github.com/smarthausgroup/caio/engine/impact/export"
	"github.com/smarthausgroup/caio/verify"
)

// operation is the form of a call: what it takes and what it gives. OpenAPI is made from it, and requests are held to it.
type operation struct {
	id, summary string
	query       []string // names in parameters
	media       []string // of the body that it takes; nil for none
	takes       any      // a value of the body's type, or a schema as JSON text
	status      []int    // of success
	gives       any      // as takes; nil for no body
	givesMedia  string   // application/json when empty
	creates     bool     // takes Idempotency-Key
	long        bool     // takes its time, as long as its caller waits
	asked       string   // an example of what it takes, JSON; "" without
	answered    string   // and of what it gives to that
}

var (
	mediaJSON     = []string{"application/json"}
	mediaBundle   = []string{"application/gzip"}
	mediaContract = []string{"application/yaml", "application/x-yaml", "text/yaml", "application/json"}

	ok      = []int{200}
	request = json.RawMessage(contracts.RequestSchema())
	// plain is a body that is not JSON, or JSON of another document's form.
	plain = json.RawMessage(`{}`)
)

// A request and its answer (spec/interface.md, "The least request, and the answer"). Of the statement only the beginning is shown.
const (
	exampleRequest = `{"intent": {"type": "embeddings"}, "data": {"labels": ["pii"]}}`
	exampleAnswer  = `{
  "decision_id": "01a20368-453e-7f21-aad0-9018e60ae18f",
  "outcome": "routed",
  "service": {
    "id": "bge-local",
    "version": "1.2.0",
    "name": "BGE-M3 on our own machines",
    "api": {"protocol": "http", "base_url": "http://127.0.0.1:8081", "model": "bge-m3"}
  },
  "route": "internal",
  "guarantees": {"latency": {"max": 40}},
  "reasons": [
    "bge-local alone satisfies every rule; its objective is -0.164.",
    "us was rejected at stage policy: GDPR-44: us keeps data in us."
  ],
  "statement": "eyJ…",
  "links": {
    "document": "/v1/decisions/01a20368-453e-7f21-aad0-9018e60ae18f/document",
    "evidence": "/v1/decisions/01a20368-453e-7f21-aad0-9018e60ae18f/evidence"
  },
  "index": 1234
}`
)

// A bundle that is pushed, and put in force.
const (
	examplePushed = `{
  "name": "gdpr",
  "revision": "12",
  "digest": "5f2b6a0c0e54f9d7e2d7b0f3a4c1b8e96d30f47a51c2e8b9d6074f3a1e5c8b27",
  "key": "release",
  "constraints": [],
  "tests": {"pass": 14, "fail": 0, "skip": 0, "error": 0},
  "unchanged": false,
  "index": 1240
}`
	exampleActivation = `{"reason": "transfers to Switzerland, ticket 88", "previous": ""}`
	exampleActivated  = `{
  "name": "gdpr",
  "digest": "5f2b6a0c0e54f9d7e2d7b0f3a4c1b8e96d30f47a51c2e8b9d6074f3a1e5c8b27",
  "key": "release",
  "previous": "",
  "author": "ann@example.com",
  "tests": {"pass": 14, "fail": 0, "skip": 0, "error": 0},
  "unchanged": false,
  "index": 1241
}`
)

// op is the operation with an id; there is one for every route.
func op(id string) operation {
	for _, o := range operations {
		if o.id == id {
			return o
		}
	}
	panic("server: no operation is named " + id)
}

var operations = []operation{
	{id: "decide", summary: "Decide which service may handle a request. A denial is a decision too, with the same proof.", query: []string{"detail"}, media: mediaJSON, takes: request, status: ok, gives: Answer{}, creates: true, asked: exampleRequest, answered: exampleAnswer},
	{id: "orchestrate", summary: "Decide. Execution is not available yet: `execute: true` is refused.", query: []string{"detail"}, media: mediaJSON, takes: request, status: ok, gives: Answer{}, creates: true},
	{id: "batch", summary: "Decide up to 1,000 requests, each on its own.", query: []string{"detail"}, media: mediaJSON, takes: Batch{}, status: ok, gives: BatchAnswer{}, creates: true},
	{id: "explain", summary: "What would be decided, and why, for every service, without deciding. There is no proof; the call is counted in the log.", media: mediaJSON, takes: request, status: ok, gives: Explanation{}},
	{id: "search", summary: "Find decisions, the newest first.", query: []string{"from", "to", "service", "outcome", "constraint", "intent", "subject", "cursor", "limit"}, status: ok, gives: DecisionList{}},
	{id: "export", summary: "The decisions of a time as one file, gzip-compressed lines of JSON, for `caio policy impact --decisions`. A file that broke off has no end, and its reader notices.", query: []string{"since", "from", "to", "disclosures", "tenant"}, status: ok, gives: plain, givesMedia: export.MediaType, long: true},
	{id: "decision", summary: "One decision, as its caller was answered.", query: []string{"detail"}, status: ok, gives: Answer{}},
	{id: "document", summary: "The proof document: its canonical bytes.", status: ok, gives: verify.Document{}, givesMedia: verify.MediaType},
	{id: "statement", summary: "The signed statement: a compact JWS, byte for byte the leaf of the log.", status: ok, gives: plain, givesMedia: "application/jose"},
	{id: "receipt", summary: "The statement's place in the log: an inclusion proof under the latest checkpoint, in the format c2sp.org/tlog-proof@v1.", status: ok, gives: plain, givesMedia: "text/plain"},
	{id: "evidence", summary: "One file with the proof and everything needed to check it offline, for `caio verify`.", query: []string{"disclosures", "contracts", "for_subject"}, status: ok, gives: plain, givesMedia: evidenceType},
	{id: "outcome", summary: "Report what came of a call that the caller made itself, once for each decision.", media: mediaJSON, takes: OutcomeReport{}, status: []int{201}, gives: OutcomeAnswer{}, creates: true},

	{id: "erase", summary: "Make the content of every decision that a subject takes part in unreadable, for good, in every copy: the subject's keys are destroyed. Statements, receipts and, unless they are to go too, documents stay. A hold forbids it, with its ground.", query: []string{"tenant"}, media: mediaJSON, takes: ErasureRequest{}, status: []int{201}, gives: Erased{}, asked: `{"subject": "ann@example.com", "reason": "request of 3 May, ticket 1204", "documents": false}`},
	{id: "erasures", summary: "What was erased, of subjects and for its age, the newest first. Subjects are named by opaque ids.", query: []string{"tenant", "cursor", "limit"}, status: ok, gives: ErasureList{}},
	{id: "hold", summary: "See to it that nothing is erased of a subject, a decision, or everything, until the hold is released. It covers all decisions that share a subject's key with one that is held.", query: []string{"tenant"}, media: mediaJSON, takes: HoldRequest{}, status: ok, gives: Hold{}, asked: `{"subject": "ann@example.com", "ground": "Civil Procedure Rules, case 2026-117", "reason": "asked for by counsel"}`},
	{id: "release", summary: "Release a hold. What has expired meanwhile is erased by the next sweep.", query: []string{"tenant", "reason"}, status: ok, gives: Hold{}},
	{id: "holds", summary: "The holds in force, in order of name.", query: []string{"tenant"}, status: ok, gives: HoldList{}},

	{id: "register", summary: "Register or update a contract. The same contract again changes nothing.", media: mediaContract, takes: json.RawMessage(contracts.ContractSchema()), status: []int{200, 201}, gives: Registration{}},
	{id: "register-post", summary: "Register or update a contract, under the id that it names.", media: mediaContract, takes: json.RawMessage(contracts.ContractSchema()), status: []int{200, 201}, gives: Registration{}, creates: true},
	{id: "services", summary: "The services that the tenant sees, in order of id.", query: []string{"tenant", "cursor", "limit"}, status: ok, gives: ServiceList{}},
	{id: "service", summary: "One service, its contract, and the predicates that this compiles into; and the contract that awaits approval, if one does.", query: []string{"tenant"}, status: ok, gives: ServiceDetail{}},
	{id: "remove", summary: "Take the tenant's own service out. Its history stays.", status: []int{204}},
	{id: "versions", summary: "The history of a service, in the order of the log.", query: []string{"cursor", "limit"}, status: ok, gives: VersionList{}},
	{id: "attest", summary: "Record what the installation's people found of a contract, by its digest; lets in one that awaits approval.", query: []string{"tenant"}, media: mediaJSON, takes: AttestationRequest{}, status: ok, gives: ServiceSummary{}},
	{id: "grant", summary: "Set which tenants see a service besides its owner.", query: []string{"tenant"}, media: mediaJSON, takes: GrantsRequest{}, status: ok, gives: GrantsAnswer{}},
	{id: "validate", summary: "Check a contract without registering it.", media: mediaContract, takes: json.RawMessage(contracts.ContractSchema()), status: ok, gives: Validation{}},
	{id: "schema", summary: "The JSON Schema of a contract.", status: ok, gives: plain, givesMedia: "application/schema+json"},

	{id: "bundles", summary: "The bundles in force, those evaluated beside them, those that were pushed, and every constraint in force.", query: []string{"tenant", "cursor", "limit"}, status: ok, gives: BundleList{}},
	{id: "bundle-versions", summary: "What was done with bundles, in the order of the log: by whom, why, and what was in force before.", query: []string{"tenant", "name", "cursor", "limit"}, status: ok, gives: BundleVersionList{}},
	{id: "bundle", summary: "The files of a bundle that is, or was, in force, or was pushed, and its signature: a gzip-compressed tar in OPA's format.", query: []string{"tenant"}, status: ok, gives: plain, givesMedia: mediaBundle[0]},
	{id: "push", summary: "Hand in a bundle, which changes nothing yet. It must be signed, compile with everything in force, and pass its own tests. The same one again changes nothing.", query: []string{"tenant", "name"}, media: mediaBundle, takes: plain, status: []int{200, 201}, gives: BundlePushed{}, creates: true, answered: examplePushed},
	{id: "activate", summary: "Put a bundle in force that was pushed, in place of the one of its name. It is held to the keys of now, compiled and tested once more. The entry in the log is durable before it takes effect.", query: []string{"tenant"}, media: mediaJSON, takes: ActivationRequest{}, status: ok, gives: Activation{}, creates: true, asked: exampleActivation, answered: exampleActivated},
	{id: "deactivate", summary: "Take one of the tenant's own bundles out of force.", query: []string{"tenant"}, media: mediaJSON, takes: DeactivationRequest{}, status: ok, gives: Activation{}, creates: true, asked: `{"reason": "merged into the bundle house"}`},
	{id: "rollback", summary: "Undo the last change of what is in force under a name: the version before comes back, or none. A second rollback undoes the first.", query: []string{"tenant"}, media: mediaJSON, takes: RollbackRequest{}, status: ok, gives: Activation{}, creates: true, asked: `{"name": "gdpr", "reason": "denies the intake service; ticket 93"}`},
	{id: "shadow", summary: "Evaluate a pushed bundle beside those in force, in place of the one of its name. It never acts: what would have come out otherwise is recorded as a divergence.", query: []string{"tenant"}, media: mediaJSON, takes: ShadowRequest{}, status: ok, gives: ShadowChange{}, creates: true},
	{id: "stop-shadow", summary: "Evaluate it no longer. What was found stays in the log.", query: []string{"tenant", "reason"}, status: ok, gives: ShadowChange{}},
	{id: "divergences", summary: "What a bundle that is, or was, evaluated beside those in force would have decided otherwise: counts by constraint, and the divergences, the newest first.", query: []string{"tenant", "cursor", "limit"}, status: ok, gives: ShadowReport{}},
	{id: "settings", summary: "The operational settings in force, what policies read with the defaults, and the JSON Schema of each pack's.", query: []string{"tenant"}, status: ok, gives: SettingsAnswer{}},
	{id: "set-settings", summary: "Put settings in force, whole. They are held to the schemas of the bundles in force, which must compile with them. A coefficient of the calculus is none: `coefficients-fixed`.", query: []string{"tenant"}, media: mediaJSON, takes: SettingsRequest{}, status: ok, gives: SettingsChange{}},
	{id: "settings-versions", summary: "The history of the settings, in the order of the log.", query: []string{"tenant", "cursor", "limit"}, status: ok, gives: SettingsVersionList{}},
	{id: "settings-version", summary: "The settings of one revision.", query: []string{"tenant"}, status: ok, gives: SettingsRevision{}},
	{id: "rollback-settings", summary: "Put the settings of an earlier revision in force again, if the bundles of now take them.", query: []string{"tenant"}, media: mediaJSON, takes: SettingsRollback{}, status: ok, gives: SettingsChange{}, creates: true},
	{id: "reset-settings", summary: "Put the settings of the installation's configuration in force again, and follow it from now on.", query: []string{"tenant"}, media: mediaJSON, takes: SettingsReset{}, status: ok, gives: SettingsChange{}, creates: true},

	{id: "impact", summary: "Decide stored decisions again with a pushed bundle in force, in place of the one of its name, and say which would have come out otherwise. Nothing is changed. With `Accept: application/x-ndjson` lines tell of the progress, and the last one holds the report.", query: []string{"tenant"}, media: mediaJSON, takes: ImpactRequest{}, status: ok, gives: impact.Answer{}, long: true, asked: `{"since": "7d", "examples": 3}`},
	{id: "settings-impact", summary: "The same for settings, in place of those in force.", query: []string{"tenant"}, media: mediaJSON, takes: ImpactRequest{}, status: ok, gives: impact.Answer{}, long: true, asked: `{"since": "7d", "settings": {"gdpr": {"regions": ["eu"]}}}`},

	{id: "issue-key", summary: "Issue an API key. The answer holds it, once; the store keeps its SHA-256. A repetition issues another: there is no `Idempotency-Key` here.", query: []string{"tenant"}, media: mediaJSON, takes: APIKeyRequest{}, status: []int{201}, gives: APIKeyIssued{}},
	{id: "api-keys", summary: "The tenant's API keys, the oldest first, without the keys themselves.", query: []string{"tenant", "cursor", "limit"}, status: ok, gives: APIKeyList{}},
	{id: "revoke-key", summary: "Revoke an API key: it is taken no more.", query: []string{"tenant"}, status: []int{204}},
	{id: "revoke-signing-key", summary: "Hand in what the offline root signed: that nothing which a key signed from an index of a log on is to be believed. It becomes an entry of that log. The same one again changes nothing.", media: mediaJSON, takes: KeyRevocationRequest{}, status: []int{200, 201}, gives: KeyRevocationAnswer{}},
	{id: "trust", summary: "What an auditor pins: the issuer, the tenant's log, and the keys with the indices between which they were in use.", status: ok, gives: plain},
	{id: "checkpoint", summary: "What the log says of itself: origin, size and root, signed (c2sp.org/tlog-checkpoint).", status: ok, gives: plain, givesMedia: "text/plain"},
	{id: "cosigned", summary: "The latest checkpoint that the quorum of the configured witnesses cosigned (c2sp.org/tlog-cosignature).", status: ok, gives: plain, givesMedia: "text/plain"},
	{id: "tile", summary: "A part of the log: hashes at `tile/<level>/<index>`, entries at `tile/entries/<index>`, and `.p/<width>` behind it for one that is not full (c2sp.org/tlog-tiles).", status: ok, gives: plain, givesMedia: "application/octet-stream"},
	{id: "keys", summary: "The public keys that sign the logs, as a JWK Set.", status: ok, gives: plain, givesMedia: "application/jwk-set+json"},
	{id: "live", summary: "Whether the process is alive.", status: ok, gives: Health{}},
	{id: "ready", summary: "Whether requests should be sent here, and which part is at fault if not.", status: []int{200, 503}, gives: Health{}},
	{id: "metrics", summary: "Metrics, in the format of Prometheus.", status: ok, gives: plain, givesMedia: "text/plain"},
	{id: "openapi", summary: "This document.", status: ok, gives: plain},
	{id: "docs", summary: "This document, to read.", status: ok, gives: plain, givesMedia: "text/html"},
}
